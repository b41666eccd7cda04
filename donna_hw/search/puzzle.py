"""The block library of NVIDIA's Puzzle (Bercovich et al., ICML 2025, arXiv:2411.19146): layers of a language model, each with variants.

The schema follows the public demonstration (NVlabs/puzzle). `block_library.json` maps each layer to its variants, and each variant to
{stats: {runtime_ms, memory_mib, num_params, ...}, metrics: {kl_div, lm_loss, ...}}. `measurement_info.json` next to it records the
conditions {batch_size, sequence_length, gpu, dtype}. A model has one variant of each layer. Costs and metrics add up, and less is better
in both. The file does not contain what the variants compute, so their space can be searched, but neither measured nor trained.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from donna_hw._core.files import read_text
from donna_hw.costs.base import CostTerms
from donna_hw.costs.table_sum import TableCost
from donna_hw.errors import DonnaError, FileFormatError, TableError, UnknownNameError
from donna_hw.measurement.environment import Scalar
from donna_hw.search.problem import SearchProblem
from donna_hw.spaces.cells import Skip
from donna_hw.spaces.space import Space
from donna_hw.spaces.stage import Axis, Stage
from donna_hw.training.block_metrics import gather_qualities

STATS = {"runtime_ms": ("s", 1e-3), "memory_mib": ("B", 2.0**20), "num_params": ("parameter", 1.0)}
METRICS = ("kl_div", "lm_loss")


@dataclass(frozen=True)
class MetricSumPredictor:
    """An accuracy predictor that is the negated sum of a metric over layers: the parent model of kl_div 0 has 0, and more is better."""

    def __call__(self, qualities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the negated sum of the layers' metrics, float [n, stages], and a deviation of zero, float [n] each."""
        return -qualities.sum(axis=1), np.zeros(len(qualities))

    def extrapolates(self, qualities: np.ndarray) -> np.ndarray:
        """Return bool [n], all false: nothing was fitted."""
        return np.zeros(len(qualities), bool)

    def scores(self, qualities: Sequence[np.ndarray]) -> tuple[np.ndarray, ...] | None:
        """Return the negated metric of each variant [stage][block]."""
        return tuple(-values for values in qualities)

    def quadratic(self, qualities: Sequence[np.ndarray]) -> None:
        """Return None: it has no second-order terms."""


@dataclass(frozen=True)
class PuzzleLibrary:
    """Layers and their variants as a space.

    Args:
        space: A stage for each layer and a block for each variant.
        costs: By the names of `STATS`, in seconds, bytes and parameters.
        metrics: By the names of `METRICS`, [stage][block].
        metadata: What `measurement_info.json` records.
    """

    space: Space
    costs: Mapping[str, TableCost]
    metrics: Mapping[str, tuple[np.ndarray, ...]]
    metadata: Mapping[str, Scalar]

    def search_problem(self, metric: str = "kl_div", costs: Sequence[str] = ("runtime_ms",)) -> SearchProblem:
        """Return the search for the lowest sum of a metric at every cost; raises `UnknownNameError` for an unknown name."""
        if metric not in self.metrics:
            raise UnknownNameError("unknown metric of a Puzzle library", got=metric, choices=list(self.metrics))
        for name in costs:
            if name not in self.costs:
                raise UnknownNameError("unknown cost of a Puzzle library", got=name, choices=list(self.costs))
        return SearchProblem(
            self.space, self.metrics[metric], MetricSumPredictor(), [self.costs[name] for name in costs]
        )

    def total(self, metric: str, rows: np.ndarray) -> np.ndarray:
        """Return the sum of a metric over the layers of each row, float [n]."""
        return np.asarray(gather_qualities(self.metrics[metric], rows).sum(axis=1))


def read_puzzle(path: Path) -> PuzzleLibrary:
    """Return the library of a `block_library.json`, with those of `STATS` and `METRICS` that every variant has.

    Raises `FileFormatError` for a file that is no such library, and `TableError` where values are missing or wrong.
    """
    layers = _read_json(path)
    if not layers or not all(isinstance(variants, dict) and variants for variants in layers.values()):
        raise FileFormatError(
            f"{path}: expected a mapping from each layer to its variants", hint="see docs/importing.md"
        )
    stages = tuple(Stage(name, (Axis("variant", tuple(variants)),), _opaque_block) for name, variants in layers.items())
    space = Space(path.stem, f"layers of {path.parent.name}, by Puzzle", (1, 1, 1), (), stages, ())
    info = path.with_name("measurement_info.json")
    facts: dict[str, Scalar] = {"source": path.name}
    for key, value in (_read_json(info) if info.exists() else {}).items():
        if not isinstance(value, str | int | float):
            raise FileFormatError(
                f"{info}: {key} must be a string or a number", got=type(value).__name__, hint="see docs/importing.md"
            )
        facts[key] = value
    costs = {}
    for name, (unit, factor) in STATS.items():
        values = _values(layers, "stats", name, path)
        if values is not None:
            blocks = tuple(factor * stage for stage in values)
            errors = tuple(np.zeros_like(stage) for stage in blocks)
            costs[name] = TableCost(name, unit, (CostTerms((blocks,), (0.0,)),), ((errors,),), np.zeros((1, 1)))
    metrics = {}
    for name in METRICS:
        values = _values(layers, "metrics", name, path)
        if values is not None:
            metrics[name] = values
    if not costs or not metrics:
        message = f"{path}: the variants need one of {', '.join(STATS)} and one of {', '.join(METRICS)}"
        raise TableError(message, hint="see docs/importing.md")
    return PuzzleLibrary(space, costs, metrics, facts)


def _values(layers: Mapping[str, Any], group: str, name: str, path: Path) -> tuple[np.ndarray, ...] | None:
    """Return a value of every variant, float [stage][block]; None where no variant has it. Raises `TableError` where only some have it."""
    stages, missing = [], []
    for layer, variants in layers.items():
        values = []
        for variant, entry in variants.items():
            cells = entry.get(group) if isinstance(entry, dict) else None
            value = cells.get(name) if isinstance(cells, dict) else None
            if value is None:
                missing.append(f"{layer}, {variant}")
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value) or value < 0:
                message = f"{path}: {group}.{name} of {layer}, {variant} must be a finite number, zero or more"
                raise TableError(message, got=str(value), hint="fix the entry")
            values.append(float(value))
        stages.append(np.array(values))
    if len(missing) == sum(map(len, layers.values())):
        return None
    if missing:
        message = f"{path}: {group}.{name} is missing in {len(missing)} variants, first in {missing[0]}"
        raise TableError(message, hint="add it to all variants or to none")
    return tuple(stages)


def _read_json(path: Path) -> dict[str, Any]:
    text = read_text(path)
    try:
        content = json.loads(text, object_pairs_hook=_reject_duplicate_keys)
    except DonnaError:
        raise
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"{path}: not valid JSON: {error}") from None
    if not isinstance(content, dict):
        raise FileFormatError(f"{path}: expected a JSON object", got=type(content).__name__)
    return content


def _reject_duplicate_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a mapping; raises `ValueError` for a key that occurs twice, which would silently lose an entry."""
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        raise ValueError(f"a key occurs twice among {', '.join(list(mapping)[:3])} ...")
    return mapping


def _opaque_block(variant: str) -> Skip:
    """Return a block without layers: the file does not contain what the variant computes."""
    return Skip(1)
