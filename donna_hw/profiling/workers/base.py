"""What a worker does, and the trial that all workers run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from donna_hw.devices.backends.base import BackendInfo, Runner, TimingBackend
from donna_hw.devices.device import Device
from donna_hw.errors import DonnaError
from donna_hw.graph.graph import Graph
from donna_hw.measurement.measurement import Samples, Trial
from donna_hw.measurement.protocol import Protocol
from donna_hw.profiling.jobs import MeasurementJob

MIN_SAMPLES = 3  # of a trial that is limited by time


class BlockFailedError(Exception):
    """This block could not be run: its runtime raised, crashed or hung. The message is the reason."""


class DeviceLostError(Exception):
    """The worker's device does not answer any more. The message is the reason."""


def format_failure(error: Exception) -> str:
    """Return in one line why a block failed; an error of donna_hw is shown without the name of its class."""
    text = str(error) if isinstance(error, DonnaError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())[:500]


class Worker(ABC):
    """One device of a pool; `name` identifies it within the pool."""

    name: str

    @abstractmethod
    def info(self) -> BackendInfo:
        """Return what the device's backend reports; raises `DonnaError` when the device cannot be used."""

    @abstractmethod
    def run_trial(self, job: MeasurementJob, sentinel: Graph, round_: int) -> Trial:
        """Run the block between runs of the sentinel; raises `BlockFailedError`."""

    @abstractmethod
    def time_sentinel(self, sentinel: Graph, count: int) -> np.ndarray:
        """Run the sentinel alone and return its times in seconds, float [count]; raises `BlockFailedError`."""

    @abstractmethod
    def close(self) -> None:
        """Release the device; a later trial opens it again."""

    def cool_down_s(self, pause_s: float, waited_s: float) -> float:
        """Return how long the device must rest before the next trial; raises `BlockFailedError`. See `TimingBackend.cool_down_s`."""
        return pause_s if waited_s == 0 else 0.0

    def refresh(self) -> None:  # noqa: B027  a worker without its own process has nothing to restart
        """Begin a round in a new process, where that is cheap.

        Where a runtime's buffers lie in memory is decided by chance once in each process, and shifts times: many rounds in one
        process would not show that spread, and the interval would be too narrow.
        """

    def restart(self, sentinel: Graph) -> None:
        """Restart after a failure; raises `DeviceLostError` when not even the sentinel runs."""
        self.close()
        try:
            self.time_sentinel(sentinel, 1)
        except (BlockFailedError, DonnaError) as failure:
            raise DeviceLostError(str(failure)) from failure


WorkerFactory = Callable[[Device, Protocol], Sequence[Worker]]


@contextmanager
def open_workers(device: Device, protocol: Protocol, factory: WorkerFactory) -> Iterator[Sequence[Worker]]:
    """Yield the workers of a device's pool, and close them at the end."""
    workers = factory(device, protocol)
    try:
        yield workers
    finally:
        for worker in workers:
            worker.close()


class TrialRunner:
    """Runs trials on a backend; between them only the sentinel stays open, and during one its block too (in context, two graphs)."""

    def __init__(self, backend: TimingBackend, protocol: Protocol, device: str = "") -> None:
        self.backend, self.protocol, self.device = backend, protocol, device
        self._sentinel: Graph | None = None
        self._sentinel_runner: Runner | None = None

    def run(self, job: MeasurementJob, sentinel: Graph, round_: int) -> Trial:
        """Run the block between runs of the sentinel, as the protocol prescribes.

        The samples are cut into slices. Where others ran in between, a first run that brings the block's weights back into the
        caches is dropped.
        """
        watched = self.protocol.sentinel_samples
        if watched:
            self._open_sentinel(sentinel)
        runners: list[Runner] = []
        try:
            for graph in filter(None, (job.timed_graph, job.baseline)):
                runners.append(self.backend.prepare(graph))
            count = [self._warm_up(runner) for runner in reversed(runners)][-1]
            slices = min(self.protocol.slices, count)
            size = count // slices
            samples: list[list[Samples]] = [[] for _ in runners]
            sentinel_s = [self.time_sentinel(sentinel, watched)]
            for _ in range(slices):
                for runner, slice_samples in zip(
                    reversed(runners), reversed(samples), strict=True
                ):  # the baseline first
                    if slices > 1 and size > 1:
                        runner.samples(1)
                    slice_samples.append(runner.samples(size))
                sentinel_s.append(self.time_sentinel(sentinel, watched))
            telemetry = self.backend.read_telemetry()
        finally:
            for runner in runners:
                runner.close()
        block, *baseline = samples
        return Trial(
            round_,
            _concat_samples(block),
            np.concatenate(sentinel_s),
            slices,
            np.concatenate([part.latency_s for part in baseline[0]]) if baseline else None,
            telemetry,
            self.device,
        )

    def time_sentinel(self, sentinel: Graph, count: int) -> np.ndarray:
        """Run the sentinel, after one run that warms its caches, and return its times in seconds, float [count]."""
        if not count:
            return np.empty(0)
        runner = self._open_sentinel(sentinel)
        runner.samples(1)
        return runner.samples(count).latency_s

    def close(self) -> None:
        """Close the sentinel."""
        if self._sentinel_runner is not None:
            self._sentinel_runner.close()
        self._sentinel_runner = self._sentinel = None

    def _open_sentinel(self, sentinel: Graph) -> Runner:
        if self._sentinel_runner is None or sentinel != self._sentinel:
            self.close()
            self._sentinel_runner, self._sentinel = self.backend.prepare(sentinel), sentinel
        return self._sentinel_runner

    def _warm_up(self, runner: Runner) -> int:
        """Warm a runner up, and return how many samples a trial takes of it."""
        protocol = self.protocol
        warm: Samples | None = runner.samples(protocol.warmup) if protocol.warmup else None
        if protocol.trial_s is None or warm is None:
            return protocol.samples
        run_s = float(warm.latency_s.min())
        fitting = int(protocol.trial_s / run_s) if run_s > 0 else protocol.samples
        return min(max(fitting, MIN_SAMPLES), protocol.samples)


def _concat_samples(slices: list[Samples]) -> Samples:
    if len(slices) == 1:
        return slices[0]
    clocks = zip(*((part.wall_s, part.cpu_s, part.device_s) for part in slices), strict=True)
    wall, cpu, device = (None if any(part is None for part in parts) else np.concatenate(parts) for parts in clocks)
    assert wall is not None  # noqa: S101  every sample has it
    return Samples(wall, cpu, device, slices[0].clock)
