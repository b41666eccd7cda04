"""Every hyperparameter of the paper's training, read from the objects that are built from it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from donna_hw._core import torchvision_compat
from donna_hw._core.resources import resource_names
from donna_hw.errors import ConfigError, DonnaError, UnavailableError, UnknownNameError
from donna_hw.graph.torch_module import to_torch
from donna_hw.pipeline.recipe import Recipe, find_recipe
from donna_hw.pipeline.recipe_schema import PretrainedReferenceConfig
from donna_hw.spaces import load_space
from donna_hw.training.large_scale.config import PaperFinetuneConfig, PaperTrainingConfig, StepsPerEpoch
from donna_hw.training.large_scale.distributed import DistributedContext
from donna_hw.training.large_scale.loaders import create_train_transform
from donna_hw.training.large_scale.trainer import Trainer, create_optimizer, create_scheduler

torchvision_compat.patch_torchvision()
PAPER = PaperTrainingConfig()
IMAGENET = [name for name in resource_names("recipes") if name.startswith("imagenet_")]


def small_network() -> nn.Module:
    return to_torch(load_space("small_8px").network_graph(load_space("small_8px").reference), seed=0)


@pytest.mark.parametrize("name", IMAGENET)
def test_the_imagenet_recipes_have_the_papers_values(name: str) -> None:
    """A.1: 450 epochs, batch 1536 at 0.096, BKD of one epoch with batch 256 at 0.01 in 20 steps; 30 networks for DONNA, else 20.

    Appendix D: 43 networks, and 20 to test. Appendix C: 23 networks, timm's weights, a CNN that teaches.
    """
    recipe = Recipe.read(find_recipe(name))
    of_appendix_c = "vit" in name
    if of_appendix_c:
        assert recipe.reference == PretrainedReferenceConfig(method="pretrained")
        assert recipe.teacher is not None
        assert find_recipe(recipe.teacher.recipe)
    else:
        assert recipe.reference == PAPER
    assert (PAPER.epochs, PAPER.batch, PAPER.learning_rate) == (450, 1536, 0.096)
    assert recipe.space == name.removeprefix("imagenet_").replace("_int8", "@precision")
    assert recipe.distill.block_distill_config().optim.__dict__ == {
        "epochs": 1,
        "batch": 256,
        "learning_rate": 0.01,
        "cosine_steps": 20,
    }
    assert recipe.finetune == PaperFinetuneConfig()
    assert recipe.finetune.epochs == 50
    of_appendix_d = "extended" in name
    sizes = {"donna": 30, "vit_b16": 23}
    assert recipe.library.networks == (43 if of_appendix_d else sizes.get(recipe.space.removesuffix("_shift"), 20))
    assert recipe.library.test_networks == (20 if of_appendix_d else 0)
    assert recipe.search.samples == 2500


def test_there_is_a_recipe_for_each_of_the_papers_spaces() -> None:
    spaces = ["donna", "efficientnet_b0", "mobilenetv3_1.0", "mobilenetv3_1.2", "proxylessnas_1.3"]
    # of section 4.1.2 and appendix D: new blocks in one of them
    extending = ["donna_shift", "mobilenetv3_1.2_extended_int8"]
    spaces += ["mobilenetv3_1.2_extended", "vit_b16"]
    assert sorted(f"imagenet_{space}" for space in [*spaces, *extending]) == IMAGENET


def test_the_optimizer_is_timms_rmsprop_and_only_weights_decay() -> None:
    from timm.optim import RMSpropTF

    network = small_network()
    optimizer = create_optimizer(network, PAPER)
    assert type(optimizer) is RMSpropTF
    decay_of = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert decay_of == {id(p): 1e-5 if p.ndim > 1 else 0 for p in network.parameters()}
    for group in optimizer.param_groups:
        assert (group["lr"], group["momentum"], group["alpha"], group["eps"]) == (0.096, 0.9, 0.9, 0.001)
        assert not group["centered"]
        assert group["lr_in_momentum"]


def test_two_steps_of_the_optimizer_by_hand() -> None:
    """TensorFlow's form: the mean square starts at one, epsilon is inside the root, momentum adds up rate times step."""
    weight = nn.Parameter(torch.tensor([[2.0]], dtype=torch.float64))
    optimizer = create_optimizer(nn.ParameterList([weight]), PAPER)
    x, square, momentum = 2.0, 1.0, 0.0
    for gradient in (0.5, -3.0):
        weight.grad = torch.full_like(weight, gradient)
        optimizer.step()
        g = gradient + 1e-5 * x
        square = 0.9 * square + 0.1 * g * g
        momentum = 0.9 * momentum + 0.096 * g / math.sqrt(square + 0.001)
        x -= momentum
        assert float(weight.detach()) == pytest.approx(x, rel=1e-12)


