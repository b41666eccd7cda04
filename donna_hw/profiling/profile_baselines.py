"""The baselines on a device: as a table of the space `baselines`, or on the scale of another space's table."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from donna_hw.devices.device import Device
from donna_hw.graph.graph import Graph
from donna_hw.measurement.protocol import Protocol
from donna_hw.profiling.network_profiling import MeasuredGraphs, measure_graphs
from donna_hw.profiling.profiler import profile_space
from donna_hw.profiling.sample_journal import SampleJournal
from donna_hw.profiling.workers.base import WorkerFactory
from donna_hw.profiling.workers.subprocess import create_subprocess_workers
from donna_hw.spaces import load_space
from donna_hw.spaces.baselines.registry import baseline_graphs
from donna_hw.spaces.space import Space
from donna_hw.tables.lookup import find_table
from donna_hw.tables.table_info import TableInfo

LISTING = "baselines"


class Baselines(NamedTuple):
    """What the baselines cost.

    Attributes:
        graphs: Their layers by name.
        measurements: Their costs.
        info: Of what table they are.
        path: The file that lists them; None where computed costs are not listed.
    """

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
    """Fill, or resume, the device's table of the space `baselines`.

    Args:
        device: The device.
        root: The folder of tables.
        protocol: How often each network runs.
        pixels: Height and width of the images; by default the space's.
        workers: Creates the workers that measure; by default one process for each device of the pool.
    """
    space = load_space("baselines" if pixels is None else f"baselines@{pixels}px")
    table = profile_space(space, device, root, protocol, workers=workers)
    rows = {str(row["network"]): row for row in table.frame.to_dict("records")}
    values = {name: float(row[table.info.column]) for name, row in rows.items()}
    failures = {}
    if table.info.origin == "measured":
        records = SampleJournal(table.path.with_suffix(".samples.csv")).read().values()
        failures = {record.name.removeprefix("network "): record.failure for record in records if record.failure}
    listed_rows = {
        name: {str(key): cell for key, cell in row.items()} for name, row in rows.items() if "verdict" in row
    }
    return Baselines(
        baseline_graphs(space.input_shape), MeasuredGraphs(values, dict(listed_rows), failures), table.info, table.path
    )


def measure_baselines(
    space: Space, device: Device, root: Path, protocol: Protocol, *, workers: WorkerFactory = create_subprocess_workers
) -> Baselines:
    """Measure the baselines on a space's images, drift-corrected by the sentinel of the device's table of that space.

    Args:
        space: The space.
        device: The device.
        root: The folder of tables.
        protocol: How often each network runs; it must be the table's.
        workers: Creates the workers that measure; by default one process for each device of the pool.

    Raises:
        TableError: When there is no such table, or one of another environment or protocol.
    """
    table, graphs = find_table([root], device.name, space.name), baseline_graphs(space.input_shape)
    measured = measure_graphs(space, device, table, graphs, protocol, workers=workers, listing=LISTING)
    path = table.path.with_suffix(f".{LISTING}.csv") if measured.rows else None
    return Baselines(graphs, measured, table.info, path)
