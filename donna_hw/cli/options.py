"""Options and arguments that several commands share: one name, one meaning.

`--out` is a run's folder, `--tables` the folder of latency tables, `--output` one file, `--output-dir` a folder of files.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from donna_hw.cli.shell_completion import complete_devices, complete_recipes, complete_spaces
from donna_hw.measurement.protocol import PROTOCOLS

if TYPE_CHECKING:
    from donna_hw.devices.device import Device
    from donna_hw.measurement.protocol import Protocol

# Closed sets of modules that are too heavy for `donna-hw --help`; a test compares them with the originals.
MODES = ("isolated", "in_context")
METRICS = ("latency", "energy")
SEARCH_METHODS = ("auto", "exact", "nsga2", "random")
COST_MODELS = ("auto", "sum", "floor")
EXPORT_FORMATS = ("onnx", "torch", "toml")
TIME_UNITS = ("s", "ms", "us")
RUNNER_ABIS = ("host", "aarch64-linux", "arm64-v8a", "armeabi-v7a", "x86_64")

FILE = click.Path(path_type=Path, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)

SPACE = click.argument("space", metavar="SPACE", shell_complete=complete_spaces)
RECIPE = click.argument("recipe", metavar="RECIPE", shell_complete=complete_recipes)
DEVICE = click.option("--device", required=True, shell_complete=complete_devices, help="A device's name or its file.")
PROTOCOL = click.option(
    "--protocol", type=click.Choice(sorted(PROTOCOLS)), help="Protocol of the measurement; by default the device's."
)
ROUNDS = click.option(
    "--rounds", type=click.IntRange(1), help="Rounds of measurement at most; by default the protocol's."
)
TABLES = click.option(
    "--tables",
    type=FOLDER,
    default=Path("latency_tables"),
    show_default=True,
    help="Folder of latency tables.",
)
OUT = click.option("--out", type=FOLDER, help="The run's folder; by default runs/<recipe>.")
SEED = click.option("--seed", type=click.IntRange(0), help="Replaces the recipe's seed, in a run's folder of its own.")
CLUSTER = click.option(
    "--cluster",
    metavar="ADDRESS",
    help="Ray cluster that does the work, auto for this host's; all hosts must share the run's folder.",
)
SUMMARY = click.option("--summary", type=FILE, help="Also write the summary to this Markdown file.")
COST_MODEL = click.option(
    "--model",
    type=click.Choice(COST_MODELS),
    default="auto",
    show_default=True,
    help="sum: a sum over blocks; floor: with a launch floor; auto: what predicts held-out networks better.",
)


def space_option(help_text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the required option `--space`, for commands whose argument is something else."""
    return click.option("--space", required=True, metavar="SPACE", shell_complete=complete_spaces, help=help_text)


def load_device(
    name: str, *, protocol: str | None = None, metric: str | None = None, rounds: int | None = None
) -> tuple[Device, Protocol]:
    """Return a device and its protocol as the options ask for them."""
    from dataclasses import replace

    from donna_hw.devices.device import Device

    device = Device.load(name)
    if protocol is not None:
        device = replace(device, config=device.config.model_copy(update={"protocol": protocol}))
    if metric is not None:
        device = device.with_quantity(metric)
    return device, device.protocol if rounds is None else replace(device.protocol, rounds=rounds)
