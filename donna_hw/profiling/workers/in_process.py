"""A worker in this process: for fakes with clocks of their own, and for looking into a backend with a debugger."""

from __future__ import annotations

import numpy as np

from donna_hw.devices.backends.base import BackendInfo, TimingBackend
from donna_hw.devices.device import Device
from donna_hw.graph.graph import Graph
from donna_hw.measurement.measurement import Trial
from donna_hw.measurement.protocol import Protocol
from donna_hw.profiling.jobs import MeasurementJob
from donna_hw.profiling.workers.base import BlockFailedError, TrialRunner, Worker, format_failure


class InProcessWorker(Worker):
    """Measures blocks on a backend of this process: what crashes the runtime crashes everything."""

    def __init__(self, name: str, device: Device, protocol: Protocol) -> None:
        self.name = name
        self._device, self._protocol = device, protocol
        self._runner: TrialRunner | None = None

    def info(self) -> BackendInfo:
        """Return what the backend reports."""
        return self._open_runner().backend.info()

    def run_trial(self, job: MeasurementJob, sentinel: Graph, round_: int) -> Trial:
        """Run the trial here; what the runtime raises is the block's failure."""
        try:
            return self._open_runner().run(job, sentinel, round_)
        except Exception as error:
            raise BlockFailedError(format_failure(error)) from error

    def time_sentinel(self, sentinel: Graph, count: int) -> np.ndarray:
        """Run the sentinel here."""
        try:
            return self._open_runner().time_sentinel(sentinel, count)
        except Exception as error:
            raise BlockFailedError(format_failure(error)) from error

    def cool_down_s(self, pause_s: float, waited_s: float) -> float:
        """Ask the backend."""
        try:
            return self._open_runner().backend.cool_down_s(pause_s, waited_s)
        except Exception as error:
            raise BlockFailedError(format_failure(error)) from error

    def close(self) -> None:
        """Close the sentinel and forget the backend."""
        if self._runner is not None:
            self._runner.close()
            self._runner = None

    def _open_runner(self) -> TrialRunner:
        if self._runner is None:
            backend = self._device.backend()
            assert isinstance(backend, TimingBackend)  # noqa: S101  exact backends never reach a worker
            self._runner = TrialRunner(backend, self._protocol, self.name)
        return self._runner


def create_in_process_workers(device: Device, protocol: Protocol) -> list[Worker]:
    """Return a worker in this process for each device of the pool."""
    members = device.expand_pool()
    return [InProcessWorker(f"{device.name}.{number}", member, protocol) for number, member in enumerate(members)]
