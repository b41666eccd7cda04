"""A run that extends another: what it takes from that run, and which networks test the unchanged predictor."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from donna_hw._core.toml_files import write_toml
from donna_hw.errors import ConfigError, FileFormatError
from donna_hw.pipeline.recipe import Recipe, base_path, first_difference
from donna_hw.pipeline.run import Run
from donna_hw.pipeline.sampling import random_rows
from donna_hw.spaces import load_space
from donna_hw.spaces.extend import find_new_blocks
from donna_hw.spaces.mixed_precision import PRECISION_AXIS
from donna_hw.spaces.space import Rows
from donna_hw.training.libraries import ArchitectureLibrary, BlockLibrary

EXTENDED = 8  # a stream of random numbers, next to those of `sampling`
SHARED_SECTIONS = ("data", "reference", "distill", "finetune")


def extended_recipe_path(run: Run, path: Path) -> Path:
    """Return the recipe that the recipe at `path` extends; raises `ConfigError` where it extends none."""
    if run.recipe.extends is None:
        raise ConfigError(f"{path} extends no other recipe", hint="name one by extends.recipe")
    return base_path(run.recipe.extends, path)


def base_folder(run: Run) -> Path:
    """Return the folder of the run that a run extends."""
    config = run.recipe.extends
    assert config is not None  # noqa: S101  called for such runs only
    return Path(config.run) if config.run else run.folder.parent / Path(config.recipe).stem


def base_run(run: Run) -> Run:
    """Return the run that a run extends; raises `FileFormatError` where it has not reached its predictor."""
    config = run.recipe.extends
    assert config is not None  # noqa: S101  called for such runs only
    folder = base_folder(run)
    for name in ("recipe.toml", "predictor.toml"):
        if not (folder / name).exists():
            raise FileFormatError(
                f"{folder} must hold the run of {config.recipe}, up to its predictor",
                got=f"no {name}",
                hint=f"run donna-hw finetune {config.recipe}, then donna-hw fit {config.recipe}; or name its folder by extends.run",
            )
    return replace(run, recipe=Recipe.read(folder / "recipe.toml"), folder=folder)


def copy_base_run(run: Run) -> None:
    """Copy, once, the reference, blocks, finetuned networks of role `library` and predictor of the extended run into a run's folder.

    Raises:
        ConfigError: The space lacks a block of the extended run's, or that run was trained by other settings.
        FileFormatError: The extended run has not reached its predictor.
    """
    done = run.folder / "extends.toml"
    if done.exists():
        return
    base = base_run(run)
    settings, base_settings = (
        {key: getattr(recipe, key).model_dump() for key in SHARED_SECTIONS} | {"seed": recipe.seed}
        for recipe in (run.recipe, base.recipe)
    )
    difference = first_difference(base_settings, settings)
    if difference:
        key, old, new = difference
        raise ConfigError(
            f"{base.folder} holds a run with {key} = {old!r}", got=new, hint="extend a run of these settings"
        )
    find_new_blocks(base.space, run.space)
    for name in ("reference", "block_library"):
        shutil.copytree(base.folder / name, run.folder / name, dirs_exist_ok=True)
    BlockLibrary(run.folder / "block_library", base.space).qualities()  # raises where a block is missing
    library = ArchitectureLibrary(run.folder / "architecture_library", run.space)
    recorded = library.recorded_networks("library")
    for network in base.architectures.networks("library"):
        architecture = run.space.architecture_from_labels(base.space.labels(network.architecture))
        if (architecture, network.seed) not in recorded:
            library.add(replace(network, architecture=architecture))
    shutil.copy2(base.folder / "predictor.toml", run.folder / "predictor.toml")
    write_toml(done, {"run": str(base.folder), "space": base.recipe.space, "title": base.recipe.title})


def num_test_networks(run: Run) -> int:
    """Return how many networks with new blocks test the predictor of a run that extends another."""
    assert run.recipe.extends is not None  # noqa: S101  called for such runs only
    return run.recipe.extends.test_networks or run.recipe.library.test_networks


def extended_rows(run: Run) -> Rows:
    """Return the test networks of a run that extends another, int [n, stages]: drawn uniformly of those with a new block.

    Where the new blocks are 8-bit ones they are the extended run's test networks, each block in float32 or INT8 at random: only networks
    that are finetuned already can be quantized without further training.

    Raises:
        ConfigError: There are fewer such networks than `extends.test_networks`.
    """
    if all(PRECISION_AXIS in stage.axes for stage in run.space.stages):
        return _mixed_precision_rows(run)
    base_space, count = load_space(base_run(run).recipe.space), num_test_networks(run)
    new_blocks = find_new_blocks(base_space, run.space)
    candidates = random_rows(run, EXTENDED, min(8 * count, run.space.size // 2))
    rows = candidates[count_new_blocks(new_blocks, candidates) > 0][:count]
    if len(rows) < count:
        raise ConfigError(
            "extends.test_networks must be at most the networks with a new block that were drawn",
            got=count,
            hint=f"ask for {len(rows)} or fewer",
        )
    return np.asarray(rows)


def _mixed_precision_rows(run: Run) -> Rows:
    base, rng = base_run(run), np.random.default_rng([run.recipe.seed, EXTENDED])
    rows, _ = base.architectures.targets("test", at_least=1)
    count = num_test_networks(run)
    if len(rows) < count:
        raise ConfigError(
            "extends.test_networks must be at most the test networks of the extended run, which are quantized",
            got=count,
            hint=f"ask for {len(rows)} or fewer, or finetune more there",
        )
    rows = rows[:count]
    int8 = rng.integers(0, 2, (1000 + 4 * count, len(run.space.stages)))
    int8 = int8[int8.any(axis=1)][: len(rows)]  # at least one 8-bit block
    suffixes = np.array(["", "-int8"])[int8].astype(object)
    labels = np.array([list(base.space.labels(network).values()) for network in base.networks(rows)]).astype(object)
    stages = [stage.name for stage in run.space.stages]
    networks = [
        run.space.architecture_from_labels(dict(zip(stages, network_labels, strict=True)))
        for network_labels in labels + suffixes
    ]
    return np.array([run.space.row(network) for network in networks])


def count_new_blocks(new: tuple[tuple[bool, ...], ...], rows: Rows) -> np.ndarray:
    """Return how many new blocks each network has, int [n]; new: bool [stage][block]."""
    is_new = [np.array(blocks)[rows[:, stage]] for stage, blocks in enumerate(new)]
    return np.asarray(np.stack(is_new, axis=1).sum(axis=1))
