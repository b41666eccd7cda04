"""The paper's tables on made networks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from study_examples import example_data

from donna_hw.experiments.predictor_study import tables
from donna_hw.experiments.predictor_study.markdown import frame_markdown
from donna_hw.predictors.factory import KINDS
from donna_hw.spaces import load_space
from donna_hw.training.block_metrics import JOINT_METRICS, METRICS


def test_more_networks_lower_the_error() -> None:
    frame = tables.by_library_size(example_data(noise=0.3), "test", draws=5)
    ours = frame[frame["kind"] == "monotone"].set_index("networks")
    assert ours.index.tolist() == [5, 10, 15, 20, 25, 30]
    assert ours.loc[30, "mse"] < ours.loc[5, "mse"]
    assert ours.loc[30, "kendall_tau"] > ours.loc[5, "kendall_tau"]


@pytest.mark.parametrize(("kind", "metric"), [("monotone", "kl"), ("joint", "kl+nsr+macs")])
def test_all_choices_begin_alike(kind: str, metric: str) -> None:
    made = replace(example_data(noise=0.3, counts=(12, 20, 5), kind=kind), metric=metric)
    frame = tables.by_choice(made, "test", draws=2)
    assert set(frame["choice"]) == {"uniform", "d_optimal", "variance"}
    assert frame[frame["networks"] == 5]["mse"].nunique() == 1


def test_further_networks_are_no_chance_and_lower_the_error() -> None:
    """Tables of random networks leave them out; their own table ends with all of them."""
    made = replace(example_data(noise=0.3, counts=(40, 60, 20)), extra_networks=25)
    assert tables.by_library_size(made, "test", draws=2)["networks"].max() == 15
    assert tables.by_choice(made, "test", draws=2)["networks"].max() == 15
    frame = tables.by_extra_networks(made, draws=20)
    for kind in ("monotone", "saturating", "joint", "MACs by stage"):
        assert frame.loc[frame["kind"] == kind, "networks"].tolist() == [15, 25, 35, 40]
    first, *_, last = frame[frame["kind"] == "joint"].to_dict("records")
    assert last["kendall_tau_test"].value > first["kendall_tau_test"].value
    assert len(frame_markdown(frame).splitlines()) == len(frame) + 2


def test_evidence_is_cut_from_its_end() -> None:
    made = replace(example_data(noise=0.3, counts=(40, 60, 20)), extra_networks=25)
    assert [
        (len(made.truncate("library", n).groups["library"]), made.truncate("library", n).extra_networks)
        for n in (40, 30, 15, 5)
    ] == [
        (40, 25),
        (30, 15),
        (15, 0),
        (5, 0),
    ]
    assert made.truncate("test", 10).extra_networks == 25


def test_several_metrics_stand_side_by_side() -> None:
    made = example_data(noise=0.3)
    qualities = made.quality("test", "kl+macs")
    assert qualities.shape == (60, 3, 2)
    np.testing.assert_array_equal(qualities[..., 0], made.quality("test"))
    np.testing.assert_array_equal(qualities[..., 1], made.stage_macs("test"))


def test_a_scheme_of_one_axis_orders_networks_whose_qualities_are_products() -> None:
    """Then the qualities predicted from a few blocks are those of all blocks, so that both schemes judge alike."""
    space, made, rng = load_space("small_8px"), example_data(noise=0.1), np.random.default_rng(0)
    qualities = []
    for stage in space.stages:
        product = np.ones(())
        for count in stage.counts:
            product = np.multiply.outer(product, rng.uniform(0.2, 1.0, count))
        qualities.append(product.ravel())
    frame = tables.by_scheme(replace(made, qualities={"kl": tuple(qualities)}), space, "test", draws=20)
    assert frame["blocks"].tolist() == [3 * 24, 3 * (1 + 1 + 2 + 1 + 1)]
    assert frame["kendall_tau"][0].value == frame["kendall_tau"][1].value
    assert frame["mse"][0] == pytest.approx(frame["mse"][1])


def test_the_metric_that_rules_the_accuracy_orders_best() -> None:
    frame = tables.by_metric(example_data(noise=0.1), "test", draws=50)
    assert frame.loc[frame["kind"] == "joint", "metric"].tolist() == [JOINT_METRICS]
    ours = frame[frame["kind"] == "monotone"]
    assert set(ours["metric"]) == set(METRICS)
    best = max(ours.to_dict("records"), key=lambda line: line["kendall_tau"].value)
    assert best["metric"] == "kl"


def test_every_kind_is_judged_on_both_metrics() -> None:
    frame = tables.by_family(example_data(noise=0.1, counts=(8, 8, 5)), "test", draws=10)
    assert set(frame.loc[frame["metric"] == "nsr", "kind"]) == set(KINDS)
    assert set(frame.loc[frame["metric"] == "kl", "kind"]) == set(KINDS) - {"sum_of_nsr"}
    assert len(frame_markdown(frame).splitlines()) == len(frame) + 2


def test_curves_are_compared_network_by_network() -> None:
    scratch = {"a": [10.0, 50.0, 80.0], "b": [20.0, 60.0, 90.0], "only scratch": [0.0, 0.0, 0.0]}
    long = {"a": [70.0, 81.0, 82.0], "b": [80.0, 85.0, 89.0]}
    frame = tables.by_epoch(scratch, long)
    assert frame["epoch"].tolist() == [1, 2, 3]
    assert frame["from_scratch_percent"].tolist() == pytest.approx([15.0, 55.0, 85.0])
    assert frame["block_library_percent"].tolist() == pytest.approx([75.0, 83.0, 85.5])
    assert tables.epochs_to_catch_up(scratch, long) == {"a": 2, "b": None}


def test_no_curves_make_no_table() -> None:
    assert tables.by_epoch({}, {}).empty
