"""Qualities predicted from blocks that differ from the reference on a single axis (after Puzzle's decoupled training)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from donna_hw._core.ranking import kendall_tau
from donna_hw.errors import InsufficientDataError
from donna_hw.spaces.stage import Stage
from donna_hw.training.libraries import BlockLibrary


@dataclass(frozen=True)
class Agreement:
    """How well predicted qualities agree with trained ones for a stage's blocks that differ from the reference on two axes or more.

    Args:
        stage: The stage's name.
        blocks: Number of blocks that are compared.
        tau: Kendall's tau of predicted and trained qualities; 1 is perfect.
        log_error: Root-mean-square error of the logarithm of quality.
    """

    stage: str
    blocks: int
    tau: float
    log_error: float


def single_axis_mask(stage: Stage) -> np.ndarray:
    """Return bool [block]: whether each block differs from the reference on at most one axis."""
    return np.asarray(_count_axis_differences(stage) <= 1)


def predict_quality(stage: Stage, quality: np.ndarray) -> np.ndarray:
    """Predict each block's quality as the reference's times one factor for each axis, so that it is additive in the logarithm.

    Args:
        stage: The stage.
        quality: The quality of its blocks, float [block], of which only those in `single_axis_mask` are read.

    Returns:
        The predicted quality of all blocks, float [block].

    Raises:
        InsufficientDataError: When a block in the mask has no finite quality above zero.
    """
    trained = quality[single_axis_mask(stage)]
    usable = np.isfinite(trained) & (trained > 0)
    if not usable.all():
        raise InsufficientDataError(
            f"{stage.name}: {(~usable).sum()} blocks that differ from the reference on one axis have no finite quality above zero",
            hint="lower distill.learning_rate, since these blocks have diverged",
        )
    reference = np.unravel_index(stage.reference, stage.counts)
    grid = quality.reshape(stage.counts)
    total = np.full(stage.counts, np.log(grid[reference]))
    for axis, count in enumerate(stage.counts):
        line = tuple(slice(None) if other == axis else choice for other, choice in enumerate(reference))
        shape = [count if other == axis else 1 for other in range(len(reference))]
        total += (np.log(grid[line]) - np.log(grid[reference])).reshape(shape)
    return np.asarray(np.exp(total).ravel())


def compute_agreement(library: BlockLibrary, metric: str = "nsr") -> list[Agreement]:
    """Compare predicted with trained qualities of a complete library, stage by stage, without diverged blocks.

    Args:
        library: The Block Library.
        metric: A name in `METRICS`.

    Returns:
        One agreement for each stage, with NaN where fewer than two blocks can be compared.

    Raises:
        InsufficientDataError: When blocks are missing.
    """
    agreements = []
    for stage, quality in zip(library.space.stages, library.qualities(metric), strict=True):
        compared = ~single_axis_mask(stage) & np.isfinite(quality) & (quality > 0)
        predicted, trained = predict_quality(stage, quality)[compared], quality[compared]
        enough = len(trained) > 1
        tau = kendall_tau(predicted, trained) if enough else float("nan")
        error = float(np.sqrt(np.mean(np.log(predicted / trained) ** 2))) if enough else float("nan")
        agreements.append(Agreement(stage.name, len(trained), tau, error))
    return agreements


def _count_axis_differences(stage: Stage) -> np.ndarray:
    """Return on how many axes each block differs from the reference, int [block]."""
    choices = np.stack(np.unravel_index(np.arange(stage.size), stage.counts))
    reference = np.stack(np.unravel_index(stage.reference, stage.counts))
    return np.asarray((choices != reference[:, None]).sum(0))
