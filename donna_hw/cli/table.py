"""Commands for existing latency tables: `donna-hw table`."""

from __future__ import annotations

from pathlib import Path

import click

from donna_hw.cli.options import FILE, TABLES, space_option
from donna_hw.cli.shell_completion import complete_spaces
from donna_hw.cli.table_fit import calibrate, fit
from donna_hw.cli.table_import import import_


@click.group()
def table() -> None:
    """Show, validate, compare, predict or calibrate latency tables.

    TABLE is a .csv, or [METRIC@]DEVICE/SPACE[/VARIANT], such as energy@tensor_unit/donna: a table in the folder of --tables, or else a
    shipped one.
    """


@table.command()
@click.argument("name", metavar="TABLE")
@TABLES
@click.option("--all", "show_all", is_flag=True, help="List all rows.")
def show(name: str, tables: Path, show_all: bool) -> None:
    """Show origin, ranges and untrusted rows of TABLE."""
    from donna_hw.reporting.text.table import format_table
    from donna_hw.tables.lookup import load_table

    click.echo(format_table(load_table(name, tables), show_all))


@table.command()
@click.argument("name", metavar="TABLE")
@TABLES
@click.option(
    "--space",
    metavar="SPACE",
    shell_complete=complete_spaces,
    help="The space to cover; by default the table's own.",
)
def validate(name: str, tables: Path, space: str | None) -> None:
    """Check that TABLE covers its space.

    Names every block without a row, and every row of other layers; the exit code is 1 if there are any.
    """
    from donna_hw.reporting.text.table import format_coverage
    from donna_hw.spaces import load_space
    from donna_hw.tables.lookup import load_table

    loaded = load_table(name, tables)
    covered = load_space(space or loaded.info.space)
    click.echo(format_coverage(loaded, covered))
    if not loaded.coverage(covered).complete:
        raise SystemExit(1)


@table.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@TABLES
@click.option("--csv", type=FILE, metavar="FILE", help="Write a row for each block to this CSV.")
@click.option(
    "--top", type=click.IntRange(0), default=10, show_default=True, help="List the largest significant differences."
)
def compare(first: str, second: str, tables: Path, csv: Path | None, top: int) -> None:
    """Show in which blocks the measured tables A and B differ.

    The significant differences are given in seconds, and relative to the sentinel, which removes what slowed a whole table.
    """
    from donna_hw._core.csv_files import write_csv
    from donna_hw.reporting.text.comparison import format_comparison
    from donna_hw.tables.comparison import compare_tables
    from donna_hw.tables.lookup import load_table

    comparison = compare_tables(load_table(first, tables), load_table(second, tables))
    if csv is not None:
        write_csv(csv, comparison.to_frame())
    click.echo(format_comparison(comparison, top))


@table.command()
@click.argument("names", metavar="TABLE...", nargs=-1, required=True)
@TABLES
@space_option("The space whose table is predicted.")
@click.option(
    "--source-space",
    "source_spaces",
    metavar="FILE.py:FUNCTION",
    multiple=True,
    help="A space of your own that a TABLE belongs to; repeat it for several.",
)
def predict(names: tuple[str, ...], tables: Path, space: str, source_spaces: tuple[str, ...]) -> None:
    """Predict the table of another space from measured tables.

    All tables are of one device. Blocks that no TABLE has are predicted from their layers, with an interval; their rows are marked as
    predicted. The new table is written to the folder of --tables; the most informative blocks to measure first are listed.
    """
    from donna_hw.costs.table_completion import complete_table
    from donna_hw.reporting.text.table import format_completion
    from donna_hw.spaces import load_space
    from donna_hw.tables.lookup import load_table

    sources = [load_table(name, tables) for name in names]
    spaces = [load_space(name) for name in source_spaces]
    click.echo(format_completion(complete_table(sources, load_space(space), tables, spaces)))


for _command in (calibrate, fit, import_):
    table.add_command(_command)
