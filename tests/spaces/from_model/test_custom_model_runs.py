"""A custom network runs through every step that a built-in space runs through."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from paths import ROOT

from donna_hw import Device, LatencyTable, export_network, load_network, load_space, open_run, profile_space
from donna_hw.pipeline.recipe import Recipe
from donna_hw.spaces.extremes import block_macs

RECIPE = f"""title = "Tiny"
space = "{ROOT}/examples/custom_model.py:plain"
workers = 2
data = {{ name = "digits", held_out = 850 }}
reference = {{ epochs = 2, batch = 32, learning_rate = 0.01 }}
distill = {{ images = 64, batch = 16 }}
latency = {{ rounds = 1, calibration_networks = 4 }}
finetune = {{ epochs = 1, images = 64, batch = 8 }}
library = {{ networks = 6 }}
search = {{ samples = 60, population = 20 }}
verify = {{ front = 2, random = 1 }}
"""


@pytest.mark.parametrize("name", ["custom_model", "custom_resnet", "new_cell"])
def test_the_recipes_beside_the_examples_are_valid(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    recipe = Recipe.read(ROOT / "examples" / f"{name}.toml")
    assert load_space(recipe.space).size > 100


def test_its_blocks_are_counted_simulated_and_exported(tmp_path: Path) -> None:
    space = load_space(f"{ROOT}/examples/custom_model.py:plain")
    counted = profile_space(space, Device.load("macs"), tmp_path)
    costs = counted.costs(space)
    for blocks, macs in zip(costs.blocks, block_macs(space), strict=True):
        assert blocks[0] == macs[0]  # the model's own has no bias in its convolutions
    simulated = profile_space(space, Device.load("tensor_unit"), tmp_path)
    assert all((blocks > 0).all() for blocks in simulated.costs(space).blocks)
    written = export_network(space, space.reference, tmp_path / "network")
    assert {path.suffix for path in written} == {".onnx", ".safetensors", ".toml"}
    assert load_network(tmp_path / "network.toml").module() is not None


@pytest.mark.long
def test_it_runs_whole(tmp_path: Path) -> None:
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(RECIPE)
    command = [sys.executable, "-m", "donna_hw", "run", str(recipe), "--out", str(tmp_path / "run")]
    done = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "report.html").exists()
    with open_run(str(recipe), tmp_path / "run") as run:
        [path] = (tmp_path / "run" / "latency_tables" / "onnxruntime_cpu").rglob("isolated-*-t1.csv")
        assert (LatencyTable.read(path).costs(run.space).blocks[0] > 0).all()
        assert len(run.architectures.networks("front")) == 2
