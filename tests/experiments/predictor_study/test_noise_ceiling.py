"""The noise ceiling against noise of a known size."""

from __future__ import annotations

import numpy as np
import pytest
from study_examples import example_data

from donna_hw._core.bootstrap import kendall_taus
from donna_hw.errors import InsufficientDataError
from donna_hw.experiments.predictor_study.data import NetworkGroup
from donna_hw.experiments.predictor_study.noise_ceiling import noise_ceiling, seed_variance


def group_of(by_seed: list[list[float]]) -> NetworkGroup:
    return NetworkGroup(np.zeros((len(by_seed), 1), np.int64), np.array(by_seed), np.zeros(len(by_seed)))


def test_the_variance_is_pooled_over_networks_of_two_seeds() -> None:
    one, other = group_of([[1.0, 3.0], [5.0, np.nan]]), group_of([[2.0, 2.0]])
    assert seed_variance([one, other]) == pytest.approx((1 + 1 + 0) / 2)  # sums of squares over degrees of freedom


def test_no_network_of_two_seeds_says_how_to_get_them() -> None:
    with pytest.raises(InsufficientDataError, match=r"finetune\.repeats"):
        seed_variance([group_of([[1.0, np.nan], [2.0, np.nan]])])


def test_without_noise_the_ceiling_is_one() -> None:
    found = example_data(noise=0.0).groups["test"]
    ceiling = noise_ceiling(found, np.ones(len(found)), 0.0, draws=20)
    assert (ceiling.kendall_tau.value, ceiling.pairs.value, ceiling.seed_std_percent) == (1.0, 1.0, 0.0)


def test_networks_that_differ_by_noise_alone_have_no_order_to_find() -> None:
    found = group_of([[1.0], [2.0], [3.0], [4.0]])
    ceiling = noise_ceiling(found, np.ones(4), 100.0, draws=20)
    assert (ceiling.kendall_tau.value, ceiling.pairs.value) == (0.0, 0.5)


@pytest.mark.parametrize("noise", [0.3, 1.0])
def test_a_predictor_that_knows_the_truth_reaches_the_ceiling(noise: float) -> None:
    counts, once = (10, 400, 10), np.ones((1, 400), np.int64)
    made = example_data(noise, counts=counts)
    found, truth = made.groups["test"], made.groups["test"].stitched_percent + 20
    ceiling = noise_ceiling(found, np.ones(400), seed_variance([found]), draws=100)
    assert (
        ceiling.kendall_tau.low - 0.02
        <= kendall_taus(truth, found.top1_percent, once)[0]
        <= ceiling.kendall_tau.high + 0.02
    )
    assert ceiling.seed_std_percent == pytest.approx(noise, rel=0.1)
