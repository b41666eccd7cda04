"""Profiling: (space, device) -> latency table."""

from __future__ import annotations

import time
from pathlib import Path

from donna_hw.devices.backends.base import ExactBackend
from donna_hw.devices.device import Device
from donna_hw.errors import ConfigError
from donna_hw.measurement.protocol import Protocol
from donna_hw.profiling.computed_costs import compute_table
from donna_hw.profiling.dtypes import validate_dtypes
from donna_hw.profiling.in_context import validate_mode
from donna_hw.profiling.timed_costs import Profiler, ProfilingBudget
from donna_hw.profiling.workers.base import WorkerFactory, open_workers
from donna_hw.profiling.workers.subprocess import create_subprocess_workers
from donna_hw.spaces.space import Space
from donna_hw.tables.latency_table import LatencyTable
from donna_hw.tables.parts import list_parts


def profile_space(
    space: Space,
    device: Device,
    root: Path,
    protocol: Protocol | None = None,
    *,
    mode: str = "isolated",
    budget: ProfilingBudget | None = None,
    workers: WorkerFactory = create_subprocess_workers,
) -> LatencyTable:
    """Fill the table of a space on a device.

    Resumes what an earlier, perhaps killed, run began. Blocks of equal layers share a measurement. A block that crashes its runtime,
    or hangs, is journaled as failed and has no row.

    Args:
        space: The space, at one setting of each global axis (`Space.at`).
        device: The device to measure on, or the counter or simulator.
        root: The folder of tables; the table is `<root>/<device>/<space>/<variant>.csv`.
        protocol: How often each block runs and when it is measured well enough; by default the device's own.
        mode: `isolated` for the block alone, `in_context` for a chain with the block less the chain without it.
        budget: How far the profile goes; by default every block is measured until its protocol is satisfied.
        workers: Creates the workers that measure; by default one process for each device of the pool.

    Returns:
        The table as it reads back.

    Raises:
        ConfigError: For a space with global axes, layers of a type that the device does not run, or a mode that does not fit.
        UnknownNameError: For an unknown mode.
        TableError: When the table there is of another environment or protocol, or no block could be run.
        UnavailableError: When the device cannot be used, or no device of the pool is left.
        LockedError: When another process fills the table.
    """
    start_unix_s = time.time()
    protocol, budget, mode = protocol or device.protocol, budget or ProfilingBudget(), validate_mode(mode)
    if space.global_axes:
        raise ConfigError(
            f"a table needs one setting of each global axis of {space.name}",
            got=", ".join(axis.name for axis in space.global_axes),
            hint=f"choose one, such as {space.name}@{space.input_shape[1]}px",
        )
    parts = list_parts(space)
    validate_dtypes(device.backend_class(), device.name, [part.graph for part in parts])
    if issubclass(device.backend_class(), ExactBackend):
        if mode != "isolated":
            raise ConfigError("computed costs have no context: mode must be isolated", got=mode)
        return compute_table(space, device, root, protocol)
    if budget.predict_repeats and mode != "isolated":
        raise ConfigError("blocks predicted from their sections are measured alone: mode must be isolated", got=mode)
    with open_workers(device, protocol, workers) as pool:
        return Profiler(space, device, root, protocol, mode, budget, pool, start_unix_s).run()
