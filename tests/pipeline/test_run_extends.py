"""Runs that take over what others trained: given weights, and another run's blocks and predictor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_run import RECIPE, Main, trained

from donna_hw import load_predictor, open_run
from donna_hw.errors import ConfigError, FileFormatError
from donna_hw.experiments.predictor_study.comparison import predict_top1
from donna_hw.experiments.predictor_study.data import load_study_data
from donna_hw.pipeline import steps
from donna_hw.pipeline.recipe import Recipe
from donna_hw.pipeline.steps.extend import count_new_blocks, extended_rows
from donna_hw.reporting.figures.run_data import NEW, load_predictor_groups
from donna_hw.spaces import load_space
from donna_hw.spaces.extend import find_new_blocks
from donna_hw.training.block_metrics import gather_qualities
from donna_hw.training.checkpoints import read_weights

OWN_SPACE = """
from dataclasses import dataclass
from functools import partial

from donna_hw import Axis, Classifier, ConvNormAct, InvertedResidual, Space, Stage, TorchLayer
from donna_hw.spaces.extend import add_cell
from torch import nn


class Flipped(nn.Module):
    def forward(self, x):
        return x.flip(3)


@dataclass(frozen=True)
class FlippedBottleneck(InvertedResidual):
    def add_spatial(self, builder, x, hidden, stride, name):
        x = TorchLayer.of(Flipped, name + "_flip").add_layers(builder, x)
        return builder.conv(x, hidden, kernel=3, stride=stride, groups=hidden, activation="relu", name=name)


def old():
    axes = (Axis("expand", (1, 2)), Axis("cell", ("depthwise", "grouped"), reference="depthwise"))
    stages = tuple(Stage(f"s{n}", axes, partial(InvertedResidual, channels=8 * n, stride=n)) for n in (1, 2))
    after = (("end", Classifier(10)),)
    return Space("old", "two stages", (1, 8, 8), (("stem", ConvNormAct(8, kernel=3)),), stages, after)


def new():
    return add_cell(old(), "flipped", FlippedBottleneck, name="new")
