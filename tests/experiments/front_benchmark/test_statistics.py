"""What a proof shows, on made accuracies."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm, ttest_ind

from donna_hw.errors import InsufficientDataError
from donna_hw.experiments.front_benchmark.statistics import random_networks_needed, verdicts


def frame_of(*lines: tuple[int, str, str, list[float]]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"level": level, "role": role, "network": name, "seeds_percent": " ".join(map(str, top1))}
            for level, role, name, top1 in lines
        ]
    )


def test_one_level_of_one_network_a_role_is_welchs_test() -> None:
    front, random = [91.0, 91.4, 91.1], [90.0, 90.9, 90.3]
    (found,) = verdicts(frame_of((0, "front", "a", front), (0, "random", "b", random)))
    expected = ttest_ind(front, random, equal_var=False).confidence_interval(0.95)
    assert found.levels[0].value == pytest.approx(np.mean(front) - np.mean(random))
    assert (found.levels[0].low, found.levels[0].high) == pytest.approx((expected.low, expected.high))


def test_words_and_the_mean_over_levels() -> None:
    lines = [
        (0, "front", "a", [92.0, 92.2]),
        (1, "front", "b", [93.0, 93.2]),
        (2, "front", "c", [94.0, 94.2]),
        (0, "scaled", "d", [90.0, 90.2]),
        (1, "scaled", "b", [93.0, 93.2]),
        (2, "scaled", "e", [97.0, 97.2]),
    ]
    (found,) = verdicts(frame_of(*lines))
    assert [found.outcome(level) for level in range(3)] == ["better", "tie", "worse"]
    assert found.counts == {"better": 1, "tie": 1, "worse": 1}
    assert found.levels[1].low == found.levels[1].high == 0  # it is the same network
    assert found.mean.value == pytest.approx((2 + 0 - 3) / 3)
    assert found.mean.low < found.mean.value < found.mean.high


def test_networks_of_one_seed_prove_nothing() -> None:
    with pytest.raises(InsufficientDataError, match=r"front_benchmark\.seeds"):
        verdicts(frame_of((0, "front", "a", [92.0]), (0, "random", "b", [90.0])))


def test_as_many_random_networks_are_needed_as_were_made_to_be() -> None:
    rng = np.random.default_rng(0)
    latencies = np.exp(rng.uniform(-10, -8, 4000))
    middle = 80 + 3 * np.log(latencies) - 0.2 * np.log(latencies) ** 2
    random = middle + rng.normal(0, 1.5, 4000)
    at = np.exp(-9.0)
    front = np.array([80 + 3 * -9 - 0.2 * 81 + 1.5 * norm.ppf(0.99), 200.0])
    (share, count), (_, never) = random_networks_needed(front, np.array([at, at]), random, latencies)
    assert share == pytest.approx(0.01, rel=0.15)
    assert count == pytest.approx(np.log(0.05) / np.log(1 - share), abs=1)
    assert never is None
