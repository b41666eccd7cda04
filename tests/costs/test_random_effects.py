"""The columns of a fit and the terms of a search are two readings of the same effects."""

from __future__ import annotations

import numpy as np
import pytest
from cost_examples import made_basis, random_rows
from hypothesis import given, settings
from hypothesis import strategies as st

from donna_hw.costs.random_effects import build_effect_groups, iter_term_costs


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([0, 4]), st.booleans(), st.booleans())
def test_terms_add_up_to_the_basis_and_its_columns(seed: int, sizes: int, errors: bool, work: bool) -> None:
    basis = made_basis(seed, settings=sizes, errors=errors)
    rows, rng = random_rows(basis, 40, seed), np.random.default_rng(seed)
    weights = rng.uniform(0, 1, 3)
    groups = build_effect_groups(basis, weights, rows, work=work)
    effects = {group.name: rng.normal(0, 0.2, group.columns.shape[1]) for group in groups}
    expected = basis.sums(rows) @ weights + sum(group.columns @ effects[group.name] for group in groups)
    found = np.zeros(len(rows))
    for i, (row, setting) in enumerate(zip(rows, basis.setting_index(rows), strict=True)):
        fixed, *stages = iter_term_costs(basis, weights, effects, int(setting))
        found[i] = fixed[0] + sum(values[m] for values, m in zip(stages, row, strict=False))
    assert found == pytest.approx(expected, rel=1e-12)
    names = [group.name for group in groups]
    assert ("setting" in names) == (work and sizes > 0)
    assert ("row" in names) == (work and errors)
