"""Block qualities: which metrics and counts exist, and the arrays of them for blocks and networks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from donna_hw.errors import ConfigError, UnknownNameError
from donna_hw.spaces.space import Rows

METRICS = ("nsr", "l1", "loss", "error_percent", "kl")  # of a block, lower is better; paper A.4.2, and Puzzle's
COUNTS = ("macs", "params")  # of a block, may be combined with its metrics
JOINT_METRICS = "kl+nsr+loss+macs"  # the default of a predictor of several metrics


def gather_qualities(qualities: tuple[np.ndarray, ...], rows: Rows) -> np.ndarray:
    """Return the quality of each row's block in each stage.

    Args:
        qualities: The quality of every block, float [stage][block], or [stage][block, metric] for several metrics.
        rows: Block numbers int [n, stages or more].

    Returns:
        Float [n, stages], or [n, stages, metrics] for several metrics.
    """
    return np.stack([values[rows[:, stage]] for stage, values in enumerate(qualities)], axis=1)


def stack_metrics(metrics: Sequence[tuple[np.ndarray, ...]]) -> tuple[np.ndarray, ...]:
    """Combine several metrics of every block, each float [stage][block], into one float [stage][block, metric]."""
    return tuple(
        np.stack([np.asarray(values, float) for values in stage], axis=1) for stage in zip(*metrics, strict=True)
    )


def is_trained(values: np.ndarray) -> np.ndarray:
    """Return bool [n]: whether all qualities of each block or network, float [n, ...], are finite; diverged blocks have infinite ones."""
    return np.asarray(np.isfinite(values).all(axis=tuple(range(1, values.ndim))))


def parse_metrics(text: str) -> tuple[str, ...]:
    """Split a text such as `kl` or `kl+nsr+macs` into its metrics and counts.

    Raises:
        UnknownNameError: For a name in neither `METRICS` nor `COUNTS`.
        ConfigError: For a name that is repeated, or without any metric.
    """
    names = tuple(text.split("+"))
    for name in names:
        if name not in METRICS + COUNTS:
            raise UnknownNameError("unknown block metric", got=name, choices=METRICS + COUNTS)
    if len(set(names)) < len(names) or not set(names) & set(METRICS):
        raise ConfigError(
            "metrics must be different, and at least one of them not a count",
            got=text,
            hint=f"choose one or more of {', '.join(METRICS)}, and add {', '.join(COUNTS)} to them if wanted",
        )
    return names
