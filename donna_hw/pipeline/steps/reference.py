"""The reference network of a run."""

from __future__ import annotations

from pathlib import Path

from donna_hw.errors import ConfigError, FileFormatError
from donna_hw.graph.torch_module import GraphModule
from donna_hw.pipeline.recipe import Recipe
from donna_hw.pipeline.recipe_schema import PretrainedReferenceConfig
from donna_hw.pipeline.run_directory import RunFolder
from donna_hw.spaces import load_space
from donna_hw.training.large_scale.config import PaperTrainingConfig
from donna_hw.training.large_scale.distributed import read_rank_and_world_size
from donna_hw.training.large_scale.reference import train_or_load_paper_reference
from donna_hw.training.reference import TeacherFile, load_pretrained_reference, train_or_load_reference


def load_or_train_reference(run: RunFolder) -> GraphModule:
    """Return the reference network, trained as the recipe says, or read back from the run's folder."""
    recipe, folder = run.recipe, run.folder / "reference"
    part = recipe.reference
    if isinstance(part, PretrainedReferenceConfig):
        return load_pretrained_reference(run.space, run.data, part.weights, seed=recipe.seed, folder=folder)
    if not isinstance(part, PaperTrainingConfig):
        if read_rank_and_world_size()[1] > 1 and not (folder / "reference.toml").exists():
            raise ConfigError("only reference.method = 'paper' trains in several processes", got=part.method)
        return train_or_load_reference(
            run.space, run.data, part.optim_config(), seed=recipe.seed, threads=recipe.processes, folder=folder
        )
    if recipe.data.name != "image_folder":
        raise ConfigError(
            "reference.method = 'paper' trains on a folder of images: data.name must be 'image_folder'",
            got=recipe.data.name,
        )
    return train_or_load_paper_reference(run.space, recipe.data.folder, part, seed=recipe.seed, folder=folder)


def find_teacher(run: RunFolder) -> TeacherFile:
    """Return the network that teaches whole networks: the run's reference, or that of the recipe that it names as its teacher.

    Raises `ConfigError` for one of other images or classes, `FileFormatError` where that one is not trained yet.
    """
    part = run.recipe.teacher
    if part is None:
        return TeacherFile(run.space.load_name or run.space.name, run.folder / "reference" / "weights.safetensors")
    folder = Path(part.run) if part.run else run.folder.parent / Path(part.recipe).stem
    weights = folder / "reference" / "weights.safetensors"
    if not (folder / "recipe.toml").exists() or not weights.exists():
        raise FileFormatError(
            f"{folder} must hold the trained reference of {part.recipe}, the teacher",
            got="none",
            hint=f"donna-hw reference {part.recipe}; or name its folder: teacher.run",
        )
    other = Recipe.read(folder / "recipe.toml")
    space = load_space(other.space)
    mine, its = ((s.input_shape, s.network_graph(s.reference).output_shape) for s in (run.space, space))
    if mine != its or other.data.name != run.recipe.data.name:
        rule = f"a teacher must be trained on images of {run.recipe.data.name} of {mine[0]}, for {mine[1][0]} classes"
        raise ConfigError(rule, got=f"{other.data.name}, {its[0]}, {its[1][0]} classes", hint="name another recipe")
    return TeacherFile(other.space, weights.resolve())
