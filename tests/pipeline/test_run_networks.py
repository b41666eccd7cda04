"""Which networks a run trains: drawn by its seed, all different, of trained blocks only."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_run import RECIPE

from donna_hw.errors import ConfigError
from donna_hw.graph.graph import layers_hash
from donna_hw.pipeline.recipe import Recipe
from donna_hw.pipeline.recipe_schema import LibraryConfig
from donna_hw.pipeline.run import Run
from donna_hw.pipeline.sampling import LATENCY_TEST, LIBRARY, extra_rows, library_rows, random_rows, stratified_rows
from donna_hw.training.block_metrics import JOINT_METRICS, METRICS, gather_qualities
from donna_hw.training.executors import ProcessExecutor

Diverged = set[tuple[str, int]]


def run_with(folder: Path, diverged: Diverged, library: LibraryConfig) -> Run:
    """Return a run whose Block Library records of each block whether it diverged; nothing is trained."""
    (folder / "r.toml").write_text(RECIPE)
    recipe = Recipe.read(folder / "r.toml").model_copy(update={"library": library})
    run = Run(recipe, folder, ProcessExecutor(1))
    for stage in run.space.stages:
        for m in range(stage.size):
            bad = (stage.name, m) in diverged
            run.blocks.journal.append(
                {
                    "stage": stage.name,
                    "block": stage.label(m),
                    "layers_hash": layers_hash(run.space.block_graph(stage, m)),
                    "status": "diverged" if bad else "trained",
                    **dict.fromkeys(METRICS, "nan" if bad else "0.5"),
                    "train_s": "1",
                }
            )
    return run


def tuples(rows: np.ndarray) -> list[tuple[int, ...]]:
    return [tuple(row) for row in rows.tolist()]


def test_the_library_begins_with_both_corners_and_shares_no_network_with_the_test(tmp_path: Path) -> None:
    run = run_with(tmp_path, set(), LibraryConfig(networks=40, test_networks=30))
    library, test = library_rows(run)
    assert (len(library), len(test)) == (40, 30)
    assert len({*tuples(library), *tuples(test)}) == 70
    assert set(tuples(library)[:2]) == {run.space.reference.blocks, (0, 0, 0)}
    assert [part.tolist() for part in library_rows(run)] == [library.tolist(), test.tolist()]


def test_without_corners_all_networks_are_drawn(tmp_path: Path) -> None:
    run = run_with(tmp_path, set(), LibraryConfig(networks=10, corners=False))
    drawn = tuples(random_rows(run, LIBRARY, 12))
    assert tuples(library_rows(run)[0]) == drawn[:10]


@pytest.mark.parametrize("corner", ["smallest", "reference"])
def test_no_network_of_the_library_holds_a_diverged_block_not_even_a_corner(tmp_path: Path, corner: str) -> None:
    number = 0 if corner == "smallest" else 23
    run = run_with(tmp_path, {("stage2", number), ("stage1", 7)}, LibraryConfig(networks=40, test_networks=30))
    rows = np.concatenate(library_rows(run))
    assert len(set(tuples(rows))) == 70
    assert np.isfinite(gather_qualities(run.blocks.qualities(), rows)).all()


def test_too_many_diverged_blocks_are_said_to_be_so(tmp_path: Path) -> None:
    run = run_with(tmp_path, {("stage2", m) for m in range(24)}, LibraryConfig(networks=5))
    with pytest.raises(
        ConfigError, match=r"free of diverged blocks, 7 are needed; got 0; lower distill\.learning_rate"
    ):
        library_rows(run)


def test_a_few_good_networks_among_diverged_ones_are_found(tmp_path: Path) -> None:
    """One block of 24 is left in a stage: 576 networks, enough for a library of 20."""
    run = run_with(tmp_path, {("stage2", m) for m in range(23)}, LibraryConfig(networks=20))
    rows, _ = library_rows(run)
    assert set(rows[:, 1].tolist()) == {23}
    assert len(set(tuples(rows))) == 20


def test_every_purpose_has_its_own_networks_and_every_seed_too(tmp_path: Path) -> None:
    run = run_with(tmp_path, set(), LibraryConfig(networks=5))
    draws = [tuples(random_rows(run, stream, 20)) for stream in (LATENCY_TEST, LIBRARY)]
    assert len({tuple(draw) for draw in draws}) == 2
    assert tuples(random_rows(run, LATENCY_TEST, 20)) == draws[0]
    other = replace(run, recipe=run.recipe.model_copy(update={"seed": 4}))
    assert tuples(random_rows(other, LATENCY_TEST, 20)) != draws[0]


def tell_apart(run: Run) -> None:
    """Give every block qualities of its own; equal ones tell nothing apart."""
    path, rng = run.blocks.journal.path, np.random.default_rng(0)
    path.write_text(re.sub(r"\b0\.5\b", lambda _: f"{rng.uniform(0.05, 1):.4f}", path.read_text()))


@pytest.mark.long
def test_the_choice_of_networks_changes_no_test_network(tmp_path: Path) -> None:
    library = LibraryConfig(networks=12, test_networks=30, stratified_networks=6, predictor="saturating")
    (tmp_path / "one").mkdir()
    run = run_with(tmp_path / "one", {("stage1", 7)}, library)
    tell_apart(run)
    chosen = replace(
        run, recipe=run.recipe.model_copy(update={"library": library.model_copy(update={"choice": "d_optimal"})})
    )
    (drawn, test), (telling, same) = library_rows(run), library_rows(chosen)
    assert test.tolist() == same.tolist()
    assert stratified_rows(run).tolist() == stratified_rows(chosen).tolist()
    assert tuples(telling)[:2] == tuples(drawn)[:2]  # the corners
    assert len(set(tuples(telling))) == 12
    assert not set(tuples(telling)) & {*tuples(test), *tuples(stratified_rows(run))}
    assert np.isfinite(gather_qualities(run.qualities(), telling)).all()
    logs = [-np.log(gather_qualities(run.qualities(), rows)) for rows in (drawn, telling)]
    spread_of = [np.linalg.slogdet(np.cov(each.T))[1] for each in logs]
    assert spread_of[1] > spread_of[0]


def test_extra_networks_come_one_after_another_and_none_is_known(tmp_path: Path) -> None:
    """More of them only come after fewer, whatever the predictor reads; none tests it, none is in the library."""
    library = LibraryConfig(networks=12, test_networks=30, stratified_networks=6, extra_networks=8)
    run = run_with(tmp_path, {("stage1", 7)}, library)
    tell_apart(run)

    def with_part(**changed: object) -> Run:
        return replace(run, recipe=run.recipe.model_copy(update={"library": library.model_copy(update=changed)}))

    found = extra_rows(run)
    assert len(found) == len(set(tuples(found))) == 8
    known = [*library_rows(run), stratified_rows(run)]
    assert not set(tuples(found)) & {row for rows in known for row in tuples(rows)}
    assert np.isfinite(gather_qualities(run.qualities(), found)).all()
    assert extra_rows(with_part(extra_networks=5)).tolist() == found[:5].tolist()
    assert extra_rows(with_part(quality="nsr")).tolist() == found.tolist()
    assert extra_rows(with_part(extra_networks=0)).shape == (0, 3)
    with pytest.raises(ConfigError, match=r"extra_networks must be at most .* got 5000; ask for \d+ or fewer"):
        extra_rows(with_part(extra_networks=5000))


def test_extra_networks_tell_more_than_as_many_by_chance(tmp_path: Path) -> None:
    run = run_with(tmp_path, set(), LibraryConfig(networks=12, extra_networks=12))
    tell_apart(run)
    library, qualities = library_rows(run)[0], run.blocks.qualities(JOINT_METRICS)
    told = [
        np.linalg.slogdet(np.cov(np.log(gather_qualities(qualities, rows)).reshape(24, -1).T) + 1e-6 * np.eye(12))[1]
        for rows in (np.concatenate([library, more]) for more in (extra_rows(run), random_rows(run, LATENCY_TEST, 12)))
    ]
    assert told[0] > told[1]
