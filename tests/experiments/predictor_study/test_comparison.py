"""A predictor beside its rivals on made networks whose truth is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from study_examples import example_data

from donna_hw._core.ranking import equal_cost_concordance, kendall_tau
from donna_hw.errors import InsufficientDataError
from donna_hw.experiments.predictor_study.baselines import predict_baselines
from donna_hw.experiments.predictor_study.comparison import OURS, compare, predict_top1
from donna_hw.experiments.predictor_study.markdown import comparison_markdown
from donna_hw.experiments.predictor_study.spaces_markdown import COLUMN_TITLES, spaces_markdown
from donna_hw.experiments.predictor_study.targets import format_targets

RIVALS = {"MACs", "parameters", "MACs by stage", "parameters by stage", "sum of NSR"}


def test_the_right_model_of_networks_without_noise_is_perfect() -> None:
    found = compare(example_data(noise=0.0), "test", draws=200)
    assert found.scores[OURS].kendall_tau.value == pytest.approx(1.0)
    assert found.scores[OURS].mse < 1e-3
    assert found.gain_over_best.low > 0
    assert set(found.scores) == {OURS, *RIVALS, "stitched accuracy"}


def test_values_are_those_of_the_plain_functions() -> None:
    made = example_data(noise=0.5)
    found, group = compare(made, "test", draws=50), made.groups["test"]
    values, measured, macs = predict_top1(made, "test"), group.top1_percent, made.network_macs("test")
    assert found.scores[OURS].kendall_tau.value == pytest.approx(kendall_tau(values, measured))
    share, pairs = equal_cost_concordance(values, measured, macs)
    assert (found.scores[OURS].pairs.value, found.pairs) == (pytest.approx(share), pairs)
    best = found.scores[found.best_baseline].kendall_tau.value
    assert best == max(found.scores[name].kendall_tau.value for name in RIVALS)
    assert found.gain_over_best.value == pytest.approx(found.scores[OURS].kendall_tau.value - best)
    assert found.gain_over_all.value == pytest.approx(found.gain_over_best.value)
    assert found.gain_over_all.high <= found.gain_over_best.high  # less the best of each resample is never more


def test_a_rival_by_stage_finds_an_accuracy_that_is_its_own() -> None:
    made = example_data(noise=0.0)
    for role in ("library", "test"):
        top1 = 50 + np.log(made.stage_macs(role)).sum(axis=1)
        object.__setattr__(made.groups[role], "by_seed", top1[:, None])
    assert predict_baselines(made, "test")["MACs by stage"] == pytest.approx(made.groups["test"].top1_percent, abs=1e-3)


def test_networks_of_one_seed_have_no_ceiling() -> None:
    assert compare(example_data(noise=0.1, seeds=1), "test", draws=20).ceiling is None


def test_two_networks_compare_nothing() -> None:
    with pytest.raises(InsufficientDataError, match="at least 3"):
        compare(example_data(noise=0.1, counts=(10, 2, 5)), "test")


def test_aims_are_met_or_missed_by_what_was_found() -> None:
    good, bad = (compare(example_data(noise, counts=(30, 80, 30)), "test", draws=200) for noise in (0.0, 50.0))
    assert [line.split(":")[0] for line in format_targets([good])] == ["- met", "- met"]
    assert [line.split(":")[0] for line in format_targets([bad])] == ["- MISSED", "- MISSED"]
    stratified = compare(example_data(0.0), "stratified", draws=50)
    assert format_targets([stratified])[0].startswith("- met: Kendall tau 0.80 on the stratified set; measured 1.000")


def test_pages_hold_the_values() -> None:
    made = example_data(noise=0.2)
    found = compare(made, "test")
    text = comparison_markdown(found)
    assert f"| predictor | {found.scores[OURS].kendall_tau.value:.3f} (" in text
    assert "| noise ceiling | " in text


def test_spaces_are_compared_a_line_for_each_predictor() -> None:
    """A run without stratified networks has dashes for them."""
    made = example_data(noise=0.2)
    few = replace(made, title="few", groups={role: made.groups[role] for role in ("library", "test")})
    page = spaces_markdown([made, few], "donna-hw study A B")
    assert "`donna-hw study A B`" in page
    lines = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    assert [line[0] for line in lines] == ["run", "made", "made", "made", "few", "few", "few"]
    assert {len(line) for line in lines} == {len(COLUMN_TITLES)}
    found = compare(made, "test")
    assert lines[1][3].startswith(f"{found.scores[OURS].kendall_tau.value:.3f} (")
    assert lines[1][5] == f"{found.best_baseline}: {found.scores[found.best_baseline].kendall_tau.value:.3f}"
    assert (lines[-1][4], lines[-1][6]) == ("-", "-")
