"""A real profile, killed by a real SIGKILL again and again, loses at most the visit it was at and never its mind."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from donna_hw.files import Journal
from donna_hw.profiling.schedule import COLUMNS
from donna_hw.spaces import load_space
from donna_hw.table import LatencyTable

SPACE = "small_8px"
BLOCKS = 3 * 24 + 3
PATIENCE_S = 60.0

# Beside profiling, the child notes each runner that is made ready: the sentinel's first, then one for each visit begun.
CHILD = """
import os, sys
from pathlib import Path
from donna_hw.backends.onnxruntime import OnnxRuntimeBackend
from donna_hw.device import Device
from donna_hw.measurement.protocol import Protocol
from donna_hw.profiling.profile import profile_space
from donna_hw.spaces import load_space

root, notes, rounds, space = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
file = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
real = OnnxRuntimeBackend.prepare
def noted(self, graph):
    os.write(file, b".")
    return real(self, graph)
OnnxRuntimeBackend.prepare = noted
protocol = Protocol("killed", rounds, 1, 2, "median", sentinel_samples=1)
profile_space(load_space(space), Device.load("onnxruntime_cpu"), root, protocol)
"""


def journal_below(root: Path) -> Path:
    return root / "onnxruntime_cpu" / SPACE / "isolated-b1-float32-t1.samples.csv"


def whole_lines(path: Path) -> bytes:
    data = path.read_bytes() if path.exists() else b""
    return data[: data.rfind(b"\n") + 1]


def start(root: Path, rounds: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHILD, str(root / "tables"), str(root / "notes"), str(rounds), SPACE]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def kill_somewhere(child: subprocess.Popen[str], journal: Path, rng: np.random.Generator) -> None:
    """Kill the child at a random moment: while it starts, or a random while after a random number of new records."""
    starting = rng.random() < 0.2
    wanted = whole_lines(journal).count(b"\n") + (0 if starting else int(rng.integers(1, 8)))
    deadline = time.monotonic() + PATIENCE_S
    while whole_lines(journal).count(b"\n") < wanted and child.poll() is None:
        assert time.monotonic() < deadline, "the profile stands still"
        time.sleep(0.001)
    # the moment within the visit is what is drawn here; nothing is waited for
    time.sleep(rng.random() * (0.8 if starting else 0.02))
    child.kill()


def killed_and_finished(root: Path, kills: int, rounds: int, seed: int) -> int:
    """Kill a profile `kills` times, check what each kill left, finish it, and return how many kills met it alive."""
    rng = np.random.default_rng(seed)
    journal = journal_below(root / "tables")
    met = 0
    for _ in range(kills):
        before = whole_lines(journal)
        with start(root, rounds) as child:
            kill_somewhere(child, journal, rng)
            _, said = child.communicate()
        assert "Error" not in said, said
        assert child.returncode in (-9, 0), said
        after = whole_lines(journal)
        assert after.startswith(before), "a record of an earlier run was lost"
        notes = root / "notes"
        begun = max(0, notes.stat().st_size - 1) if notes.exists() else 0
        notes.unlink(missing_ok=True)
        gained = max(0, after.count(b"\n") - 1) - max(0, before.count(b"\n") - 1)
        assert begun - gained in (0, 1), "a kill may lose the visit it meets, no more"
        met += child.returncode == -9
    with start(root, rounds) as last:
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
    assert (table.frame["rounds"] == rounds).all()
    assert (table.frame["samples"] == 2 * rounds).all()
    table.costs(load_space(SPACE))


def test_a_profile_survives_five_kills(tmp_path: Path) -> None:
    # so many rounds that even a fast machine is still at them when it is killed
    assert killed_and_finished(tmp_path, kills=5, rounds=20, seed=0) == 5
    assert_whole(tmp_path, rounds=20)


@pytest.mark.long
def test_a_profile_survives_a_hundred_kills(tmp_path: Path) -> None:
    assert killed_and_finished(tmp_path, kills=100, rounds=150, seed=1) == 100
    assert_whole(tmp_path, rounds=150)
