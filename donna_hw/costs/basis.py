"""Basis: what is known of each block of a space before any whole network is measured; the ground that a cost is fitted on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from donna_hw.costs.features import BYTES, FEATURES, LAUNCHES, block_features, fixed_features
from donna_hw.errors import ConfigError
from donna_hw.spaces.space import Rows, Space
from donna_hw.spaces.stage import Value
from donna_hw.tables.latency_table import LatencyTable

# Sums of layer features that a device's time may be made of: work of several kinds, then what each layer costs by being there.
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
    """Numbers of every block, whose weighted sums over a network are its cost before the fit.

    names: of the F numbers, `constant` last. stages: float [settings, blocks, F] a stage; fixed: float [settings, F], all fixed parts,
    with 1 for the constant. expected: the weight of each, where a table states it, else NaN. launches: which of the F make up the time
    of launching, the first part of a launch floor. values: for each stage the keywords that its axes set, and the number of each block's
    value, int [blocks]. levels: float [settings], log of the input's size about its mean, None without global axes. errors: a table's
    standard errors [settings, blocks]. counts: of the values of each global axis.
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
        """Return the basis of what a device must do for the layers: MACs of three kinds, bytes, layers; no table is needed."""
        counts, spaces = space.setting_counts, [space.at_index(setting) for setting in space.setting_combinations]
        stages = [
            np.stack(found) for found in zip(*(map(_sum_terms, block_features(one)) for one in spaces), strict=True)
        ]
        fixed = np.stack([_sum_terms(fixed_features(one)) for one in spaces])
        fixed[:, -1] = 1.0
        names = (*TERMS, CONSTANT)
        launches = tuple(names.index(name) for name in (*LAYER_TERMS, CONSTANT))
        levels = _log_sizes([one.input_shape[1] for one in spaces]) if counts else None
        expected = np.full(len(names), np.nan)
        return cls(names, tuple(stages), fixed, expected, launches, _axis_codes(space), levels, None, counts)

    @classmethod
    def from_table(cls, space: Space, table: LatencyTable) -> FeatureBasis:
        """Return the basis of a table, whose rows a network's cost is expected to be the sum of, and of the number of its layers."""
        if space.global_axes:
            raise ConfigError(
                "a table to correct holds one setting of each global axis",
                got=", ".join(axis.name for axis in space.global_axes),
                hint="fit one to whole networks: donna-hw table fit",
            )
        costs, layers = table.costs(space), [_sum_terms(found) for found in block_features(space)]
        places = [list(TERMS).index(name) for name in LAYER_TERMS]
        stages = [
            np.column_stack([values, found[:, places], np.zeros(len(values))])[None]
            for values, found in zip(costs.blocks, layers, strict=True)
        ]
        fixed = np.array([[costs.fixed, *_sum_terms(fixed_features(space))[places], 1.0]])
        alike = table.info.unit == "s" and table.info.origin in (
            "measured",
            "fitted",
        )  # of a device that runs as the networks do
        expected = np.array([1.0, 0.0, 0.0, 0.0]) if alike else np.full(4, np.nan)
        errors = tuple(values[None] for values in costs.errors)
        return cls(
            ("table", *LAYER_TERMS, CONSTANT),
            tuple(stages),
            fixed,
            expected,
            (1, 2, 3),
            _axis_codes(space),
            None,
            errors,
        )

    @classmethod
    def uniform(cls, space: Space) -> FeatureBasis:
        """Return the basis that knows nothing: every block of every stage is expected to cost the same."""
        counts = space.setting_counts
        levels = (
            _log_sizes([space.at_index(setting).input_shape[1] for setting in space.setting_combinations])
            if counts
            else None
        )
        area = np.ones(1) if levels is None else np.exp(2 * levels)
        stages = tuple(
            np.stack([np.broadcast_to(area[:, None], (len(area), stage.size)), np.zeros((len(area), stage.size))], -1)
            for stage in space.stages
        )
        fixed = np.stack([0 * area, np.ones(len(area))], axis=-1)
        return cls(("block", CONSTANT), stages, fixed, np.full(2, np.nan), (), _axis_codes(space), levels, None, counts)

    def setting_index(self, rows: Rows) -> np.ndarray:
        """Return the number of each row's setting of the global axes, int [n]."""
        if not self.setting_counts:
            return np.zeros(len(rows), np.int64)
        return np.asarray(np.ravel_multi_index(tuple(rows[:, len(self.stages) :].T), self.setting_counts))

    def sums(self, rows: Rows) -> np.ndarray:
        """Return the numbers of whole networks, float [n, F]."""
        at = self.setting_index(rows)
        total: np.ndarray = self.fixed[at].copy()
        for i, values in enumerate(self.stages):
            total += values[at, rows[:, i]]
        return total

    def stage_costs(self, weights: np.ndarray, rows: Rows) -> np.ndarray:
        """Return what each stage's block adds under weights float [F], float [n, stages]."""
        at = self.setting_index(rows)
        return np.stack([(values @ weights)[at, rows[:, i]] for i, values in enumerate(self.stages)], axis=1)


def _sum_terms(features: np.ndarray) -> np.ndarray:
    """Return the sums `TERMS` of features [..., len(FEATURES)], and a zero for the constant."""
    columns = [features[..., [FEATURES.index(one) for one in names]].sum(axis=-1) for names in TERMS.values()]
    return np.stack([*columns, np.zeros_like(columns[0])], axis=-1)


def _log_sizes(pixels: list[int]) -> np.ndarray:
    logs = np.log(np.array(pixels, np.float64))
    return np.asarray(logs - logs.mean())


def _axis_codes(space: Space) -> tuple[tuple[tuple[str, np.ndarray], ...], ...]:
    """Return what each stage's blocks set in their cell: keywords, and each block's value; a value has one number in all stages."""
    numbers: dict[str, dict[Value | None, int]] = {}
    stages = []
    for stage in space.stages:
        blocks = np.unravel_index(np.arange(stage.size), stage.counts)
        found = []
        for axis, places in zip(stage.axes, blocks, strict=True):
            sets = [axis.cell_settings(value) for value in axis.values]
            for word in dict.fromkeys(word for each in sets for word in each):
                known = numbers.setdefault(word, {})
                codes = np.array([known.setdefault(each.get(word), len(known)) for each in sets])
                if len(set(codes.tolist())) > 1:
                    found.append((word, codes[places]))
        stages.append(tuple(found))
    return tuple(stages)
