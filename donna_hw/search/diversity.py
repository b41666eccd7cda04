"""Diversity: a front thinned out to networks that differ in their blocks."""

from __future__ import annotations

import numpy as np

from donna_hw.errors import BadSetting
from donna_hw.search.pareto_front import ParetoFront


def diverse(front: ParetoFront, share: float) -> ParetoFront:
    """Return the networks of a front of which no two have more than that share of equal blocks, 0 to below 1.

    Greedy, the same every time: the most accurate network is kept, then each next one that differs enough from all that are kept. Another
    choice may be larger; the result is never said to be exact.
    """
    if not 0 <= share < 1:
        raise BadSetting("a share of equal blocks lies from 0 to below 1", found=share)
    blocks = front.rows[:, : len(front.space.stages)]
    kept: list[int] = []
    for i in np.lexsort((np.arange(len(front)), -front.accuracy)):
        equal = (blocks[kept] == blocks[i]).mean(axis=1)
        if not (equal > share + 1e-12).any():  # a share such as 0.6 is no sum of fifths in binary
            kept.append(int(i))
    return front.subset(np.sort(kept), f"of {len(front)}, no two with more than {100 * share:g} % of equal blocks")
