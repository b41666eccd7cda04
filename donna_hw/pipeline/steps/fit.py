"""The accuracy predictor of a run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from donna_hw.pipeline.run import Run
from donna_hw.predictors.base import FittedPredictor
from donna_hw.predictors.factory import MIN_NETWORKS, fit_predictor
from donna_hw.predictors.serialization import load_predictor
from donna_hw.spaces.space import Rows
from donna_hw.training.block_metrics import gather_qualities
from donna_hw.training.reference import read_reference_top1

REFIT_ROLES = ("front", "random", "scaled")  # never test networks, which evaluate the predictor


def fit_accuracy_predictor(run: Run, *, with_front: bool = False) -> FittedPredictor:
    """Fit the accuracy predictor to the Architecture Library and save it as `predictor.toml`.

    A run that extends another has the predictor of that run, unchanged.

    Args:
        run: An open run whose networks are finetuned.
        with_front: Whether to fit to the networks that were finetuned for verification, too.

    Returns:
        The fitted predictor.

    Raises:
        InsufficientDataError: Fewer than 5 networks of role `library` are finetuned.
    """
    if run.recipe.extends is not None:
        return load_predictor(run.folder / "predictor.toml")
    config = run.recipe.library
    rows, top1, roles = collect_fit_targets(run, ("library", *REFIT_ROLES) if with_front else ("library",))
    ceiling = read_reference_top1(run.folder / "reference")
    predictor = fit_predictor(gather_qualities(run.qualities(), rows), top1, config.predictor, ceiling)
    counts = {role: roles.count(role) for role in dict.fromkeys(roles)}
    facts = {"fitted_to": {"networks": len(rows), "quality": config.quality, "roles": counts}}
    predictor.save(run.folder / "predictor.toml", facts)
    return predictor


def collect_fit_targets(run: Run, roles: Sequence[str]) -> tuple[Rows, np.ndarray, list[str]]:
    """Return the finetuned networks of some roles that a predictor is fitted to, each once, by its first role, and no test network.

    Returns:
        Rows int [n, stages], top-1 in per cent float [n], and the role of each network [n].

    Raises:
        InsufficientDataError: Fewer than 5 networks of role `library` are finetuned.
    """
    library_rows, library_top1 = run.architectures.targets("library", at_least=MIN_NETWORKS)
    top1_by_row = dict(zip(map(tuple, library_rows.tolist()), library_top1.tolist(), strict=True))
    role_by_row = dict.fromkeys(top1_by_row, "library")
    test = {tuple(run.space.row(network)) for network in run.architectures.mean_top1("test", "stratified")}
    for role in roles:
        for network, (mean, _) in run.architectures.mean_top1(role).items():
            row = tuple(run.space.row(network))
            if row not in top1_by_row and row not in test:
                top1_by_row[row], role_by_row[row] = mean, role
    return np.array(list(top1_by_row)), np.array(list(top1_by_row.values())), list(role_by_row.values())
