"""A whole run through the command line on a Ray cluster: what it trains is what one machine trains, and it measures there."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ray_nodes import two_nodes
from tiny_run import Main, TinyRun, donna

from donna_hw.graph.graph import Graph
from donna_hw.measurement.measurement import Trial
from donna_hw.pipeline.run import open_run
from donna_hw.pipeline.steps import profile_blocks
from donna_hw.profiling.jobs import MeasurementJob
from donna_hw.profiling.workers.ray import RayWorker

DEVICE = "onnxruntime_cpu"
pytestmark = [
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore"),  # Ray leaves sockets and processes to the garbage collector
]


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    with two_nodes(**{DEVICE: 1}) as cluster:
        yield cluster


def lines(path: Path) -> list[dict[str, str]]:
    """Return a journal's records, in no order, without the seconds that training took."""
    with path.open() as file:
        records = [{key: value for key, value in row.items() if key != "train_s"} for row in csv.DictReader(file)]
    return sorted(records, key=str)


def test_a_run_on_a_cluster_trains_the_same_bytes(tiny_run: TinyRun, nodes: Any, tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = donna("run", tiny_run.recipe, "--out", "run", "--cluster", nodes.address, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for place in ("block_library", "reference"):
        expected = {path.name: path.read_bytes() for path in (tiny_run.folder / place).rglob("*.safetensors")}
        assert expected
        assert {path.name: path.read_bytes() for path in (out / place).rglob("*.safetensors")} == expected
    assert lines(out / "block_library" / "quality.csv") == lines(tiny_run.folder / "block_library" / "quality.csv")
    networks = "architecture_library/architectures.csv"
    here, there = ([row for row in lines(f / networks) if row["role"] == "library"] for f in (tiny_run.folder, out))
    assert here == there  # those of the front hang on measured latencies, too
    assert len(here) == 5
    weights = {path.name: path.read_bytes() for path in (out / "architecture_library" / "weights").iterdir()}
    known = {path.name: path.read_bytes() for path in (tiny_run.folder / "architecture_library" / "weights").iterdir()}
    both = weights.keys() & known.keys()
    assert len(both) >= 5
    assert all(weights[name] == known[name] for name in both)
    assert not list(out.glob(".shared-*"))


def test_latencies_of_blocks_and_networks_are_measured_on_the_host_of_the_device(
    tiny_run: TinyRun, nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials, run_trial = [], RayWorker.run_trial

    def recorded(worker: RayWorker, job: MeasurementJob, sentinel: Graph, round_: int) -> Trial:
        trials.append(worker.name)
        return run_trial(worker, job, sentinel, round_)

    monkeypatch.setattr(RayWorker, "run_trial", recorded)
    recipe = tmp_path / "measured.toml"
    recipe.write_text(tiny_run.recipe.read_text().replace("test_networks = 3\n", "", 1))
    left = tmp_path / "run" / ".shared-by-a-killed-run"
    left.parent.mkdir()
    left.touch()
    with open_run(str(recipe), tmp_path / "run", cluster=nodes.address) as run:
        table = profile_blocks(run)
    made = [len(lines(path)) for path in run.tables.rglob("*.samples.csv")]
    assert [len(block) for block in table.costs(run.space).blocks] == [24, 24, 24]
    assert len(made) == 2
    assert min(made) >= 4
    assert len(trials) == sum(made)
    assert not left.exists()


def test_a_device_that_no_host_has_is_said_before_any_training(
    tiny_run: TinyRun, nodes: Any, tmp_path: Path, main: Main
) -> None:
    recipe = tmp_path / "other.toml"
    recipe.write_text(tiny_run.recipe.read_text().replace("[latency]", '[latency]\ndevice = "torch_cpu"'))
    code, _, error = main("run", recipe, "--out", tmp_path / "run", "--cluster", nodes.address)
    assert code == 2
    assert "no host of the cluster has the resource torch_cpu" in error
    assert not list(tmp_path.rglob("*.safetensors"))


def test_an_address_where_no_cluster_is_is_an_error_of_one_line(tiny_run: TinyRun, tmp_path: Path, main: Main) -> None:
    code, _, error = main("run", tiny_run.recipe, "--out", tmp_path / "run", "--cluster", "127.0.0.1:9")
    assert (code, error.count("\n")) == (2, 1)
    assert "no Ray cluster answers at 127.0.0.1:9" in error
    assert not list(tmp_path.rglob("*.safetensors"))


def test_torchrun_and_a_cluster_are_refused_together(tiny_run: TinyRun, tmp_path: Path, main: Main) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORLD_SIZE", "2")
        code, _, error = main("finetune", tiny_run.recipe, "--out", tmp_path / "run", "--cluster", "auto")
    assert code == 2
    assert "torchrun and a Ray cluster cannot share one training" in error
