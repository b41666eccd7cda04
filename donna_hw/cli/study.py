"""Commands that repeat the paper's studies: `donna-hw study`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from donna_hw.cli.options import CLUSTER, FOLDER, OUT, RECIPE, SEED, SUMMARY
from donna_hw.cli.run import run_and_report
from donna_hw.cli.shell_completion import complete_recipes

if TYPE_CHECKING:
    from donna_hw.pipeline.run import Run


@click.group()
def study() -> None:
    """Evaluate predictor, front, transfer, INT8 and detection.

    Every study first trains and measures what is missing, and shows its results as a page of Markdown.
    """


@study.command()
@click.argument("recipes", metavar="RECIPE...", nargs=-1, required=True, shell_complete=complete_recipes)
@click.option(
    "--runs", type=FOLDER, default=Path("runs"), show_default=True, help="Folder that holds each recipe's run."
)
@click.option(
    "--draws",
    type=click.IntRange(2),
    default=20,
    show_default=True,
    help="Random subsets of the library for each size.",
)
@CLUSTER
@SUMMARY
def predictor(recipes: tuple[str, ...], runs: Path, draws: int, cluster: str | None, summary: Path | None) -> None:
    """Compare the accuracy predictor with its rivals (tables 4 to 8).

    Writes study.md into each run's folder. For several recipes, table 7 is shown, which compares their spaces.
    """
    from donna_hw._core.files import write_atomic
    from donna_hw.experiments.predictor_study.data import load_study_data
    from donna_hw.experiments.predictor_study.markdown import study_markdown, validate_test_networks
    from donna_hw.experiments.predictor_study.spaces_markdown import spaces_markdown
    from donna_hw.pipeline import steps
    from donna_hw.pipeline.recipe import find_recipe
    from donna_hw.pipeline.run import open_run

    pages, data = [], []
    for recipe in recipes:
        with open_run(recipe, runs / find_recipe(recipe).stem, cluster=cluster) as run:
            validate_test_networks(run.recipe)
            steps.distill_blocks(run)
            steps.finetune_networks(run)
            steps.fit_accuracy_predictor(run)
            pages.append(study_markdown(run, draws))
            data.append(load_study_data(run))
            write_atomic(run.folder / "study.md", pages[-1])
    page = pages[0] if len(data) == 1 else spaces_markdown(data, " ".join(["donna-hw study predictor", *recipes]))
    _show_page(page, summary)


@study.command()
@RECIPE
@OUT
@SEED
@CLUSTER
@SUMMARY
def front(recipe: str, out: Path | None, seed: int | None, cluster: str | None, summary: Path | None) -> None:
    """Compare the front with random and scaled networks.

    All have equal measured latency and are finetuned alike. Writes front_benchmark.csv and front_benchmark.md into the run's folder.
    """
    from donna_hw._core.files import write_atomic
    from donna_hw.experiments.front_benchmark.benchmark import run_front_benchmark
    from donna_hw.experiments.front_benchmark.markdown import front_benchmark_markdown
    from donna_hw.pipeline import steps
    from donna_hw.pipeline.run import open_run

    with open_run(recipe, out, seed, cluster=cluster) as run:
        steps.validate_run(run)
        steps.distill_blocks(run)
        steps.profile_blocks(run)
        steps.finetune_networks(run)
        steps.fit_accuracy_predictor(run)
        page = front_benchmark_markdown(run, run_front_benchmark(run))
        write_atomic(run.folder / "front_benchmark.md", page)
    _show_page(page, summary)


@study.command()
@RECIPE
@OUT
@CLUSTER
@SUMMARY
def transfer(recipe: str, out: Path | None, cluster: str | None, summary: Path | None) -> None:
    """Evaluate an unchanged predictor on new blocks.

    RECIPE extends another recipe by these blocks. Writes transfer.md into the run's folder.
    """
    from donna_hw.experiments.transfer import transfer_markdown

    _show_page(_extend_run(recipe, out, cluster, filename="transfer.md", write_page=transfer_markdown), summary)


@study.command()
@RECIPE
@OUT
@CLUSTER
@SUMMARY
def int8(recipe: str, out: Path | None, cluster: str | None, summary: Path | None) -> None:
    """Quantize networks; evaluate an unchanged predictor on them.

    RECIPE extends another recipe by INT8. Writes int8.md into the run's folder.
    """
    from donna_hw.experiments.int8.markdown import int8_markdown, validate_int8

    page = _extend_run(recipe, out, cluster, filename="int8.md", write_page=int8_markdown, validate=validate_int8)
    _show_page(page, summary)


@study.command()
@RECIPE
@OUT
@SUMMARY
def detection(recipe: str, out: Path | None, summary: Path | None) -> None:
    """Train detectors on the backbones of a detection recipe.

    Compares their precision with the backbones' top-1. Writes detectors.csv and detection.md into the run's folder.
    """
    from donna_hw._core.files import write_atomic
    from donna_hw.experiments.detection.markdown import detection_markdown
    from donna_hw.experiments.detection.run import open_detection
    from donna_hw.pipeline.run import open_run

    with open_detection(recipe, out) as run:
        run.validate()
        if not (run.base / "verified.csv").exists():
            with open_run(str(run.recipe.base_path(run.path)), run.base) as base:
                run_and_report(base, None)
        run.train()
        page = detection_markdown(run)
        write_atomic(run.folder / "detection.md", page)
    _show_page(page, summary)


def _extend_run(
    recipe: str,
    out: Path | None,
    cluster: str | None,
    *,
    filename: str,
    write_page: Callable[[Run], str],
    validate: Callable[[Run], None] = lambda run: None,
) -> str:
    """Take the run that a recipe extends, then its own run, as far as the page needs; write the page and return it."""
    from donna_hw._core.files import write_atomic
    from donna_hw.experiments.transfer import validate_transfer
    from donna_hw.pipeline import steps
    from donna_hw.pipeline.recipe import find_recipe
    from donna_hw.pipeline.run import open_run
    from donna_hw.pipeline.steps.extend import base_folder, extended_recipe_path

    with open_run(recipe, out, cluster=cluster) as run:
        base, folder = extended_recipe_path(run, find_recipe(recipe)), base_folder(run)
        validate_transfer(run)
        validate(run)
    with open_run(str(base), folder, cluster=cluster) as run:
        steps.distill_blocks(run)
        steps.finetune_networks(run)
        steps.fit_accuracy_predictor(run)
    with open_run(recipe, out, cluster=cluster) as run:
        steps.distill_blocks(run)
        steps.finetune_networks(run)
        page = write_page(run)
        write_atomic(run.folder / filename, page)
    return page


def _show_page(page: str, summary: Path | None) -> None:
    """Print a page of Markdown, and write it where `--summary` asks for it."""
    from donna_hw._core.files import write_atomic

    if summary is not None:
        write_atomic(summary, page)
    click.echo(page, nl=False)
