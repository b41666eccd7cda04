"""Effects: by how much each stage, axis value and block may cost more than its basis says, as columns of a linear model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from donna_hw.costs.basis import FeatureBasis
from donna_hw.spaces.space import Rows

LEVEL_SCALE = 3.0  # levels lie within a third of each other: brings slopes and curves to the size of the other effects


@dataclass(frozen=True)
class EffectGroup:
    """Effects that share one prior deviation.

    columns: float [n, m], in the cost's unit, what an effect of 1 adds to the part of each network. fixed: whether the prior deviation is
    known to be 1.
    """

    name: str
    columns: np.ndarray
    is_fixed: bool = False


def build_effect_groups(basis: FeatureBasis, weights: np.ndarray, rows: Rows, *, work: bool) -> list[EffectGroup]:
    """Return the groups of effects on one part of networks, int [n, stages + global axes], with the part's weights float [F].

    weights: each of the F numbers may weigh more. stage, value (of an axis, in all stages alike), stage value, block: relative to what the
    basis says of the block, at all settings alike. For the part of the work also: slope (a stage with the input's size), setting,
    and curve (the whole part with the input's size). row: the table's own standard errors.
    """
    shares = basis.stage_costs(weights, rows)
    groups = [EffectGroup("weights", basis.sums(rows) * weights), EffectGroup("stage", shares)]
    alike: dict[tuple[str, int], np.ndarray] = {}
    own: list[np.ndarray] = []
    for stage, axes in enumerate(basis.axis_codes):
        for name, values in axes:
            columns = _scatter(values[rows[:, stage]], int(values.max()) + 1, shares[:, stage])
            for value, column in enumerate(columns.T):
                alike[name, value] = alike.get((name, value), 0.0) + column
            if len(axes) > 1:
                own.append(columns)
    groups.append(EffectGroup("value", np.stack(list(alike.values()), axis=1)))
    groups += [EffectGroup("stage value", np.hstack(own))] if own else []
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
    """Yield what the fixed parts add, float [1], and then each stage's blocks, float [blocks], of one part at one setting.

    effects: by group, float [m]; the sums over a network are the part that the columns of `build_effect_groups` make.
    """
    level = 0.0 if basis.log_sizes is None else basis.log_sizes[setting]
    weighted = weights * (1 + effects["weights"])
    whole = 1.0
    if "setting" in effects:
        curve = np.array([level, LEVEL_SCALE * level**2]) * LEVEL_SCALE
        whole += effects["setting"][setting] + float(effects["curve"] @ curve)
    # the curve multiplies the part of the basis alone
    yield np.array([basis.fixed[setting] @ (weighted + weights * (whole - 1))])
    numbers, own, block = _value_indices(basis.axis_codes), 0, 0
    for stage, (values, axes) in enumerate(zip(basis.stages, basis.axis_codes, strict=True)):
        size = values.shape[1]
        share = values[setting] @ weights
        relative = effects["stage"][stage] + effects["block"][block : block + size] + (whole - 1)
        for name, places in axes:
            relative = relative + effects["value"][[numbers[name, int(place)] for place in places]]
            if len(axes) > 1:
                relative = relative + effects["stage value"][own + places]
                own += int(places.max()) + 1
        if "slope" in effects:
            relative = relative + LEVEL_SCALE * level * effects["slope"][stage]
        found = values[setting] @ weighted + share * relative
        if "row" in effects and basis.errors is not None:
            found = found + basis.errors[stage][setting] * weights[0] * effects["row"][block : block + size]
        block += size
        yield found


def _setting_groups(
    basis: FeatureBasis, shares: np.ndarray, part: np.ndarray, setting: np.ndarray
) -> list[EffectGroup]:
    if basis.log_sizes is None:
        return []
    level = basis.log_sizes[setting]
    curve = np.stack([level, LEVEL_SCALE * level**2], axis=1) * LEVEL_SCALE
    return [
        EffectGroup("slope", shares * (LEVEL_SCALE * level)[:, None]),
        EffectGroup("setting", _scatter(setting, len(basis.log_sizes), part)),
        EffectGroup("curve", curve * part[:, None]),
    ]


def _row_groups(basis: FeatureBasis, rows: Rows, weight: float) -> list[EffectGroup]:
    if basis.errors is None or not any(values.any() for values in basis.errors):
        return []
    at = basis.setting_index(rows)
    columns = [
        _scatter(rows[:, i], values.shape[1], weight * values[at, rows[:, i]]) for i, values in enumerate(basis.errors)
    ]
    return [EffectGroup("row", np.hstack(columns), is_fixed=True)]


def _value_indices(values: tuple[tuple[tuple[str, np.ndarray], ...], ...]) -> dict[tuple[str, int], int]:
    """Return the number of each axis value in the order in which `build_effect_groups` meets them."""
    found: dict[tuple[str, int], int] = {}
    for axes in values:
        for name, places in axes:
            for value in range(int(places.max()) + 1):
                found.setdefault((name, value), len(found))
    return found


def _scatter(places: np.ndarray, count: int, values: np.ndarray) -> np.ndarray:
    """Return float [n, count]: each row's value in the column of its place, zero elsewhere."""
    columns = np.zeros((len(places), count))
    columns[np.arange(len(places)), places] = values
    return columns
