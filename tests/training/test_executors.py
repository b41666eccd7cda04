"""The pool of real processes: every result, every error, and no worker without its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from paths import ROOT

from donna_hw.errors import UnavailableError
from donna_hw.training.executors import ProcessExecutor


def square(x: int) -> tuple[int, int, int]:
    import torch

    return x * x, os.getpid(), torch.get_num_threads()


def reciprocal(x: int) -> float:
    return 1 / x


def die(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessExecutor]:
    pool = ProcessExecutor(2)
    yield pool
    pool.close()


def test_every_result_arrives_with_its_task_from_workers_of_one_thread(pool: ProcessExecutor) -> None:
    results = dict(pool.map(square, range(40)))
    assert {x: result[0] for x, result in results.items()} == {x: x * x for x in range(40)}
    assert {threads for _, _, threads in results.values()} == {1}
    pids = {pid for _, pid, _ in results.values()}
    assert os.getpid() not in pids
    assert len(pids) <= 2


def test_an_error_in_a_task_is_raised_and_the_pool_still_works(pool: ProcessExecutor) -> None:
    with pytest.raises(ZeroDivisionError):
        dict(pool.map(reciprocal, [1, 2, 0, 4]))
    assert dict(pool.map(reciprocal, [2])) == {2: 0.5}


def test_a_killed_worker_is_an_error_with_a_hint_and_new_workers_start(pool: ProcessExecutor) -> None:
    with pytest.raises(UnavailableError, match=r"a worker process was killed, .*; lower `workers` in the recipe"):
        dict(pool.map(die, [0]))
    assert dict(pool.map(reciprocal, [4])) == {4: 0.25}


def test_no_tasks_are_no_results(pool: ProcessExecutor) -> None:
    assert list(pool.map(square, [])) == []


def test_closing_twice_or_unused_is_fine() -> None:
    pool = ProcessExecutor(1)
    pool.close()
    pool.close()


def test_workers_die_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import time\nfrom donna_hw.training.executors import ProcessExecutor\n"
        "if __name__ == '__main__':\n    list(ProcessExecutor(2).map(time.sleep, [600, 600]))\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, script], cwd=tmp_path, env=environment) as parent:
        try:
            children = wait_for_workers(parent.pid)
        finally:
            parent.send_signal(signal.SIGKILL)
    gone, alive = psutil.wait_procs(children, timeout=30)
    assert not alive
    assert len(gone) >= 2


def wait_for_workers(pid: int) -> list[psutil.Process]:
    """Return all children once two workers are asleep in their task: they have loaded torch by then."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        children = psutil.Process(pid).children(recursive=True)
        workers = [child for child in children if "spawn_main" in " ".join(child.cmdline())]
        if len(workers) == 2 and all(any("libtorch" in m.path for m in w.memory_maps()) for w in workers):
            return children
        time.sleep(0.1)
    raise AssertionError("two workers did not start within a minute")
