"""Profiling: (space, device) -> latency table, and whole networks on the same device under the same sentinel."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from donna_hw._core.files import hold_lock
from donna_hw._core.toml_files import read_model, write_toml
from donna_hw.devices.backends.base import UNITS, BackendInfo, ExactBackend
from donna_hw.devices.device import Device
from donna_hw.errors import ConfigError, MeasurementError, TableError
from donna_hw.graph.graph import Graph, layers_hash
from donna_hw.measurement.protocol import Protocol, get_protocol
from donna_hw.profiling.calibration import TableCalibration
from donna_hw.profiling.computed_costs import compute_costs, int_if_whole
from donna_hw.profiling.dtypes import validate_dtypes, with_dtypes
from donna_hw.profiling.in_context import validate_mode
from donna_hw.profiling.measure_blocks import COMPOSITION_PREFIX, Bench, Profiler, ProfilingBudget
from donna_hw.profiling.rest import estimate_cool_down
from donna_hw.profiling.scheduler import MeasurementJob, unique_jobs, validate_pool
from donna_hw.profiling.table_rows import PREDICTED_PREFIX, measured_row, write_table
from donna_hw.profiling.workers.base import Worker
from donna_hw.profiling.workers.subprocess import create_subprocess_workers
from donna_hw.spaces.space import Architecture, Space
from donna_hw.tables.latency_table import LatencyTable
from donna_hw.tables.network_measurements import NetworkMeasurements
from donna_hw.tables.parts import Part, Row, list_parts
from donna_hw.tables.table_info import TableInfo, table_path

logger = logging.getLogger(__name__)

SENTINEL_MACS = 10_000_000  # dear enough that its call is nothing, cheap enough to run beside every block

WorkerFactory = Callable[[Device, Protocol], Sequence[Worker]]


def profile_space(
    space: Space,
    device: Device,
    root: Path,
    protocol: Protocol | None = None,
    *,
    mode: str = "isolated",
    budget: ProfilingBudget | None = None,
    workers: WorkerFactory = create_subprocess_workers,
) -> LatencyTable:
    """Fill the table of a space on a device below the folder `root`, and return it.

    Continues what an earlier, perhaps killed, run began; refuses to mix environments. Blocks of equal layers share a
    measurement. A block that crashes its runtime, or hangs, is journaled as failed and has no row. `protocol` replaces the device's own.
    mode: `isolated`, or `in_chain` (`profiling/chain.py`). workers: who measures; by default a process for each device of the pool.
    """
    began = time.time()
    protocol, budget, mode = protocol or device.protocol, budget or ProfilingBudget(), validate_mode(mode)
    if space.global_axes:
        rule, axes = f"a table is of one setting of each global axis of {space.name}", space.global_axes
        cure = f"name one, such as {space.name}@{space.input_shape[1]}px"
        raise ConfigError(rule, got=", ".join(axis.name for axis in axes), hint=cure)
    parts = list_parts(space)
    kind, graphs = device.backend_class(), [part.graph for part in parts]
    validate_dtypes(kind, device.name, graphs)
    if issubclass(kind, ExactBackend):
        if mode != "isolated":
            raise ConfigError("blocks are only timed in a chain; a computed cost is a block's own", got=mode)
        backend = device.backend()
        assert isinstance(backend, ExactBackend)  # noqa: S101  of that kind
        description = backend.info()
        path = table_path(root, device.name, space.name, variant_name(with_dtypes(description, graphs), protocol, mode))
        with hold_lock(path.with_suffix(".lock")):
            info = _write_or_validate_info(_build_info(space, device, description, protocol, mode=mode), path)
            jobs = unique_jobs([MeasurementJob(part.name, part.graph) for part in parts])
            costs = compute_costs(jobs, backend, path.with_suffix(".samples.csv"), f"profile {device.name}")
            return write_table(space, parts, info, path, lambda key: {info.column: int_if_whole(costs[key])})
    if budget.predict_repeats and mode != "isolated":
        raise ConfigError("composed blocks are measured isolated: a section has no neighbours of its own", got=mode)
    with _open_workers(device, protocol, workers) as crew:
        descriptions = [worker.info() for worker in crew]
        description = descriptions[0]
        validate_statistic(device, protocol, description)
        path = table_path(root, device.name, space.name, variant_name(with_dtypes(description, graphs), protocol, mode))
        with hold_lock(path.with_suffix(".lock")):
            sentinel = select_sentinel(parts, path)
            info = _write_or_validate_info(
                _build_info(space, device, description, protocol, mode=mode, sentinel=sentinel), path
            )
            for other in descriptions[1:]:
                mine = _build_info(space, device, other, protocol, mode=mode, sentinel=sentinel)
                info.validate_same_identity(mine, path)
            for worker, said in zip(crew, descriptions, strict=True):
                for hint in said.warnings:
                    logger.warning("%s: %s", worker.name, hint)
            if protocol.cool_down_s:
                logger.info("%s", estimate_cool_down([part.graph for part in parts], protocol, len(crew)).summary)
            validate_pool(crew, sentinel)
            journal = path.with_suffix(".samples.csv")
            bench = Bench(crew, description.environment, protocol, sentinel, journal, f"profile {device.name}")
            filled = Profiler(space, parts, mode, budget, bench, info.column, began).run()
            kept = {
                key: value
                for key, value in info.conditions.items()
                if not key.startswith((COMPOSITION_PREFIX, PREDICTED_PREFIX))
            }
            found = {
                "conditions": {**kept, **filled.conditions},
                "min_relative_std": filled.calibration.min_relative_std,
            }
            info = info.model_copy(update={**found, "sentinel_reference_s": filled.calibration.sentinel_reference_s})
            return write_table(space, parts, info, path, filled.rows.get)


def measure_networks(
    space: Space,
    device: Device,
    table: LatencyTable,
    architectures: Sequence[Architecture],
    protocol: Protocol | None = None,
    *,
    workers: WorkerFactory = create_subprocess_workers,
) -> np.ndarray:
    """Measure whole networks beside a measured table, and return each one's latency in seconds, float [n].

    Journaled and listed beside the table as `networks`; see `measure_graphs`. Raises `MeasurementError` when a network cannot be run.
    """
    names = [network_name(space, architecture) for architecture in architectures]
    graphs = {name: space.network_graph(architecture) for name, architecture in zip(names, architectures, strict=True)}
    measured = measure_graphs(space, device, table, graphs, protocol, workers=workers)
    for name, failure in measured.failures.items():
        raise MeasurementError(f"network {name} must run", got=failure, hint="leave it out")
    return np.array([measured.values[name] for name in names])


def network_name(space: Space, architecture: Architecture) -> str:
    """Return a network's name in journals and listings: a label a stage, then its global settings, joined by `/`."""
    return "/".join([*space.labels(architecture).values(), *map(str, architecture.settings)])


