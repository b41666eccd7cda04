"""Completing: the table of a space from tables of others, the blocks that none of them measured foretold by the learned model."""

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

SPACE_KEYS = (
    "input_shape",
    "space_hash",
)  # what of an identity says of which blocks a table is, not how they were measured
MAX_SUGGESTIONS = 100  # blocks to measure first are counted no further than this


@dataclass(frozen=True)
class CompletionResult:
    """A completed table. taken, learned: numbers of different blocks whose rows are other tables' and the model's; model: None if none is.

    first: names of the learned blocks to measure first, so many that the mean deviation is half as large, or 100; deviations: that mean
    after 0, 1, ... of them, float [len(first) + 1].
    """

    table: LatencyTable
    reused_count: int
    predicted_count: int
    model: GPLatencyModel | None
    suggestions: tuple[str, ...]
    mean_stds: np.ndarray


@dataclass(frozen=True)
class KnownBlocks:
    """The blocks that tables hold, measured or composed, by layers_hash: rows, costs in seconds, their relative standard errors, spaces."""

    rows: Mapping[str, Row]
    costs: Mapping[str, float]
    errors: Mapping[str, float]
    spaces: Mapping[str, str]


def complete_table(
    tables: Sequence[LatencyTable], space: Space, root: Path, spaces: Sequence[Space] = ()
) -> CompletionResult:
    """Write the table of a space below the folder `root` from tables of one device, and return it.

    A block that a table has a row for keeps that row (the first table's); the others are foretold from all of them, in rows whose method
    and verdict are `learned`. A table of the space that is in `root` already is one of the tables. spaces: those that tables are of and
    `load_space` does not know by name. Raises `TableError` for tables of
    different devices or runtimes, `ConfigError` for costs that are no latencies of blocks alone, `InsufficientDataError` for too few blocks.
    """
    if not tables:
        raise ConfigError("completing a table needs a table to learn from", got="none")
    parts, given = list_parts(space), tables[0]
    path = table_path(root, given.info.device, space.name, given.path.stem)
    with hold_lock(path.with_suffix(".lock")):
        info = _build_info(given.info, space, parts, path)
        if path.exists():
            tables = [LatencyTable.read(path), *tables]
        for table in tables:
            _validate_comparable(given, table)
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
    first, deviations = _suggest_blocks(model, unknown) if model else ((), np.zeros(1))
    taken = {part.layers_hash for part in parts} - unknown.keys()
    return CompletionResult(table, len(taken), len(unknown), model, first, deviations)


def collect_known_blocks(tables: Sequence[LatencyTable]) -> KnownBlocks:
    """Return what tables know of blocks; of a block that several hold, the first's row."""
    rows: dict[str, Row] = {}
    costs: dict[str, float] = {}
    errors: dict[str, float] = {}
    spaces: dict[str, str] = {}
    for table in tables:
        frame, column = table.frame, table.info.column
        cells = frame[list(frame.columns)[list(frame.columns).index("layers_hash") + 1 :]]
        hashes, deviations = frame["layers_hash"].astype(str), table.standard_errors()
        for key, row, deviation in zip(hashes, cells.to_dict("records"), deviations, strict=True):
            if key in rows or row.get("method") == "predicted":
                continue
            cost = float(row[column])
            computed = {"low_s": cost, "high_s": cost, "method": table.info.origin, "verdict": "trusted"}
            rows[key] = {str(name): cell for name, cell in row.items()} | ({} if "method" in row else computed)
            costs[key], errors[key], spaces[key] = cost, float(deviation) / cost, table.info.space
    return KnownBlocks(rows, costs, errors, spaces)


def _fit_model(tables: Sequence[LatencyTable], spaces: Sequence[Space], known: KnownBlocks) -> GPLatencyModel:
    """Fit the model to every block of the tables that is one of their spaces' now."""
    of = {space.name: space for space in spaces}
    graphs: dict[str, Graph] = {}
    for name in dict.fromkeys(table.info.space for table in tables):
        graphs |= {part.layers_hash: part.graph for part in list_parts(of[name] if name in of else load_space(name))}
    keys = [key for key in known.costs if key in graphs]
    costs, errors = (np.array([values[key] for key in keys]) for values in (known.costs, known.errors))
    return fit_gp_latency_model([graphs[key] for key in keys], costs, errors, [known.spaces[key] for key in keys])


def _predicted_rows(model: GPLatencyModel, unknown: Mapping[str, Part], info: TableInfo) -> dict[str, Row]:
    foretold = model.predict([part.graph for part in unknown.values()])
    evidence = f"never measured; foretold from {model.block_count} blocks, standard deviation "
    rows = {}
    for key, value, deviation in zip(unknown, foretold.values, foretold.log_stds, strict=True):
        row = predicted_row(float(value), float(deviation), f"{evidence}{100 * deviation:.2g} %", info.column)
        computed = (
            "method",
            "verdict",
            "evidence",
            "low_s",
            "high_s",
            info.column,
        )  # costs without samples have no others
        rows[key] = row if info.origin == "measured" else {name: row[name] for name in computed}
    return rows


def _suggest_blocks(model: GPLatencyModel, unknown: Mapping[str, Part]) -> tuple[tuple[str, ...], np.ndarray]:
    parts = list(unknown.values())
    order, deviations = model.select_informative([part.graph for part in parts], MAX_SUGGESTIONS)
    halved = np.flatnonzero(deviations <= deviations[0] / 2)
    count = int(halved[0]) if halved.size else len(order)
    return tuple(parts[number].name for number in order[:count]), deviations[: count + 1]


def _build_info(given: TableInfo, space: Space, parts: Sequence[Part], path: Path) -> TableInfo:
    """Return what the new table's TOML says: that of the one which is there, or the given one's on another space."""
    if space.global_axes:
        raise ConfigError("a table holds one setting of each global axis", got=space.name)
    if given.unit != "s" or given.in_context:
        found = f"{given.quantity} in {given.unit}" + ", in a chain" * given.in_context
        raise ConfigError(
            "what is learned are latencies of blocks alone; counts are quickly made: donna-hw count", got=found
        )
    shape = "x".join(map(str, space.input_shape))
    sentinel = layers_hash(select_sentinel(parts, path)) if given.sentinel else ""
    kept = {
        name: value
        for name, value in given.conditions.items()
        if not name.startswith((PREDICTED_PREFIX, "composition_"))
    }
    fresh = {
        "space": space.name,
        "identity": given.identity | {"input_shape": shape, "space_hash": space.hash},
        "conditions": kept,
        "sentinel": sentinel,
        "sentinel_reference_s": None,
        "donna_hw": version("donna-hw"),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    info = given.model_copy(update=fresh)
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
        raise TableError(f"{error.message} to learn from", got=error.got, hint=f"leave out {other.path}") from None
