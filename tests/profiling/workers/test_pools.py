"""Pools: devices alike fill one table together, each block visited once a round; devices unlike are refused with their numbers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from fakes import QUICK, tiny_space
from faulty_backends import declared_s, faulty_device

from donna_hw._core.journal import Journal
from donna_hw.devices.device import Device, DeviceConfig
from donna_hw.errors import ConfigError, TableError, UnavailableError
from donna_hw.measurement.protocol import Protocol
from donna_hw.profiling.profiler import profile_space
from donna_hw.profiling.sample_journal import COLUMNS
from donna_hw.profiling.table_setup import select_sentinel
from donna_hw.profiling.workers.base import Worker
from donna_hw.profiling.workers.in_process import create_in_process_workers
from donna_hw.profiling.workers.subprocess import create_subprocess_workers
from donna_hw.spaces import load_space
from donna_hw.tables.latency_table import LatencyTable
from donna_hw.tables.parts import list_parts

SPACE = tiny_space()
PARTS = list_parts(SPACE)


def visits(table: LatencyTable) -> list[dict[str, str]]:
    return Journal(table.path.with_suffix(".samples.csv"), COLUMNS).records()


def test_two_devices_share_a_table_and_each_block_is_visited_once_a_round(tmp_path: Path) -> None:
    table = profile_space(
        SPACE, faulty_device({"meets": True}, {"meets": True}), tmp_path, QUICK, workers=create_in_process_workers
    )
    found = visits(table)
    each = Counter((record["layers_hash"], int(record["round"])) for record in found)
    assert each == Counter((part.layers_hash, n) for part in PARTS for n in range(QUICK.rounds))
    assert {record["device"] for record in found} == {"faulty.0", "faulty.1"}
    costs = {part.layers_hash: float(f"{declared_s(part.graph):.6g}") for part in PARTS}
    assert dict(zip(table.frame["layers_hash"], table.frame["median_s"], strict=True)) == costs


def test_a_device_a_fifth_slower_is_steadied_by_its_own_sentinel(tmp_path: Path) -> None:
    pool = {"meets": True}, {"meets": True, "slow": 1.2}
    table = profile_space(SPACE, faulty_device(*pool), tmp_path, QUICK, workers=create_in_process_workers)
    assert table.info.sentinel_reference_s is not None
    sentinel_s = declared_s(select_sentinel(PARTS))
    for part, median in zip(PARTS, table.frame["median_s"], strict=True):
        share = declared_s(part.graph) / sentinel_s
        assert median == pytest.approx(share * table.info.sentinel_reference_s, rel=1e-5)


def test_devices_unlike_are_refused_with_both_medians(tmp_path: Path) -> None:
    once_ms = 1e3 * declared_s(select_sentinel(PARTS))
    with pytest.raises(UnavailableError) as told:
        profile_space(SPACE, faulty_device({}, {"slow": 2.0}), tmp_path, QUICK, workers=create_in_process_workers)
    assert str(told.value) == (
        "devices of one pool must run the sentinel within 25 % of each other; "
        f"found 'faulty.0 {once_ms:.3g} ms, faulty.1 {2 * once_ms:.3g} ms'; "
        "let the slow one cool down, or take it out of the device file's pool"
    )
    assert not list(tmp_path.rglob("*.samples.csv"))


def test_devices_of_another_identity_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"holds rows of device_model = 'fake'.*found 'other'"):
        profile_space(SPACE, faulty_device({}, {"model": "other"}), tmp_path, QUICK, workers=create_in_process_workers)
    assert not list(tmp_path.rglob("*.samples.csv"))


def test_a_device_that_does_not_run_the_sentinel_is_named(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.touch()
    with pytest.raises(
        UnavailableError, match=r"device faulty\.1 must run the sentinel; found 'OSError: no such device'"
    ):
        profile_space(SPACE, faulty_device({}, {"gone": str(gone)}), tmp_path, QUICK, workers=create_in_process_workers)


def test_a_worker_that_cannot_open_its_device_tells_the_childs_own_error(tmp_path: Path) -> None:
    file = DeviceConfig(title="x", backend="onnxruntime", protocol="precise", options={"threads": "two"})
    with pytest.raises(ConfigError, match="option threads must be a whole number; found 'two'"):
        profile_space(SPACE, Device("mine", file), tmp_path, QUICK)
    assert not list(tmp_path.rglob("*.samples.csv"))


def test_two_real_processes_fill_a_shipped_space_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Cores of a machine that is busy with other tests are not alike; that they may not be refused is not what is tested here.
    monkeypatch.setattr("donna_hw.profiling.scheduler.POOL_TOLERANCE", float("inf"))
    file = DeviceConfig(title="two sessions", backend="onnxruntime", protocol="precise", pool=[{}, {}])
    space, protocol = load_space("small_8px"), Protocol("two_rounds", 2, 1, 3, "median", sentinel_samples=2)
    crew: list[Worker] = []

    def noted(device: Device, asked: Protocol) -> list[Worker]:
        crew.extend(create_subprocess_workers(device, asked))
        return crew

    table = profile_space(space, Device("pair", file), tmp_path, protocol, workers=noted)
    found = visits(table)
    assert {record["device"] for record in found} == {"pair.0", "pair.1"} == {worker.name for worker in crew}
    keys = {part.layers_hash for part in list_parts(space)}
    each = Counter((record["layers_hash"], int(record["round"])) for record in found)
    assert each == Counter((key, n) for key in keys for n in range(2))
    table.costs(space)
