"""Workers on the hosts of a Ray cluster: one for each unit of the resource that is called like the device.

A host declares the devices attached to it when its node is started: `ray start --resources '{"samsung_s20": 2}'`.
"""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

from donna_hw._core.ray import connect, format_error, require_ray
from donna_hw.devices.backends.base import BackendInfo
from donna_hw.devices.device import Device
from donna_hw.errors import DonnaError, UnavailableError
from donna_hw.graph.graph import Graph
from donna_hw.measurement.measurement import Trial
from donna_hw.measurement.protocol import Protocol
from donna_hw.profiling.jobs import MeasurementJob
from donna_hw.profiling.workers.base import BlockFailedError, Worker, WorkerFactory
from donna_hw.profiling.workers.subprocess import START_TIMEOUT_S, SubprocessWorker

PLACEMENT_TIMEOUT_S = 30.0  # how long a lost host's device is waited for before another takes its block


class RayHost:
    """What runs on the device's host as a Ray actor: it calls the methods of a `SubprocessWorker` by name."""

    def __init__(self, name: str, device: Device, protocol: Protocol) -> None:
        self._worker = SubprocessWorker(name, device, protocol)

    def call(self, method: str, arguments: tuple[object, ...]) -> tuple[str, Any]:
        """Return ("done", answer), ("failed", reason) or ("refused", error): plain values that any Ray version carries."""
        try:
            return "done", getattr(self._worker, method)(*arguments)
        except BlockFailedError as failure:
            self._worker.close()
            return "failed", str(failure)
        except DonnaError as error:
            return "refused", error


class RayWorker(Worker):
    """Measures blocks on a device of another host; the actor starts when first needed, where the resource is free."""

    def __init__(self, name: str, device: Device, protocol: Protocol, resource: str) -> None:
        self.name = name
        self._init_args, self._resource = (name, device, protocol), resource
        self._timeout_s = protocol.timeout_s + 2 * START_TIMEOUT_S
        self._actor: Any = None

    def info(self) -> BackendInfo:
        """Return what the backend on the host reports."""
        try:
            info: BackendInfo = self._call("info", ())
        except BlockFailedError as failure:
            raise UnavailableError(f"device {self.name} does not open", got=str(failure)) from failure
        return info

    def refresh(self) -> None:
        """Restart the process on the host; a host that does not answer is noticed at the next trial."""
        with contextlib.suppress(BlockFailedError):
            self._call("refresh", ())

    def run_trial(self, job: MeasurementJob, sentinel: Graph, round_: int) -> Trial:
        """Run the trial on the host; the death of the host is a failure too, and `restart` then finds the device lost."""
        trial: Trial = self._call("run_trial", (job, sentinel, round_))
        return trial

    def time_sentinel(self, sentinel: Graph, count: int) -> np.ndarray:
        """Run the sentinel on the host."""
        times: np.ndarray = self._call("time_sentinel", (sentinel, count))
        return times

    def cool_down_s(self, pause_s: float, waited_s: float) -> float:
        """Ask the device's host."""
        wait_s: float = self._call("cool_down_s", (pause_s, waited_s))
        return wait_s

    def close(self) -> None:
        """End the actor, which frees the resource."""
        import ray

        if self._actor is not None:
            ray.kill(self._actor)
            self._actor = None

    def _call(self, method: str, arguments: tuple[object, ...]) -> Any:
        import ray

        if self._actor is None:
            self._actor = (
                ray.remote(RayHost).options(num_cpus=0, resources={self._resource: 1}).remote(*self._init_args)
            )
            try:
                ray.get(self._actor.__ray_ready__.remote(), timeout=PLACEMENT_TIMEOUT_S)
            except ray.exceptions.RayError as error:
                self.close()
                raise BlockFailedError(f"no host gives the resource {self._resource}: {format_error(error)}") from None
        try:
            kind, answer = ray.get(self._actor.call.remote(method, arguments), timeout=self._timeout_s)
        except ray.exceptions.RayError as error:
            self.close()
            raise BlockFailedError(f"its host does not answer: {format_error(error)}") from None
        if kind == "failed":
            raise BlockFailedError(answer)
        if kind == "refused":
            raise answer
        return answer


def ray_worker_factory(address: str) -> WorkerFactory:
    """Return the factory of the workers of a cluster at a Ray address (`auto` for the one this host belongs to).

    Raises `UnavailableError` without Ray, without a cluster there, and without a host that has the device.
    """
    require_ray()

    def create_ray_workers(device: Device, protocol: Protocol) -> list[Worker]:
        import ray

        connect(address)
        units = int(ray.cluster_resources().get(device.name, 0))  # type: ignore[no-untyped-call]
        if not units:
            raise UnavailableError(
                f"no host of the cluster has the resource {device.name}",
                hint=f"ray start --address={address} --resources '{{\"{device.name}\": 1}}' on the host that has it",
            )
        members = device.expand_pool()
        return [
            RayWorker(f"{device.name}.{unit}", members[unit % len(members)], protocol, device.name)
            for unit in range(units)
        ]

    return create_ray_workers
