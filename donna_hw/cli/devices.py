"""The command that lists devices."""

from __future__ import annotations

import click


@click.command()
def devices() -> None:
    """List devices, whether they work here, and attached phones."""
    from donna_hw.reporting.text.devices import format_attached_phones, format_devices

    click.echo(format_devices())
    click.echo(f"\n{format_attached_phones()}")
