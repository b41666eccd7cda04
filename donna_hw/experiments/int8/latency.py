"""The measured latency of blocks and whole networks in INT8 compared with float32, where the run has a table."""

from __future__ import annotations

import numpy as np

from donna_hw.errors import TableError
from donna_hw.pipeline.run import Run
from donna_hw.pipeline.steps.extend import base_run
from donna_hw.spaces.mixed_precision import PRECISION_AXIS, float_block_number, float_counterparts, int8_counterparts
from donna_hw.tables.latency_table import LatencyTable

WHOLE_NETWORKS = 8  # that are measured in both precisions


def latency_markdown(run: Run) -> list[str]:
    """Return the page's section on latency; nothing before `donna-hw run` has measured the blocks."""
    try:
        table = run.latency_table()
    except TableError:
        return []
    lines = [
        f"## Latency on {run.device.name}, INT8 over float32",
        "",
        f"{table.info.identity['device_model']}, {table.info.identity['runtime']}. Below 1 INT8 is the faster one. "
        "A block in INT8 reads and writes float32 numbers, which are quantized before its first layer.",
        "",
        "| blocks with | pairs | median | least | most | INT8 faster |",
        "|---|---|---|---|---|---|",
    ]
    lines += [_line(name, values) for name, values in _block_ratios(run, table).items()]
    networks = _network_ratios(run, table)
    lines += [_line(f"whole networks, all {len(run.space.stages)} stages", networks)]
    return ["\n".join(lines)]


def _line(name: str, ratios: np.ndarray) -> str:
    return (
        f"| {name} | {len(ratios)} | {np.median(ratios):.2f} | {ratios.min():.2f} | {ratios.max():.2f} "
        f"| {100 * (ratios < 1).mean():.0f} % |"
    )


def _block_ratios(run: Run, table: LatencyTable) -> dict[str, np.ndarray]:
    """Return INT8's latency over float32's of every pair of blocks, together and by stage and value of each axis."""
    ratios: dict[str, list[float]] = {}
    for stage, costs in zip(run.space.stages, table.costs(run.space).blocks, strict=True):
        for m in range(stage.size):
            float_number = float_block_number(stage, m)
            if float_number == m:
                continue
            choice = stage.choice(m)
            names = [f"{axis.name} {choice[axis.name]}" for axis in stage.axes if axis.name != PRECISION_AXIS.name]
            for name in ("anything", stage.name, *names):
                ratios.setdefault(name, []).append(float(costs[m] / costs[float_number]))
    return {name: np.array(values) for name, values in ratios.items()}


def _network_ratios(run: Run, table: LatencyTable) -> np.ndarray:
    """Return the latency ratios of the first test networks; stem, tail and classifier are in float32 in both."""
    base = base_run(run)
    rows, _ = base.architectures.targets("test", at_least=1)
    labels = [base.space.labels(base.space.architecture(row)) for row in rows[:WHOLE_NETWORKS]]
    rows = np.array([run.space.row(run.space.architecture_from_labels(network)) for network in labels])
    float32, int8 = float_counterparts(run.space, rows), int8_counterparts(run.space, rows)
    seconds = run.measure(table, np.concatenate([float32, int8]))
    return np.asarray(seconds[len(float32) :] / seconds[: len(float32)])