def test_the_rate_of_every_epoch() -> None:
    """A.1: times 0.97 every 2.4 epochs, floor(e / 2.4) = floor(5 e / 12) times; the first five are a line from 1e-6."""
    optimizer = create_optimizer(small_network(), PAPER)
    schedule = create_scheduler(optimizer, PAPER)
    for epoch in range(450):
        schedule.step(epoch)
        warm, later = 1e-6 + epoch * (0.096 - 1e-6) / 5, 0.096 * 0.97 ** (5 * epoch // 12)
        for group in optimizer.param_groups:
            assert group["lr"] == pytest.approx(warm if epoch < 5 else later, rel=1e-12)


def test_an_image_is_cropped_mirrored_augmented_and_erased() -> None:
    from timm.data.auto_augment import RandAugment
    from timm.data.random_erasing import RandomErasing
    from timm.data.transforms import RandomResizedCropAndInterpolation
    from torchvision import transforms

    crop, mirror, randaugment, tensor, normalize, erasing = create_train_transform(PAPER, (3, 160, 160)).transforms  # type: ignore[attr-defined]
    assert isinstance(crop, RandomResizedCropAndInterpolation)
    assert (crop.size, crop.scale, crop.ratio) == ((160, 160), (0.08, 1.0), (3 / 4, 4 / 3))
    assert isinstance(mirror, transforms.RandomHorizontalFlip)
    assert mirror.p == 0.5
    assert isinstance(randaugment, RandAugment)
    assert randaugment.num_layers == 2
    assert {(op.magnitude, op.magnitude_std, op.prob) for op in randaugment.ops} == {(9, 0.5, 0.5)}
    assert torch.equal(normalize.mean, torch.tensor([0.485, 0.456, 0.406]))
    assert torch.equal(normalize.std, torch.tensor([0.229, 0.224, 0.225]))
    assert type(tensor).__name__ == "MaybeToTensor"
    assert isinstance(erasing, RandomErasing)
    assert (erasing.probability, erasing.rand_color, erasing.per_pixel, erasing.max_count) == (0.2, False, True, 1)


def test_the_average_after_three_steps() -> None:
    """d^3 w0 + (1 - d) (d^2 w1 + d w2 + w3), of weights and of batch-norm's statistics."""
    space = load_space("small_8px")
    trainer = Trainer(to_torch(space.network_graph(space.reference), seed=0), PAPER, DistributedContext())
    assert trainer.ema.decay == 0.9999
    states = [{key: value.double().clone() for key, value in trainer.network.state_dict().items()}]
    generator = torch.Generator().manual_seed(0)
    trainer.scheduler.step(5)
    for _ in range(3):
        trainer.network.train()
        batch = torch.randn(4, 1, 8, 8, generator=generator), torch.randint(0, 10, (4,), generator=generator)
        trainer.step([batch])
        states.append({key: value.double().clone() for key, value in trainer.network.state_dict().items()})
    w0, w1, w2, w3 = states
    d = 0.9999
    for key, average in trainer.ema_network.state_dict().items():
        if average.is_floating_point():
            expected = d**3 * w0[key] + (1 - d) * (d * d * w1[key] + d * w2[key] + w3[key])
            torch.testing.assert_close(average.double(), expected, rtol=1e-5, atol=1e-6, msg=key)
        else:
            assert average == 3  # batches that batch-norm has seen
    assert not torch.equal(w0["classifier.linear.weights.weight"], w3["classifier.linear.weights.weight"])


def test_a_steps_loss_has_smoothed_labels() -> None:
    """0.9 of the label's and 0.1 of all classes' mean negative log-probability."""
    space = load_space("small_8px")
    settings = PaperTrainingConfig(dropout=0, stochastic_depth=0)
    trainer = Trainer(to_torch(space.network_graph(space.reference), seed=0), settings, DistributedContext())
    trainer.network.eval()  # batch-norm as it is, so that the logits can be computed separately
    images, labels = torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(6)
    logs = -trainer.network(images).detach().log_softmax(1)
    expected = 0.9 * logs[torch.arange(6), labels] + 0.1 * logs.mean(1)
    assert float(trainer.step([(images, labels)])) == pytest.approx(float(expected.mean()), rel=1e-5)


@pytest.mark.parametrize(("processes", "batches"), [(8, 1), (4, 2), (2, 4), (1, 8)])
def test_fewer_gpus_add_up_more_gradients_to_the_papers_batch(processes: int, batches: int) -> None:
    assert PAPER.steps_per_epoch(1_281_167, processes) == StepsPerEpoch(steps=834, batches_per_step=batches)


@pytest.mark.parametrize(
    ("settings", "images", "processes", "message"),
    [
        (PAPER, 10**6, 3, "must be a multiple of 3 processes x reference.micro_batch = 192; got 1536"),
        (PAPER, 10**6, 16, "16 processes"),
        (
            PaperTrainingConfig(batch=10, micro_batch=4),
            100,
            1,
            "multiple of 1 process x reference.micro_batch = 4",
        ),
        (PAPER, 1535, 8, "reference.batch must be at most the number of train images, 1535; got 1536"),
    ],
)
def test_an_impossible_batch_is_refused(
    settings: PaperTrainingConfig, images: int, processes: int, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        settings.steps_per_epoch(images, processes)


MINIMAL_RECIPE = """title = "T"
space = "donna"
data = { name = "image_folder", held_out = 1, folder = "x" }
finetune = { epochs = 1 }
library = { networks = 5 }
"""


@pytest.mark.parametrize(
    ("reference", "error", "message"),
    [
        (
            "method = 'papr'",
            UnknownNameError,
            r"unknown reference\.method 'papr'; expected adam_cosine, .*paper",
        ),
        (
            "method = 'paper', dropuot = 0.1",
            UnknownNameError,
            r"\[reference\]: unknown key 'dropuot'; .*did you mean 'dropout'",
        ),
        (
            "method = 'paper', cosine_steps = 1",
            UnknownNameError,
            r"\[reference\]: unknown key 'cosine_steps'; expected alpha",
        ),
        (
            "epochs = 1, dropout = 0.1",
            UnknownNameError,
            r"\[reference\]: unknown key 'dropout'; expected .*cosine_steps",
        ),
        ("method = 'paper', dropout = 1.0", ConfigError, r"reference\.dropout: .*less than 1; got 1\.0"),
        ("method = 'paper', randaugment = 'auto'", ConfigError, r"reference\.randaugment: .*pattern"),
        ("batch = 3", ConfigError, r"'reference\.epochs'.*add reference\.epochs = "),
        ("method = 3", UnknownNameError, r"unknown reference\.method .*3.*; expected adam_cosine"),
    ],
)
def test_an_invalid_reference_is_reported(
    tmp_path: Path, reference: str, error: type[DonnaError], message: str
) -> None:
    path = tmp_path / "r.toml"
    path.write_text(MINIMAL_RECIPE + f"reference = {{ {reference} }}\n")
    with pytest.raises(error, match=message) as caught:
        Recipe.read(path)
    assert "paper.dropout" not in str(caught.value)


def test_each_setting_is_used() -> None:
    settings = PaperTrainingConfig(learning_rate=0.5, momentum=0.1, alpha=0.2, optimizer_eps=0.3, weight_decay=0.4)
    optimizer = create_optimizer(small_network(), settings)
    group = optimizer.param_groups[1]
    assert [group[key] for key in ("lr", "momentum", "alpha", "eps", "weight_decay")] == [0.5, 0.1, 0.2, 0.3, 0.4]
    schedule = create_scheduler(optimizer, PaperTrainingConfig(warmup_epochs=0, decay=0.5, decay_epochs=1))
    schedule.step(3)
    assert group["lr"] == 0.5**4
    *_, normalize = create_train_transform(PaperTrainingConfig(random_erasing=0), (3, 8, 8)).transforms  # type: ignore[attr-defined]
    assert type(normalize).__name__ == "Normalize"


@pytest.mark.parametrize("missing", ["timm", "torchvision"])
def test_a_missing_package_is_reported_with_its_command(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    find_spec = torchvision_compat.find_spec
    monkeypatch.setattr(torchvision_compat, "find_spec", lambda name: None if name == missing else find_spec(name))
    with pytest.raises(UnavailableError, match=f"needs the package {missing}; pip install 'donna-hw\\[timm\\]'"):
        torchvision_compat.require_torchvision("this", "timm")