def get_or_create_table(
    space: Space,
    device: Device,
    root: Path,
    protocol: Protocol | None = None,
    *,
    workers: WorkerFactory = create_subprocess_workers,
) -> LatencyTable:
    """Return what whole networks are measured beside: the device's isolated table of the space below `root`, or one begun without rows.

    Raises `TableError` where the one that is there is of another environment or protocol.
    """
    protocol, graphs = protocol or device.protocol, [part.graph for part in list_parts(space)]
    validate_dtypes(device.backend_class(), device.name, graphs)
    if issubclass(device.backend_class(), ExactBackend):
        description, sentinel = device.backend().info(), False
    else:
        with _open_workers(device, protocol, workers) as crew:
            description, sentinel = crew[0].info(), True
    path = table_path(
        root, device.name, space.name, variant_name(with_dtypes(description, graphs), protocol, "isolated")
    )
    with hold_lock(path.with_suffix(".lock")):
        graph = select_sentinel(list_parts(space), path) if sentinel else None
        info = _write_or_validate_info(
            _build_info(space, device, description, protocol, mode="isolated", sentinel=graph), path
        )
    if path.exists():
        return LatencyTable.read(path)
    return LatencyTable(info, pd.DataFrame(columns=["part", "layers_hash", info.column]), path)


class MeasuredGraphs(NamedTuple):
    """What graphs cost by name, in the table's unit: values, the rows listed (none where costs are computed), and why others failed."""

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
    """Measure any named graphs beside a table of a space, on the table's own scale.

    Journaled in `<variant>.<listing>.samples.csv` beside the table, listed in `<variant>.<listing>.csv`, and steadied by the table's own
    sentinel reference; a table that was begun without rows gets that of the first graphs measured. Raises `TableError` when the
    environment or the protocol is not the table's.
    """
    protocol, mode = protocol or device.protocol, str(table.info.identity["mode"])
    validate_dtypes(device.backend_class(), device.name, graphs.values())
    if issubclass(device.backend_class(), ExactBackend):
        backend = device.backend()
        assert isinstance(backend, ExactBackend)  # noqa: S101  of that kind
        table.info.validate_same_identity(_build_info(space, device, backend.info(), protocol, mode=mode), table.path)
        return MeasuredGraphs(dict(zip(graphs, backend.costs(list(graphs.values())), strict=True)), {}, {})
    jobs = unique_jobs([MeasurementJob(name, graph) for name, graph in graphs.items()])
    sentinel = select_sentinel(list_parts(space), table.path)
    journal = table.path.with_suffix(f".{listing}.samples.csv")
    with _open_workers(device, protocol, workers) as crew, hold_lock(table.path.with_suffix(".lock")):
        description = crew[0].info()
        validate_statistic(device, protocol, description)
        described = _build_info(space, device, description, protocol, mode=mode, sentinel=sentinel)
        table.info.validate_same_identity(described, table.path)
        bench = Bench(crew, description.environment, protocol, sentinel, journal, f"{listing} {device.name}")
        records = bench.measure(jobs)
        toml, own = table.path.with_suffix(".toml"), bench.calibrate(records)
        reference = table.info.sentinel_reference_s or read_model(toml, TableInfo).sentinel_reference_s
        scale = TableCalibration(reference or own.sentinel_reference_s, own.min_relative_std)
        if scale.sentinel_reference_s != reference:
            fixed = table.info.model_copy(update={"sentinel_reference_s": scale.sentinel_reference_s})
            write_toml(toml, fixed.model_dump(exclude_none=True))
        measured = bench.build_measurements(records, scale)
        rows = {key: measured_row(found, records[key].stopping_rule) for key, found in measured.items()}
        names = {key: job.name for key, job in jobs.items()}
        NetworkMeasurements(table.path.with_suffix(f".{listing}.csv"), scale.sentinel_reference_s).add(rows, names)
    keys = {name: layers_hash(graph) for name, graph in graphs.items()}
    return MeasuredGraphs(
        {name: measured[key].value_s for name, key in keys.items() if key in measured},
        {name: rows[key] for name, key in keys.items() if key in rows},
        {name: records[key].failure for name, key in keys.items() if key not in rows},
    )


