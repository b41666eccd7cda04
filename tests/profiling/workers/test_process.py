"""A worker process: it dies with its parent whatever it does, and its own death is told in words."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from multiprocessing import Pipe
from pathlib import Path

import psutil
import pytest
from fakes import QUICK, tiny_space
from faulty_backends import STUCK, declared_s, faulty_device

from donna_hw.errors import UnavailableError
from donna_hw.graph.graph import Graph, layers_hash
from donna_hw.profiling.jobs import MeasurementJob
from donna_hw.profiling.workers.base import BlockFailedError, DeviceLostError
from donna_hw.profiling.workers.subprocess import SubprocessWorker

SPACE = tiny_space()
SENTINEL, BLOCK = SPACE.fixed_graph("stem"), SPACE.fixed_graph("head")
JOB = MeasurementJob("head", BLOCK)
PATIENCE_S = 60.0
PARENT = """
from faulty_backends import faulty_device
from fakes import QUICK, tiny_space
from donna_hw.graph.graph import layers_hash
from donna_hw.profiling.jobs import MeasurementJob
from donna_hw.profiling.workers.subprocess import SubprocessWorker

block = tiny_space().fixed_graph("head")
worker = SubprocessWorker("w", faulty_device(faults=layers_hash(block) + "=stuck"), QUICK)
worker.run_trial(MeasurementJob("head", block), tiny_space().fixed_graph("stem"), 0)
"""


def worker_with(fault: str = "", patience_s: float = 300.0) -> SubprocessWorker:
    faults = f"{layers_hash(BLOCK)}={fault}" if fault else ""
    return SubprocessWorker("w", faulty_device(faults=faults), replace(QUICK, timeout_s=patience_s))


def alive(process: int) -> bool:
    return psutil.pid_exists(process) and psutil.Process(process).status() != psutil.STATUS_ZOMBIE


def wait_until_gone(process: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while alive(process):
        assert time.monotonic() < deadline, "the worker outlives its parent"
        time.sleep(0.01)


def test_a_worker_whose_runtime_is_stuck_dies_with_its_parent(tmp_path: Path) -> None:
    note = tmp_path / "stuck"
    environment = os.environ | {STUCK: str(note), "PYTHONPATH": os.pathsep.join(part for part in sys.path if part)}
    with subprocess.Popen([sys.executable, "-c", PARENT], env=environment) as parent:
        deadline = time.monotonic() + PATIENCE_S
        while not (note.exists() and note.read_text()):
            assert parent.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        worker = int(note.read_text())
        assert alive(worker)
        parent.kill()
    wait_until_gone(worker)


def test_one_child_serves_all_visits_and_is_gone_when_closed() -> None:
    worker = worker_with()
    assert worker._child is None, "nothing starts before it is needed"
    try:
        assert worker.info().environment.device_model == "fake"
        child = worker._child
        assert child is not None
        for graph in (SENTINEL, BLOCK):
            visit = worker.run_trial(MeasurementJob("block", graph), SENTINEL, 7)
            assert (visit.round, visit.device) == (7, "w")
            assert visit.samples.wall_s.tolist() == [declared_s(graph)] * QUICK.samples
            assert visit.sentinel_s.tolist() == [declared_s(SENTINEL)] * 2 * QUICK.sentinel_samples
        assert worker.time_sentinel(SENTINEL, 5).tolist() == [declared_s(SENTINEL)] * 5
        assert worker._child is child
    finally:
        worker.close()
    assert child.returncode is not None
    worker.close()  # twice does no harm


def test_a_worker_that_failed_begins_anew_or_says_that_its_device_is_lost(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    worker = SubprocessWorker("w", faulty_device(faults=f"{layers_hash(BLOCK)}=raise", gone=str(gone)), QUICK)
    try:
        with pytest.raises(BlockFailedError, match="ValueError: unsupported operator"):
            worker.run_trial(JOB, SENTINEL, 0)
        worker.restart(SENTINEL)
        assert worker.run_trial(MeasurementJob("stem", SENTINEL), SENTINEL, 0).samples.wall_s.size == QUICK.samples
        gone.touch()
        with pytest.raises(DeviceLostError, match="OSError: no such device"):
            worker.restart(SENTINEL)
    finally:
        worker.close()


def test_a_child_that_shuts_up_and_lives_on_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("donna_hw.profiling.workers.subprocess.EXIT_TIMEOUT_S", 0.1)
    worker = worker_with("mute")
    with pytest.raises(BlockFailedError, match="its process was killed by SIGKILL"):
        worker.run_trial(JOB, SENTINEL, 0)
    assert worker._child is None


class Torn(SubprocessWorker):
    """Its child dies while it answers: the length of a message, and half of it."""

    def _start(self) -> None:
        super()._start()
        assert self._child is not None
        self._child.kill()
        ours, theirs = Pipe()
        os.write(theirs.fileno(), (100).to_bytes(4, "big") + b"half")
        theirs.close()
        self._pipe = ours


def test_an_answer_that_is_torn_is_a_failure_in_words() -> None:
    with pytest.raises(BlockFailedError, match="its process was killed by SIGKILL"):
        Torn("w", faulty_device(), QUICK).run_trial(JOB, SENTINEL, 0)


def test_a_child_that_cannot_even_begin_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "sys.path", [part for part in sys.path if "tests" not in part]
    )  # the device's class is not found
    with pytest.raises(UnavailableError, match=r"device w does not open; got .*exit code 1; .*No module named 'faulty"):
        worker_with().info()


def test_a_graph_goes_to_the_child_and_back_as_it_is() -> None:
    import pickle

    graphs: list[Graph] = [SPACE.block_graph(stage, m) for stage in SPACE.stages for m in range(stage.size)]
    assert pickle.loads(pickle.dumps(graphs)) == graphs  # noqa: S301  our own
