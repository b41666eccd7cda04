"""What `donna-hw spaces` prints: all search spaces in a table, or one space in detail."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill

from donna_hw._core.units import format_quantity
from donna_hw.graph.graph import Graph, Shape
from donna_hw.reporting.text.rich_table import render_table
from donna_hw.spaces import Axis, Space, list_spaces, load_space
from donna_hw.spaces.extremes import find_extremes

MAX_VALUES = 8  # of an axis, in the list of all spaces
MAX_CELL_VALUES = 12  # of an axis, in a cell of a stage's table; more are listed below it
LINE_WIDTH = 100


def format_spaces() -> str:
    """Return a row for each space: its size, its axes, and the counts of its smallest, reference and largest network."""
    header = [
        "space",
        "stages x blocks",
        "networks",
        "smallest",
        "reference",
        "largest",
        "axes of the first stage, global ones",
    ]
    return render_table(header, [_space_row(name, load_space(name)) for name in list_spaces()])


def _space_row(name: str, space: Space) -> list[str]:
    axes = ", ".join(f"{axis.name} {_short_values(axis)}" for axis in (*space.stages[0].axes, *space.global_axes))
    sizes = "/".join(map(str, sorted(set(space.stage_sizes))))
    counts = [
        f"{format_quantity(network.macs, 'MAC')}, {format_quantity(network.params, 'parameter')}"
        for network in find_extremes(space).values()
    ]
    return [name, f"{len(space.stages)} x {sizes}", f"{space.size:.3g}", *counts, axes]


def _short_values(axis: Axis) -> str:
    return "/".join(map(str, axis.values)) if len(axis.values) <= MAX_VALUES else f"of {len(axis.values)}"


def format_space(space: Space) -> str:
    """Return one space in detail: stages with their axes, blocks and shapes, fixed parts, and its extreme networks."""
    name = space.load_name or space.name
    networks = f"{space.size:,}" if space.size < 10**9 else f"{space.size:.3g}"
    return "\n\n".join(
        [
            f"{name}: {space.title}\n{len(space.stages)} stages, {networks} networks, "
            f"{_format_shape(space.input_shape)} images",
            f"stages, in the order of the data:\n{_stages_table(space)}",
            *_long_axes(space),
            *_global_axes(space),
            f"fixed parts:\n{_fixed_parts_table(space)}",
            f"networks by MACs:\n{_extremes_table(space)}",
        ]
    )


def _stages_table(space: Space) -> str:
    header = ["stage", "blocks", "input", "output", "axes (* marks the reference)"]
    rows = [
        [
            stage.name,
            stage.size,
            _format_shape(space.input_shapes[stage.name]),
            _format_shape(space.output_shapes[stage.name]),
            "; ".join(map(_format_axis, stage.axes)),
        ]
        for stage in space.stages
    ]
    return render_table(header, rows)


def _global_axes(space: Space) -> list[str]:
    if not space.global_axes:
        return []
    rows = [[axis.name, len(axis.values), _format_values(axis)] for axis in space.global_axes]
    return [f"axes of the whole network:\n{render_table(['axis', 'values', 'values (* marks the reference)'], rows)}"]


def _fixed_parts_table(space: Space) -> str:
    rows = [
        [
            name,
            *_counts(space.fixed_graph(name)),
            *map(_format_shape, (space.input_shapes[name], space.output_shapes[name])),
        ]
        for name in space.fixed
    ]
    return render_table(["part", "MACs", "parameters", "input", "output"], rows)


def _extremes_table(space: Space) -> str:
    rows = [
        [
            which,
            format_quantity(network.macs, "MAC"),
            format_quantity(network.params, "parameter"),
            space.network_name(network.architecture),
        ]
        for which, network in find_extremes(space).items()
    ]
    return render_table(["network", "MACs", "parameters", "blocks"], rows)


def _counts(graph: Graph) -> Sequence[str]:
    return format_quantity(graph.macs, "MAC"), format_quantity(graph.params, "parameter")


def _long_axes(space: Space) -> list[str]:
    """Return the values of axes with too many for a cell, once for all stages that share them."""
    stages_by_axis: dict[tuple[str, str], list[str]] = {}
    for stage in space.stages:
        for axis in stage.axes:
            if len(axis.values) > MAX_CELL_VALUES:
                stages_by_axis.setdefault((axis.name, _format_values(axis, ", ")), []).append(stage.name)
    return [
        f"{name} of {', '.join(stages)}:\n"
        + fill(values, LINE_WIDTH, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)
        for (name, values), stages in stages_by_axis.items()
    ]


def _format_axis(axis: Axis) -> str:
    if len(axis.values) > MAX_CELL_VALUES:
        return f"{axis.name} (see below)"
    return f"{axis.name} {_format_values(axis)}"


def _format_values(axis: Axis, separator: str = "/") -> str:
    return separator.join(f"{value}*" if value == axis.reference_value else str(value) for value in axis.values)


def _format_shape(shape: Shape) -> str:
    return "x".join(map(str, shape))
