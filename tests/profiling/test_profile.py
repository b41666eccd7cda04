"""Profiling: declared costs come out of the table exactly; environments do not mix; a real space is covered."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fakes import QUICK, FakeBackend, Killed, all_graphs, declared_costs, fake_device, fake_machine, tiny_space

from donna_hw.devices.backends.ptflops import PtflopsBackend
from donna_hw.devices.device import Device
from donna_hw.errors import FileFormatError, TableError
from donna_hw.graph.graph import layers_hash
from donna_hw.measurement.protocol import PROTOCOLS, Protocol
from donna_hw.profiling.network_profiling import measure_networks
from donna_hw.profiling.profiler import profile_space
from donna_hw.profiling.workers.in_process import create_in_process_workers
from donna_hw.spaces import Space, load_space
from donna_hw.tables.latency_table import LatencyTable


def expected(space: Space) -> dict[str, float]:
    return {key: cost / 1e9 for key, cost in declared_costs(space).items()}


def profiled(root: Path, space: Space | None = None, breaks_at: int | None = None) -> LatencyTable:
    space = space or tiny_space()
    return profile_space(
        space, fake_device(FakeBackend(fake_machine(space, breaks_at))), root, QUICK, workers=create_in_process_workers
    )


@pytest.mark.parametrize("statistic", ["median", "mean", "min"])
def test_the_table_holds_the_declared_costs_though_the_machine_has_two_states(tmp_path: Path, statistic: str) -> None:
    space = tiny_space()
    device = fake_device(FakeBackend(fake_machine(space)))
    table = profile_space(
        space, device, tmp_path, replace(QUICK, statistic=statistic), workers=create_in_process_workers
    )
    costs = expected(space)
    assert table.info.column == f"{statistic}_s"
    for record in table.frame.to_dict("records"):
        assert record[f"{statistic}_s"] == costs[record["layers_hash"]]
        assert record["low_s"] == pytest.approx(costs[record["layers_hash"]], rel=1e-5)
        assert record["samples"] == QUICK.rounds * QUICK.samples
        assert 2 <= record["rounds"] <= QUICK.rounds  # those that met the machine at its slow speed are discarded
        assert record["verdict"] == "trusted"
    assert (table.frame["raw_median_s"] != table.frame["median_s"]).any(), "the two states must show in the raw column"


def test_the_table_has_a_row_for_each_part_and_reads_back_the_same(tmp_path: Path) -> None:
    space = tiny_space()
    table = profiled(tmp_path)
    keys = [tuple(row) for row in table.frame[["part", "kernel", "activation"]].itertuples(index=False)]
    blocks = [(s.name, *map(str, s.choice(m).values())) for s in space.stages for m in range(s.size)]
    assert sorted(keys) == sorted([("stem", "", ""), ("head", "", ""), *blocks])
    again = LatencyTable.read(table.path)
    assert again.info == table.info
    pd.testing.assert_frame_equal(again.frame, table.frame)


def test_blocks_of_equal_layers_share_one_measurement(tmp_path: Path) -> None:
    space = tiny_space()
    two, one = space.stages[1], replace(space.stages[1], name="third")
    space = replace(space, stages=(space.stages[0], two, one))
    machine = fake_machine(space)
    table = profile_space(space, fake_device(FakeBackend(machine)), tmp_path, QUICK, workers=create_in_process_workers)
    distinct = {layers_hash(graph) for graph in all_graphs(space)}
    assert len(machine.visits) == QUICK.rounds * len(distinct) < QUICK.rounds * len(table.frame)
    thirds, seconds = (table.frame[table.frame["part"] == name]["median_s"].tolist() for name in ("third", "second"))
    assert thirds == seconds


def test_a_broken_run_leaves_no_table_and_the_next_finishes_it(tmp_path: Path) -> None:
    with pytest.raises(Killed, match="breaks"):
        profiled(tmp_path, breaks_at=7)
    assert not list(tmp_path.rglob("isolated-b1-float32.csv"))
    table = profiled(tmp_path)
    whole = profiled(tmp_path / "whole")
    pd.testing.assert_frame_equal(table.frame, whole.frame)


@pytest.mark.parametrize("moves_reference", [False, True])
def test_a_grown_axis_measures_only_its_new_blocks_under_the_same_sentinel(
    tmp_path: Path, moves_reference: bool
) -> None:
    before = profiled(tmp_path)
    grown = tiny_space((1, 3, 5), reference=5 if moves_reference else 1)
    machine = replace(fake_machine(grown), sentinel=before.info.sentinel)
    table = profile_space(grown, fake_device(FakeBackend(machine)), tmp_path, QUICK, workers=create_in_process_workers)
    new = {layers_hash(graph) for graph in all_graphs(grown)} - set(before.frame["layers_hash"])
    assert set(machine.visits) == new
    assert len(table.frame) == len(before.frame) + 4
    assert table.info.sentinel == before.info.sentinel
    table.costs(grown)


@pytest.mark.parametrize("change", ["runtime", "batch", "samples", "warmup", "sentinel_samples", "input", "statistic"])
def test_another_environment_protocol_or_frame_is_refused_by_name(tmp_path: Path, change: str) -> None:
    before = profiled(tmp_path)
    space, protocol, backend = tiny_space(), QUICK, FakeBackend(fake_machine(tiny_space()))
    says = change
    if change == "runtime":
        backend = FakeBackend(fake_machine(space), runtime="fake 2")
    elif change == "input":
        space, says = replace(space, input_shape=(1, 8, 8)), "input_shape"
        backend = FakeBackend(fake_machine(space))
    elif change == "statistic":
        protocol, says = replace(QUICK, statistic="min"), "column"
    elif change == "batch":  # another batch is another file; a table moved there must be refused
        protocol = replace(QUICK, batch=2)
        for path in list(before.path.parent.iterdir()):
            path.rename(path.with_name(path.name.replace("b1", "b2")))
    else:
        protocol = replace(QUICK, **{change: 9})
    files = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    with pytest.raises(TableError, match=f"holds rows of {says} = .*--out"):
        profile_space(space, fake_device(backend), tmp_path, protocol, workers=create_in_process_workers)
    assert files == {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    assert backend.machine.visits == []


def test_samples_without_their_description_are_refused(tmp_path: Path) -> None:
    table = profiled(tmp_path)
    table.path.with_suffix(".toml").unlink()
    with pytest.raises(TableError, match="no such file, but samples that need it"):
        profiled(tmp_path)


def test_whole_networks_are_measured_on_the_tables_scale(tmp_path: Path) -> None:
    space = tiny_space()
    table = profiled(tmp_path)
    networks = [space.architecture(row) for row in space.random_rows(5, np.random.default_rng(0))]
    machine = fake_machine(space)
    costs = {layers_hash(space.network_graph(network)): 1_000_000 * (n + 1) for n, network in enumerate(networks)}
    machine.costs_ns = {**machine.costs_ns, **costs}
    device = fake_device(FakeBackend(machine))
    found = measure_networks(space, device, table, [*networks, networks[0]], QUICK, workers=create_in_process_workers)
    assert found == pytest.approx([1e-3, 2e-3, 3e-3, 4e-3, 5e-3, 1e-3], rel=1e-6)
    assert len(machine.visits) == 5 * QUICK.rounds
    listed = pd.read_csv(table.path.with_suffix(".networks.csv"))
    assert set(listed["network"]) == {space.network_name(network) for network in networks}
    assert sorted(listed["median_s"]) == pytest.approx([1e-3, 2e-3, 3e-3, 4e-3, 5e-3], rel=1e-5)
    other = fake_device(FakeBackend(fake_machine(space), runtime="fake 2"))
    with pytest.raises(TableError, match="runtime"):
        measure_networks(space, other, table, networks, QUICK, workers=create_in_process_workers)


@pytest.mark.parametrize("count", ["macs", "params"])
def test_counted_tables_are_exact_sums_for_whole_networks(tmp_path: Path, count: str) -> None:
    space = tiny_space()
    device = Device.load(count)
    table = profile_space(space, device, tmp_path)
    assert (table.info.unit, table.info.origin) == ({"macs": "MAC", "params": "parameter"}[count], "computed")
    costs = table.costs(space)
    networks = [space.architecture(row) for row in space.random_rows(4, np.random.default_rng(0))]
    whole = measure_networks(space, device, table, networks)
    sums = [costs.fixed + sum(costs.blocks[s][m] for s, m in enumerate(n.blocks)) for n in networks]
    assert sums == whole.tolist()
    if count == "params":
        assert sums == [space.network_graph(network).params for network in networks]


def test_a_counted_table_resumes_and_names_a_corrupt_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space, device = tiny_space(), Device.load("params")
    table = profile_space(space, device, tmp_path)
    monkeypatch.setattr(PtflopsBackend, "cost", lambda *_: pytest.fail("computed again"))
    pd.testing.assert_frame_equal(profile_space(space, device, tmp_path).frame, table.frame)
    journal = table.path.with_suffix(".samples.csv")
    lines = journal.read_text(encoding="utf-8").splitlines()
    lines[2] = lines[2].rsplit(",", 1)[0] + ",many"
    journal.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(FileFormatError, match="line 3"):
        profile_space(space, device, tmp_path)


def test_a_real_profile_of_a_shipped_space_covers_it_and_resumes(tmp_path: Path) -> None:
    space, device = load_space("small_8px"), Device.load("onnxruntime_cpu")
    protocol = Protocol("two_rounds", 2, 1, 3, "median", sentinel_samples=2)
    table = profile_space(space, device, tmp_path, protocol)
    costs = table.costs(space)
    assert [len(block) for block in costs.blocks] == [24, 24, 24]
    assert len(table.frame) == 72 + 3
    assert all((block > 0).all() for block in costs.blocks)
    assert table.path == tmp_path / "onnxruntime_cpu" / "small_8px" / "isolated-b1-float32-t1.csv"
    pd.testing.assert_frame_equal(LatencyTable.read(table.path).frame, table.frame)
    samples = table.path.with_suffix(".samples.csv").read_bytes()
    again = profile_space(space, device, tmp_path, protocol)
    assert table.path.with_suffix(".samples.csv").read_bytes() == samples
    pd.testing.assert_frame_equal(again.frame, table.frame)


def test_a_device_profiles_by_its_own_protocol_unless_told_otherwise(tmp_path: Path) -> None:
    space = tiny_space()
    table = profile_space(
        space, fake_device(FakeBackend(fake_machine(space))), tmp_path, workers=create_in_process_workers
    )
    assert table.info.identity["protocol"] == "precise"
    # the fake repeats itself exactly; rounds that met it at its slow speed are discarded and made up for
    assert (table.frame["rounds"] >= PROTOCOLS["precise"].min_rounds).all()
    assert set(table.frame["stop_rule"]) == {"precise"}
