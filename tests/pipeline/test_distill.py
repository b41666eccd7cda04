"""Who trains a run's blocks: this machine's cores or GPUs, or a cluster's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tiny_run import RECIPE

from donna_hw.errors import UnavailableError
from donna_hw.pipeline.recipe import Recipe
from donna_hw.pipeline.run import Run
from donna_hw.pipeline.steps import distill as distilling
from donna_hw.training.executors import ProcessExecutor
from donna_hw.training.large_scale.config import PaperFinetuneConfig, PaperTrainingConfig


def run_on(folder: Path, device: str) -> Run:
    (folder / "r.toml").write_text(RECIPE)
    recipe = Recipe.read(folder / "r.toml")
    part = recipe.distill.model_copy(update={"device": device})
    return Run(recipe.model_copy(update={"distill": part}), folder, ProcessExecutor(1))


def test_a_gpu_that_is_asked_for_and_absent_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distilling, "gpus", tuple)
    with (
        pytest.raises(UnavailableError, match=r"distill\.device = 'cuda' needs a GPU"),
        distilling._open_executor(run_on(tmp_path, "cuda")),
    ):
        pass


@pytest.mark.parametrize(("device", "found"), [("auto", ("cuda:0", "cuda:1")), ("cpu", ("cpu",))])
def test_gpus_are_taken_unless_the_cpu_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str, found: tuple[str, ...]
) -> None:
    monkeypatch.setattr(distilling, "gpus", lambda: ("cuda:0", "cuda:1"))
    run = run_on(tmp_path, device)
    with distilling._open_executor(run) as (executor, devices):
        assert devices == found
        assert isinstance(executor, ProcessExecutor)
        assert executor.workers == len(found)
    config = run.recipe.distill.block_distill_config(found)
    assert (config.devices, config.group_size) == (found, 1 if device == "cpu" else 16)


def test_without_a_gpu_the_runs_own_processes_do_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distilling, "gpus", tuple)
    run = run_on(tmp_path, "auto")
    with distilling._open_executor(run) as executor_and_devices:
        assert executor_and_devices == (run.executor, ("cpu",))


@pytest.mark.parametrize("method", ["adam_cosine", "paper"])
def test_only_training_by_adam_needs_all_images_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    run, asked = run_on(tmp_path, "cpu"), []
    monkeypatch.setattr(
        "donna_hw.pipeline.steps.distill.validate_dataset_size", lambda folder, space: asked.append(folder)
    )
    parts: dict[str, object] = {"data": run.recipe.data.model_copy(update={"name": "image_folder", "folder": "images"})}
    parts["reference"] = PaperTrainingConfig(batch=8, micro_batch=8)
    if method == "paper":
        parts["finetune"] = PaperFinetuneConfig(batch=8, micro_batch=8)
    distilling.validate_images(replace(run, recipe=run.recipe.model_copy(update=parts)))
    assert asked == ([] if method == "paper" else ["images"])
