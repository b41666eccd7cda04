"""Progress bars, as far as they can do harm."""

from __future__ import annotations

import threading

from donna_hw.progress import Bar, track


def test_no_bar_starts_a_thread_that_an_interrupt_could_lock_out() -> None:
    before = set(threading.enumerate())
    with Bar("bar") as bar:
        bar.expect(2)
        bar.step()
        assert list(track(range(3), "items", 3)) == [0, 1, 2]
        assert set(threading.enumerate()) == before
