"""A run that extends another: what it takes over, and which networks it judges the unchanged predictor by."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from donna_hw._core.toml_files import write_toml
from donna_hw.errors import ConfigError, FileFormatError
from donna_hw.pipeline.recipe import Recipe, base_path, first_difference
from donna_hw.pipeline.run_directory import RunFolder
from donna_hw.pipeline.sampling import random_rows
from donna_hw.spaces import load_space
from donna_hw.spaces.extend import find_new_blocks
from donna_hw.spaces.mixed_precision import PRECISION_AXIS
from donna_hw.spaces.space import Rows
from donna_hw.training.libraries import ArchitectureLibrary, BlockLibrary

EXTENDED = 8  # a stream of randomness, beside those of `rows`
SHARED_SECTIONS = ("data", "reference", "distill", "finetune")


def extended_recipe_path(run: RunFolder, path: Path) -> Path:
    """Return the recipe that the recipe at `path` extends; raises `ConfigError` where it extends none."""
    if run.recipe.extends is None:
        raise ConfigError(f"{path} must extend another recipe", got="no [extends]", hint="name it: extends.recipe")
    return base_path(run.recipe.extends, path)


def base_folder(run: RunFolder) -> Path:
    """Return the folder of the run that a run extends."""
    part = run.recipe.extends
    assert part is not None  # noqa: S101  only such runs are asked
    return Path(part.run) if part.run else run.folder.parent / Path(part.recipe).stem


def base_run(run: RunFolder) -> RunFolder:
    """Return the run that a run extends; raises `FileFormatError` where it has not come as far as its predictor."""
    part = run.recipe.extends
    assert part is not None  # noqa: S101  only such runs are asked
    folder = base_folder(run)
    for needed in ("recipe.toml", "predictor.toml"):
        if not (folder / needed).exists():
            raise FileFormatError(
                f"{folder} must hold the run of {part.recipe}, up to its predictor",
                got=f"no {needed}",
                hint=f"donna-hw finetune {part.recipe}, then donna-hw fit {part.recipe}; or name its folder: extends.run",
            )
    return replace(run, recipe=Recipe.read(folder / "recipe.toml"), folder=folder)


def copy_base_run(run: RunFolder) -> None:
    """Copy, once, the other run's reference, blocks, finetuned networks of role `library` and predictor into a run's folder.

    Raises `ConfigError` where the space lacks a block of the other's, or the other was trained by other settings.
    """
    done = run.folder / "extends.toml"
    if done.exists():
        return
    base = base_run(run)
    mine, its = ({key: getattr(one.recipe, key).model_dump() for key in SHARED_SECTIONS} for one in (run, base))
    difference = first_difference(its | {"seed": base.recipe.seed}, mine | {"seed": run.recipe.seed})
    if difference:
        key, old, new = difference
        raise ConfigError(
            f"{base.folder} holds a run with {key} = {old!r}", got=new, hint="extend a run of these settings"
        )
    find_new_blocks(base.space, run.space)
    for name in ("reference", "block_library"):
        shutil.copytree(base.folder / name, run.folder / name, dirs_exist_ok=True)
    BlockLibrary(run.folder / "block_library", base.space).qualities()  # every block of the other's is there
    library = ArchitectureLibrary(run.folder / "architecture_library", run.space)
    known = library.recorded_networks("library")
    for network in base.architectures.networks("library"):
        same = run.space.architecture_from_labels(base.space.labels(network.architecture))
        if (same, network.seed) not in known:
            library.add(replace(network, architecture=same))
    shutil.copy2(base.folder / "predictor.toml", run.folder / "predictor.toml")
    write_toml(done, {"run": str(base.folder), "space": base.recipe.space, "title": base.recipe.title})


def num_test_networks(run: RunFolder) -> int:
    """Return how many networks with new blocks a run judges the predictor by."""
    assert run.recipe.extends is not None  # noqa: S101  only such runs are asked
    return run.recipe.extends.test_networks or run.recipe.library.test_networks


def extended_rows(run: RunFolder) -> Rows:
    """Return the test networks of a run that extends another, int [n, stages]: drawn uniformly of those with a new block.

    Where the new blocks are 8-bit ones they are the other run's test networks, each block in float32 or INT8 by chance: only networks that
    are finetuned already can be quantised for nothing.
    """
    if all(PRECISION_AXIS in stage.axes for stage in run.space.stages):
        return _mixed_rows(run)
    base, count = load_space(base_run(run).recipe.space), num_test_networks(run)
    new = find_new_blocks(base, run.space)
    drawn = random_rows(run, EXTENDED, min(8 * count, run.space.size // 2))
    rows = drawn[count_new_blocks(new, drawn) > 0][:count]
    if len(rows) < count:
        rule = "extends.test_networks must be at most the networks with a new block that were drawn"
        raise ConfigError(rule, got=count, hint=f"ask for {len(rows)} or fewer")
    return np.asarray(rows)


def _mixed_rows(run: RunFolder) -> Rows:
    base, rng = base_run(run), np.random.default_rng([run.recipe.seed, EXTENDED])
    rows, _ = base.architectures.targets("test", at_least=1)
    count = num_test_networks(run)
    if len(rows) < count:
        rule = (
            "extends.test_networks must be at most the test networks of the run that is extended, which are quantised"
        )
        raise ConfigError(rule, got=count, hint=f"ask for {len(rows)} or fewer, or finetune more there")
    rows = rows[:count]
    kinds = rng.integers(0, 2, (1000 + 4 * count, len(run.space.stages)))
    kinds = kinds[kinds.any(axis=1)][: len(rows)]  # one 8-bit block at least
    names = np.array(["", "-int8"])[kinds]
    labels = np.array([list(base.space.labels(base.space.architecture(row)).values()) for row in rows]).astype(object)
    stages = [stage.name for stage in run.space.stages]
    found = [
        run.space.architecture_from_labels(dict(zip(stages, each, strict=True)))
        for each in labels + names.astype(object)
    ]
    return np.array([run.space.row(network) for network in found])


def count_new_blocks(new: tuple[tuple[bool, ...], ...], rows: Rows) -> np.ndarray:
    """Return how many new blocks each network has, int [n]; new: bool [stage][block]."""
    each = [np.array(blocks)[rows[:, stage]] for stage, blocks in enumerate(new)]
    return np.asarray(np.stack(each, axis=1).sum(axis=1))
