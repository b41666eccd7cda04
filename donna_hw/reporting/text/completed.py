"""What `donna-hw table complete` prints: what was taken, what was learned and how well, and what to measure first."""

from __future__ import annotations

import numpy as np

from donna_hw.costs.gaussian_process import Z95
from donna_hw.costs.table_completion import Completed


def text_of_completed(completed: Completed) -> str:
    """Return how many blocks have which origin, the learned ones' deviations, and the few whose measuring would halve these."""
    table, model = completed.table, completed.model
    info = table.info
    lines = [
        f"{table.path}: {len(table.frame)} rows of {info.space} on {info.device}; of its different blocks {completed.taken} have a row "
        f"of another table, {completed.learned} are learned"
    ]
    if model is None:
        return lines[0]
    learned = table.frame[table.frame["method"] == "learned"]
    deviations = 100 * np.log((learned["high_s"] / learned["low_s"]).to_numpy(np.float64)) / (2 * Z95)
    least, middle, largest = np.quantile(deviations, [0, 0.5, 1])
    lines.append(
        f"learned from {model.measured} blocks; on layers of a shape left out it is off by {model.error:.2g} % (median). Standard "
        f"deviation of the learned rows {middle:.2g} % (median), {least:.2g} to {largest:.2g} %"
    )
    before, after = 100 * completed.deviations[[0, -1]]
    halves = "halve the mean deviation" if after <= before / 2 else "lower the mean deviation"
    lines.append(
        f"measuring {len(completed.first)} of them would {halves}, {before:.2g} % to {after:.2g} %, as the model sees it:"
    )
    lines += [f"  {name}" for name in completed.first]
    lines.append(
        f"donna-hw profile {info.space} --device {info.device} --out {table.path.parents[2]} measures them all"
    )
    return "\n".join(lines)
