"""Grid: what the sums of an exact search are whole multiples of, so that ties are ties."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

GRIDS = {"s": 1e-12, "J": 1e-15, "MAC": 1.0, "parameter": 1.0}
STEPS = 12  # digits of a sum whose unit has no grid
MOST_STEPS = 15  # digits that are exact in any case: 10^15 is below 2^53


def grid_of(unit: str, terms: Sequence[Sequence[np.ndarray]], constants: Sequence[float]) -> float:
    """Return the grid of sums of terms [stage][block] and constants, in `unit`; values that are not finite do not count.

    Picoseconds, femtojoules, MACs or parameters; twelve digits of the largest sum for others, and where MACs or parameters are not whole
    (a correction has scaled them). Coarser only where a sum would pass 10^15.
    """
    finite = [[values[np.isfinite(values)] for values in term] for term in terms]
    reach = max(sum(float(abs(values).max(initial=0.0)) for values in term) for term in finite) + max(
        map(abs, constants)
    )
    digits = int(np.ceil(np.log10(reach))) if reach > 0 else 0
    fine = 10.0 ** (digits - STEPS)
    grid = GRIDS.get(unit, fine)
    if grid == 1.0 and not all((values == np.rint(values)).all() for term in finite for values in term):
        grid = min(grid, fine)
    return max(grid, 10.0 ** (digits - MOST_STEPS))


def on_grid(values: np.ndarray, grid: float) -> np.ndarray:
    """Return finite values as the nearest whole multiples of a grid, int."""
    return np.rint(values / grid).astype(np.int64)


def highest_on(value: float, grid: float) -> float:
    """Return the highest multiple that a limit allows; what is within a millionth above it is that point, written as a float."""
    return float(np.floor(value / grid + 1e-6))
