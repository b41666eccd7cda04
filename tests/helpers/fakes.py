"""Fakes for tests of the machinery: a tiny space, and a machine with a declared cost for each block and a clock of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from donna_hw.devices.backends.base import Availability, Backend, Runner, TimingBackend
from donna_hw.devices.device import Device, DeviceConfig
from donna_hw.graph.graph import Graph, layers_hash
from donna_hw.measurement.environment import Environment
from donna_hw.measurement.measurement import Samples
from donna_hw.measurement.protocol import Protocol
from donna_hw.profiling.table_setup import select_sentinel
from donna_hw.spaces import Axis, Space, Stage
from donna_hw.spaces.cells import Classifier, ConvNormAct
from donna_hw.tables.parts import list_parts

QUICK = Protocol("fake_quick", rounds=3, warmup=1, samples=4, statistic="median", sentinel_samples=2)


def tiny_space(kernels: tuple[int, ...] = (1, 3), name: str = "tiny", reference: int = 1) -> Space:
    """Two stages of one convolution each: 2 kernels x 2 activations, 16 architectures, 4-channel maps of 4x4."""
    axes = (Axis("kernel", kernels, reference=reference), Axis("activation", ("relu", "swish")))

    def cell(kernel: int, activation: str) -> ConvNormAct:
        return ConvNormAct(4, kernel=kernel, activation=activation)

    return Space(
        name=name,
        title="two convolutions",
        input_shape=(1, 4, 4),
        before=(("stem", ConvNormAct(3)),),
        stages=(Stage("first", axes, cell), Stage("second", axes, cell)),
        after=(("head", Classifier(2)),),
    )


def all_graphs(space: Space) -> list[Graph]:
    """Every fixed part and block of a space."""
    fixed = [space.fixed_graph(name) for name in space.fixed]
    return fixed + [space.block_graph(stage, m) for stage in space.stages for m in range(stage.size)]


def declared_costs(space: Space, seed: int = 0) -> dict[str, int]:
    """Return a cost in tens of nanoseconds, six digits at most as in a table, of every block of a space, by layers_hash."""
    rng = np.random.default_rng(seed)
    return {layers_hash(graph): 10 * int(rng.integers(1_000, 900_000)) for graph in all_graphs(space)}


@dataclass
class FakeMachine:
    """A machine with two states: at every third visit it runs everything, the sentinel too, twice as slowly.

    Its clock moves only when a block runs. breaks_at: number of the visit at which it raises; None for never.
    """

    costs_ns: Mapping[str, int]
    sentinel: str
    breaks_at: int | None = None
    visits: list[str] = field(default_factory=list)
    runs: Counter[str] = field(default_factory=Counter)
    open_runners: int = 0

    @property
    def slowness(self) -> int:
        return 2 if len(self.visits) % 3 == 2 else 1


class Killed(BaseException):
    """What ends the whole run at once, as a kill would."""


class FakeRunner(Runner):
    def __init__(self, backend: FakeBackend, key: str, watches: bool) -> None:
        self.backend, self.machine, self.key, self.watches = backend, backend.machine, key, watches
        self.machine.open_runners += 1
        assert self.machine.open_runners <= 3, "open are the sentinel, one block and the chain without it, no more"

    def samples(self, count: int) -> Samples:
        machine = self.machine
        if not self.watches and machine.breaks_at == len(machine.visits):
            raise Killed("the fake machine breaks")
        machine.runs["sentinel" if self.watches else self.key] += count
        return Samples(np.full(count, machine.costs_ns[self.key] * machine.slowness / 1e9))

    def close(self) -> None:
        self.machine.open_runners -= 1
        if self.watches:
            self.backend.watching = False


class FakeBackend(TimingBackend):
    """Not a device: answers the declared costs by the machine's own clock."""

    def __init__(self, machine: FakeMachine, batch: int = 1, runtime: str = "fake 1") -> None:
        super().__init__(batch, {})
        self.machine, self.runtime = machine, runtime
        self.watching = False

    @classmethod
    def availability(cls) -> Availability:
        return Availability(True)

    def environment(self) -> Environment:
        identity = {"device_model": "fake", "runtime": self.runtime, "dtype": "float32"}
        return Environment(dict(identity))

    def prepare(self, graph: Graph) -> Runner:
        key = layers_hash(graph)
        if key == self.machine.sentinel and not self.watching:  # the scheduler opens the sentinel first
            self.watching = True
            return FakeRunner(self, key, watches=True)
        self.machine.visits.append(key)
        return FakeRunner(self, key, watches=False)


@dataclass(frozen=True)
class FakeDevice(Device):
    """A device with a ready backend, which is fake unless a test puts a real one in."""

    ready: Backend | None = None

    def backend_class(self) -> type[Backend]:
        return type(self.backend())

    def backend(self) -> Backend:
        assert self.ready is not None
        return self.ready


def fake_machine(space: Space, breaks_at: int | None = None) -> FakeMachine:
    return FakeMachine(declared_costs(space), layers_hash(select_sentinel(list_parts(space))), breaks_at)


def fake_device(backend: Backend) -> FakeDevice:
    file = DeviceConfig(title="a fake", backend="fake", protocol="precise")
    return FakeDevice("fake", file, backend)
