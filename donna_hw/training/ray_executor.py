"""A pool whose workers are the hosts of a Ray cluster; the tasks of a killed worker or a lost host are run again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from donna_hw._core.ray import connect
from donna_hw.errors import UnavailableError
from donna_hw.training.ray_host import HostRequirements, read_versions, run_task, validate_node

Task = TypeVar("Task")
Result = TypeVar("Result")
RETRIES = 3  # of a task whose worker or host died, after the first attempt
HOST_TIMEOUT_S = 60.0  # how long to wait for a cluster that has lost every capable host
POLL_S = 5.0  # how often to look for a capable host


@dataclass(frozen=True)
class TaskResources:
    """What one task occupies on its host while it runs.

    Args:
        cpus: Number of cores.
        gpus: Number of GPUs.
        custom_resources: Units of custom resources that the hosts were started with.
    """

    cpus: float = 1
    gpus: float = 0
    custom_resources: Mapping[str, float] = field(default_factory=dict)

    def to_ray(self) -> dict[str, float]:
        """Return all resources under the names that Ray uses."""
        return {"CPU": self.cpus, "GPU": self.gpus, **self.custom_resources}


class RayExecutor:
    """Runs work as tasks of a Ray cluster; a task starts when a host has its resources free.

    Args:
        address: Address of the cluster.
        folder: The run's folder. Tasks refer to files in it, so it must be one folder on all hosts, under one path. This is tested on
            each host before the first task.
        resources: What one task occupies on its host, by default one core.
    """

    def __init__(self, address: str, folder: Path, resources: TaskResources | None = None) -> None:
        self.address, self.folder, self.resources = address, folder.resolve(), resources or TaskResources()
        self._requirements: HostRequirements | None = None

    def map(self, work: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[tuple[Task, Result]]:
        """Yield (task, result) as tasks finish; an error in one is raised here and cancels the rest.

        Raises:
            UnavailableError: When a task's worker died again in each of `RETRIES` more attempts, or no host is left.
        """
        if not tasks:
            return
        requirements = self._connect()
        import ray

        remote: Any = ray.remote(run_task).options(
            name=work.__name__,
            num_cpus=self.resources.cpus,
            num_gpus=self.resources.gpus,
            resources=dict(self.resources.custom_resources),
            max_retries=RETRIES,
        )
        running = {remote.remote(requirements, work, task): task for task in tasks}
        try:
            while running:
                for finished in self._wait_finished(list(running)):
                    task = running.pop(finished)
                    yield task, _fetch_result(finished, task)
        finally:
            for unfinished in running:
                ray.cancel(unfinished, force=True)

    def close(self) -> None:
        """Delete the marker file by which hosts find that they share the folder."""
        if self._requirements is not None:
            Path(self._requirements.marker).unlink(missing_ok=True)
            self._requirements = None

    def _connect(self) -> HostRequirements:
        if self._requirements is None:
            connect(self.address)
            nodes = _find_capable_nodes(self.resources)
            if not nodes:
                raise UnavailableError(self._describe_missing())
            self.folder.mkdir(parents=True, exist_ok=True)
            marker = self.folder / f".shared-{uuid4().hex}"  # a new name, so that no host has cached its absence
            marker.touch()
            self._requirements = HostRequirements(
                str(marker), str(Path.cwd()), max(1, int(self.resources.cpus)), tuple(read_versions().items())
            )
            try:
                for node in nodes:
                    validate_node(node, self._requirements)
            except BaseException:
                self.close()
                raise
        return self._requirements

    def _wait_finished(self, running: list[Any]) -> list[Any]:
        """Wait until at least one task has finished, and return the finished ones."""
        import ray

        lost_at: float | None = None
        while True:
            finished, _ = ray.wait(running, timeout=POLL_S)
            if finished:
                return list(finished)
            if _find_capable_nodes(self.resources):
                lost_at = None
                continue
            lost_at = lost_at or time.monotonic()
            if time.monotonic() - lost_at > HOST_TIMEOUT_S:
                raise UnavailableError(
                    self._describe_missing(), hint="start hosts, then start again: finished work is saved"
                )

    def _describe_missing(self) -> str:
        resources = ", ".join(f"{amount:g} {name}" for name, amount in self.resources.to_ray().items() if amount)
        return f"no host of the cluster has what a task needs: {resources}"


def remove_shared_markers(folder: Path) -> None:
    """Delete the marker files that a killed run left in its folder; only for the one process that writes the folder."""
    for marker in folder.glob(".shared-*"):
        marker.unlink(missing_ok=True)


def prefer_gpu(address: str) -> TaskResources:
    """Return the resources of training a whole network: a core, and a GPU where a host of the cluster has one."""
    connect(address)
    with_gpu = TaskResources(gpus=1)
    return with_gpu if _find_capable_nodes(with_gpu) else TaskResources()


def _fetch_result(reference: Any, task: object) -> Any:
    """Return a finished task's result, or raise what it raised."""
    import ray

    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, Exception):
            raise error.cause from None
        raise
    except ray.exceptions.RayError as error:
        raise UnavailableError(
            f"a worker process of the cluster died, also in {RETRIES} more attempts at {task}",
            got=type(error).__name__,
            hint="give its host more memory, or start again: finished work is saved",
        ) from None


def _find_capable_nodes(resources: TaskResources) -> list[str]:
    """Return the ids of the living hosts that have, when idle, the resources of one task."""
    import ray

    required = {name: amount for name, amount in resources.to_ray().items() if amount}
    return [
        node["NodeID"]
        for node in ray.nodes()  # type: ignore[no-untyped-call]
        if node["Alive"] and all(node["Resources"].get(name, 0) >= amount for name, amount in required.items())
    ]
