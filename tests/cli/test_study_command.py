"""The study of a run, from the command line."""

from __future__ import annotations

import numpy as np
import pandas as pd
from tiny_run import Main, TinyRun

from donna_hw.experiments.front_benchmark.benchmark import scaled_rows
from donna_hw.experiments.predictor_study.data import load_group
from donna_hw.spaces import load_space
from donna_hw.training.libraries import ArchitectureLibrary

SPACE = load_space("small_8px")


def test_a_study_without_test_networks_says_what_to_set(broken: TinyRun, main: Main) -> None:
    broken.folder.rename(broken.recipe.parent / broken.recipe.stem)
    code, _, error = main("study", "predictor", broken.recipe, "--runs", broken.recipe.parent)
    assert code == 2
    assert "library.test_networks" in error


def test_a_study_is_written_from_the_libraries(broken: TinyRun, main: Main) -> None:
    """Most networks to judge by are made, three are finetuned here as the recipe asks."""
    library = ArchitectureLibrary(broken.folder / "architecture_library", SPACE)
    rng = np.random.default_rng(0)
    known = library.journal.records()[0]
    rows = SPACE.random_rows(12, rng)
    for row in rows:
        name = library.name(SPACE.architecture(row))
        for seed in (3, 4):
            made = {"role": "test", "network": name, "seed": str(seed), "top1_percent": f"{rng.uniform(20, 60):.4f}"}
            library.journal.append(known | made)
    group = load_group(library, "test")
    assert group.by_seed.shape == (12, 2)
    assert sorted(map(tuple, group.rows)) == sorted(map(tuple, rows))
    folder = broken.recipe.parent / broken.recipe.stem
    text = broken.recipe.read_text().replace("[library]\n", "[library]\ntest_networks = 3\n")
    broken.recipe.write_text(text)
    (broken.folder / "recipe.toml").unlink()
    broken.folder.rename(folder)
    summary = broken.recipe.parent / "page.md"
    code, out, error = main(
        "study", "predictor", broken.recipe, "--runs", folder.parent, "--draws", 2, "--summary", summary
    )
    assert code == 0, error
    assert out == summary.read_text() == (folder / "study.md").read_text()
    assert "## 15 networks drawn uniformly" in out
    for part in (
        "tables 4 and 5",
        "table 6",
        "table 8",
        "sum of NSR",
        "noise ceiling",
        "MISSED",
        "decoupled: one axis",
    ):
        assert part in out


def test_a_front_benchmark_compares_networks_of_equal_latency(broken: TinyRun, main: Main) -> None:
    """Whether the front wins is not asserted: three epochs on a hundred images say nothing of it."""
    broken.recipe.write_text(
        broken.recipe.read_text() + "\n[front_benchmark]\nlevels = 2\nseeds = 2\ntries = 6\ntolerance = 0.2\n"
    )
    code, out, error = main(
        "study", "front", broken.recipe, "--out", broken.folder, "--summary", broken.folder / "page.md"
    )
    assert code == 0, error
    assert out == (broken.folder / "page.md").read_text() == (broken.folder / "front_benchmark.md").read_text()
    found = pd.read_csv(broken.folder / "front_benchmark.csv")
    assert {"front", "scaled"} <= set(found["role"])
    assert (found["seeds_percent"].str.split().map(len) == 2).all()
    by_role = {role: lines.set_index("level")["measured_s"] for role, lines in found.groupby("role")}
    for level, latency in by_role["front"].items():
        if level in by_role.get("random", {}):
            assert abs(by_role["random"][level] / latency - 1) <= 0.2
        if level in by_role["scaled"]:
            assert by_role["scaled"][level] <= latency * 1.2
    scaled = found.loc[found["role"] == "scaled", "network"].str.split("/")
    assert scaled.map(lambda labels: len(set(labels)) == 1).all()
    assert "Front minus scaled: " in out


def test_scaled_teachers_are_of_one_kind_throughout() -> None:
    rows = scaled_rows(SPACE)
    assert len(rows) == SPACE.stages[0].size
    assert all(len(set(row)) == 1 for row in rows.tolist())
