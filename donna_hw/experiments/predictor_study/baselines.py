"""What a predictor must beat: counts of the network, and DNA's sum of NSR, all fitted to the same networks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from donna_hw._core.ranking import predict_log_linear
from donna_hw.experiments.predictor_study.data import StudyData
from donna_hw.predictors.base import ALPHAS
from donna_hw.predictors.factory import fit_predictor

Array = np.ndarray


def predict_baselines(data: StudyData, role: str) -> dict[str, Array]:
    """Return the top-1 %, float [n], that each baseline predicts for the networks of a role.

    MACs, parameters: a line in the logarithm of the network's count. By stage: a ridge on the logarithms of the blocks' counts, its
    strength by leave-one-out. Sum of NSR: a line in it (DNA, CVPR 2020). All are fitted to role `library`.
    """
    top1 = data.groups["library"].top1_percent
    predictions: dict[str, Array] = {}
    for name, whole in (("MACs", data.network_macs), ("parameters", data.network_params)):
        predictions[name] = predict_log_linear(whole(role), whole("library"), top1)
    for name, parts in (("MACs", data.stage_macs), ("parameters", data.stage_params)):
        predictions[f"{name} by stage"] = _ridge(np.log(parts("library")), top1)(np.log(parts(role)))
    dna = fit_predictor(data.quality("library", "nsr"), top1, "sum_of_nsr")
    return predictions | {"sum of NSR": dna(data.quality(role, "nsr"))[0]}


def _ridge(features: Array, top1: Array) -> Callable[[Array], Array]:
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    ridge = make_pipeline(StandardScaler(), RidgeCV(ALPHAS)).fit(features, top1)
    return lambda new_features: np.asarray(ridge.predict(new_features), float)
