"""Completing a table of a space from tables of other spaces, with predictions for the blocks that none of them measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np

from donna_hw._core.files import hold_lock
from donna_hw._core.toml_files import read_model
from donna_hw.costs.gaussian_process import GPLatencyModel, fit_gp_latency_model
from donna_hw.errors import ConfigError, TableError
from donna_hw.graph.graph import Graph, layers_hash
from donna_hw.profiling.table_rows import PREDICTED_PREFIX, predicted_row, write_table
from donna_hw.profiling.table_setup import select_sentinel
from donna_hw.spaces import load_space
from donna_hw.spaces.space import Space
from donna_hw.tables.latency_table import LatencyTable
from donna_hw.tables.parts import Part, Row, list_parts
from donna_hw.tables.table_info import TableInfo, table_path

SPACE_KEYS = ("input_shape", "space_hash")  # the part of an identity that names the blocks, not how they were measured
MAX_SUGGESTIONS = 100  # blocks to measure first


@dataclass(frozen=True)
class CompletionResult:
    """A completed table.

    Args:
        table: The table.
        reused_count: Number of different blocks whose rows come from other tables.
        predicted_count: Number of different blocks whose rows are predicted.
        model: The model of the predictions; None if nothing is predicted.
        suggestions: Names of the predicted blocks to measure first: as many as halve the mean deviation, or 100.
        mean_stds: Mean deviation of the predictions after 0, 1, ... of these measurements, float [len(suggestions) + 1].
    """

    table: LatencyTable
    reused_count: int
    predicted_count: int
    model: GPLatencyModel | None
    suggestions: tuple[str, ...]
    mean_stds: np.ndarray


@dataclass(frozen=True)
class KnownBlocks:
    """The blocks of tables by layers_hash: rows, costs in seconds, relative standard errors of the costs, and names of the spaces."""

    rows: Mapping[str, Row]
    costs: Mapping[str, float]
    errors: Mapping[str, float]
    spaces: Mapping[str, str]


def complete_table(
    tables: Sequence[LatencyTable], space: Space, root: Path, spaces: Sequence[Space] = ()
) -> CompletionResult:
    """Write the table of a space from tables of one device, and return it.

    A block that a table has a row for keeps that row (of the first such table). The others are predicted from all of them, in rows whose
    method and verdict are `predicted`. A table of the space that is in `root` already is used too.

    Args:
        tables: Tables of latencies of isolated blocks, of one device and runtime.
        space: The space of the new table.
        root: The folder of tables to write to.
        spaces: Spaces of the tables that `load_space` does not know by name.

    Returns:
        The table, and what to measure first.

    Raises:
        TableError: The tables are of different devices or runtimes.
        ConfigError: There is no table, or its costs are no latencies of isolated blocks.
        InsufficientDataError: There are too few blocks to predict from.
    """
    if not tables:
        raise ConfigError("completing a table needs at least one other table", hint="name one, or several")
    parts, source = list_parts(space), tables[0]
    path = table_path(root, source.info.device, space.name, source.path.stem)
    with hold_lock(path.with_suffix(".lock")):
        info = _build_info(source.info, space, parts, path)
        if path.exists():
            tables = [LatencyTable.read(path), *tables]
        for table in tables:
            _validate_comparable(source, table)
        known = collect_known_blocks(tables)
        unknown = {part.layers_hash: part for part in parts if part.layers_hash not in known.rows}
        rows, model = dict(known.rows), None
        if unknown:
            model = _fit_model(tables, [space, *spaces], known)
            rows |= _predicted_rows(model, unknown, info)
            conditions = {
                f"{PREDICTED_PREFIX}from": model.block_count,
                f"{PREDICTED_PREFIX}error": float(f"{model.median_error_percent / 100:.6g}"),
            }
            info = info.model_copy(update={"conditions": {**info.conditions, **conditions}})
        table = write_table(space, parts, info, path, rows.get)
    suggestions, mean_stds = _suggest_blocks(model, unknown) if model else ((), np.zeros(1))
    reused = {part.layers_hash for part in parts} - unknown.keys()
    return CompletionResult(table, len(reused), len(unknown), model, suggestions, mean_stds)


def collect_known_blocks(tables: Sequence[LatencyTable]) -> KnownBlocks:
    """Return the blocks of tables, without predicted ones; a block of several tables has the first one's row."""
    rows: dict[str, Row] = {}
    costs: dict[str, float] = {}
    errors: dict[str, float] = {}
    spaces: dict[str, str] = {}
    for table in tables:
        frame, column = table.frame, table.info.column
        cells = frame[list(frame.columns)[list(frame.columns).index("layers_hash") + 1 :]]
        hashes, stds = frame["layers_hash"].astype(str), table.standard_errors()
        for key, row, std in zip(hashes, cells.to_dict("records"), stds, strict=True):
            if key in rows or row.get("method") == "predicted":
                continue
            cost = float(row[column])
            computed = {"low_s": cost, "high_s": cost, "method": table.info.origin, "verdict": "trusted"}
            rows[key] = {str(name): cell for name, cell in row.items()} | ({} if "method" in row else computed)
            costs[key], errors[key], spaces[key] = cost, float(std) / cost, table.info.space
    return KnownBlocks(rows, costs, errors, spaces)


