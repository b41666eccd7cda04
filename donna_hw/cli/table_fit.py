"""Commands that fit costs to whole networks: `donna-hw table fit` and `donna-hw table calibrate`."""

from __future__ import annotations

from pathlib import Path

import click

from donna_hw.cli.options import COST_MODEL, FILE, TABLES


@click.command()
@click.argument("networks", metavar="NETWORKS.csv", type=FILE)
@COST_MODEL
@click.option(
    "--prior",
    type=click.Choice(["layers", "none"]),
    default="layers",
    show_default=True,
    help="layers: blocks cost what their layers suggest; none: all blocks of a stage cost the same.",
)
@TABLES
def fit(networks: Path, model: str, prior: str, tables: Path) -> None:
    """Fit a table to measured networks alone.

    Every block gets a cost and its standard error, starting from the prior. NETWORKS.csv lists measured networks: it comes from
    `table import`, or lies next to a table.
    """
    from donna_hw.costs.fitted_table import fit_table, write_fitted_table
    from donna_hw.reporting.text.table import format_fit
    from donna_hw.tables.network_measurements import MeasuredNetworks

    measured = MeasuredNetworks.read(networks)
    variant = networks.name.removesuffix(".networks.csv")
    table, result = fit_table(measured, kind=model, from_layers=prior == "layers", root=tables, variant=variant)
    write_fitted_table(table)
    click.echo(format_fit(result, table.path))


@click.command()
@click.argument("name", metavar="TABLE")
@TABLES
@COST_MODEL
@click.option(
    "--networks", type=click.IntRange(4), default=30, show_default=True, help="Whole networks to measure at most."
)
@click.option(
    "--target-error",
    metavar="PERCENT",
    type=click.FloatRange(0),
    default=0.0,
    help="Stop when the mean error on held-out networks is below this.",
)
@click.option("--networks-file", type=FILE, help="Use these measured networks instead of measuring any.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the candidate networks.")
def calibrate(
    *,
    name: str,
    tables: Path,
    model: str,
    networks: int,
    target_error: float,
    networks_file: Path | None,
    seed: int,
) -> None:
    """Calibrate TABLE with measured whole networks.

    The most informative networks are measured first, on the table's device, which must be this machine's; or networks are read from a
    file. Networks of another device, or a TABLE of counts, give a table of the networks' device. A shipped table is copied to the folder
    of --tables first.
    """
    from donna_hw.costs.correction import CorrectionConfig, correct_from_networks, measure_and_correct
    from donna_hw.reporting.text.table import format_fit
    from donna_hw.tables.lookup import load_table

    table, config = load_table(name, tables), CorrectionConfig(networks, target_error, model, seed)
    if networks_file is None:
        result, path = measure_and_correct(table, config, tables)
    else:
        result, path = correct_from_networks(table, networks_file, config, tables)
    click.echo(format_fit(result, path))
