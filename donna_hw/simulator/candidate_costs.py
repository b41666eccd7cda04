"""The double-buffered pipeline of equal tiles: closed form of a schedule in which one DMA channel and the array advance in lockstep.

While a tile is computed, the DMA stores the one before and loads the one after; the buffers are swapped when both have finished.
The tests hold the form against a simulation of the events.
"""

from __future__ import annotations

import numpy as np

Numbers = np.ndarray


def duration(tiles: Numbers, load: Numbers, compute: Numbers, store: Numbers) -> Numbers:
    """Return the cycles from the first load to the end of the last store, for `tiles` >= 1 tiles of equal cost each."""
    both = load + store
    found = np.maximum(compute, both)
    found *= tiles - 2
    found += np.maximum(compute, load)
    found += np.maximum(compute, store)
    return np.asarray(np.where(tiles > 1, found, compute) + both)