def _fit_model(tables: Sequence[LatencyTable], spaces: Sequence[Space], known: KnownBlocks) -> GPLatencyModel:
    """Fit the model to every block of the tables that their spaces still have."""
    by_name = {space.name: space for space in spaces}
    graphs: dict[str, Graph] = {}
    for name in dict.fromkeys(table.info.space for table in tables):
        graphs |= {
            part.layers_hash: part.graph for part in list_parts(by_name[name] if name in by_name else load_space(name))
        }
    keys = [key for key in known.costs if key in graphs]
    costs, errors = (np.array([values[key] for key in keys]) for values in (known.costs, known.errors))
    return fit_gp_latency_model([graphs[key] for key in keys], costs, errors, [known.spaces[key] for key in keys])


def _predicted_rows(model: GPLatencyModel, unknown: Mapping[str, Part], info: TableInfo) -> dict[str, Row]:
    prediction = model.predict([part.graph for part in unknown.values()])
    evidence = f"never measured; predicted from {model.block_count} blocks, standard deviation "
    computed = ("method", "verdict", "evidence", "low_s", "high_s", info.column)  # the cells of costs without samples
    rows = {}
    for key, value, std in zip(unknown, prediction.values, prediction.log_stds, strict=True):
        row = predicted_row(float(value), float(std), f"{evidence}{100 * std:.2g} %", info.column)
        rows[key] = row if info.origin == "measured" else {name: row[name] for name in computed}
    return rows


def _suggest_blocks(model: GPLatencyModel, unknown: Mapping[str, Part]) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the names of the blocks to measure first, and the mean deviation after each of them."""
    parts = list(unknown.values())
    order, mean_stds = model.select_informative([part.graph for part in parts], MAX_SUGGESTIONS)
    halved = np.flatnonzero(mean_stds <= mean_stds[0] / 2)
    count = int(halved[0]) if halved.size else len(order)
    return tuple(parts[index].name for index in order[:count]), mean_stds[: count + 1]


def _build_info(source: TableInfo, space: Space, parts: Sequence[Part], path: Path) -> TableInfo:
    """Return the info of the new table: that of the existing one, or that of the source on another space."""
    if space.global_axes:
        raise ConfigError("a table of a space with global axes cannot be completed", got=space.name)
    if source.unit != "s" or source.in_context:
        raise ConfigError(
            "only tables with latencies of isolated blocks can be completed",
            got=f"{source.quantity} in {source.unit}" + ", in context" * source.in_context,
            hint="counts need no prediction: donna-hw count",
        )
    shape = "x".join(map(str, space.input_shape))
    sentinel = layers_hash(select_sentinel(parts, path)) if source.sentinel else ""
    conditions = {
        name: value
        for name, value in source.conditions.items()
        if not name.startswith((PREDICTED_PREFIX, "composition_"))
    }
    update = {
        "space": space.name,
        "identity": source.identity | {"input_shape": shape, "space_hash": space.hash},
        "conditions": conditions,
        "sentinel": sentinel,
        "sentinel_reference_s": None,
        "donna_hw": version("donna-hw"),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    info = source.model_copy(update=update)
    toml = path.with_suffix(".toml")
    if not toml.exists():
        return info
    old = read_model(toml, TableInfo)
    old.validate_same_identity(info, path)
    return old.model_copy(
        update={"conditions": {k: v for k, v in old.conditions.items() if not k.startswith(PREDICTED_PREFIX)}}
    )


def _validate_comparable(first: LatencyTable, other: LatencyTable) -> None:
    """Raise `TableError` when two tables differ in more than their spaces."""
    infos = [
        table.info.model_copy(
            update={
                "space": "",
                "sentinel": "",
                "identity": {k: v for k, v in table.info.identity.items() if k not in SPACE_KEYS},
            }
        )
        for table in (first, other)
    ]
    try:
        infos[0].validate_same_identity(infos[1], first.path)
    except TableError as error:
        raise TableError(
            f"the tables are not comparable: {error.message}", got=error.got, hint=f"leave out {other.path}"
        ) from None
