"""Commands of the pipeline: one for each step, from training to the report."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import click

from donna_hw.cli.options import CLUSTER, OUT, RECIPE, SEED, SUMMARY

if TYPE_CHECKING:
    from donna_hw.pipeline.run import Run

logger = logging.getLogger(__name__)


@click.command()
@RECIPE
@OUT
@SEED
def reference(recipe: str, out: Path | None, seed: int | None) -> None:
    """Train RECIPE's reference network.

    On several GPUs: torchrun --standalone --nproc-per-node 8 -m donna_hw reference RECIPE
    """
    from donna_hw.pipeline import steps
    from donna_hw.pipeline.run import open_run
    from donna_hw.reporting.text.summaries import format_reference_summary
    from donna_hw.training.large_scale.distributed import read_rank_and_world_size

    with open_run(recipe, out, seed, distributed=True) as run:
        steps.train_reference(run)
        if read_rank_and_world_size()[0] == 0:
            click.echo(format_reference_summary(run.folder / "reference"))


@click.command()
@RECIPE
@OUT
@SEED
@CLUSTER
def distill(recipe: str, out: Path | None, seed: int | None, cluster: str | None) -> None:
    """Train RECIPE's reference and distill its blocks."""
    from donna_hw.pipeline import steps
    from donna_hw.pipeline.run import open_run
    from donna_hw.reporting.text.summaries import format_blocks_summary

    with open_run(recipe, out, seed, cluster=cluster) as run:
        click.echo(format_blocks_summary(steps.distill_blocks(run)))


@click.command()
@RECIPE
@OUT
@SEED
@CLUSTER
def finetune(recipe: str, out: Path | None, seed: int | None, cluster: str | None) -> None:
    """Finetune RECIPE's Architecture Library.

    On several GPUs, after distill: torchrun --standalone --nproc-per-node 8 -m donna_hw finetune RECIPE
    """
    from donna_hw.pipeline import steps
    from donna_hw.pipeline.run import open_run
    from donna_hw.reporting.text.summaries import format_networks_summary
    from donna_hw.training.large_scale.distributed import read_rank_and_world_size

    rank, processes = read_rank_and_world_size()
    with open_run(recipe, out, seed, distributed=True, cluster=cluster) as run:
        if processes == 1:  # blocks are distilled by one process, which starts its own workers
            steps.distill_blocks(run)
        library = steps.finetune_networks(run)
        if rank == 0:
            click.echo(format_networks_summary(library))


@click.command()
@RECIPE
@OUT
@SEED
@click.option("--with-front", is_flag=True, help="Fit to the verified networks of the front as well.")
def fit(recipe: str, out: Path | None, seed: int | None, *, with_front: bool) -> None:
    """Fit and evaluate RECIPE's accuracy predictor.

    Prints how well it ranks networks, compared with MACs and parameters alone.
    """
    from donna_hw.pipeline import steps
    from donna_hw.pipeline.run import open_run
    from donna_hw.reporting.summary import predictor_lines

    with open_run(recipe, out, seed) as run:
        steps.count_blocks(run)
        steps.fit_accuracy_predictor(run, with_front=with_front)
        click.echo("\n".join(predictor_lines(run)))


@click.command()
@RECIPE
@OUT
@SEED
def report(recipe: str, out: Path | None, seed: int | None) -> None:
    """Rewrite the report of a finished run."""
    from donna_hw.pipeline.run import open_run
    from donna_hw.reporting.html.page import write_report

    with open_run(recipe, out, seed) as run:
        click.echo(f"report: {write_report(run)}")


@click.command()
@RECIPE
@OUT
@SEED
@CLUSTER
@SUMMARY
def run(recipe: str, out: Path | None, seed: int | None, cluster: str | None, summary: Path | None) -> None:
    """Run all steps of RECIPE, from training to the report."""
    from donna_hw.pipeline.run import open_run

    with open_run(recipe, out, seed, cluster=cluster) as opened:
        run_and_report(opened, summary)


def run_and_report(run: Run, summary: Path | None) -> None:
    """Take a run through all its steps, write its report and summary, and show its front."""
    from donna_hw._core.files import write_atomic
    from donna_hw.pipeline.pipeline import run_pipeline
    from donna_hw.reporting.html.page import INSTALL_HINT, read_plotly_js, write_report
    from donna_hw.reporting.summary import summary_markdown
    from donna_hw.reporting.text.summaries import format_front_summary, format_verified_networks

    if not read_plotly_js():
        logger.warning("the report will hold a static picture; %s makes it interactive", INSTALL_HINT)
    front, verified = run_pipeline(run)
    text = summary_markdown(run)
    write_atomic(run.folder / "summary.md", text)
    if summary is not None:
        write_atomic(summary, text)
    path = write_report(run)
    click.echo(format_front_summary(front))
    click.echo("\n" + format_verified_networks(verified))
    click.echo(f"report: {path}")
