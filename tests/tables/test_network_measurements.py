"""Measured networks: what is written reads back, those next to a table are read too, and no invalid line is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from donna_hw.errors import ConfigError, DonnaError, TableError
from donna_hw.spaces import load_space
from donna_hw.tables.network_measurements import MeasuredNetworks


def some(name: str = "ofa_mobilenetv3", count: int = 20) -> MeasuredNetworks:
    space = load_space(name)
    rng = np.random.default_rng(0)
    seconds = np.round(rng.uniform(1e-3, 1e-2, count), 9)
    return MeasuredNetworks(space, "phone", space.random_rows(count, rng), seconds, {"source": "made", "batch": 32})


@pytest.mark.parametrize("name", ["ofa_mobilenetv3", "fbnet_cifar100", "small_8px"])
def test_networks_read_back_as_they_were_written(tmp_path: Path, name: str) -> None:
    before, path = some(name), tmp_path / "a.networks.csv"
    before.write(path)
    after = MeasuredNetworks.read(path)
    assert (after.space, after.device, dict(after.metadata)) == (before.space, "phone", dict(before.metadata))
    assert (after.rows == before.rows).all()
    assert (after.seconds == before.seconds).all()
    assert {file.name for file in tmp_path.iterdir()} == {"a.networks.csv", "a.networks.toml"}


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("/r1", "/r9", "line .*not a network of ofa_mobilenetv3, which has 21 labels"),
        ("/r", "/k3-e3/r", "line 2.*not a network of ofa_mobilenetv3, which has 21 labels"),
        ("0.00", "-0.00", "line .*above zero"),
        ("0.00", "fast", "line 2.*above zero"),
        ("latency_s", "latency_ms", "no column latency_s, only network, latency_ms"),
        ("network", "arch", "no column network, only arch, latency_s"),
    ],
)
def test_an_invalid_line_is_refused(tmp_path: Path, old: str, new: str, says: str) -> None:
    path = tmp_path / "a.networks.csv"
    some().write(path)
    path.write_text(path.read_text().replace(old, new), encoding="utf-8")
    with pytest.raises(TableError, match=says):
        MeasuredNetworks.read(path)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('unit = "s"', 'unit = "ms"', "seconds"),
        ('space_hash = "', 'space_hash = "0', "changed since"),
        ("[metadata]", "more = 1\n[metadata]", "more"),
    ],
)
def test_a_toml_of_something_else_is_refused(tmp_path: Path, old: str, new: str, says: str) -> None:
    path = tmp_path / "a.networks.csv"
    some().write(path)
    toml = path.with_suffix(".toml")
    toml.write_text(toml.read_text().replace(old, new), encoding="utf-8")
    with pytest.raises(DonnaError, match=says):
        MeasuredNetworks.read(path)


def test_other_shapes_and_names_are_refused(tmp_path: Path) -> None:
    found = some()
    with pytest.raises(ConfigError, match=r"rows must have the shape \(20, 21\); got \(20, 20\)"):
        MeasuredNetworks(found.space, "phone", found.rows[:, :20], found.seconds)
    with pytest.raises(ConfigError, match=r"<variant>\.networks\.csv"):
        found.write(tmp_path / "a.csv")
