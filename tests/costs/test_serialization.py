"""The correction kept beside a table: it gives the same cost again, and nothing stands in for what no fit gives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import QUICK, FakeBackend, fake_device, fake_machine, tiny_space

from donna_hw._core.resources import data_roots
from donna_hw._core.toml_files import read_toml, write_toml
from donna_hw.costs.basis import FeatureBasis
from donna_hw.costs.fit import fit_cost
from donna_hw.costs.serialization import (
    CORRECTION_SUFFIX,
    CorrectionFile,
    load_corrected_cost,
    load_correction,
    load_cost,
    save_correction,
)
from donna_hw.costs.table_sum import TableCost
from donna_hw.errors import ConfigError, DonnaError, FileFormatError, TableError, UnknownNameError
from donna_hw.profiling.profiler import profile_space
from donna_hw.profiling.workers.in_process import create_in_process_workers
from donna_hw.spaces import load_space
from donna_hw.spaces.space import Space
from donna_hw.tables.latency_table import LatencyTable

SPACE = tiny_space()
ROWS = SPACE.random_rows(SPACE.size, 0)


@pytest.fixture
def table(tmp_path: Path) -> LatencyTable:
    return profile_space(
        SPACE, fake_device(FakeBackend(fake_machine(SPACE))), tmp_path, QUICK, workers=create_in_process_workers
    )


def fitted(space: Space, table: LatencyTable, kind: str = "sum") -> Any:
    basis = FeatureBasis.from_table(space, table)
    plain = TableCost.of(space, table).mean(ROWS)
    measured = 1.2 * plain * np.exp(0.02 * np.random.default_rng(0).standard_normal(len(ROWS)))
    return fit_cost(table.info.device, basis, ROWS[:12], measured[:12], kind=kind)


@pytest.mark.parametrize("kind", ["sum", "floor"])
def test_the_cost_kept_is_the_cost_fitted(table: LatencyTable, kind: str) -> None:
    assert load_corrected_cost(SPACE, table) is None
    assert isinstance(load_cost(SPACE, table), TableCost)
    fit = fitted(SPACE, table, kind)
    save_correction(SPACE, table, fit)
    again = load_cost(SPACE, table)
    assert again.mean(ROWS) == pytest.approx(fit.cost.mean(ROWS), rel=1e-12)
    assert again.std(ROWS) == pytest.approx(fit.cost.std(ROWS), rel=1e-9)
    assert again.std_of_difference(ROWS, ROWS[::-1]) == pytest.approx(
        fit.cost.std_of_difference(ROWS, ROWS[::-1]), rel=1e-9
    )
    found = load_correction(table)
    assert found is not None
    assert (found.kind, len(found.networks), found.mape_percent) == (kind, 12, fit.mape_percent)


def test_a_table_measured_again_wants_another_correction(table: LatencyTable) -> None:
    save_correction(SPACE, table, fitted(SPACE, table))
    moved = table.frame.copy()
    moved.loc[3, "median_s"] *= 1.01
    with pytest.raises(
        TableError, match=r"belongs to other rows than .* has now; fit it again: donna-hw table calibrate"
    ):
        load_corrected_cost(SPACE, replace(table, frame=moved))


KEYS = [name for name, field in CorrectionFile.model_fields.items() if field.is_required()]


@pytest.mark.parametrize("key", KEYS)
def test_a_missing_key_is_named(table: LatencyTable, key: str) -> None:
    save_correction(SPACE, table, fitted(SPACE, table))
    path = table.path.with_suffix(CORRECTION_SUFFIX)
    write_toml(path, {name: value for name, value in read_toml(path).items() if name != key})
    with pytest.raises(ConfigError, match=f"missing key '{key}'"):
        load_corrected_cost(SPACE, table)


@pytest.mark.parametrize(
    ("key", "value", "error"),
    [
        ("kind", "cubic", FileFormatError),
        ("kind", "floor", FileFormatError),
        ("weights", [[1.0]], FileFormatError),
        ("weights", [[-1.0, 0.0, 0.0, 0.0]], FileFormatError),
        ("weights", [[0.0, 0.0, 0.0, 0.0]], FileFormatError),
        ("weights", "1", ConfigError),
        ("sharpness", 8.0, FileFormatError),
        ("log_noise", [0.1, 0.1], FileFormatError),
        ("log_effects", [0.1], FileFormatError),
        ("log_effects", [1e3] * 6, FileFormatError),
        ("growth", 40.0, FileFormatError),
        ("growth", float("nan"), ConfigError),
        ("measured", [1.0], FileFormatError),
        ("measured", [0.0] * 12, FileFormatError),
        ("outlier_scale", [-1.0] * 12, FileFormatError),
        ("networks", ["k1-relu"] * 12, FileFormatError),
        ("networks", ["k1-relu/k9-relu"] * 12, UnknownNameError),
        ("coverage", 1.5, ConfigError),
        ("scale", 1.0, UnknownNameError),
    ],
)
def test_what_no_fit_gives_is_refused(table: LatencyTable, key: str, value: object, error: type[DonnaError]) -> None:
    save_correction(SPACE, table, fitted(SPACE, table))
    path = table.path.with_suffix(CORRECTION_SUFFIX)
    write_toml(path, read_toml(path) | {key: value})
    with pytest.raises(error, match=r"^[^\n]*$"):
        load_corrected_cost(SPACE, table)


@pytest.mark.parametrize(
    "path",
    sorted((data_roots()[-1] / "latency_tables").glob(f"*/*/*{CORRECTION_SUFFIX}")),
    ids=lambda path: path.parent.name,
)
def test_every_shipped_correction_is_of_the_rows_beside_it(path: Path) -> None:
    table = LatencyTable.read(path.with_name(path.name.removesuffix(CORRECTION_SUFFIX) + ".csv"))
    space = load_space(table.info.space)
    cost, rows = load_corrected_cost(space, table), space.random_rows(50, 0)
    assert cost is not None
    assert np.abs(cost.mean(rows) / TableCost.of(space, table).mean(rows) - 1).max() < 0.3
    assert (cost.std(rows) / cost.mean(rows) < 0.1).all()
