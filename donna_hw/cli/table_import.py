"""Commands that import measurements of other projects: `donna-hw table import`."""

from __future__ import annotations

from pathlib import Path

import click

from donna_hw.cli.options import TABLES, TIME_UNITS, space_option

SOURCE = click.argument("source", type=click.Path(exists=True, path_type=Path))


@click.group("import")
def import_() -> None:
    """Import measured networks or latency tables of other projects.

    docs/importing.md describes each format. What a file does not state must be given as an option.
    """


@import_.command("help")
@SOURCE
@TABLES
@click.option(
    "--device", "devices", multiple=True, help="HELP's name of a device, such as v100_32; by default all devices."
)
def help_(source: Path, tables: Path, devices: tuple[str, ...]) -> None:
    """Import whole networks that HELP measured.

    SOURCE is its folder data/fbnet or data/ofa, or an .npz of the same numbers.
    """
    from donna_hw.tables.importers.help import read_help
    from donna_hw.tables.network_measurements import NETWORKS_SUFFIX

    data = read_help(source, devices)
    for device in data.seconds:
        networks = data.for_device(device)
        variant = f"help-b{networks.metadata['batch']}" if "batch" in networks.metadata else "help"
        path = tables / networks.device / networks.space.name / f"{variant}{NETWORKS_SUFFIX}"
        networks.write(path)
        click.echo(f"{path}: {len(networks.seconds)} networks, measured, in seconds (the file's ms times 0.001)")
    click.echo(f"license: {networks.metadata['license']}; keep this line with the data")


def _add_lookup_command(file_format: str, project: str) -> None:
    @import_.command(file_format, help=f"Import a latency table of {project}, a YAML of layers.")
    @SOURCE
    @TABLES
    @click.option("--device", required=True, help="Name of the measured device, which the file does not state.")
    @space_option("The space with its resolution, such as ofa_mobilenetv3@224px.")
    @click.option(
        "--unit",
        type=click.Choice(TIME_UNITS),
        required=True,
        help="Unit of the file's times, which it does not state.",
    )
    def command(source: Path, tables: Path, device: str, space: str, unit: str) -> None:
        from donna_hw.spaces import load_space
        from donna_hw.tables.importers.lookup_yaml import LookupTable

        table = LookupTable.read(source, file_format, unit).to_table(load_space(space), device, tables)
        used = table.info.conditions["layers_used"]
        click.echo(
            f"{table.path}: {len(table.frame)} rows of {used} layers, published, in seconds; the file's times were read as {unit}"
        )


_add_lookup_command("ofa", "Once-for-All")
_add_lookup_command("proxylessnas", "ProxylessNAS")
