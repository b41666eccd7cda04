"""The command that searches: `donna-hw search`."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from donna_hw.cli import completion as completing

if TYPE_CHECKING:
    from donna_hw.search.verification_loop import VerificationConfig

VERIFY = click.option(
    "--verify",
    type=click.IntRange(4),
    help="Measure so many networks of the front whole, correct the first cost, search again, until the front stands.",
)
ROUNDS = click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, help="Of --verify, at most.")


def verification_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options `verify` and `rounds`."""
    return VERIFY(ROUNDS(command))


def build_verification_config(verify: int | None, rounds: int) -> VerificationConfig | None:
    """Return what the options ask for, None for no verification."""
    from donna_hw.search.verification_loop import VerificationConfig

    return None if verify is None else VerificationConfig(verify, rounds)


METHODS = ("auto", "exact", "nsga2", "random")


@click.command()
@click.argument("space", shell_complete=completing.spaces)
@click.option("--accuracy-from", "run_folder", required=True, type=click.Path(path_type=Path), help="A run's folder.")
@click.option(
    "--cost",
    "costs",
    multiple=True,
    required=True,
    help="NAME, 'max(NAME,NAME)' or '0.7*NAME+0.3*NAME'; NAME is [QUANTITY@]DEVICE[/VARIANT], or measured@DEVICE. Once for each.",
)
@click.option(
    "--max", "limits", multiple=True, help="COST=VALUE with its unit, such as latency@v100=20ms. On any cost."
)
@click.option("--each", is_flag=True, help="A front for each cost alone; --out is then named after each.")
@click.option(
    "--robust", type=click.FloatRange(0.5, 1, min_open=True, max_open=True), help="Judge costs by this quantile."
)
@click.option(
    "--diverse", type=click.FloatRange(0, 1, max_open=True), help="At most this share of equal blocks in two."
)
@click.option(
    "--method",
    type=click.Choice(METHODS),
    default="auto",
    show_default=True,
    help="auto: exact where costs are sums, else nsga2.",
)
@click.option(
    "--tables", type=click.Path(path_type=Path), help="Folder of latency tables; the run's, then shipped ones."
)
@click.option("--samples", type=click.IntRange(4), default=2500, show_default=True, help="Networks to look at.")
@click.option("--population", type=click.IntRange(4), default=50, show_default=True, help="Networks in a generation.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="Write the front to this CSV.")
@verification_options
def search(
    *,
    space: str,
    run_folder: Path,
    costs: tuple[str, ...],
    limits: tuple[str, ...],
    each: bool,
    robust: float | None,
    diverse: float | None,
    method: str,
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
    from donna_hw._core.csv_files import write_csv
    from donna_hw.reporting.text.summaries import format_front_summary, format_verification_summary
    from donna_hw.search.api import SearchRequest, SearchSettings, run_search, run_verified_search

    settings, plan = (
        SearchSettings(method, samples, population, seed, robust, diverse),
        build_verification_config(verify, rounds),
    )
    for asked in [(cost,) for cost in costs] if each else [costs]:
        question = SearchRequest(space, run_folder, asked, limits, tables, settings)
        if plan is None:
            front = run_search(question)
        else:
            standing = run_verified_search(question, plan)
            front = standing.front
            click.echo(format_verification_summary(standing))
        if out is not None:
            path = path_for_cost(out, asked[0]) if each else out
            write_csv(path, front.to_frame())
        click.echo(format_front_summary(front))


def path_for_cost(out: Path, cost: str) -> Path:
    """Return a file of its own for a cost: `front-latency@v100.csv` for `front.csv`."""
    return out.with_name(f"{out.stem}-{re.sub(r'[^A-Za-z0-9@._-]+', '-', cost).strip('-')}{out.suffix}")


COMMANDS = (search,)
