"""The command `stress`: a long loop of one network or block, first minute against last."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from donna_hw.cli.profile import DEVICE, SPACE, TABLES

if TYPE_CHECKING:
    from donna_hw.graph.graph import Graph
    from donna_hw.measurement.throttling import StressResult, Window
    from donna_hw.spaces import Space


@click.command()
@SPACE
@DEVICE
@click.option("--network", help="Labels of a network's blocks joined by /, as tables print them.")
@click.option("--block", nargs=2, metavar="STAGE LABEL", help="One block instead of a network.")
@click.option("--for", "duration", default="10m", show_default=True, help="How long, such as 90s, 10m or 1h.")
@TABLES
def stress(
    *, space: str, device: str, network: str | None, block: tuple[str, str] | None, duration: str, root: Path
) -> None:
    """Run a network of SPACE for minutes and compare its first with its last.

    Without --network or --block it is the reference. A loop that was stopped begins anew, since the device has cooled meanwhile.
    """
    from donna_hw._core.units import parse_duration
    from donna_hw.devices.backends.base import TimingBackend
    from donna_hw.devices.device import Device
    from donna_hw.errors import ConfigError
    from donna_hw.graph.graph import layers_hash
    from donna_hw.profiling.stress import run_stress_test as run_loop
    from donna_hw.spaces import load_space

    seconds, chosen, found = parse_duration(duration), load_space(space), Device.load(device)
    what, graph = _select_graph(chosen, network, block)
    backend = found.backend()
    if not isinstance(backend, TimingBackend):
        raise ConfigError("a sustained loop needs a device that takes time", got=f"{device}, which is {backend.origin}")
    words = ("sustained", f"b{backend.batch}", *backend.tags(), layers_hash(graph), f"{seconds:g}s")
    path = root / found.name / chosen.name / f"{'-'.join(words)}.samples.csv"
    about = {"device": found.name, "space": chosen.name, "what": what}
    try:
        result = run_loop(backend, graph, seconds, path=path, about=about)
    except KeyboardInterrupt:
        click.echo(f"stopped; {path} keeps what was measured; heat is lost, so a new start begins anew", err=True)
        raise SystemExit(130) from None
    click.echo("\n".join([f"{what} on {found.name}: {path}", minute_table(result), *_format_result(result)]))


def minute_table(result: StressResult) -> str:
    """Return the loop minute by minute, with the readings that the device gave."""
    from donna_hw.reporting.text.summaries import tabulate

    windows = result.split_by_minute()
    told = [name for name in _TELEMETRY if any(getattr(window, name) for window in windows)]
    header = ["from", "median", "95 % interval", "images/s", *(_TELEMETRY[name] for name in told)]
    return tabulate(header, [_row(window, result.batch, told) for window in windows])


_TELEMETRY = {"clock_hz": "GHz", "temperature_c": "C", "power_w": "W", "throttle": "throttled by"}


def _row(window: Window, batch: int, told: list[str]) -> list[str]:
    from donna_hw._core.units import format_quantity

    interval = window.interval
    between = (
        f"{format_quantity(interval.low, 's')} to {format_quantity(interval.high, 's')}"
        if interval
        else "one span only"
    )
    minutes, seconds = divmod(window.start_s, 60)
    cells = [f"{minutes:.0f}:{seconds:04.1f}", format_quantity(window.median_s, "s"), between]
    return [*cells, _format_throughput(window, batch), *(_format_telemetry(window, name) for name in told)]


def _format_throughput(window: Window, batch: int) -> str:
    images = batch * window.runs_per_s
    return f"{images:.0f}" if images >= 1000 else f"{images:.4g}"


def _format_telemetry(window: Window, name: str) -> str:
    if name == "throttle":
        return ", ".join(window.throttle_reasons) or "-"
    value = getattr(window, name)
    return "-" if value is None else f"{value / (1e9 if name == 'clock_hz' else 1):.3g}"


def _format_result(result: StressResult) -> list[str]:
    from donna_hw._core.units import format_quantity

    first, last = result.first, result.last
    return [
        f"first {result.window_s:.3g} s: {format_quantity(first.median_s, 's')}, {_format_throughput(first, result.batch)} images/s; "
        f"last {result.window_s:.3g} s: {format_quantity(last.median_s, 's')}, {_format_throughput(last, result.batch)} images/s",
        f"verdict: {result.verdict}",
    ]


def _select_graph(space: Space, network: str | None, block: tuple[str, str] | None) -> tuple[str, Graph]:
    """Return a name for people and the layers of what the options choose."""
    from donna_hw.errors import ConfigError

    if network and block:
        raise ConfigError("a sustained loop runs a network or a block", got="--network and --block", hint="drop one")
    if block:
        stage = space.stage(block[0])
        return f"block {stage.name} {block[1]}", space.block_graph(stage, stage.number_of_label(block[1]))
    if not network:
        return "the reference network", space.network_graph(space.reference)
    return f"network {network}", space.network_graph(space.architecture_from_name(network))


COMMANDS = (stress,)
