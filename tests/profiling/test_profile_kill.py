"""A real profile, killed by a real SIGKILL again and again, loses at most the visit it was at and never its mind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import psutil
import pytest
from counted_backend import NOTES

from donna_hw._core.journal import Journal
from donna_hw.profiling.sample_journal import COLUMNS
from donna_hw.spaces import load_space
from donna_hw.tables.latency_table import LatencyTable

SPACE = "small_8px"
BLOCKS = 3 * 24 + 3
PATIENCE_S = 60.0

# The first runner that each worker process notes is the sentinel's; each further one is a visit begun.
CHILD = """
import sys
from pathlib import Path
from counted_backend import NotedDevice
from donna_hw.measurement.protocol import Protocol
from donna_hw.profiling.profiler import profile_space
from donna_hw.spaces import load_space

protocol = Protocol("killed", int(sys.argv[2]), 1, 2, "median", sentinel_samples=1)
profile_space(load_space(sys.argv[3]), NotedDevice.load("onnxruntime_cpu"), Path(sys.argv[1]), protocol)
"""


def journal_below(root: Path) -> Path:
    return root / "onnxruntime_cpu" / SPACE / "isolated-b1-float32-t1.samples.csv"


def whole_lines(path: Path) -> bytes:
    data = path.read_bytes() if path.exists() else b""
    return data[: data.rfind(b"\n") + 1]


def start(root: Path, rounds: int, notes: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHILD, str(root / "tables"), str(rounds), SPACE]
    path = os.pathsep.join(part for part in sys.path if part)
    environment = os.environ | {NOTES: str(notes), "PYTHONPATH": path}
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)


def visits_noted(notes: Path) -> int:
    """Return how many visits the workers began, once the last has left, as it must when its parent is killed."""
    if not notes.exists():
        return 0
    text = notes.read_text()
    workers = [int(number) for number in re.findall(r"\d+", text)]
    deadline = time.monotonic() + PATIENCE_S
    while psutil.pid_exists(workers[-1]) and psutil.Process(workers[-1]).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the worker outlives its parent"
        time.sleep(0.001)
    return max(0, notes.read_text().count(".") - len(workers))


def kill_somewhere(child: subprocess.Popen[str], journal: Path, rng: np.random.Generator) -> None:
    """Kill the child at a random moment: while it starts, or a random while after a random number of new records."""
    starting = rng.random() < 0.2
    wanted = whole_lines(journal).count(b"\n") + (0 if starting else int(rng.integers(1, 8)))
    deadline = time.monotonic() + PATIENCE_S
    while whole_lines(journal).count(b"\n") < wanted and child.poll() is None:
        assert time.monotonic() < deadline, "the profile stands still"
        time.sleep(0.001)
    # the moment within the visit is what is drawn here; nothing is waited for
    time.sleep(rng.random() * (2.5 if starting else 0.02))
    child.kill()


def killed_and_finished(root: Path, kills: int, rounds: int, seed: int) -> int:
    """Kill a profile `kills` times, check what each kill left, finish it, and return how many kills met it alive."""
    rng = np.random.default_rng(seed)
    journal = journal_below(root / "tables")
    met = 0
    for number in range(kills):
        before, notes = whole_lines(journal), root / f"notes{number}"
        with start(root, rounds, notes) as child:
            kill_somewhere(child, journal, rng)
            _, said = child.communicate()
        assert "Error" not in said, said
        assert child.returncode in (-9, 0), said
        after = whole_lines(journal)
        assert after.startswith(before), "a record of an earlier run was lost"
        begun = visits_noted(notes)
        gained = max(0, after.count(b"\n") - 1) - max(0, before.count(b"\n") - 1)
        assert begun - gained in (0, 1), "a kill may lose the visit it meets, no more"
        met += child.returncode == -9
    with start(root, rounds, root / "last") as last:
        _, said = last.communicate()
    assert last.returncode == 0, said
    return met


def assert_whole(root: Path, rounds: int) -> None:
    journal = journal_below(root / "tables")
    visits = Counter((r["layers_hash"], int(r["round"])) for r in Journal(journal, COLUMNS).records())
    assert set(visits.values()) == {1}, "a block was visited twice in a round"
    assert len(visits) == BLOCKS * rounds
    table = LatencyTable.read(journal.with_name("isolated-b1-float32-t1.csv"))
    assert len(table.frame) == BLOCKS
    assert (table.frame["rounds"] <= rounds).all()  # some may have met the machine at another speed
    assert (table.frame["samples"] == 2 * rounds).all()
    table.costs(load_space(SPACE))


@pytest.mark.long
def test_a_profile_survives_three_kills(tmp_path: Path) -> None:
    # so many rounds that even a fast machine is still at them when it is killed
    assert killed_and_finished(tmp_path, kills=3, rounds=20, seed=0) == 3
    assert_whole(tmp_path, rounds=20)


@pytest.mark.long
def test_a_profile_survives_a_hundred_kills(tmp_path: Path) -> None:
    assert killed_and_finished(tmp_path, kills=100, rounds=150, seed=1) == 100
    assert_whole(tmp_path, rounds=150)
