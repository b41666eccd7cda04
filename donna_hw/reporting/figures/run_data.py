"""What each figure shows of a run, from the files in its folder; what a figure lacks is raised in one line, with its cure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from donna_hw._core.csv_files import csv_frame
from donna_hw.errors import FileFormatError, InsufficientDataError
from donna_hw.pipeline.run import Run
from donna_hw.pipeline.steps.extend import base_folder, base_run
from donna_hw.predictors.serialization import load_predictor, roles_of
from donna_hw.reporting.figures.detection import COLUMNS, checked_detectors
from donna_hw.reporting.figures.finetuning import Curve
from donna_hw.reporting.figures.predictor import Judged
from donna_hw.spaces import load_space
from donna_hw.spaces.mixed_precision import PRECISION
from donna_hw.spaces.space import Architecture, Rows, Space
from donna_hw.training.block_metrics import qualities_of
from donna_hw.training.libraries import ArchitectureLibrary
from donna_hw.training.reference import reference_top1

if TYPE_CHECKING:
    from donna_hw.experiments.detection.run import DetectionRun

TEST = {"test": "test networks, drawn uniformly", "stratified": "test networks, even over MACs"}
MIXED, WHOLE, NEW = "blocks in float32 or INT8", "INT8 throughout", "networks with new blocks"


def needed(run: Run | DetectionRun, name: str, step: str) -> Path:
    """Return the path of a file in a run's folder; raises `FileFormatError` where a step has not written it."""
    path = run.folder / name
    if not path.exists():
        raise FileFormatError(f"{run.folder} must hold what is drawn", got=f"no {name}", hint=f"{step} writes it")
    return path


def named(space: Space, name: str) -> Architecture:
    """Return the network of a name, its labels joined by `/`; raises `FileFormatError` or `UnknownNameError` where it is none of the space."""
    labels = str(name).split("/")
    if len(labels) != len(space.columns):
        raise FileFormatError(f"a network of {space.name} has {len(space.columns)} labels, joined by /", got=name)
    return space.from_labels(dict(zip(space.columns, labels, strict=True)))


def finetuning_of(run: Run) -> tuple[list[Curve], float]:
    """Return the curves of figure 10 and the reference's top-1 in per cent.

    Of a run with networks from scratch these and their twins from the Block Library, trained for as long where there are such; else the
    whole Architecture Library's. Raises `InsufficientDataError` where nothing is finetuned.
    """
    library = run.architectures
    scratch = library.networks("scratch")
    given = library.networks("long") or library.networks("library")
    if scratch:
        both = {one.architecture for one in scratch} & {one.architecture for one in given}
        scratch, given = ([one for one in some if one.architecture in both] for some in (scratch, given))
    if not given:
        raise InsufficientDataError(
            f"{run.folder} must hold finetuned networks", got="none", hint="donna-hw finetune RECIPE trains them"
        )
    curves = [
        Curve(library.name(one.architecture), one.curve_percent, one.role == "scratch") for one in (*given, *scratch)
    ]
    return curves, reference_top1(run.folder / "reference")


def predictor_of(run: Run) -> list[Judged]:
    """Return the groups of figures 4, 13 and 14: networks fitted to, each left out of its own fit, and those that test the predictor.

    Of a run that extends another: its test networks too, those with new blocks, and networks that were quantised throughout.
    """
    path = needed(run, "predictor.toml", "donna-hw fit RECIPE")
    predictor, qualities = load_predictor(path), run.qualities()
    rows, top1, _ = run.fit_targets(roles_of(path))
    judged = [Judged("fitted to, each left out", predictor.left_out(qualities_of(qualities, rows), top1), top1)]

    def add(name: str, rows: Rows, measured: np.ndarray) -> None:
        if len(rows):
            judged.append(Judged(name, predictor(qualities_of(qualities, rows))[0], measured))

    if run.recipe.extends is None:
        for role, name in TEST.items():
            add(name, *_means(run, run.architectures, role))
        return judged
    if (base_folder(run) / "recipe.toml").exists():
        add("test networks, no new blocks", *_means(run, base_run(run).architectures, "test"))
    eight = all(PRECISION in stage.axes for stage in run.space.stages)
    if eight and (run.folder / "int8_library").exists():
        from donna_hw.experiments.int8.variants import in_space_of

        space = load_space(f"{base_run(run).recipe.space}@int8")
        group = in_space_of(run, ArchitectureLibrary(run.folder / "int8_library", space))
        add(WHOLE, group.rows, group.top1_percent)
    add(MIXED if eight else NEW, *_means(run, run.architectures, "test"))
    return judged


def detection_of(run: Run | DetectionRun) -> pd.DataFrame:
    """Return the lines of `detectors.csv` in a run's folder; raises `FileFormatError` without one."""
    path = needed(run, "detectors.csv", "donna-hw detect, of a recipe that takes these networks as backbones,")
    return checked_detectors(csv_frame(path, COLUMNS), path)


def _means(run: Run, library: ArchitectureLibrary, role: str) -> tuple[Rows, np.ndarray]:
    """Return a role's networks as rows of the run's space, int [n, stages], and their top-1 in per cent, float [n]."""
    found = library.means(role)
    rows = [run.space.row(run.space.from_labels(library.space.labels(network))) for network in found]
    return np.array(rows, np.int64).reshape(len(rows), len(run.space.columns)), np.array(
        [top1 for top1, _ in found.values()]
    )
