"""Blocks composed of sections, and blocks in a chain, on a fake machine whose costs add exactly: so do the rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from fakes import QUICK, FakeBackend, FakeDevice, FakeMachine, fake_device, fake_machine, tiny_space

from donna_hw.errors import ConfigError, UnknownNameError
from donna_hw.graph.graph import layers_hash
from donna_hw.profiling.in_context import build_chain, find_neighbors
from donna_hw.profiling.profiler import profile_space
from donna_hw.profiling.sample_journal import SampleJournal
from donna_hw.profiling.table_setup import select_sentinel
from donna_hw.profiling.timed_costs import ProfilingBudget
from donna_hw.profiling.workers.in_process import create_in_process_workers
from donna_hw.spaces import Axis, Space, Stage, load_space
from donna_hw.spaces.cells import Classifier, ConvNormAct, InvertedResidual
from donna_hw.spaces.sections import lower_sections
from donna_hw.tables.latency_table import LatencyTable
from donna_hw.tables.parts import list_parts

SCALE, JOINT_NS = 0.9, -20_000
COMPOSE = ProfilingBudget(predict_repeats=True)


def deep_space() -> Space:
    """One stage of 3 x 4 x 4 blocks, of which 36 repeat a section."""
    axes = (Axis("kernel", (1, 3, 5)), Axis("expand", (1, 2, 3, 4)), Axis("depth", (1, 2, 3, 4)))
    return Space(
        name="deep",
        title="",
        input_shape=(1, 4, 4),
        before=(("stem", ConvNormAct(4)),),
        stages=(Stage("only", axes, partial(InvertedResidual, channels=4)),),
        after=(("head", Classifier(2)),),
    )


DEEP = deep_space()
PARTS = list_parts(DEEP)
REPEATING = {part.layers_hash for part in PARTS if len(lower_sections(part.block, part.graph.input_shape)) > 1}


def additive_costs() -> dict[str, int]:
    """Return costs in ns: declared for each section, SCALE * sum + JOINT * joints for each block of several."""
    rng, costs = np.random.default_rng(0), {}
    for part in PARTS:
        sections = [layers_hash(graph) for graph in lower_sections(part.block, part.graph.input_shape)]
        for key in sections:
            costs.setdefault(key, 100 * int(rng.integers(1_000, 9_000)))
        if len(sections) > 1:
            total = SCALE * sum(costs[key] for key in sections) + JOINT_NS * (len(sections) - 1)
            costs[part.layers_hash] = round(total)
    return costs


def machine_of(costs: Mapping[str, int], space: Space = DEEP) -> tuple[FakeMachine, FakeDevice]:
    machine = FakeMachine(costs, layers_hash(select_sentinel(list_parts(space))))
    return machine, fake_device(FakeBackend(machine))


def composed(
    root: Path, costs: Mapping[str, int], effort: ProfilingBudget = COMPOSE
) -> tuple[FakeMachine, LatencyTable]:
    machine, device = machine_of(costs)
    return machine, profile_space(DEEP, device, root, QUICK, budget=effort, workers=create_in_process_workers)


def test_composed_rows_are_exact_where_costs_add_and_far_fewer_blocks_are_measured(tmp_path: Path) -> None:
    costs = additive_costs()
    machine, table = composed(tmp_path, costs)
    for row in table.frame.to_dict("records"):
        assert row["median_s"] == pytest.approx(costs[row["layers_hash"]] / 1e9, rel=1e-5)
        assert row["low_s"] == pytest.approx(row["median_s"], rel=1e-4)
    whole = set(machine.visits) & REPEATING
    assert len(whole) == 12
    predicted = table.frame[table.frame["method"] == "composed"]
    assert set(predicted["layers_hash"]) == REPEATING - whole
    assert (predicted[["samples", "rounds"]] == 0).all(axis=None)
    assert predicted["raw_median_s"].isna().all()
    assert table.info.conditions["composition_scale"] == pytest.approx(SCALE, rel=1e-5)
    assert table.info.conditions["composition_joint_s"] == pytest.approx(JOINT_NS / 1e9, rel=1e-3)
    assert table.info.conditions["composition_sample_size"] == 12
    costs_of_all = table.costs(DEEP)
    assert (costs_of_all.blocks[0] > 0).all()


def test_sections_are_measured_once_and_no_part_of_the_space_is_left_out(tmp_path: Path) -> None:
    machine, table = composed(tmp_path, additive_costs())
    assert set(table.frame["layers_hash"]) == {part.layers_hash for part in PARTS}
    assert {machine.visits.count(key) for key in set(machine.visits)} == {QUICK.rounds}


def test_a_budget_that_lasts_measures_every_block_whole(tmp_path: Path) -> None:
    machine, table = composed(tmp_path, additive_costs(), ProfilingBudget(predict_repeats=True, budget_s=1e6))
    assert set(table.frame["method"]) == {"measured"}
    assert set(machine.visits) >= REPEATING
    # and a later start without a budget keeps what was measured, and measures nothing
    idle, again = composed(tmp_path, additive_costs())
    assert idle.visits == []
    assert set(again.frame["method"]) == {"measured"}


def test_a_composed_table_that_is_then_measured_whole_records_nothing_of_composing(tmp_path: Path) -> None:
    _, table = composed(tmp_path, additive_costs())
    assert "composition_scale" in table.info.conditions
    _, whole = composed(tmp_path, additive_costs(), ProfilingBudget())
    assert set(whole.frame["method"]) == {"measured"}
    assert not [key for key in whole.info.conditions if key.startswith("composition")]
    assert whole.info.conditions.keys() < table.info.conditions.keys()


def test_a_block_that_fails_whole_is_never_composed(tmp_path: Path) -> None:
    costs = additive_costs()
    _, table = composed(tmp_path / "good", costs)
    sampled = table.frame.loc[(table.frame["method"] == "measured"), "layers_hash"]
    broken = next(key for key in sampled if key in REPEATING)
    machine, table = composed(tmp_path / "broken", {**costs, broken: 0})
    assert machine.visits.count(broken) == 2, "tried twice"
    assert broken not in set(table.frame["layers_hash"])
    assert len(table.frame) == len(PARTS) - 1


def test_a_budget_does_not_turn_on_a_block_that_fails(tmp_path: Path) -> None:
    costs = additive_costs()
    broken = sorted(REPEATING)[:3]
    machine, table = composed(
        tmp_path, {**costs, **dict.fromkeys(broken, 0)}, ProfilingBudget(predict_repeats=True, budget_s=1e6)
    )
    assert {machine.visits.count(key) for key in broken} == {2}
    assert set(table.frame["layers_hash"]) == {part.layers_hash for part in PARTS} - set(broken)


def test_blocks_in_context_are_not_predicted_from_sections(tmp_path: Path) -> None:
    _, device = machine_of(additive_costs())
    with pytest.raises(ConfigError, match="mode must be isolated; got 'in_context'"):
        profile_space(
            DEEP, device, tmp_path, QUICK, budget=COMPOSE, mode="in_context", workers=create_in_process_workers
        )
    with pytest.raises(UnknownNameError, match="^unknown mode 'alone'; expected isolated or in_context"):
        profile_space(DEEP, device, tmp_path, QUICK, mode="alone", workers=create_in_process_workers)


def chained_costs(space: Space, added_ns: Mapping[str, int]) -> dict[str, int]:
    """Return the costs of all chains: what the neighbor costs alone, and what the block adds to it."""
    costs = dict(fake_machine(space).costs_ns)
    for part in list_parts(space):
        chain = build_chain(find_neighbors(space), part.key_cells["part"], part.block)
        if chain is not None:
            with_block, without = map(layers_hash, chain)
            costs[with_block] = costs[without] + added_ns[part.layers_hash]
    return costs


def added_by(space: Space) -> dict[str, int]:
    """Declare what each block adds in a chain, in ns; one adds nothing and one makes it faster, which isolated it could not."""
    rng = np.random.default_rng(1)
    added = {part.layers_hash: 10 * int(rng.integers(100, 90_000)) for part in list_parts(space)}
    nothing, faster = [layers_hash(space.block_graph(space.stages[1], m)) for m in (0, 1)]
    return {**added, nothing: 0, faster: -5_000}


def test_a_row_in_a_chain_is_the_difference_exactly_though_the_machine_has_two_states(tmp_path: Path) -> None:
    space = tiny_space()
    added = added_by(space)
    machine, device = machine_of(chained_costs(space, added), space)
    table = profile_space(space, device, tmp_path, QUICK, mode="in_context", workers=create_in_process_workers)
    assert table.path.name == "in_context-b1-float32.csv"
    isolated = machine.costs_ns[layers_hash(space.fixed_graph("stem"))]
    for row in table.frame.to_dict("records"):
        expected = isolated if row["part"] == "stem" else added[row["layers_hash"]]  # nothing comes before the stem
        assert row["median_s"] == pytest.approx(expected / 1e9, rel=1e-5, abs=1e-12)
        assert row["high_s"] - row["low_s"] == pytest.approx(0, abs=1e-8)
    nothing_added = table.frame[table.frame["median_s"] <= 0]
    assert set(nothing_added["verdict"]) == {"noisy"}
    assert len(nothing_added) == 2
    assert table.costs(space).blocks[1].min() == pytest.approx(-5e-6)
    assert machine.open_runners == 0
    read = SampleJournal(table.path.with_suffix(".samples.csv")).read()
    assert all(
        (trial.baseline_s is None) == (record.name == "stem") for record in read.values() for trial in record.trials
    )


def test_both_chains_are_warmed_up_and_run_alike(tmp_path: Path) -> None:
    space, protocol = tiny_space(), replace(QUICK, warmup=3, samples=4)
    machine, device = machine_of(chained_costs(space, added_by(space)), space)
    profile_space(space, device, tmp_path, protocol, mode="in_context", workers=create_in_process_workers)
    second = [part for part in list_parts(space) if part.key_cells["part"] == "second"]
    chains = [build_chain(find_neighbors(space), "second", part.block) for part in second]
    withs, withouts = zip(*[map(layers_hash, chain) for chain in chains if chain is not None], strict=True)
    assert [machine.runs[key] for key in withs] == [protocol.rounds * 7] * 4
    assert len(set(withouts)) == 1
    assert machine.runs[withouts[0]] == 4 * protocol.rounds * 7


@pytest.mark.parametrize("mode", ["isolated", "in_context"])
def test_blocks_of_equal_layers_share_a_measurement_in_every_mode(tmp_path: Path, mode: str) -> None:
    space = tiny_space()
    space = replace(space, stages=(*space.stages, replace(space.stages[1], name="third")))
    _, device = machine_of(chained_costs(space, added_by(space)), space)
    table = profile_space(space, device, tmp_path, QUICK, mode=mode, workers=create_in_process_workers)
    pairs = [table.frame.loc[table.frame["part"] == name, "median_s"].tolist() for name in ("second", "third")]
    assert pairs[0] == pairs[1]
    journal = SampleJournal(table.path.with_suffix(".samples.csv")).read()
    assert journal.keys() == {part.layers_hash for part in list_parts(space)}
    assert len(journal) < len(table.frame)


def test_equal_blocks_are_composed_alike(tmp_path: Path) -> None:
    space = replace(DEEP, stages=(*DEEP.stages, replace(DEEP.stages[0], name="again")))
    machine, device = machine_of(additive_costs(), space)
    table = profile_space(space, device, tmp_path, QUICK, budget=COMPOSE, workers=create_in_process_workers)
    pairs = [table.frame.loc[table.frame["part"] == name, "median_s"].tolist() for name in ("only", "again")]
    assert pairs[0] == pairs[1]
    assert len(set(machine.visits) & REPEATING) == 12


def test_the_chain_of_a_shipped_spaces_block_is_its_neighbor_and_itself() -> None:
    space = load_space("small_8px")
    for part in list_parts(space):
        chain = build_chain(find_neighbors(space), part.key_cells["part"], part.block)
        if part.key_cells["part"] == "stem":
            assert chain is None
            continue
        assert chain is not None
        with_block, without = chain
        assert with_block.macs == without.macs + part.graph.macs
        assert len(with_block.layers) == len(without.layers) + len(part.graph.layers)
        assert with_block.output_shape == part.graph.output_shape
        assert without.output_shape == part.graph.input_shape
