"""What `table fit` and `table correct` print: what was fitted, and how it did on networks left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from donna_hw._core.units import printed
from donna_hw.costs.fit import Fit

PARTS = {"sum": "a sum over blocks", "floor": "a launch floor, the smooth maximum of launching and of work"}


def text_of_fit(fit: Fit, path: Path) -> str:
    """Return the kind of a fit, its errors on networks left out, and its stated intervals."""
    cost, measured = fit.cost, fit.cost.measured
    errors = 100 * np.abs(np.expm1(-fit.errors))
    share = [100 * float((errors <= limit).mean()) for limit in (5, 10)]
    width = 100 * float(np.mean(1.645 * cost.std(cost.rows) / cost.mean(cost.rows)))
    lines = [
        f"{path}: {PARTS[fit.kind]}, fitted to {len(measured)} whole networks "
        f"of {printed(measured.min(), cost.unit)} to {printed(measured.max(), cost.unit)}",
        f"networks left out, a tenth at a time, are off by {fit.mape_percent:.2f} % on the mean; "
        f"{share[0]:.0f} % of them by at most 5 %, {share[1]:.0f} % by at most 10 %",
        f"the stated 90 % interval, {width:.1f} % each way on the mean, holds {100 * fit.held:.0f} % of them",
    ]
    if not np.isnan(fit.mape_before_percent):
        lines.insert(1, f"the plain sum of the table is off by {fit.mape_before_percent:.2f} % on the mean")
    return "\n".join(lines)
