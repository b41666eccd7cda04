"""FeatureBasis: what is known of each block of a space before any whole network is measured; the prior of a fitted cost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from donna_hw.costs.features import BYTES, FEATURES, LAUNCHES, block_features, fixed_features
from donna_hw.errors import ConfigError
from donna_hw.spaces.space import Rows, Space
from donna_hw.spaces.stage import Value
from donna_hw.tables.latency_table import LatencyTable

# Sums of layer features that may make up a device's time: work of several kinds, then a cost per layer.
TERMS: dict[str, tuple[str, ...]] = {
    "dense_macs": ("pointwise_macs", "spatial_macs", "vector_macs"),
    "grouped_macs": ("grouped_macs",),
    "depthwise_macs": ("depthwise_macs",),
    "activation_bytes": tuple(name for name in BYTES if name != "weight_bytes"),
    "weight_bytes": ("weight_bytes",),
    "weighted_layers": tuple(name for name in LAUNCHES if name not in ("pool_layers", "elementwise_layers")),
    "other_layers": ("pool_layers", "elementwise_layers"),
}
LAYER_TERMS = ("weighted_layers", "other_layers")
CONSTANT = "constant"


@dataclass(frozen=True)
class FeatureBasis:
    """Features of every block, whose weighted sum over a network is its prior cost.

    Args:
        names: Names of the F features, `constant` last.
        stages: Features of each stage's blocks, float [settings, blocks, F].
        fixed: Features of all fixed parts, float [settings, F], with 1 for the constant.
        prior_weights: The weight of each feature where a table determines it, else NaN, float [F].
        launch_indices: Which of the F features make up the launches, the first part of a launch floor.
        axis_codes: For each stage the keywords that its axes set, each with the code of every block's value, int [blocks].
        log_sizes: Log of the input's size minus its mean, float [settings]; None without global axes.
        errors: A table's standard errors [settings, blocks] of each stage.
        setting_counts: Number of values of each global axis.
    """

    names: tuple[str, ...]
    stages: tuple[np.ndarray, ...]
    fixed: np.ndarray
    prior_weights: np.ndarray
    launch_indices: tuple[int, ...]
    axis_codes: tuple[tuple[tuple[str, np.ndarray], ...], ...]
    log_sizes: np.ndarray | None = None
    errors: tuple[np.ndarray, ...] | None = None
    setting_counts: tuple[int, ...] = ()

    @classmethod
    def from_layers(cls, space: Space) -> FeatureBasis:
        """Return the basis of what a device must do for the layers: MACs of three kinds, bytes and layers. It needs no table."""
        counts, spaces = space.setting_counts, [space.at_index(setting) for setting in space.setting_combinations]
        stages = [
            np.stack(settings)
            for settings in zip(*(map(_sum_terms, block_features(at_setting)) for at_setting in spaces), strict=True)
        ]
        fixed = np.stack([_sum_terms(fixed_features(at_setting)) for at_setting in spaces])
        fixed[:, -1] = 1.0
        names = (*TERMS, CONSTANT)
        launches = tuple(names.index(name) for name in (*LAYER_TERMS, CONSTANT))
        log_sizes = _log_sizes([at_setting.input_shape[1] for at_setting in spaces]) if counts else None
        prior_weights = np.full(len(names), np.nan)
        return cls(names, tuple(stages), fixed, prior_weights, launches, _axis_codes(space), log_sizes, None, counts)

    @classmethod
    def from_table(cls, space: Space, table: LatencyTable) -> FeatureBasis:
        """Return the basis of a table and of layer counts: a network's prior cost is the sum of the table's rows.

        Raises `ConfigError` for a space with global axes.
        """
        if space.global_axes:
            raise ConfigError(
                f"a table of a space with global axes cannot be corrected: {space.name}",
                got=", ".join(axis.name for axis in space.global_axes),
                hint="fit a table to whole networks: donna-hw table fit",
            )
        costs, layers = table.costs(space), [_sum_terms(features) for features in block_features(space)]
        columns = [list(TERMS).index(name) for name in LAYER_TERMS]
        stages = [
            np.column_stack([values, terms[:, columns], np.zeros(len(values))])[None]
            for values, terms in zip(costs.blocks, layers, strict=True)
        ]
        fixed = np.array([[costs.fixed, *_sum_terms(fixed_features(space))[columns], 1.0]])
        # Only rows in seconds, of a device that runs as the networks do, are expected to add up to a network's latency.
        is_additive = table.info.unit == "s" and table.info.origin in ("measured", "fitted")
        prior_weights = np.array([1.0, 0.0, 0.0, 0.0]) if is_additive else np.full(4, np.nan)
        errors = tuple(values[None] for values in costs.errors)
        return cls(
            ("table", *LAYER_TERMS, CONSTANT),
            tuple(stages),
            fixed,
            prior_weights,
            (1, 2, 3),
            _axis_codes(space),
            None,
            errors,
        )

    @classmethod
    def uniform(cls, space: Space) -> FeatureBasis:
        """Return the basis without any knowledge: every block of every stage has the same prior cost."""
        counts = space.setting_counts
        log_sizes = (
            _log_sizes([space.at_index(setting).input_shape[1] for setting in space.setting_combinations])
            if counts
            else None
        )
        area = np.ones(1) if log_sizes is None else np.exp(2 * log_sizes)
        stages = tuple(
            np.stack([np.broadcast_to(area[:, None], (len(area), stage.size)), np.zeros((len(area), stage.size))], -1)
            for stage in space.stages
        )
        fixed = np.stack([0 * area, np.ones(len(area))], axis=-1)
        return cls(
            ("block", CONSTANT), stages, fixed, np.full(2, np.nan), (), _axis_codes(space), log_sizes, None, counts
        )

    def setting_index(self, rows: Rows) -> np.ndarray:
        """Return the index of each row's setting of the global axes, int [n]."""
        if not self.setting_counts:
            return np.zeros(len(rows), np.int64)
        return np.asarray(np.ravel_multi_index(tuple(rows[:, len(self.stages) :].T), self.setting_counts))

    def sums(self, rows: Rows) -> np.ndarray:
        """Return the features of whole networks, float [n, F]."""
        settings = self.setting_index(rows)
        total: np.ndarray = self.fixed[settings].copy()
        for i, values in enumerate(self.stages):
            total += values[settings, rows[:, i]]
        return total

    def stage_costs(self, weights: np.ndarray, rows: Rows) -> np.ndarray:
        """Return what each stage's block adds under weights float [F], float [n, stages]."""
        settings = self.setting_index(rows)
        return np.stack([(values @ weights)[settings, rows[:, i]] for i, values in enumerate(self.stages)], axis=1)


