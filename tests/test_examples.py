"""The examples run, and examples and benchmarks use only names that exist."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from math import prod
from pathlib import Path

import onnx
from paths import ROOT

from donna_hw import LatencyTable, load_space
from donna_hw.costs.table_sum import TableCost
from donna_hw.graph.onnx_export import to_onnx


def test_the_first_table_prints_the_costs_of_its_table(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "examples" / "first_table.py"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    space = load_space("small_8px")
    [path] = tmp_path.rglob("isolated-*-t1.csv")
    cost = TableCost.of(space, LatencyTable.read(path))
    printed = [float(line.split()[0]) for line in done.stdout.splitlines()]
    assert printed == [round(float(mean_s) * 1e6, 1) for mean_s in cost.mean(space.random_rows(5, 0))]


def test_a_model_is_simulated_on_several_arrays(tmp_path: Path) -> None:
    space = load_space("small_28px")
    onnx.save(to_onnx(space.network_graph(space.reference)), tmp_path / "model.onnx")
    command = [sys.executable, str(ROOT / "examples" / "simulate_model.py"), str(tmp_path / "model.onnx")]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [int(line.split()[0]) for line in lines] == [16, 32, 64, 128]
    assert all(float(line.split()[3]) > 0 and "bound by: " in line for line in lines)


def test_the_custom_space_prints_the_closed_form_of_its_networks(tmp_path: Path) -> None:
    example = ROOT / "examples" / "custom_space.py"
    done = subprocess.run([sys.executable, str(example), str(tmp_path)], capture_output=True, text=True, check=True)
    space = load_space(f"{example}:narrow")
    lines = done.stdout.splitlines()
    for line, row in zip(lines, space.random_rows(5, 0), strict=True):
        network = space.network_graph(space.architecture(row))
        biased = sum(prod(layer.out_shape) for layer in network.layers if layer.weight_shape and not layer.batch_norm)
        assert line.split()[0] == f"{(network.macs + biased) / 1e6:.2f}"  # ptflops counts a bias as one more


def test_examples_and_benchmarks_use_only_names_that_exist(tmp_path: Path) -> None:
    """Benchmarks are too slow for the suite: mypy finds at least the names, attributes and arguments that were renamed."""
    files = [str(path) for folder in ("examples", "benchmarks") for path in sorted((ROOT / folder).glob("*.py"))]
    cells = json.loads((ROOT / "examples" / "tour.ipynb").read_text(encoding="utf-8"))["cells"]
    tour = tmp_path / "tour.py"
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    tour.write_text("\n".join(code), encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), *files, str(tour)]
    environment = os.environ | {"MYPYPATH": str(ROOT / "benchmarks")}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600, env=environment)
    codes = ("[attr-defined]", "[call-arg]", "[name-defined]", "[import-not-found]")
    wrong = [line for line in done.stdout.splitlines() if line.endswith(codes)]
    assert done.returncode in (0, 1), done.stdout + done.stderr
    assert not wrong, "\n".join(wrong)
