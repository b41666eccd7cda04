"""Commands of latency tables that are there: `donna-hw table`."""

from __future__ import annotations

from pathlib import Path

import click

from donna_hw.cli import completion as completing
from donna_hw.cli.table_import import import_

TABLES = click.option(
    "--tables",
    type=click.Path(path_type=Path),
    default=Path("latency_tables"),
    help="Folder of the tables; then shipped ones.",
    show_default=True,
)


@click.group()
def table() -> None:
    """Show a latency table, check that it covers its space, compare two, complete, fit, correct or import one.

    A table is named by its .csv, or by [QUANTITY@]DEVICE/SPACE[/VARIANT], such as energy@tensor_unit/donna.
    """


@table.command()
@click.argument("name", metavar="TABLE")
@TABLES
@click.option("--all", "everything", is_flag=True, help="List all rows.")
def show(name: str, tables: Path, everything: bool) -> None:
    """Show what TABLE is of, and what in it is not to be trusted."""
    from donna_hw.reporting.text.table import format_table
    from donna_hw.tables.lookup import load_table

    click.echo(format_table(load_table(name, tables), everything))


@table.command()
@click.argument("name", metavar="TABLE")
@TABLES
@click.option(
    "--space",
    "space_name",
    shell_complete=completing.spaces,
    help="The space to cover, if not the one that the table names.",
)
def validate(name: str, tables: Path, space_name: str | None) -> None:
    """Tell whether TABLE covers its space, before a search.

    Names every block without a row and every row of other layers; the exit code is 1 where there are any.
    """
    from donna_hw.reporting.text.table import format_coverage
    from donna_hw.spaces import load_space
    from donna_hw.tables.lookup import load_table

    found = load_table(name, tables)
    space = load_space(space_name or found.info.space)
    click.echo(format_coverage(found, space))
    if not found.coverage(space).complete:
        raise SystemExit(1)


@table.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@TABLES
@click.option("--csv", "path", type=click.Path(path_type=Path), help="Write every block's comparison to this CSV.")
@click.option("--top", type=click.IntRange(0), default=10, show_default=True, help="Significant differences to list.")
def compare(first: str, second: str, tables: Path, path: Path | None, top: int) -> None:
    """Tell in which blocks the measured tables A and B differ significantly.

    In seconds, and as ratios to the sentinel, which takes out what slowed a whole table.
    """
    from donna_hw._core.csv_files import write_csv
    from donna_hw.reporting.text.comparison import format_comparison
    from donna_hw.tables.comparison import compare_tables
    from donna_hw.tables.lookup import load_table

    found = compare_tables(load_table(first, tables), load_table(second, tables))
    if path is not None:
        write_csv(path, found.to_frame())
    click.echo(format_comparison(found, top))


@table.command()
@click.argument("names", metavar="TABLE...", nargs=-1, required=True)
@TABLES
@click.option(
    "--space", "space_name", required=True, shell_complete=completing.spaces, help="The space whose table is wanted."
)
@click.option("--from", "own", multiple=True, help="A space of your own, FILE.py:FUNCTION, that a TABLE is of.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of tables to write it in.")
def predict(names: tuple[str, ...], tables: Path, space_name: str, own: tuple[str, ...], out: Path) -> None:
    """Write the table of another space from measured TABLEs of a device, and say what to measure first.

    Blocks that no TABLE holds are foretold from their layers, with an interval; their rows say that they are learned.
    """
    from donna_hw.costs.table_completion import complete_table
    from donna_hw.reporting.text.table import format_completion
    from donna_hw.spaces import load_space
    from donna_hw.tables.lookup import load_table

    given = [load_table(name, tables) for name in names]
    known = [load_space(name) for name in own]
    click.echo(format_completion(complete_table(given, load_space(space_name), out, known)))


table.add_command(import_)
COMMANDS = (table,)
