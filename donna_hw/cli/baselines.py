"""The command `donna-hw baselines`: known networks on a device, to compare with networks that a search found."""

from __future__ import annotations

from pathlib import Path

import click

from donna_hw.cli.options import DEVICE, PROTOCOL, ROUNDS, TABLES, load_device
from donna_hw.cli.shell_completion import complete_spaces


@click.command()
@DEVICE
@click.option(
    "--relative-to",
    metavar="SPACE",
    shell_complete=complete_spaces,
    help="Measure on the scale of the device's table of SPACE, with its protocol.",
)
@click.option(
    "--image-size",
    metavar="PIXELS",
    type=click.IntRange(1),
    help="Height and width of the images; with --relative-to those of SPACE.  [default: 224]",
)
@ROUNDS
@PROTOCOL
@TABLES
def baselines(
    *,
    device: str,
    relative_to: str | None,
    image_size: int | None,
    rounds: int | None,
    protocol: str | None,
    tables: Path,
) -> None:
    """Measure the networks of the paper's Table 3 on a device.

    They get a table of their own, or are compared with an existing table: on the images of its space, drift-corrected by its sentinel.
    The accuracies are those published for 224x224 images.
    """
    from donna_hw.errors import ConfigError
    from donna_hw.profiling.profile_baselines import measure_baselines, profile_baselines
    from donna_hw.reporting.text.baselines import format_baselines
    from donna_hw.spaces import load_space

    if relative_to is not None and image_size is not None:
        raise ConfigError(
            "--image-size cannot be combined with --relative-to",
            got=image_size,
            hint="the images are those of the space",
        )
    target, target_protocol = load_device(device, protocol=protocol, rounds=rounds)
    if relative_to is None:
        measured = profile_baselines(target, tables, target_protocol, image_size)
    else:
        measured = measure_baselines(load_space(relative_to), target, tables, target_protocol)
    click.echo(format_baselines(measured))
