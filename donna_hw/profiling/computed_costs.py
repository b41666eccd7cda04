"""Tables of costs that are computed, not timed: counters and simulators."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from donna_hw._core.files import hold_lock
from donna_hw._core.journal import Journal
from donna_hw._core.progress import track
from donna_hw.devices.backends.base import ExactBackend
from donna_hw.devices.device import Device
from donna_hw.errors import FileFormatError
from donna_hw.measurement.protocol import Protocol
from donna_hw.profiling.jobs import MeasurementJob, unique_jobs
from donna_hw.profiling.table_rows import write_table
from donna_hw.profiling.table_setup import build_info, variant_path, write_or_validate_info
from donna_hw.spaces.space import Space
from donna_hw.tables.latency_table import LatencyTable
from donna_hw.tables.parts import list_parts


def compute_table(space: Space, device: Device, root: Path, protocol: Protocol) -> LatencyTable:
    """Fill the table of a space by a device whose backend computes costs, below the folder `root`, and return it."""
    parts, backend = list_parts(space), device.backend()
    assert isinstance(backend, ExactBackend)  # noqa: S101  the caller dispatches
    backend_info = backend.info()
    path = variant_path(root, space, device, backend_info, protocol, mode="isolated")
    with hold_lock(path.with_suffix(".lock")):
        info = write_or_validate_info(build_info(space, device, backend_info, protocol, mode="isolated"), path)
        jobs = unique_jobs(MeasurementJob(part.name, part.graph) for part in parts)
        costs = compute_costs(jobs, backend, path.with_suffix(".samples.csv"), f"profile {device.name}")
        return write_table(space, parts, info, path, lambda key: {info.column: int_if_whole(costs[key])})


def compute_costs(
    jobs: Mapping[str, MeasurementJob], backend: ExactBackend, journal_path: Path, label: str
) -> dict[str, float]:
    """Return the cost of each job by layers_hash, journaled like measurements.

    Args:
        jobs: What to compute, by layers_hash.
        backend: The counter or simulator.
        journal_path: Where costs are saved; those in it are not computed again.
        label: What the progress bar shows.

    Raises:
        FileFormatError: For a broken line of the journal, with its number.
    """
    journal = Journal(journal_path, ("name", "layers_hash", "cost"))
    costs = {}
    for line, record in enumerate(journal.records(), start=2):
        try:
            costs[record["layers_hash"]] = float(record["cost"])
        except ValueError as error:
            raise FileFormatError(
                f"{journal.path}, line {line}: the cost is not a number: {error}",
                hint="delete the line: only this block is computed again",
            ) from None
    costs |= {key: 0.0 for key, job in jobs.items() if not job.graph.layers}
    todo = [key for key in jobs if key not in costs]
    if todo:
        costs |= track(_compute_remaining(todo, jobs, backend, journal), label, len(jobs), len(jobs) - len(todo))
    return costs


def _compute_remaining(
    todo: Sequence[str], jobs: Mapping[str, MeasurementJob], backend: ExactBackend, journal: Journal
) -> Iterator[tuple[str, float]]:
    """Yield (layers_hash, cost), each journaled before; the backend computes `chunk_size` blocks at a time."""
    for start in range(0, len(todo), backend.chunk_size):
        keys = todo[start : start + backend.chunk_size]
        costs = list(zip(keys, backend.costs([jobs[key].graph for key in keys]), strict=True))
        journal.append_all(
            {"name": jobs[key].name, "layers_hash": key, "cost": repr(float(cost))} for key, cost in costs
        )
        yield from costs


def int_if_whole(cost: float) -> float | int:
    """Return a count as a whole number."""
    return int(cost) if cost.is_integer() else cost
