"""SklearnPredictor: the regressions of the paper's Table 8 [A.4.4], two Bayesian ones, and DNA's sum of NSR, all by scikit-learn."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from donna_hw.errors import ConfigError, DonnaError, InsufficientDataError
from donna_hw.predictors.base import (
    ALPHAS,
    Array,
    additive_scores,
    log_quality,
    out_of_range,
    save_fields,
    validate_qualities,
)

SAVED_FIELDS = ("kind", "qualities", "top1_percent", "noise", "fitted_percent")
FOLDS = 10  # of the cross-validation that estimates the noise
ADDITIVE = ("ridge", "lasso", "lars", "bayesian_ridge")
BAYESIAN = ("bayesian_ridge", "gaussian_process")


@dataclass(frozen=True)
class SklearnPredictor:
    """A regression on standardized -log(max(NSR, 1e-6)); `sum_of_nsr` is a line that falls with the sum of NSR (DNA, CVPR 2020).

    It stores its training set and is fitted again when it is read, since scikit-learn has no file format other than pickle.

    Args:
        kind: A name in `MODELS`.
        qualities: The qualities of the training set, float [n, stages].
        top1_percent: The accuracies of the training set in per cent, float [n].
        noise: Root-mean-square error on networks left out of the fit, a tenth at a time, in per cent. It is the standard deviation of
            every prediction, except those of the Bayesian kinds.
        fitted_percent: Predictions for the training set, float [n], by which a repeated fit is verified.
        model: The fitted model of scikit-learn.
    """

    kind: str
    qualities: Array
    top1_percent: Array
    noise: float
    fitted_percent: Array
    model: Any = field(compare=False, repr=False)

    def __call__(self, qualities: Array) -> tuple[Array, Array]:
        """Return (top-1, standard deviation) in per cent of float [n, stages]; raises `ConfigError` for an invalid quality."""
        x = _features(self.kind, qualities)
        if self.kind not in BAYESIAN:
            return np.asarray(self.model.predict(x), float), np.full(len(x), self.noise)
        mean, std = self.model.predict(x, return_std=True)
        return np.asarray(mean, float), np.asarray(std, float)

    def extrapolates(self, qualities: Array) -> Array:
        """Return bool [n]: whether a stage's NSR lies outside the range of the fit."""
        return out_of_range(qualities, self.qualities.min(axis=0), self.qualities.max(axis=0))

    def scores(self, qualities: Sequence[Array]) -> tuple[Array, ...] | None:
        """Return the contribution of each block [stage][block] to the accuracy, for linear models; see `AccuracyPredictor`."""
        if self.kind == "sum_of_nsr":
            slope = self.model[-1].coef_[0] / self.model[0].scale_[0]
            return tuple(
                np.where(np.isfinite(v), -slope * np.where(np.isfinite(v), v, 0.0), -np.inf) for v in qualities
            )
        return (
            additive_scores(qualities, self.model[-1].coef_ / self.model[0].scale_) if self.kind in ADDITIVE else None
        )

    def quadratic(self, qualities: Sequence[Array]) -> None:
        """Return None, since no model has second-order terms."""

    def covariance(self, qualities: Array) -> tuple[Array, float]:
        """Return the covariance of predicted accuracies.

        Args:
            qualities: The qualities of networks, float [n, stages].

        Returns:
            (covariance without the noise of a finetuning float [n, n], variance of that noise), in per cent squared.

        Raises:
            ConfigError: For a kind that is not Bayesian.
        """
        if self.kind not in BAYESIAN:
            raise ConfigError("only Bayesian predictors have a covariance", got=self.kind, choices=BAYESIAN)
        x, last = self.model[0].transform(_features(self.kind, qualities)), self.model[-1]
        if self.kind == "bayesian_ridge":
            centered = x - last.X_offset_
            return np.asarray(centered @ last.sigma_ @ centered.T), float(1 / last.alpha_)
        noise = float(last.kernel_.k2.noise_level * last._y_train_std**2)
        covariance = last.predict(x, return_cov=True)[1]
        return np.asarray(covariance - noise * np.eye(len(x))), noise

    def predict_leave_one_out(self, qualities: Array, top1_percent: Array) -> Array:
        """Return each network's prediction, float [n], by a regression of this kind that is fitted to all other networks."""
        return _cross_validate(self.kind, qualities, top1_percent, len(top1_percent))

    def save(self, path: Path, facts: Mapping[str, Any]) -> None:
        """Write the kind, the training set, and facts about it as TOML."""
        save_fields(self, SAVED_FIELDS, path, facts)


