"""How accuracy goes with precision: closed forms and SciPy's answers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from donna_hw.experiments.detection.markdown import correlate_accuracy, pretraining_gain


def test_a_line_is_found_exactly() -> None:
    top1 = np.array([80.0, 82.0, 85.0, 90.0, 91.0])
    found = correlate_accuracy(top1, 3 * top1 - 200, -top1)
    assert found.kendall_tau.value == pytest.approx(1)
    assert found.pearson.value == pytest.approx(1)
    assert (found.slope.value, found.slope.low, found.slope.high) == pytest.approx((3, 3, 3))
    assert found.macs_tau.value == pytest.approx(-1)


def test_correlations_are_scipys() -> None:
    rng = np.random.default_rng(1)
    top1, precision, macs = rng.normal(80, 3, 12), rng.normal(30, 4, 12), rng.uniform(1, 9, 12)
    found = correlate_accuracy(top1, precision, macs)
    assert found.kendall_tau.value == pytest.approx(stats.kendalltau(top1, precision).statistic)
    assert found.pearson.value == pytest.approx(stats.pearsonr(top1, precision).statistic)
    assert found.slope.value == pytest.approx(stats.linregress(top1, precision).slope)
    assert found.macs_tau.value == pytest.approx(stats.kendalltau(macs, precision).statistic)
    assert found.pearson.low < found.pearson.value < found.pearson.high


def frame(pretrained: list[float], scratch: list[float]) -> pd.DataFrame:
    """Return a journal of networks named by their number."""
    lines = [(str(n), "pretrained", value) for n, value in enumerate(pretrained)]
    lines += [(str(n), "scratch", value) for n, value in enumerate(scratch)]
    return pd.DataFrame(lines, columns=["network", "start", "map_percent"])


def test_a_gain_is_students_over_the_same_networks() -> None:
    found = pretraining_gain(frame([5.0, 7.0, 6.0, 99.0], [4.0, 4.0, 4.0]))
    assert found is not None
    assert found.value == pytest.approx(2)
    expected = stats.ttest_1samp([1.0, 3.0, 2.0], 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx(tuple(expected))
    assert pretraining_gain(frame([5.0, 7.0, 6.0], [])) is None
