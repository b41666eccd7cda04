"""The paper's map: nothing of the paper is left out, commands and recipes exist, and our numbers are on the linked pages."""

from __future__ import annotations

import re

import click
import pytest
from pages import ROOT

from donna_hw._core.resources import resource_names
from donna_hw.cli import cli

DOCS = ROOT / "docs"
PAGE = (DOCS / "paper.md").read_text(encoding="utf-8")
SECTIONS = ("3, ", "4.1.2", "4.2", *(f"A.{number}" for number in range(1, 7)), *"BCDEF")


def rows(part: str) -> list[list[str]]:
    """Return the cells of a part's table, without its head."""
    text = PAGE.split(f"## {part}\n")[1].split("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def numbered(cells: list[list[str]]) -> list[int]:
    """Return the numbers of a first column such as `16` or `1, 2`."""
    return [int(number) for row in cells for number in row[0].split(", ")]


def test_every_section_table_and_figure_has_a_row() -> None:
    first = [row[0] for row in rows("Sections")]
    for section in SECTIONS:
        assert any(name.startswith(section) for name in first), section
    assert numbered(rows("Tables")) == list(range(1, 9))
    assert sorted(numbered(rows("Figures"))) == list(range(1, 23))


def test_every_command_and_recipe_of_it_exists() -> None:
    for words in re.findall(r"`donna-hw ((?:study |plot |table |phone )?[\w-]+)", PAGE):
        command: click.Command = cli
        for word in words.split():
            assert isinstance(command, click.Group), words
            assert word in command.commands, words
            command = command.commands[word]
    for recipe in re.findall(r"recipes/(\w+)\.toml|(imagenet_\w+)`", PAGE):
        assert (recipe[0] or recipe[1]) in resource_names("recipes")
    for script in re.findall(r"`python (\S+)`", PAGE):
        assert (ROOT / script).is_file()


@pytest.mark.parametrize("part", ["Sections", "Tables", "Figures"])
def test_our_numbers_are_on_the_linked_pages(part: str) -> None:
    for row in rows(part):
        ours, pages = row[-1], re.findall(r"\]\(([^)#]+)", row[-1])
        linked = " ".join((DOCS / page).read_text(encoding="utf-8") for page in pages)
        for number in re.findall(r"\d+\.\d+(?:e-\d+)?", re.sub(r"\]\([^)]*\)", "", ours)):
            assert number in linked, f"{row[0]}: {number}"
