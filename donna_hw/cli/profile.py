"""Commands of devices, spaces and latency tables being filled."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from donna_hw.cli import completion as completing

if TYPE_CHECKING:
    from donna_hw.spaces import Axis

SPACE = click.argument("space", shell_complete=completing.spaces)
DEVICE = click.option("--device", required=True, shell_complete=completing.devices, help="A device's name or file.")
TABLES = click.option(
    "--out",
    "root",
    type=click.Path(path_type=Path),
    default=Path("latency_tables"),
    help="Folder of the tables.",
    show_default=True,
)


@click.command()
def devices() -> None:
    """Show the devices, which can be used on this machine, and the phones that are plugged in."""
    from donna_hw.devices.backends.android.adb import Adb
    from donna_hw.devices.backends.android.discovery import find_adb
    from donna_hw.devices.device import Device, list_devices
    from donna_hw.errors import UnavailableError
    from donna_hw.reporting.text.devices import format_phones
    from donna_hw.reporting.text.summaries import tabulate

    rows = []
    for name in list_devices():
        device = Device.load(name)
        available = device.availability()
        state = (
            "yes" if available.ok else f"no: {available.reason}" + (f" ({available.hint})" if available.hint else "")
        )
        rows.append([name, device.config.title, device.config.backend, device.config.protocol, state])
    click.echo(tabulate(["device", "title", "backend", "protocol", "usable here"], rows))
    try:
        phones = format_phones(Adb(find_adb()))
    except UnavailableError as error:  # no client, or one that cannot start its server
        phones = f"no phones are shown: {error.message}"
    click.echo(f"\n{phones or 'adb sees no phone'}")


@click.command()
def spaces() -> None:
    """Show the search spaces, their axes and sizes, and the counts of their smallest, reference and largest network.

    A name may go on with @160px, for other images, and @10classes: every command takes it. FILE.py:FUNCTION names a space of your own.
    """
    from donna_hw._core.units import format_quantity
    from donna_hw.reporting.text.summaries import tabulate
    from donna_hw.spaces import list_spaces, load_space
    from donna_hw.spaces.extremes import find_extremes

    rows = []
    for name in list_spaces():
        space = load_space(name)
        members = find_extremes(space).values()
        axes = ", ".join(f"{axis.name} {_values(axis)}" for axis in (*space.stages[0].axes, *space.global_axes))
        blocks = "/".join(map(str, sorted(set(space.stage_sizes))))
        counts = [
            f"{format_quantity(member.macs, 'MAC')}, {format_quantity(member.params, 'parameter')}"
            for member in members
        ]
        rows.append([name, f"{len(space.stages)} x {blocks}", f"{space.size:.3g}", *counts, axes])
    header = [
        "space",
        "stages x blocks",
        "networks",
        "smallest",
        "reference",
        "largest",
        "axes of the first stage, global ones",
    ]
    click.echo(tabulate(header, rows))


def _values(axis: Axis) -> str:
    return "/".join(map(str, axis.values)) if len(axis.values) <= 8 else f"of {len(axis.values)}"


@click.command()
@SPACE
@DEVICE
@click.option(
    "--rounds", type=click.IntRange(1), help="Visits to each block at most; the device's protocol decides otherwise."
)
@click.option("--protocol", "protocol_name", help="Instead of the device's own, such as brisk for a first look.")
@click.option("--quantity", help="Such as energy, which simulated units tell; else what the device is there to tell.")
@click.option("--mode", default="isolated", show_default=True, help="isolated: each block alone; in_chain: in place.")
@click.option(
    "--compose", is_flag=True, help="Predict blocks that repeat a section, and measure a sample of them whole."
)
@click.option("--budget", help="Time to spend, such as 10m, where the error is largest.")
@click.option("--retry", is_flag=True, help="Measure again what is not trusted or failed.")
@click.option(
    "--cluster", "address", help="Address of a Ray cluster whose hosts have the device; auto for this host's own."
)
@TABLES
def profile(
    *,
    space: str,
    device: str,
    rounds: int | None,
    protocol_name: str | None,
    quantity: str | None,
    mode: str,
    compose: bool,
    budget: str | None,
    retry: bool,
    address: str | None,
    root: Path,
) -> None:
    """Fill the latency table of SPACE on a device.

    A device file that names a pool has all its devices fill the table together.
    """
    from dataclasses import replace

    from donna_hw._core.units import parse_duration
    from donna_hw.devices.device import Device
    from donna_hw.measurement.protocol import get_protocol
    from donna_hw.profiling.profiler import profile_space as fill
    from donna_hw.profiling.timed_costs import ProfilingBudget
    from donna_hw.profiling.workers.base import WorkerFactory
    from donna_hw.profiling.workers.subprocess import create_subprocess_workers
    from donna_hw.reporting.text.summaries import format_table_summary
    from donna_hw.spaces import load_space

    found = Device.load(device)
    if protocol_name is not None:
        found = replace(found, config=found.config.model_copy(update={"protocol": get_protocol(protocol_name).name}))
    if quantity is not None:
        found = found.with_quantity(quantity)
    protocol = found.protocol if rounds is None else replace(found.protocol, rounds=rounds)
    effort = ProfilingBudget(compose, None if budget is None else parse_duration(budget), retry)
    workers: WorkerFactory = create_subprocess_workers
    if address is not None:
        from donna_hw.profiling.workers.ray import ray_worker_factory

        workers = ray_worker_factory(address)
    table = fill(load_space(space), found, root, protocol, mode=mode, budget=effort, workers=workers)
    click.echo(format_table_summary(table))


@click.command()
@SPACE
@TABLES
def count(space: str, root: Path) -> None:
    """Count operations and parameters of SPACE's blocks.

    ptflops counts, as in the paper; the tables are called macs and params.
    """
    from donna_hw.devices.device import Device
    from donna_hw.profiling.profiler import profile_space as fill
    from donna_hw.reporting.text.summaries import format_table_summary
    from donna_hw.spaces import load_space

    chosen = load_space(space)
    for name in ("macs", "params"):
        click.echo(format_table_summary(fill(chosen, Device.load(name), root)))


COMMANDS = (devices, spaces, profile, count)
