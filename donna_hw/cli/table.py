"""Commands of latency tables that are there: `donna-hw table`."""

from __future__ import annotations

from pathlib import Path

import click

TABLES = click.option(
    "--tables",
    type=click.Path(path_type=Path),
    default=Path("latency_tables"),
    help="Folder of the tables; then shipped ones.",
    show_default=True,
)


@click.group()
def table() -> None:
    """Show a latency table, or compare two.

    A table is named by its .csv, or by DEVICE/SPACE[/VARIANT].
    """


@table.command()
@click.argument("name", metavar="TABLE")
@TABLES
@click.option("--all", "everything", is_flag=True, help="List all rows.")
def show(name: str, tables: Path, everything: bool) -> None:
    """Show what TABLE is of, and what in it is not to be trusted."""
    from donna_hw.show.table import text_of_table
    from donna_hw.tables import named_table

    click.echo(text_of_table(named_table(name, tables), everything))


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
    from donna_hw.compare import compare_tables
    from donna_hw.files import write_atomic
    from donna_hw.show.comparison import text_of_comparison
    from donna_hw.tables import named_table

    found = compare_tables(named_table(first, tables), named_table(second, tables))
    if path is not None:
        write_atomic(path, found.frame().to_csv(index=False, lineterminator="\n"))
    click.echo(text_of_comparison(found, top))


COMMANDS = (table,)
