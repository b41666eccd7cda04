"""Filling: from the parts of a space to samples, and from samples to the rows of its table."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from math import inf
from pathlib import Path

from donna_hw.errors import ConfigError, TableError
from donna_hw.graph.graph import Graph, layers_hash
from donna_hw.measurement.environment import Environment, Scalar
from donna_hw.measurement.measurement import Measurement
from donna_hw.measurement.protocol import Protocol
from donna_hw.measurement.verdict import evaluate_measurement
from donna_hw.profiling.calibration import TableCalibration, build_measurements, calibrate_table
from donna_hw.profiling.composition import Composition, Estimate, fit_composition, select_sample
from donna_hw.profiling.in_context import build_chain, find_neighbors
from donna_hw.profiling.sample_journal import BlockRecord, SampleJournal
from donna_hw.profiling.scheduler import MeasurementJob, Scheduler, unique_jobs
from donna_hw.profiling.table_rows import composed_row, empty_row, measured_row, to_estimate
from donna_hw.profiling.workers.base import Worker
from donna_hw.spaces.sections import lower_sections
from donna_hw.spaces.space import Space
from donna_hw.tables.parts import Part, Row

COMPOSITION_PREFIX = (
    "composition_"  # how a composed table's own conditions begin; one that is filled whole afterwards has none
)
BATCH = 16  # composed blocks that are measured whole at a time while a budget lasts


@dataclass(frozen=True)
class ProfilingBudget:
    """How far a profile goes.

    compose: predict blocks that repeat a section from their sections, and measure only a sample of them whole. budget_s: stop
    after this many seconds, which are spent where the error is largest. retry: measure again what is not trusted or failed.
    """

    predict_repeats: bool = False
    budget_s: float | None = None
    remeasure: bool = False

    def __post_init__(self) -> None:
        if self.budget_s is not None and not 0 < self.budget_s < inf:
            raise ConfigError("a budget must be a time above 0 s", got=self.budget_s)


@dataclass(frozen=True)
class Bench:
    """What measuring needs beside the blocks: the workers, their environment, the protocol, the sentinel and the journal's path."""

    workers: Sequence[Worker]
    environment: Environment
    protocol: Protocol
    sentinel: Graph
    journal: Path
    label: str

    def measure(
        self, jobs: Mapping[str, MeasurementJob], *, deadline_unix_s: float = inf, remeasure: bool = False
    ) -> dict[str, BlockRecord]:
        """Measure the jobs, and return the record of each."""
        journal = SampleJournal(self.journal)
        schedule = Scheduler(
            jobs=jobs,
            sentinel=self.sentinel,
            workers=self.workers,
            protocol=self.protocol,
            journal=journal,
            environment=self.environment,
            label=self.label,
            deadline_unix_s=deadline_unix_s,
        )
        return schedule.run(frozenset(self._untrusted(journal, jobs)) if remeasure else frozenset())

    def calibrate(self, records: Mapping[str, BlockRecord]) -> TableCalibration:
        """Return the scale of a table of these records."""
        return calibrate_table(records, self.protocol, self.environment)

    def build_measurements(self, records: Mapping[str, BlockRecord], scale: TableCalibration) -> dict[str, Measurement]:
        """Return the measurement of every block that could be run."""
        return build_measurements(records, self.protocol, self.environment, scale)

    def _untrusted(self, journal: SampleJournal, jobs: Mapping[str, MeasurementJob]) -> list[str]:
        """Return the blocks that failed or whose verdict is not `trusted`."""
        records = {key: record for key, record in journal.read().items() if key in jobs}
        measured = self.build_measurements(records, self.calibrate(records))
        return [key for key in records if key not in measured or evaluate_measurement(measured[key]).name != "trusted"]


@dataclass(frozen=True)
class ProfileResult:
    """The rows by layers_hash, the table's scale, and what else its TOML should record."""

    rows: Mapping[str, Row]
    calibration: TableCalibration
    conditions: Mapping[str, Scalar]


