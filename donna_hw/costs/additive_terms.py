"""The prior of a fitted cost: non-negative weights of a basis, for a plain sum or for a launch floor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares, nnls

from donna_hw.costs.base import smooth_max
from donna_hw.errors import ConfigError

RIDGE = 1e-2  # bounds weights that the networks do not determine; shrinks the others by a ten-thousandth
LOG_WEIGHT_STD, LOG_SHARPNESS_STD = 2.0, 0.7  # widths of the priors of the floor's log weights and log sharpness
NOISE = 0.05  # of one network's log cost, for the floor's first fit
START_SHARPNESS = 6.0  # added to 2: a rather hard maximum


@dataclass(frozen=True)
class AdditiveWeights:
    """The weights of a basis.

    Args:
        weights: Float [K, F], none negative, for K parts.
        sharpness: None for one part, else that of the smooth maximum of two parts (launches, work).
    """

    weights: np.ndarray
    sharpness: float | None


def fit_sum(sums: np.ndarray, seconds: np.ndarray, expected: np.ndarray) -> AdditiveWeights:
    """Fit one part by non-negative least squares of the relative error.

    Args:
        sums: Basis features of whole networks, float [n, F].
        seconds: Their costs, float [n].
        expected: Prior weights, float [F], from which few networks cannot move the fit far; NaN where none is known.

    Returns:
        The weights of one part.
    """
    relative = sums / seconds[:, None]
    sizes = np.linalg.norm(relative, axis=0) / np.sqrt(len(seconds))
    sizes[sizes == 0] = 1.0
    known = np.isfinite(expected)
    # A prior weight may be off by a third; without one, the feature may make up a third of the network.
    pull = np.where(known, NOISE / 0.3, RIDGE * np.sqrt(len(seconds)))
    target = np.where(known, np.nan_to_num(expected) * sizes, 0.0) * pull
    stacked = np.vstack([relative / sizes, np.diag(pull)])
    scaled = nnls(stacked, np.concatenate([np.ones(len(seconds)), target]))[0]
    return AdditiveWeights((scaled / sizes)[None], None)


def fit_floor(sums: np.ndarray, seconds: np.ndarray, launches: tuple[int, ...]) -> AdditiveWeights:
    """Fit the launch floor, a smooth maximum of the launches and of all the work: a device waits for one or for the other.

    The log weights have wide priors, so that 10 networks are enough.

    Args:
        sums: Basis features of whole networks, float [n, F].
        seconds: Their costs, float [n].
        launches: Indices of the F features that make up the launches.

    Returns:
        The weights of both parts, and the sharpness.

    Raises:
        ConfigError: The basis does not count launches.
    """
    if not launches:
        raise ConfigError("the basis does not count layers, which a launch floor needs", hint="fit a sum instead")
    typical = float(np.exp(np.log(seconds).mean()))
    groups = (np.array(launches), np.arange(sums.shape[1]))
    scales = [np.where(sums[:, group].mean(axis=0) > 0, sums[:, group].mean(axis=0), np.inf) for group in groups]
    units = [sums[:, group] / scale * typical for group, scale in zip(groups, scales, strict=True)]
    logs, first = np.log(seconds), len(launches)
    widths = np.concatenate([np.full(first + sums.shape[1], LOG_WEIGHT_STD), [LOG_SHARPNESS_STD]])

    def split(z: np.ndarray) -> tuple[np.ndarray, float]:
        return np.stack([units[0] @ np.exp(z[:first]), units[1] @ np.exp(z[first:-1])], axis=1), 2 + np.exp(z[-1])

    best = None
    for share in (0.3, 0.85):  # mostly work, mostly launching
        start = np.log(
            np.concatenate([np.full(first, 0.9 * share / first), np.full(sums.shape[1], share / sums.shape[1])])
        )
        start = np.append(start, np.log(START_SHARPNESS))

        def errors(z: np.ndarray, start: np.ndarray = start) -> np.ndarray:
            parts, sharpness = split(z)
            return np.concatenate([(np.log(smooth_max(parts, sharpness)) - logs) / NOISE, (z - start) / widths])

        def slopes(z: np.ndarray) -> np.ndarray:
            parts, sharpness = split(z)
            whole = smooth_max(parts, sharpness)
            shares = (parts / whole[:, None]) ** sharpness
            rises = [
                unit * np.exp(part) * (shares[:, [k]] / parts[:, [k]])
                for k, (unit, part) in enumerate(zip(units, (z[:first], z[first:-1]), strict=True))
            ]
            bend = (shares * np.log(parts / whole[:, None])).sum(axis=1) / sharpness * np.exp(z[-1])
            return np.vstack([np.column_stack([*rises, bend]) / NOISE, np.diag(1 / widths)])

        solution = least_squares(errors, start, jac=slopes, max_nfev=40)
        best = solution if best is None or solution.cost < best.cost else best
    assert best is not None  # noqa: S101  there are two starts
    weights = np.zeros((2, sums.shape[1]))
    for k, (group, scale, part) in enumerate(zip(groups, scales, (best.x[:first], best.x[first:-1]), strict=True)):
        weights[k, group] = np.exp(part) / scale * typical
    return AdditiveWeights(weights, float(2 + np.exp(best.x[-1])))
