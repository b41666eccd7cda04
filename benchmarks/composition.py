"""How far composed blocks are from the same blocks measured whole, and whether their stated intervals are honest.

    python benchmarks/composition.py --space small_28px --protocol quick
    python benchmarks/composition.py --tables COMPOSED.csv WHOLE.csv

Fills a table with predicted repeats, then continues without them, so that every block is measured whole; or reads two such tables.
Prints the deviation of the composed values, how many of the measured ones the stated 95 % intervals hold, and Spearman's correlation.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from donna_hw import Device, LatencyTable, ProfilingBudget, load_space, profile_space
from donna_hw.measurement.protocol import get_protocol

parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
parser.add_argument("--space", default="small_28px")
parser.add_argument("--device", default="onnxruntime_cpu")
parser.add_argument("--protocol", default="quick")
parser.add_argument("--tables", type=Path, nargs=2, metavar="CSV", help="a composed table and the same measured whole")
args = parser.parse_args()

if args.tables:
    composed, whole = (LatencyTable.read(path) for path in args.tables)
else:
    space, device, protocol = load_space(args.space), Device.load(args.device), get_protocol(args.protocol)
    with tempfile.TemporaryDirectory() as name:
        composed = profile_space(space, device, Path(name), protocol, budget=ProfilingBudget(predict_repeats=True))
        whole = profile_space(space, device, Path(name), protocol)

predicted = (
    composed.frame[composed.frame["method"] == "composed"].drop_duplicates("layers_hash").set_index("layers_hash")
)
measured = whole.frame.drop_duplicates("layers_hash").set_index("layers_hash").loc[predicted.index]
assert (measured["method"] == "measured").all(), "the second table must hold these blocks measured whole"
column = composed.info.column
low, value, high = (predicted[name].to_numpy(float) for name in ("low_s", column, "high_s"))
true = measured[column].to_numpy(float)
off = 100 * (value / true - 1)
print(
    f"{composed.info.space} on {composed.info.device}: {len(true)} different blocks composed, then measured whole\n"
    f"off by {np.median(np.abs(off)):.1f} % (median), {np.abs(off).mean():.1f} % on average, one in ten by more than "
    f"{np.quantile(np.abs(off), 0.9):.1f} %, at most {np.abs(off).max():.1f} %; {off.mean():+.1f} % signed\n"
    f"the stated 95 % interval, {100 * np.median(np.sqrt(high / low) - 1):.1f} % each way (median), holds "
    f"{100 * np.mean((low <= true) & (true <= high)):.1f} % of them; Spearman {spearmanr(value, true).statistic:.4f}"
)
