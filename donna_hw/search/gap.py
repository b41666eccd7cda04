"""How much better than a sampled front any network can be, by the exact front of an easier search."""

from __future__ import annotations

import numpy as np

from donna_hw.search.front import ParetoFront


def gap_percent(front: ParetoFront, relaxed: ParetoFront) -> float:
    """Return by how much, in per cent, the best accuracy within any costs may lie above the front's at most.

    relaxed: the exact front of a search whose costs are nowhere higher, of fewer costs or limits perhaps, by the same accuracy: whatever
    costs are allowed, no network is more accurate than the best of it within them. Costs below the front's cheapest are left out.
    """
    shared = [
        (own, relaxed.costs[name])
        for name, own in zip(front.costs, front.costs.values(), strict=True)
        if name in relaxed.costs
    ]
    largest = 0.0
    for number, accuracy in enumerate(relaxed.accuracy):
        within = np.ones(len(front), bool)
        for own, lower in shared:
            within &= own <= lower[number]
        if within.any():
            largest = max(largest, float(accuracy - front.accuracy[within].max()))
    return largest
