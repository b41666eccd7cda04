"""One space in detail: axes of many values are listed once, below the table of stages."""

from __future__ import annotations

import re

from paths import ROOT

from donna_hw.reporting.text.spaces import LINE_WIDTH, MAX_CELL_VALUES, format_space
from donna_hw.spaces import load_space


def test_every_value_of_a_long_axis_is_listed_once_for_all_stages_that_share_it() -> None:
    space = load_space(f"{ROOT / 'examples' / 'custom_model.py'}:plain")
    (axis,) = space.stages[0].axes
    assert len(axis.values) > MAX_CELL_VALUES
    text = format_space(space)
    section = re.search(r"block of stage1, stage2:\n((?:  .*\n)+)", text)
    assert section is not None
    assert section[1].split() == [
        f"{value}{'*' if value == axis.reference_value else ''}{',' if number < len(axis.values) else ''}"
        for number, value in enumerate(axis.values, start=1)
    ]
    assert max(map(len, section[1].splitlines())) <= LINE_WIDTH
    assert "block (see below)" in text


def test_values_of_short_axes_stand_in_the_table_with_the_reference_marked() -> None:
    text = format_space(load_space("small_8px"))
    assert "kernel 3/5*; expand 1/2/4*; depth 1/2*; style relu/swish_se*" in text
    assert "see below" not in text
