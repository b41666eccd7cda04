"""The command that simulates an ONNX model on a tensor unit: `donna-hw simulate`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from donna_hw.cli import completion as completing

if TYPE_CHECKING:
    from donna_hw.devices.device import Device
    from donna_hw.simulator.results import SimulationResult

BACKEND = "tensor_unit"
IMAGE_FORMATS = ("svg", "png")
FILE = click.Path(path_type=Path)


@click.command()
@click.argument("model", type=FILE, metavar="MODEL.onnx")
@click.option(
    "--device",
    required=True,
    shell_complete=completing.devices,
    help="A tensor unit's name or file; `donna-hw devices` lists them.",
)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Of its hardware, such as array.rows=16.")
@click.option(
    "--input-shape", "shapes", multiple=True, metavar="NAME=SHAPE", help="Of an input, such as image=1,3,224,224."
)
@click.option("--top", type=click.IntRange(0), default=30, show_default=True, help="Dearest operators to print.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON instead, and nothing else.")
@click.option("--csv", type=FILE, metavar="FILE", help="Write a row an operator to this CSV.")
@click.option("--trace", type=FILE, metavar="FILE", help="Write the timeline to this JSON, for ui.perfetto.dev.")
@click.option("--roofline", type=FILE, metavar="FILE", help="Draw what limits each operator to this SVG or PNG.")
def simulate(
    *,
    model: Path,
    device: str,
    settings: tuple[str, ...],
    shapes: tuple[str, ...],
    top: int,
    as_json: bool,
    csv: Path | None,
    trace: Path | None,
    roofline: Path | None,
) -> None:
    """Simulate MODEL.onnx on a tensor unit: cycles, energy and traffic.

    From shapes alone: nothing is run. A float model counts as quantised to the unit's precision. --set and --input-shape may be given
    many times.
    """
    from donna_hw.devices.device import Device
    from donna_hw.reporting.text.simulation import format_simulation, format_unknown_operators
    from donna_hw.simulator.hardware import parse_hardware
    from donna_hw.simulator.onnx_frontend.reader import read_onnx
    from donna_hw.simulator.simulate import simulate as run

    if roofline is not None:
        image_format(roofline)
    found = validate_tensor_unit(Device.load(device))
    hardware = parse_hardware(found.config.hardware, f"device {found.name}", settings)
    workload = read_onnx(model, parse_input_shapes(shapes))
    simulation = run(workload, hardware, model=model.stem, device=found.name)
    if simulation.unknown_ops:
        click.echo(f"warning: {format_unknown_operators(simulation)}", err=True)
    _write(simulation, csv, trace, roofline)
    if as_json:
        click.echo(json.dumps(simulation.to_dict(), indent=1, allow_nan=False))
    else:
        click.echo(format_simulation(simulation, top))


def validate_tensor_unit(device: Device) -> Device:
    """Return the device if it is a tensor unit; raises `UnknownNameError` with those that are."""
    from donna_hw.errors import UnknownNameError

    if device.config.backend != BACKEND:
        raise UnknownNameError(
            f"a device to simulate must be of backend {BACKEND}, {device.name} is of {device.config.backend}",
            got=device.name,
            choices=_tensor_units(),
        )
    return device


def _tensor_units() -> list[str]:
    from donna_hw.devices.device import Device, list_devices
    from donna_hw.errors import DonnaError

    found = []
    for name in list_devices():
        try:
            if Device.load(name).config.backend == BACKEND:
                found.append(name)
        except DonnaError:  # another device's broken file is not what is asked about
            continue
    return found


def parse_input_shapes(texts: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """Return shapes by the input's name, of texts such as `image=1,3,224,224`; raises `ConfigError`."""
    from donna_hw.errors import ConfigError

    shapes: dict[str, tuple[int, ...]] = {}
    for text in texts:
        name, _, shape = text.rpartition("=")  # a name may hold the sign
        if not name or not re.fullmatch(r"[1-9][0-9]{0,11}(,[1-9][0-9]{0,11})*", shape):
            raise ConfigError("an input's shape must be NAME=SHAPE, such as image=1,3,224,224", got=text)
        if name in shapes:
            raise ConfigError("an input must be given one shape", got=text)
        shapes[name] = tuple(map(int, shape.split(",")))
    return shapes


def image_format(path: Path) -> str:
    """Return the format that a picture's name asks for; raises `ConfigError` for one that cannot be drawn."""
    from donna_hw.errors import ConfigError

    kind = path.suffix.lower().removeprefix(".")
    if kind not in IMAGE_FORMATS:
        raise ConfigError("a picture's name must end in .svg or .png", got=str(path))
    return kind


def _write(simulation: SimulationResult, csv: Path | None, trace: Path | None, roofline: Path | None) -> None:
    from donna_hw._core.csv_files import write_csv
    from donna_hw._core.files import write_atomic

    if csv is not None:
        frame = simulation.to_frame()
        frame["fused"] = frame["fused"].map("; ".join)
        write_csv(csv, frame)
    if trace is not None:
        from donna_hw.simulator.trace import to_perfetto

        write_atomic(trace, json.dumps(to_perfetto(simulation), allow_nan=False))
    if roofline is not None:
        from donna_hw.reporting.figures.roofline import render_roofline

        write_atomic(roofline, render_roofline(simulation, image_format(roofline)))


COMMANDS = (simulate,)
