"""The block library of NVIDIA's Puzzle (Bercovich et al., ICML 2025, arXiv:2411.19146): layers of a language model, each with variants.

Schema, from the public demonstration (NVlabs/puzzle): `block_library.json` maps each layer to its variants, each variant to
{stats: {runtime_ms, memory_mib, num_params, ...}, metrics: {kl_div, lm_loss, ...}}; `measurement_info.json` beside it says of what
{batch_size, sequence_length, gpu, dtype}. A model takes one variant of each layer; costs and metrics add up, less is better in both. What
the variants compute is not in the file, so that the space made of them can be searched, but neither measured nor trained.
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
    """An accuracy predictor that is a metric's sum over layers, negated: 0 is a parent's model of kl_div 0, and more is better."""

    def __call__(self, qualities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (- sum of the metric, no deviation), float [n] each, of the layers' metrics float [n, stages]."""
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
    """Layers and their variants as a space; costs by the names of `STATS` in seconds, bytes and parameters; metrics [stage][block]."""

    space: Space
    costs: Mapping[str, TableCost]
    metrics: Mapping[str, tuple[np.ndarray, ...]]
    metadata: Mapping[str, Scalar]

    def search_problem(self, metric: str = "kl_div", costs: Sequence[str] = ("runtime_ms",)) -> SearchProblem:
        """Return the search for the least sum of a metric at every sum of the costs."""
        if metric not in self.metrics:
            raise UnknownNameError("a metric must be one of the library's", got=metric, choices=list(self.metrics))
        for name in costs:
            if name not in self.costs:
                raise UnknownNameError("a cost must be one of the library's", got=name, choices=list(self.costs))
        return SearchProblem(
            self.space, self.metrics[metric], MetricSumPredictor(), [self.costs[name] for name in costs]
        )

    def total(self, metric: str, rows: np.ndarray) -> np.ndarray:
        """Return the sum of a metric over the layers of each row, float [n]."""
        return np.asarray(gather_qualities(self.metrics[metric], rows).sum(axis=1))


def read_puzzle(path: Path) -> PuzzleLibrary:
    """Read a `block_library.json`; raises `FileFormatError` and `TableError`, and takes what every variant has of `STATS` and `METRICS`."""
    layers = _read_json(path)
    if not layers or not all(isinstance(variants, dict) and variants for variants in layers.values()):
        raise FileFormatError(f"{path} must map each layer to its variants", got="none, or no mapping", hint="see docs")
    stages = tuple(Stage(name, (Axis("variant", tuple(variants)),), _opaque_block) for name, variants in layers.items())
    space = Space(path.stem, f"layers of {path.parent.name}, by Puzzle", (1, 1, 1), (), stages, ())
    beside = path.with_name("measurement_info.json")
    facts: dict[str, Scalar] = {"source": path.name}
    for key, value in (_read_json(beside) if beside.exists() else {}).items():
        if not isinstance(value, str | int | float):
            raise FileFormatError(f"{beside}: {key} must be a plain value", got=type(value).__name__, hint="see docs")
        facts[key] = value
    costs = {}
    for name, (unit, factor) in STATS.items():
        values = _values(layers, "stats", name, path)
        if values is not None:
            blocks = tuple(factor * stage for stage in values)
            errors = tuple(np.zeros_like(stage) for stage in blocks)
            costs[name] = TableCost(name, unit, (CostTerms((blocks,), (0.0,)),), ((errors,),), np.zeros((1, 1)))
    found = {name: _values(layers, "metrics", name, path) for name in METRICS}
    metrics = {name: values for name, values in found.items() if values is not None}
    if not costs or not metrics:
        rule = f"{path}: the variants must have one of {', '.join(STATS)} and one of {', '.join(METRICS)}"
        raise TableError(rule, got="none that is known", hint="see docs/importing.md")
    return PuzzleLibrary(space, costs, metrics, facts)


def _values(layers: Mapping[str, Any], group: str, name: str, path: Path) -> tuple[np.ndarray, ...] | None:
    """Return a value of every variant, float [stage][block], None where no variant has it; raises `TableError` where some lack it."""
    stages, lacking = [], []
    for layer, variants in layers.items():
        values = []
        for variant, entry in variants.items():
            group_of = entry.get(group) if isinstance(entry, dict) else None
            value = group_of.get(name) if isinstance(group_of, dict) else None
            if value is None:
                lacking.append(f"{layer}, {variant}")
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value) or value < 0:
                rule = f"{path}: {group}.{name} of {layer}, {variant} must be a finite number, zero or more"
                raise TableError(rule, got=str(value), hint="mend the entry")
            values.append(float(value))
        stages.append(np.array(values))
    if len(lacking) == sum(map(len, layers.values())):
        return None
    if lacking:
        rule = f"{path}: every variant must have {group}.{name}, or none"
        raise TableError(rule, got=f"{len(lacking)} without it, first {lacking[0]}", hint="mend the entries")
    return tuple(stages)


def _read_json(path: Path) -> dict[str, Any]:
    text = read_text(path)
    try:
        found = json.loads(text, object_pairs_hook=_reject_duplicate_keys)
    except DonnaError:
        raise
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"{path} must be JSON", got=str(error), hint="name such a file") from None
    if not isinstance(found, dict):
        raise FileFormatError(f"{path} must be a mapping", got=type(found).__name__, hint="name such a file")
    return found


def _reject_duplicate_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a mapping; a key that comes twice would lose an entry unsaid."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"a key twice among {', '.join(list(found)[:3])} ...")
    return found


def _opaque_block(variant: str) -> Skip:
    """Return a block without layers: what the variant computes is not in the file."""
    return Skip(1)
