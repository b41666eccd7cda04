"""Commands that judge an unchanged predictor on blocks that it never saw."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from donna_hw.cli.run import CLUSTER, OUT, RECIPE
from donna_hw.cli.study import SUMMARY

if TYPE_CHECKING:
    from donna_hw.pipeline.run import Run


@click.command()
@RECIPE
@OUT
@CLUSTER
@SUMMARY
def study_transfer(recipe: str, out: Path | None, cluster: str | None, summary: Path | None) -> None:
    """Judge an unchanged predictor on the new blocks of RECIPE, which extends another recipe.

    Trains what is missing first, in both runs; writes transfer.md into the run's folder.
    """
    from donna_hw.experiments.transfer import transfer_markdown

    _run_study(StudyOptions(recipe, out, cluster, summary), "transfer.md", transfer_markdown)


@click.command()
@RECIPE
@OUT
@CLUSTER
@SUMMARY
def study_int8(recipe: str, out: Path | None, cluster: str | None, summary: Path | None) -> None:
    """Quantise the blocks and networks of RECIPE, which extends another recipe by INT8, and judge the unchanged predictor on them.

    Trains what is missing first, in the other run; writes int8.md into the run's folder.
    """
    from donna_hw.experiments.int8.markdown import int8_markdown, validate_int8

    _run_study(StudyOptions(recipe, out, cluster, summary), "int8.md", int8_markdown, validate_int8)


class StudyOptions(NamedTuple):
    """What a user asked for."""

    recipe: str
    out: Path | None
    cluster: str | None
    summary: Path | None


def _run_study(
    asked: StudyOptions, name: str, write: Callable[[Run], str], check: Callable[[Run], None] = lambda run: None
) -> None:
    """Bring the run that a recipe extends, then its own, as far as its page needs, and write and show that."""
    from donna_hw._core.files import write_atomic
    from donna_hw.experiments.transfer import validate_transfer
    from donna_hw.pipeline import steps
    from donna_hw.pipeline.recipe import find_recipe
    from donna_hw.pipeline.run import open_run
    from donna_hw.pipeline.steps.extend import base_folder, extended_recipe_path

    with open_run(asked.recipe, asked.out, cluster=asked.cluster) as run:
        base, folder = extended_recipe_path(run, find_recipe(asked.recipe)), base_folder(run)
        validate_transfer(run)
        check(run)
    with open_run(str(base), folder, cluster=asked.cluster) as run:
        steps.distill_blocks(run)
        steps.finetune_networks(run)
        steps.fit_accuracy_predictor(run)
    with open_run(asked.recipe, asked.out, cluster=asked.cluster) as run:
        steps.distill_blocks(run)
        steps.finetune_networks(run)
        text = write(run)
        write_atomic(run.folder / name, text)
    if asked.summary is not None:
        write_atomic(asked.summary, text)
    click.echo(text, nl=False)


COMMANDS = (study_transfer, study_int8)
