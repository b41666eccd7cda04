"""The scheduler: sends workers to every block in random order, round after round, until each is measured well enough."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import count
from math import inf

import numpy as np

from donna_hw._core.progress import ProgressBar
from donna_hw.errors import MeasurementError, UnavailableError
from donna_hw.graph.graph import Graph, layers_hash
from donna_hw.measurement.environment import Environment
from donna_hw.measurement.measurement import Measurement
from donna_hw.measurement.protocol import Protocol
from donna_hw.measurement.stopping import stopping_rule
from donna_hw.profiling.calibration import MIN_ROUNDS, TableCalibration, build_measurements, calibrate_table
from donna_hw.profiling.sample_journal import BlockRecord, SampleJournal
from donna_hw.profiling.workers.base import BlockFailedError, DeviceLostError, Task, Worker

MAX_TRIES = 2  # a block that fails this often on devices that answer is at fault itself
POOL_TOLERANCE = 0.25  # the sentinel's median on devices of one pool differs by no more
POOL_RUNS = 20


@dataclass(frozen=True)
class MeasurementJob:
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


def unique_jobs(jobs: Sequence[MeasurementJob]) -> dict[str, MeasurementJob]:
    """Return {layers_hash: job}, the first of those with equal layers."""
    found: dict[str, MeasurementJob] = {}
    for job in jobs:
        found.setdefault(layers_hash(job.graph), job)
    return found


@dataclass
class Scheduler:
    """Jobs by layers_hash, their sentinel, the workers that share them, the protocol, and the journal that keeps what was measured.

    deadline_unix_s: no visit begins after it, once every block has three rounds; time is spent where the error is largest.
    clock, sleep: replaceable by fakes.
    """

    jobs: Mapping[str, MeasurementJob]
    sentinel: Graph
    workers: Sequence[Worker]
    protocol: Protocol
    journal: SampleJournal
    environment: Environment
    label: str = "measure"
    deadline_unix_s: float = inf
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    _records: dict[str, BlockRecord] = field(default_factory=dict)
    _lost_devices: dict[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, remeasure: frozenset[str] = frozenset()) -> dict[str, BlockRecord]:
        """Measure until every block has stopped, and return the latest attempt at each.

        again: blocks to begin a new attempt at. What the journal holds already is not measured again, so that a killed run
        loses one visit a worker at most. Raises `UnavailableError` when no device is left; what was measured is kept.
        """
        self._records = self.journal.read(self.jobs)
        for key in remeasure & self._records.keys():
            self._records[key] = BlockRecord(self.jobs[key].name, self._records[key].attempt + 1)
        for key, job in self.jobs.items():
            self._records.setdefault(key, BlockRecord(job.name))
        alive = list(self.workers)
        with ProgressBar(self.label) as bar:
            for round_ in count():  # under a budget the widest are visited more often, so that there may be more rounds
                todo = self._select_blocks(round_)
                if not todo and (round_ >= self.protocol.rounds or self.clock() > self.deadline_unix_s):
                    break
                if not todo:
                    continue
                sure = self.protocol.rounds if not self.protocol.adaptive else self.protocol.min_rounds
                bar.set_remaining(len(todo) + len(self.jobs) * max(0, min(sure, self.protocol.rounds) - round_ - 1))
                alive = self._run_round(round_, todo, alive, bar)
                for worker in alive:
                    worker.refresh()
        for record in self._records.values():
            record.stopping_rule = record.stopping_rule or (
                "budget" if self.clock() > self.deadline_unix_s else "limit"
            )
        return {key: record for key, record in self._records.items() if record.trials or record.failure}

    def _select_blocks(self, round_: int) -> list[str]:
        """Return the blocks to visit in a round, in a random order.

        Order and choice follow from what earlier rounds measured, so that a run that was killed goes on as it would have gone.
        """
        order = [str(key) for key in np.random.default_rng(round_).permutation(sorted(self.jobs))]
        records = {key: self._records[key].before_round(round_) for key in order}
        scale = (
            calibrate_table(records, self.protocol, self.environment) if self.protocol.adaptive else TableCalibration()
        )
        measured = build_measurements(records, self.protocol, self.environment, scale)
        todo = [key for key in order if self._needs_trial(key, measured.get(key))]
        if self.deadline_unix_s < inf and round_ >= MIN_ROUNDS and todo:
            widths = {key: measured[key].relative_half_width if key in measured else inf for key in todo}
            todo = [key for key in todo if widths[key] >= np.median(list(widths.values()))]
        return [key for key in todo if round_ not in (visit.round for visit in self._records[key].trials)]

    def _needs_trial(self, key: str, measured: Measurement | None) -> bool:
        """Return whether a block is to be visited again after the rounds measured, and note the rule if it is not."""
        record = self._records[key]
        if not record.stopping_rule and measured is not None:
            record.stopping_rule = stopping_rule(measured) or ""
        return not (record.stopping_rule or record.failure or self._past_deadline(record))

    def _past_deadline(self, record: BlockRecord) -> bool:
        return self.clock() > self.deadline_unix_s and len(record.trials) >= MIN_ROUNDS

    def _run_round(self, round_: int, todo: list[str], alive: list[Worker], bar: ProgressBar) -> list[Worker]:
        """Visit the blocks of one round, shared by the workers, and return the workers that are left."""
        queue = deque(todo)
        while queue:
            if not alive:
                said = "; ".join(f"{name}: {reason}" for name, reason in self._lost_devices.items())
                raise UnavailableError(
                    "a device must be left to measure on", got=f"none: {said}", hint="start again: all is kept"
                )
            with ThreadPoolExecutor(len(alive)) as threads:
                shifts = [threads.submit(self._drain_queue, worker, round_, queue, bar) for worker in alive]
                try:
                    stay = [shift.result() for shift in shifts]
                except BaseException:
                    queue.clear()  # an interrupt too: visits under way end, and no other begins
                    raise
            alive = [worker for worker, stays in zip(alive, stay, strict=True) if stays]
        return alive

    def _drain_queue(self, worker: Worker, round_: int, queue: deque[str], bar: ProgressBar) -> bool:
        """Visit blocks from the queue until it is empty; return False when the device was lost, its block back in the queue."""
        while True:
            try:
                key = queue.popleft()
            except IndexError:
                return True
            if self._past_deadline(self._records[key]):
                bar.step()
                continue
            try:
                self._run_trial(worker, round_, key)
            except DeviceLostError as lost:
                self._lost_devices[worker.name] = str(lost)
                queue.append(key)
                bar.write(f"{worker.name} is lost: {lost}; its block goes to another device")
                return False
            except BaseException:
                queue.clear()  # the other workers finish their visits and stop
                raise
            bar.step()
            self._cool_down(worker, bar)

    def _cool_down(self, worker: Worker, bar: ProgressBar) -> None:
        """Let the device cool down; one that is gone rests as long as the protocol says, and shows at its next visit."""
        waited_s = 0.0
        while True:
            try:
                wait_s = worker.cool_down_s(self.protocol.cool_down_s, waited_s)
            except BlockFailedError:
                wait_s = self.protocol.cool_down_s if waited_s == 0 else 0.0
            if wait_s <= 0:
                break
            bar.set_postfix(f"{worker.name} cools down: {waited_s:.0f} s, {wait_s:.0f} s more")
            self.sleep(wait_s)
            waited_s += wait_s
        if waited_s:
            bar.set_postfix("")

    def _run_trial(self, worker: Worker, round_: int, key: str) -> None:
        """Visit one block and journal it; a block that fails again and again, while the device answers, is journaled as failed."""
        job, record = self.jobs[key], self._records[key]
        reason = ""
        for _ in range(MAX_TRIES):
            started = self.clock()
            try:
                visit = replace(worker.run_trial(job.task(self.sentinel, round_)), started_unix_s=started)
                with self._lock:  # what the file keeps is decided on, so that the same follows when it is read again
                    record.trials.append(self.journal.add(key, job.name, record.attempt, visit))
                return
            except (BlockFailedError, MeasurementError) as failure:
                reason = str(failure)
                worker.restart(self.sentinel)
        with self._lock:
            self.journal.add_failure(key, job.name, record.attempt, reason)
            record.failure = reason


def validate_pool(workers: Sequence[Worker], sentinel: Graph) -> None:
    """Raise `UnavailableError` when the devices of a pool do not run the sentinel alike, so that one table cannot hold them all."""
    if len(workers) < 2:
        return
    medians = {}
    for worker in workers:
        try:
            medians[worker.name] = float(np.median(worker.time_sentinel(sentinel, POOL_RUNS)))
        except BlockFailedError as failure:
            raise UnavailableError(f"device {worker.name} must run the sentinel", got=str(failure)) from failure
    slowest, fastest = max(medians.values()), min(medians.values())
    if slowest > (1 + POOL_TOLERANCE) * fastest:
        said = ", ".join(f"{name} {1e3 * median:.3g} ms" for name, median in medians.items())
        raise UnavailableError(
            f"devices of one pool must run the sentinel within {100 * POOL_TOLERANCE:.0f} % of each other",
            got=said,
            hint="let the slow one cool down, or take it out of the device file's pool",
        )
