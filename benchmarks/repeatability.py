"""Whether a table is repeatable: one space filled twice on a device, the second time alongside busy processes if wanted, and compared.

    python benchmarks/repeatability.py --space small_28px --device onnxruntime_cpu --load 1 --folder runs/repeatability

Prints three figures: the share of blocks whose difference is within the 95 % intervals that the two tables state, the median half-width of
these intervals, and the median deviation between the two tables; each in seconds and as ratios to the sentinel. With the same folder it
resumes where it stopped. The busy processes take the memory's bandwidth: they are started after the
first table and stay while the second is filled.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from donna_hw import Device, compare_tables, load_space, profile_space

BUSY = "import numpy as np\na = np.ones(30_000_000)\nwhile True: b = a.copy()"

parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
parser.add_argument("--space", default="small_28px")
parser.add_argument("--device", default="onnxruntime_cpu")
parser.add_argument("--rounds", type=int, help="trials of each block; by default those of the device's protocol")
parser.add_argument("--load", type=int, default=0, help="busy processes while the second table is filled")
parser.add_argument("--folder", type=Path, help="where both tables are saved; by default they are removed")
args = parser.parse_args()

space, device = load_space(args.space), Device.load(args.device)
protocol = device.protocol if args.rounds is None else replace(device.protocol, rounds=args.rounds)

with ExitStack() as stack:
    folder = args.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
    first = profile_space(space, device, folder / "first", protocol)
    for _ in range(args.load):
        stack.callback(subprocess.Popen([sys.executable, "-c", BUSY]).kill)
    second = profile_space(space, device, folder / "second", protocol)

comparison = compare_tables(first, second)
a, b = comparison.half_widths
print(
    f"{len(comparison.frame_a)} blocks of {space.name} on {device.name}, filled twice, {args.load} busy processes during the second"
)
print(f"median half-width of the 95 % intervals: {100 * a:.2f} % and {100 * b:.2f} %")
for name, view in (("seconds", comparison.absolute), ("ratios to the sentinel", comparison.relative)):
    if view is not None:
        print(
            f"{name}: {100 * view.agreement_rate:.1f} % of blocks agree within their intervals, "
            f"median deviation {100 * view.median_relative_difference:.2f} %, "
            f"common factor {view.common_factor:.3f}"
        )
