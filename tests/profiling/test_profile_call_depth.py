"""The path from the command line to the timed loop is short: few frames of donna_hw in both processes together."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from types import FrameType

import pytest
from fakes import QUICK, FakeBackend, FakeRunner, fake_device, fake_machine, tiny_space

from donna_hw.measurement.measurement import Samples
from donna_hw.profiling.profiler import profile_space
from donna_hw.profiling.workers.in_process import create_in_process_workers

MAX_FRAMES = 11
# The command, `SubprocessWorker._call` and `main` of the child, the runner's `samples` and `time_calls`: not on a fake in this process.
FRAMES_WITHOUT_FAKE = 5


def donna_frames(frame: FrameType | None) -> list[str]:
    """Return the functions of donna_hw on a stack, the innermost first."""
    names = []
    while frame is not None:
        module, name = str(frame.f_globals.get("__name__", "")), frame.f_code.co_qualname
        if module.startswith("donna_hw.") and not name.endswith(
            "comp>"
        ):  # from Python 3.12 on comprehensions have no frame
            names.append(name)
        frame = frame.f_back
    return names


def test_few_frames_lie_between_the_command_and_the_timed_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stacks: list[list[str]] = []
    samples, main = FakeRunner.samples, threading.main_thread().ident
    assert main is not None

    def record_stack(runner: FakeRunner, count: int) -> Samples:
        if not runner.watches and count == QUICK.samples:
            waiting = sys._current_frames()[main]  # the main thread waits for the thread that measures
            stacks.append(donna_frames(sys._getframe()) + donna_frames(waiting))
        return samples(runner, count)

    monkeypatch.setattr(FakeRunner, "samples", record_stack)
    space = tiny_space()
    device = fake_device(FakeBackend(fake_machine(space)))
    profile_space(space, device, tmp_path, QUICK, workers=create_in_process_workers)
    assert stacks
    for stack in stacks:
        assert {"TrialRunner.run", "Scheduler.run", "profile_space"} <= set(stack)
        assert len(stack) + FRAMES_WITHOUT_FAKE <= MAX_FRAMES, stack
