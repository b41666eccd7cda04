"""A vision transformer's run: its blocks are distilled from it, its networks taught by a convolutional network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_run import RECIPE, Main

from donna_hw import open_run
from donna_hw.errors import ConfigError, FileFormatError
from donna_hw.pipeline import steps
from donna_hw.pipeline.steps.reference import find_teacher
from donna_hw.training.loop import compute_outputs

VIT = RECIPE.replace('"small_8px"', '"small_vit_8px"')
TEACHER = '\n[teacher]\nrecipe = "cnn.toml"\n'


@pytest.fixture
def recipes(tmp_path: Path) -> tuple[Path, Path]:
    """Return the recipes of a convolutional network and of a transformer that it teaches."""
    cnn, vit = tmp_path / "cnn.toml", tmp_path / "vit.toml"
    cnn.write_text(RECIPE)
    vit.write_text(VIT + TEACHER)
    return cnn, vit


def test_another_network_teaches_and_its_own_reference_gives_the_blocks(
    recipes: tuple[Path, Path], tmp_path: Path, main: Main
) -> None:
    cnn, vit = recipes
    runs = tmp_path / "runs"
    assert main("reference", cnn, "--out", runs / "cnn")[0] == 0
    code, _, error = main("finetune", vit, "--out", runs / "vit")
    assert code == 0, error
    with open_run(str(vit), runs / "vit") as run:
        qualities = run.blocks.qualities("nsr")
        assert [len(values) for values in qualities] == [27] * 4
        assert all(np.isfinite(values).all() for values in qualities)
        assert len(run.architectures.mean_top1("library")) == 5
        taught = find_teacher(run)
        assert taught.space == "small_8px"
        images, logits = (
            np.load(runs / "vit" / "distill_batches" / "seed3" / f"epoch0{end}.npy") for end in ("", "-logits")
        )
        import torch

        pixels = torch.from_numpy(images).permute(0, 3, 1, 2)
        np.testing.assert_allclose(compute_outputs(taught.module(), pixels).numpy(), logits, atol=1e-4)
        assert steps.fit_accuracy_predictor(run).kind == "joint"


def test_a_teacher_that_is_not_there_or_of_other_images_is_said(recipes: tuple[Path, Path], tmp_path: Path) -> None:
    _, vit = recipes
    with (
        open_run(str(vit), tmp_path / "runs" / "vit") as run,
        pytest.raises(FileFormatError, match=r"donna-hw reference cnn\.toml"),
    ):
        steps.validate_run(run)
    from donna_hw._core.files import write_atomic
    from donna_hw.pipeline.recipe import Recipe, save_recipe

    other = tmp_path / "other.toml"
    other.write_text(RECIPE.replace('"small_8px"', '"small_8px@16px"'))
    save_recipe(Recipe.read(other), tmp_path / "runs" / "cnn")
    write_atomic(tmp_path / "runs" / "cnn" / "reference" / "weights.safetensors", b"anything")
    with (
        open_run(str(vit), tmp_path / "runs" / "vit") as run,
        pytest.raises(ConfigError, match="the teacher must be trained on images"),
    ):
        steps.validate_run(run)
