"""Progress bars for everything that takes long."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from types import TracebackType
from typing import Any, TypeVar

Item = TypeVar("Item")
BAR_OPTIONS: dict[str, Any] = {"unit": "", "dynamic_ncols": True, "mininterval": 0.5, "miniters": 1}


@cache
def _bar_class() -> type[Any]:
    """Return tqdm's bars without its monitor: an interrupt between the two locks that both take would leave each waiting for the other."""
    from tqdm import tqdm

    class Unmonitored(tqdm):  # type: ignore[type-arg]
        monitor_interval = 0

    return Unmonitored


def _safe_stderr() -> Any:
    """Return standard error as one that takes what nobody reads any more, as behind `2>&1 | head`.

    tqdm keeps its lock when it cannot write, and whatever thread asks for it next would wait forever.
    """
    from tqdm.utils import ObjectWrapper

    class Unbroken(ObjectWrapper):
        def write(self, words: str) -> None:
            with suppress(OSError):
                self._wrapped.write(words)

        def flush(self) -> None:
            with suppress(OSError):
                self._wrapped.flush()

    return Unbroken(sys.stderr)


def track(items: Iterable[Item], label: str, total: int, done: int = 0) -> Iterator[Item]:
    """Yield the items under a bar on standard error; `done` of `total` were finished by an earlier run."""
    with _bar_class()(file=_safe_stderr(), total=total, initial=done, desc=f"{label:<28}", **BAR_OPTIONS) as bar:
        for item in items:
            yield item
            bar.update()


class ProgressBar:
    """A bar on standard error whose end moves as more work turns out to be needed; safe to step from several threads."""

    def __init__(self, label: str) -> None:
        self._bar = _bar_class()(file=_safe_stderr(), desc=f"{label:<28}", total=0, **BAR_OPTIONS)
        self._lock = threading.Lock()

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    def set_remaining(self, more: int) -> None:
        """Say that `more` steps are to come from now on, as far as is known."""
        self._bar.total = self._bar.n + more
        self._bar.refresh()

    def step(self) -> None:
        """One step is done."""
        with self._lock:
            self._bar.update()

    def write(self, line: str) -> None:
        """Print a line above the bar."""
        with self._lock:
            self._bar.write(line, file=self._bar.fp)

    def set_postfix(self, words: str) -> None:
        """Show words behind the bar until the next ones."""
        with self._lock:
            self._bar.set_postfix_str(words)


def log(line: str) -> None:
    """Print a line on standard error, where the bars are."""
    _bar_class().write(line, file=_safe_stderr())