"""


@pytest.fixture
def recipes(tmp_path: Path) -> tuple[Path, Path]:
    """Return two recipes, the second of which extends the first."""
    (tmp_path / "spaces.py").write_text(OWN_SPACE)
    base, new = tmp_path / "base.toml", tmp_path / "new.toml"
    text = RECIPE.replace('"small_8px"', f'"{tmp_path / "spaces.py"}:old"')
    base.write_text(text.replace("networks = 5\n", "networks = 5\ntest_networks = 4\n"))
    new.write_text(
        f'title = "New cells"\nspace = "{tmp_path / "spaces.py"}:new"\n[extends]\nrecipe = "base.toml"\ntest_networks = 6\n'
    )
    return base, new


def test_only_new_blocks_are_trained_and_the_predictor_stays(
    recipes: tuple[Path, Path], tmp_path: Path, main: Main
) -> None:
    base, new = recipes
    code, out, error = main(
        "study", "transfer", new, "--out", tmp_path / "runs" / "new", "--summary", tmp_path / "page.md"
    )
    assert code == 0, error
    assert out == (tmp_path / "page.md").read_text() == (tmp_path / "runs" / "new" / "transfer.md").read_text()
    assert "By the number of new blocks" in out
    old_run, new_run = tmp_path / "runs" / "base", tmp_path / "runs" / "new"
    before, after = trained(old_run), trained(new_run)
    blocks = {name for name in before if name.startswith(("block_library/weights", "reference"))}
    assert all(after[name] == before[name] for name in blocks)
    quality = [pd.read_csv(run / "block_library" / "quality.csv") for run in (old_run, new_run)]
    pd.testing.assert_frame_equal(quality[1][: len(quality[0])], quality[0])
    assert quality[1][len(quality[0]) :]["block"].str.contains("flipped").all()
    assert len(quality[1]) == len(quality[0]) + 4
    assert (new_run / "predictor.toml").read_bytes() == (old_run / "predictor.toml").read_bytes()
    with open_run(str(new), new_run) as run:
        rows = extended_rows(run)
        assert len(rows) == 6
        counts = count_new_blocks(find_new_blocks(load_space(Recipe.read(base).space), run.space), rows)
        assert (counts > 0).all()
        tests = run.architectures.mean_top1("test")
        assert {tuple(row) for row in rows} == {run.space.row(network) for network in tests}
        predictor = load_predictor(new_run / "predictor.toml")
        data = load_study_data(run)
        predicted = predictor(gather_qualities(run.qualities(), data.groups["test"].rows))[0]
        np.testing.assert_allclose(
            predict_top1(data, "test"), predicted, rtol=1e-6
        )  # fitted anew to the same it is the same
        assert steps.fit_accuracy_predictor(run).kind == predictor.kind
        groups = load_predictor_groups(run)
        assert [group.name for group in groups] == ["fitted to, each left out", "test networks, no new blocks", NEW]
        np.testing.assert_allclose(groups[2].predicted_percent, predicted)
        assert len(groups[1].measured_percent) == 4
    again, _, _ = main("study", "transfer", new, "--out", new_run)
    assert again == 0
    assert trained(new_run) == after


@pytest.mark.long
def test_a_recipe_without_test_networks_can_be_extended(recipes: tuple[Path, Path], tmp_path: Path, main: Main) -> None:
    base, new = recipes
    base.write_text(base.read_text().replace("test_networks = 4\n", ""))
    code, out, error = main("study", "transfer", new, "--out", tmp_path / "runs" / "new")
    assert code == 0, error
    assert "without new blocks" not in out
    assert "| networks with new blocks | 6 |" in out


def test_what_cannot_be_extended_is_said(recipes: tuple[Path, Path], tmp_path: Path, main: Main) -> None:
    base, new = recipes
    with open_run(str(new), tmp_path / "runs" / "new") as run, pytest.raises(FileFormatError, match=r"no recipe\.toml"):
        steps.distill_blocks(run)
    code, _, error = main("study", "transfer", base, "--out", tmp_path / "runs" / "base")
    assert code == 2
    assert "base.toml extends no other recipe" in error
    few = tmp_path / "few.toml"
    few.write_text(new.read_text().replace("test_networks = 6", "test_networks = 2"))
    code, _, error = main("study", "transfer", few, "--out", tmp_path / "runs" / "few")
    assert code == 2
    assert "extends.test_networks of at least 3; got 2" in error
    mixed = tmp_path / "mixed.toml"
    mixed.write_text(new.read_text() + "[finetune]\nepochs = 9\n")
    with pytest.raises(ConfigError, match="inherits data, distill, finetune"):
        Recipe.read(mixed)


def test_a_pretrained_reference_is_evaluated_not_trained(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    from donna_hw.graph.torch_module import to_torch

    space = load_space("small_8px")
    network = to_torch(space.network_graph(space.reference), seed=7)
    save_file(network.state_dict(), tmp_path / "given.safetensors")
    recipe = tmp_path / "given.toml"
    weights = f'method = "pretrained"\nweights = "{tmp_path / "given.safetensors"}"'
    recipe.write_text(RECIPE.replace("epochs = 3\nbatch = 32\nlearning_rate = 0.01\n", weights + "\n", 1))
    with open_run(str(recipe), tmp_path / "run") as run:
        teacher = steps.train_reference(run)
        assert torch.equal(
            teacher.state_dict()["stem.conv.weights.weight"], network.state_dict()["stem.conv.weights.weight"]
        )
    kept = read_weights(tmp_path / "run" / "reference" / "weights.safetensors")
    assert all(torch.equal(kept[name], value) for name, value in network.state_dict().items())


@pytest.mark.parametrize(
    ("space", "weights", "said"),
    [
        ("small_8px", "", "space small_8px provides none"),
        ("small_8px", "none.safetensors", "not a readable safetensors file.*set it to a safetensors file"),
        ("small_8px", "other.safetensors", "not the weights of the reference"),
    ],
)
def test_weights_that_do_not_fit_are_said(tmp_path: Path, space: str, weights: str, said: str) -> None:
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(2)}, tmp_path / "other.safetensors")
    recipe = tmp_path / "given.toml"
    given = f'method = "pretrained"\nweights = "{tmp_path / weights if weights else ""}"'
    text = RECIPE.replace("epochs = 3\nbatch = 32\nlearning_rate = 0.01\n", given + "\n", 1)
    recipe.write_text(text.replace('"small_8px"', f'"{space}"'))
    with (
        open_run(str(recipe), tmp_path / "run") as run,
        pytest.raises((ConfigError, FileFormatError), match=said) as told,
    ):
        steps.train_reference(run)
    assert "\n" not in str(told.value)


def test_a_pretrained_reference_trains_no_network_from_scratch(tmp_path: Path) -> None:
    recipe = tmp_path / "given.toml"
    text = RECIPE.replace("epochs = 3\nbatch = 32\nlearning_rate = 0.01\n", 'method = "pretrained"\n', 1)
    recipe.write_text(text.replace("[finetune]\n", "[finetune]\nscratch_networks = 2\n"))
    with pytest.raises(ConfigError, match=r"finetune\.scratch_networks needs a reference that is trained"):
        Recipe.read(recipe)
