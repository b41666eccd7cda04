"""Tables of costs that are computed, not timed: counters and simulators."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from donna_hw.backends.base import ExactBackend
from donna_hw.errors import BadFile
from donna_hw.files import Journal
from donna_hw.profiling.schedule import Job
from donna_hw.progress import track


def exact_costs(jobs: Mapping[str, Job], backend: ExactBackend, journal_path: Path, label: str) -> dict[str, float]:
    """Return {layers_hash: cost}, journaled like measurements."""
    journal = Journal(journal_path, ("what", "layers_hash", "cost"))
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


def number(cost: float) -> float | int:
    """Return a count as a whole number."""
    return int(cost) if cost.is_integer() else cost