def fit_sklearn(kind: str, qualities: Array, top1_percent: Array, noise: float | None = None) -> SklearnPredictor:
    """Fit a regression of scikit-learn; equal networks give equal fits.

    Args:
        kind: A name in `MODELS`.
        qualities: Float [n, stages].
        top1_percent: Accuracies in per cent, float [n].
        noise: Root-mean-square error on networks left out of the fit, in per cent; by default estimated by cross-validation.

    Raises:
        InsufficientDataError: When the regression cannot be fitted to these networks.
        ConfigError: For an invalid quality.
    """
    x = _features(kind, qualities)
    if noise is None:
        predictions = _cross_validate(kind, qualities, top1_percent, min(FOLDS, len(top1_percent)))
        noise = float(np.sqrt(np.square(predictions - top1_percent).mean()))
    with _handle_fit_errors(kind):
        model = MODELS[kind](len(top1_percent)).fit(x, top1_percent)
        fitted = np.asarray(model.predict(x), float)
    if not (np.isfinite(fitted).all() and np.isfinite(noise)):
        raise InsufficientDataError(
            f"{kind} fitted to these networks predicts accuracies that are not finite", hint="choose another kind"
        )
    return SklearnPredictor(kind, qualities, top1_percent, noise, fitted, model)


def _cross_validate(kind: str, qualities: Array, top1: Array, folds: int) -> Array:
    from sklearn.model_selection import KFold, cross_val_predict

    x, parts = _features(kind, qualities), KFold(folds, shuffle=True, random_state=0)
    model = MODELS[kind](len(top1) - -(-len(top1) // folds))
    with _handle_fit_errors(kind):
        return np.asarray(cross_val_predict(model, x, top1, cv=parts), float)


def _features(kind: str, qualities: Array) -> Array:
    return (
        -validate_qualities(qualities).sum(axis=1, keepdims=True)
        if kind == "sum_of_nsr"
        else log_quality(validate_qualities(qualities))
    )


@contextmanager
def _handle_fit_errors(kind: str) -> Iterator[None]:
    """Ignore warnings of fits that did not converge or stopped at a bound, since cross-validation evaluates the result.

    Raises:
        InsufficientDataError: With scikit-learn's message when it cannot fit.
    """
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        # LARS divides by zero where all networks are equally accurate
        warnings.simplefilter("ignore", RuntimeWarning)
        try:
            yield
        except DonnaError:
            raise
        except ValueError as error:
            raise InsufficientDataError(
                f"{kind} cannot be fitted to these networks",
                got=str(error),
                hint="finetune more networks, or choose another kind",
            ) from None


def _linear(kind: str, networks: int) -> Any:
    from sklearn import linear_model

    cv = min(5, networks)
    if kind == "ridge":
        return linear_model.RidgeCV(ALPHAS)
    if kind == "lasso":
        return linear_model.LassoCV(cv=cv, max_iter=10_000)
    if kind == "lars":
        return linear_model.LarsCV(cv=cv)
    return linear_model.BayesianRidge() if kind == "bayesian_ridge" else linear_model.LinearRegression(positive=True)


def _support_vectors(networks: int) -> Any:
    from sklearn.model_selection import GridSearchCV
    from sklearn.svm import SVR

    grid = {"C": [0.1, 1.0, 10.0, 100.0], "gamma": ["scale", 0.01]}
    return GridSearchCV(SVR(epsilon=0.05), grid, scoring="neg_mean_squared_error", cv=min(5, networks))


def _ensemble(kind: str) -> Any:
    from sklearn import ensemble

    return {
        "adaboost": ensemble.AdaBoostRegressor,
        "gradient_boosting": ensemble.GradientBoostingRegressor,
        "bagging": ensemble.BaggingRegressor,
    }[kind](random_state=0)


def _gaussian_process() -> Any:
    """Return a Gaussian process of a plane, a smooth term and noise; the plane lets the deviation grow outside of the fit."""
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, WhiteKernel

    smooth = ConstantKernel(0.1, (1e-4, 10.0)) * RBF(3.0, (0.5, 100.0))
    plane = ConstantKernel(0.1, (1e-4, 10.0)) * DotProduct(1.0, "fixed")
    kernel = (plane + smooth) + WhiteKernel(0.1, (1e-4, 10.0))
    return GaussianProcessRegressor(kernel, normalize_y=True, n_restarts_optimizer=2, random_state=0)


def _with_scaling(regression: Callable[[int], Any], *, target: bool = False) -> Callable[[int], Any]:
    """Return a factory of regressions on standardized features, and with `target` on a standardized target too."""

    def create(networks: int) -> Any:
        from sklearn.compose import TransformedTargetRegressor
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        model = regression(networks)
        if target:
            model = TransformedTargetRegressor(model, transformer=StandardScaler())
        return make_pipeline(StandardScaler(), model)

    return create


MODELS: dict[str, Callable[[int], Any]] = {  # number of networks -> an unfitted regression
    "ridge": _with_scaling(lambda networks: _linear("ridge", networks)),
    "lasso": _with_scaling(lambda networks: _linear("lasso", networks)),
    "lars": _with_scaling(lambda networks: _linear("lars", networks)),
    "svm": _with_scaling(_support_vectors, target=True),
    "adaboost": _with_scaling(lambda _: _ensemble("adaboost")),
    "gradient_boosting": _with_scaling(lambda _: _ensemble("gradient_boosting")),
    "bagging": _with_scaling(lambda _: _ensemble("bagging")),
    "gaussian_process": _with_scaling(lambda _: _gaussian_process()),
    "bayesian_ridge": _with_scaling(lambda networks: _linear("bayesian_ridge", networks)),
    "sum_of_nsr": _with_scaling(lambda networks: _linear("sum_of_nsr", networks)),
}
