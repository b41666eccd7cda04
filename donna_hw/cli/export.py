"""The command that writes networks of a front as files: `donna-hw export`."""

from __future__ import annotations

from pathlib import Path

import click

from donna_hw.cli.options import EXPORT_FORMATS, FILE, FOLDER, space_option


@click.command()
@click.argument("front", metavar="FRONT.csv", type=FILE)
@space_option("The space that was searched.")
@click.option("--network", default="all", show_default=True, help="Number of the network in FRONT.csv, from 1; or all.")
@click.option("--output-dir", required=True, type=FOLDER, help="Folder for the files.")
@click.option(
    "--format",
    "formats",
    type=click.Choice(EXPORT_FORMATS),
    multiple=True,
    default=EXPORT_FORMATS,
    show_default=True,
    help="What to write; repeat it for several formats.",
)
@click.option("--weights-from", type=FOLDER, help="A run's folder; without it the weights are random.")
def export(
    *, front: Path, space: str, network: str, output_dir: Path, formats: tuple[str, ...], weights_from: Path | None
) -> None:
    """Export networks of a front as ONNX, safetensors and TOML.

    The TOML rebuilds the network. With --weights-from, a network that the run finetuned has those weights, any other network the run's
    distilled blocks.
    """
    from donna_hw.errors import ConfigError
    from donna_hw.pipeline.export import export_network, read_front_networks
    from donna_hw.spaces import load_space

    loaded = load_space(space)
    networks = read_front_networks(loaded, front)
    numbers = {str(number) for number in range(1, len(networks) + 1)}
    if network != "all" and network not in numbers:
        raise ConfigError(f"--network must be all, or a number from 1 to {len(networks)}", got=network)
    width = len(str(len(networks)))
    for number, (architecture, predicted) in enumerate(networks, start=1):
        if network in ("all", str(number)):
            stem = output_dir / f"network-{number:0{width}}"
            paths = export_network(loaded, architecture, stem, formats, weights_from=weights_from, predicted=predicted)
            click.echo(", ".join(str(path) for path in paths))
    if weights_from is None:
        click.echo("the weights are random; --weights-from RUN takes trained ones")
