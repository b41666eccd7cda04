"""Shell completion: the command that prints the script, and the names that complete arguments.

A shell asks at every press of the tab key: only names are read, and no cell of a space, no backend and no torch is imported.
"""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem, get_completion_class

SHELLS = ("bash", "zsh", "fish")
PROGRAM, VARIABLE = "donna-hw", "_DONNA_HW_COMPLETE"


def complete_recipes(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Return the user's and the shipped recipes that begin so, or files."""
    return _complete_resource("recipes", incomplete)


def complete_devices(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Return the devices that begin so, or files."""
    return _complete_resource("devices", incomplete)


def complete_spaces(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Return the spaces that begin so, those of other packages too, or files."""
    from donna_hw.spaces import list_spaces

    return _complete(list_spaces(), incomplete)


def _complete_resource(kind: str, incomplete: str) -> list[CompletionItem[str]]:
    from donna_hw._core.resources import resource_names

    return _complete(resource_names(kind), incomplete)


def _complete(names: list[str], incomplete: str) -> list[CompletionItem[str]]:
    """Return the names that begin so; where there is none, the shell completes files."""
    items = [CompletionItem(name) for name in names if name.startswith(incomplete)]
    return items or [CompletionItem(incomplete, type="file")]


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    bash, in ~/.bashrc: eval "$(donna-hw completion bash)"; zsh, in ~/.zshrc: the same with zsh; fish: donna-hw completion fish | source
    """
    shell_class = get_completion_class(shell)
    if shell_class is None:
        raise click.UsageError(f"click cannot complete for {shell}")
    group = click.get_current_context().find_root().command
    click.echo(shell_class(group, {}, PROGRAM, VARIABLE).source())
