"""Commands that fill latency tables."""

from __future__ import annotations

from pathlib import Path

import click

from donna_hw.cli.options import DEVICE, METRICS, MODES, PROTOCOL, ROUNDS, SPACE, TABLES, load_device


@click.command()
@SPACE
@DEVICE
@ROUNDS
@PROTOCOL
@click.option(
    "--metric",
    type=click.Choice(METRICS),
    help="What is measured; energy needs a simulated tensor unit.  [default: latency]",
)
@click.option(
    "--mode",
    type=click.Choice(MODES),
    default="isolated",
    show_default=True,
    help="isolated: each block alone; in_context: within its network.",
)
@click.option(
    "--predict-repeats",
    is_flag=True,
    help="Predict blocks that repeat a section; a sample of them is measured to check the predictions.",
)
@click.option("--budget", metavar="DURATION", help="Time to spend, such as 10m, where the error is largest.")
@click.option("--remeasure", is_flag=True, help="Measure again what failed or is not trusted.")
@click.option("--cluster", metavar="ADDRESS", help="Ray cluster whose hosts have the device; auto for this host's own.")
@TABLES
def profile(
    *,
    space: str,
    device: str,
    rounds: int | None,
    protocol: str | None,
    metric: str | None,
    mode: str,
    predict_repeats: bool,
    budget: str | None,
    remeasure: bool,
    cluster: str | None,
    tables: Path,
) -> None:
    """Fill the latency table of SPACE on a device.

    All devices of a device file that names a pool fill the table together.
    """
    from donna_hw._core.units import parse_duration
    from donna_hw.profiling.profiler import profile_space
    from donna_hw.profiling.timed_costs import ProfilingBudget
    from donna_hw.profiling.workers.base import WorkerFactory
    from donna_hw.profiling.workers.subprocess import create_subprocess_workers
    from donna_hw.reporting.text.summaries import format_table_summary
    from donna_hw.spaces import load_space

    target, target_protocol = load_device(device, protocol=protocol, metric=metric, rounds=rounds)
    budget_s = None if budget is None else parse_duration(budget)
    workers: WorkerFactory = create_subprocess_workers
    if cluster is not None:
        from donna_hw.profiling.workers.ray import ray_worker_factory

        workers = ray_worker_factory(cluster)
    table = profile_space(
        load_space(space),
        target,
        tables,
        target_protocol,
        mode=mode,
        budget=ProfilingBudget(predict_repeats, budget_s, remeasure),
        workers=workers,
    )
    click.echo(format_table_summary(table))


@click.command()
@SPACE
@TABLES
def count(space: str, tables: Path) -> None:
    """Count operations and parameters of SPACE's blocks.

    Operations are counted by ptflops, as in the paper; the tables are those of the devices macs and params.
    """
    from donna_hw.devices.device import Device
    from donna_hw.profiling.profiler import profile_space
    from donna_hw.reporting.text.summaries import format_table_summary
    from donna_hw.spaces import load_space

    loaded = load_space(space)
    for name in ("macs", "params"):
        click.echo(format_table_summary(profile_space(loaded, Device.load(name), tables)))
