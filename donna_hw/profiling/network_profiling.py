"""Whole networks, and any other graphs, measured on the device and the scale of a space's table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from donna_hw._core.files import hold_lock
from donna_hw._core.toml_files import read_model, write_toml
from donna_hw.devices.backends.base import ExactBackend
from donna_hw.devices.device import Device
from donna_hw.errors import MeasurementError
from donna_hw.graph.graph import Graph, layers_hash
from donna_hw.measurement.protocol import Protocol
from donna_hw.profiling.calibration import TableCalibration, build_measurements, calibrate_table
from donna_hw.profiling.dtypes import validate_dtypes
from donna_hw.profiling.jobs import MeasurementJob, unique_jobs
from donna_hw.profiling.sample_journal import SampleJournal
from donna_hw.profiling.scheduler import Scheduler
from donna_hw.profiling.table_rows import measured_row
from donna_hw.profiling.table_setup import (
    build_info,
    select_sentinel,
    validate_statistic,
    variant_path,
    write_or_validate_info,
)
from donna_hw.profiling.workers.base import WorkerFactory, open_workers
from donna_hw.profiling.workers.subprocess import create_subprocess_workers
from donna_hw.spaces.space import Architecture, Space
from donna_hw.tables.latency_table import LatencyTable
from donna_hw.tables.network_measurements import NetworkMeasurements
from donna_hw.tables.parts import Row, list_parts
from donna_hw.tables.table_info import TableInfo


def measure_networks(
    space: Space,
    device: Device,
    table: LatencyTable,
    architectures: Sequence[Architecture],
    protocol: Protocol | None = None,
    *,
    workers: WorkerFactory = create_subprocess_workers,
) -> np.ndarray:
    """Measure whole networks on the scale of a measured table.

    They are journaled and listed next to the table, as `<variant>.networks.csv`; see `measure_graphs`.

    Args:
        space: The space of the table.
        device: The device of the table.
        table: The table, whose sentinel and environment the networks share.
        architectures: The networks.
        protocol: How often each network runs; by default the device's own. It must be the table's.
        workers: Creates the workers that measure; by default one process for each device of the pool.

    Returns:
        The latency of each network in seconds (of computed tables, the cost in the table's unit), float [n].

    Raises:
        MeasurementError: When a network cannot be run.
        TableError: When the environment or the protocol is not the table's.
    """
    names = [space.network_name(architecture) for architecture in architectures]
    graphs = {name: space.network_graph(architecture) for name, architecture in zip(names, architectures, strict=True)}
    measured = measure_graphs(space, device, table, graphs, protocol, workers=workers)
    for name, failure in measured.failures.items():
        raise MeasurementError(f"network {name} could not be run: {failure}", hint="leave it out")
    return np.array([measured.values[name] for name in names])


class MeasuredGraphs(NamedTuple):
    """What graphs cost by name.

    Attributes:
        values: The costs, in the table's unit.
        rows: The rows listed next to the table; none where costs are computed.
        failures: Why the other graphs could not be run.
    """

    values: dict[str, float]
    rows: dict[str, Row]
    failures: dict[str, str]


def measure_graphs(
    space: Space,
    device: Device,
    table: LatencyTable,
    graphs: Mapping[str, Graph],
    protocol: Protocol | None = None,
    *,
    workers: WorkerFactory = create_subprocess_workers,
    listing: str = "networks",
) -> MeasuredGraphs:
    """Measure any named graphs on the scale of a table of a space.

    They are journaled in `<variant>.<listing>.samples.csv` next to the table and listed in `<variant>.<listing>.csv`. Their times are
    drift-corrected by the table's own sentinel reference; a table that was begun without rows gets that of the first graphs measured.

    Args:
        space: The space of the table.
        device: The device of the table.
        table: The table, whose sentinel and environment the graphs share.
        graphs: The layers by name.
        protocol: How often each graph runs; by default the device's own. It must be the table's.
        workers: Creates the workers that measure; by default one process for each device of the pool.
        listing: The word in the file names.

    Raises:
        TableError: When the environment or the protocol is not the table's.
    """
    protocol, mode = protocol or device.protocol, str(table.info.identity["mode"])
    validate_dtypes(device.backend_class(), device.name, graphs.values())
    if issubclass(device.backend_class(), ExactBackend):
        backend = device.backend()
        assert isinstance(backend, ExactBackend)  # noqa: S101  of that kind
        table.info.validate_same_identity(build_info(space, device, backend.info(), protocol, mode=mode), table.path)
        return MeasuredGraphs(dict(zip(graphs, backend.costs(list(graphs.values())), strict=True)), {}, {})
    jobs = unique_jobs(MeasurementJob(name, graph) for name, graph in graphs.items())
    sentinel = select_sentinel(list_parts(space), table.path)
    journal = SampleJournal(table.path.with_suffix(f".{listing}.samples.csv"))
    with open_workers(device, protocol, workers) as pool, hold_lock(table.path.with_suffix(".lock")):
        backend_info = pool[0].info()
        validate_statistic(device, protocol, backend_info)
        info = build_info(space, device, backend_info, protocol, mode=mode, sentinel=sentinel)
        table.info.validate_same_identity(info, table.path)
        environment = backend_info.environment
        records = Scheduler(pool, environment, protocol, sentinel, journal, f"{listing} {device.name}").run(jobs)
        calibration = _adopt_reference(table, calibrate_table(records, protocol, environment))
        measured = build_measurements(records, protocol, environment, calibration)
        rows = {key: measured_row(measurement, records[key].stopping_rule) for key, measurement in measured.items()}
        names = {key: job.name for key, job in jobs.items()}
        NetworkMeasurements(table.path.with_suffix(f".{listing}.csv"), calibration.sentinel_reference_s).add(
            rows, names
        )
    keys = {name: layers_hash(graph) for name, graph in graphs.items()}
    return MeasuredGraphs(
        {name: measured[key].value_s for name, key in keys.items() if key in measured},
        {name: rows[key] for name, key in keys.items() if key in rows},
        {name: records[key].failure for name, key in keys.items() if key not in rows},
    )


def _adopt_reference(table: LatencyTable, calibration: TableCalibration) -> TableCalibration:
    """Return the calibration with the table's sentinel reference; a table without one gets the calibration's."""
    toml = table.path.with_suffix(".toml")
    reference_s = table.info.sentinel_reference_s or read_model(toml, TableInfo).sentinel_reference_s
    if not reference_s and calibration.sentinel_reference_s != reference_s:
        info = table.info.model_copy(update={"sentinel_reference_s": calibration.sentinel_reference_s})
        write_toml(toml, info.model_dump(exclude_none=True))
    return TableCalibration(reference_s or calibration.sentinel_reference_s, calibration.min_relative_std)


def get_or_create_table(
    space: Space,
    device: Device,
    root: Path,
    protocol: Protocol | None = None,
    *,
    workers: WorkerFactory = create_subprocess_workers,
) -> LatencyTable:
    """Return the table on whose scale whole networks are measured: the device's isolated one of the space, or one begun without rows.

    Args:
        space: The space.
        device: The device.
        root: The folder of tables.
        protocol: How often a network runs; by default the device's own.
        workers: Creates the workers that measure; by default one process for each device of the pool.

    Raises:
        TableError: When the table there is of another environment or protocol.
    """
    protocol, parts = protocol or device.protocol, list_parts(space)
    validate_dtypes(device.backend_class(), device.name, [part.graph for part in parts])
    computed = issubclass(device.backend_class(), ExactBackend)
    if computed:
        backend_info = device.backend().info()
    else:
        with open_workers(device, protocol, workers) as pool:
            backend_info = pool[0].info()
    path = variant_path(root, space, device, backend_info, protocol, mode="isolated")
    with hold_lock(path.with_suffix(".lock")):
        sentinel = None if computed else select_sentinel(parts, path)
        info = build_info(space, device, backend_info, protocol, mode="isolated", sentinel=sentinel)
        info = write_or_validate_info(info, path)
    if path.exists():
        return LatencyTable.read(path)
    return LatencyTable(info, pd.DataFrame(columns=["part", "layers_hash", info.column]), path)
