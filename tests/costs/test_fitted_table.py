"""A table made of a fit says of every network what the fit says, at each resolution, as a sum and as a launch floor."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fakes import tiny_space

from donna_hw.costs.basis import FeatureBasis
from donna_hw.costs.fit import fit_cost
from donna_hw.costs.fitted_table import build_table
from donna_hw.costs.table_sum import TableCost
from donna_hw.errors import ConfigError, TableError
from donna_hw.spaces import Axis
from donna_hw.spaces.space import RESOLUTION
from donna_hw.tables.latency_table import LatencyTable

SPACE = replace(tiny_space(), global_axes=(Axis(RESOLUTION, (4, 8, 12)),))


@pytest.mark.parametrize("kind", ["sum", "floor"])
def test_the_table_and_the_fit_agree_on_every_network(tmp_path: Path, kind: str) -> None:
    rows, rng = SPACE.random_rows(SPACE.size, 0), np.random.default_rng(0)
    basis = FeatureBasis.from_layers(SPACE)
    macs = basis.sums(rows) @ np.array([1e-9, 0, 0, 1e-10, 0, 1e-6, 1e-6, 2e-6])
    fit = fit_cost("lab", basis, rows[:40], (macs * np.exp(0.02 * rng.standard_normal(len(rows))))[:40], kind=kind)
    build_table(SPACE, fit, {"source": "a test"}, tmp_path, "v").write()
    table = LatencyTable.read(tmp_path / "lab/tiny/v.csv")
    assert table.coverage(SPACE).complete
    assert (table.info.floor is not None) == (kind == "floor")
    cost = TableCost.of(SPACE, table)
    assert cost.mean(rows) == pytest.approx(fit.cost.mean(rows), rel=1e-9)
    assert (cost.std(rows) >= table.info.residual_std * cost.mean(rows) * (1 - 1e-9)).all()
    for setting in SPACE.setting_combinations:
        parts, own = cost.additive_terms(setting), fit.cost.additive_terms(setting)
        assert parts.constants == pytest.approx(own.constants)
    with pytest.raises(TableError, match=r"a table of [^ ]+, not of tiny@8px"):
        table.costs(SPACE.at((8,)))
    with pytest.raises(ConfigError, match=r"one setting of each global axis.*'resolution'"):
        table.costs(SPACE)
