"""Profiling: (space, device) -> latency table, and whole networks on the same device under the same sentinel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from donna_hw.backends.base import UNITS, Backend, ExactBackend, TimingBackend
from donna_hw.blocks.layers import Graph, layers_hash
from donna_hw.device import Device
from donna_hw.errors import BadFile, BadTable
from donna_hw.files import Journal, locked, read_model, write_atomic, write_toml
from donna_hw.measurement.measurement import Measurement, Visit
from donna_hw.measurement.protocol import Protocol
from donna_hw.progress import track
from donna_hw.schedule import Job, measure, read_all, unique_jobs
from donna_hw.spaces.space import Architecture, Space
from donna_hw.table import LatencyTable, TableInfo, table_path


def profile_space(space: Space, device: Device, root: Path, protocol: Protocol | None = None) -> LatencyTable:
    """Fill the table of a space on a device below the folder `root`, and return it.

    Continues what an earlier, perhaps killed, run began; refuses to mix environments. Blocks of equal layers share a
    measurement. `protocol` replaces the device's own.
    """
    protocol = protocol or device.protocol
    backend = device.backend()
    path = table_path(root, device.name, space.name, variant(backend, protocol))
    with locked(path.with_suffix(".lock")):
        return _profile(space, device, backend, protocol, path)


def _profile(space: Space, device: Device, backend: Backend, protocol: Protocol, path: Path) -> LatencyTable:
    sentinel = sentinel_graph(space, path)
    info = _claim(_describe(space, device, backend, protocol, sentinel), path)
    jobs = unique_jobs([Job(name, graph) for name, _, graph in _parts(space)])
    label = f"profile {device.name}"
    if isinstance(backend, ExactBackend):
        costs = _exact_costs(jobs, backend, path, label)
        return _written(space, info, path, lambda key: {info.column: _number(costs[key])})
    assert isinstance(backend, TimingBackend)  # noqa: S101  the two kinds of backend there are
    visits = measure(jobs, sentinel, backend, protocol, path=path.with_suffix(".samples.csv"), label=label)
    reference = _sentinel_reference(visits, protocol)
    info = info.model_copy(update={"sentinel_reference_s": reference})
    environment = backend.environment()
    rows = {key: _row(Measurement(found, protocol, environment, reference)) for key, found in visits.items()}
    return _written(space, info, path, rows.__getitem__)


def measure_networks(
    space: Space,
    device: Device,
    table: LatencyTable,
    architectures: Sequence[Architecture],
    protocol: Protocol | None = None,
) -> np.ndarray:
    """Measure whole networks beside a measured table, and return each one's latency in seconds, float [n].

    Journaled in `<variant>.networks.samples.csv` beside the table, and steadied by the table's own sentinel reference, so that both are
    on one scale. The environment must be the table's.
    """
    protocol = protocol or device.protocol
    backend = device.backend()
    if not isinstance(backend, TimingBackend):
        return np.array([_cost(backend, space, architecture) for architecture in architectures])
    sentinel = sentinel_graph(space, table.path)
    table.info.refuse_other(_describe(space, device, backend, protocol, sentinel), table.path)
    jobs = {}
    for architecture in architectures:
        graph = space.network(architecture)
        jobs[layers_hash(graph)] = Job("/".join(space.labels(architecture).values()), graph)
    journal = table.path.with_suffix(".networks.samples.csv")
    visits = measure(jobs, sentinel, backend, protocol, path=journal, label=f"networks {device.name}")
    environment = backend.environment()
    reference = table.info.sentinel_reference_s
    records = [
        {"network": name, "layers_hash": key, **_row(Measurement(tuple(seen), protocol, environment, reference))}
        for key, (name, seen) in read_all(journal).items()
    ]
    frame = pd.DataFrame(records)
    write_atomic(table.path.with_suffix(".networks.csv"), frame.to_csv(index=False, lineterminator="\n"))
    found = {key: Measurement(seen, protocol, environment, reference) for key, seen in visits.items()}
    return np.array([found[layers_hash(space.network(architecture))].value_s for architecture in architectures])


def variant(backend: Backend, protocol: Protocol) -> str:
    """Return the file name that tells a device's tables apart: mode, batch, type and threads."""
    return "-".join(("isolated", f"b{protocol.batch}", *backend.words()))


