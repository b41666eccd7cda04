"""The command that writes networks of a front as files: `donna-hw export`."""

from __future__ import annotations

from pathlib import Path

import click

from donna_hw.cli import completion as completing


@click.command()
@click.argument("front", type=click.Path(path_type=Path))
@click.option(
    "--space", "space_name", required=True, shell_complete=completing.spaces, help="The space that was searched."
)
@click.option("--network", default="all", show_default=True, help="The number of one in the CSV, from 1; or all.")
@click.option("--to", "folder", required=True, type=click.Path(path_type=Path), help="Folder for the files.")
@click.option("--format", "formats", default="onnx,torch,toml", show_default=True, help="What to write.")
@click.option(
    "--weights-from", "run", type=click.Path(path_type=Path), help="A run's folder; without it weights are random."
)
def export(*, front: Path, space_name: str, network: str, folder: Path, formats: str, run: Path | None) -> None:
    """Write networks of FRONT.csv as ONNX, as torch weights in safetensors, and as a TOML that rebuilds them.

    With --weights-from, a network that the run finetuned has those weights, any other the run's distilled blocks.
    """
    from donna_hw.errors import ConfigError
    from donna_hw.pipeline.export import export_network, read_front_networks, validate_formats
    from donna_hw.spaces import load_space

    space, wanted = load_space(space_name), [name for name in formats.split(",") if name]
    validate_formats(wanted)
    found = read_front_networks(space, front)
    numbers = {str(number) for number in range(1, len(found) + 1)}
    if network != "all" and network not in numbers:
        raise ConfigError(f"a network of {front} is all, or a number from 1 to {len(found)}", got=network)
    width = len(str(len(found)))
    for number, (architecture, predicted) in enumerate(found, start=1):
        if network in ("all", str(number)):
            stem = folder / f"network-{number:0{width}}"
            paths = export_network(space, architecture, stem, wanted, weights_from=run, predicted=predicted)
            click.echo(", ".join(str(path) for path in paths))
    if run is None:
        click.echo("weights are random: name a run with --weights-from for trained ones")


COMMANDS = (export,)
