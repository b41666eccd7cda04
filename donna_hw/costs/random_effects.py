"""Random effects: by how much each stage, axis value and block may cost more than its prior, as columns of a linear model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from donna_hw.costs.basis import FeatureBasis
from donna_hw.spaces.space import Rows

# Log sizes lie within a third of each other: this scales slopes and curves to the size of the other effects.
LEVEL_SCALE = 3.0


@dataclass(frozen=True)
class EffectGroup:
    """Effects that share one prior deviation.

    Args:
        name: Name of the group.
        columns: What an effect of 1 adds to the part of each network, float [n, m], in the cost's unit.
        is_fixed: Whether the prior deviation is known to be 1.
    """

    name: str
    columns: np.ndarray
    is_fixed: bool = False


def build_effect_groups(basis: FeatureBasis, weights: np.ndarray, rows: Rows, *, work: bool) -> list[EffectGroup]:
    """Return the groups of effects on one part of the cost.

    `weights`: each of the F features may weigh more. `stage`, `value` (of an axis, equal in all stages), `stage value` and `block`:
    relative to the prior cost of the block, equal at all settings. The part of the work also has `slope` (of a stage with the input's
    size), `setting`, `curve` (of the whole part with the input's size), and `row`: the table's own standard errors.

    Args:
        basis: The prior.
        weights: The part's weights, float [F].
        rows: Networks, int [n, stages + global axes].
        work: Whether this is the part of the work.

    Returns:
        The groups, in a fixed order.
    """
    shares = basis.stage_costs(weights, rows)
    groups = [EffectGroup("weights", basis.sums(rows) * weights), EffectGroup("stage", shares)]
    by_value: dict[tuple[str, int], np.ndarray] = {}
    by_stage: list[np.ndarray] = []
    for stage, axes in enumerate(basis.axis_codes):
        for name, values in axes:
            columns = _scatter(values[rows[:, stage]], int(values.max()) + 1, shares[:, stage])
            for value, column in enumerate(columns.T):
                by_value[name, value] = by_value.get((name, value), 0.0) + column
            if len(axes) > 1:
                by_stage.append(columns)
    groups.append(EffectGroup("value", np.stack(list(by_value.values()), axis=1)))
    groups += [EffectGroup("stage value", np.hstack(by_stage))] if by_stage else []
    sizes = [values.shape[1] for values in basis.stages]
    groups.append(
        EffectGroup("block", np.hstack([_scatter(rows[:, i], size, shares[:, i]) for i, size in enumerate(sizes)]))
    )
    if work:
        groups += _setting_groups(basis, shares, basis.sums(rows) @ weights, basis.setting_index(rows))
        groups += _row_groups(basis, rows, float(weights[0]))
    return groups


def iter_term_costs(
    basis: FeatureBasis, weights: np.ndarray, effects: dict[str, np.ndarray], setting: int
) -> Iterator[np.ndarray]:
    """Yield the costs of the fixed parts, float [1], and then of each stage's blocks, float [blocks], in one part at one setting.

    Their sum over a network equals the part that the columns of `build_effect_groups` make.

    Args:
        basis: The prior.
        weights: The part's weights, float [F].
        effects: By group, float [m].
        setting: Index of the setting of the global axes.
    """
    log_size = 0.0 if basis.log_sizes is None else basis.log_sizes[setting]
    weighted = weights * (1 + effects["weights"])
    total = 1.0
    if "setting" in effects:
        curve = np.array([log_size, LEVEL_SCALE * log_size**2]) * LEVEL_SCALE
        total += effects["setting"][setting] + float(effects["curve"] @ curve)
    # the curve multiplies the prior part alone
    yield np.array([basis.fixed[setting] @ (weighted + weights * (total - 1))])
    indices, stage_value, block = _value_indices(basis.axis_codes), 0, 0
    for stage, (values, axes) in enumerate(zip(basis.stages, basis.axis_codes, strict=True)):
        size = values.shape[1]
        share = values[setting] @ weights
        relative = effects["stage"][stage] + effects["block"][block : block + size] + (total - 1)
        for name, codes in axes:
            relative = relative + effects["value"][[indices[name, int(code)] for code in codes]]
            if len(axes) > 1:
                relative = relative + effects["stage value"][stage_value + codes]
                stage_value += int(codes.max()) + 1
        if "slope" in effects:
            relative = relative + LEVEL_SCALE * log_size * effects["slope"][stage]
        costs = values[setting] @ weighted + share * relative
        if "row" in effects and basis.errors is not None:
            costs = costs + basis.errors[stage][setting] * weights[0] * effects["row"][block : block + size]
        block += size
        yield costs


def _setting_groups(
    basis: FeatureBasis, shares: np.ndarray, part: np.ndarray, setting: np.ndarray
) -> list[EffectGroup]:
    if basis.log_sizes is None:
        return []
    log_size = basis.log_sizes[setting]
    curve = np.stack([log_size, LEVEL_SCALE * log_size**2], axis=1) * LEVEL_SCALE
    return [
        EffectGroup("slope", shares * (LEVEL_SCALE * log_size)[:, None]),
        EffectGroup("setting", _scatter(setting, len(basis.log_sizes), part)),
        EffectGroup("curve", curve * part[:, None]),
    ]


def _row_groups(basis: FeatureBasis, rows: Rows, weight: float) -> list[EffectGroup]:
    if basis.errors is None or not any(values.any() for values in basis.errors):
        return []
    settings = basis.setting_index(rows)
    columns = [
        _scatter(rows[:, i], values.shape[1], weight * values[settings, rows[:, i]])
        for i, values in enumerate(basis.errors)
    ]
    return [EffectGroup("row", np.hstack(columns), is_fixed=True)]


def _value_indices(axis_codes: tuple[tuple[tuple[str, np.ndarray], ...], ...]) -> dict[tuple[str, int], int]:
    """Return the index of each axis value in the order in which `build_effect_groups` adds them."""
    indices: dict[tuple[str, int], int] = {}
    for axes in axis_codes:
        for name, codes in axes:
            for value in range(int(codes.max()) + 1):
                indices.setdefault((name, value), len(indices))
    return indices


def _scatter(indices: np.ndarray, count: int, values: np.ndarray) -> np.ndarray:
    """Return float [n, count]: each row's value in the column of its index, zero elsewhere."""
    columns = np.zeros((len(indices), count))
    columns[np.arange(len(indices)), indices] = values
    return columns
