"""The command that simulates an ONNX model on a tensor unit: `donna-hw simulate`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from donna_hw.cli.options import FILE
from donna_hw.cli.shell_completion import complete_devices

if TYPE_CHECKING:
    from donna_hw.devices.device import Device
    from donna_hw.simulator.results import SimulationResult

BACKEND = "tensor_unit"
IMAGE_FORMATS = ("svg", "png")


@click.command()
@click.argument("model", type=FILE, metavar="MODEL.onnx")
@click.option(
    "--device",
    required=True,
    shell_complete=complete_devices,
    help="A tensor unit's name or file; `donna-hw devices` lists them.",
)
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change its hardware, such as array.rows=16."
)
@click.option(
    "--input-shape", "shapes", multiple=True, metavar="NAME=SHAPE", help="Shape of an input, such as image=1,3,224,224."
)
@click.option(
    "--top", type=click.IntRange(0), default=30, show_default=True, help="Print the most expensive operators only."
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON instead.")
@click.option("--csv", type=FILE, metavar="FILE", help="Write a row for each operator to this CSV.")
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
    """Simulate an ONNX model on a tensor unit.

    Prints cycles, energy and traffic of each operator. Only shapes matter: nothing is run. A float model is treated as quantized to the
    unit's precision. --set and --input-shape can be repeated.
    """
    from donna_hw.devices.device import Device
    from donna_hw.reporting.text.simulation import format_simulation, format_unknown_operators
    from donna_hw.simulator.hardware import parse_hardware
    from donna_hw.simulator.onnx_frontend.reader import read_onnx
    from donna_hw.simulator.simulate import simulate as simulate_workload

    if roofline is not None:
        image_format(roofline)
    unit = validate_tensor_unit(Device.load(device))
    hardware = parse_hardware(unit.config.hardware, f"device {unit.name}", settings)
    workload = read_onnx(model, parse_input_shapes(shapes))
    simulation = simulate_workload(workload, hardware, model=model.stem, device=unit.name)
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
            f"only devices of backend {BACKEND} can be simulated, not one of {device.config.backend}:",
            got=device.name,
            choices=_tensor_units(),
        )
    return device


def _tensor_units() -> list[str]:
    from donna_hw.devices.device import Device, list_devices
    from donna_hw.errors import DonnaError

    names = []
    for name in list_devices():
        try:
            if Device.load(name).config.backend == BACKEND:
                names.append(name)
        except DonnaError:  # the broken file of another device does not matter here
            continue
    return names


def parse_input_shapes(texts: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """Return {input: shape} of texts such as `image=1,3,224,224`; raises `ConfigError`."""
    from donna_hw.errors import ConfigError

    shapes: dict[str, tuple[int, ...]] = {}
    for text in texts:
        name, _, shape = text.rpartition("=")  # a name may contain the sign
        if not name or not re.fullmatch(r"[1-9][0-9]{0,11}(,[1-9][0-9]{0,11})*", shape):
            raise ConfigError("--input-shape must be NAME=SHAPE, such as image=1,3,224,224", got=text)
        if name in shapes:
            raise ConfigError("--input-shape: two shapes for one input", got=text)
        shapes[name] = tuple(map(int, shape.split(",")))
    return shapes


def image_format(path: Path) -> str:
    """Return the image format of a file name; raises `ConfigError` for one that cannot be drawn."""
    from donna_hw.errors import ConfigError

    suffix = path.suffix.lower().removeprefix(".")
    if suffix not in IMAGE_FORMATS:
        raise ConfigError("--roofline must end in .svg or .png", got=str(path))
    return suffix


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
