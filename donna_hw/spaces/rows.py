"""Sets of networks as rows of numbers."""

from __future__ import annotations

import numpy as np

from donna_hw.spaces.space import Rows


def is_member(rows: Rows, others: Rows) -> np.ndarray:
    """Return which rows, int [n, columns], are among others, int [m, columns]: bool [n]."""
    known = set(map(tuple, others.tolist()))
    return np.array([tuple(row) in known for row in rows.tolist()], bool)
