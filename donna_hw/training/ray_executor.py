"""A pool whose workers are the hosts of a Ray cluster; what a killed worker or a lost host was doing is done again."""

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
RETRIES = 3  # of one task whose worker or host died, after the first time
HOST_TIMEOUT_S = 60.0  # a cluster that has lost every host that could do the work is waited for this long
POLL_S = 5.0  # how often to look whether such a host is left


@dataclass(frozen=True)
class TaskResources:
    """What one task takes of its host while it runs: cores, GPUs, and units of resources that hosts were started with."""

    cpus: float = 1
    gpus: float = 0
    custom_resources: Mapping[str, float] = field(default_factory=dict)

    def to_ray(self) -> dict[str, float]:
        """Return everything needed by Ray's names."""
        return {"CPU": self.cpus, "GPU": self.gpus, **self.custom_resources}


class RayExecutor:
    """Does work as tasks of the Ray cluster at `address`, which begin when a host has free what a task `needs`.

    Tasks name files, so `folder` must be one folder on all hosts, under one path; this is tried on each host before the first task.
    """

    def __init__(self, address: str, folder: Path, resources: TaskResources | None = None) -> None:
        self.address, self.folder, self.resources = address, folder.resolve(), resources or TaskResources()
        self._requirements: HostRequirements | None = None

    def map(self, work: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[tuple[Task, Result]]:
        """Yield (task, result) as tasks finish; an error in one is raised here and cancels the rest.

        Raises `UnavailableError` when a task's worker died `RETRIES` times more, and when no host is left.
        """
        if not tasks:
            return
        home = self._connect()
        import ray

        needs = self.resources
        remote: Any = ray.remote(run_task).options(
            name=work.__name__,
            num_cpus=needs.cpus,
            num_gpus=needs.gpus,
            resources=dict(needs.custom_resources),
            max_retries=RETRIES,
        )
        running = {remote.remote(home, work, task): task for task in tasks}
        try:
            while running:
                for finished in self._wait_finished(list(running)):
                    task = running.pop(finished)
                    yield task, _result(finished, task)
        finally:
            for unfinished in running:
                ray.cancel(unfinished, force=True)

    def close(self) -> None:
        """Delete what tells hosts that they share the folder."""
        if self._requirements is not None:
            Path(self._requirements.marker).unlink(missing_ok=True)
            self._requirements = None

    def _connect(self) -> HostRequirements:
        if self._requirements is None:
            connect(self.address)
            nodes = _find_capable_nodes(self.resources)
            if not nodes:
                raise UnavailableError(
                    "a host of the cluster must have what a task needs", got=self._describe_missing()
                )
            self.folder.mkdir(parents=True, exist_ok=True)
            shared = self.folder / f".shared-{uuid4().hex}"  # a new name, so that no host remembers that it was absent
            shared.touch()
            self._requirements = HostRequirements(
                str(shared), str(Path.cwd()), max(1, int(self.resources.cpus)), tuple(read_versions().items())
            )
            try:
                for node in nodes:
                    validate_node(node, self._requirements)
            except BaseException:
                self.close()
                raise
        return self._requirements

    def _wait_finished(self, running: list[Any]) -> list[Any]:
        """Wait for tasks that are finished, at least one."""
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
                    "a host of the cluster must have what a task needs",
                    got=self._describe_missing(),
                    hint="start hosts and begin again: what is finished is kept",
                )

    def _describe_missing(self) -> str:
        wanted = ", ".join(f"{amount:g} {name}" for name, amount in self.resources.to_ray().items() if amount)
        return f"none with {wanted}"


def remove_shared_markers(folder: Path) -> None:
    """Delete what a killed run left in its folder to be seen by hosts; only who alone writes the folder may."""
    for left in folder.glob(".shared-*"):
        left.unlink(missing_ok=True)


def prefer_gpu(address: str) -> TaskResources:
    """Return what a whole network's training takes: a core, and a GPU where a host of the cluster has one, as a single machine would."""
    connect(address)
    with_gpu = TaskResources(gpus=1)
    return with_gpu if _find_capable_nodes(with_gpu) else TaskResources()


def _result(reference: Any, task: object) -> Any:
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
            "a worker process of the cluster must live until its work is done",
            got=f"{type(error).__name__} after {RETRIES} more attempts at {task}",
            hint="give its host more memory, or start again: what is finished is kept",
        ) from None


def _find_capable_nodes(needs: TaskResources) -> list[str]:
    """Return the ids of the living hosts that have, when idle, what one task needs."""
    import ray

    wanted = {name: amount for name, amount in needs.to_ray().items() if amount}
    return [
        node["NodeID"]
        for node in ray.nodes()  # type: ignore[no-untyped-call]
        if node["Alive"] and all(node["Resources"].get(name, 0) >= amount for name, amount in wanted.items())
    ]
