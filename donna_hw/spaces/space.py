"""Space: fixed parts around searched stages, each of which is a product of axes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from donna_hw.errors import ConfigError, UnknownNameError
from donna_hw.graph.builder import Block, lower, lower_chain
from donna_hw.graph.graph import Graph, Shape, layers_hash
from donna_hw.spaces.encoding import Architecture, ArchitectureEncoding, Genes, Rows
from donna_hw.spaces.stage import Axis, Stage, Value

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["RESOLUTION", "Architecture", "Genes", "Rows", "Space"]

RESOLUTION = "resolution"  # the global axis that is the height and width of the images


@dataclass(frozen=True)
class Space(ArchitectureEncoding):
    """A search space around a reference network. In a layer-wise space each stage is a single layer.

    Args:
        name: A short name, used in files.
        title: One line about the space.
        input_shape: (channels, height, width) of the images, at the reference's resolution.
        before: Named fixed parts before the stages, such as a stem.
        stages: The searched positions.
        after: Named fixed parts after the stages, such as a tail and a classifier.
        global_axes: Searched properties of the whole network. `resolution` is the height and width of the images; what does not support
            a global axis raises an error.
        load_name: The name by which `load_space` loaded it, so that another process can load it too.
        reference_weights: Returns the reference's trained weights by name, for a space that comes with them.

    Raises:
        ConfigError: If two parts have the same name.
    """

    name: str
    title: str
    input_shape: Shape
    before: tuple[tuple[str, Block], ...]
    stages: tuple[Stage, ...]
    after: tuple[tuple[str, Block], ...]
    global_axes: tuple[Axis, ...] = ()
    load_name: str = field(default="", compare=False)
    reference_weights: Callable[[], dict[str, Tensor]] | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        names = (*self.part_names, *(axis.name for axis in self.global_axes))
        for name in names:
            if names.count(name) > 1:
                raise ConfigError(f"space {self.name}: the parts must have different names", got=name)

    @cached_property
    def reference(self) -> Architecture:
        """The reference network: each stage's reference block, at each global axis's reference value."""
        settings = tuple(axis.reference_value for axis in self.global_axes)
        return Architecture(tuple(stage.reference for stage in self.stages), settings)

    def at(self, settings: tuple[Value, ...]) -> Space:
        """Return the space at one value of each global axis: on images of that resolution, without global axes, `<space>@<n>px`.

        Raises `UnknownNameError` for a value that the axis lacks, and `ConfigError` for an axis that the layers do not support.
        """
        if not self.global_axes and not settings:
            return self
        if settings not in self._at:
            self._validate_settings(settings)
            for axis in self.global_axes:
                if axis.name != RESOLUTION:
                    message = f"space {self.name}: the layers support only the global axis {RESOLUTION}"
                    raise ConfigError(message, got=axis.name)
            self._at[settings] = self.with_image_size(int(settings[0]))
        return self._at[settings]

    def with_image_size(self, pixels: int) -> Space:
        """Return the space on images of any other height and width, in pixels, with a fixed resolution."""
        return replace(
            self,
            name=_with_pixels(self.name, pixels),
            load_name=_with_pixels(self.load_name, pixels) if self.load_name else "",
            input_shape=(self.input_shape[0], pixels, pixels),
            global_axes=tuple(axis for axis in self.global_axes if axis.name != RESOLUTION),
        )

    def at_index(self, setting: Sequence[int]) -> Space:
        """Return the space at one value number of each global axis; see `at`."""
        return self.at(tuple(axis.values[number] for axis, number in zip(self.global_axes, setting, strict=True)))

    @cached_property
    def _at(self) -> dict[tuple[Value, ...], Space]:
        return {}

    @property
    def part_names(self) -> tuple[str, ...]:
        """Names of all parts in the order of the data: fixed, searched, fixed."""
        return (*(n for n, _ in self.before), *(s.name for s in self.stages), *(n for n, _ in self.after))

    @property
    def fixed(self) -> dict[str, Block]:
        """The fixed parts by name."""
        return dict((*self.before, *self.after))

    def named_blocks(self, architecture: Architecture) -> list[tuple[str, Block]]:
        """Return the named blocks of a network in order."""
        self.validate(architecture)
        searched = [(s.name, s.block(m)) for s, m in zip(self.stages, architecture.blocks, strict=True)]
        return [*self.before, *searched, *self.after]

    def network_graph(self, architecture: Architecture) -> Graph:
        """Return the layers of a whole network, on images of its resolution."""
        return lower_chain(self.named_blocks(architecture), self.at(architecture.settings).input_shape)

    @cached_property
    def output_shapes(self) -> dict[str, Shape]:
        """Output shape of every part, from the reference; all blocks of a stage share it, since the width acts only inside."""
        shapes, shape = {}, self.input_shape
        for name, block in self.named_blocks(self.reference):
            shape = shapes[name] = lower(block, shape).output_shape
        return shapes

    @cached_property
    def input_shapes(self) -> dict[str, Shape]:
        """Input shape of every part: the output shape of the part before it."""
        before = (self.input_shape, *self.output_shapes.values())
        return dict(zip(self.part_names, before, strict=False))

    def stage(self, name: str) -> Stage:
        """Return the stage of that name; raises `UnknownNameError`."""
        for stage in self.stages:
            if stage.name == name:
                return stage
        raise UnknownNameError("unknown stage", got=name, choices=[stage.name for stage in self.stages])

    def block_graph(self, stage: Stage, number: int) -> Graph:
        """Return the layers of one candidate block alone; raises `ConfigError` if its output has another shape than the reference's."""
        graph, expected = lower(stage.block(number), self.input_shapes[stage.name]), self.output_shapes[stage.name]
        if graph.output_shape != expected:
            message = f"{stage.name} {stage.label(number)}: the output must have the shape {expected}"
            raise ConfigError(message, got=graph.output_shape)
        return graph

    def fixed_graph(self, name: str) -> Graph:
        """Return the layers of one fixed part alone."""
        return lower(self.fixed[name], self.input_shapes[name])

    @cached_property
    def hash(self) -> str:
        """16 hexadecimal digits that identify the fixed frame: input, fixed parts, shapes between stages, names of the axes.

        An axis with a `default_label` is left out, since it may be added later. Values are left out too, so that an axis can grow; each
        row of a table has the hash of its own layers.
        """
        frame = {
            "input": self.input_shape,
            "fixed": {name: layers_hash(self.fixed_graph(name)) for name in self.fixed},
            "stages": [
                (s.name, self.input_shapes[s.name], [axis.name for axis in s.axes if axis.default_label is None])
                for s in self.stages
            ],
            "global": [axis.name for axis in self.global_axes],
        }
        return hashlib.sha256(json.dumps(frame, sort_keys=True).encode()).hexdigest()[:16]


def _with_pixels(name: str, pixels: int) -> str:
    """Return `<name>@<pixels>px`, followed by the other variations of the name."""
    base, *variations = name.split("@")
    return "@".join([base, f"{pixels}px", *variations])
