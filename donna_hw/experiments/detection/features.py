"""A classification network as a backbone: its feature maps alone, by timm's convention of `features_only`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from donna_hw.errors import ConfigError, FileFormatError
from donna_hw.graph.builder import lower
from donna_hw.graph.graph import INPUT, Graph, graph_dtypes
from donna_hw.graph.torch_module import to_torch
from donna_hw.spaces.space import Architecture, Space
from donna_hw.training.checkpoints import read_weights

CHANNELS_HEIGHT_WIDTH = 3  # numbers of a map's shape


@dataclass(frozen=True)
class FeatureMap:
    """One map, in timm's words: num_chs channels, the image's side over the map's, and the part of the network that it comes out of."""

    num_chs: int
    reduction: int
    module: str


@dataclass(frozen=True)
class FeatureInfo:
    """What a backbone gives, as timm's `feature_info` tells it: its maps from the largest to the smallest, and which of all they are."""

    maps: tuple[FeatureMap, ...]
    out_indices: tuple[int, ...]

    def channels(self) -> list[int]:
        """Return the channels of each map."""
        return [one.num_chs for one in self.maps]

    def reduction(self) -> list[int]:
        """Return by how much each map is smaller than the image."""
        return [one.reduction for one in self.maps]

    def module_name(self) -> list[str]:
        """Return the parts of the network that the maps come out of."""
        return [one.module for one in self.maps]

    def get_dicts(self) -> list[dict[str, str | int]]:
        """Return each map as a dictionary with timm's keys."""
        return [asdict(one) for one in self.maps]


class FeatureBackbone(nn.Module):
    """The parts of a network up to the last map that is wanted; images of any size may be put in."""

    def __init__(self, space: Space, architecture: Architecture, info: FeatureInfo) -> None:
        super().__init__()
        self.feature_info, self.frozen = info, False
        needed = space.part_names.index(info.maps[-1].module) + 1
        self.names = space.part_names[:needed]
        parts, shape = [], space.input_shape
        for _, block in space.named_blocks(architecture)[:needed]:
            graph = lower(block, shape)
            parts.append(to_torch(graph))
            shape = graph.output_shape
        self.parts = nn.ModuleList(parts)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Map images [batch, channels, height, width] to the maps, [batch, num_chs, height / reduction, width / reduction] each."""
        wanted, maps, x = set(self.feature_info.module_name()), [], images
        for name, part in zip(self.names, self.parts, strict=True):
            x = part(x)
            if name in wanted:
                maps.append(x)
        return maps

    def freeze(self) -> None:
        """Keep all weights, and what batch-norm knows, as they are: training changes nothing of the backbone from here on."""
        self.frozen = True
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> FeatureBackbone:
        """Go into training mode, unless the backbone is frozen."""
        super().train(mode and not self.frozen)
        return self

    def load_network(self, path: Path) -> None:
        """Take the weights of the whole network from a safetensors file; raises `FileFormatError` where they are another's."""
        state = read_weights(path)
        for name, part in zip(self.names, self.parts, strict=True):
            own = {key.removeprefix(f"{name}."): value for key, value in state.items() if key.startswith(f"{name}.")}
            try:
                part.load_state_dict(own)
            except RuntimeError as error:
                raise FileFormatError(
                    f"{path} must hold the weights of this network",
                    got=" ".join(str(error).split()),
                    hint="name its finetuned weights",
                ) from None


def features_only(
    space: Space,
    architecture: Architecture,
    *,
    out_indices: Sequence[int] | None = None,
    weights: Path | None = None,
    seed: int | None = None,
) -> FeatureBackbone:
    """Return a network as a backbone that gives a list of feature maps, as `timm.create_model(..., features_only=True)` does.

    out_indices: which of `feature_maps`, by default all, negative ones from the last. weights: a safetensors file of the whole network;
    without one they are drawn at random, by `seed` if it is given. What follows the searched stages (tail, classifier) is left out.
    Raises `ConfigError` for a space without maps and for an index that there is not, `FileFormatError` for another network's weights.
    """
    if "int8" in graph_dtypes(space.network_graph(architecture)):
        raise ConfigError("a backbone is trained, in float32", got="blocks of int8", hint="name the float32 network")
    every = feature_maps(space)
    asked = range(len(every)) if out_indices is None else out_indices
    wrong = [index for index in asked if not -len(every) <= index < len(every)]
    if wrong or not asked:
        rule = f"out_indices of {space.name} must lie in 0..{len(every) - 1}, one at least"
        raise ConfigError(rule, got=wrong[0] if wrong else "none")
    indices = tuple(sorted({index % len(every) for index in asked}))
    info = FeatureInfo(tuple(every[index] for index in indices), indices)
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        backbone = FeatureBackbone(space, architecture, info)
    if weights is not None:
        backbone.load_network(weights)
    return backbone


def feature_maps(space: Space) -> tuple[FeatureMap, ...]:
    """Return the last map at each size before the tail, largest first: the same for all networks of a space.

    Raises `ConfigError` for a space whose parts pass on tokens, as those of vision transformers.
    """
    found: dict[int, FeatureMap] = {}
    reduction, shape = 1, space.input_shape
    for name, block in space.named_blocks(space.reference)[: len(space.before) + len(space.stages)]:
        graph = lower(block, shape)
        shape = graph.output_shape
        if len(shape) != CHANNELS_HEIGHT_WIDTH:
            break
        reduction *= _stride(graph)
        found[reduction] = FeatureMap(shape[0], reduction, name)
    if not found:
        raise ConfigError(
            f"a backbone's parts pass on feature maps; the first part of {space.name} gives",
            got=shape,
            hint="name a convolutional space",
        )
    return tuple(found.values())


def _stride(graph: Graph) -> int:
    """Return by how much a part makes a map smaller, along the first input of each layer.

    Not the ratio of its sides: of an odd one half is rounded up.
    """
    strides = {INPUT: 1}
    for layer in graph.layers:
        own = layer.stride
        if layer.operator == "module":  # what is inside is not known; sides tell all that can be
            own = round(layer.in_shape[1] / layer.out_shape[1]) if len(layer.out_shape) == len(layer.in_shape) else 1
        strides[layer.name] = strides[layer.inputs[0]] * own
    return strides[graph.output]
