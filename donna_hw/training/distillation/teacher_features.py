"""The source of the teacher's feature maps: files within a budget, or the teacher itself, batch by batch, beyond it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from donna_hw.errors import FileFormatError
from donna_hw.graph.builder import lower_chain
from donna_hw.graph.torch_module import to_torch
from donna_hw.spaces.space import Space
from donna_hw.spaces.stage import Stage
from donna_hw.training.checkpoints import read_weights
from donna_hw.training.distillation.augmented_images import PixelLoader, load_augmented_images

GIB = 2**30
CPU = torch.device("cpu")


class Features(Protocol):
    """The inputs and targets of one stage's blocks; both kinds give equal values for equal images."""

    def __len__(self) -> int:
        """Return the number of images."""
        ...

    def pair(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Return the teacher's (input, output) of the stage for the images at int64 [n] indices, [n, channels, height, width] each."""
        ...


@dataclass(frozen=True)
class CachedFeatures:
    """Features that were computed once, from files that all workers share; batches are moved to `device`."""

    x: Tensor
    y: Tensor
    device: torch.device = CPU

    def __len__(self) -> int:
        return len(self.x)

    def pair(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Return the stored maps of the images."""
        return self.x[indices].to(self.device), self.y[indices].to(self.device)


@dataclass(frozen=True)
class StreamedFeatures:
    """Features that the teacher computes on `device` on demand; memory holds one batch of them.

    Args:
        pixels: From int64 [k] indices to images float32 [k, channels, height, width].
        count: Number of images.
        before: The teacher's parts before the stage.
        stage: The teacher's block of the stage.
        device: Where both are, and where batches are given.
    """

    pixels: PixelLoader
    count: int
    before: nn.Module
    stage: nn.Module
    device: torch.device = CPU

    def __len__(self) -> int:
        return self.count

    def pair(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Return the maps of the images, computed in this call."""
        with torch.no_grad():
            pixels = self.pixels(indices).to(self.device)
            x = self.before(pixels.contiguous(memory_format=torch.channels_last))
            return x, self.stage(x)


def load_train_features(space: Space, stage: Stage, folder: Path) -> Features:
    """Return the training features of a stage: cached when `folder` holds its maps, else streamed from the saved images."""
    border = space.stages.index(stage)
    if (folder / f"train-{border}.npy").exists():
        return CachedFeatures(read_map(folder, "train", border), read_map(folder, "train", border + 1))
    weights = folder / "teacher.safetensors"
    before = [name for name, _ in space.before] + [other.name for other in space.stages[:border]]
    return StreamedFeatures(
        *load_augmented_images(folder, space),
        load_teacher_parts(space, before, weights),
        load_teacher_parts(space, [stage.name], weights),
    )


def move_features(features: Features, device: torch.device) -> Features:
    """Return features that give their batches on a device; the maps themselves move to a GPU with free memory for twice their size."""
    if isinstance(features, StreamedFeatures):
        return replace(features, before=features.before.to(device), stage=features.stage.to(device), device=device)
    assert isinstance(features, CachedFeatures)  # noqa: S101  there are two kinds
    x, y = features.x, features.y
    if device.type == "cuda" and 2 * (x.nbytes + y.nbytes) <= torch.cuda.mem_get_info(device)[0]:
        x, y = x.to(device), y.to(device)
    return CachedFeatures(x, y, device)


def map_bytes(space: Space, images: int) -> int:
    """Return the bytes of the float32 maps of `images` images at every border between stages."""
    first = space.output_shapes[space.before[-1][0]] if space.before else space.input_shape
    shapes = [first, *(space.output_shapes[stage.name] for stage in space.stages)]
    return 4 * images * sum(math.prod(shape) for shape in shapes)


def load_teacher_parts(space: Space, names: list[str], weights: Path) -> nn.Module:
    """Return consecutive parts of the reference with trained weights, in evaluation mode.

    Args:
        space: The search space.
        names: Names of consecutive parts of the reference; without any, the result is the identity.
        weights: The file of the reference's weights.

    Raises:
        FileFormatError: When the weights are not those of the reference.
    """
    if not names:
        return nn.Identity()
    parts = space.named_blocks(space.reference)
    order = [name for name, _ in parts]
    start = order.index(names[0])
    shape = space.output_shapes[order[start - 1]] if start else space.input_shape
    module = to_torch(lower_chain(parts[start : start + len(names)], shape))
    state = {key: value for key, value in read_weights(weights).items() if key.split(".")[0] in names}
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        raise FileFormatError(
            f"{weights}: not the weights of the reference of {space.name}", got=str(error), hint="delete the file"
        ) from None
    return module.to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload,no-any-return]


def channels_last(maps: Tensor) -> Tensor:
    """Return maps [n, channels, height, width] as [n, height, width, channels], a view; tokens [n, tokens, channels] as they are."""
    return maps.permute(0, 2, 3, 1) if maps.ndim == 4 else maps


def read_map(folder: Path, part: str, border: int) -> Tensor:
    """Return one border's maps from a memory-mapped file.

    Args:
        folder: The folder of the maps.
        part: `train` or `held_out`.
        border: The border's number; 0 is before the first stage.

    Returns:
        [n, channels, height, width], channels last in memory, or [n, tokens, channels].
    """
    maps = torch.from_numpy(np.load(folder / f"{part}-{border}.npy", mmap_mode="c"))
    return maps.permute(0, 3, 1, 2) if maps.ndim == 4 else maps


def create_map_file(folder: Path, border: int, count: int, maps: Tensor) -> np.memmap:
    """Create a file for one border's train maps of `count` images, channels last, each of the size of one in `maps`."""
    shape = (count, *channels_last(maps).shape[1:])
    return np.lib.format.open_memmap(folder / f"train-{border}.npy", "w+", np.float32, shape)


def save_map(folder: Path, part: str, border: int, maps: Tensor) -> None:
    """Write one border's maps as `read_map` reads them."""
    np.save(folder / f"{part}-{border}.npy", channels_last(maps).numpy())  # in the memory format of training
