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
from donna_hw.graph.graph import Graph
from donna_hw.measurement.environment import Environment
from donna_hw.measurement.measurement import Measurement, Trial
from donna_hw.measurement.protocol import Protocol
from donna_hw.measurement.stopping import stopping_rule
from donna_hw.measurement.verdict import evaluate_measurement
from donna_hw.profiling.calibration import MIN_ROUNDS, TableCalibration, build_measurements, calibrate_table
from donna_hw.profiling.jobs import MeasurementJob
from donna_hw.profiling.sample_journal import BlockRecord, SampleJournal
from donna_hw.profiling.workers.base import BlockFailedError, DeviceLostError, Worker

MAX_TRIES = 2  # a block that fails this often on devices that answer is at fault itself
POOL_TOLERANCE = 0.25  # the sentinel's medians on the devices of one pool differ by no more
POOL_RUNS = 20


@dataclass
class Scheduler:
    """Measures jobs on the workers of a pool and journals every trial.

    Attributes:
        workers: The devices, which share the blocks of a round.
        environment: What the numbers depend on.
        protocol: How often each block runs, and when it is measured well enough.
        sentinel: The graph that runs around every block.
        journal: Where trials and failures are saved; what it holds already is not measured again.
        label: What the progress bar shows.
        deadline_unix_s: No trial begins after it once every block has three rounds; time goes where the error is largest.
        clock: Replaceable by fakes.
        sleep: Replaceable by fakes.
    """

    workers: Sequence[Worker]
    environment: Environment
    protocol: Protocol
    sentinel: Graph
    journal: SampleJournal
    label: str = "measure"
    deadline_unix_s: float = inf
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    _jobs: Mapping[str, MeasurementJob] = field(default_factory=dict)
    _records: dict[str, BlockRecord] = field(default_factory=dict)
    _lost_devices: dict[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, jobs: Mapping[str, MeasurementJob], *, remeasure: bool = False) -> dict[str, BlockRecord]:
        """Measure until every block has stopped.

        What the journal holds already is not measured again, so that a killed run loses at most one trial of each worker.

        Args:
            jobs: What to measure, by layers_hash.
            remeasure: Whether blocks that failed or whose verdict is not `trusted` begin a new attempt.

        Returns:
            The latest attempt at each job, by layers_hash.

        Raises:
            UnavailableError: When no device is left; what was measured is saved.
        """
        self._load_records(jobs, remeasure=remeasure)
        self._lost_devices, active = {}, list(self.workers)
        with ProgressBar(self.label) as bar:
            for round_ in count():  # under a budget the widest get more trials, so that there may be more rounds
                todo = self._select_blocks(round_)
                if not todo and (round_ >= self.protocol.rounds or self.clock() > self.deadline_unix_s):
                    break
                bar.set_remaining(len(todo) + len(jobs) * self._certain_rounds_after(round_))
                queue = deque(todo)
                while queue:
                    self._validate_active(active)
                    with ThreadPoolExecutor(len(active)) as threads:
                        futures = [threads.submit(self._measure_queue, worker, round_, queue, bar) for worker in active]
                        try:
                            answering = [future.result() for future in futures]
                        except BaseException:
                            queue.clear()  # on an interrupt too, trials under way end and no other begins
                            raise
                    active = [worker for worker, answers in zip(active, answering, strict=True) if answers]
                for worker in active if todo else ():
                    worker.refresh()
        rule = "budget" if self.clock() > self.deadline_unix_s else "limit"
        for record in self._records.values():
            record.stopping_rule = record.stopping_rule or rule
        return {key: record for key, record in self._records.items() if record.trials or record.failure}

    def _load_records(self, jobs: Mapping[str, MeasurementJob], *, remeasure: bool) -> None:
        """Read what is journaled of the jobs, and begin new attempts where they are asked for."""
        self._jobs, self._records = jobs, self.journal.read(jobs)
        for key in self._untrusted_blocks() if remeasure else ():
            self._records[key] = BlockRecord(jobs[key].name, self._records[key].attempt + 1)
        for key, job in jobs.items():
            self._records.setdefault(key, BlockRecord(job.name))

    def _untrusted_blocks(self) -> list[str]:
        """Return the blocks that failed or whose verdict is not `trusted`."""
        calibration = calibrate_table(self._records, self.protocol, self.environment)
        measured = build_measurements(self._records, self.protocol, self.environment, calibration)
        return [
            key for key in self._records if key not in measured or evaluate_measurement(measured[key]).name != "trusted"
        ]

    def _certain_rounds_after(self, round_: int) -> int:
        """Return how many rounds of every block follow at least, as far as is known."""
        protocol = self.protocol
        certain = min(protocol.min_rounds, protocol.rounds) if protocol.adaptive else protocol.rounds
        return max(0, certain - round_ - 1)

    def _validate_active(self, active: Sequence[Worker]) -> None:
        if not active:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in self._lost_devices.items())
            raise UnavailableError(
                "no device is left to measure on", got=reasons, hint="start again: everything measured is saved"
            )

    def _select_blocks(self, round_: int) -> list[str]:
        """Return the blocks to measure in a round, in a random order.

        Order and choice follow from what earlier rounds measured, so that a run that was killed continues as it would have.
        """
        order = [str(key) for key in np.random.default_rng(round_).permutation(sorted(self._jobs))]
        records = {key: self._records[key].before_round(round_) for key in order}
        calibration = TableCalibration()
        if self.protocol.adaptive:
            calibration = calibrate_table(records, self.protocol, self.environment)
        measured = build_measurements(records, self.protocol, self.environment, calibration)
        todo = [key for key in order if self._needs_trial(key, measured.get(key))]
        if self.deadline_unix_s < inf and round_ >= MIN_ROUNDS and todo:
            widths = {key: measured[key].relative_half_width if key in measured else inf for key in todo}
            todo = [key for key in todo if widths[key] >= np.median(list(widths.values()))]
        return [key for key in todo if round_ not in (trial.round for trial in self._records[key].trials)]

    def _needs_trial(self, key: str, measured: Measurement | None) -> bool:
        """Return whether a block needs another trial after the rounds measured, and note the stopping rule if it does not."""
        record = self._records[key]
        if not record.stopping_rule and measured is not None:
            record.stopping_rule = stopping_rule(measured) or ""
        return not (record.stopping_rule or record.failure or self._past_deadline(record))

    def _past_deadline(self, record: BlockRecord) -> bool:
        return self.clock() > self.deadline_unix_s and len(record.trials) >= MIN_ROUNDS

    def _measure_queue(self, worker: Worker, round_: int, queue: deque[str], bar: ProgressBar) -> bool:
        """Measure blocks from the queue until it is empty; return False when the device was lost, its block back in the queue.

        A block that fails again and again, while the device answers, is journaled as failed.
        """
        while True:
            try:
                key = queue.popleft()
            except IndexError:
                return True
            job, record, reason = self._jobs[key], self._records[key], ""
            if self._past_deadline(record):
                bar.step()
                continue
            try:
                for _ in range(MAX_TRIES):
                    started = self.clock()
                    try:
                        trial = worker.run_trial(job, self.sentinel, round_)
                        self._save_trial(key, replace(trial, started_unix_s=started))
                        break
                    except (BlockFailedError, MeasurementError) as failure:
                        reason = str(failure)
                        worker.restart(self.sentinel)
                else:
                    with self._lock:
                        self.journal.add_failure(key, job.name, record.attempt, reason)
                        record.failure = reason
            except DeviceLostError as lost:
                self._lost_devices[worker.name] = str(lost)
                queue.append(key)
                bar.write(f"{worker.name} is lost: {lost}; its block goes to another device")
                return False
            except BaseException:
                queue.clear()  # the other workers finish their trials and stop
                raise
            bar.step()
            self._cool_down(worker, bar)

    def _save_trial(self, key: str, trial: Trial) -> None:
        """Journal a trial; what the journal holds is what is decided on, so that the same follows when it is read again."""
        record = self._records[key]
        with self._lock:
            record.trials.append(self.journal.add(key, self._jobs[key].name, record.attempt, trial))

    def _cool_down(self, worker: Worker, bar: ProgressBar) -> None:
        """Let the device cool down; one that is lost rests as long as the protocol says, and its next trial shows the loss."""
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


def validate_pool(workers: Sequence[Worker], sentinel: Graph) -> None:
    """Raise `UnavailableError` when the devices of a pool differ in the sentinel's time, so that one table cannot hold them all."""
    if len(workers) < 2:
        return
    medians = {}
    for worker in workers:
        try:
            medians[worker.name] = float(np.median(worker.time_sentinel(sentinel, POOL_RUNS)))
        except BlockFailedError as failure:
            raise UnavailableError(f"device {worker.name} cannot run the sentinel", got=str(failure)) from failure
    slowest, fastest = max(medians.values()), min(medians.values())
    if slowest > (1 + POOL_TOLERANCE) * fastest:
        raise UnavailableError(
            f"the devices of a pool differ by more than {100 * POOL_TOLERANCE:.0f} % in the sentinel's time",
            got=", ".join(f"{name} {1e3 * median:.3g} ms" for name, median in medians.items()),
            hint="let the slow one cool down, or remove it from the device file's pool",
        )
