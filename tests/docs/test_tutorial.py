"""The tutorial runs as printed, in an empty folder; so do the README's examples."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest
from pages import ROOT, Fenced, blocks, run

from donna_hw import Recipe

PAGE = ROOT / "docs" / "tutorial.md"
LIMIT_S = 240.0  # processor time of all processes: three minutes, and a third more for a machine whose cores share their caches


def test_its_first_steps_make_a_space_of_the_readers_model(tmp_path: Path) -> None:
    printed = [run(block, tmp_path) for block in blocks(PAGE)[:3]]
    assert "donna-hw" in printed[0]
    assert printed[2].splitlines()[-1] == "289 networks"


@pytest.mark.long
def test_the_whole_of_it_ends_with_a_report_and_an_exported_network(tmp_path: Path) -> None:
    before = os.times()
    printed = [run(block, tmp_path) for block in blocks(PAGE)]
    assert "Kendall tau" in printed[-2]
    assert (tmp_path / "runs" / "my_recipe" / "report.html").stat().st_size > 10_000
    front = pd.read_csv(tmp_path / "front.csv")
    assert len(front) > 1
    [exported] = (tmp_path / "found").glob("*.onnx")
    assert exported.stat().st_size > 1000
    after = os.times()
    spent_s = after.children_user + after.children_system - before.children_user - before.children_system
    assert spent_s < LIMIT_S


def test_only_the_installation_is_not_run() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text.count("<!-- not run") == 1
    assert not [block for block in blocks(PAGE) if "pip install" in block.text]


@pytest.mark.long
def test_the_quick_start_of_the_readme_makes_a_table_and_a_recipe(tmp_path: Path) -> None:
    """All but its first line, which installs, and its last, which the tutorial's run covers."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    page = tmp_path / "page.md"
    page.write_text(text[text.index("## A model of your own") : text.index("## What it does")], encoding="utf-8")
    model, commands = blocks(page)
    run(model, tmp_path)
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    install, profile, recipe, whole = commands.text.splitlines()
    assert install.startswith("make setup")
    assert whole.startswith("donna-hw run my_recipe.toml ")
    printed = run(Fenced("sh", "", f"{profile}\n{recipe}\n"), tmp_path)
    assert "latency_tables/onnxruntime_cpu/mine/" in printed
    assert Recipe.read(tmp_path / "my_recipe.toml").space == "my_model.py:space"


def test_the_ten_lines_of_the_readme_print_what_it_shows(tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    page = tmp_path / "page.md"
    page.write_text(text[text.index("## Ten lines") : text.index("## A model of your own")], encoding="utf-8")
    code, printed = blocks(page)
    assert run(code, tmp_path) == printed.text
