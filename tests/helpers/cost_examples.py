"""Made devices: a basis of random numbers and costs that follow a known law, so that what a fit must find is known."""

from __future__ import annotations

import numpy as np

from donna_hw.costs.base import smooth_max
from donna_hw.costs.basis import FeatureBasis

NAMES = ("work", "layers", "constant")


def made_basis(
    seed: int = 0, *, stages: int = 5, kernels: int = 3, settings: int = 0, errors: bool = False
) -> FeatureBasis:
    """Return a basis of `stages` stages with two axes, kernels x 2 blocks, of work and layers that grow with both."""
    rng = np.random.default_rng(seed)
    blocks = kernels * 2
    places = np.unravel_index(np.arange(blocks), (kernels, 2))
    levels = np.linspace(-0.3, 0.3, settings) if settings else None
    scale = np.exp(2 * levels) if levels is not None else np.ones(1)
    each, wide = [], []
    for _ in range(stages):
        work = (1 + places[0]) * (1 + 2 * places[1]) * rng.uniform(0.5, 2, blocks)
        layers = 1.0 + places[1] + rng.integers(0, 3, blocks)
        each.append(
            np.stack([np.outer(scale, work), np.tile(layers, (len(scale), 1)), np.zeros((len(scale), blocks))], -1)
        )
        wide.append(rng.uniform(0.01, 0.05, (len(scale), blocks)))
    fixed = np.stack([2 * scale, 0 * scale + 3, 0 * scale + 1], axis=-1)
    values = tuple((("kernel", places[0]), ("style", places[1])) for _ in range(stages))
    expected = np.array([1.0, 0.0, 0.0]) if errors else np.full(3, np.nan)
    counts = (settings,) if settings else ()
    return FeatureBasis(
        NAMES, tuple(each), fixed, expected, (1, 2), values, levels, tuple(wide) if errors else None, counts
    )


def random_rows(basis: FeatureBasis, count: int, seed: int) -> np.ndarray:
    """Return networks drawn uniformly."""
    rng = np.random.default_rng(seed)
    return rng.integers(
        0,
        (*(values.shape[1] for values in basis.stages), *basis.setting_counts),
        (count, len(basis.stages) + len(basis.setting_counts)),
    )


def sum_of(basis: FeatureBasis, rows: np.ndarray, spread: float = 0.0, seed: int = 0) -> np.ndarray:
    """Return costs of a device that takes 1 ms a unit of work, 0.2 ms a layer and 0.5 ms a network; blocks differ by `spread`."""
    rng = np.random.default_rng([seed, 7])
    total = basis.sums(rows) @ np.array([1e-3, 2e-4, 5e-4])
    for i, values in enumerate(basis.stages):
        total = (
            total
            + (values[basis.setting_index(rows), rows[:, i], 0] * 1e-3)
            * (spread * rng.standard_normal(values.shape[1]))[rows[:, i]]
        )
    return np.asarray(total)


def floor_of(basis: FeatureBasis, rows: np.ndarray) -> np.ndarray:
    """Return costs of a device that waits for 1.2 ms a layer or for 1 ms a unit of work, whichever is more."""
    sums = basis.sums(rows)
    return smooth_max(np.stack([sums[:, 1] * 1.2e-3, sums[:, 0] * 1e-3], axis=1), 8.0)


def noisy(seconds: np.ndarray, relative: float, seed: int) -> np.ndarray:
    """Return measured costs with normal noise in their logs."""
    return np.asarray(seconds * np.exp(relative * np.random.default_rng([seed, 3]).standard_normal(len(seconds))))
