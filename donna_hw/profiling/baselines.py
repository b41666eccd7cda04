"""The baselines on a device: as a table of their own, or beside a table that is there."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from donna_hw.devices.device import Device
from donna_hw.graph.graph import Graph
from donna_hw.measurement.protocol import Protocol
from donna_hw.profiling.profiler import MeasuredGraphs, WorkerFactory, measure_graphs, profile_space
from donna_hw.profiling.sample_journal import SampleJournal
from donna_hw.profiling.workers.subprocess import create_subprocess_workers
from donna_hw.spaces import load_space
from donna_hw.spaces.baselines.registry import baseline_graphs
from donna_hw.spaces.space import Space
from donna_hw.tables.lookup import find_table
from donna_hw.tables.table_info import TableInfo

LISTING = "baselines"


class Baselines(NamedTuple):
    """The baselines' layers and what they cost; of what table, and the file that lists them, None where none does."""

    graphs: dict[str, Graph]
    measurements: MeasuredGraphs
    info: TableInfo
    path: Path | None


def profile_baselines(
    device: Device,
    root: Path,
    protocol: Protocol,
    pixels: int | None = None,
    *,
    workers: WorkerFactory = create_subprocess_workers,
) -> Baselines:
    """Fill, or continue, the device's table of the space `baselines` below the folder `root`, on images of that height and width."""
    space = load_space("baselines" if pixels is None else f"baselines@{pixels}px")
    table = profile_space(space, device, root, protocol, workers=workers)
    rows = {str(row["network"]): row for row in table.frame.to_dict("records")}
    values = {name: float(row[table.info.column]) for name, row in rows.items()}
    failures = {}
    if table.info.origin == "measured":
        records = SampleJournal(table.path.with_suffix(".samples.csv")).read().values()
        failures = {record.name.removeprefix("network "): record.failure for record in records if record.failure}
    listed = {name: {str(key): cell for key, cell in row.items()} for name, row in rows.items() if "verdict" in row}
    return Baselines(
        baseline_graphs(space.input_shape), MeasuredGraphs(values, dict(listed), failures), table.info, table.path
    )


def measure_baselines(
    space: Space, device: Device, root: Path, protocol: Protocol, *, workers: WorkerFactory = create_subprocess_workers
) -> Baselines:
    """Measure the baselines on a space's images beside the device's table of it below `root`, steadied by that table's sentinel.

    Raises `BadTable` where there is no such table, or one of another environment or protocol.
    """
    table, networks = find_table([root], device.name, space.name), baseline_graphs(space.input_shape)
    found = measure_graphs(space, device, table, networks, protocol, workers=workers, listing=LISTING)
    listed = table.path.with_suffix(f".{LISTING}.csv") if found.rows else None
    return Baselines(networks, found, table.info, listed)
