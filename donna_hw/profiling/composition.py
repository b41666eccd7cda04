"""Composition: a block that repeats a section is predicted from its sections, and a sample measured whole bounds the error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from donna_hw.errors import InsufficientDataError

SAMPLE_SHARE, MIN_SAMPLE_SIZE = 0.1, 12


@dataclass(frozen=True)
class Estimate:
    """A latency and its standard error, in seconds."""

    value_s: float
    error_s: float


@dataclass(frozen=True)
class Composition:
    """latency = scale * (sum of the sections) + joint_s * (sections - 1), fitted to a sample of blocks measured whole.

    Attributes:
        scale: The factor of the sum.
        joint_s: What a joint costs, usually below zero: each section alone pays for its own call, input and output.
        residual_std: Standard deviation of the relative error on blocks left out of the fit.
        sample_size: How many blocks were measured whole.
    """

    scale: float
    joint_s: float
    residual_std: float
    sample_size: int

    def estimate(self, sections: list[Estimate]) -> Estimate:
        """Return the latency of a block of these sections; a section that repeats is one measurement with one error."""
        total = sum(section.value_s for section in sections)
        value = self.scale * total + self.joint_s * (len(sections) - 1)
        errors: dict[Estimate, float] = {}
        for section in sections:
            errors[section] = errors.get(section, 0.0) + self.scale * section.error_s
        error = float(np.sqrt(sum(e**2 for e in errors.values()) + (self.residual_std * value) ** 2))
        return Estimate(value, error)


def fit_composition(sections: list[list[Estimate]], whole: list[Estimate]) -> Composition:
    """Fit a composition to blocks whose sections and whole are measured, by least squares of the relative error.

    Raises `InsufficientDataError` for fewer than four blocks.
    """
    if len(whole) < 4:
        raise InsufficientDataError(
            "predicting blocks from their sections needs at least 4 blocks measured whole",
            got=len(whole),
            hint="measure all of them whole, without --predict-repeats",
        )
    measured = np.array([block.value_s for block in whole])
    terms = np.array([[sum(s.value_s for s in parts), len(parts) - 1] for parts in sections]) / measured[:, None]
    scale, joint = np.linalg.lstsq(terms, np.ones(len(whole)), rcond=None)[0]
    hat = terms @ np.linalg.pinv(terms)
    residuals = terms @ np.array([scale, joint]) - 1
    left_out = residuals / (1 - np.diag(hat))  # the error of each block without itself in the fit
    return Composition(float(scale), float(joint), float(np.sqrt(np.mean(left_out**2))), len(whole))


def select_sample(composed: Mapping[str, int], seed: int = 0) -> set[str]:
    """Return the blocks to measure whole, of {layers_hash: number of sections}: a tenth, at least 12, each number of sections in turn."""
    count = max(MIN_SAMPLE_SIZE, round(SAMPLE_SHARE * len(composed)))
    rng = np.random.default_rng(seed)
    order = [str(key) for key in rng.permutation(sorted(composed))]
    rank: dict[int, int] = {}
    places = {}
    for key in order:
        number = composed[key]
        rank[number] = places[key] = rank.get(number, 0) + 1
    return set(sorted(order, key=lambda key: (places[key], composed[key]))[:count])
