"""The whole recipe: every step in order."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

from donna_hw.pipeline import steps
from donna_hw.pipeline.run import Run
from donna_hw.search.pareto_front import ParetoFront


class PipelineResult(NamedTuple):
    """The front of a run, and its verified networks, a line each (`verified.csv`)."""

    front: ParetoFront
    verified: pd.DataFrame


def run_pipeline(run: Run) -> PipelineResult:
    """Take a run through all its steps, from the training of the reference to the verification of the front.

    Every step skips what its files already hold, so a run that was stopped resumes.

    Args:
        run: An open run (`open_run`).

    Returns:
        The front and its verified networks; all results are in the run's folder.

    Raises:
        DonnaError: A setting that cannot work, which is reported before anything is trained, or a step that failed.
    """
    steps.validate_run(run)
    steps.distill_blocks(run)
    steps.profile_blocks(run)
    steps.count_blocks(run)
    steps.finetune_networks(run)
    steps.fit_accuracy_predictor(run)
    front = steps.search_front(run)
    steps.evaluate_predictor(run)
    steps.evaluate_latency(run)
    verified = steps.verify_front(run, front)
    steps.delete_distill_batches(run)
    return PipelineResult(front, verified)
