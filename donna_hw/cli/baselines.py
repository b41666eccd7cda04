"""The command `donna-hw baselines`: known networks on a device, to compare a found one with."""

from __future__ import annotations

from pathlib import Path

import click

from donna_hw.cli import completion as completing
from donna_hw.cli.profile import DEVICE, TABLES


@click.command()
@DEVICE
@click.option(
    "--beside",
    "space_name",
    metavar="SPACE",
    shell_complete=completing.spaces,
    help="Measure on the scale of the device's table of SPACE.",
)
@click.option("--px", type=click.IntRange(1), help="Height and width of the images.  [default: 224]")
@click.option("--rounds", type=click.IntRange(1), help="Visits to each network at most.")
@click.option(
    "--protocol", "protocol_name", help="Instead of the device's own; beside a table, it must be the table's."
)
@TABLES
def baselines(
    *,
    device: str,
    space_name: str | None,
    px: int | None,
    rounds: int | None,
    protocol_name: str | None,
    root: Path,
) -> None:
    """Measure the networks of the paper's Table 3 on a device.

    As a table of their own, or beside a table that is there, on that space's images, steadied by that table's sentinel. Accuracies are
    those published for 224x224 images.
    """
    from dataclasses import replace

    from donna_hw.devices.device import Device
    from donna_hw.errors import ConfigError
    from donna_hw.measurement.protocol import get_protocol
    from donna_hw.profiling.baselines import measure_baselines, profile_baselines
    from donna_hw.reporting.text.baselines import format_baselines
    from donna_hw.spaces import load_space

    if space_name is not None and px is not None:
        raise ConfigError("--px must be left out with --beside: the images are those of the space", got=px)
    found = Device.load(device)
    if protocol_name is not None:
        found = replace(found, config=found.config.model_copy(update={"protocol": get_protocol(protocol_name).name}))
    protocol = found.protocol if rounds is None else replace(found.protocol, rounds=rounds)
    if space_name is None:
        measured = profile_baselines(found, root, protocol, px)
    else:
        measured = measure_baselines(load_space(space_name), found, root, protocol)
    click.echo(format_baselines(measured))


COMMANDS = (baselines,)
