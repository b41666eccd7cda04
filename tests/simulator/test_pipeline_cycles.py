"""The closed form of the double-buffered pipeline equals a simulation of its events."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from donna_hw.simulator.candidate_costs import pipeline_cycles


def by_events(tiles: int, load: int, compute: int, store: int) -> int:
    """Run the machine cycle by cycle: two buffers each side, one DMA channel, a swap when both the array and the DMA are done."""
    to_load, loaded, computed = tiles, 0, 0
    clock, array_left, dma_jobs = 0, 0, [load]
    to_load -= 1
    loading, computing, waiting_store = 1, 0, 0
    while True:
        while dma_jobs or array_left:  # one cycle of both units
            while dma_jobs and dma_jobs[0] == 0:
                dma_jobs.pop(0)
            if not dma_jobs and not array_left:
                break
            clock += 1
            if dma_jobs:
                dma_jobs[0] -= 1
            if array_left:
                array_left -= 1
        loaded, computed = loading, computing  # swap
        if loaded == 0 and computed == 0 and waiting_store == 0:
            return clock
        waiting_store = computed
        computing, array_left = (1, compute) if loaded else (0, 0)
        loading = 1 if to_load else 0
        dma_jobs = [store] * waiting_store + [load] * loading
        to_load -= loading
        waiting_store = 0


def test_every_small_case_is_exact() -> None:
    cases = np.array(list(itertools.product(range(1, 7), range(5), range(5), range(5))))
    closed = pipeline_cycles(*(column.astype(float) for column in cases.T))
    assert closed.tolist() == [by_events(*map(int, case)) for case in cases]


@given(st.integers(1, 12), *(st.integers(0, 60),) * 3)
def test_larger_cases_are_exact(tiles: int, load: int, compute: int, store: int) -> None:
    assert pipeline_cycles(*(np.array(float(x)) for x in (tiles, load, compute, store))) == by_events(
        tiles, load, compute, store
    )


@given(st.integers(1, 1000), *(st.integers(0, 1000),) * 3)
def test_neither_unit_is_busier_than_there_is_time(tiles: int, load: int, compute: int, store: int) -> None:
    found = pipeline_cycles(*(np.array(float(x)) for x in (tiles, load, compute, store)))
    assert found >= tiles * max(compute, load + store)
    assert found <= tiles * (compute + load + store)
