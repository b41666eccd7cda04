"""Qualities of blocks: which metrics and counts there are, and those of networks, as arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from donna_hw.errors import ConfigError, UnknownNameError
from donna_hw.spaces.space import Rows

METRICS = ("nsr", "l1", "loss", "error_percent", "kl")  # of a block, lower is better; paper A.4.2, and Puzzle's
COUNTS = ("macs", "params")  # of a block, which may stand beside its metrics
JOINT_METRICS = "kl+nsr+loss+macs"  # what a predictor of several metrics reads, if nothing else is asked for


def gather_qualities(qualities: tuple[np.ndarray, ...], rows: Rows) -> np.ndarray:
    """Return what each stage's block of each row has, float [n, stages], or [n, stages, metrics] of several metrics."""
    return np.stack([values[rows[:, stage]] for stage, values in enumerate(qualities)], axis=1)


def stack_metrics(each: Sequence[tuple[np.ndarray, ...]]) -> tuple[np.ndarray, ...]:
    """Return several metrics of every block, each [stage][block], as one [stage][block, metric]."""
    return tuple(np.stack([np.asarray(values, float) for values in stage], axis=1) for stage in zip(*each, strict=True))


def is_trained(values: np.ndarray) -> np.ndarray:
    """Return bool [n]: which of n blocks, or n networks, are of trained blocks; of float [n, ...], infinite for diverged ones."""
    return np.asarray(np.isfinite(values).all(axis=tuple(range(1, values.ndim))))


def parse_metrics(text: str) -> tuple[str, ...]:
    """Return the names in `kl` or `kl+nsr+macs`, each once; raises `UnknownNameError` and `ConfigError`."""
    names = tuple(text.split("+"))
    for name in names:
        if name not in METRICS + COUNTS:
            raise UnknownNameError("a block's quality must be a known metric", got=name, choices=METRICS + COUNTS)
    if len(set(names)) < len(names) or not set(names) & set(METRICS):
        rule = "qualities must be different metrics, at least one of them no count"
        raise ConfigError(
            rule, got=text, hint=f"choose among {', '.join(METRICS)}, and {', '.join(COUNTS)} beside them"
        )
    return names
