"""The command `donna-hw stress`: a long loop of one network or block, its first minute compared with its last."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from donna_hw.cli.options import DEVICE, SPACE, TABLES

if TYPE_CHECKING:
    from donna_hw.graph.graph import Graph
    from donna_hw.spaces import Space


@click.command()
@SPACE
@DEVICE
@click.option("--network", metavar="LABELS", help="Labels of the network's blocks joined by /, as tables show them.")
@click.option("--block", nargs=2, metavar="STAGE LABEL", help="One block instead of a network.")
@click.option("--duration", default="10m", show_default=True, help="How long the loop runs, such as 90s, 10m or 1h.")
@TABLES
def stress(
    *, space: str, device: str, network: str | None, block: tuple[str, str] | None, duration: str, tables: Path
) -> None:
    """Run a network for minutes to see whether it slows down.

    Without --network or --block it is the reference of SPACE. A loop that was stopped starts over, since the device has cooled meanwhile.
    """
    from donna_hw._core.units import parse_duration
    from donna_hw.devices.backends.base import TimingBackend
    from donna_hw.devices.device import Device
    from donna_hw.errors import ConfigError
    from donna_hw.graph.graph import layers_hash
    from donna_hw.profiling.stress import run_stress_test
    from donna_hw.reporting.text.stress import format_minutes, format_stress_result
    from donna_hw.spaces import load_space

    duration_s, loaded, target = parse_duration(duration), load_space(space), Device.load(device)
    title, graph = _select_graph(loaded, network, block)
    backend = target.backend()
    if not isinstance(backend, TimingBackend):
        raise ConfigError(f"a stress test needs a device that measures time; those of {device} are {backend.origin}")
    words = ("sustained", f"b{backend.batch}", *backend.tags(), layers_hash(graph), f"{duration_s:g}s")
    path = tables / target.name / loaded.name / f"{'-'.join(words)}.samples.csv"
    about = {"device": target.name, "space": loaded.name, "what": title}
    try:
        result = run_stress_test(backend, graph, duration_s, path=path, about=about)
    except KeyboardInterrupt:
        click.echo(f"stopped; the measurements are saved in {path}, but a new start begins on a cold device", err=True)
        raise SystemExit(130) from None
    click.echo("\n".join([f"{title} on {target.name}: {path}", format_minutes(result), format_stress_result(result)]))


def _select_graph(space: Space, network: str | None, block: tuple[str, str] | None) -> tuple[str, Graph]:
    """Return a title and the layers of what the options select."""
    from donna_hw.errors import ConfigError

    if network and block:
        raise ConfigError("--network and --block cannot be combined", hint="drop one")
    if block:
        stage = space.stage(block[0])
        return f"block {stage.name} {block[1]}", space.block_graph(stage, stage.number_of_label(block[1]))
    if not network:
        return "the reference network", space.network_graph(space.reference)
    return f"network {network}", space.network_graph(space.architecture_from_name(network))
