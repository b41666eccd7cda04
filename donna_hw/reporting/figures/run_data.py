"""What each figure shows of a run, from the files in its folder; what a figure lacks is raised in one line, with its cure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from donna_hw._core.csv_files import read_csv
from donna_hw.errors import ConfigError, FileFormatError, InsufficientDataError
from donna_hw.pipeline.run import Run
from donna_hw.pipeline.steps.extend import base_folder, base_run
from donna_hw.pipeline.steps.fit import collect_fit_targets
from donna_hw.predictors.serialization import load_predictor, read_roles
from donna_hw.reporting.figures.detection import COLUMNS, validate_detectors
from donna_hw.reporting.figures.finetuning import Curve
from donna_hw.reporting.figures.predictor import PredictionGroup
from donna_hw.spaces import load_space
from donna_hw.spaces.mixed_precision import PRECISION_AXIS
from donna_hw.spaces.space import Architecture, Rows, Space
from donna_hw.training.block_metrics import gather_qualities
from donna_hw.training.libraries import ArchitectureLibrary
from donna_hw.training.reference import read_reference_top1

if TYPE_CHECKING:
    from donna_hw.experiments.detection.run import DetectionRun

TEST_LABELS = {"test": "test networks, drawn uniformly", "stratified": "test networks, even over MACs"}
MIXED, WHOLE, NEW = "blocks in float32 or INT8", "INT8 throughout", "networks with new blocks"


def require_file(run: Run | DetectionRun, name: str, step: str) -> Path:
    """Return the path of a file in a run's folder; raises `FileFormatError` where a step has not written it."""
    path = run.folder / name
    if not path.exists():
        raise FileFormatError(f"{run.folder} must hold what is drawn", got=f"no {name}", hint=f"{step} writes it")
    return path


def parse_network(space: Space, name: str) -> Architecture:
    """Return the network of a name, its labels joined by `/`; raises `FileFormatError` or `UnknownNameError` where it is none of the space."""
    try:
        return space.architecture_from_name(str(name))
    except ConfigError as error:
        raise FileFormatError(error.message, got=name) from None


def load_finetuning_curves(run: Run) -> tuple[list[Curve], float]:
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
    return curves, read_reference_top1(run.folder / "reference")


def load_predictor_groups(run: Run) -> list[PredictionGroup]:
    """Return the groups of figures 4, 13 and 14: networks fitted to, each left out of its own fit, and those that test the predictor.

    Of a run that extends another: its test networks too, those with new blocks, and networks that were quantised throughout.
    """
    path = require_file(run, "predictor.toml", "donna-hw fit RECIPE")
    predictor, qualities = load_predictor(path), run.qualities()
    rows, top1, _ = collect_fit_targets(run, read_roles(path))
    judged = [
        PredictionGroup(
            "fitted to, each left out", predictor.predict_leave_one_out(gather_qualities(qualities, rows), top1), top1
        )
    ]

    def add(name: str, rows: Rows, measured: np.ndarray) -> None:
        if len(rows):
            judged.append(PredictionGroup(name, predictor(gather_qualities(qualities, rows))[0], measured))

    if run.recipe.extends is None:
        for role, name in TEST_LABELS.items():
            add(name, *_mean_top1(run, run.architectures, role))
        return judged
    if (base_folder(run) / "recipe.toml").exists():
        add("test networks, no new blocks", *_mean_top1(run, base_run(run).architectures, "test"))
    eight = all(PRECISION_AXIS in stage.axes for stage in run.space.stages)
    if eight and (run.folder / "int8_library").exists():
        from donna_hw.experiments.int8.variants import to_run_space

        space = load_space(f"{base_run(run).recipe.space}@int8")
        group = to_run_space(run, ArchitectureLibrary(run.folder / "int8_library", space))
        add(WHOLE, group.rows, group.top1_percent)
    add(MIXED if eight else NEW, *_mean_top1(run, run.architectures, "test"))
    return judged


def load_detectors(run: Run | DetectionRun) -> pd.DataFrame:
    """Return the lines of `detectors.csv` in a run's folder; raises `FileFormatError` without one."""
    path = require_file(run, "detectors.csv", "donna-hw detect, of a recipe that takes these networks as backbones,")
    return validate_detectors(read_csv(path, COLUMNS), path)


def _mean_top1(run: Run, library: ArchitectureLibrary, role: str) -> tuple[Rows, np.ndarray]:
    """Return a role's networks as rows of the run's space, int [n, stages], and their top-1 in per cent, float [n]."""
    found = library.mean_top1(role)
    rows = [run.space.row(run.space.architecture_from_labels(library.space.labels(network))) for network in found]
    return np.array(rows, np.int64).reshape(len(rows), len(run.space.columns)), np.array(
        [top1 for top1, _ in found.values()]
    )
