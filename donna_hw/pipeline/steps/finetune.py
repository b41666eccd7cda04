"""The trainings of whole networks that a recipe wants: by which method, from what, by which seeds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from donna_hw._core.files import write_atomic
from donna_hw.errors import ConfigError
from donna_hw.pipeline.recipe_schema import FinetuneStepConfig, PretrainedReferenceConfig
from donna_hw.pipeline.run_directory import RunFolder
from donna_hw.pipeline.steps.reference import find_teacher
from donna_hw.spaces.space import Rows
from donna_hw.training.executors import Executor
from donna_hw.training.finetuning.finetune import FinetuneConfig, Initialization, finetune
from donna_hw.training.finetuning.targets import save_distill_batches, save_images
from donna_hw.training.large_scale.config import PaperTrainingConfig
from donna_hw.training.large_scale.distributed import read_rank_and_world_size
from donna_hw.training.large_scale.finetune import TrainingData, TrainingSetup, finetune_as_paper
from donna_hw.training.libraries import SEPARATE_ROLES
from donna_hw.training.ray_executor import RayExecutor, prefer_gpu


def train_networks(run: RunFolder, rows: Rows, role: str, seeds: int | None = None) -> None:
    """Train networks, int [n, stages], by each of the recipe's seeds, or so many, by which the Architecture Library holds them not yet.

    Those of the roles `SEPARATE_ROLES` are trained by the recipe's own seed only: `scratch` as the reference is, `long` as all others are but on
    all images, and each for its own number of epochs.
    """
    if not len(rows):
        return
    recipe, networks = run.recipe, run.networks(rows)
    how = training_config(run, role)
    repeats = 1 if role in SEPARATE_ROLES else seeds or recipe.finetune.repeats
    for seed in range(recipe.seed, recipe.seed + repeats):
        if all((network, seed) in run.architectures.recorded_networks(role) for network in networks):
            continue
        if isinstance(how, FinetuneConfig):
            start = _initialization(run, role, how, seed)
            finetune(run.architectures, networks, role, start, how, seed=seed, pool=run.pool)
        else:
            with _hosts(run) as hosts:
                finetune_as_paper(_trainings(run, role, how, seed), networks, hosts)


def validate_trainings(run: RunFolder) -> None:
    """Raise, before the first training, what a later one would raise of its method or its teacher."""
    find_teacher(run)
    for role in ("library", *SEPARATE_ROLES) if run.recipe.finetune.scratch_networks else ("library",):
        training_config(run, role)


def training_config(run: RunFolder, role: str) -> FinetuneConfig | PaperTrainingConfig:
    """Return how networks of a role are trained; raises `ConfigError` for a method that cannot be, here."""
    recipe = run.recipe
    part = recipe.reference if role == "scratch" else recipe.finetune
    assert not isinstance(part, PretrainedReferenceConfig)  # noqa: S101  a recipe refuses networks from scratch then
    epochs = {"scratch": recipe.scratch_epochs, "long": recipe.long_epochs}.get(role, part.epochs)
    if isinstance(part, PaperTrainingConfig):
        if recipe.data.name != "image_folder":
            raise ConfigError(
                f"{part.section}.method = 'paper' trains on a folder of images: data.name must be 'image_folder'",
                got=recipe.data.name,
            )
        return part.model_copy(update={"epochs": epochs})
    if read_rank_and_world_size()[1] > 1:
        raise ConfigError(f"only method = 'paper' trains networks of role {role} in several processes", got=part.method)
    if isinstance(part, FinetuneStepConfig):
        ekd = part.finetune_config()
        return replace(ekd, optim=replace(ekd.optim, epochs=epochs), images=0 if role in SEPARATE_ROLES else ekd.images)
    return FinetuneConfig(replace(part.optim_config(), epochs=epochs), images=0, hard_label_weight=1.0)


def _initialization(run: RunFolder, role: str, ekd: FinetuneConfig, seed: int) -> Initialization:
    """Return where networks start from, the images that they learn from prepared."""
    apart = role in SEPARATE_ROLES
    lessons = run.folder / "distill_batches" / ("images" if apart else f"seed{seed}")
    if not (lessons / "complete").exists():
        if apart:  # long trainings: their augmented images would fill the disk
            save_images(run.data, lessons)
        else:
            save_distill_batches(
                find_teacher(run).module(), run.data, ekd.optim.epochs, images=ekd.images, seed=seed, folder=lessons
            )
        write_atomic(lessons / "complete", "")
    return Initialization(
        run.blocks.folder, _weights(run), lessons, find_teacher(run), run.data.augmentation if apart else None
    )


@contextmanager
def _hosts(run: RunFolder) -> Iterator[Executor | None]:
    """Give who trains one network each: the hosts of the run's cluster, by a GPU each where there are GPUs."""
    if run.cluster is None:
        yield None
        return
    pool = RayExecutor(run.cluster, run.folder, prefer_gpu(run.cluster))
    try:
        yield pool
    finally:
        pool.close()


def _trainings(run: RunFolder, role: str, settings: PaperTrainingConfig, seed: int) -> TrainingSetup:
    data = run.recipe.data
    streams = TrainingData(
        run.blocks.folder, _weights(run), find_teacher(run), data.folder, data.held_out, run.recipe.seed
    )
    return TrainingSetup(run.architectures, role, streams, settings, seed)


def _weights(run: RunFolder) -> Path:
    """Return the file of the reference's weights."""
    return run.folder / "reference" / "weights.safetensors"
