"""The scheduler: visits every block in random order, round after round, between runs of the sentinel, and journals each visit."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from donna_hw.backends.base import Runner, TimingBackend
from donna_hw.blocks.layers import Graph, layers_hash
from donna_hw.errors import BadFile
from donna_hw.files import Journal
from donna_hw.measurement.environment import Environment
from donna_hw.measurement.measurement import Samples, Visit, timed
from donna_hw.measurement.protocol import Protocol
from donna_hw.measurement.statistics import checked
from donna_hw.progress import track

COLUMNS = ("what", "layers_hash", "round", "started_unix_s", "sentinel_s", "wall_s", "cpu_s", "device_s")


@dataclass(frozen=True)
class Job:
    """Something to measure: a name for people and its layers. Equal layers are measured once."""

    name: str
    graph: Graph


def unique_jobs(jobs: list[Job]) -> dict[str, Job]:
    """Return {layers_hash: job}, the first of those with equal layers."""
    found: dict[str, Job] = {}
    for job in jobs:
        found.setdefault(layers_hash(job.graph), job)
    return found


def measure(
    jobs: Mapping[str, Job], sentinel: Graph, backend: TimingBackend, protocol: Protocol, *, path: Path, label: str
) -> dict[str, tuple[Visit, ...]]:
    """Visit each job once a round, journal every visit to `path`, and return the visits of each job.

    What the journal holds already is not measured again, so that a killed run loses one visit at most. The order of a round is
    random but the same at every start (seeded by the round's number). Two runners are open at a time: the sentinel's and
    the block's.
    """
    journal = Journal(path, COLUMNS)
    visits = {key: seen for key, (_, seen) in read_all(path).items()}
    done = {(key, visit.round) for key, found in visits.items() for visit in found}
    todo = [
        (number, key)
        for number in range(protocol.rounds)
        for key in np.random.default_rng(number).permutation(sorted(jobs)).tolist()
        if (key, number) not in done
    ]
    if not todo:
        return {key: tuple(visits[key]) for key in jobs}
    environment = backend.environment()
    watch = backend.prepare(sentinel) if protocol.sentinel_samples else None
    try:
        total = protocol.rounds * len(jobs)
        for number, key in track(todo, label, total, total - len(todo)):
            started = time.time()
            runner = backend.prepare(jobs[key].graph)
            try:
                before = _sentinel_runs(watch, protocol, environment)
                if protocol.warmup:
                    runner.samples(protocol.warmup)
                samples = runner.samples(protocol.samples)
                after = _sentinel_runs(watch, protocol, environment)
            finally:
                runner.close()
            visit = Visit(number, samples, np.concatenate([before, after]))
            _check(visit, jobs[key].name)
            journal.append(_record(jobs[key].name, key, visit, started))
            if protocol.cool_down_s:
                time.sleep(protocol.cool_down_s)
    finally:
        if watch is not None:
            watch.close()
    journaled = read_all(path)  # the file is the truth: a later start derives the same numbers to the last bit
    return {key: tuple(journaled[key][1]) for key in jobs}


def read_all(path: Path) -> dict[str, tuple[str, list[Visit]]]:
    """Return {layers_hash: (name, visits in the order of time)} of a journal; raises `BadFile` with the line of a bad value."""
    found: dict[str, tuple[str, list[Visit]]] = {}
    for line, record in enumerate(Journal(path, COLUMNS).records(), start=2):
        try:
            samples = Samples(_floats(record["wall_s"]), _absent(record["cpu_s"]), _absent(record["device_s"]))
            visit = Visit(int(record["round"]), samples, _floats(record["sentinel_s"]))
        except ValueError as error:
            raise BadFile(
                f"{path}, line {line}: times must be numbers in seconds",
                found=str(error),
                cure="delete the line: only this visit is measured again",
            ) from None
        _check(visit, f"{path}, line {line}")
        _, seen = found.setdefault(record["layers_hash"], (record["what"], []))
        if visit.round in (other.round for other in seen):
            raise BadFile(
                f"{path}, line {line}: a block must be visited once a round",
                found=f"round {visit.round} of {record['what']} again",
                cure="delete the line",
            )
        seen.append(visit)
    return found


def _sentinel_runs(watch: Runner | None, protocol: Protocol, environment: Environment) -> np.ndarray:
    """Run the sentinel, after one run that warms its caches, and return its times in seconds, by the clock of the blocks."""
    if watch is None:
        return np.empty(0)
    watch.samples(1)
    return timed(watch.samples(protocol.sentinel_samples), environment)


def _check(visit: Visit, what: str) -> None:
    for times in (visit.samples.wall_s, visit.samples.device_s):
        if times is not None:
            checked(times, what)
    if visit.sentinel_s.size:
        checked(visit.sentinel_s, f"{what}, sentinel")


def _record(name: str, key: str, visit: Visit, started: float) -> dict[str, object]:
    samples = visit.samples
    return {
        "what": name,
        "layers_hash": key,
        "round": visit.round,
        "started_unix_s": f"{started:.3f}",
        "sentinel_s": _text(visit.sentinel_s),
        "wall_s": _text(samples.wall_s),
        "cpu_s": _text(samples.cpu_s),
        "device_s": _text(samples.device_s),
    }


def _text(times: np.ndarray | None) -> str:
    return "" if times is None else " ".join(f"{value:.9f}" for value in times)


def _floats(text: str) -> np.ndarray:
    return np.array([float(word) for word in text.split()])


def _absent(text: str) -> np.ndarray | None:
    return _floats(text) if text else None
