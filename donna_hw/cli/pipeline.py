"""Commands of the pipeline: one a step, from training to the report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from donna_hw.cli.verifying import plan_of, verifying

if TYPE_CHECKING:
    from donna_hw.run import Run

RECIPE = click.argument("recipe")
OUT = click.option("--out", type=click.Path(path_type=Path), help="The run's folder; by default runs/<recipe>.")
SEED = click.option(
    "--seed", type=click.IntRange(0), help="Replaces the recipe's seed; the run's folder is then its own."
)


@click.command()
@RECIPE
@OUT
@SEED
def reference(recipe: str, out: Path | None, seed: int | None) -> None:
    """Train RECIPE's reference network alone.

    On several GPUs: torchrun --standalone --nproc-per-node 8 -m donna_hw reference RECIPE
    """
    from donna_hw.run import open_run
    from donna_hw.show.summaries import summary_of_reference
    from donna_hw.training.processes import launched

    with open_run(recipe, out, seed, jointly=True) as run:
        run.reference()
        if launched()[0] == 0:
            click.echo(summary_of_reference(run.folder / "reference"))


@click.command()
@RECIPE
@OUT
@SEED
def distill(recipe: str, out: Path | None, seed: int | None) -> None:
    """Train RECIPE's reference and distil its blocks."""
    from donna_hw.run import open_run
    from donna_hw.show.summaries import summary_of_blocks

    with open_run(recipe, out, seed) as run:
        click.echo(summary_of_blocks(run.distil()))


@click.command()
@RECIPE
@OUT
@SEED
def finetune(recipe: str, out: Path | None, seed: int | None) -> None:
    """Finetune RECIPE's Architecture Library."""
    from donna_hw.run import open_run
    from donna_hw.show.summaries import summary_of_networks

    with open_run(recipe, out, seed) as run:
        run.distil()
        click.echo(summary_of_networks(run.finetune()))


@click.command()
@RECIPE
@OUT
@SEED
def fit(recipe: str, out: Path | None, seed: int | None) -> None:
    """Fit RECIPE's accuracy predictor and judge it.

    Prints how well it orders networks, beside MACs and parameters alone.
    """
    from donna_hw.report.summary import predictor_lines
    from donna_hw.run import open_run

    with open_run(recipe, out, seed) as run:
        run.count()
        run.fit()
        click.echo("\n".join(predictor_lines(run)))


@click.command()
@click.argument("space")
@click.option("--accuracy-from", "run_folder", required=True, type=click.Path(path_type=Path), help="A run's folder.")
@click.option(
    "--cost", "costs", multiple=True, required=True, help="DEVICE, DEVICE/VARIANT, or measured@DEVICE; once for each."
)
@click.option("--max", "limits", multiple=True, help="A limit with its unit, such as onnxruntime_cpu=0.2ms.")
@click.option(
    "--tables", type=click.Path(path_type=Path), help="Folder of latency tables; the run's, then shipped ones."
)
@click.option("--samples", type=click.IntRange(4), default=2500, show_default=True, help="Networks to look at.")
@click.option("--population", type=click.IntRange(4), default=50, show_default=True, help="Networks in a generation.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="Write the front to this CSV.")
@verifying
def search(
    *,
    space: str,
    run_folder: Path,
    costs: tuple[str, ...],
    limits: tuple[str, ...],
    tables: Path | None,
    samples: int,
    population: int,
    seed: int,
    out: Path | None,
    verify: int | None,
    rounds: int,
) -> None:
    """Search SPACE for the best networks at every cost.

    Accuracies are predicted from the blocks and the predictor of a finished run.
    """
    from donna_hw.search.command import search_space, verify_space
    from donna_hw.show.standing import summary_of_standing
    from donna_hw.show.summaries import summary_of_front

    asked, plan = (space, run_folder, costs, limits), plan_of(verify, rounds)
    if plan is None:
        front = search_space(*asked, tables=tables, samples=samples, population=population, seed=seed)
    else:
        standing = verify_space(*asked, plan=plan, tables=tables, samples=samples, population=population, seed=seed)
        front = standing.front
        click.echo(summary_of_standing(standing))
    if out is not None:
        from donna_hw.files import write_atomic

        write_atomic(out, front.frame().to_csv(index=False, lineterminator="\n"))
    click.echo(summary_of_front(front))


@click.command()
@RECIPE
@OUT
@SEED
def report(recipe: str, out: Path | None, seed: int | None) -> None:
    """Write the report of a finished run again."""
    from donna_hw.report.page import write_report
    from donna_hw.run import open_run

    with open_run(recipe, out, seed) as run:
        click.echo(f"report: {write_report(run)}")


@click.command()
@RECIPE
@OUT
@SEED
@click.option(
    "--summary", type=click.Path(path_type=Path), help="Also write the summary of results to this Markdown file."
)
def run(recipe: str, out: Path | None, seed: int | None, summary: Path | None) -> None:
    """Run RECIPE whole, from training to the report."""
    from donna_hw.run import open_run

    with open_run(recipe, out, seed) as opened:
        _run_whole(opened, summary)


def _run_whole(run: Run, summary: Path | None) -> None:
    from donna_hw.files import write_atomic
    from donna_hw.report.page import write_report
    from donna_hw.report.summary import summary_markdown
    from donna_hw.show.summaries import summary_of_front, summary_of_verified
    from donna_hw.verify import check_latency, check_predictor, verify

    run.preflight()
    run.distil()
    run.profile()
    run.count()
    run.finetune()
    run.fit()
    front = run.search()
    check_predictor(run)
    check_latency(run)
    verified = verify(run, front)
    text = summary_markdown(run)
    write_atomic(run.folder / "summary.md", text)
    if summary is not None:
        write_atomic(summary, text)
    path = write_report(run)
    run.forget_lessons()
    click.echo(summary_of_front(front))
    click.echo("\n" + summary_of_verified(verified))
    click.echo(f"report: {path}")


COMMANDS = (reference, distill, finetune, fit, search, report, run)
