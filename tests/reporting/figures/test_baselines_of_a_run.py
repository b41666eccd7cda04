"""Baselines stand beside a run's networks only where their published accuracies and their costs mean the same."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from donna_hw._core.resources import data_roots
from donna_hw.pipeline.run import Run, open_run
from donna_hw.reporting.figures.baselines import load_baselines
from donna_hw.spaces.baselines.published import load_published
from donna_hw.tables.lookup import find_table
from donna_hw.tables.network_measurements import NetworkMeasurements

SHIPPED = next(root for root in data_roots() if (root / "latency_tables" / "macs").is_dir()) / "latency_tables"


def take(run: Run, device: str, space: str) -> Path:
    """Copy a shipped table into a run and return its folder."""
    return Path(shutil.copytree(SHIPPED / device / space, run.tables / device / space))


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Return a run of the paper's space, with no more in its folder than its recipe."""
    with open_run("imagenet_donna", tmp_path / "run") as opened:
        yield opened


def test_counts_of_baselines_are_those_of_the_shipped_table(run: Run) -> None:
    take(run, "macs", "donna")
    found = load_baselines(run, "macs").set_index("name")
    table = find_table([SHIPPED], "macs", "baselines").frame.set_index("network")
    assert {"mobilenetv2_100", "efficientnet_b0", "resnet50"} <= set(found.index)
    for name, line in found.iterrows():
        assert line["cost"] == table.loc[name, "macs"]
        assert line["percent"] == load_published()[str(name)].top1_percent


def test_latencies_of_another_machine_are_not_taken(run: Run) -> None:
    folder = take(run, "onnxruntime_cpu", "donna")
    (toml,) = (path for path in folder.glob("*.toml") if path.with_suffix(".csv").exists())
    model = find_table([run.tables], "onnxruntime_cpu", "donna").info.identity["device_model"]
    toml.write_text(toml.read_text().replace(str(model), "Another CPU"))
    assert not len(load_baselines(run, "onnxruntime_cpu"))


def test_what_was_measured_beside_the_table_comes_first(run: Run) -> None:
    take(run, "onnxruntime_cpu", "donna")
    table = find_table([run.tables], "onnxruntime_cpu", "donna")
    listing = NetworkMeasurements(table.path.with_suffix(".baselines.csv"), table.info.sentinel_reference_s)
    listing.add({"abc": {table.info.column: "0.125"}}, {"abc": "resnet34"})
    found = load_baselines(run, "onnxruntime_cpu")
    assert found.to_dict("records") == [
        {"name": "resnet34", "cost": 0.125, "percent": load_published()["resnet34"].top1_percent}
    ]


def test_a_run_of_other_images_has_none(tmp_path: Path) -> None:
    with open_run("digits", tmp_path / "digits") as run:
        take(run, "macs", "small_8px")
        assert not len(load_baselines(run, "macs"))