def sentinel_graph(space: Space, table: Path | None = None) -> Graph:
    """Return a table's sentinel: the reference's block of the middle stage, which is neither the smallest nor the dearest.

    A table keeps the sentinel that it was begun with, even when an axis has grown and the reference with it.
    """
    toml = table.with_suffix(".toml") if table else None
    kept = read_model(toml, TableInfo).sentinel if toml and toml.exists() else ""
    for _, _, graph in _parts(space) if kept else ():
        if layers_hash(graph) == kept:
            return graph
    stage = space.stages[len(space.stages) // 2]
    return space.block_graph(stage, stage.reference)


def _parts(space: Space) -> list[tuple[str, dict[str, str], Graph]]:
    """Return (name, {axis: value}, layers) of every fixed part and block, in the order of the table's rows."""
    rows = [(name, {"part": name}, space.fixed_graph(name)) for name in space.fixed]
    for stage in space.stages:
        for m in range(stage.size):
            choice = {axis: str(value) for axis, value in stage.choice(m).items()}
            rows.append((f"{stage.name} {stage.label(m)}", {"part": stage.name, **choice}, space.block_graph(stage, m)))
    return rows


def _describe(space: Space, device: Device, backend: Backend, protocol: Protocol, sentinel: Graph) -> TableInfo:
    environment = backend.environment()
    timed = isinstance(backend, TimingBackend)
    column = f"{protocol.statistic}_s" if timed else {"latency": "latency_s"}.get(backend.quantity, backend.quantity)
    identity = {
        **environment.identity,
        "mode": "isolated",
        "batch": protocol.batch,
        "input_shape": "x".join(map(str, space.input_shape)),
        "space_hash": space.hash,
    }
    if timed:
        identity |= {"protocol": protocol.name, "warmup": protocol.warmup, "samples": protocol.samples}
        identity |= {"sentinel_samples": protocol.sentinel_samples, "cool_down_s": protocol.cool_down_s}
    return TableInfo(
        device=device.name,
        space=space.name,
        quantity=backend.quantity,
        unit=UNITS[backend.quantity],
        origin=backend.origin,
        column=column,
        identity=identity,
        conditions=environment.conditions,
        donna_hw=version("donna-hw"),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        sentinel=layers_hash(sentinel) if protocol.sentinel_samples and timed else "",
    )


def _claim(info: TableInfo, path: Path) -> TableInfo:
    """Write the table's TOML before the first sample, or check that the one there is of the same identity and keep it."""
    toml = path.with_suffix(".toml")
    if toml.exists():
        old = read_model(toml, TableInfo)
        old.refuse_other(info, path)
        return old
    if path.with_suffix(".samples.csv").exists():
        raise BadTable(
            f"{toml} must stand beside the samples and say of what they are",
            found="none",
            cure="restore it or delete the samples",
        )
    write_toml(toml, info.model_dump(exclude_none=True))
    return info


def _exact_costs(jobs: Mapping[str, Job], backend: ExactBackend, path: Path, label: str) -> dict[str, float]:
    """Return {layers_hash: cost}, journaled like measurements."""
    journal = Journal(path.with_suffix(".samples.csv"), ("what", "layers_hash", "cost"))
    costs = {}
    for line, record in enumerate(journal.records(), start=2):
        try:
            costs[record["layers_hash"]] = float(record["cost"])
        except ValueError as error:
            raise BadFile(
                f"{journal.path}, line {line}: a cost must be a number",
                found=str(error),
                cure="delete the line: only this block is counted again",
            ) from None
    todo = [key for key in jobs if key not in costs]
    for key in track(todo, label, len(jobs), len(jobs) - len(todo)) if todo else ():
        costs[key] = backend.cost(jobs[key].graph)
        journal.append({"what": jobs[key].name, "layers_hash": key, "cost": repr(costs[key])})
    return costs


def _number(cost: float) -> float | int:
    """Return a count as a whole number."""
    return int(cost) if cost.is_integer() else cost


def _cost(backend: Backend, space: Space, architecture: Architecture) -> float:
    assert isinstance(backend, ExactBackend)  # noqa: S101  the two kinds of backend there are
    return backend.cost(space.network(architecture))


def _sentinel_reference(visits: Mapping[str, tuple[Visit, ...]], protocol: Protocol) -> float | None:
    """Return the median of all sentinel runs of the table, in seconds."""
    if not protocol.sentinel_samples:
        return None
    return float(np.median(np.concatenate([visit.sentinel_s for found in visits.values() for visit in found])))


def _row(measurement: Measurement) -> dict[str, object]:
    interval = measurement.interval
    times = {
        "median_s": measurement.median_s,
        "low_s": interval.low,
        "high_s": interval.high,
        "raw_median_s": measurement.raw_median_s,
        "mean_s": measurement.mean_s,
        "min_s": measurement.min_s,
    }
    return {
        **{name: float(f"{value:.6g}") for name, value in times.items()},
        "samples": measurement.raw_s.size,
        "rounds": len(measurement.visits),
        "verdict": measurement.verdict,
    }


def _written(space: Space, info: TableInfo, path: Path, values: Callable[[str], Mapping[str, object]]) -> LatencyTable:
    """Derive the table from its measurements, write it, and return it as it reads back."""
    axes = list(dict.fromkeys(axis.name for stage in space.stages for axis in stage.axes))
    records = []
    for _, keys, graph in _parts(space):
        key = layers_hash(graph)
        cells = {"part": keys["part"]} | {axis: keys.get(axis, "") for axis in axes}
        records.append({**cells, "layers_hash": key, **values(key)})
    LatencyTable(info, pd.DataFrame(records), path).write()
    return LatencyTable.read(path)
