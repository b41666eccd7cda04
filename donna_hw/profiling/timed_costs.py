"""Tables of costs that are timed: from the parts of a space to samples, and from samples to the rows of its table."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from math import inf
from pathlib import Path

from donna_hw._core.files import hold_lock
from donna_hw.devices.backends.base import BackendInfo
from donna_hw.devices.device import Device
from donna_hw.errors import ConfigError, TableError
from donna_hw.graph.graph import Graph, layers_hash
from donna_hw.measurement.environment import Scalar
from donna_hw.measurement.measurement import Measurement
from donna_hw.measurement.protocol import Protocol
from donna_hw.profiling.calibration import build_measurements, calibrate_table
from donna_hw.profiling.composition import Composition, Estimate, fit_composition, select_sample
from donna_hw.profiling.cool_down import estimate_cool_down
from donna_hw.profiling.in_context import build_chain, find_neighbors
from donna_hw.profiling.jobs import MeasurementJob, unique_jobs
from donna_hw.profiling.sample_journal import SampleJournal
from donna_hw.profiling.scheduler import Scheduler, validate_pool
from donna_hw.profiling.table_rows import (
    PREDICTED_PREFIX,
    composed_row,
    empty_row,
    measured_row,
    to_estimate,
    write_table,
)
from donna_hw.profiling.table_setup import (
    build_info,
    select_sentinel,
    validate_statistic,
    variant_path,
    write_or_validate_info,
)
from donna_hw.profiling.workers.base import Worker
from donna_hw.spaces.sections import lower_sections
from donna_hw.spaces.space import Space
from donna_hw.tables.latency_table import LatencyTable
from donna_hw.tables.parts import Part, Row, list_parts
from donna_hw.tables.table_info import TableInfo

logger = logging.getLogger(__name__)

COMPOSITION_PREFIX = "composition_"  # of the conditions of a table with composed rows; dropped when all are measured
BATCH = 16  # composed blocks that are measured whole at a time while a budget lasts


@dataclass(frozen=True)
class ProfilingBudget:
    """How far a profile goes.

    Attributes:
        predict_repeats: Predict blocks that repeat a section from their sections, and measure only a sample of them whole.
        budget_s: Stop after this many seconds, which are spent where the error is largest; None for no limit.
        remeasure: Measure again the blocks that failed or are not trusted.

    Raises:
        ConfigError: For a budget that is not a finite time above 0 s.
    """

    predict_repeats: bool = False
    budget_s: float | None = None
    remeasure: bool = False

    def __post_init__(self) -> None:
        if self.budget_s is not None and not 0 < self.budget_s < inf:
            raise ConfigError("budget_s must be a finite time above 0 s", got=self.budget_s)


@dataclass(frozen=True)
class Profiler:
    """Measures the blocks of a space on a pool, and writes its table.

    Attributes:
        space: The space, without global axes.
        device: The device that the pool's members are.
        root: The folder of tables.
        protocol: How often each block runs and when it is measured well enough.
        mode: `isolated` or `in_context`.
        budget: How far the profile goes.
        pool: The opened workers.
        start_unix_s: When the budget began to be spent.
    """

    space: Space
    device: Device
    root: Path
    protocol: Protocol
    mode: str
    budget: ProfilingBudget
    pool: Sequence[Worker]
    start_unix_s: float

    def run(self) -> LatencyTable:
        """Measure, and write the table; raises `TableError` when no block could be run or the table is of another environment."""
        backend_infos = [worker.info() for worker in self.pool]
        validate_statistic(self.device, self.protocol, backend_infos[0])
        path = variant_path(self.root, self.space, self.device, backend_infos[0], self.protocol, mode=self.mode)
        with hold_lock(path.with_suffix(".lock")):
            sentinel = select_sentinel(self._parts, path)
            info = self._begin_table(path, backend_infos, sentinel)
            validate_pool(self.pool, sentinel)
            environment, journal = backend_infos[0].environment, SampleJournal(path.with_suffix(".samples.csv"))
            deadline = self.start_unix_s + self.budget.budget_s if self.budget.budget_s is not None else inf
            label = f"profile {self.device.name}"
            scheduler = Scheduler(self.pool, environment, self.protocol, sentinel, journal, label, deadline)
            jobs, remeasure = self._initial_jobs(journal), self.budget.remeasure
            while True:
                records = scheduler.run(jobs, remeasure=remeasure)
                calibration = calibrate_table(records, self.protocol, environment)
                measured = build_measurements(records, self.protocol, environment, calibration)
                composed, conditions = self._predict_rows(measured, records.keys() - measured.keys(), info.column)
                if not composed or not time.time() < deadline < inf:
                    break
                # What is left of a budget goes to the widest intervals.
                jobs |= {key: self._block_jobs[key] for key in _widest(composed, info.column)}
                remeasure = False
            rows = composed | {key: measured_row(block, records[key].stopping_rule) for key, block in measured.items()}
            if not rows:
                reason = next(iter(records.values())).failure
                raise TableError(f"{journal.path}: no block could be run; the first failed: {reason}")
            rows |= {part.layers_hash: empty_row(info.column) for part in self._parts if not part.graph.layers}
            prefixes = (COMPOSITION_PREFIX, PREDICTED_PREFIX)
            others = {key: value for key, value in info.conditions.items() if not key.startswith(prefixes)}
            update = {
                "conditions": others | conditions,
                "min_relative_std": calibration.min_relative_std,
                "sentinel_reference_s": calibration.sentinel_reference_s,
            }
            return write_table(self.space, self._parts, info.model_copy(update=update), path, rows.get)

    def _begin_table(self, path: Path, backend_infos: Sequence[BackendInfo], sentinel: Graph) -> TableInfo:
        """Write the table's TOML or check the one there, for every device of the pool, and log what people should know first."""
        infos = [
            build_info(self.space, self.device, backend_info, self.protocol, mode=self.mode, sentinel=sentinel)
            for backend_info in backend_infos
        ]
        info = write_or_validate_info(infos[0], path)
        for other in infos[1:]:
            info.validate_same_identity(other, path)
        for worker, backend_info in zip(self.pool, backend_infos, strict=True):
            for warning in backend_info.warnings:
                logger.warning("%s: %s", worker.name, warning)
        if self.protocol.cool_down_s:
            logger.info(
                "%s", estimate_cool_down([part.graph for part in self._parts], self.protocol, len(self.pool)).summary
            )
        return info

    @cached_property
    def _parts(self) -> list[Part]:
        return list_parts(self.space)

    @cached_property
    def _section_graphs(self) -> Mapping[str, tuple[Graph, ...]]:
        """{layers_hash: sections} of the blocks that repeat a section, where blocks are composed."""
        if not self.budget.predict_repeats:
            return {}
        unique = {part.layers_hash: part for part in self._parts}
        graphs = {key: lower_sections(part.block, part.graph.input_shape) for key, part in unique.items()}
        return {key: sections for key, sections in graphs.items() if len(sections) > 1}

    @cached_property
    def _section_hashes(self) -> Mapping[str, tuple[str, ...]]:
        """{layers_hash: those of its sections} of the same blocks."""
        hashes = {graph: layers_hash(graph) for sections in self._section_graphs.values() for graph in sections}
        return {key: tuple(hashes[graph] for graph in sections) for key, sections in self._section_graphs.items()}

    @cached_property
    def _block_jobs(self) -> dict[str, MeasurementJob]:
        """{layers_hash: job} of every block and fixed part with layers."""
        parts = [part for part in self._parts if part.graph.layers]
        if self.mode == "isolated":
            return unique_jobs(MeasurementJob(part.name, part.graph) for part in parts)
        neighbors = find_neighbors(self.space)
        chains = [(part, build_chain(neighbors, part.key_cells["part"], part.block)) for part in parts]
        return unique_jobs(MeasurementJob(part.name, part.graph, *(chain or ())) for part, chain in chains)

    def _initial_jobs(self, journal: SampleJournal) -> dict[str, MeasurementJob]:
        """Return what is measured first: everything, or where blocks are composed the sections and a sample."""
        sample = select_sample({key: len(sections) for key, sections in self._section_hashes.items()})
        sample |= journal.read().keys()  # what an earlier run measured whole stays so
        whole = {key: job for key, job in self._block_jobs.items() if key not in self._section_hashes or key in sample}
        sections = {
            key: MeasurementJob(f"section of {self._block_jobs[block].name}", graph)
            for block, graphs in self._section_graphs.items()
            for key, graph in zip(self._section_hashes[block], graphs, strict=True)
        }
        return sections | whole

    def _predict_rows(
        self, measured: Mapping[str, Measurement], failed: Set[str], column: str
    ) -> tuple[dict[str, Row], dict[str, Scalar]]:
        """Return the rows of the blocks that are predicted and not measured, and what the prediction rests on.

        A block that failed when it was measured whole has no row, whatever its sections cost.
        """
        estimates = {key: to_estimate(measurement) for key, measurement in measured.items()}
        sections: dict[str, list[Estimate]] = {
            key: [estimates[section] for section in hashes]
            for key, hashes in self._section_hashes.items()
            if key not in failed and all(section in estimates for section in hashes)
        }
        whole = [key for key in sections if key in estimates]
        if len(sections) == len(whole):
            return {}, {}
        composition = fit_composition([sections[key] for key in whole], [estimates[key] for key in whole])
        rows = {
            key: composed_row(composition.estimate(terms), len(terms), composition, column)
            for key, terms in sections.items()
            if key not in estimates
        }
        return rows, _composition_conditions(composition)


def _composition_conditions(composition: Composition) -> dict[str, Scalar]:
    return {
        f"{COMPOSITION_PREFIX}scale": composition.scale,
        f"{COMPOSITION_PREFIX}joint_s": composition.joint_s,
        f"{COMPOSITION_PREFIX}residual_std": composition.residual_std,
        f"{COMPOSITION_PREFIX}sample_size": composition.sample_size,
    }


def _widest(rows: Mapping[str, Row], column: str) -> list[str]:
    """Return the rows with the widest intervals as shares of their values."""

    def width(key: str) -> float:
        row = rows[key]
        return (float(str(row["high_s"])) - float(str(row["low_s"]))) / float(str(row[column]))

    return sorted(rows, key=width, reverse=True)[:BATCH]
