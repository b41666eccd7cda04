"""A classification network as a backbone that returns feature maps, by timm's convention of `features_only`."""

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
    """One map in timm's terms: its channels, the image's side over the map's, and the part of the network that outputs it."""

    num_chs: int
    reduction: int
    module: str


@dataclass(frozen=True)
class FeatureInfo:
    """The maps of a backbone from the largest to the smallest, and their indices among all maps, as in timm's `feature_info`."""

    maps: tuple[FeatureMap, ...]
    out_indices: tuple[int, ...]

    def channels(self) -> list[int]:
        """Return the channels of each map."""
        return [feature_map.num_chs for feature_map in self.maps]

    def reduction(self) -> list[int]:
        """Return by what factor each map is smaller than the image."""
        return [feature_map.reduction for feature_map in self.maps]

    def module_name(self) -> list[str]:
        """Return the parts of the network that output the maps."""
        return [feature_map.module for feature_map in self.maps]

    def get_dicts(self) -> list[dict[str, str | int]]:
        """Return each map as a dictionary with timm's keys."""
        return [asdict(feature_map) for feature_map in self.maps]


class FeatureBackbone(nn.Module):
    """The parts of a network up to the last requested map; it takes images of any size."""

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
        names, maps, x = set(self.feature_info.module_name()), [], images
        for name, part in zip(self.names, self.parts, strict=True):
            x = part(x)
            if name in names:
                maps.append(x)
        return maps

    def freeze(self) -> None:
        """Freeze all weights and batch-norm statistics: training changes nothing of the backbone from here on."""
        self.frozen = True
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> FeatureBackbone:
        """Set training mode, unless the backbone is frozen."""
        super().train(mode and not self.frozen)
        return self

    def load_network(self, path: Path) -> None:
        """Load the weights of the whole network from a safetensors file; raises `FileFormatError` where they are another network's."""
        state = read_weights(path)
        for name, part in zip(self.names, self.parts, strict=True):
            part_state = {
                key.removeprefix(f"{name}."): value for key, value in state.items() if key.startswith(f"{name}.")
            }
            try:
                part.load_state_dict(part_state)
            except RuntimeError as error:
                raise FileFormatError(
                    f"{path} does not hold the weights of this network",
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
    """Return a network as a backbone that returns a list of feature maps, as `timm.create_model(..., features_only=True)` does.

    What follows the searched stages (tail, classifier) is left out.

    Args:
        space: The search space.
        architecture: The network.
        out_indices: Which of `feature_maps`; by default all. Negative ones count from the last.
        weights: A safetensors file of the whole network; None draws weights at random.
        seed: Of random weights; None continues torch's random numbers.

    Returns:
        The backbone; it maps images [batch, channels, height, width] to maps from the largest to the smallest.

    Raises:
        ConfigError: The space has no maps, an index is out of range, or the network has INT8 blocks.
        FileFormatError: The weights are those of another network.
    """
    if "int8" in graph_dtypes(space.network_graph(architecture)):
        raise ConfigError(
            "a backbone needs float32 blocks, since it is trained", got="int8 blocks", hint="name the float32 network"
        )
    maps = feature_maps(space)
    requested = range(len(maps)) if out_indices is None else out_indices
    wrong = [index for index in requested if not -len(maps) <= index < len(maps)]
    if wrong or not requested:
        raise ConfigError(
            f"out_indices of {space.name} must name at least one map, each in 0..{len(maps) - 1}",
            got=wrong[0] if wrong else "none",
        )
    indices = tuple(sorted({index % len(maps) for index in requested}))
    info = FeatureInfo(tuple(maps[index] for index in indices), indices)
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        backbone = FeatureBackbone(space, architecture, info)
    if weights is not None:
        backbone.load_network(weights)
    return backbone


def feature_maps(space: Space) -> tuple[FeatureMap, ...]:
    """Return the last map at each size before the tail, largest first; all networks of a space have the same.

    Raises `ConfigError` for a space whose parts output tokens, such as vision transformers.
    """
    maps: dict[int, FeatureMap] = {}
    reduction, shape = 1, space.input_shape
    for name, block in space.named_blocks(space.reference)[: len(space.before) + len(space.stages)]:
        graph = lower(block, shape)
        shape = graph.output_shape
        if len(shape) != CHANNELS_HEIGHT_WIDTH:
            break
        reduction *= _stride(graph)
        maps[reduction] = FeatureMap(shape[0], reduction, name)
    if not maps:
        raise ConfigError(
            f"the parts of {space.name} output no feature maps [channels, height, width]",
            got=shape,
            hint="name a convolutional space",
        )
    return tuple(maps.values())


def _stride(graph: Graph) -> int:
    """Return the factor by which a part makes a map smaller, along the first input of each layer.

    It is not the ratio of the sides: half of an odd side is rounded up.
    """
    strides = {INPUT: 1}
    for layer in graph.layers:
        stride = layer.stride
        if layer.operator == "module":  # its inside is unknown, so the sides have to do
            stride = round(layer.in_shape[1] / layer.out_shape[1]) if len(layer.out_shape) == len(layer.in_shape) else 1
        strides[layer.name] = strides[layer.inputs[0]] * stride
    return strides[graph.output]
