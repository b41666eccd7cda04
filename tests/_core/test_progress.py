"""Progress: live bars in a terminal, a few lines in a log, and no harm where nobody reads."""

from __future__ import annotations

import io
import re
import sys
import threading

import pytest

from donna_hw._core import progress
from donna_hw._core.progress import ProgressBar, print_line, track


@pytest.mark.parametrize("live", [False, True])
def test_no_bar_starts_a_thread_that_an_interrupt_could_lock_out(live: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal() if live else io.StringIO())
    before = set(threading.enumerate())
    with ProgressBar("bar") as bar:
        bar.set_remaining(2)
        bar.step()
        assert list(track(range(3), "items", 3)) == [0, 1, 2]
        assert set(threading.enumerate()) == before


class Terminal(io.StringIO):
    """Standard error that is a terminal."""

    def isatty(self) -> bool:
        return True


class Unread(io.StringIO):
    """Standard error whose reader has gone, after so many writes."""

    def __init__(self, writes: int, live: bool) -> None:
        super().__init__()
        self.left, self.live = writes, live

    def isatty(self) -> bool:
        return self.live

    def write(self, words: str) -> int:
        self.left -= 1
        if self.left < 0:
            raise BrokenPipeError(32, "Broken pipe")
        return super().write(words)


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("writes", [0, 2])
def test_work_goes_on_when_nobody_reads_the_bar(writes: int, live: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread's bar cannot be written; the main thread's close must not wait for a lock that the dead thread holds."""
    monkeypatch.setattr(sys, "stderr", Unread(writes, live))
    done = []

    def work() -> None:
        with ProgressBar("bar") as bar:
            bar.set_remaining(3)
            stepping = threading.Thread(target=lambda: (bar.step(), bar.set_postfix("words"), done.append("stepped")))
            stepping.start()
            stepping.join()
            bar.write("a line")
        done.extend(track(iter("ab"), "items", 2))

    working = threading.Thread(target=work, daemon=True)
    working.start()
    working.join(timeout=20)
    assert done == ["stepped", "a", "b"]


def test_a_closed_or_missing_standard_error_stops_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    for stream in (closed, None):
        monkeypatch.setattr(sys, "stderr", stream)
        assert list(track("ab", "items", 2)) == ["a", "b"]
        print_line("a line")


def test_a_log_gets_one_line_of_a_short_step_and_no_carriage_return(monkeypatch: pytest.MonkeyPatch) -> None:
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    assert list(track(range(5), "distill", 7, 2)) == [0, 1, 2, 3, 4]
    assert log.getvalue().startswith("distill: 7 of 7, ")
    assert log.getvalue().count("\n") == 1
    assert "\r" not in log.getvalue()
    assert "\x1b" not in log.getvalue()


def test_a_log_gets_a_line_now_and_then_of_a_long_step(monkeypatch: pytest.MonkeyPatch) -> None:
    log, clock = io.StringIO(), iter(range(0, 10_000, 4))  # a step takes some multiple of 4 seconds
    monkeypatch.setattr(sys, "stderr", log)
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    with ProgressBar("profile v100") as bar:
        bar.set_remaining(30)
        for _ in range(30):
            bar.step()
    lines = log.getvalue().splitlines()
    assert 3 <= len(lines) <= 16
    assert lines[-1].startswith("profile v100: 30 of 30, ")
    assert all(line.startswith("profile v100: ") for line in lines)


def test_work_that_fails_before_its_first_step_leaves_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)

    def fail() -> None:
        with ProgressBar("bar") as bar:
            bar.set_remaining(2)
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fail()
    assert log.getvalue() == ""


@pytest.mark.parametrize("no_color", ["", "1"])
def test_a_terminal_gets_a_live_bar_and_lines_above_it(no_color: str, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(progress, "REFRESH_S", 0.0)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", no_color)
    with ProgressBar("outer") as outer:
        outer.set_remaining(2)
        for _ in track(range(2), "inner", 2):
            outer.step()
            outer.set_postfix("cools down")
        print_line("[a] line that is longer than the sixty columns of this terminal, and stays whole")
    text = terminal.getvalue()
    assert "2/2" in text
    assert "cools down" in text
    assert "[a] line that is longer than the sixty columns of this terminal, and stays whole\n" in text
    assert ("\x1b[38;5;" in text or "\x1b[1;3" in text or "\x1b[3" in text) == (no_color == "")
    shown = [
        line for line in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "\n", text).replace("\r", "\n").splitlines() if "/" in line
    ]
    assert max(map(len, shown)) <= 60


def test_a_dumb_terminal_is_treated_as_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "dumb")
    assert list(track("ab", "items", 2)) == ["a", "b"]
    assert terminal.getvalue().startswith("items: 2 of 2, ")
