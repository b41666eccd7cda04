"""stages_from: any torch model as a search space around itself, cut into stages at the places that its user names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, fx, nn

from donna_hw.errors import ConfigError
from donna_hw.graph.builder import Block, lower
from donna_hw.graph.graph import Shape
from donna_hw.spaces.from_model.candidates import default_blocks
from donna_hw.spaces.from_model.submodules import ORIGINAL, SubmoduleBlock, extract_submodule
from donna_hw.spaces.from_model.tracing import TracedModel, find_stage_ends, node_shape, trace_model
from donna_hw.spaces.space import Space
from donna_hw.spaces.stage import Axis, Stage

BEFORE, AFTER = "before", "after"
BlockFactory = Callable[[Shape, Shape], Mapping[str, Block]]


@dataclass(frozen=True)
class CandidateCell:
    """The blocks of one stage by label, as a stage's cell."""

    blocks: tuple[tuple[str, Block], ...]

    def __call__(self, block: str) -> Block:
        """Return the block of a label."""
        return dict(self.blocks)[block]


def suggest_boundaries(model: nn.Module, example: Tensor) -> list[str]:
    """Return boundaries for `space_from_model`: where the maps of each size end, the first of them the end of the stem.

    They are modules' paths, or names of operations where no module ends there. Raises `ConfigError` for a model that torch.fx cannot trace,
    or that has no two sizes to cut between.
    """
    found = trace_model(model, example)
    ends = list(find_stage_ends(found))
    if len(ends) < 2:
        raise ConfigError(
            f"{type(model).__name__} must have maps of two sizes or more for boundaries to be proposed",
            got=f"{len(ends)}",
            hint=f"name them yourself: {', '.join(found.cut_points) or 'it can be cut nowhere'}",
        )
    return ends


def space_from_model(
    model: nn.Module,
    example: Tensor,
    boundaries: Sequence[str] | None = None,
    *,
    blocks: BlockFactory = default_blocks,
    name: str = "own_model",
) -> Space:
    """Return the space of a model's own stages and candidates in their place; its reference is the model, with its weights.

    example: one input, [1, channels, height, width]. boundaries: where stages end, each a module's path or an operation's name of torch.fx:
    what stands before the first is fixed, and so is what follows the last; None: those of `suggest_boundaries`. blocks: the candidates of a
    stage by label, from the shapes at its borders; beside them stands `own`, the model's own stage. The model is traced in evaluation mode,
    and copied: later changes to it change nothing. Raises `ConfigError` where something beside one tensor crosses a boundary, such as a skip
    connection, with the place; for a boundary out of order, and for a candidate of another shape. Raises `UnknownNameError` for a boundary that
    is none.
    """
    found = trace_model(model, example)
    if boundaries is None:
        boundaries = suggest_boundaries(model, example)
    cuts = _resolve_boundaries(found, boundaries)
    in_shape = tuple(int(size) for size in example.shape[1:])
    shapes = [_boundary_shape(node) for node in cuts]
    parts = {BEFORE: extract_submodule(found, found.input_node, cuts[0], in_shape)}
    stages = []
    for number, ((start, end), (before, after)) in enumerate(zip(pairwise(cuts), pairwise(shapes), strict=True), 1):
        parts[f"stage{number}"] = extract_submodule(found, start, end, before)
        stages.append(_build_stage(f"stage{number}", parts[f"stage{number}"], blocks(before, after), (before, after)))
    parts[AFTER] = extract_submodule(found, cuts[-1], found.output_node, shapes[-1])
    return Space(
        name=name,
        title=f"{type(model).__name__}, cut at {', '.join(boundaries)}",
        input_shape=in_shape,
        before=((BEFORE, parts[BEFORE]),),
        stages=tuple(stages),
        after=((AFTER, parts[AFTER]),),
        reference_weights=_ReferenceWeights(tuple(parts.items())),
    )


@dataclass(frozen=True)
class _ReferenceWeights:
    """The weights that a model came with, under the names of its reference network's."""

    parts: tuple[tuple[str, SubmoduleBlock], ...]

    def __call__(self) -> dict[str, Tensor]:
        return {
            f"{name}.{ORIGINAL}.weights.{key}": value.detach().clone()
            for name, part in self.parts
            for key, value in part.spec.module.state_dict().items()
        }


def _resolve_boundaries(found: TracedModel, boundaries: Sequence[str]) -> list[fx.Node]:
    if len(boundaries) < 2:
        raise ConfigError(
            "a model needs two boundaries or more: each stage lies between two",
            got=", ".join(boundaries) or "none",
            hint=f"choose among {', '.join(found.cut_points)}",
        )
    cuts = [found.boundary_node(name) for name in boundaries]
    order = list(found.cut_points.values())
    for (first, second), (one, other) in zip(pairwise(boundaries), pairwise(cuts), strict=True):
        if order.index(one) >= order.index(other):
            raise ConfigError("boundaries must stand in the order of the data", got=f"{second} after {first}")
    if cuts[-1] is found.output_node:
        raise ConfigError(
            "something must follow the last boundary, such as a classifier: stages are judged by what follows them",
            got=boundaries[-1],
            hint="leave it out",
        )
    return cuts


def _boundary_shape(node: fx.Node) -> Shape:
    shape = node_shape(node)
    assert shape is not None  # noqa: S101  a cut is one tensor
    return shape


def _build_stage(name: str, own: SubmoduleBlock, blocks: Mapping[str, Block], shapes: tuple[Shape, Shape]) -> Stage:
    if ORIGINAL in blocks or not blocks:
        raise ConfigError(
            f"{name}: its blocks must be one or more, none of them labelled {ORIGINAL!r}: that is the model's own stage",
            got=", ".join(blocks) or "none",
        )
    for label, block in blocks.items():
        shape = lower(block, shapes[0]).output_shape
        if shape != shapes[1]:
            raise ConfigError(f"{name}: the output of the block {label} must be {shapes[1]}", got=shape)
    return Stage(
        name,
        (Axis("block", (ORIGINAL, *blocks), reference=ORIGINAL),),
        CandidateCell(((ORIGINAL, own), *blocks.items())),
    )
