"""A search at the paper's full size, with the shipped tables; the accuracies are made, since nothing here can train ImageNet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from donna_hw.graph.graph import layers_hash
from donna_hw.predictors.factory import fit_predictor
from donna_hw.spaces import load_space
from donna_hw.spaces.extremes import find_extremes
from donna_hw.tables.lookup import load_table
from donna_hw.training.block_metrics import METRICS, gather_qualities
from donna_hw.training.libraries import BlockLibrary

Main = Callable[..., tuple[int, str, str]]


def made_run(name: str, folder: Path) -> Path:
    """Write the folder of a finished run whose blocks' NSR falls with their MACs: no training, a stand-in for one."""
    space, folder = load_space(name), folder / "run"
    library = BlockLibrary(folder / "block_library", space)
    records: dict[tuple[str, str], dict[str, str]] = {}
    for stage in space.stages:
        for m in range(stage.size):
            graph = space.block_graph(stage, m)
            row = {"stage": stage.name, "block": stage.label(m), "layers_hash": layers_hash(graph), "status": "trained"}
            metrics = dict.fromkeys(METRICS, repr(2e3 * graph.macs**-0.5))
            records[stage.name, row["layers_hash"]] = row | metrics | {"train_s": "0.0"}
    library.journal.append_all(records.values())
    rows = space.random_rows(30, 0)
    qualities = gather_qualities(library.qualities(), rows)
    top1 = 80 + 2 * -np.log(qualities).sum(axis=1) + np.random.default_rng(0).normal(0, 0.1, 30)
    fit_predictor(qualities, top1).save(folder / "predictor.toml", {"stand_in": "made accuracies, nothing was trained"})
    return folder


@pytest.mark.parametrize("name", ["donna", "mobilenetv3_1.2_extended", "efficientnet_b0"])
def test_a_front_at_full_size(name: str, tmp_path: Path, main: Main) -> None:
    run, out = made_run(name, tmp_path), tmp_path / "front.csv"
    costs = ("--cost", "tensor_unit", "--constraint", "tensor_unit<=2ms")
    code, text, error = main("search", name, *costs, "--accuracy-from", run, "--method", "nsga2", "--output", out)
    assert code == 0, error
    assert "2500 evaluated networks" in text
    front, space = pd.read_csv(out), load_space(name)
    costs_s = load_table(f"tensor_unit/{name}", tmp_path).costs(space)
    for record in front.to_dict("records"):
        numbers = [stage.number_of_label(record[stage.name]) for stage in space.stages]
        total = costs_s.fixed + sum(block[m] for block, m in zip(costs_s.blocks, numbers, strict=True))
        assert record["tensor_unit_s"] == pytest.approx(total, rel=1e-5)
    assert front["tensor_unit_s"].max() <= 2e-3
    assert np.all(np.diff(front.sort_values("tensor_unit_s")["predicted_top1_percent"]) > 0)
    assert len(front) > 10


def test_the_smallest_network_costs_less_than_the_reference_on_every_shipped_table() -> None:
    for name in ("donna", "mobilenetv3_1.0", "mobilenetv3_1.2", "proxylessnas_1.3", "efficientnet_b0"):
        space = load_space(name)
        blocks = load_table(f"tensor_unit/{name}", Path("none")).costs(space).blocks
        cost = {
            which: sum(block[m] for block, m in zip(blocks, member.architecture.blocks, strict=True))
            for which, member in find_extremes(space).items()
        }
        assert cost["smallest"] < cost["reference"]
