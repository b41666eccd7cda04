"""The reference network of a run, and the teacher of its whole networks."""

from __future__ import annotations

from pathlib import Path

from donna_hw.errors import ConfigError, FileFormatError
from donna_hw.graph.torch_module import GraphModule
from donna_hw.pipeline.recipe import Recipe
from donna_hw.pipeline.recipe_schema import PretrainedReferenceConfig
from donna_hw.pipeline.run import Run
from donna_hw.spaces import load_space
from donna_hw.training.large_scale.config import PaperTrainingConfig
from donna_hw.training.large_scale.distributed import read_rank_and_world_size
from donna_hw.training.large_scale.reference import train_or_load_paper_reference
from donna_hw.training.reference import TeacherFile, load_pretrained_reference, train_or_load_reference


def train_reference(run: Run) -> GraphModule:
    """Train the reference network by the recipe's method, or load it where the run's folder holds it.

    Args:
        run: An open run.

    Returns:
        The reference as a torch module.

    Raises:
        ConfigError: The method needs other images, or cannot train in several processes.
    """
    recipe, folder = run.recipe, run.folder / "reference"
    config = recipe.reference
    if isinstance(config, PretrainedReferenceConfig):
        return load_pretrained_reference(run.space, run.data, config.weights, seed=recipe.seed, folder=folder)
    if not isinstance(config, PaperTrainingConfig):
        if read_rank_and_world_size()[1] > 1 and not (folder / "reference.toml").exists():
            raise ConfigError(
                "only reference.method = 'paper' trains the reference in several processes", got=config.method
            )
        return train_or_load_reference(
            run.space, run.data, config.optim_config(), seed=recipe.seed, threads=recipe.processes, folder=folder
        )
    if recipe.data.name != "image_folder":
        raise ConfigError("reference.method = 'paper' needs data.name = 'image_folder'", got=recipe.data.name)
    return train_or_load_paper_reference(run.space, recipe.data.folder, config, seed=recipe.seed, folder=folder)


def find_teacher(run: Run) -> TeacherFile:
    """Return the network that teaches whole networks: the run's reference, or that of the recipe named as its teacher.

    Raises:
        ConfigError: The teacher was trained on other images or classes.
        FileFormatError: The teacher is not trained yet.
    """
    config = run.recipe.teacher
    if config is None:
        return TeacherFile(run.space.load_name or run.space.name, run.reference_weights)
    folder = Path(config.run) if config.run else run.folder.parent / Path(config.recipe).stem
    weights = folder / "reference" / "weights.safetensors"
    if not (folder / "recipe.toml").exists() or not weights.exists():
        raise FileFormatError(
            f"{folder} holds no trained reference of {config.recipe}, the teacher",
            hint=f"train it with donna-hw reference {config.recipe}, or name its folder by teacher.run",
        )
    recipe = Recipe.read(folder / "recipe.toml")
    space = load_space(recipe.space)
    (shape, output), (teacher_shape, teacher_output) = (
        (s.input_shape, s.network_graph(s.reference).output_shape) for s in (run.space, space)
    )
    data, teacher_data = run.recipe.data.name, recipe.data.name
    if (shape, output, data) != (teacher_shape, teacher_output, teacher_data):
        raise ConfigError(
            f"the teacher must be trained on images of {data} of {shape}, for {output[0]} classes",
            got=f"{teacher_data} of {teacher_shape}, {teacher_output[0]} classes",
            hint="name another recipe",
        )
    return TeacherFile(recipe.space, weights.resolve())
