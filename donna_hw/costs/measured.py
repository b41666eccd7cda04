"""MeasuredCost: whole networks timed on the device when a search needs them, each once (as in the paper, section E)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from donna_hw._core.resources import is_shipped
from donna_hw._core.toml_files import read_model
from donna_hw._core.units import format_duration
from donna_hw.costs.base import CostTerms
from donna_hw.devices.device import Device
from donna_hw.errors import ConfigError, MeasurementError, UnknownNameError
from donna_hw.graph.graph import layers_hash
from donna_hw.measurement.intervals import standard_error
from donna_hw.measurement.protocol import Protocol
from donna_hw.profiling.network_profiling import get_or_create_table, measure_graphs
from donna_hw.profiling.workers.base import WorkerFactory
from donna_hw.profiling.workers.subprocess import create_subprocess_workers
from donna_hw.spaces.space import Rows, Space
from donna_hw.tables.latency_table import LatencyTable
from donna_hw.tables.network_measurements import NetworkMeasurements
from donna_hw.tables.table_info import TableInfo

logger = logging.getLogger(__name__)

MAX_NETWORKS = 2500  # networks of one search; the paper's number of samples (section E)
MEASURED_PREFIX = "measured@"  # of the name of such a cost; that of a device follows
CostAndStd = tuple[float, float]


@dataclass
class MeasuredCost:
    """The latency of networks, measured whole, in seconds. A device that computes its cost has that cost's unit, and no error.

    A call measures those of its networks that are not listed next to the table, in one batch. Every trial is journaled, so an
    interrupted search resumes at the trial where it stopped.

    Args:
        space: The space of the networks.
        device: Where they are measured.
        table: Gives the scale and the identity; its rows are not used.
        protocol: How to measure.
        max_networks: How many networks may be measured; a call that exceeds it measures nothing and raises `ConfigError`.
        name: Name of the cost; by default `measured@DEVICE`.
        workers: Starts the processes that measure.
        log: Receives a line after each batch, with the time that the rest will take.
    """

    space: Space
    device: Device
    table: LatencyTable
    protocol: Protocol
    max_networks: int = MAX_NETWORKS
    name: str = ""
    workers: WorkerFactory = create_subprocess_workers
    log: Callable[[str], None] = logger.info
    _cache: dict[tuple[int, ...], CostAndStd] = field(default_factory=dict)
    _measured_count: int = 0
    _spent_s: float = 0.0

    def __post_init__(self) -> None:
        self.name = self.name or MEASURED_PREFIX + self.device.name

    @property
    def unit(self) -> str:
        """The unit of the table: `s` where networks are timed."""
        return self.table.info.unit

    def mean(self, rows: Rows) -> np.ndarray:
        """Return the cost of each network, float [n]; raises `MeasurementError` with the first one that cannot run."""
        return self._mean_and_std(rows)[:, 0]

    def std(self, rows: Rows) -> np.ndarray:
        """Return the standard error of each measurement, float [n]."""
        return self._mean_and_std(rows)[:, 1]

    def std_of_difference(self, a: Rows, b: Rows) -> np.ndarray:
        """Return the standard deviation of cost(a) - cost(b), float [n]: errors are independent, and zero for a network and itself."""
        return np.where((a == b).all(axis=1), 0.0, np.hypot(self.std(a), self.std(b)))

    def additive_terms(self, settings: tuple[int, ...] = ()) -> CostTerms | None:
        """Return None: a measured cost has no additive parts."""
        return None

    @property
    def _measurements(self) -> NetworkMeasurements:
        return NetworkMeasurements(self.table.path.with_suffix(".networks.csv"), self.table.info.sentinel_reference_s)

    def load_measured(self) -> tuple[Rows, np.ndarray]:
        """Return every network measured next to the table so far, int [n, stages], and its cost, float [n].

        Networks whose layers the space no longer has are left out.
        """
        rows, costs = [], []
        for key, cells in self._measurements.read().items():
            try:
                network = self.space.architecture_from_name(cells["network"])
            except (ConfigError, UnknownNameError):  # of blocks that the space has no more
                continue
            if layers_hash(self.space.network_graph(network)) == key:
                rows.append(network.blocks)
                costs.append(_parse_cost(cells, self.table.info.column)[0])
        return np.array(rows, np.int64).reshape(-1, len(self.space.stages)), np.array(costs)

    def _mean_and_std(self, rows: Rows) -> np.ndarray:
        """Return cost and deviation of each network, float [n, 2]."""
        if not len(rows):
            return np.empty((0, 2))
        unique, inverse = np.unique(rows, axis=0, return_inverse=True)
        keys = list(map(tuple, unique.tolist()))
        unknown = [number for number, key in enumerate(keys) if key not in self._cache]
        if unknown:
            self._cache.update(self._load_or_measure(unique[unknown]))
        return np.array([self._cache[key] for key in keys])[inverse.ravel()]

    def _load_or_measure(self, rows: Rows) -> dict[tuple[int, ...], CostAndStd]:
        """Return the costs of different networks, read from the listing or measured."""
        listed, column = self._measurements.read(), self.table.info.column
        self._validate_limit(len(rows) - len(listed))  # before graphs are built: a random search has 200,000
        architectures = [self.space.architecture(row) for row in rows]
        graphs = {self.space.network_name(network): self.space.network_graph(network) for network in architectures}
        hashes = {name: layers_hash(graph) for name, graph in graphs.items()}
        costs = {name: _parse_cost(listed[key], column) for name, key in hashes.items() if key in listed}
        unlisted = {name: graph for name, graph in graphs.items() if name not in costs}
        self._validate_limit(len(unlisted))
        if unlisted:
            start = time.monotonic()
            measured = measure_graphs(
                self.space, self.device, self.table, unlisted, self.protocol, workers=self.workers
            )
            for name, failure in measured.failures.items():
                raise MeasurementError(
                    f"network {name} could not be measured: {failure}", hint="search a space without its blocks"
                )
            costs |= {name: _parse_cost(row, column) for name, row in measured.rows.items()}
            costs |= {name: (value, 0.0) for name, value in measured.values.items() if name not in costs}
            # the first batch fixes the scale of a table that was created without rows
            toml = self.table.path.with_suffix(".toml")
            self.table = replace(self.table, info=read_model(toml, TableInfo))
            self._log_progress(len(unlisted), len(rows), time.monotonic() - start)
        return {tuple(row): costs[name] for row, name in zip(rows.tolist(), graphs, strict=True)}

    def _validate_limit(self, count: int) -> None:
        if self._measured_count + count > self.max_networks:
            raise ConfigError(
                f"this search may measure at most {self.max_networks} networks",
                got=f"{self._measured_count} and {count} more",
                hint="search with --method nsga2, or raise --samples",
            )

    def _log_progress(self, count: int, requested: int, seconds: float) -> None:
        self._measured_count, self._spent_s = self._measured_count + count, self._spent_s + seconds
        remaining = max(0, self.max_networks - len(self._cache) - requested)
        rest = "no more to come"
        if remaining:
            duration = format_duration(remaining * self._spent_s / self._measured_count)
            rest = f"at most {remaining} more, about {duration}"
        self.log(
            f"{self._measured_count} networks measured in {format_duration(self._spent_s)}; {rest} "
            "(Ctrl-C stops, and the same command resumes)"
        )


def create_measured_cost(
    space: Space, device_name: str, root: Path, protocol: Protocol | None = None, max_networks: int = MAX_NETWORKS
) -> MeasuredCost:
    """Return the measured cost of a device. Measurements are saved below the folder `root`, next to the device's table.

    Where there is no table, one without rows is created, so no block has to be measured.

    Args:
        space: The space of the networks.
        device_name: Name of the device.
        root: The folder of tables.
        protocol: How to measure; by default the device's protocol.
        max_networks: How many networks may be measured.

    Returns:
        The cost, which has measured nothing yet.

    Raises:
        TableError: The table is of another environment or protocol.
        ConfigError: The folder is that of the shipped tables.
    """
    if is_shipped(root):
        raise ConfigError(
            "cannot measure in the folder of shipped tables", got=str(root), hint="choose another with --tables"
        )
    device = Device.load(device_name)
    protocol = protocol or device.protocol
    return MeasuredCost(space, device, get_or_create_table(space, device, root, protocol), protocol, max_networks)


def _parse_cost(row: Mapping[str, object], column: str) -> CostAndStd:
    """Return the cost in a row's cells, and the standard error behind its 95 % interval."""
    low, high, rounds = (float(str(row[name])) for name in ("low_s", "high_s", "rounds"))
    return float(str(row[column])), float(standard_error(low, high, rounds))
