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
    """Whether a backend can be used here; if not, the reason, and a hint how to fix it."""

    ok: bool
    reason: str = ""
    hint: str = ""


@dataclass(frozen=True)
class BackendInfo:
    """Facts about a backend on its device.

    Attributes:
        environment: What its numbers depend on.
        tags: See `Backend.tags`.
        quantity: See `Backend`.
        origin: See `Backend`.
        costly_start: See `Backend`.
        warnings: What in the device's state may disturb the numbers, for users.
        statistics: Those of `STATISTICS` that its samples allow.
        controls_cool_down: Whether the backend decides itself how long the device must cool down.
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
    """A block that is ready to run on a device."""

    @abstractmethod
    def samples(self, count: int) -> Samples:
        """Run the block `count` times and return the time of each run, in seconds; a run is complete before the clock is read."""

    def close(self) -> None:  # noqa: B027  a runner that holds nothing has nothing to free
        """Free what the runner holds on the device."""


class Backend(ABC):
    """One way of finding out what blocks cost.

    The scheduler, not the backend, warms up, interleaves and stops; it keeps a bounded number of runners open.

    Attributes:
        origin: One of `ORIGINS`.
        quantity: A key of `UNITS`.
        costly_start: Whether a new process for every round would be too expensive, because opening the device or preparing blocks
            takes minutes.
        options: Names of the options with their defaults.
        dtypes: Types of layers that it runs (`Layer.dtype`).

    Args:
        batch: Images per run.
        options: Options of the device file; those that are not given have their defaults.
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
        """Return the backend that a device file describes.

        Args:
            batch: Images per run.
            options: The file's options.
            hardware: The file's table `hardware`.
            where: Names the device in messages.

        Raises:
            ConfigError: The backend does not take this hardware; by default it takes none.
        """
        if hardware:
            raise ConfigError(
                f"{where}: the table hardware is for backend tensor_unit only",
                got=", ".join(hardware),
                hint="delete the table, or set that backend",
            )
        return cls(batch, options)

    @classmethod
    @abstractmethod
    def availability(cls) -> Availability:
        """Return whether the backend can be used on this machine, without raising."""

    @abstractmethod
    def environment(self) -> Environment:
        """Return what the numbers depend on; `identity` has at least `device_model`, `runtime` and `dtype`."""

    def tags(self) -> tuple[str, ...]:
        """Return short words that distinguish the tables of one device in their file names; by default type and threads."""
        identity = self.environment().identity
        threads = (f"t{identity['threads']}",) if "threads" in identity else ()
        return (str(identity["dtype"]), *threads)

    def info(self) -> BackendInfo:
        """Return what a table records of this backend."""
        return BackendInfo(self.environment(), self.tags(), self.quantity, self.origin, self.costly_start)


class TimingBackend(Backend):
    """A backend that runs blocks and measures their time."""

    origin = "measured"

    @abstractmethod
    def prepare(self, graph: Graph) -> Runner:
        """Return the block ready to run on inputs of its input shape and the backend's batch."""

    def read_telemetry(self) -> Telemetry:
        """Return the device's clock, temperature, power and throttling at the moment; by default nothing is known."""
        return Telemetry()

    def cool_down_s(self, pause_s: float, waited_s: float) -> float:
        """Return how long to wait before the next trial, in seconds.

        It is called after each trial, and again after each wait until it returns 0.

        Args:
            pause_s: The protocol's pause, in seconds; by default the whole wait.
            waited_s: Time waited since the trial, in seconds.
        """
        return pause_s if waited_s == 0 else 0.0


class ExactBackend(Backend):
    """A backend whose costs are exact for what it models: a counter or a simulator.

    Attributes:
        chunk_size: How many blocks it computes at a time; a run that is killed repeats that many.
    """

    chunk_size: ClassVar[int] = 1

    @abstractmethod
    def cost(self, graph: Graph) -> float:
        """Return the block's cost in the unit of the backend's quantity, always the same for the same layers."""

    def costs(self, graphs: Sequence[Graph]) -> list[float]:
        """Return the cost of each block; a backend that computes many together overrides this, and `chunk_size`."""
        return [self.cost(graph) for graph in graphs]
