"""MeasuredCost: whole networks timed on the device when a search asks for them (the way of the paper, section E), each once."""

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
MEASURED_PREFIX = "measured@"  # how the name of such a cost begins; a device's follows
CostAndStd = tuple[float, float]  # what a network costs, and the standard deviation of that


@dataclass
class MeasuredCost:
    """What networks cost as measured whole, in seconds; where a device computes its cost, in that cost's unit and without an error.

    A call measures those of its networks that are not listed beside the table, in one batch. All are journaled visit by visit, so that a
    search that was stopped or killed goes on with the visit it was at. table: gives scale and identity, its rows are not used.
    at_most: how many networks may be measured; a call that passes it measures nothing and raises `ConfigError`.
    say: gets a line after each batch, with the time that the rest will take.
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
        """`s` where networks are timed."""
        return self.table.info.unit

    def mean(self, rows: Rows) -> np.ndarray:
        """Return what each network costs, float [n]; raises `MeasurementError` with the first that cannot be run."""
        return self._mean_and_std(rows)[:, 0]

    def std(self, rows: Rows) -> np.ndarray:
        """Return the standard error of each measurement, float [n]."""
        return self._mean_and_std(rows)[:, 1]

    def std_of_difference(self, a: Rows, b: Rows) -> np.ndarray:
        """Return the standard deviation of cost(a) - cost(b), float [n]: measurements err apart, and a network is as dear as itself."""
        return np.where((a == b).all(axis=1), 0.0, np.hypot(self.std(a), self.std(b)))

    def additive_terms(self, settings: tuple[int, ...] = ()) -> CostTerms | None:
        """Return None: a measured cost has no parts."""
        return None

    @property
    def _measurements(self) -> NetworkMeasurements:
        return NetworkMeasurements(self.table.path.with_suffix(".networks.csv"), self.table.info.sentinel_reference_s)

    def load_measured(self) -> tuple[Rows, np.ndarray]:
        """Return every network measured beside the table, by this process or earlier, int [n, stages], and its cost, float [n].

        Networks of other layers than the space has now are left out.
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
        unique, places = np.unique(rows, axis=0, return_inverse=True)
        keys = list(map(tuple, unique.tolist()))
        unknown = [number for number, key in enumerate(keys) if key not in self._cache]
        if unknown:
            self._cache.update(self._load_or_measure(unique[unknown]))
        return np.array([self._cache[key] for key in keys])[places.ravel()]

    def _load_or_measure(self, rows: Rows) -> dict[tuple[int, ...], CostAndStd]:
        """Return what different networks cost, read from the listing or measured."""
        listed, column = self._measurements.read(), self.table.info.column
        self._validate_limit(len(rows) - len(listed))  # before layers are drawn: a random search asks for 200,000
        architectures = [self.space.architecture(row) for row in rows]
        graphs = {self.space.network_name(each): self.space.network_graph(each) for each in architectures}
        hashes = {name: layers_hash(graph) for name, graph in graphs.items()}
        found = {name: _parse_cost(listed[key], column) for name, key in hashes.items() if key in listed}
        unlisted = {name: graph for name, graph in graphs.items() if name not in found}
        self._validate_limit(len(unlisted))
        if unlisted:
            began = time.monotonic()
            measured = measure_graphs(
                self.space, self.device, self.table, unlisted, self.protocol, workers=self.workers
            )
            for name, failure in measured.failures.items():
                raise MeasurementError(
                    f"network {name} must run", got=failure, hint="search a space without its blocks"
                )
            found |= {name: _parse_cost(row, column) for name, row in measured.rows.items()}
            found |= {name: (value, 0.0) for name, value in measured.values.items() if name not in found}
            # the first batch fixes the scale of a table that was begun without rows
            toml = self.table.path.with_suffix(".toml")
            self.table = replace(self.table, info=read_model(toml, TableInfo))
            self._log_progress(len(unlisted), len(rows), time.monotonic() - began)
        return {tuple(row): found[name] for row, name in zip(rows.tolist(), graphs, strict=True)}

    def _validate_limit(self, count: int) -> None:
        if self._measured_count + count > self.max_networks:
            raise ConfigError(
                f"at most {self.max_networks} networks are measured in one search",
                got=f"{self._measured_count} and {count} more",
                hint="search with --method nsga2, or raise --samples",
            )

    def _log_progress(self, count: int, asked: int, seconds: float) -> None:
        self._measured_count, self._spent_s = self._measured_count + count, self._spent_s + seconds
        left = max(0, self.max_networks - len(self._cache) - asked)
        rest = (
            f"{left} more at most, about {format_duration(left * self._spent_s / self._measured_count)}"
            if left
            else "none is left"
        )
        self.log(
            f"{self._measured_count} networks measured whole in {format_duration(self._spent_s)}; {rest} (Ctrl-C stops, nothing is lost)"
        )


def create_measured_cost(
    space: Space, device_name: str, root: Path, protocol: Protocol | None = None, max_networks: int = MAX_NETWORKS
) -> MeasuredCost:
    """Return the measured cost of a device by its name; what is measured is kept below the folder `root`, beside the device's table.

    Where there is no table, what networks are measured beside is begun without rows, so that no block need ever be measured. Raises
    `TableError` where the table that is there is of another environment or protocol, and `ConfigError` for the folder of shipped tables.
    """
    if is_shipped(root):
        raise ConfigError("networks are measured in a folder of your own", got=str(root), hint="name one with --tables")
    device = Device.load(device_name)
    protocol = protocol or device.protocol
    return MeasuredCost(space, device, get_or_create_table(space, device, root, protocol), protocol, max_networks)


def _parse_cost(row: Mapping[str, object], column: str) -> CostAndStd:
    """Return the cost in a row's cells, and the standard error that its 95 % interval comes from."""
    low, high, rounds = (float(str(row[name])) for name in ("low_s", "high_s", "rounds"))
    return float(str(row[column])), float(standard_error(low, high, rounds))