def _sum_terms(features: np.ndarray) -> np.ndarray:
    """Return the sums `TERMS` of features [..., len(FEATURES)], and a zero for the constant."""
    columns = [features[..., [FEATURES.index(name) for name in names]].sum(axis=-1) for names in TERMS.values()]
    return np.stack([*columns, np.zeros_like(columns[0])], axis=-1)


def _log_sizes(pixels: list[int]) -> np.ndarray:
    logs = np.log(np.array(pixels, np.float64))
    return np.asarray(logs - logs.mean())


def _axis_codes(space: Space) -> tuple[tuple[tuple[str, np.ndarray], ...], ...]:
    """Return the keywords that each stage's blocks set in their cell, and each block's value; a value has the same code in all stages."""
    codes_by_value: dict[str, dict[Value | None, int]] = {}
    stages = []
    for stage in space.stages:
        blocks = np.unravel_index(np.arange(stage.size), stage.counts)
        keyword_codes = []
        for axis, indices in zip(stage.axes, blocks, strict=True):
            settings = [axis.cell_settings(value) for value in axis.values]
            for keyword in dict.fromkeys(key for setting in settings for key in setting):
                known = codes_by_value.setdefault(keyword, {})
                codes = np.array([known.setdefault(setting.get(keyword), len(known)) for setting in settings])
                if len(set(codes.tolist())) > 1:
                    keyword_codes.append((keyword, codes[indices]))
        stages.append(tuple(keyword_codes))
    return tuple(stages)
