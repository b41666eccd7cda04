"""The Architecture Library of a run: whole networks, finetuned from the Block Library."""

from __future__ import annotations

import shutil

from donna_hw.pipeline.run import Run
from donna_hw.pipeline.sampling import extra_rows, library_rows, scratch_rows, stratified_rows
from donna_hw.pipeline.steps.extend import extended_rows
from donna_hw.pipeline.steps.quantize import train_networks
from donna_hw.pipeline.steps.train import validate_trainings
from donna_hw.training.large_scale.distributed import distributed_context
from donna_hw.training.libraries import ArchitectureLibrary


def finetune_networks(run: Run) -> ArchitectureLibrary:
    """Finetune the networks of the Architecture Library, and train some from scratch where the recipe asks for it.

    A run that extends another finetunes only networks with new blocks, which test the unchanged predictor.

    Args:
        run: An open run whose blocks are distilled; networks in its library are not trained again.

    Returns:
        The Architecture Library with all of the recipe's networks.

    Raises:
        ConfigError: The recipe's method cannot train here, or there are too few networks to choose from.
        FileFormatError: The teacher that the recipe names is not trained yet.
    """
    validate_trainings(run)
    if run.recipe.extends is not None:
        train_networks(run, extended_rows(run), "test")
        return run.architectures
    library, test = library_rows(run)
    scratch = scratch_rows(run)
    with distributed_context():  # once for all of them
        train_networks(run, library, "library")
        train_networks(run, extra_rows(run), "library", seeds=1)
        train_networks(run, test, "test")
        train_networks(run, stratified_rows(run), "stratified")
        train_networks(run, scratch, "scratch")
        if run.recipe.long_epochs:
            train_networks(run, scratch, "long")
    return run.architectures


def delete_distill_batches(run: Run) -> None:
    """Delete the prepared images of finetuning; the same ones are prepared again when a network needs them."""
    shutil.rmtree(run.folder / "distill_batches", ignore_errors=True)
