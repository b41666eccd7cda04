"""What a predictor must beat: counts of the network, and DNA's sum of NSR, all fitted to the same networks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from donna_hw._core.ranking import predict_log_linear
from donna_hw.experiments.predictor_study.data import StudyData
from donna_hw.predictors.base import ALPHAS
from donna_hw.predictors.factory import fit_predictor

Array = np.ndarray


def predict_baselines(found: StudyData, role: str) -> dict[str, Array]:
    """Return the top-1 %, float [n], that each rival predicts for the networks of a role.

    MACs, parameters: a line in the logarithm of the network's number. By stage: a ridge on the logarithms of the blocks' numbers, its
    strength by leave-one-out. Sum of NSR: a line in it (DNA, CVPR 2020). All are fitted to role `library`.
    """
    top1 = found.groups["library"].top1_percent
    fitted: dict[str, Array] = {}
    for name, whole in (("MACs", found.network_macs), ("parameters", found.network_params)):
        fitted[name] = predict_log_linear(whole(role), whole("library"), top1)
    for name, parts in (("MACs", found.stage_macs), ("parameters", found.stage_params)):
        fitted[f"{name} by stage"] = _ridge(np.log(parts("library")), top1)(np.log(parts(role)))
    dna = fit_predictor(found.quality("library", "nsr"), top1, "sum_of_nsr")
    return fitted | {"sum of NSR": dna(found.quality(role, "nsr"))[0]}


def _ridge(features: Array, top1: Array) -> Callable[[Array], Array]:
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    fitted = make_pipeline(StandardScaler(), RidgeCV(ALPHAS)).fit(features, top1)
    return lambda asked: np.asarray(fitted.predict(asked), float)
