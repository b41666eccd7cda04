"""A Ray cluster of two nodes on this machine, and what kills its workers in the midst of their work."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psutil

NODE = {"num_cpus": 1, "object_store_memory": 100 * 2**20}
PATIENCE_S = 60.0


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


def when(found: Callable[[], bool]) -> threading.Thread:
    """Start a thread that asks until the answer is yes."""

    def look() -> None:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and not found():
            time.sleep(0.01)  # looks again; how long it takes decides nothing

    thread = threading.Thread(target=look)
    thread.start()
    return thread


def kills_one(work: str, killed: list[str]) -> Callable[[], bool]:
    """Return what kills a worker of this machine's nodes that does such work now, and notes what it did."""

    def kill() -> bool:
        for process in psutil.Process().children(recursive=True):
            try:
                if process.cmdline()[:1] != [f"ray::{work}"]:
                    continue
                process.suspend()
                killed.append(process.cmdline()[0].removeprefix("ray::"))  # now that it can begin nothing else
                process.kill()
            except psutil.NoSuchProcess:
                continue
            return True
        return False

    return kill