@contextmanager
def _open_workers(device: Device, protocol: Protocol, workers: WorkerFactory) -> Iterator[Sequence[Worker]]:
    crew = workers(device, protocol)
    try:
        yield crew
    finally:
        for worker in crew:
            worker.close()


def validate_statistic(device: Device, protocol: Protocol, description: BackendInfo) -> None:
    """Raise `ConfigError` when a protocol stands for a statistic that the device's samples do not give."""
    if protocol.statistic not in description.statistics:
        raise ConfigError(
            f"device {device.name} must be measured by a protocol whose statistic it can tell",
            got=f"{protocol.name}, of the {protocol.statistic}",
            choices=description.statistics,
            hint="choose another --protocol, such as paper_s20, or a runner that tells every sample",
        )


def variant_name(description: BackendInfo, protocol: Protocol, mode: str) -> str:
    """Return the file name that tells a device's tables apart: mode, batch, and the backend's own words."""
    return "-".join((mode, f"b{protocol.batch}", *description.tags))


def select_sentinel(parts: Sequence[Part], table: Path | None = None) -> Graph:
    """Return a table's sentinel: of all parts the one whose multiply-accumulates are nearest to ten million, as a ratio.

    A table keeps the sentinel that it was begun with, even when an axis has grown since.
    """
    toml = table.with_suffix(".toml") if table else None
    kept = read_model(toml, TableInfo).sentinel if toml and toml.exists() else ""
    for part in parts if kept else ():
        if part.layers_hash == kept:
            return part.graph
    return min((part.graph for part in parts), key=lambda graph: abs(np.log(max(graph.macs, 1) / SENTINEL_MACS)))


def _build_info(
    space: Space,
    device: Device,
    description: BackendInfo,
    protocol: Protocol,
    *,
    mode: str,
    sentinel: Graph | None = None,
) -> TableInfo:
    description = with_dtypes(description, [part.graph for part in list_parts(space)])
    environment, timed = description.environment, sentinel is not None
    column = {"latency": "latency_s", "energy": "energy_j"}.get(description.quantity, description.quantity)
    identity = {
        **environment.identity,
        "mode": mode,
        "batch": protocol.batch,
        "input_shape": "x".join(map(str, space.input_shape)),
        "space_hash": space.hash,
    }
    if timed:
        column = f"{protocol.statistic}_s"
        identity |= {"protocol": protocol.name, "warmup": protocol.warmup, "samples": protocol.samples}
        identity |= {"trial_s": protocol.trial_s or 0.0, "slices": protocol.slices}
        identity |= {"sentinel_samples": protocol.sentinel_samples, "cool_down_s": protocol.cool_down_s}
    return TableInfo(
        device=device.name,
        space=space.name,
        quantity=description.quantity,
        unit=UNITS[description.quantity],
        origin=description.origin,
        column=column,
        identity=identity,
        conditions=environment.conditions,
        donna_hw=version("donna-hw"),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        sentinel=layers_hash(sentinel) if sentinel is not None and protocol.sentinel_samples else "",
    )


def _write_or_validate_info(info: TableInfo, path: Path) -> TableInfo:
    """Write the table's TOML before the first sample, or check that the one there is of the same identity and keep it."""
    toml = path.with_suffix(".toml")
    if toml.exists():
        old = read_model(toml, TableInfo)
        old.validate_same_identity(info, path)
        return old
    if path.with_suffix(".samples.csv").exists():
        raise TableError(
            f"{toml} must stand beside the samples and say of what they are",
            got="none",
            hint="restore it or delete the samples",
        )
    write_toml(toml, info.model_dump(exclude_none=True))
    return info


def table_protocol(table: LatencyTable, device: Device) -> Protocol:
    """Return the protocol that a table was measured by; the device's own where it was computed."""
    named = table.info.identity.get("protocol")
    if named is None:
        return device.protocol
    return replace(get_protocol(str(named)), batch=int(table.info.identity["batch"]))
