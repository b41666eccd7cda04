"""A model cut into stages: together they are the model; what cannot be cut is reported with its place."""

from __future__ import annotations

import pickle

import numpy as np
import onnxruntime
import pytest
import torch
from paths import ROOT
from torch import Tensor, nn

from donna_hw import ConvNormAct, load_space, space_from_model, suggest_boundaries
from donna_hw._core import torchvision_compat
from donna_hw._core.user_modules import load_user_module
from donna_hw.devices.backends.ptflops import PtflopsBackend
from donna_hw.errors import ConfigError, UnknownNameError
from donna_hw.graph.builder import lower
from donna_hw.graph.flops import count_module
from donna_hw.graph.graph import layers_hash
from donna_hw.graph.onnx_export import to_onnx
from donna_hw.graph.torch_module import GraphModule, to_torch
from donna_hw.spaces.from_model.candidates import default_blocks
from donna_hw.spaces.space import Space

EXAMPLE = ROOT / "examples" / "custom_model.py"


def whole(space: Space) -> GraphModule:
    """Return the space's reference with the weights that it was given."""
    network = to_torch(space.network_graph(space.reference))
    assert space.reference_weights is not None
    network.load_state_dict(space.reference_weights())
    return network.eval()


def image(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


class Skipping(nn.Module):
    """A sum that reaches over the second convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.three = (nn.Conv2d(4 if n else 1, 4, 3, 1, 1) for n in range(3))
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.one(x)
        y = self.two(x)
        out: Tensor = self.head((self.three(y) + x).mean((2, 3)))
        return out


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


class Two(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x + 1, x + 2


def test_the_parts_put_together_are_the_model() -> None:
    space = load_space(f"{EXAMPLE}:plain")
    torch.manual_seed(0)
    model = load_user_module(EXAMPLE).Plain().eval()
    x = image(3, 1, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(whole(space)(x), model(x))
    graph = space.network_graph(space.reference)
    assert graph.params == sum(weights.numel() for weights in model.parameters())
    assert graph.macs == count_module(model, (1, 8, 8)).macs


@pytest.mark.parametrize(
    ("name", "boundaries"),
    [
        ("resnet18", ["maxpool", "layer1", "layer2", "layer3", "layer4"]),
        ("mobilenetv3_small_050", ["blocks.0", "blocks.1", "blocks.2", "blocks.3"]),
        ("densenet121", ["features.transition1", "features.transition2", "features.transition3"]),
        ("convnext_atto", ["stem", "stages.0", "stages.1", "stages.2", "stages.3"]),
    ],
)
def test_models_of_timm_are_cut_at_their_modules(name: str, boundaries: list[str]) -> None:
    torchvision_compat.require_torchvision("timm's models", "timm")
    import timm

    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=5).eval()
    space = space_from_model(
        model, torch.zeros(1, 3, 64, 64), boundaries, blocks=lambda a, b: dict([*default_blocks(a, b).items()][:2])
    )
    assert len(space.stages) == len(boundaries) - 1
    x = image(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(whole(space)(x), model(x), rtol=1e-4, atol=1e-4)


def test_boundaries_suggest_themselves_where_the_size_changes() -> None:
    torchvision_compat.require_torchvision("timm's models", "timm")
    import timm

    model = timm.create_model("resnet18")
    assert suggest_boundaries(model, torch.zeros(1, 3, 64, 64)) == ["act1", "layer1", "layer2", "layer3", "layer4"]
    space = space_from_model(model, torch.zeros(1, 3, 64, 64))
    assert [space.input_shapes[stage.name][1] for stage in space.stages] == [32, 16, 8, 4]


def test_the_model_is_copied_and_left_as_it_was() -> None:
    model = Skipping().train()
    model.head.eval()
    space = space_from_model(model, torch.zeros(1, 1, 6, 6), ["one", "add"])
    assert model.training
    assert not model.head.training
    before = whole(space)(image(1, 1, 6, 6))
    with torch.no_grad():
        model.two.weight.zero_()
    torch.testing.assert_close(whole(space)(image(1, 1, 6, 6)), before)


def test_a_skip_connection_over_a_boundary_is_named() -> None:
    with pytest.raises(ConfigError, match=r"got 'one in one, which add reads'; choose among one, add"):
        space_from_model(Skipping(), torch.zeros(1, 1, 6, 6), ["two", "add"])


@pytest.mark.parametrize(
    ("model", "boundaries", "message"),
    [
        (Skipping(), ["one", "none"], "unknown boundary 'none'; expected one, add or mean"),
        (Skipping(), ["add", "one"], "in the order of the data"),
        (Skipping(), ["one", "one"], "in the order of the data"),
        (Skipping(), ["one"], "at least two boundaries"),
        (Skipping(), ["one", "head"], "boundary head must be one tensor between"),
        (Skipping(), ["x", "add"], "boundary x must be one tensor between"),
        (Skipping(), None, "maps of at least two sizes"),
        (Branching(), ["one", "two"], "torch.fx cannot trace Branching"),
        (Two(), ["one", "two"], "one input and one output"),
    ],
)
def test_what_cannot_be_cut_is_reported_in_one_line(
    model: nn.Module, boundaries: list[str] | None, message: str
) -> None:
    with pytest.raises((ConfigError, UnknownNameError), match=message) as error:
        space_from_model(model, torch.zeros(1, 1, 6, 6), boundaries)
    assert "\n" not in str(error.value)


def test_candidates_must_fit_between_the_borders() -> None:
    with pytest.raises(ConfigError, match="output of the block wide must have the shape"):
        space_from_model(
            Skipping(), torch.zeros(1, 1, 6, 6), ["one", "add"], blocks=lambda a, b: {"wide": ConvNormAct(9)}
        )
    with pytest.raises(ConfigError, match="none labeled 'original'"):
        space_from_model(
            Skipping(), torch.zeros(1, 1, 6, 6), ["one", "add"], blocks=lambda a, b: {"original": ConvNormAct(4)}
        )
    with pytest.raises(ConfigError, match="no stride of the default blocks"):
        default_blocks((4, 8, 8), (4, 4, 3))
    with pytest.raises(ConfigError, match="need maps"):
        default_blocks((4, 8, 8), (32,))


def test_stock_blocks_have_the_shape_that_they_are_asked_for() -> None:
    for size, wanted in ((8, 8), (8, 4), (7, 4), (8, 2), (9, 1)):
        blocks = default_blocks((4, size, size), (6, wanted, wanted), widths=(0.5,))
        assert len(blocks) == 2**5 + 2
        for block in blocks.values():
            assert lower(block, (4, size, size)).output_shape == (6, wanted, wanted)


def test_equal_stages_are_equal_whatever_their_weights() -> None:
    one, other = (space_from_model(Skipping(), torch.zeros(1, 1, 6, 6), ["one", "add"]) for _ in range(2))
    hashes = [layers_hash(space.network_graph(space.reference)) for space in (one, other)]
    assert hashes[0] == hashes[1]
    wider = Skipping()
    wider.three = nn.Conv2d(4, 4, 5, 1, 2)
    changed = space_from_model(wider, torch.zeros(1, 1, 6, 6), ["one", "add"])
    assert layers_hash(changed.network_graph(changed.reference)) != hashes[0]


def test_original_stages_go_to_other_processes_and_to_other_sizes() -> None:
    space = load_space(f"{EXAMPLE}:plain")
    stage = space.stages[0]
    graph = space.block_graph(stage, stage.reference)
    found = pickle.loads(pickle.dumps(graph))  # noqa: S301  written by this very test
    assert layers_hash(found) == layers_hash(graph)
    assert found.macs == graph.macs
    larger = load_space(f"{EXAMPLE}:plain@16px")
    assert larger.input_shapes["stage2"] == (16, 8, 8)
    assert to_torch(larger.network_graph(larger.reference)).eval()(image(1, 1, 16, 16)).shape == (1, 10)


def test_networks_of_original_and_default_blocks_run_and_are_counted() -> None:
    space = load_space(f"{EXAMPLE}:plain")
    for row in space.random_rows(5, 0):
        graph = space.network_graph(space.architecture(row))
        module = to_torch(graph, seed=0).eval()
        weights = {key: value.numpy() for key, value in module.state_dict().items()}
        session = onnxruntime.InferenceSession(
            to_onnx(graph, 2, weights).SerializeToString(), providers=["CPUExecutionProvider"]
        )
        x = image(2, 1, 8, 8)
        with torch.no_grad():
            np.testing.assert_allclose(session.run(None, {"input": x.numpy()})[0], module(x).numpy(), atol=1e-4)
        assert PtflopsBackend(1, {"count": "params"}).cost(graph) == sum(w.numel() for w in module.parameters())


def test_random_weights_follow_from_a_seed_and_are_not_those_of_the_model() -> None:
    space = load_space(f"{EXAMPLE}:plain")
    graph, given = space.network_graph(space.reference), whole(space)
    one, same, other = (to_torch(graph, seed).state_dict() for seed in (1, 1, 2))
    name = "stage1.original.weights.down.1.0.weight"
    assert torch.equal(one[name], same[name])
    assert not torch.equal(one[name], other[name])
    assert not torch.equal(one[name], given.state_dict()[name])
