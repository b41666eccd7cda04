"""A Ray cluster of two nodes on this machine, and a function that kills its workers while they work."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psutil

NODE = {"num_cpus": 1, "object_store_memory": 100 * 2**20}
TIMEOUT_S = 60.0


@contextmanager
def two_nodes(**resources: float) -> Iterator[Any]:
    """Start the cluster, whose first node has the resources, and end it."""
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args=NODE | {"resources": resources})
    cluster.add_node(**NODE)
    try:
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()


def when(condition: Callable[[], bool]) -> threading.Thread:
    """Start a thread that calls a condition until it is true."""

    def look() -> None:
        deadline = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline and not condition():
            time.sleep(0.01)  # the result does not depend on how long it takes

    thread = threading.Thread(target=look)
    thread.start()
    return thread


def kill_one(work: str, killed: list[str]) -> Callable[[], bool]:
    """Return a function that kills a worker of this machine's nodes that does this work, and records the work."""

    def kill() -> bool:
        for process in psutil.Process().children(recursive=True):
            try:
                if process.cmdline()[:1] != [f"ray::{work}"]:
                    continue
                process.suspend()
                killed.append(process.cmdline()[0].removeprefix("ray::"))  # suspended, so it cannot begin other work
                process.kill()
            except psutil.NoSuchProcess:
                continue
            return True
        return False

    return kill
