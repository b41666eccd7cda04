"""The scheduler: sends workers to every block in random order, round after round, until each is measured well enough."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import count
from math import inf

import numpy as np

from donna_hw.blocks.layers import Graph, layers_hash
from donna_hw.errors import BadMeasurement, Unavailable
from donna_hw.measurement.environment import Environment
from donna_hw.measurement.measurement import Measurement
from donna_hw.measurement.protocol import Protocol
from donna_hw.measurement.stopping import stopped
from donna_hw.profiling.samples import Record, SamplesJournal
from donna_hw.progress import Bar
from donna_hw.workers.base import BlockFailed, DeviceLost, Task, Worker

TRIES = 2  # a block that fails this often on devices that answer is at fault itself
FEWEST_ROUNDS = 3  # before an interval means anything
POOL_TOLERANCE = 0.25  # the sentinel's median on devices of one pool differs by no more
POOL_RUNS = 20


@dataclass(frozen=True)
class Job:
    """Something to measure: a name for people and its layers. Equal layers are measured once.

    chain, baseline: where the block is measured in a chain, the layers with and without it.
    """

    name: str
    graph: Graph
    chain: Graph | None = None
    baseline: Graph | None = None

    def task(self, sentinel: Graph, round_: int) -> Task:
        """Return what to run in a round."""
        return Task(self.chain or self.graph, sentinel, round_, self.baseline)


def unique_jobs(jobs: Sequence[Job]) -> dict[str, Job]:
    """Return {layers_hash: job}, the first of those with equal layers."""
    found: dict[str, Job] = {}
    for job in jobs:
        found.setdefault(layers_hash(job.graph), job)
    return found


@dataclass
class Schedule:
    """Jobs by layers_hash, their sentinel, the workers that share them, the protocol, and the journal that keeps what was measured.

    deadline_unix_s: no visit begins after it, once every block has three rounds; time is spent where the error is largest.
    clock, sleep: replaceable by fakes.
    """

    jobs: Mapping[str, Job]
    sentinel: Graph
    workers: Sequence[Worker]
    protocol: Protocol
    journal: SamplesJournal
    environment: Environment
    label: str = "measure"
    deadline_unix_s: float = inf
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    _records: dict[str, Record] = field(default_factory=dict)
    _lost: dict[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, again: frozenset[str] = frozenset()) -> dict[str, Record]:
        """Measure until every block has stopped, and return the latest attempt at each.

        again: blocks to begin a new attempt at. What the journal holds already is not measured again, so that a killed run
        loses one visit a worker at most. Raises `Unavailable` when no device is left; what was measured is kept.
        """
        self._records = {key: found for key, found in self.journal.read().items() if key in self.jobs}
        for key in again & self._records.keys():
            self._records[key] = Record(self.jobs[key].name, self._records[key].attempt + 1)
        for key, job in self.jobs.items():
            self._records.setdefault(key, Record(job.name))
        alive = list(self.workers)
        with Bar(self.label) as bar:
            for round_ in count():
                todo = self._todo(round_)
                if not todo and round_ >= self.protocol.rounds:
                    break
                sure = self.protocol.rounds if not self.protocol.adaptive else self.protocol.min_rounds
                bar.expect(len(todo) + len(self.jobs) * max(0, min(sure, self.protocol.rounds) - round_ - 1))
                alive = self._round(todo, alive, bar)
        kept = self.journal.read()  # the file is the truth: a later start derives the same numbers to the last bit
        return {key: kept[key] for key in self.jobs if key in kept}

    def reference_s(self) -> float | None:
        """Return the median of all sentinel runs so far, in seconds; None without a sentinel."""
        return sentinel_reference_s(self._records.values())

    def _todo(self, round_: int) -> list[str]:
        """Return the blocks to visit in a round, in an order that is random but the same at every start."""
        reference = self.reference_s()
        order = np.random.default_rng(round_).permutation(
            sorted(self.jobs)
        )  # of all, so that it is the same after a kill
        open_ = {
            key: width for key in map(str, order) if (width := self._open_width(key, round_, reference)) is not None
        }
        if self.deadline_unix_s < inf and round_ >= FEWEST_ROUNDS:
            widest = float(np.median(list(open_.values()))) if open_ else 0.0
            open_ = {key: width for key, width in open_.items() if width >= widest}
        return list(open_)

    def _open_width(self, key: str, round_: int, reference: float | None) -> float | None:
        """Return the half-width so far of a block that is to be visited in this round, None of one that is not."""
        record, protocol = self._records[key], self.protocol
        done = len(record.visits)
        if record.failure or done >= protocol.rounds or self._late(record):
            return None
        # Under a deadline the widest are visited more often than the others, and all are until they stop.
        if done > round_ and (round_ < FEWEST_ROUNDS or self.deadline_unix_s == inf):
            return None
        if done < FEWEST_ROUNDS or not protocol.adaptive:
            return inf
        measurement = Measurement(tuple(record.visits), protocol, self.environment, reference)
        return measurement.half_width if stopped(measurement) is None else None

    def _late(self, record: Record) -> bool:
        return self.clock() > self.deadline_unix_s and len(record.visits) >= FEWEST_ROUNDS

    def _round(self, todo: list[str], alive: list[Worker], bar: Bar) -> list[Worker]:
        """Visit the blocks of one round, shared by the workers, and return the workers that are left."""
        queue = deque(todo)
        while queue:
            if not alive:
                said = "; ".join(f"{name}: {reason}" for name, reason in self._lost.items())
                raise Unavailable(
                    "a device must be left to measure on", found=f"none: {said}", cure="start again: all is kept"
                )
            with ThreadPoolExecutor(len(alive)) as threads:
                shifts = [threads.submit(self._shift, worker, queue, bar) for worker in alive]
                try:
                    stay = [shift.result() for shift in shifts]
                except BaseException:
                    queue.clear()  # an interrupt too: visits under way end, and no other begins
                    raise
            alive = [worker for worker, stays in zip(alive, stay, strict=True) if stays]
        return alive

    def _shift(self, worker: Worker, queue: deque[str], bar: Bar) -> bool:
        """Visit blocks from the queue until it is empty; return False when the device was lost, its block back in the queue."""
        while True:
            try:
                key = queue.popleft()
            except IndexError:
                return True
            if self._late(self._records[key]):
                bar.step()
                continue
            try:
                self._visit(worker, key)
            except DeviceLost as lost:
                self._lost[worker.name] = str(lost)
                queue.append(key)
                bar.say(f"{worker.name} is lost: {lost}; its block goes to another device")
                return False
            except BaseException:
                queue.clear()  # the other workers finish their visits and stop
                raise
            bar.step()
            if self.protocol.cool_down_s:
                self.sleep(self.protocol.cool_down_s)

    def _visit(self, worker: Worker, key: str) -> None:
        """Visit one block and journal it; a block that fails again and again, while the device answers, is journaled as failed."""
        job, record = self.jobs[key], self._records[key]
        taken = {visit.round for visit in record.visits}
        round_ = next(number for number in count() if number not in taken)
        reason = ""
        for _ in range(TRIES):
            started = self.clock()
            try:
                visit = replace(worker.visit(job.task(self.sentinel, round_)), started_unix_s=started)
                with (
                    self._lock
                ):  # decisions rest on what the file says, so that they are the same when it is read again
                    record.visits.append(self.journal.add(key, job.name, record.attempt, visit))
                    record.visits.sort(key=lambda visit: visit.round)
                return
            except (BlockFailed, BadMeasurement) as failure:
                reason = str(failure)
                worker.revive(self.sentinel)
        with self._lock:
            self.journal.add_failure(key, job.name, record.attempt, reason)
            record.failure = reason


def refuse_unlike(workers: Sequence[Worker], sentinel: Graph) -> None:
    """Raise `Unavailable` when the devices of a pool do not run the sentinel alike, so that one table cannot hold them all."""
    if len(workers) < 2:
        return
    medians = {}
    for worker in workers:
        try:
            medians[worker.name] = float(np.median(worker.sentinel_s(sentinel, POOL_RUNS)))
        except BlockFailed as failure:
            raise Unavailable(f"device {worker.name} must run the sentinel", found=str(failure)) from failure
    slowest, fastest = max(medians.values()), min(medians.values())
    if slowest > (1 + POOL_TOLERANCE) * fastest:
        said = ", ".join(f"{name} {1e3 * median:.3g} ms" for name, median in medians.items())
        raise Unavailable(
            f"devices of one pool must run the sentinel within {100 * POOL_TOLERANCE:.0f} % of each other",
            found=said,
            cure="let the slow one cool down, or take it out of the device file's pool",
        )


def sentinel_reference_s(records: Iterable[Record]) -> float | None:
    """Return the median of all the sentinel runs of some records, in seconds; None where there are none."""
    runs = [visit.sentinel_s for record in records for visit in record.visits]
    every = np.concatenate(runs) if runs else np.empty(0)
    return float(np.median(every)) if every.size else None
