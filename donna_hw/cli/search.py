"""The command that searches: `donna-hw search`."""

from __future__ import annotations

import re
from pathlib import Path

import click

from donna_hw.cli.options import FILE, FOLDER, SEARCH_METHODS, SPACE


@click.command()
@SPACE
@click.option("--accuracy-from", required=True, type=FOLDER, help="Folder of the run that predicts accuracies.")
@click.option(
    "--cost",
    "costs",
    multiple=True,
    required=True,
    help="NAME, 'max(NAME,NAME)' or '0.7*NAME+0.3*NAME', where NAME is [METRIC@]DEVICE[/VARIANT] or measured@DEVICE; "
    "repeat it for several costs.",
)
@click.option(
    "--constraint",
    "constraints",
    metavar="COST<=VALUE",
    multiple=True,
    help='Upper bound of any cost, such as "latency@v100<=20ms"; repeat it for several.',
)
@click.option("--separate-fronts", is_flag=True, help="Search a front for each cost alone, in a file named after it.")
@click.option(
    "--quantile",
    type=click.FloatRange(0.5, 1, min_open=True, max_open=True),
    help="Compare costs by this quantile of their prediction instead of the mean.",
)
@click.option(
    "--max-overlap",
    type=click.FloatRange(0, 1, max_open=True),
    help="Share of equal blocks that two networks of the front may have at most.",
)
@click.option(
    "--method",
    type=click.Choice(SEARCH_METHODS),
    default="auto",
    show_default=True,
    help="auto: exact where costs are sums over blocks, else nsga2.",
)
@click.option("--tables", type=FOLDER, help="Folder of latency tables; the run's and the shipped ones come after it.")
@click.option("--samples", type=click.IntRange(4), default=2500, show_default=True, help="Networks to evaluate.")
@click.option("--population", type=click.IntRange(4), default=50, show_default=True, help="Networks of a generation.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the search.")
@click.option("--output", type=FILE, help="Write the front to this CSV.")
@click.option(
    "--verify-networks",
    metavar="N",
    type=click.IntRange(4),
    help="Measure N networks of the front, correct the first cost and search again, until the front is stable.",
)
@click.option(
    "--verify-rounds", type=click.IntRange(1), default=5, show_default=True, help="Rounds of verification at most."
)
def search(
    *,
    space: str,
    accuracy_from: Path,
    costs: tuple[str, ...],
    constraints: tuple[str, ...],
    separate_fronts: bool,
    quantile: float | None,
    max_overlap: float | None,
    method: str,
    tables: Path | None,
    samples: int,
    population: int,
    seed: int,
    output: Path | None,
    verify_networks: int | None,
    verify_rounds: int,
) -> None:
    """Search SPACE for the best networks at every cost.

    Accuracies are predicted by the blocks and the predictor of a finished run.
    """
    from donna_hw._core.csv_files import write_csv
    from donna_hw.reporting.text.summaries import format_front_summary, format_verification_summary
    from donna_hw.search.api import SearchRequest, SearchSettings, run_search, run_verified_search
    from donna_hw.search.verification_loop import VerificationConfig

    settings = SearchSettings(method, samples, population, seed, quantile, max_overlap)
    for group in [(cost,) for cost in costs] if separate_fronts else [costs]:
        request = SearchRequest(space, accuracy_from, group, constraints, tables, settings)
        if verify_networks is None:
            front = run_search(request)
        else:
            verification = run_verified_search(request, VerificationConfig(verify_networks, verify_rounds))
            front = verification.front
            click.echo(format_verification_summary(verification))
        if output is not None:
            path = path_for_cost(output, group[0]) if separate_fronts else output
            write_csv(path, front.to_frame())
        click.echo(format_front_summary(front))


def path_for_cost(path: Path, cost: str) -> Path:
    """Return the file of one cost: `front-latency@v100.csv` for `front.csv`."""
    return path.with_name(f"{path.stem}-{re.sub(r'[^A-Za-z0-9@._-]+', '-', cost).strip('-')}{path.suffix}")
