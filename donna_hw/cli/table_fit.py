"""Commands that fit costs to whole networks: `donna-hw table fit` and `donna-hw table correct`."""

from __future__ import annotations

from pathlib import Path

import click

from donna_hw.cli.profile import TABLES
from donna_hw.cli.table import TABLES as TABLES_FROM

KIND = click.option(
    "--kind",
    type=click.Choice(["auto", "sum", "floor"]),
    default="auto",
    show_default=True,
    help="A sum over blocks, a launch floor, or what errs less on networks left out.",
)


@click.command()
@click.argument("networks", metavar="NETWORKS.csv", type=click.Path(path_type=Path))
@KIND
@click.option(
    "--from",
    "ground",
    type=click.Choice(["layers", "nothing"]),
    default="layers",
    show_default=True,
    help="What is known before: what the layers of each block do, or nothing.",
)
@TABLES
def fit(networks: Path, kind: str, ground: str, root: Path) -> None:
    """Fit a table to whole networks alone: what each block costs, with a standard error.

    NETWORKS.csv is a file of measured networks (`table import`, or one that lies beside a table). The ground of the fit is what the layers
    of each block do, or nothing: then every block of a stage is expected to cost the same.
    """
    from donna_hw.costs.fitted_table import fit_table, write_fitted_table
    from donna_hw.reporting.text.table import format_fit
    from donna_hw.tables.network_measurements import MeasuredNetworks

    found = MeasuredNetworks.read(networks)
    variant = networks.name.removesuffix(".networks.csv")
    table, done = fit_table(found, kind=kind, from_layers=ground == "layers", root=root, variant=variant)
    write_fitted_table(table)
    click.echo(format_fit(done, table.path))


@click.command()
@click.argument("name", metavar="TABLE")
@TABLES_FROM
@KIND
@click.option(
    "--networks", type=click.IntRange(4), default=30, show_default=True, help="Whole networks to measure, at most."
)
@click.option(
    "--until", metavar="PERCENT", type=click.FloatRange(0), default=0.0, help="Stop where networks left out err less."
)
@click.option("--with", "given", type=click.Path(path_type=Path), help="Measured networks, instead of measuring any.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
def calibrate(
    *, name: str, tables: Path, kind: str, networks: int, until: float, given: Path | None, seed: int
) -> None:
    """Correct TABLE by whole networks, those that tell most first.

    They are measured beside the table on its device, which must be this machine's; or come from a file of measured networks. Networks of
    another device, or a TABLE of counts, give a table of their device. A shipped table is copied to the folder of --tables.
    """
    from donna_hw.costs.correction import CorrectionConfig, correct_from_networks, measure_and_correct
    from donna_hw.reporting.text.table import format_fit
    from donna_hw.tables.lookup import load_table

    table, plan = load_table(name, tables), CorrectionConfig(networks, until, kind, seed)
    done, path = (
        measure_and_correct(table, plan, tables) if given is None else correct_from_networks(table, given, plan, tables)
    )
    click.echo(format_fit(done, path))


COMMANDS = (fit, calibrate)
