"""space_from_model: any torch model as a search space around itself, cut into stages at boundaries that the user names."""

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
        """Return the block with the label `block`."""
        return dict(self.blocks)[block]


def suggest_boundaries(model: nn.Module, example: Tensor) -> list[str]:
    """Suggest boundaries for `space_from_model`: the places where the maps of each size end.

    Args:
        model: The model.
        example: One input, [1, channels, height, width].

    Returns:
        Paths of modules, or names of operations where no module ends. The first is the end of the stem.

    Raises:
        ConfigError: If torch.fx cannot trace the model, or it does not have maps of two sizes.
    """
    traced = trace_model(model, example)
    ends = list(find_stage_ends(traced))
    if len(ends) < 2:
        raise ConfigError(
            f"no boundaries to suggest: {type(model).__name__} must have maps of at least two sizes",
            got=f"{len(ends)}",
            hint=f"choose boundaries among {', '.join(traced.cut_points)}" if traced.cut_points else "it cannot be cut",
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
    """Return a search space around a torch model, whose reference is the model with its weights.

    The model is traced in evaluation mode and copied, so that later changes to it have no effect.

    Args:
        model: A model of one input and one output.
        example: One input, [1, channels, height, width].
        boundaries: Where stages end, each a module's path or the name of an operation of torch.fx. What comes before the first and after
            the last is fixed. None takes those of `suggest_boundaries`.
        blocks: Returns the candidates of a stage by label, from the shapes before and after it. The model's own stage is always added,
            with the label `original`.
        name: The name of the space.

    Returns:
        The space.

    Raises:
        ConfigError: If more than one tensor crosses a boundary, such as a skip connection; if a boundary is out of order; or if a
            candidate has another output shape.
        UnknownNameError: If there is no such boundary.
    """
    traced = trace_model(model, example)
    if boundaries is None:
        boundaries = suggest_boundaries(model, example)
    cuts = _resolve_boundaries(traced, boundaries)
    in_shape = tuple(int(size) for size in example.shape[1:])
    shapes = [_boundary_shape(node) for node in cuts]
    parts = {BEFORE: extract_submodule(traced, traced.input_node, cuts[0], in_shape)}
    stages = []
    for number, ((start, end), (before, after)) in enumerate(zip(pairwise(cuts), pairwise(shapes), strict=True), 1):
        parts[f"stage{number}"] = extract_submodule(traced, start, end, before)
        stages.append(_build_stage(f"stage{number}", parts[f"stage{number}"], blocks(before, after), (before, after)))
    parts[AFTER] = extract_submodule(traced, cuts[-1], traced.output_node, shapes[-1])
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
    """The weights of the model, under the names of the reference network."""

    parts: tuple[tuple[str, SubmoduleBlock], ...]

    def __call__(self) -> dict[str, Tensor]:
        return {
            f"{name}.{ORIGINAL}.weights.{key}": value.detach().clone()
            for name, part in self.parts
            for key, value in part.spec.module.state_dict().items()
        }


def _resolve_boundaries(traced: TracedModel, boundaries: Sequence[str]) -> list[fx.Node]:
    if len(boundaries) < 2:
        raise ConfigError(
            "at least two boundaries are needed, with a stage between each two",
            got=", ".join(boundaries) or "none",
            hint=f"choose among {', '.join(traced.cut_points)}",
        )
    cuts = [traced.boundary_node(name) for name in boundaries]
    order = list(traced.cut_points.values())
    for (first, second), (node, next_node) in zip(pairwise(boundaries), pairwise(cuts), strict=True):
        if order.index(node) >= order.index(next_node):
            raise ConfigError("boundaries must be in the order of the data", got=f"{second} after {first}")
    if cuts[-1] is traced.output_node:
        raise ConfigError(
            "a fixed part such as a classifier must follow the last boundary",
            got=boundaries[-1],
            hint="leave that boundary out",
        )
    return cuts


def _boundary_shape(node: fx.Node) -> Shape:
    shape = node_shape(node)
    assert shape is not None  # noqa: S101  a boundary is one tensor
    return shape


def _build_stage(
    name: str, original: SubmoduleBlock, blocks: Mapping[str, Block], shapes: tuple[Shape, Shape]
) -> Stage:
    if ORIGINAL in blocks or not blocks:
        raise ConfigError(
            f"{name} must have at least one block, and none labeled {ORIGINAL!r}, which is the model's own stage",
            got=", ".join(blocks) or "none",
        )
    for label, block in blocks.items():
        shape = lower(block, shapes[0]).output_shape
        if shape != shapes[1]:
            raise ConfigError(f"{name}: the output of the block {label} must have the shape {shapes[1]}", got=shape)
    return Stage(
        name,
        (Axis("block", (ORIGINAL, *blocks), reference=ORIGINAL),),
        CandidateCell(((ORIGINAL, original), *blocks.items())),
    )
