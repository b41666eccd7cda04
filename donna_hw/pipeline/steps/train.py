"""Training of whole float32 networks: by which method, from which weights, by which seeds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from donna_hw._core.files import write_atomic
from donna_hw.errors import ConfigError
from donna_hw.pipeline.recipe_schema import FinetuneStepConfig, PretrainedReferenceConfig
from donna_hw.pipeline.run import Run
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


def train_float_networks(run: Run, rows: Rows, role: str, seeds: int | None = None) -> None:
    """Train float32 networks by each seed by which the Architecture Library does not hold them yet.

    Networks of the roles `SEPARATE_ROLES` are trained by the recipe's own seed only and for their own number of epochs: those of role
    `scratch` as the reference is, those of role `long` as all others, but on all images.

    Args:
        run: An open run.
        rows: The networks, int [n, stages].
        role: Their role in the Architecture Library.
        seeds: How many seeds; by default as many as the recipe asks for.
    """
    if not len(rows):
        return
    recipe, networks = run.recipe, run.networks(rows)
    config = training_config(run, role)
    repeats = 1 if role in SEPARATE_ROLES else seeds or recipe.finetune.repeats
    for seed in range(recipe.seed, recipe.seed + repeats):
        if all((network, seed) in run.architectures.recorded_networks(role) for network in networks):
            continue
        if isinstance(config, FinetuneConfig):
            start = _initialization(run, role, config, seed)
            finetune(run.architectures, networks, role, start, config, seed=seed, pool=run.executor)
        else:
            with _open_cluster_executor(run) as executor:
                finetune_as_paper(_training_setup(run, role, config, seed), networks, executor)


def validate_trainings(run: Run) -> None:
    """Raise, before the first training, what a later one would raise because of its method or its teacher."""
    find_teacher(run)
    for role in ("library", *SEPARATE_ROLES) if run.recipe.finetune.scratch_networks else ("library",):
        training_config(run, role)


def training_config(run: Run, role: str) -> FinetuneConfig | PaperTrainingConfig:
    """Return how networks of a role are trained; raises `ConfigError` for a method that cannot train here."""
    recipe = run.recipe
    config = recipe.reference if role == "scratch" else recipe.finetune
    assert not isinstance(config, PretrainedReferenceConfig)  # noqa: S101  a recipe refuses networks from scratch then
    epochs = {"scratch": recipe.scratch_epochs, "long": recipe.long_epochs}.get(role, config.epochs)
    if isinstance(config, PaperTrainingConfig):
        if recipe.data.name != "image_folder":
            raise ConfigError(
                f"{config.section}.method = 'paper' needs data.name = 'image_folder'", got=recipe.data.name
            )
        return config.model_copy(update={"epochs": epochs})
    if read_rank_and_world_size()[1] > 1:
        raise ConfigError(
            f"only method = 'paper' trains networks of role {role} in several processes", got=config.method
        )
    if isinstance(config, FinetuneStepConfig):
        finetuning = config.finetune_config()
        images = 0 if role in SEPARATE_ROLES else finetuning.images
        return replace(finetuning, optim=replace(finetuning.optim, epochs=epochs), images=images)
    return FinetuneConfig(replace(config.optim_config(), epochs=epochs), images=0, hard_label_weight=1.0)


def _initialization(run: Run, role: str, config: FinetuneConfig, seed: int) -> Initialization:
    """Return what networks start from, and prepare the images that they are trained on."""
    separate = role in SEPARATE_ROLES
    batches = run.folder / "distill_batches" / ("images" if separate else f"seed{seed}")
    if not (batches / "complete").exists():
        if separate:  # long trainings: their augmented images would fill the disk
            save_images(run.data, batches)
        else:
            teacher = find_teacher(run).module()
            save_distill_batches(
                teacher, run.data, config.optim.epochs, images=config.images, seed=seed, folder=batches
            )
        write_atomic(batches / "complete", "")
    augmentation = run.data.augmentation if separate else None
    return Initialization(run.blocks.folder, run.reference_weights, batches, find_teacher(run), augmentation)


@contextmanager
def _open_cluster_executor(run: Run) -> Iterator[Executor | None]:
    """Yield an executor that trains one network on each host of the run's cluster, by a GPU each where there are GPUs."""
    if run.cluster is None:
        yield None
        return
    executor = RayExecutor(run.cluster, run.folder, prefer_gpu(run.cluster))
    try:
        yield executor
    finally:
        executor.close()


def _training_setup(run: Run, role: str, config: PaperTrainingConfig, seed: int) -> TrainingSetup:
    images, teacher = run.recipe.data, find_teacher(run)
    data = TrainingData(
        run.blocks.folder, run.reference_weights, teacher, images.folder, images.held_out, run.recipe.seed
    )
    return TrainingSetup(run.architectures, role, data, config, seed)
