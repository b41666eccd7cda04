"""Measure every block of a small space on this machine, and print what whole networks cost by the table."""

from __future__ import annotations

import sys
from pathlib import Path

from donna_hw import Device, load_space, profile_space
from donna_hw.costs.table_sum import TableCost
from donna_hw.measurement.protocol import get_protocol

space = load_space("small_8px")
folder = Path(sys.argv[1] if len(sys.argv) > 1 else "latency_tables")
quick = get_protocol("quick")  # a first look in ten seconds; without it, the device's own protocol takes a minute
table = profile_space(space, Device.load("onnxruntime_cpu"), folder, quick)
cost = TableCost.of(space, table)

rows = space.random_rows(5, 0)
for row, mean_s, std_s in zip(rows, cost.mean(rows), cost.std(rows), strict=True):
    print(f"{mean_s * 1e6:6.1f} us +- {std_s * 1e6:.1f}  {space.labels(space.architecture(row))}")
