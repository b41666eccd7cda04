"""Shell completion: the command that prints the script, and the names that arguments are completed by.

A shell asks at every press of the tab key: only names are read, and neither a space's cells, a backend nor torch is imported.
"""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem, get_completion_class

SHELLS = ("bash", "zsh", "fish")
PROGRAM, VARIABLE = "donna-hw", "_DONNA_HW_COMPLETE"


def recipes(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Return shipped recipes and one's own, then files."""
    return _complete_resource("recipes", incomplete)


def devices(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Return devices, then files."""
    return _complete_resource("devices", incomplete)


def spaces(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Return spaces, those of other packages too, then files."""
    from donna_hw.spaces import list_spaces

    return _items(list_spaces(), incomplete)


def _complete_resource(kind: str, incomplete: str) -> list[CompletionItem[str]]:
    from donna_hw._core.resources import resource_names

    return _items(resource_names(kind), incomplete)


def _items(names: list[str], incomplete: str) -> list[CompletionItem[str]]:
    """Return the names that go on so; where there is none, the shell's own files."""
    found = [CompletionItem(name) for name in names if name.startswith(incomplete)]
    return found or [CompletionItem(incomplete, type="file")]


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the script that completes commands, options and names in SHELL.

    bash, in ~/.bashrc: eval "$(donna-hw completion bash)"; zsh, in ~/.zshrc, the same with zsh; fish: donna-hw completion fish | source
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"click knows no completion for {shell}")
    group = click.get_current_context().find_root().command
    click.echo(kind(group, {}, PROGRAM, VARIABLE).source())


COMMANDS = (completion,)
