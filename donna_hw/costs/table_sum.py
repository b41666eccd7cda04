"""TableCost: the sum of a table's rows, or the smooth maximum of two sums, with the table's errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from donna_hw.costs.base import CostTerms, gather_terms, smooth_max
from donna_hw.spaces.space import Rows, Space
from donna_hw.tables.latency_table import LatencyTable


@dataclass(frozen=True)
class TableCost:
    """The cost of networks by a table's rows alone, including the fixed parts.

    Args:
        name: See `CostModel`.
        unit: See `CostModel`.
        terms_by_setting: The additive parts at every setting of the global axes.
        errors: Standard errors of their terms, `[setting][part][stage][block]`.
        fixed_errors: Standard errors of their constants, float [settings, K].
        setting_counts: Number of values of each global axis.
        residual_std: Relative deviation of whole networks from the sum, in a table that was fitted to them.
    """

    name: str
    unit: str
    terms_by_setting: tuple[CostTerms, ...]
    errors: tuple[tuple[tuple[np.ndarray, ...], ...], ...]
    fixed_errors: np.ndarray
    setting_counts: tuple[int, ...] = ()
    residual_std: float = 0.0

    @classmethod
    def of(cls, space: Space, table: LatencyTable) -> TableCost:
        """Return the cost of a table that covers the space; raises `TableError` where it does not."""
        info, terms, errors, fixed_errors = table.info, [], [], []
        columns = [info.floor.column, info.column] if info.floor else [info.column]
        sharpness = info.floor.sharpness if info.floor else None
        for setting in space.setting_combinations:
            rows, at_setting = (
                (table.at_index(space, setting), space.at_index(setting)) if space.global_axes else (table, space)
            )
            parts = [rows.costs(at_setting, column) for column in columns]
            terms.append(
                CostTerms(tuple(part.blocks for part in parts), tuple(part.fixed for part in parts), sharpness)
            )
            errors.append(tuple(part.errors for part in parts))
            fixed_errors.append([part.fixed_error for part in parts])
        return cls(
            name=info.device,
            unit=info.unit,
            terms_by_setting=tuple(terms),
            errors=tuple(errors),
            fixed_errors=np.array(fixed_errors),
            setting_counts=space.setting_counts,
            residual_std=info.residual_std,
        )

    def mean(self, rows: Rows) -> np.ndarray:
        """Return the combined cost of the fixed parts and the blocks, float [n]."""
        sums, _ = self._sums(rows)
        return smooth_max(sums, self.terms_by_setting[0].sharpness)

    def std(self, rows: Rows) -> np.ndarray:
        """Return the rows' standard errors and the residual, added in quadrature, float [n]."""
        sums, variances = self._sums(rows)
        total = smooth_max(sums, self.terms_by_setting[0].sharpness)
        return np.asarray(
            np.sqrt((variances * self._slopes(sums, total) ** 2).sum(axis=1) + (self.residual_std * total) ** 2)
        )

    def std_of_difference(self, a: Rows, b: Rows) -> np.ndarray:
        """Return the standard deviation of cost(a) - cost(b), float [n]; common blocks cancel, and so does their share of the residual."""
        differ, variance = (a != b).mean(axis=1), np.zeros(len(a))
        for rows, others in ((a, b), (b, a)):
            sums, variances = self._sums(rows, others)
            total = smooth_max(sums, self.terms_by_setting[0].sharpness)
            variance += (variances * self._slopes(sums, total) ** 2).sum(axis=1) + (
                self.residual_std * total
            ) ** 2 * differ
        return np.asarray(np.sqrt(variance))

    def additive_terms(self, settings: tuple[int, ...] = ()) -> CostTerms:
        """Return the additive parts at one value index of each global axis."""
        return self.terms_by_setting[
            int(np.ravel_multi_index(settings, self.setting_counts)) if self.setting_counts else 0
        ]

    def _sums(self, rows: Rows, others: Rows | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return each part of each row and its variance, float [n, K] each, without the variance of blocks that `others` share."""
        stages = len(self.errors[0][0])
        settings = (
            np.ravel_multi_index(tuple(rows[:, stages:].T), self.setting_counts)
            if self.setting_counts
            else np.zeros(len(rows), int)
        )
        sums, variances = np.empty((len(rows), len(self.errors[0]))), np.empty((len(rows), len(self.errors[0])))
        counts = np.ones((len(rows), stages), bool) if others is None else rows[:, :stages] != others[:, :stages]
        for setting in np.unique(settings):
            index = settings == setting
            sums[index] = self.terms_by_setting[setting].sums(rows[index])
            for part, errors in enumerate(self.errors[setting]):
                fixed = self.fixed_errors[setting, part] ** 2 if others is None else 0.0
                variances[index, part] = fixed + (gather_terms(errors, rows[index]) ** 2 * counts[index]).sum(axis=1)
        return sums, variances

    def _slopes(self, sums: np.ndarray, total: np.ndarray) -> np.ndarray:
        """Return by how much the cost rises with each part, float [n, K]."""
        sharpness = self.terms_by_setting[0].sharpness
        return np.ones_like(sums) if sharpness is None else (sums / total[:, None]) ** (sharpness - 1)
