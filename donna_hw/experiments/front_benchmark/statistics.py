"""What a proof shows: by how much the front is better at each latency, and over all, and what that saves."""

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
    """The front less a rival in points of top-1: at each level, and the mean over levels, each with its 95 % interval (Student's t).

    Where both are the same network the difference is exactly zero. A level's interval is of the noise of finetuning, pooled over the
    networks of a role; the mean's is of the spread of levels.
    """

    baseline: str
    levels: dict[int, BootstrapInterval]
    mean: BootstrapInterval

    def outcome(self, level: int) -> str:
        """Return `better`, `worse`, or `tie` where the interval holds zero."""
        found = self.levels[level]
        return "better" if found.low > 0 else "worse" if found.high < 0 else "tie"

    @property
    def counts(self) -> dict[str, int]:
        """How many levels have each word."""
        words = [self.outcome(level) for level in self.levels]
        return {word: words.count(word) for word in ("better", "tie", "worse")}


def verdicts(frame: pd.DataFrame) -> list[LevelComparison]:
    """Return a verdict for each rival in a frame of `prove`; raises `InsufficientDataError` where no network has two seeds."""
    seeds = {
        (line["level"], line["role"]): np.array([float(top1) for top1 in str(line["seeds_percent"]).split()])
        for line in frame.to_dict("records")
    }
    names = {(line["level"], line["role"]): line["network"] for line in frame.to_dict("records")}
    noise = {role: _seed_variance(lines, seeds) for role, lines in frame.groupby("role")}
    found = []
    for rival in dict.fromkeys(frame.loc[frame["role"] != "front", "role"]):
        at = {
            level: BootstrapInterval(0.0, 0.0, 0.0)
            if names[level, role] == names[level, "front"]
            else _welch_interval((seeds[level, "front"], top1), (noise["front"], noise[rival]))
            for (level, role), top1 in seeds.items()
            if role == rival
        }
        found.append(LevelComparison(str(rival), at, _mean_interval([each.value for each in at.values()])))
    return found


def random_networks_needed(
    front: Array, latencies: Array, random: Array, random_latencies: Array
) -> list[tuple[float, int | None]]:
    """Return, for each network of the front, the share of random ones of its latency that beat it and how many hold one (paper, section E).

    front, random: top-1 %; latencies in seconds, all float. Random networks are normal around a parabola in the logarithm of the latency;
    None where no number of them would do (a share below a billionth).
    """
    parabola = np.polyfit(np.log(random_latencies), random, 2)
    rest = random - np.polyval(parabola, np.log(random_latencies))
    std = float(np.sqrt(np.square(rest).sum() / (len(rest) - 3)))
    shares = [
        share_exceeding(float(top1), float(np.polyval(parabola, np.log(latency))), std)
        for top1, latency in zip(front, latencies, strict=True)
    ]
    return [(share, networks_needed(share) if share > 1e-9 else None) for share in shares]


class SeedVariance(NamedTuple):
    """The variance of a finetuning by its seed, in per cent squared, and how many degrees of freedom it has."""

    variance: float
    dof: int


def _seed_variance(lines: pd.DataFrame, seeds: dict[tuple[int, str], Array]) -> SeedVariance:
    """Return the noise of the networks of one role, each counted once."""
    different = {line["network"]: seeds[line["level"], line["role"]] for line in lines.to_dict("records")}
    freedom = sum(len(top1) - 1 for top1 in different.values())
    if not freedom:
        raise InsufficientDataError("a proof needs networks of two seeds", got="one", hint="raise proof.seeds")
    return SeedVariance(
        sum(float(np.square(top1 - top1.mean()).sum()) for top1 in different.values()) / freedom, freedom
    )


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
