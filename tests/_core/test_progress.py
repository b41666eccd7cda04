"""Progress bars, as far as they can do harm."""

from __future__ import annotations

import io
import sys
import threading

import pytest

from donna_hw._core.progress import ProgressBar, track


def test_no_bar_starts_a_thread_that_an_interrupt_could_lock_out() -> None:
    before = set(threading.enumerate())
    with ProgressBar("bar") as bar:
        bar.set_remaining(2)
        bar.step()
        assert list(track(range(3), "items", 3)) == [0, 1, 2]
        assert set(threading.enumerate()) == before


class Unread(io.StringIO):
    """Standard error whose reader has gone, after so many writes."""

    def __init__(self, writes: int) -> None:
        super().__init__()
        self.left = writes

    def write(self, words: str) -> int:
        self.left -= 1
        if self.left < 0:
            raise BrokenPipeError(32, "Broken pipe")
        return super().write(words)


@pytest.mark.parametrize("writes", [0, 2])
def test_work_goes_on_when_nobody_reads_the_bar(writes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread's bar cannot be written; the main thread's close must not wait for a lock that the dead thread holds."""
    monkeypatch.setattr(sys, "stderr", Unread(writes))
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