@dataclass(frozen=True)
class Profiler:
    """The filling of one table. column: the table's column that holds the cost. began_unix_s: when a budget began to be spent."""

    space: Space
    parts: Sequence[Part]
    mode: str
    budget: ProfilingBudget
    bench: Bench
    column: str
    start_unix_s: float

    def run(self) -> ProfileResult:
        """Measure, and derive the rows; raises `TableError` when no block could be run."""
        effort, bench = self.budget, self.bench
        deadline = self.start_unix_s + effort.budget_s if effort.budget_s is not None else inf
        jobs = self._initial_jobs()
        records = bench.measure(jobs, deadline_unix_s=deadline, remeasure=effort.remeasure)
        scale = bench.calibrate(records)
        measured = bench.build_measurements(records, scale)
        composed, conditions = self._predict_rows(measured, records.keys() - measured.keys())
        while composed and time.time() < deadline < inf:  # what is left of a budget goes to the widest intervals
            jobs |= {key: self._block_jobs[key] for key in _widest(composed, self.column)}
            records = bench.measure(jobs, deadline_unix_s=deadline)
            scale = bench.calibrate(records)
            measured = bench.build_measurements(records, scale)
            composed, conditions = self._predict_rows(measured, records.keys() - measured.keys())
        rows = composed | {key: measured_row(found, records[key].stopping_rule) for key, found in measured.items()}
        if not rows:
            reason = next(iter(records.values())).failure
            raise TableError(
                f"{bench.journal}: a block must run for a table to be made", got=f"every one failed: {reason}"
            )
        absent = {part.layers_hash: empty_row(self.column) for part in self.parts if not part.graph.layers}
        return ProfileResult(rows | absent, scale, conditions)

    @cached_property
    def _section_graphs(self) -> Mapping[str, tuple[Graph, ...]]:
        """{layers_hash: sections} of the blocks that repeat a section, where blocks are composed."""
        if not self.budget.predict_repeats:
            return {}
        found = {part.layers_hash: part for part in self.parts}
        graphs = {key: lower_sections(part.block, part.graph.input_shape) for key, part in found.items()}
        return {key: sections for key, sections in graphs.items() if len(sections) > 1}

    @cached_property
    def _section_hashes(self) -> Mapping[str, tuple[str, ...]]:
        """{layers_hash: those of its sections} of the same blocks."""
        hashes = {graph: layers_hash(graph) for sections in self._section_graphs.values() for graph in sections}
        return {key: tuple(hashes[graph] for graph in sections) for key, sections in self._section_graphs.items()}

    @cached_property
    def _block_jobs(self) -> dict[str, MeasurementJob]:
        present = [part for part in self.parts if part.graph.layers]
        if self.mode == "isolated":
            return unique_jobs([MeasurementJob(part.name, part.graph) for part in present])
        before = find_neighbors(self.space)
        chains = [(part, build_chain(before, part.key_cells["part"], part.block)) for part in present]
        return unique_jobs([MeasurementJob(part.name, part.graph, *(chain or ())) for part, chain in chains])

    def _initial_jobs(self) -> dict[str, MeasurementJob]:
        """Return what is measured first: everything, or where blocks are composed sections and a sample."""
        sample = select_sample({key: len(sections) for key, sections in self._section_hashes.items()})
        sample |= SampleJournal(self.bench.journal).read().keys()  # what an earlier run measured whole stays so
        kept = {key: job for key, job in self._block_jobs.items() if key not in self._section_hashes or key in sample}
        pieces = {
            key: MeasurementJob(f"section of {self._block_jobs[block].name}", graph)
            for block, graphs in self._section_graphs.items()
            for key, graph in zip(self._section_hashes[block], graphs, strict=True)
        }
        return pieces | kept

    def _predict_rows(
        self, measured: Mapping[str, Measurement], failed: Set[str]
    ) -> tuple[dict[str, Row], dict[str, Scalar]]:
        """Return the rows of the blocks that are predicted and not measured, and what the prediction rests on.

        A block that failed when it was measured whole has no row, whatever its sections cost.
        """
        estimates = {key: to_estimate(measurement) for key, measurement in measured.items()}
        known: dict[str, list[Estimate]] = {
            key: [estimates[section] for section in sections]
            for key, sections in self._section_hashes.items()
            if key not in failed and all(section in estimates for section in sections)
        }
        whole = [key for key in known if key in estimates]
        if len(known) == len(whole):
            return {}, {}
        found = fit_composition([known[key] for key in whole], [estimates[key] for key in whole])
        rows = {
            key: composed_row(found.estimate(sections), len(sections), found, self.column)
            for key, sections in known.items()
            if key not in estimates
        }
        return rows, _composition_conditions(found)


def _composition_conditions(found: Composition) -> dict[str, Scalar]:
    return {
        f"{COMPOSITION_PREFIX}scale": found.scale,
        f"{COMPOSITION_PREFIX}joint_s": found.joint_s,
        f"{COMPOSITION_PREFIX}residual_std": found.residual_std,
        f"{COMPOSITION_PREFIX}sample_size": found.sample_size,
    }


def _widest(rows: Mapping[str, Row], column: str) -> list[str]:
    """Return the rows with the widest intervals as shares of their values."""

    def width(key: str) -> float:
        row = rows[key]
        return (float(str(row["high_s"])) - float(str(row["low_s"]))) / float(str(row[column]))

    return sorted(rows, key=width, reverse=True)[:BATCH]
