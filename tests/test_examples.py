"""The examples run as they are printed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from donna_hw import LatencyTable, TableCost, load_space

ROOT = Path(__file__).parents[1]


def test_the_first_table_prints_what_its_table_says(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "examples" / "first_table.py"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    space = load_space("small_8px")
    [path] = tmp_path.rglob("isolated-*-t1.csv")
    cost = TableCost.of(space, LatencyTable.read(path))
    printed = [float(line.split()[0]) for line in done.stdout.splitlines()]
    assert printed == [round(float(mean_s) * 1e6, 1) for mean_s in cost.mean(space.random_rows(5, 0))]
