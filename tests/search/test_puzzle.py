"""Puzzle's block library: a file of our own making, written after the public schema, is a space that can be searched."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from donna_hw.errors import DonnaError, FileFormatError, TableError, UnknownNameError
from donna_hw.search.pareto_front import build_front
from donna_hw.search.puzzle import read_puzzle

Library = dict[str, dict[str, Any]]


def library(layers: int = 4, seed: int = 0) -> Library:
    rng = np.random.default_rng(seed)
    variants = (
        "attention = 8 kv heads && ffn = whole",
        "attention = no_op && ffn = half",
        "attention = no_op && ffn = no_op",
    )
    return {
        f"layer_{n}": {
            name: {
                "stats": {"runtime_ms": float(rng.uniform(0, 9)), "memory_mib": float(rng.uniform(1, 9))},
                "metrics": {"kl_div": float(rng.uniform(0, 1)), "lm_loss": float(rng.uniform(1, 2))},
            }
            for name in variants
        }
        for n in range(layers)
    }


def written(folder: Path, content: object) -> Path:
    path = folder / "block_library.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_costs_and_metrics_of_a_model_are_the_sums_of_its_layers(tmp_path: Path) -> None:
    content = library()
    (tmp_path / "measurement_info.json").write_text('{"batch_size": 256, "gpu": "made up"}', encoding="utf-8")
    found = read_puzzle(written(tmp_path, content))
    assert found.space.size == 3**4
    assert dict(found.metadata) == {"source": "block_library.json", "batch_size": 256, "gpu": "made up"}
    assert {name: cost.unit for name, cost in found.costs.items()} == {"runtime_ms": "s", "memory_mib": "B"}
    rows = found.space.random_rows(20, 0)
    for number, row in enumerate(rows):
        labels = found.space.labels(found.space.architecture(row))
        entries = [content[layer][variant] for layer, variant in labels.items()]
        runtime = sum(entry["stats"]["runtime_ms"] for entry in entries)
        memory = sum(entry["stats"]["memory_mib"] for entry in entries)
        assert found.costs["runtime_ms"].mean(rows)[number] == pytest.approx(runtime / 1000)
        assert found.costs["memory_mib"].mean(rows)[number] == pytest.approx(memory * 1024**2)
        assert found.total("kl_div", rows)[number] == pytest.approx(
            sum(entry["metrics"]["kl_div"] for entry in entries)
        )


def test_its_problem_has_a_front_whose_scores_add_up(tmp_path: Path) -> None:
    problem = read_puzzle(written(tmp_path, library(3))).search_problem()
    rows = np.array(list(product(range(3), repeat=3)))
    found = build_front(problem, rows, 27)
    points = [(cost, -accuracy) for cost, accuracy in zip(found.costs["runtime_ms"], found.accuracy, strict=True)]
    assert points == sorted(points)
    assert [loss for _, loss in points] == sorted((loss for _, loss in points), reverse=True)
    assert -found.accuracy.max() == pytest.approx(sum(values.min() for values in problem.qualities))
    scores = problem.predictor.scores(problem.qualities)
    assert scores is not None
    picked = [sum(scores[stage][block] for stage, block in enumerate(row)) for row in found.rows]
    assert found.accuracy == pytest.approx(picked)


def changed(group: str, name: str, value: object) -> Library:
    content = library()
    content["layer_1"]["attention = no_op && ffn = half"][group][name] = value
    return content


@pytest.mark.parametrize(
    ("content", "error", "says"),
    [
        (changed("stats", "runtime_ms", -1), TableError, "runtime_ms of layer_1.*zero or more"),
        (changed("stats", "runtime_ms", "1 ms"), TableError, "zero or more"),
        (
            changed("stats", "memory_mib", None),
            TableError,
            "stats.memory_mib is missing in 1 variants, first in layer_1",
        ),
        (changed("metrics", "kl_div", float("nan")), TableError, "kl_div of layer_1"),
        ({"layer_0": {"a": {"stats": {"runtime_us": 1}, "metrics": {"kl_div": 0}}}}, TableError, "one of runtime_ms"),
        ({"layer_0": {"a": {"stats": {"runtime_ms": 1}, "metrics": {"score": 0}}}}, TableError, "one of kl_div"),
        ({"layer_0": {}}, FileFormatError, "expected a mapping from each layer"),
        ({}, FileFormatError, "expected a mapping from each layer"),
        ([], FileFormatError, "expected a JSON object; got 'list'"),
    ],
)
def test_what_is_not_of_the_schema_is_refused(
    tmp_path: Path, content: object, error: type[DonnaError], says: str
) -> None:
    with pytest.raises(error, match=says):
        read_puzzle(written(tmp_path, content))


@pytest.mark.parametrize("text", ["", "{", '{"a": 1, "a": 2}', "[" * 100_000])
def test_a_file_that_is_no_json_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "block_library.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(FileFormatError, match="not valid JSON"):
        read_puzzle(path)


def test_unknown_metrics_and_costs_are_refused(tmp_path: Path) -> None:
    found = read_puzzle(written(tmp_path, library()))
    with pytest.raises(UnknownNameError, match=r"unknown metric .* 'accuracy'; expected kl_div or lm_loss"):
        found.search_problem("accuracy")
    with pytest.raises(UnknownNameError, match=r"unknown cost .* 'energy'; expected runtime_ms or memory_mib"):
        found.search_problem(costs=["energy"])
