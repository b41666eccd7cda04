"""A real run next to a second one, and one that is interrupted at the keyboard."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from donna_hw._core.journal import Journal
from donna_hw.profiling.sample_journal import COLUMNS

# Interrupts are heeded even where the tests were started in the background of a shell, which has what it starts ignore them.
CODE = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from donna_hw.cli import main; main()"
DONNA = [sys.executable, "-c", CODE]
PATIENCE_S = 60.0


def profile(root: Path, rounds: int) -> subprocess.Popen[str]:
    command = [
        *DONNA,
        "profile",
        "small_28px",
        "--device",
        "onnxruntime_cpu",
        "--rounds",
        str(rounds),
        "--tables",
        str(root),
    ]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(part for part in sys.path if part)}
    # a session of its own, as a terminal would give it: an interrupt goes to all its processes
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True)


def records(root: Path) -> list[dict[str, str]]:
    found = [record for path in root.rglob("*.samples.csv") for record in Journal(path, COLUMNS).records()]
    assert not any(record["failure"] for record in found)
    return found


def wait_for_records(root: Path, run: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while len(records(root)) < 5:
        assert run.poll() is None, run.communicate()[1]
        assert time.monotonic() < deadline, "the profile makes no progress"
        time.sleep(0.01)


def test_a_second_run_is_told_that_the_table_is_busy_and_ctrl_c_ends_the_first_at_once(tmp_path: Path) -> None:
    with profile(tmp_path, 40) as first:
        wait_for_records(tmp_path, first)
        with profile(tmp_path, 40) as second:
            _, output = second.communicate(timeout=PATIENCE_S)
        assert second.returncode == 2, output
        assert "is locked by another process that writes there" in output
        assert first.poll() is None
        before = len(records(tmp_path))
        os.killpg(first.pid, signal.SIGINT)
        _, output = first.communicate(timeout=PATIENCE_S)
    assert first.returncode == 130, output
    assert "stopped; run the same command again to resume" in output
    # No worker took the interrupt for a block's failure, and the round of 291 blocks was not run to its end.
    assert before <= len(records(tmp_path)) < before + 50
