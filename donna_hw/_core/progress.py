"""Progress of everything that takes long, on standard error: a live bar in a terminal, a line now and then in a log."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO, TypeVar, cast

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

Item = TypeVar("Item")
REFRESH_S = 0.2  # a live bar is drawn again at most this often
LOG_INTERVAL_S = 10.0  # a log gets at most one line of a bar in this time, and one at its end


class SafeStream:
    """Standard error that drops what nobody reads any more, as behind `2>&1 | head`: work must not fail for its progress."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write the text if the stream still takes it."""
        with suppress(OSError, ValueError):  # ValueError: the stream is closed
            if self._stream is not None:
                self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush the stream if it still can be."""
        with suppress(OSError, ValueError):
            if self._stream is not None:
                self._stream.flush()

    def isatty(self) -> bool:
        """Return whether the stream is a terminal."""
        with suppress(OSError, ValueError):
            return self._stream is not None and self._stream.isatty()
        return False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Display:
    """The bars of this process that are open: one live picture in a terminal, so that several bars do not overwrite each other.

    The picture is drawn by whoever takes a step, never by a thread of its own: an interrupt that falls between two locks of such a
    thread would leave both sides waiting for each other.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._progress: Progress | None = None
        self._open_bars = 0
        self._drawn_s = 0.0

    def open_bar(self, label: str, total: int, done: int) -> tuple[Progress, TaskID]:
        """Add a bar, and begin the picture with the first one."""
        with self.lock:
            if self._progress is None:
                self._progress = _create_live_progress()
                self._progress.start()
            self._open_bars += 1
            task = self._progress.add_task(label, total=total, completed=done, note="")
            self._progress.refresh()
            return self._progress, task

    def close_bar(self) -> None:
        """Draw a last time; the picture ends with the last bar that is open."""
        with self.lock:
            self._open_bars -= 1
            if self._progress is not None and self._open_bars == 0:
                self._progress.stop()
                self._progress = None

    def refresh(self) -> None:
        """Draw again, unless that was done a moment ago."""
        with self.lock:
            if self._progress is not None and time.monotonic() - self._drawn_s >= REFRESH_S:
                self._progress.refresh()
                self._drawn_s = time.monotonic()

    def print_line(self, line: str) -> None:
        """Print a line above the bars, or plainly where there are none."""
        with self.lock:
            if self._progress is not None:
                self._progress.console.print(line, markup=False, highlight=False, emoji=False, soft_wrap=True)
            else:
                stream = SafeStream(sys.stderr)
                stream.write(f"{line}\n")
                stream.flush()


_DISPLAY = _Display()


def print_line(line: str) -> None:
    """Print a line to standard error, above any bars."""
    _DISPLAY.print_line(line)


def is_live() -> bool:
    """Return whether standard error is a terminal that can redraw a line."""
    return SafeStream(sys.stderr).isatty() and os.environ.get("TERM") != "dumb"


def _create_live_progress() -> Progress:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    plain = bool(os.environ.get("NO_COLOR"))
    console = Console(
        file=cast(Any, SafeStream(sys.stderr)),
        force_terminal=True,
        no_color=plain,
        color_system=None if plain else "auto",
    )
    columns = (
        TextColumn("{task.description:<24}", markup=False),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    return Progress(
        *columns, console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False, expand=True
    )


class ProgressBar:
    """A bar on standard error whose end moves as more work turns out to be needed; safe to step from several threads.

    Args:
        label: What is done, such as `profile v100`.
        total: How many steps there are, as far as is known.
        done: How many of them an earlier run finished.
    """

    def __init__(self, label: str, total: int = 0, done: int = 0) -> None:
        self._label, self._total, self._done = label, total, done
        self._logged = done  # steps that the last line in the log reported
        self._began_s = self._logged_s = time.monotonic()
        self._live = _DISPLAY.open_bar(label, total, done) if is_live() else None

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Draw the bar a last time."""
        if self._live is not None:
            with _DISPLAY.lock:
                self._update_live()
                _DISPLAY.close_bar()
                self._live = None
        elif self._done != self._logged:
            self._log()

    def set_remaining(self, more: int) -> None:
        """Set how many steps are to come from now on, as far as is known."""
        with _DISPLAY.lock:
            self._total = self._done + more
            self._show()

    def step(self) -> None:
        """Count one finished step."""
        with _DISPLAY.lock:
            self._done += 1
            self._show()

    def write(self, line: str) -> None:
        """Print a line above the bar."""
        print_line(line)

    def set_postfix(self, words: str) -> None:
        """Show words behind the bar until the next ones; a log does without them."""
        if self._live is not None:
            with _DISPLAY.lock:
                progress, task = self._live
                progress.update(task, note=words)
                _DISPLAY.refresh()

    def _show(self) -> None:
        if self._live is not None:
            self._update_live()
            _DISPLAY.refresh()
        elif time.monotonic() - self._logged_s >= LOG_INTERVAL_S:
            self._log()

    def _update_live(self) -> None:
        if self._live is not None:
            progress, task = self._live
            progress.update(task, completed=self._done, total=max(self._total, self._done))

    def _log(self) -> None:
        from donna_hw._core.units import format_duration

        with _DISPLAY.lock:
            self._logged, self._logged_s = self._done, time.monotonic()
            total, spent = max(self._total, self._done), format_duration(self._logged_s - self._began_s)
            print_line(f"{self._label}: {self._done} of {total}, {spent}")


def track(items: Iterable[Item], label: str, total: int, done: int = 0) -> Iterator[Item]:
    """Yield the items under a bar on standard error.

    Args:
        items: What is iterated.
        label: What is done, such as `finetune library`.
        total: How many items there are, with those of earlier runs.
        done: How many of them an earlier run finished.

    Yields:
        The items.
    """
    with ProgressBar(label, total, done) as bar:
        for item in items:
            yield item
            bar.step()
