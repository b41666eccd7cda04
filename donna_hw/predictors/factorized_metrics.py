"""Qualities predicted from blocks that differ from the reference on one axis alone (after Puzzle's decoupled training)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import kendalltau

from donna_hw.errors import InsufficientDataError
from donna_hw.spaces.stage import Stage
from donna_hw.training.libraries import BlockLibrary


@dataclass(frozen=True)
class Agreement:
    """How well predicted qualities agree with a stage's blocks that differ from the reference on two axes or more.

    blocks: how many are compared; tau: Kendall's, 1 is perfect; log_error: root mean square error of log quality.
    """

    stage: str
    blocks: int
    tau: float
    log_error: float


def single_axis_mask(stage: Stage) -> np.ndarray:
    """Return whether each block differs from the reference on one axis at most, bool [block]."""
    return np.asarray(_count_axis_differences(stage) <= 1)


def predict_quality(stage: Stage, quality: np.ndarray) -> np.ndarray:
    """Return each block's quality as the reference's times one factor an axis, float [block]; additive in the logarithm.

    Only the blocks trained `single_axis_mask` are read. Raises `InsufficientDataError` when one of them has no finite quality above zero.
    """
    known = quality[single_axis_mask(stage)]
    if not (np.isfinite(known) & (known > 0)).all():
        raise InsufficientDataError(
            f"{stage.name}: blocks trained apart must have finite qualities above zero",
            got=f"{(~(np.isfinite(known) & (known > 0))).sum()} without",
            hint="lower distill.learning_rate, since these have diverged",
        )
    reference = np.unravel_index(stage.reference, stage.counts)
    grid = quality.reshape(stage.counts)
    total = np.full(stage.counts, np.log(grid[reference]))
    for axis, count in enumerate(stage.counts):
        line = tuple(slice(None) if other == axis else at for other, at in enumerate(reference))
        shape = [count if other == axis else 1 for other in range(len(reference))]
        total += (np.log(grid[line]) - np.log(grid[reference])).reshape(shape)
    return np.asarray(np.exp(total).ravel())


def compute_agreement(library: BlockLibrary, metric: str = "nsr") -> list[Agreement]:
    """Compare predicted with trained qualities of a full library, stage by stage; diverged blocks are left out.

    NaN where fewer than two blocks can be compared. Raises `InsufficientDataError` when blocks are missing.
    """
    found = []
    for stage, quality in zip(library.space.stages, library.qualities(metric), strict=True):
        other = ~single_axis_mask(stage) & np.isfinite(quality) & (quality > 0)
        foretold, true = predict_quality(stage, quality)[other], quality[other]
        enough = len(true) > 1
        tau = float(kendalltau(foretold, true).statistic) if enough else float("nan")
        error = float(np.sqrt(np.mean(np.log(foretold / true) ** 2))) if enough else float("nan")
        found.append(Agreement(stage.name, len(true), tau, error))
    return found


def _count_axis_differences(stage: Stage) -> np.ndarray:
    """Return on how many axes each block differs from the reference, int [block]."""
    choices = np.stack(np.unravel_index(np.arange(stage.size), stage.counts))
    reference = np.stack(np.unravel_index(stage.reference, stage.counts))
    return np.asarray((choices != reference[:, None]).sum(0))
