"""Tables of text: plain and stable in a file, folded to the width of a narrow terminal, without escape codes under NO_COLOR."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from donna_hw.reporting.text import rich_table
from donna_hw.reporting.text.rich_table import render_table

HEADER = ["network", "MACs", "cycles"]
ROWS = [["k3-e2-d1-relu/k5-e4-d2-swish_se/" * 3, "1.5 GMAC", 123456789], ["[bold]b[/] :smile:", "9 kMAC", 7.5]]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make standard output a terminal of 60 columns."""
    monkeypatch.setattr(rich_table, "_is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.delenv("NO_COLOR", raising=False)


def test_a_file_gets_plain_text_whose_width_is_that_of_the_content(monkeypatch: pytest.MonkeyPatch) -> None:
    text = render_table(HEADER, ROWS)
    for columns in ("20", "60", "300"):
        monkeypatch.setenv("COLUMNS", columns)
        assert render_table(HEADER, ROWS) == text
    width = len(ROWS[0][0])  # type: ignore[arg-type]
    assert text.splitlines() == [
        f"{'network':<{width}}  MACs         cycles",
        f"{'-' * width}- --------- ---------",
        f"{ROWS[0][0]}  1.5 GMAC  123456789",
        f"{ROWS[1][0]:<{width}}  9 kMAC          7.5",
    ]


@pytest.mark.usefixtures("terminal")
def test_a_narrow_terminal_folds_texts_and_never_numbers() -> None:
    text = render_table(HEADER, ROWS, color=False)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 60
    assert sum("123456789" in line for line in lines) == 1
    folded = "".join(line[: lines[1].index(" ")].rstrip() for line in lines[2:])
    assert str(ROWS[0][0]) in folded


@pytest.mark.usefixtures("terminal")
def test_numbers_are_whole_in_a_terminal_too_narrow_for_them() -> None:
    text = render_table([f"n{i}" for i in range(12)], [[10**8 + i for i in range(12)]])
    assert all(str(10**8 + i) in text for i in range(12))


@pytest.mark.usefixtures("terminal")
def test_a_terminal_gets_a_bold_header_and_with_no_color_no_escape_code(monkeypatch: pytest.MonkeyPatch) -> None:
    assert render_table(HEADER, ROWS).startswith("\x1b[1mnetwork")
    monkeypatch.setenv("NO_COLOR", "1")
    plain = render_table(HEADER, ROWS)
    assert "\x1b" not in plain
    assert plain == render_table(HEADER, ROWS, color=False)


def test_without_rows_the_header_is_left_and_without_a_standard_output_too(monkeypatch: pytest.MonkeyPatch) -> None:
    assert render_table(["a", "b"], []).splitlines() == ["a  b", "-- -"]
    monkeypatch.setattr(sys, "stdout", None)
    assert render_table(["a"], [["x"]]).splitlines() == ["a", "-", "x"]


WORDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=30)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(WORDS, st.integers()), min_size=1, max_size=5), st.integers(20, 80))
def test_every_cell_is_in_the_text_whatever_the_width(rows: list[tuple[str, int]], width: int) -> None:
    text = render_table(["a", "b"], rows, width=width)
    assert all(str(number) in text for _, number in rows)
    for word, _ in render_rows(text):
        assert word in [name for name, _ in rows]


def render_rows(text: str) -> list[tuple[str, str]]:
    """Return the cells of rows of two columns, folded ones joined; a row begins where the second column has a cell."""
    lines = text.splitlines()
    stop = lines[1].index(" ")
    joined: list[tuple[str, str]] = []
    for line in lines[2:]:
        if line[stop:].strip():
            joined.append((line[:stop].rstrip(), line[stop:].strip()))
        else:
            joined[-1] = (joined[-1][0] + line[:stop].rstrip(), joined[-1][1])
    return joined
