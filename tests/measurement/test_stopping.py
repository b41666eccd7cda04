"""When a block has been trialed often enough: every rule at the very round that its closed form says."""

from __future__ import annotations

from math import cosh, exp, inf, sinh, sqrt

import numpy as np
import pytest
from scipy import stats

from donna_hw.errors import ConfigError
from donna_hw.measurement.environment import Environment
from donna_hw.measurement.measurement import Measurement, Samples, Trial
from donna_hw.measurement.protocol import PROTOCOLS, Protocol
from donna_hw.measurement.stopping import stopping_rule

HERE = Environment({"device_model": "fake"})


def adaptive(rounds: int = 40, min_rounds: int = 8, limit_s: float = inf) -> Protocol:
    return Protocol("fake", rounds, 0, 2, "median", precision=0.015, min_rounds=min_rounds, limit_s=limit_s)


def measured(medians_s: np.ndarray, protocol: Protocol) -> Measurement:
    trials = [Trial(n, Samples(np.full(2, median)), np.empty(0)) for n, median in enumerate(medians_s)]
    return Measurement(tuple(trials), protocol, HERE)


def rules(medians_s: np.ndarray, protocol: Protocol) -> list[str | None]:
    """Return what is said after the first round, the second, ..."""
    return [stopping_rule(measured(medians_s[:count], protocol)) for count in range(1, medians_s.size + 1)]


def alternating(spread: float, count: int = 40) -> np.ndarray:
    """Rounds whose logarithms are +spread, -spread, +spread, ..."""
    return np.exp(spread * np.where(np.arange(count) % 2 == 0, 1.0, -1.0))


def half_width_of_alternating(spread: float, count: int) -> float:
    """Half the interval as a share of the median, of the first `count` rounds, by hand."""
    t = stats.t.ppf(0.975, count - 1)
    if count % 2 == 0:  # mean log 0, variance s^2 n / (n - 1); the median lies between both values
        return float(sinh(t * spread / sqrt(count - 1)) / cosh(spread))
    half = (
        t * spread * sqrt((count + 1) / count) / sqrt(count)
    )  # variance s^2 (n + 1) / n; the median is the upper value
    return float(exp(spread / count) * sinh(half) / exp(spread))


@pytest.mark.parametrize("spread", [0.0, 0.005, 0.02, 0.025, 0.03, 0.035, 0.04])
def test_measuring_ends_at_the_first_round_that_is_precise(spread: float) -> None:
    wanted = next(n for n in range(8, 41) if half_width_of_alternating(spread, n) <= 0.015)
    stops = rules(alternating(spread, wanted), adaptive())
    assert stops == [None] * (wanted - 1) + ["precise"]
    assert (wanted > 8) == (spread > 0.01)


def test_spread_that_no_longer_changes_and_cannot_become_precise_ends_at_twice_the_fewest_rounds() -> None:
    spread = 0.2
    least = stats.t.ppf(0.975, 39) * spread / sqrt(40)
    assert least > 0.015, "forty rounds would not do"
    assert rules(alternating(spread, 16), adaptive()) == [None] * 15 + ["stable"]


def test_spread_that_still_changes_goes_on() -> None:
    medians = np.concatenate([alternating(0.05, 12), alternating(0.4, 28)])
    stops = rules(medians, adaptive())
    assert stops[15] is None
    before, now = medians[:12].std(ddof=1), medians[:16].std(ddof=1)
    assert abs(before / now - 1) > 0.1
    first = next(n for n in range(16, 41) if stops[n - 1])
    before, now = medians[: -(-3 * first // 4)].std(ddof=1), medians[:first].std(ddof=1)
    assert stops[first - 1] == "stable"
    assert abs(before / now - 1) <= 0.1


def test_spread_that_the_remaining_rounds_would_average_away_is_not_called_stable() -> None:
    spread = 0.04
    assert stats.t.ppf(0.975, 39) * spread / sqrt(40) < 0.015
    assert "stable" not in rules(alternating(spread), adaptive())


@pytest.mark.parametrize("rounds", [8, 9, 15])
def test_rounds_are_used_up(rounds: int) -> None:
    assert rules(alternating(0.2, rounds), adaptive(rounds)) == [None] * (rounds - 1) + ["limit"]


def test_fewer_rounds_than_the_fewest_are_possible_when_asked_for() -> None:
    assert rules(alternating(0.2, 2), adaptive(rounds=2)) == [None, "limit"]


def test_time_is_used_up_at_the_trial_that_reaches_the_limit() -> None:
    medians = alternating(0.2, 12)
    spent = np.cumsum(2 * medians)  # two samples a trial
    protocol = adaptive(limit_s=float(spent[9]))
    assert rules(medians[:10], protocol) == [None] * 9 + ["limit"]
    assert rules(medians[:8], adaptive(limit_s=1e-9)) == [None] * 7 + ["limit"], "never before the fewest rounds"


def test_what_is_precise_at_its_last_round_is_called_precise() -> None:
    assert rules(np.ones(8), adaptive(rounds=8))[-1] == "precise"


@pytest.mark.parametrize("name", ["paper_v100", "paper_s20", "paper_simulator"])
def test_the_papers_protocols_end_after_their_one_round_whatever_it_shows(name: str) -> None:
    protocol = PROTOCOLS[name]
    assert (protocol.precision, protocol.trial_s, protocol.limit_s, protocol.rounds) == (None, None, inf, 1)
    assert rules(np.array([1.0]), protocol) == ["fixed"]


def test_fixed_rounds_are_all_made() -> None:
    assert rules(np.ones(5), Protocol("fake", 5, 0, 2, "median")) == [None] * 4 + ["fixed"]


def test_a_difference_that_is_lost_in_its_chain_is_stable() -> None:
    trials = [
        Trial(n, Samples(np.full(2, 0.99 + 0.1 * (-1) ** n)), np.empty(0), baseline_s=np.full(2, 1.0))
        for n in range(20)
    ]
    assert Measurement(tuple(trials), adaptive(), HERE).median_s < 0
    assert stopping_rule(Measurement(tuple(trials[:15]), adaptive(), HERE)) is None
    assert stopping_rule(Measurement(tuple(trials), adaptive(), HERE)) == "stable"
    assert stopping_rule(Measurement(tuple(trials), adaptive(rounds=20), HERE)) == "limit"


@pytest.mark.parametrize(
    ("field", "value"),
    [("precision", 0.0), ("precision", float("nan")), ("trial_s", 0.0), ("limit_s", -1.0), ("timeout_s", 0.0)],
)
def test_a_precision_or_limit_out_of_range_is_refused(field: str, value: float) -> None:
    from dataclasses import replace

    with pytest.raises(ConfigError, match=f"protocol fake: {field} must be above 0"):
        replace(adaptive(), **{field: value})


def test_an_interval_over_rounds_needs_three() -> None:
    with pytest.raises(ConfigError, match=r"min_rounds must be at least 3 .*; got 2"):
        adaptive(min_rounds=2)
