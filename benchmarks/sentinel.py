"""How well the sentinel corrects drift: one table filled on a free machine and again alongside busy processes, compared both ways.

    python benchmarks/sentinel.py

Prints how the two fills differ, raw and drift-corrected, in one run: the factor common to all blocks, which is the machine's state in each
fill and which no sentinel can distinguish from a faster machine, and what remains, which the correction must not enlarge.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np

from donna_hw import Device, load_space, profile_space

BUSY = "import numpy as np\na = np.ones(30_000_000)\nwhile True: b = a.copy()"  # takes the memory's bandwidth and the cache
space, device = load_space("small_8px"), Device.load("onnxruntime_cpu")
protocol = replace(device.protocol, rounds=8)

with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
    free = profile_space(space, device, Path(folder) / "free", protocol).frame
    for _ in range(2):
        stack.callback(subprocess.Popen([sys.executable, "-c", BUSY]).kill)
    busy = profile_space(space, device, Path(folder) / "busy", protocol).frame


def deviations(column: str) -> tuple[float, float]:
    """Return (common factor, deviation from it that 9 of 10 blocks stay below, in per cent) of busy / free."""
    ratio = (busy[column] / free[column]).to_numpy()
    common = float(np.median(ratio))
    return common, 100 * float(np.percentile(np.abs(ratio / common - 1), 90))


raw, drift_corrected = deviations("raw_median_s"), deviations("median_s")
print(f"{len(free)} blocks, filled on a free machine and alongside two processes that take the memory's bandwidth")
for name, (common, spread) in (("raw medians", raw), ("drift-corrected", drift_corrected)):
    print(f"{name:12} common factor {common:.3f}; nine of ten blocks within {spread:.1f} % of it")
print(f"spread, raw over drift-corrected: {raw[1] / drift_corrected[1]:.1f}")
assert drift_corrected[1] < 1.5 * raw[1], "the correction must not make blocks of one table disagree more"
