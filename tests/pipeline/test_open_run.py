"""Where a run lies and what repeats it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_run import RECIPE

from donna_hw.errors import ConfigError
from donna_hw.pipeline.run import open_run


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tiny.toml").write_text(RECIPE)


def test_a_run_lies_in_a_folder_of_its_recipes_name() -> None:
    with open_run("tiny.toml") as run:
        assert run.folder == Path("runs/tiny")
        assert run.recipe.seed == 3
        assert run.command == "donna-hw run tiny.toml"


def test_a_page_for_others_names_no_folder_of_this_machine(tmp_path: Path) -> None:
    with open_run(str(tmp_path / "tiny.toml")) as run:
        assert run.command == "donna-hw run recipes/tiny.toml"


def test_another_seed_is_another_run_with_a_folder_and_a_command_of_its_own() -> None:
    with open_run("tiny.toml", seed=5) as run:
        assert run.folder == Path("runs/tiny-seed5")
        assert run.recipe.seed == 5
        assert run.command == "donna-hw run tiny.toml --seed 5"
    with pytest.raises(ConfigError, match="seed = 5"), open_run("tiny.toml", out=Path("runs/tiny-seed5")):
        pass


def test_a_folder_that_is_older_than_a_key_of_recipes_has_its_default() -> None:
    with open_run("tiny.toml") as run:
        kept = run.folder / "recipe.toml"
    assert 'choice = "uniform"\n' in kept.read_text()
    kept.write_text(kept.read_text().replace('choice = "uniform"\n', ""))
    with open_run("tiny.toml") as run:
        assert run.recipe.library.choice == "uniform"
    Path("tiny.toml").write_text(RECIPE.replace("[library]\n", '[library]\nchoice = "d_optimal"\n'))
    with pytest.raises(ConfigError, match=r"library\.choice = 'uniform'.*got 'd_optimal'"), open_run("tiny.toml"):
        pass
