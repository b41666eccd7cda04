"""What a table is of: its name, its sentinel, and the TOML that must agree between runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np

from donna_hw._core.toml_files import read_model, write_toml
from donna_hw.devices.backends.base import UNITS, BackendInfo
from donna_hw.devices.device import Device
from donna_hw.errors import ConfigError, TableError
from donna_hw.graph.graph import Graph, layers_hash
from donna_hw.measurement.protocol import Protocol, get_protocol
from donna_hw.profiling.dtypes import with_dtypes
from donna_hw.spaces.space import Space
from donna_hw.tables.latency_table import LatencyTable
from donna_hw.tables.parts import Part, list_parts
from donna_hw.tables.table_info import TableInfo, table_path

SENTINEL_MACS = 10_000_000  # expensive enough that its call is nothing, cheap enough to run around every block


def build_info(
    space: Space,
    device: Device,
    backend_info: BackendInfo,
    protocol: Protocol,
    *,
    mode: str,
    sentinel: Graph | None = None,
) -> TableInfo:
    """Return what the TOML of a new table records.

    Args:
        space: The space of the table.
        device: The device of the table.
        backend_info: What the device's backend reports.
        protocol: How blocks are measured; of a computed table only its batch counts.
        mode: `isolated` or `in_context`.
        sentinel: The sentinel's layers; None for a computed table.
    """
    backend_info = with_dtypes(backend_info, [part.graph for part in list_parts(space)])
    environment, timed = backend_info.environment, sentinel is not None
    column = {"latency": "latency_s", "energy": "energy_j"}.get(backend_info.quantity, backend_info.quantity)
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
        quantity=backend_info.quantity,
        unit=UNITS[backend_info.quantity],
        origin=backend_info.origin,
        column=column,
        identity=identity,
        conditions=environment.conditions,
        donna_hw=version("donna-hw"),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        sentinel=layers_hash(sentinel) if sentinel is not None and protocol.sentinel_samples else "",
    )


def write_or_validate_info(info: TableInfo, path: Path) -> TableInfo:
    """Write the table's TOML before the first sample, or check that the one there is of the same identity and return that."""
    toml = path.with_suffix(".toml")
    if toml.exists():
        old = read_model(toml, TableInfo)
        old.validate_same_identity(info, path)
        return old
    if path.with_suffix(".samples.csv").exists():
        raise TableError(
            f"{toml}: no such file, but samples that need it",
            hint="restore it, or delete the samples",
        )
    write_toml(toml, info.model_dump(exclude_none=True))
    return info


def variant_path(
    root: Path, space: Space, device: Device, backend_info: BackendInfo, protocol: Protocol, *, mode: str
) -> Path:
    """Return where the table of a space on a device lies below `root`: its file is named by mode, batch and the backend's tags."""
    tags = with_dtypes(backend_info, [part.graph for part in list_parts(space)]).tags
    return table_path(root, device.name, space.name, "-".join((mode, f"b{protocol.batch}", *tags)))


def select_sentinel(parts: Sequence[Part], table: Path | None = None) -> Graph:
    """Return a table's sentinel: of all parts the one whose multiply-accumulates are nearest to ten million, as a ratio.

    A table keeps the sentinel that it was begun with, even when an axis has grown since.
    """
    toml = table.with_suffix(".toml") if table else None
    saved = read_model(toml, TableInfo).sentinel if toml and toml.exists() else ""
    for part in parts if saved else ():
        if part.layers_hash == saved:
            return part.graph
    return min((part.graph for part in parts), key=lambda graph: abs(np.log(max(graph.macs, 1) / SENTINEL_MACS)))


def validate_statistic(device: Device, protocol: Protocol, backend_info: BackendInfo) -> None:
    """Raise `ConfigError` when a protocol asks for a statistic that the device's samples do not give."""
    if protocol.statistic not in backend_info.statistics:
        raise ConfigError(
            f"protocol {protocol.name} takes the {protocol.statistic}, which device {device.name} does not report",
            choices=backend_info.statistics,
            hint="choose another --protocol, such as paper_s20, or a runner that reports every sample",
        )


def table_protocol(table: LatencyTable, device: Device) -> Protocol:
    """Return the protocol that a table was measured by; the device's own where it was computed."""
    name = table.info.identity.get("protocol")
    if name is None:
        return device.protocol
    return replace(get_protocol(str(name)), batch=int(table.info.identity["batch"]))
