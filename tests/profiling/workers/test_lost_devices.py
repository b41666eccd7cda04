"""Devices that vanish in the middle of a profile: another of the pool takes over, or all is kept and the next start finishes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fakes import QUICK, tiny_space
from faulty_backends import declared_s, faulty_device

from donna_hw._core.journal import Journal
from donna_hw.errors import UnavailableError
from donna_hw.profiling.profiler import profile_space
from donna_hw.profiling.sample_journal import COLUMNS
from donna_hw.profiling.workers.base import WorkerFactory
from donna_hw.profiling.workers.in_process import create_in_process_workers
from donna_hw.profiling.workers.subprocess import create_subprocess_workers
from donna_hw.tables.latency_table import LatencyTable
from donna_hw.tables.parts import list_parts

SPACE = tiny_space()
PARTS = list_parts(SPACE)
RUNNERS = 1 + QUICK.rounds * len(PARTS)  # that one device makes ready for a whole profile


def visits_below(root: Path) -> list[tuple[str, str, str]]:
    [path] = root.rglob("*.samples.csv")
    records = Journal(path, COLUMNS).records()
    assert not any(record["failure"] for record in records), "a lost device is no block's fault"
    return [(record["layers_hash"], record["round"], record["device"]) for record in records]


def assert_complete(root: Path, table: LatencyTable) -> None:
    costs = {part.layers_hash: float(f"{declared_s(part.graph):.6g}") for part in PARTS}
    assert dict(zip(table.frame["layers_hash"], table.frame["median_s"], strict=True)) == costs
    each = sorted((key, round_) for key, round_, _ in visits_below(root))
    assert each == sorted((part.layers_hash, str(n)) for part in PARTS for n in range(QUICK.rounds))


def lose_one_of_two(root: Path, lost_after: int, workers: WorkerFactory) -> None:
    pool = {"gone": str(root / "gone"), "lost_after": lost_after}, {}
    table = profile_space(SPACE, faulty_device(*pool), root / "tables", QUICK, workers=workers)
    assert_complete(root, table)


def lose_the_only_one(root: Path, lost_after: int, workers: WorkerFactory) -> None:
    gone = root / "gone"
    device = faulty_device(gone=str(gone), lost_after=lost_after)
    with pytest.raises(UnavailableError) as told:
        profile_space(SPACE, device, root / "tables", QUICK, workers=workers)
    assert str(told.value) == (
        "a device must be left to measure on; found 'none: faulty.0: OSError: no such device'; start again: all is kept"
    )
    kept = visits_below(root) if lost_after > 2 else []
    assert len(kept) == max(0, lost_after - 2)
    with pytest.raises(UnavailableError, match="no such device"):  # it is still away
        profile_space(SPACE, device, root / "tables", QUICK, workers=workers)
    gone.unlink()
    assert_complete(root, profile_space(SPACE, faulty_device(), root / "tables", QUICK, workers=workers))
    assert visits_below(root)[: len(kept)] == kept


MOMENTS = np.random.default_rng(0).integers(2, RUNNERS + 1, 20).tolist()


@pytest.mark.parametrize("moment", MOMENTS)
def test_the_only_device_vanishes_at_any_moment(tmp_path: Path, moment: int) -> None:
    lose_the_only_one(tmp_path, moment, create_in_process_workers)


@pytest.mark.parametrize("moment", MOMENTS)
def test_one_device_of_two_vanishes_at_any_moment(tmp_path: Path, moment: int) -> None:
    lose_one_of_two(tmp_path, moment, create_in_process_workers)


def test_the_only_device_vanishes_under_a_worker_process(tmp_path: Path) -> None:
    lose_the_only_one(tmp_path, 8, create_subprocess_workers)  # of the eleven runners of a round


def test_one_device_of_two_vanishes_under_worker_processes(tmp_path: Path) -> None:
    lose_one_of_two(tmp_path, 4, create_subprocess_workers)
    fellows = {device for _, _, device in visits_below(tmp_path)}
    assert "faulty.1" in fellows
