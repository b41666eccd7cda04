"""Every `donna-hw` command line of a page names a command that exists, with options that it has."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from paths import ROOT

from donna_hw.cli import cli

FENCE = re.compile(r"^ *```(?:sh|text)?\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(donna-hw [^`]+)`")
PAGES = sorted(
    [
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "recipes/README.md", "devices/README.md")),
        *(ROOT / name for name in ("latency_tables/README.md", "runners/README.md")),
        *(ROOT / "recipes").glob("*.toml"),
        *(ROOT / "examples").glob("*.*"),
    ]
)


def command_lines(text: str) -> Iterator[str]:
    """Yield the `donna-hw` commands of a page, in its shell blocks and in its sentences."""
    for block in FENCE.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            if line.strip().startswith("donna-hw "):
                yield line
    yield from (" ".join(line.split()) for line in INLINE.findall(FENCE.sub("", text)))


def check(line: str) -> None:
    """Raise AssertionError where a command or an option of a line does not exist."""
    words = shlex.split(line.replace("...", ""), comments=True)[1:]
    command: click.Command = cli
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name = words.pop(0)
        if name.isupper():  # a placeholder
            return
        names = name.split("|")
        assert set(names) <= set(command.commands), f"{line}: no command {name!r}"
        command = command.commands[names[0]]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    for word in words:
        if word in ("|", ">", "&&", ";"):
            return
        if word.startswith("--"):
            assert word.split("=")[0] in {*known, "--help", "--version"}, f"{line}: no option {word!r}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_commands_of_a_page_exist(page: Path) -> None:
    for line in command_lines(page.read_text(encoding="utf-8")):
        check(line)


@pytest.mark.parametrize("line", ["donna-hw nothing", "donna-hw run digits --nothing", "donna-hw table nothing A"])
def test_a_wrong_line_is_found(line: str) -> None:
    with pytest.raises(AssertionError, match=r"no (command|option)"):
        check(line)
