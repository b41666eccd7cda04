"""A fake machine whose blocks have declared costs and a declared noise in each trial; what a kill interrupts is drawn again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
from fakes import Killed

from donna_hw.devices.backends.base import Availability, Runner, TimingBackend
from donna_hw.graph.graph import Graph, layers_hash
from donna_hw.measurement.environment import Environment
from donna_hw.measurement.measurement import Samples


class NoisyBackend(TimingBackend):
    """Not a device. A block's n-th finished trial takes costs_s * exp(noise * the block's n-th normal number), whenever it runs.

    breaks_at: the trial, counted since the last break, at which everything ends as in a kill.
    """

    def __init__(self, costs_s: Mapping[str, float], noise: Mapping[str, float], sentinel: str) -> None:
        super().__init__(1, {})
        self.costs_s, self.noise, self.sentinel = costs_s, noise, sentinel
        self.finished: Counter[str] = Counter()
        self.visits: list[str] = []
        self.breaks_at: int | None = None
        self.watched = False

    @classmethod
    def availability(cls) -> Availability:
        return Availability(True)

    def environment(self) -> Environment:
        return Environment({"device_model": "fake", "runtime": "fake 1", "dtype": "float32"})

    def prepare(self, graph: Graph) -> Runner:
        key = layers_hash(graph)
        watches = key == self.sentinel and not self.watched
        self.watched |= watches
        if not watches:
            self.visits.append(key)
        return _NoisyRunner(self, key, watches)

    def time_s(self, key: str) -> float:
        number = self.finished[key]
        normal = np.random.default_rng([int(key, 16) % 2**32, number]).standard_normal()
        return float(self.costs_s[key] * np.exp(self.noise.get(key, 0.0) * normal))


class _NoisyRunner(Runner):
    def __init__(self, backend: NoisyBackend, key: str, watches: bool) -> None:
        self.backend, self.key, self.watches, self.ran = backend, key, watches, False

    def samples(self, count: int) -> Samples:
        backend = self.backend
        if not self.watches and backend.breaks_at == len(backend.visits):
            backend.breaks_at = None
            raise Killed("the fake machine breaks")
        self.ran = True
        return Samples(np.full(count, backend.costs_s[self.key] if self.watches else backend.time_s(self.key)))

    def close(self) -> None:
        if self.watches:
            self.backend.watched = False
        elif self.ran:
            self.backend.finished[self.key] += 1
