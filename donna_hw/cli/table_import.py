"""Commands that read the numbers of others: `donna-hw table import`."""

from __future__ import annotations

from pathlib import Path

import click

from donna_hw.cli import completion as completing

SOURCE = click.argument("source", type=click.Path(exists=True, path_type=Path))
OUT = click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder to write to: DEVICE/SPACE/ below it.",
)


@click.group("import")
def import_() -> None:
    """Read measured networks or latency tables of others; docs/importing.md says what of each format.

    What a file does not say is asked for, and what is not known is refused.
    """


@import_.command("help")
@SOURCE
@OUT
@click.option("--device", "devices", multiple=True, help="HELP's name of a device, such as v100_32; all without it.")
def help_(source: Path, out: Path, devices: tuple[str, ...]) -> None:
    """Read whole networks that HELP measured: its folder data/fbnet or data/ofa, or an .npz of the same numbers."""
    from donna_hw.tables.importers.help import read_help
    from donna_hw.tables.network_measurements import NETWORKS_SUFFIX

    data = read_help(source, devices)
    for device in data.seconds:
        found = data.for_device(device)
        variant = f"help-b{found.metadata['batch']}" if "batch" in found.metadata else "help"
        path = out / found.device / found.space.name / f"{variant}{NETWORKS_SUFFIX}"
        found.write(path)
        click.echo(f"{path}: {len(found.seconds)} networks, measured, in seconds (the file's ms times 0.001)")
    click.echo(f"license: {found.metadata['license']}; keep this line with the data")


DEVICE = click.option(
    "--device", required=True, help="Name of the device that the times are of; the file does not say."
)


def _add_lookup_command(kind: str, words: str) -> None:
    @import_.command(kind, help=f"Read a latency table of {words}: a YAML of layers, into a table of a space.")
    @SOURCE
    @OUT
    @DEVICE
    @click.option(
        "--space",
        "space_name",
        required=True,
        shell_complete=completing.spaces,
        help="The space, with its resolution: ofa_mobilenetv3@224px.",
    )
    @click.option("--unit", required=True, help="Unit of the file's times, s, ms or us, which it does not say.")
    def command(source: Path, out: Path, device: str, space_name: str, unit: str) -> None:
        from donna_hw.spaces import load_space
        from donna_hw.tables.importers.lookup_yaml import LookupTable

        table = LookupTable.read(source, kind, unit).to_table(load_space(space_name), device, out)
        used = table.info.conditions["layers_used"]
        click.echo(
            f"{table.path}: {len(table.frame)} rows of {used} layers, published, in seconds; the file's were taken as {unit}"
        )


_add_lookup_command("ofa", "Once-for-All")
_add_lookup_command("proxylessnas", "ProxylessNAS")
