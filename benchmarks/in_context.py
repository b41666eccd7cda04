"""Isolated or in context: which table predicts whole networks better, before and after a correction?

    python benchmarks/in_context.py --space small_28px --device onnxruntime_cpu --networks 40 --folder runs/in_context

Fills a table in both modes, measures whole random networks under the same sentinel, and prints for each mode the mean absolute error of the
plain sum, of the sum corrected by half of the networks on the other half, and Kendall's tau. With --folder it resumes where it stopped.
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from scipy.stats import kendalltau

from donna_hw import Device, fit_cost, load_space, measure_networks, profile_space
from donna_hw.costs.basis import FeatureBasis
from donna_hw.costs.table_sum import TableCost
from donna_hw.profiling.in_context import MODES

parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
parser.add_argument("--space", default="small_28px")
parser.add_argument("--device", default="onnxruntime_cpu")
parser.add_argument("--networks", type=int, default=40)
parser.add_argument("--folder", type=Path, help="where the tables are saved; by default they are removed")
args = parser.parse_args()
space, device = load_space(args.space), Device.load(args.device)
rows = space.random_rows(args.networks, 0)
half = args.networks // 2

with ExitStack() as stack:
    folder = args.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
    errors = {}
    for mode in MODES:
        table = profile_space(space, device, folder, mode=mode)
        # in either mode a network runs whole; its sentinel is the table's, so that both are on one scale
        measured = measure_networks(space, device, table, [space.architecture(row) for row in rows])
        plain = TableCost.of(space, table)
        corrected = fit_cost(device.name, FeatureBasis.from_table(space, table), rows[:half], measured[:half]).cost
        sums, predicted = plain.mean(rows), corrected.mean(rows[half:])
        errors[mode] = 100 * float(np.abs(sums / measured - 1).mean())
        left = 100 * np.abs(predicted / measured[half:] - 1)
        print(
            f"{mode:9} {len(table.frame)} rows, verdicts {table.frame['verdict'].value_counts().to_dict()}\n"
            f"  plain sum: off by {errors[mode]:.2f} % on average ({100 * float((sums / measured - 1).mean()):+.2f} % signed), "
            f"Kendall tau {kendalltau(sums, measured).statistic:.3f} over {len(rows)} networks\n"
            f"  corrected by {half} others: off by {left.mean():.2f} % on average, {left.max():.2f} % at most, over {len(left)} networks"
        )
