"""Statistics of the front benchmark: how much better the front is at each latency and on average, and what random search would cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from donna_hw._core.bootstrap import BootstrapInterval
from donna_hw.errors import InsufficientDataError
from donna_hw.experiments.search_cost import networks_needed, share_exceeding
from donna_hw.measurement.welch import welch_dof

Array = np.ndarray


@dataclass(frozen=True)
class LevelComparison:
    """The front minus a baseline in points of top-1: at each level, and the mean over levels, each with its 95 % interval (Student's t).

    Where both are the same network the difference is exactly zero. A level's interval is that of the noise of finetuning, pooled over the
    networks of a role; the mean's interval is that of the spread of levels.
    """

    baseline: str
    levels: dict[int, BootstrapInterval]
    mean: BootstrapInterval

    def outcome(self, level: int) -> str:
        """Return `better`, `worse`, or `tie` where the interval contains zero."""
        difference = self.levels[level]
        return "better" if difference.low > 0 else "worse" if difference.high < 0 else "tie"

    @property
    def counts(self) -> dict[str, int]:
        """How many levels have each outcome."""
        outcomes = [self.outcome(level) for level in self.levels]
        return {outcome: outcomes.count(outcome) for outcome in ("better", "tie", "worse")}


def verdicts(frame: pd.DataFrame) -> list[LevelComparison]:
    """Return the comparison with each baseline in a frame of `run_front_benchmark`.

    Raises `InsufficientDataError` where no network has two seeds.
    """
    seeds = {
        (line["level"], line["role"]): np.array([float(top1) for top1 in str(line["seeds_percent"]).split()])
        for line in frame.to_dict("records")
    }
    names = {(line["level"], line["role"]): line["network"] for line in frame.to_dict("records")}
    noise = {role: _seed_variance(lines, seeds) for role, lines in frame.groupby("role")}
    comparisons = []
    for baseline in dict.fromkeys(frame.loc[frame["role"] != "front", "role"]):
        levels = {
            level: BootstrapInterval(0.0, 0.0, 0.0)
            if names[level, role] == names[level, "front"]
            else _welch_interval((seeds[level, "front"], top1), (noise["front"], noise[baseline]))
            for (level, role), top1 in seeds.items()
            if role == baseline
        }
        mean = _mean_interval([difference.value for difference in levels.values()])
        comparisons.append(LevelComparison(str(baseline), levels, mean))
    return comparisons


def random_networks_needed(
    front: Array, latencies: Array, random: Array, random_latencies: Array
) -> list[tuple[float, int | None]]:
    """Return how many random networks a search needs to find one as good as each network of the front (paper, section E).

    Random networks are normal around a parabola in the logarithm of the latency.

    Args:
        front: Top-1 % of the front's networks, float [n].
        latencies: Their latencies in seconds, float [n].
        random: Top-1 % of random networks, float [m].
        random_latencies: Their latencies in seconds, float [m].

    Returns:
        For each network of the front, the share of random ones of its latency that beat it, and how many contain one with 95 % confidence;
        None instead of a number for a share below a billionth.
    """
    parabola = np.polyfit(np.log(random_latencies), random, 2)
    residuals = random - np.polyval(parabola, np.log(random_latencies))
    std = float(np.sqrt(np.square(residuals).sum() / (len(residuals) - 3)))
    shares = [
        share_exceeding(float(top1), float(np.polyval(parabola, np.log(latency))), std)
        for top1, latency in zip(front, latencies, strict=True)
    ]
    return [(share, networks_needed(share) if share > 1e-9 else None) for share in shares]


class SeedVariance(NamedTuple):
    """The variance of the top-1 between finetunings by other seeds, in per cent squared, and its degrees of freedom."""

    variance: float
    dof: int


def _seed_variance(lines: pd.DataFrame, seeds: dict[tuple[int, str], Array]) -> SeedVariance:
    """Return the noise of finetuning of the networks of one role, each counted once."""
    by_network = {line["network"]: seeds[line["level"], line["role"]] for line in lines.to_dict("records")}
    dof = sum(len(top1) - 1 for top1 in by_network.values())
    if not dof:
        raise InsufficientDataError(
            "the noise of finetuning needs a network of two seeds", got="one", hint="raise front_benchmark.seeds"
        )
    squares = sum(float(np.square(top1 - top1.mean()).sum()) for top1 in by_network.values())
    return SeedVariance(squares / dof, dof)


def _welch_interval(pair: tuple[Array, Array], noises: tuple[SeedVariance, SeedVariance]) -> BootstrapInterval:
    """Return the difference of two means with Welch's interval, the variances being those of their roles."""
    from scipy.stats import t

    value = float(pair[0].mean() - pair[1].mean())
    parts = [noise.variance / len(top1) for top1, noise in zip(pair, noises, strict=True)]
    if not sum(parts):
        return BootstrapInterval(value, value, value)
    dof = welch_dof(parts[0], noises[0].dof, parts[1], noises[1].dof)
    half = float(t.ppf(0.975, dof)) * float(np.sqrt(sum(parts)))
    return BootstrapInterval(value, value - half, value + half)


def _mean_interval(values: list[float]) -> BootstrapInterval:
    """Return the mean of levels; its interval is unknown for one level."""
    from scipy.stats import t

    value = float(np.mean(values))
    if len(values) < 2:
        return BootstrapInterval(value, float("nan"), float("nan"))
    half = float(t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
    return BootstrapInterval(value, value - half, value + half)
