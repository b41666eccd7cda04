"""Comparing two tables: the test is Welch's, equal tables differ by chance only, and what differs is found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from table_examples import drawn_rounds, made_table

from donna_hw.errors import TableError
from donna_hw.tables.comparison import compare_tables
from donna_hw.tables.latency_table import LatencyTable

MEANS = st.floats(-15, -3)
SPREADS = st.floats(1e-3, 0.5)
COUNTS = st.integers(2, 40)


def rounds_of(mean: float, std: float, count: int) -> np.ndarray:
    """Latencies whose logarithms have exactly this mean and standard deviation."""
    z = np.arange(count) - (count - 1) / 2
    return np.exp(mean + std * z / z.std(ddof=1))


@settings(deadline=None)
@given(a=st.tuples(MEANS, SPREADS, COUNTS), b=st.tuples(MEANS, SPREADS, COUNTS))
def test_t_and_p_are_those_of_welchs_test_on_logarithms(
    a: tuple[float, float, int], b: tuple[float, float, int]
) -> None:
    found = compare_tables(made_table([rounds_of(*a)]), made_table([rounds_of(*b)])).absolute
    expected = stats.ttest_ind_from_stats(*b, *a, equal_var=False)
    assert found.scale == "log"
    assert found.t[0] == pytest.approx(expected.statistic, rel=1e-7, abs=1e-7)
    assert found.p[0] == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-300)
    assert found.estimate[0] == pytest.approx(b[0] - a[0], rel=1e-9, abs=1e-12)


def test_the_interval_of_the_ratio_is_that_of_welchs_test() -> None:
    a, b = (drawn_rounds(20, count, spread, seed) for count, spread, seed in ((5, 0.02, 0), (12, 0.1, 1)))
    found = compare_tables(made_table(a), made_table(b)).absolute
    for number in range(20):
        test = stats.ttest_ind(np.log(b[number]), np.log(a[number]), equal_var=False)
        interval = test.confidence_interval(0.95)
        assert (found.low[number], found.high[number]) == pytest.approx((interval.low, interval.high))
        assert found.dof[number] == pytest.approx(test.df)


def test_differences_of_chains_are_compared_as_they_are_below_zero_too() -> None:
    rng = np.random.default_rng(0)
    a, b = list(rng.normal(1e-6, 3e-6, (30, 6))), list(rng.normal(-1e-6, 1e-6, (30, 9)))
    found = compare_tables(made_table(a, in_context=True), made_table(b, in_context=True))
    assert found.absolute.scale == "linear"
    for number in range(30):
        test = stats.ttest_ind(b[number], a[number], equal_var=False)
        assert found.absolute.t[number] == pytest.approx(test.statistic)
        assert found.absolute.p[number] == pytest.approx(test.pvalue)
        assert found.absolute.estimate[number] == pytest.approx(b[number].mean() - a[number].mean())
    columns = set(found.to_frame())
    assert {"absolute_difference_s", "absolute_difference_low_s", "relative_difference_high"} <= columns
    assert not {name for name in columns if "ratio" in name}


def test_an_interval_that_reaches_zero_has_no_logarithm() -> None:
    a = made_table(drawn_rounds(3, 4, 0.1, 0))
    reaching = replace(a, frame=a.frame.assign(low_s=[0.0, 1e-5, 1e-5]))
    assert compare_tables(a, reaching).absolute.scale == compare_tables(reaching, a).absolute.scale == "linear"
    assert np.isfinite(compare_tables(a, reaching).absolute.p).all()


@pytest.mark.parametrize("in_context", [False, True])
def test_a_table_agrees_wholly_with_itself(in_context: bool) -> None:
    table = made_table(drawn_rounds(50, 8, 0.02, 0), in_context=in_context)
    found = compare_tables(table, table)
    assert found.relative is not None
    for view in (found.absolute, found.relative):
        assert (view.agreement_rate, view.overlap_rate, view.common_factor, view.median_relative_difference) == (
            1,
            1,
            1,
            0,
        )
        assert not view.significant.any()
        assert not view.significant_fdr.any()
        assert view.p.tolist() == [1] * 50
    assert (
        found.only_a,
        found.only_b,
        found.changed_blocks,
        found.identity_differences,
        found.condition_differences,
    ) == ((), (), (), (), ())


@pytest.mark.parametrize("spread", [0.02, 0.0])  # without any spread, rounding alone must not make a difference
def test_one_common_factor_is_recovered_and_taken_out_by_the_sentinel(spread: float) -> None:
    rounds = drawn_rounds(60, 8, spread, 0)
    slow, fast = made_table(rounds), made_table([0.7 * found for found in rounds], reference_s=0.7e-5)
    found = compare_tables(slow, fast)
    assert found.relative is not None
    assert found.absolute.common_factor == pytest.approx(0.7, rel=1e-12)
    assert found.absolute.significant_fdr.all()
    assert (found.absolute.agreement_rate, found.absolute.overlap_rate) == (0, 0)
    assert found.absolute.median_relative_difference == pytest.approx(0.3 / 0.85)
    assert found.relative.common_factor == pytest.approx(1, rel=1e-12)
    assert found.relative.median_relative_difference < 1e-12
    assert not found.relative.significant.any()
    assert found.relative.p == pytest.approx(np.ones(60))


@pytest.mark.parametrize("seed", range(3))
def test_of_equal_tables_one_block_in_twenty_differs_by_chance(seed: int) -> None:
    """Two tables of the same law, of other numbers of rounds and other spreads: the null hypothesis holds for every block."""
    count = 2000
    a = made_table(drawn_rounds(count, 10, 0.03, 2 * seed))
    b = made_table(drawn_rounds(count, 7, 0.05, 2 * seed + 1))
    found = compare_tables(a, b)
    false = int(found.absolute.significant.sum())
    low, high = stats.binom.ppf([5e-4, 1 - 5e-4], count, 0.05)
    assert low <= false <= high
    assert found.absolute.agreement_rate == pytest.approx(1 - false / count)
    assert found.absolute.overlap_rate > found.absolute.agreement_rate  # overlapping is the weaker demand
    # Among 2,000 true nulls a false discovery of any size comes in one table in twenty; three of them in none of these.
    assert found.absolute.significant_fdr.sum() <= 2


def test_planted_differences_are_found_and_few_others() -> None:
    a, b = drawn_rounds(300, 10, 0.01, 0), drawn_rounds(300, 10, 0.01, 1)
    planted = np.zeros(300, bool)
    planted[::10] = True
    b = [1.05 * found if change else found for found, change in zip(b, planted, strict=True)]
    view = compare_tables(made_table(a), made_table(b)).absolute
    assert view.significant_fdr[planted].all()  # 5 % is eleven standard errors of a difference
    assert (view.estimate[planted] > 0).all()
    false = int(view.significant_fdr[~planted].sum())
    assert false <= stats.binom.ppf(1 - 5e-4, view.significant_fdr.sum(), 0.05)
    assert view.significant[~planted].sum() > false  # each alone, chance finds more


def test_the_adjusted_p_are_benjaminis_and_hochbergs() -> None:
    view = compare_tables(made_table(drawn_rounds(40, 5, 0.1, 0)), made_table(drawn_rounds(40, 5, 0.1, 1))).absolute
    order = np.argsort(view.p)
    stepped = view.p[order] * 40 / np.arange(1, 41)
    expected = np.empty(40)
    expected[order] = [min(stepped[rank:].min(), 1) for rank in range(40)]
    assert view.adjusted_p == pytest.approx(expected)


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 10**6), in_context=st.booleans(), reference_s=st.floats(1e-7, 1e-3))
def test_the_order_of_the_tables_only_turns_the_sign(seed: int, in_context: bool, reference_s: float) -> None:
    a = made_table(drawn_rounds(9, 4, 0.3, seed), in_context=in_context)
    b = made_table(drawn_rounds(9, 6, 0.2, seed + 1), in_context=in_context, reference_s=reference_s)
    there, back = compare_tables(a, b), compare_tables(b, a)
    for one, other in ((there.absolute, back.absolute), (there.relative, back.relative)):
        assert one is not None
        assert other is not None
        assert other.t == pytest.approx(-one.t)
        assert other.estimate == pytest.approx(-one.estimate)
        assert other.low == pytest.approx(-one.high)
        assert other.p == pytest.approx(one.p)
        assert other.adjusted_p == pytest.approx(one.adjusted_p)
        assert other.common_factor == pytest.approx(1 / one.common_factor)
        assert (other.median_relative_difference, other.agreement_rate) == pytest.approx(
            (one.median_relative_difference, one.agreement_rate)
        )


@settings(deadline=None, max_examples=30)
@given(order=st.permutations(range(8)))
def test_blocks_are_matched_by_name_whatever_their_order(order: list[int]) -> None:
    a, b = made_table(drawn_rounds(8, 4, 0.1, 0)), made_table(drawn_rounds(8, 4, 0.1, 1))
    mixed = replace(b, frame=b.frame.iloc[order].reset_index(drop=True))
    assert compare_tables(a, mixed).absolute.p.tolist() == compare_tables(a, b).absolute.p.tolist()


def test_an_axis_without_values_is_none() -> None:
    table = made_table(drawn_rounds(3, 4, 0.1, 0))
    wider = table.frame.copy()
    wider.insert(1, "attention", "")
    assert len(compare_tables(table, replace(table, frame=wider)).frame_a) == 3


def test_blocks_without_a_partner_or_of_other_layers_are_named_and_not_compared() -> None:
    a, b = made_table(drawn_rounds(5, 4, 0.1, 0)), made_table(drawn_rounds(5, 4, 0.1, 1))
    frame = b.frame.iloc[1:].reset_index(drop=True)
    frame.loc[0, "layers_hash"] = "f" * 16
    found = compare_tables(replace(a, frame=a.frame.iloc[:4]), replace(b, frame=frame))
    assert found.only_a == ("stage1 0 relu",)
    assert found.only_b == ("stage1 4 relu",)
    assert found.changed_blocks == ("stage1 1 relu",)
    assert found.names == ["stage1 2 relu", "stage1 3 relu"]


def test_a_block_of_one_round_has_no_test() -> None:
    a = made_table([np.array([1e-5]), *drawn_rounds(2, 4, 0.01, 0)])
    found = compare_tables(a, made_table(drawn_rounds(3, 4, 0.01, 1))).absolute
    assert found.is_testable.tolist() == [False, True, True]
    assert np.isnan(found.p[0])
    assert np.isnan(found.adjusted_p[0])
    assert not found.significant[0]
    single = made_table([np.array([1e-5])])
    view = compare_tables(single, single).absolute
    assert np.isnan(view.agreement_rate)
    assert view.overlap_rate == 1


def test_rows_without_spread_differ_surely_when_they_differ() -> None:
    a, b = (made_table([np.full(4, value), np.full(4, 1e-5)]) for value in (1e-5, 1.1e-5))
    view = compare_tables(a, b).absolute
    assert view.p.tolist() == [0, 1]
    assert view.significant_fdr.tolist() == [True, False]


def test_differences_of_identity_and_conditions_are_told() -> None:
    a = made_table(drawn_rounds(2, 3, 0.1, 0), conditions={"cores": 2})
    b = made_table(
        drawn_rounds(2, 3, 0.1, 0),
        device="other",
        identity={**a.info.identity, "runtime": "made 2", "threads": 4},
        conditions={"cores": 8},
    )
    found = compare_tables(a, b)
    assert found.identity_differences == (
        ("device", "made", "other"),
        ("runtime", "made 1", "made 2"),
        ("threads", None, 4),
    )
    assert found.condition_differences == (("cores", 2, 8),)


@pytest.mark.parametrize(
    ("reference_s", "info"), [(None, {}), (1e-5, {"sentinel": "0" * 16}), (1e-5, {"sentinel_reference_s": None})]
)
def test_without_one_sentinel_there_is_no_relative_view(reference_s: float | None, info: dict[str, object]) -> None:
    rounds = drawn_rounds(2, 3, 0.1, 0)
    found = compare_tables(made_table(rounds), made_table(rounds, reference_s=reference_s, **info))
    assert found.relative is None
    assert not {name for name in found.to_frame() if name.startswith("relative")}


def without(table: LatencyTable, column: str) -> LatencyTable:
    return replace(table, frame=table.frame.drop(columns=column))


def test_what_cannot_be_compared_is_refused_in_one_line() -> None:
    good = made_table(drawn_rounds(3, 3, 0.1, 0))
    counted = made_table(drawn_rounds(3, 3, 0.1, 0), quantity="macs", unit="MAC", origin="computed")
    simulated = made_table(drawn_rounds(3, 3, 0.1, 0), origin="simulated")
    other = made_table(drawn_rounds(3, 3, 0.1, 0), space="other_space")
    changed = replace(good, frame=good.frame.assign(layers_hash="f" * 16))
    doubled = replace(good, frame=good.frame.assign(kernel="1"))
    for bad, says in (
        (counted, "got 'macs, computed'"),
        (simulated, "found 'latency, simulated'"),
        (other, "of one space; found 'made_space in .*, other_space in"),
        (changed, "3 of one name with different layers"),
        (doubled, "one row; found 'stage1 1 relu'"),
        (without(good, "rounds"), "found 'no rounds'"),
    ):
        with pytest.raises(TableError, match=says):
            compare_tables(good, bad)
        if bad is not changed:
            with pytest.raises(TableError):
                compare_tables(bad, good)


def test_the_frame_has_a_row_for_each_block_with_its_test() -> None:
    a, b = made_table(drawn_rounds(4, 3, 0.1, 0)), made_table(drawn_rounds(4, 3, 0.1, 1))
    found = compare_tables(a, b)
    frame = found.to_frame()
    assert frame["kernel"].tolist() == ["0", "1", "2", "3"]
    assert frame["a_median_s"].tolist() == a.frame["median_s"].tolist()
    assert frame["b_verdict"].tolist() == ["trusted"] * 4
    assert frame["absolute_ratio"].to_numpy() == pytest.approx(np.exp(found.absolute.estimate))
    assert frame["absolute_p"].tolist() == found.absolute.p.tolist()
    assert (frame["absolute_ratio_low"] < frame["absolute_ratio"]).all()
