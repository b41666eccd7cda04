"""A pool of worker processes with one thread each, since small blocks do not profit from several (docs/training.md)."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from typing import Protocol, TypeVar

from donna_hw.errors import UnavailableError

Task = TypeVar("Task")
Result = TypeVar("Result")


class Executor(Protocol):
    """What runs tasks: the processes of a `ProcessExecutor`, or the hosts of a cluster."""

    def map(self, work: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[tuple[Task, Result]]:
        """Yield (task, result) as tasks finish; an error in one is raised here and cancels the rest.

        Args:
            work: A picklable function of one task.
            tasks: Picklable arguments of `work`.

        Yields:
            Each task with its result, in the order in which they finish.
        """
        ...

    def close(self) -> None:
        """Release the workers and what was created for them."""
        ...


class ProcessExecutor:
    """Worker processes that start when first needed and die with their parent, even when it is killed."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._executor: ProcessPoolExecutor | None = None

    def map(self, work: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[tuple[Task, Result]]:
        """Yield (task, result) as tasks finish; an error in one is raised here and cancels the rest.

        Raises:
            UnavailableError: When a worker was killed.
        """
        if self._executor is None:
            self._executor = ProcessPoolExecutor(self.workers, get_context("spawn"), _start_worker)
        futures = {self._executor.submit(work, task): task for task in tasks}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BrokenProcessPool:
            self._executor = None
            raise UnavailableError(
                "a worker process was killed, perhaps for lack of memory",
                hint="lower `workers` in the recipe, or start again: finished work is saved",
            ) from None
        finally:
            for future in futures:
                future.cancel()

    def close(self) -> None:
        """Shut the workers down."""
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)
            self._executor = None


def _start_worker() -> None:
    import torch

    torch.set_num_threads(1)
    parent = parent_process()
    assert parent is not None  # noqa: S101  every worker has a parent

    def leave_with_parent() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=leave_with_parent, daemon=True).start()
