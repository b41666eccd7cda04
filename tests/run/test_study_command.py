"""The study of a run, from the command line."""

from __future__ import annotations

import numpy as np
from tiny_run import Main, TinyRun

from donna_hw.libraries import ArchitectureLibrary
from donna_hw.spaces import load_space
from donna_hw.study.evidence import group_of

SPACE = load_space("small_8px")


def test_a_study_without_test_networks_says_what_to_set(broken: TinyRun, main: Main) -> None:
    broken.folder.rename(broken.recipe.parent / broken.recipe.stem)
    code, _, error = main("study", broken.recipe, "--runs", broken.recipe.parent)
    assert code == 2
    assert "library.test_networks" in error


def test_a_study_is_written_from_the_libraries(broken: TinyRun, main: Main) -> None:
    """The networks to judge by are made: their finetuning is what other tests are about."""
    library = ArchitectureLibrary(broken.folder / "architecture_library", SPACE)
    rng = np.random.default_rng(0)
    known = library.journal.records()[0]
    rows = SPACE.random_rows(12, rng)
    for row in rows:
        name = library.name(SPACE.architecture(row))
        for seed in (3, 4):
            made = {"role": "test", "network": name, "seed": str(seed), "top1_percent": f"{rng.uniform(20, 60):.4f}"}
            library.journal.append(known | made)
    group = group_of(library, "test")
    assert group.by_seed.shape == (12, 2)
    assert sorted(map(tuple, group.rows)) == sorted(map(tuple, rows))
    folder = broken.recipe.parent / broken.recipe.stem
    broken.folder.rename(folder)
    summary = broken.recipe.parent / "page.md"
    code, out, error = main("study", broken.recipe, "--runs", folder.parent, "--draws", 2, "--summary", summary)
    assert code == 0, error
    assert out == summary.read_text() == (folder / "study.md").read_text()
    assert "## 12 networks drawn uniformly" in out
    for part in ("tables 4 and 5", "table 6", "table 8", "sum of NSR", "noise ceiling", "MISSED"):
        assert part in out
