"""The data of each figure of a run, from the files in its folder; missing data raise an error of one line with a hint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from donna_hw._core.csv_files import read_csv
from donna_hw.errors import ConfigError, FileFormatError, InsufficientDataError, UnknownNameError
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
MIXED, WHOLE, NEW = "blocks in float32 or INT8", "all blocks in INT8", "networks with new blocks"


def require_file(run: Run | DetectionRun, name: str, step: str) -> Path:
    """Return the path of a file in a run's folder; raises `FileFormatError` where a step has not written it."""
    path = run.folder / name
    if not path.exists():
        raise FileFormatError(f"{path}: no such file", hint=f"{step} writes it")
    return path


def parse_network(space: Space, name: str, path: Path | None = None) -> Architecture:
    """Return the network of a name, its labels joined by `/`.

    Raises `FileFormatError` or `UnknownNameError` for any other name; the message starts with `path`, the file that has the name.
    """
    place = f"{path}: " if path else ""
    try:
        return space.architecture_from_name(str(name))
    except ConfigError as error:
        raise FileFormatError(f"{place}{error.message}", got=name) from None
    except UnknownNameError as error:
        raise UnknownNameError(f"{place}{error.message}", got=error.got, choices=error.choices) from None


def load_finetuning_curves(run: Run) -> tuple[list[Curve], float]:
    """Return the curves of figure 10 and the reference's top-1 in per cent.

    A run with networks from scratch has these and the same networks from the Block Library, trained equally long where there are such.
    Other runs have the whole Architecture Library. Raises `InsufficientDataError` where nothing is finetuned.
    """
    library = run.architectures
    scratch = library.networks("scratch")
    pretrained = library.networks("long") or library.networks("library")
    if scratch:
        common = {network.architecture for network in scratch} & {network.architecture for network in pretrained}
        scratch, pretrained = (
            [network for network in networks if network.architecture in common] for networks in (scratch, pretrained)
        )
    if not pretrained:
        raise InsufficientDataError(
            f"{run.folder} has no finetuned networks", hint="finetune some: donna-hw finetune RECIPE"
        )
    curves = [
        Curve(library.name(network.architecture), network.curve_percent, network.role == "scratch")
        for network in (*pretrained, *scratch)
    ]
    return curves, read_reference_top1(run.folder / "reference")


def load_predictor_groups(run: Run) -> list[PredictionGroup]:
    """Return the groups of figures 4, 13 and 14: the fitted networks, each left out of its own fit, and the test networks.

    A run that extends another also has the test networks of that one, those with new blocks, and completely quantized networks.
    """
    path = require_file(run, "predictor.toml", "donna-hw fit RECIPE")
    predictor, qualities = load_predictor(path), run.qualities()
    rows, top1, _ = collect_fit_targets(run, read_roles(path))
    groups = [
        PredictionGroup(
            "fitted to, each left out", predictor.predict_leave_one_out(gather_qualities(qualities, rows), top1), top1
        )
    ]

    def add(name: str, rows: Rows, measured: np.ndarray) -> None:
        if len(rows):
            groups.append(PredictionGroup(name, predictor(gather_qualities(qualities, rows))[0], measured))

    if run.recipe.extends is None:
        for role, name in TEST_LABELS.items():
            add(name, *_mean_top1(run, run.architectures, role))
        return groups
    if (base_folder(run) / "recipe.toml").exists():
        add("test networks, no new blocks", *_mean_top1(run, base_run(run).architectures, "test"))
    has_int8 = all(PRECISION_AXIS in stage.axes for stage in run.space.stages)
    if has_int8 and (run.folder / "int8_library").exists():
        from donna_hw.experiments.int8.variants import to_run_space

        space = load_space(f"{base_run(run).recipe.space}@int8")
        quantized = to_run_space(run, ArchitectureLibrary(run.folder / "int8_library", space))
        add(WHOLE, quantized.rows, quantized.top1_percent)
    add(MIXED if has_int8 else NEW, *_mean_top1(run, run.architectures, "test"))
    return groups


def load_detectors(run: Run | DetectionRun) -> pd.DataFrame:
    """Return the lines of `detectors.csv` in a run's folder; raises `FileFormatError` without one."""
    path = require_file(
        run, "detectors.csv", "donna-hw study detection, with a recipe that uses these networks as backbones,"
    )
    return validate_detectors(read_csv(path, COLUMNS), path)


def _mean_top1(run: Run, library: ArchitectureLibrary, role: str) -> tuple[Rows, np.ndarray]:
    """Return a role's networks as rows of the run's space, int [n, stages], and their top-1 in per cent, float [n]."""
    networks = library.mean_top1(role)
    rows = [run.space.row(run.space.architecture_from_labels(library.space.labels(network))) for network in networks]
    return np.array(rows, np.int64).reshape(len(rows), len(run.space.columns)), np.array(
        [top1 for top1, _ in networks.values()]
    )
