"""Made tables: latency tables written down by a test, of rounds that it knows; nothing was measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from donna_hw.measurement.intervals import rounds_interval
from donna_hw.tables.latency_table import LatencyTable
from donna_hw.tables.table_info import TableInfo


def linear_interval(rounds: np.ndarray) -> tuple[float, float]:
    """Student's t interval of the mean of the rounds as they are, as tables measured in context state it."""
    from scipy import stats

    low, high = stats.t.interval(0.95, rounds.size - 1, loc=rounds.mean(), scale=stats.sem(rounds))
    return float(low), float(high)


def made_table(
    blocks: list[np.ndarray], *, reference_s: float | None = 1e-5, in_context: bool = False, **info: object
) -> LatencyTable:
    """Return a table of one stage whose block n has the round medians `blocks[n]`, in seconds; `info` replaces what its TOML says."""
    rows = []
    for number, rounds in enumerate(blocks):
        if len(rounds) == 1:
            low, high = 0.9 * rounds[0], 1.1 * rounds[0]
        elif in_context:
            low, high = linear_interval(rounds)
        else:
            interval = rounds_interval(rounds)
            low, high = interval.low, interval.high
        row = {"part": "stage1", "kernel": str(number), "style": "relu", "layers_hash": f"{number:016x}"}
        times = {"median_s": float(np.median(rounds)), "low_s": low, "high_s": high}
        rows.append({**row, **times, "rounds": len(rounds), "verdict": "trusted"})
    says = {
        "device": "made",
        "space": "made_space",
        "quantity": "latency",
        "unit": "s",
        "origin": "measured",
        "column": "median_s",
        "identity": {"device_model": "none", "runtime": "made 1", "mode": "in_context" if in_context else "isolated"},
        "donna_hw": "0.1.0",
        "created": "2026-01-01T00:00:00+00:00",
        "sentinel": "5e" * 8 if reference_s else "",
        "sentinel_reference_s": reference_s,
    }
    return LatencyTable(TableInfo.model_validate(says | info), pd.DataFrame(rows), Path("made.csv"))


def drawn_rounds(blocks: int, rounds: int, spread: float, seed: int, median_s: float = 1e-4) -> list[np.ndarray]:
    """Return round medians [blocks][rounds] drawn from one lognormal law: tables of them differ by chance only."""
    rng = np.random.default_rng(seed)
    return list(median_s * np.exp(spread * rng.standard_normal((blocks, rounds))))
