"""TableCost: the sum of a table's rows, or the smooth maximum of two, with the table's own error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from donna_hw.costs.base import CostTerms, gather_terms, smooth_max
from donna_hw.spaces.space import Rows, Space
from donna_hw.tables.latency_table import LatencyTable


@dataclass(frozen=True)
class TableCost:
    """What networks cost by a table's rows alone, fixed parts included.

    each: the parts at every setting of the global axes; errors: standard errors of their terms, `[setting][part][stage][block]`;
    fixed_errors: of their constants, float [settings, K]. residual: relative deviation of whole networks, of a table fitted to them.
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
        """Return the cost model of a table that covers the space; raises `BadTable` where it does not."""
        info, each, errors, fixed = table.info, [], [], []
        columns = [info.floor.column, info.column] if info.floor else [info.column]
        for setting in space.setting_combinations:
            rows, settled = (
                (table.at_index(space, setting), space.at_index(setting)) if space.global_axes else (table, space)
            )
            found = [rows.costs(settled, column) for column in columns]
            sharpness = info.floor.sharpness if info.floor else None
            each.append(CostTerms(tuple(one.blocks for one in found), tuple(one.fixed for one in found), sharpness))
            errors.append(tuple(one.errors for one in found))
            fixed.append([one.fixed_error for one in found])
        counts = space.setting_counts
        return cls(info.device, info.unit, tuple(each), tuple(errors), np.array(fixed), counts, info.residual_std)

    def mean(self, rows: Rows) -> np.ndarray:
        """Return what the fixed parts and the blocks join to, float [n]."""
        sums, _ = self._sums(rows)
        return smooth_max(sums, self.terms_by_setting[0].sharpness)

    def std(self, rows: Rows) -> np.ndarray:
        """Return the rows' standard errors and the residual, added in quadrature, float [n]."""
        sums, variances = self._sums(rows)
        whole = smooth_max(sums, self.terms_by_setting[0].sharpness)
        return np.asarray(
            np.sqrt((variances * self._slopes(sums, whole) ** 2).sum(axis=1) + (self.residual_std * whole) ** 2)
        )

    def std_of_difference(self, a: Rows, b: Rows) -> np.ndarray:
        """Return the standard deviation of cost(a) - cost(b), float [n]; blocks in common cancel, as does their share of the residual."""
        differ, total = (a != b).mean(axis=1), np.zeros(len(a))
        for rows, others in ((a, b), (b, a)):
            sums, variances = self._sums(rows, others)
            whole = smooth_max(sums, self.terms_by_setting[0].sharpness)
            total += (variances * self._slopes(sums, whole) ** 2).sum(axis=1) + (
                self.residual_std * whole
            ) ** 2 * differ
        return np.asarray(np.sqrt(total))

    def additive_terms(self, settings: tuple[int, ...] = ()) -> CostTerms:
        """Return the additive parts at one value number of each global axis."""
        return self.terms_by_setting[
            int(np.ravel_multi_index(settings, self.setting_counts)) if self.setting_counts else 0
        ]

    def _sums(self, rows: Rows, others: Rows | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return each part of each row and its variance, float [n, K] each; that of blocks which `others` have too is left out."""
        stages = len(self.errors[0][0])
        at = (
            np.ravel_multi_index(tuple(rows[:, stages:].T), self.setting_counts)
            if self.setting_counts
            else np.zeros(len(rows), int)
        )
        sums, variances = np.empty((len(rows), len(self.errors[0]))), np.empty((len(rows), len(self.errors[0])))
        own = np.ones((len(rows), stages), bool) if others is None else rows[:, :stages] != others[:, :stages]
        for setting in np.unique(at):
            here = at == setting
            sums[here] = self.terms_by_setting[setting].sums(rows[here])
            for part, errors in enumerate(self.errors[setting]):
                fixed = self.fixed_errors[setting, part] ** 2 if others is None else 0.0
                variances[here, part] = fixed + (gather_terms(errors, rows[here]) ** 2 * own[here]).sum(axis=1)
        return sums, variances

    def _slopes(self, sums: np.ndarray, whole: np.ndarray) -> np.ndarray:
        """Return by how much the cost rises with each part, float [n, K]."""
        sharpness = self.terms_by_setting[0].sharpness
        return np.ones_like(sums) if sharpness is None else (sums / whole[:, None]) ** (sharpness - 1)
