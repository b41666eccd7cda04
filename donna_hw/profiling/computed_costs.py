"""Tables of costs that are computed, not timed: counters and simulators."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from donna_hw._core.journal import Journal
from donna_hw._core.progress import track
from donna_hw.devices.backends.base import ExactBackend
from donna_hw.errors import FileFormatError
from donna_hw.profiling.scheduler import MeasurementJob


def compute_costs(
    jobs: Mapping[str, MeasurementJob], backend: ExactBackend, journal_path: Path, label: str
) -> dict[str, float]:
    """Return {layers_hash: cost}, journaled like measurements."""
    journal = Journal(journal_path, ("name", "layers_hash", "cost"))
    costs = {}
    for line, record in enumerate(journal.records(), start=2):
        try:
            costs[record["layers_hash"]] = float(record["cost"])
        except ValueError as error:
            raise FileFormatError(
                f"{journal.path}, line {line}: a cost must be a number",
                got=str(error),
                hint="delete the line: only this block is counted again",
            ) from None
    costs |= {key: 0.0 for key, job in jobs.items() if not job.graph.layers}
    todo = [key for key in jobs if key not in costs]
    if todo:
        costs |= track(_compute_remaining(todo, jobs, backend, journal), label, len(jobs), len(jobs) - len(todo))
    return costs


def _compute_remaining(
    todo: Sequence[str], jobs: Mapping[str, MeasurementJob], backend: ExactBackend, journal: Journal
) -> Iterator[tuple[str, float]]:
    """Yield (layers_hash, cost), each journaled before; the backend is asked for `at_once` blocks at a time."""
    for start in range(0, len(todo), backend.chunk_size):
        keys = todo[start : start + backend.chunk_size]
        costs = backend.costs([jobs[key].graph for key in keys])
        found = list(zip(keys, costs, strict=True))
        journal.append_all(
            {"name": jobs[key].name, "layers_hash": key, "cost": repr(float(cost))} for key, cost in found
        )
        yield from found


def int_if_whole(cost: float) -> float | int:
    """Return a count as a whole number."""
    return int(cost) if cost.is_integer() else cost
