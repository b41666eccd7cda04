"""The command that lists search spaces, or shows one."""

from __future__ import annotations

import click

from donna_hw.cli.shell_completion import complete_spaces


@click.command()
@click.argument("space", metavar="[SPACE]", required=False, shell_complete=complete_spaces)
def spaces(space: str | None) -> None:
    """List the search spaces, or show one in detail.

    Without SPACE, all spaces with their sizes. With it, the stages, axes, blocks, shapes and fixed parts of that space, and the
    operations and parameters of its smallest, reference and largest network. A name may end with @160px, for other images, and with
    @10classes, for another classifier; FILE.py:FUNCTION is a space of your own. Every command takes these names.
    """
    from donna_hw.reporting.text.spaces import format_space, format_spaces
    from donna_hw.spaces import load_space

    click.echo(format_spaces() if space is None else format_space(load_space(space)))
