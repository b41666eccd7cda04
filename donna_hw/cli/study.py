"""Commands that judge a method: the study of a predictor, and the proof of a front."""

from __future__ import annotations

from pathlib import Path

import click

from donna_hw.cli import completion as completing
from donna_hw.cli.run import CLUSTER, OUT, RECIPE, SEED

SUMMARY = click.option("--summary", type=click.Path(path_type=Path), help="Also write the page to this Markdown file.")


@click.command()
@click.argument("recipes", nargs=-1, required=True, shell_complete=completing.recipes)
@click.option(
    "--runs",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="The folder that holds each recipe's run.",
)
@click.option("--draws", type=click.IntRange(2), default=20, show_default=True, help="Parts of the library by size.")
@CLUSTER
@SUMMARY
def study_predictor(
    recipes: tuple[str, ...], runs: Path, draws: int, cluster: str | None, summary: Path | None
) -> None:
    """Judge the predictors of RECIPES beside their rivals, as the paper's tables 4 to 8 do.

    Trains what is missing first; writes study.md into each run's folder. Of several recipes table 7 is shown, which compares them.
    """
    from donna_hw._core.files import write_atomic
    from donna_hw.experiments.predictor_study.data import load_study_data
    from donna_hw.experiments.predictor_study.markdown import study_markdown, validate_test_networks
    from donna_hw.experiments.predictor_study.spaces_markdown import spaces_markdown
    from donna_hw.pipeline import steps
    from donna_hw.pipeline.recipe import find_recipe
    from donna_hw.pipeline.run import open_run

    pages, found = [], []
    for recipe in recipes:
        with open_run(recipe, runs / find_recipe(recipe).stem, cluster=cluster) as run:
            validate_test_networks(run.recipe)
            steps.distill_blocks(run)
            steps.finetune_networks(run)
            steps.fit_accuracy_predictor(run)
            pages.append(study_markdown(run, draws))
            found.append(load_study_data(run))
            write_atomic(run.folder / "study.md", pages[-1])
    text = pages[0] if len(found) == 1 else spaces_markdown(found, " ".join(["donna-hw study", *recipes]))
    if summary is not None:
        write_atomic(summary, text)
    click.echo(text, nl=False)


@click.command()
@RECIPE
@OUT
@SEED
@CLUSTER
@SUMMARY
def study_front(recipe: str, out: Path | None, seed: int | None, cluster: str | None, summary: Path | None) -> None:
    """Prove RECIPE's front: beside random networks and scaled references of equal measured latency, all finetuned alike.

    Runs what is missing first; writes front_benchmark.csv and front_benchmark.md into the run's folder.
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
        text = front_benchmark_markdown(run, run_front_benchmark(run))
        write_atomic(run.folder / "front_benchmark.md", text)
    if summary is not None:
        write_atomic(summary, text)
    click.echo(text, nl=False)


COMMANDS = (study_predictor, study_front)
