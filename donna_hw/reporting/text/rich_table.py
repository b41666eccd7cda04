"""Tables for people: as wide as the terminal in a terminal, plain text of the content's own width everywhere else."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from io import StringIO

UNLIMITED_WIDTH = 1_000_000  # characters; of a table that no terminal cuts
GAP = 2  # characters between columns
MIN_TEXT_WIDTH = 8  # characters of a column of texts in a narrow terminal
PLAIN_BOX = "\n".join(["    ", "    ", " -  ", "    ", "    ", "    ", "    ", "    "])  # a rule below the header alone


def terminal_width() -> int | None:
    """Return the width of the terminal that standard output is, in characters; None where it is none."""
    return shutil.get_terminal_size().columns if _is_terminal() else None


def use_color() -> bool:
    """Return whether escape codes may be printed: standard output is a terminal, and `NO_COLOR` is not set (no-color.org)."""
    return _is_terminal() and not os.environ.get("NO_COLOR")


def render_table(
    header: Sequence[str], rows: Sequence[Sequence[object]], *, width: int | None = None, color: bool | None = None
) -> str:
    """Return rows under their header, columns aligned and numbers to the right.

    Args:
        header: Names of the columns.
        rows: Cells, each printed as its `str`; as many in a row as in the header.
        width: Characters of the table at most: longer texts are folded into several lines, numbers never. So nothing is lost, but a
            table of many columns can be wider. By default the terminal's width, and no limit where standard output is no terminal.
        color: Whether escape codes mark the header; by default `use_color`.

    Returns:
        Lines without trailing spaces, and without a line break at the end.
    """
    from rich.box import Box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    width = width or terminal_width()
    color = use_color() if color is None else color
    table = Table(
        box=Box(PLAIN_BOX, ascii=True),
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        header_style="bold" if color else "",
    )
    cells = [[str(cell) for cell in row] for row in rows]
    least_width = -GAP
    for i, name in enumerate(header):
        is_number = bool(cells) and all(_is_number(row[i]) for row in cells)
        least = max(map(len, [name, *(row[i] for row in cells)])) if is_number else MIN_TEXT_WIDTH
        least_width += least + GAP
        table.add_column(
            Text(name),
            justify="right" if is_number else "left",
            min_width=least if is_number else None,
            no_wrap=is_number or width is None,
            overflow="fold",
        )
    for row in cells:
        table.add_row(*(Text(cell) for cell in row))
    console = Console(
        file=StringIO(),
        width=UNLIMITED_WIDTH if width is None else max(width, least_width),
        force_terminal=color,
        color_system="standard" if color else None,
        no_color=not color,
        legacy_windows=False,
    )
    with console.capture() as capture:
        console.print(table)
    return "\n".join(line.rstrip() for line in capture.get().rstrip("\n").split("\n"))


def _is_terminal() -> bool:
    try:
        return sys.stdout.isatty()
    except (AttributeError, ValueError):  # no standard output, or a closed one
        return False


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
