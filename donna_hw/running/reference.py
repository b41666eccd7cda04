"""The reference network of a run."""

from __future__ import annotations

from donna_hw.blocks.torch_module import GraphModule
from donna_hw.distillation.reference import given_reference, trained_reference
from donna_hw.errors import BadSetting
from donna_hw.recipe import GivenPart
from donna_hw.running.folder import RunFolder
from donna_hw.training.paper import paper_reference
from donna_hw.training.processes import launched
from donna_hw.training.settings import PaperTraining


def reference(run: RunFolder) -> GraphModule:
    """Return the reference network, trained as the recipe says, or read back from the run's folder."""
    recipe, folder = run.recipe, run.folder / "reference"
    part = recipe.reference
    if isinstance(part, GivenPart):
        return given_reference(run.space, run.data, part.weights, seed=recipe.seed, folder=folder)
    if not isinstance(part, PaperTraining):
        if launched()[1] > 1 and not (folder / "reference.toml").exists():
            raise BadSetting("only reference.method = 'paper' trains in several processes", found=part.method)
        return trained_reference(
            run.space, run.data, part.fit(), seed=recipe.seed, threads=recipe.processes, folder=folder
        )
    if recipe.data.name != "image_folder":
        raise BadSetting(
            "reference.method = 'paper' trains on a folder of images: data.name must be 'image_folder'",
            found=recipe.data.name,
        )
    return paper_reference(run.space, recipe.data.folder, part, seed=recipe.seed, folder=folder)
