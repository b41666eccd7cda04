"""The contract of a backend: it turns the layers of a block into samples, or into an exact cost."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from donna_hw.errors import ConfigError
from donna_hw.graph.graph import Graph
from donna_hw.measurement.environment import Environment, Scalar
from donna_hw.measurement.measurement import Samples
from donna_hw.measurement.protocol import STATISTICS
from donna_hw.measurement.telemetry import Telemetry

ORIGINS = ("measured", "simulated", "computed", "fitted", "published")
UNITS = {"latency": "s", "macs": "MAC", "params": "parameter", "energy": "J"}


@dataclass(frozen=True)
class Availability:
    """Whether a backend can be used here; if not, why, and the command or act that mends it."""

    ok: bool
    reason: str = ""
    hint: str = ""


@dataclass(frozen=True)
class BackendInfo:
    """What a backend says of itself: its environment, and its words, quantity, origin and costly_start (see `Backend`).

    advice: what of the device's state might disturb the numbers, for people. statistics: those that it can give of its samples.
    cools: whether it decides itself how long the device must rest.
    """

    environment: Environment
    tags: tuple[str, ...]
    quantity: str
    origin: str
    costly_start: bool = False
    warnings: tuple[str, ...] = ()
    statistics: tuple[str, ...] = STATISTICS
    controls_cool_down: bool = False


class Runner(ABC):
    """A block made ready on a device."""

    @abstractmethod
    def samples(self, count: int) -> Samples:
        """Run the block `count` times and return each run's time in seconds; runs end before their clock is read."""

    def close(self) -> None:  # noqa: B027  a runner that holds nothing has nothing to free
        """Free what the runner holds on the device."""


class Backend(ABC):
    """One way of finding out what blocks cost. Constructed from a device's batch and options.

    origin: one of `ORIGINS`. quantity: a key of `UNITS`. options: the known option names with their defaults. costly_start: whether
    a new process for every round would cost too much, because opening the device or making blocks ready takes minutes.
    dtypes: the types of layers that it runs (`Layer.dtype`).
    The scheduler, not the backend, warms up, interleaves and stops; it keeps a bounded number of runners open.
    """

    origin: ClassVar[str]
    quantity: str = "latency"
    costly_start: ClassVar[bool] = False
    options: ClassVar[Mapping[str, Scalar]] = {}
    dtypes: ClassVar[tuple[str, ...]] = ("float32",)

    def __init__(self, batch: int, options: Mapping[str, Scalar]) -> None:
        self.batch = batch
        self.settings = {**self.options, **options}

    @classmethod
    def of(cls, batch: int, options: Mapping[str, Scalar], hardware: Mapping[str, Any], where: str) -> Self:
        """Return the backend of a device file's batch, options and table `hardware`; `where` names the device in errors.

        Raises `ConfigError` for hardware that the backend does not take: by default any.
        """
        if hardware:
            raise ConfigError(
                f"{where}: only backend tensor_unit takes a table hardware",
                got=", ".join(hardware),
                hint="delete the table, or name that backend",
            )
        return cls(batch, options)

    @classmethod
    @abstractmethod
    def availability(cls) -> Availability:
        """Say whether the backend can be used on this machine, without raising."""

    @abstractmethod
    def environment(self) -> Environment:
        """Return what the numbers depend on; `identity` has at least `device_model`, `runtime` and `dtype`."""

    def tags(self) -> tuple[str, ...]:
        """Return the short words that tell tables of one device apart, for a file's name; by default type and threads."""
        identity = self.environment().identity
        threads = (f"t{identity['threads']}",) if "threads" in identity else ()
        return (str(identity["dtype"]), *threads)

    def info(self) -> BackendInfo:
        """Return everything that a table has to say of this backend."""
        return BackendInfo(self.environment(), self.tags(), self.quantity, self.origin, self.costly_start)


class TimingBackend(Backend):
    """A backend that runs blocks and takes time."""

    origin = "measured"

    @abstractmethod
    def prepare(self, graph: Graph) -> Runner:
        """Make the block ready to run on inputs of its own shape and the backend's batch."""

    def read_telemetry(self) -> Telemetry:
        """Return the device's clock, temperature, power and throttling now; by default nothing is known."""
        return Telemetry()

    def cool_down_s(self, pause_s: float, waited_s: float) -> float:
        """Return how long to wait before the next visit, in seconds; asked after each visit, and again after each wait until it is 0.

        pause_s: the protocol's pause, which by default is all. waited_s: since the visit.
        """
        return pause_s if waited_s == 0 else 0.0


class ExactBackend(Backend):
    """A backend whose answer is exact for what it models: a counter or a simulator.

    at_once: how many blocks it is asked for at a time; a run that is killed does that many again.
    """

    chunk_size: ClassVar[int] = 1

    @abstractmethod
    def cost(self, graph: Graph) -> float:
        """Return the block's cost in the unit of the backend's quantity, always the same for the same layers."""

    def costs(self, graphs: Sequence[Graph]) -> list[float]:
        """Return the cost of each block; a backend that answers for many at once does so here, and raises `at_once`."""
        return [self.cost(graph) for graph in graphs]
