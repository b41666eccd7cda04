"""Link: accuracies as a number that grows without end towards a ceiling, -log(ceiling - accuracy), and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from donna_hw.errors import BadSetting
from donna_hw.predictors.base import Array

LEAST_GAP_PERCENT = 0.1  # of networks that are all equally accurate


@dataclass(frozen=True)
class Link:
    """A ceiling and a gap in per cent: a network nearer to the ceiling than the gap counts as if it were that far below."""

    ceiling_percent: float
    gap_percent: float

    def of(self, top1_percent: Array) -> Array:
        """Return -log(ceiling - accuracy), float [n]."""
        return np.asarray(-np.log(np.maximum(self.ceiling_percent - top1_percent, self.gap_percent)))

    def back(self, link: Array) -> tuple[Array, Array]:
        """Return (top-1 %, its slope by the link), float [n] each.

        Where the formula falls below half of the ceiling, the accuracy is ceiling^2 / 4 / error instead, which joins it with the same
        slope, falls with every worse block, and stays above 0; the slope stays that of the bend.
        """
        half = np.log(self.ceiling_percent / 2)
        error = np.exp(np.minimum(-link, half))
        tail = self.ceiling_percent**2 / 4 * np.exp(-np.maximum(-link, half))
        return np.asarray(np.where(-link <= half, self.ceiling_percent - error, tail)), np.asarray(error)


def link_of(top1_percent: Array, asked_percent: float = 0.0) -> Link:
    """Return the link for networks of these accuracies, float [n], and a teacher of `asked_percent`, 0 for none.

    gap: half of the accuracies' interquartile range, and at least 0.1. The ceiling is the teacher's accuracy, raised to one gap above
    the best network where it lies lower, and at most 100; only there can a network be nearer to it than the gap, which no logarithm
    of nearly nothing makes rule the fit. Raises `BadSetting` on a share that is none.
    """
    if not ((top1_percent >= 0) & (top1_percent <= 100)).all() or not 0 <= asked_percent <= 100:
        found = f"{top1_percent.min():g} to {top1_percent.max():g}, a ceiling of {asked_percent:g}"
        raise BadSetting("accuracies and their ceiling lie in 0..100 %", found=found, cure="give them in per cent")
    low, high = np.percentile(top1_percent, [25, 75])  # no deviation: one poor corner of the space would widen it
    gap = max(float(high - low) / 2, LEAST_GAP_PERCENT)
    return Link(min(max(asked_percent, float(top1_percent.max()) + gap), 100.0), gap)
