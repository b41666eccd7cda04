"""Progress bars for everything that takes long."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def track(items: Iterable[Item], label: str, total: int, done: int = 0) -> Iterator[Item]:
    """Yield the items under a bar on standard error; `done` of `total` were finished by an earlier run."""
    from tqdm import tqdm

    with tqdm(total=total, initial=done, desc=f"{label:<28}", unit="", dynamic_ncols=True, mininterval=0.5) as bar:
        for item in items:
            yield item
            bar.update()
