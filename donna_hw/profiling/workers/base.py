"""The contract of a worker, and the one visit that all workers make."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from donna_hw.devices.backends.base import BackendInfo, Runner, TimingBackend
from donna_hw.errors import DonnaError
from donna_hw.graph.graph import Graph
from donna_hw.measurement.measurement import Samples, Trial
from donna_hw.measurement.protocol import Protocol

MIN_SAMPLES = 3  # of a visit that is limited by time


class BlockFailedError(Exception):
    """This block could not be run: its runtime raised, crashed or hung. The message is the reason."""


def format_failure(error: Exception) -> str:
    """Return in one line why a block failed; an error of ours says it in its own words."""
    text = str(error) if isinstance(error, DonnaError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())[:500]


class DeviceLostError(Exception):
    """The worker's device does not answer any more. The message is the reason."""


@dataclass(frozen=True)
class Task:
    """What to run in one visit. baseline: the chain without the block, where the block runs in a chain."""

    graph: Graph
    sentinel: Graph
    round: int = 0
    baseline: Graph | None = None


class Worker(ABC):
    """One device of a pool. `name` tells it from its fellows."""

    name: str

    @abstractmethod
    def info(self) -> BackendInfo:
        """Return what the device's backend says of itself; raises `DonnaError` when the device cannot be used."""

    @abstractmethod
    def run_trial(self, task: Task) -> Trial:
        """Run the block between runs of the sentinel; raises `BlockFailedError`."""

    @abstractmethod
    def time_sentinel(self, sentinel: Graph, count: int) -> np.ndarray:
        """Run the sentinel alone, and return `count` times in seconds; raises `BlockFailedError`."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the device; a later visit opens it anew."""

    def cool_down_s(self, pause_s: float, waited_s: float) -> float:
        """Return how long the device must rest before the next visit: see `TimingBackend.cool_down_s`; raises `BlockFailedError`."""
        return pause_s if waited_s == 0 else 0.0

    def refresh(self) -> None:  # noqa: B027  a worker without a process of its own has nothing to begin anew
        """Begin a round in a new process, where that is cheap.

        Where a runtime's buffers lie in memory is decided by chance, once a process, and shifts times: of many
        rounds in one process the spread would not show it, and the interval would be too narrow.
        """

    def restart(self, sentinel: Graph) -> None:
        """Begin anew after a failure; raises `DeviceLostError` when not even the sentinel runs."""
        self.close()
        try:
            self.time_sentinel(sentinel, 1)
        except (BlockFailedError, DonnaError) as failure:
            raise DeviceLostError(str(failure)) from failure


class TrialRunner:
    """Makes visits on a backend; keeps the sentinel open between them, and one block (two graphs in a chain) at a time beside it."""

    def __init__(self, backend: TimingBackend, protocol: Protocol, device: str = "") -> None:
        self.backend, self.protocol, self.device = backend, protocol, device
        self._sentinel: Graph | None = None
        self._sentinel_runner: Runner | None = None

    def run(self, task: Task) -> Trial:
        """Run the block between runs of the sentinel, as the protocol says."""
        watched = self.protocol.sentinel_samples
        if watched:
            self._open_sentinel(task.sentinel)
        runner = self.backend.prepare(task.graph)
        baseline = None
        try:
            baseline = self.backend.prepare(task.baseline) if task.baseline is not None else None
            if baseline is not None:
                self._warm_up(baseline)
            count = self._warm_up(runner)
            slices = min(self.protocol.slices, count)
            sentinel, samples, without = [self.time_sentinel(task.sentinel, watched)], [], []
            for _ in range(slices):
                if baseline is not None:
                    without.append(_slice(baseline, count // slices, slices).latency_s)
                samples.append(_slice(runner, count // slices, slices))
                sentinel.append(self.time_sentinel(task.sentinel, watched))
            readings = self.backend.read_telemetry()
        finally:
            runner.close()
            if baseline is not None:
                baseline.close()
        return Trial(
            task.round,
            _concat_samples(samples),
            np.concatenate(sentinel),
            slices,
            np.concatenate(without) if without else None,
            readings,
            self.device,
        )

    def time_sentinel(self, sentinel: Graph, count: int) -> np.ndarray:
        """Run the sentinel, after one run that warms its caches, and return `count` times in seconds."""
        if not count:
            return np.empty(0)
        watch = self._open_sentinel(sentinel)
        watch.samples(1)
        return watch.samples(count).latency_s

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
        """Warm a runner up, and return how many samples a visit takes of it."""
        protocol = self.protocol
        warm: Samples | None = runner.samples(protocol.warmup) if protocol.warmup else None
        if protocol.trial_s is None or warm is None:
            return protocol.samples
        once_s = float(warm.latency_s.min())
        fits = int(protocol.trial_s / once_s) if once_s > 0 else protocol.samples
        return min(max(fits, MIN_SAMPLES), protocol.samples)


def _slice(runner: Runner, count: int, slices: int) -> Samples:
    """Run one slice; where others ran in between, a first run that fetches the block's weights into the caches is dropped."""
    if slices > 1 and count > 1:
        runner.samples(1)
    return runner.samples(count)


def _concat_samples(slices: list[Samples]) -> Samples:
    if len(slices) == 1:
        return slices[0]
    clocks = zip(*((part.wall_s, part.cpu_s, part.device_s) for part in slices), strict=True)
    wall, cpu, device = (None if any(part is None for part in parts) else np.concatenate(parts) for parts in clocks)
    assert wall is not None  # noqa: S101  every sample has it
    return Samples(wall, cpu, device, slices[0].clock)
