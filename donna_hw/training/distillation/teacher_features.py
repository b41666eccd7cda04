"""Where the teacher's feature maps come from: files within a budget, or the teacher itself, batch by batch, beyond it."""

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
    """What one stage's blocks learn from; both kinds give equal values for equal images."""

    def __len__(self) -> int:
        """Return the number of images."""
        ...

    def pair(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Return the teacher's (input, output) of the stage for the images, [n, channels, height, width] each."""
        ...


@dataclass(frozen=True)
class CachedFeatures:
    """Features that were computed once, from files that all workers share; batches are given on `device`."""

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
    """Features that the teacher computes on `device` when they are asked for; memory holds one batch of them."""

    pixels: PixelLoader
    count: int
    before: nn.Module
    stage: nn.Module
    device: torch.device = CPU

    def __len__(self) -> int:
        return self.count

    def pair(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Return the maps of the images, computed now."""
        with torch.no_grad():
            pixels = self.pixels(indices).to(self.device)
            x = self.before(pixels.contiguous(memory_format=torch.channels_last))
            return x, self.stage(x)


def load_train_features(space: Space, stage: Stage, folder: Path) -> Features:
    """Return the training features of a stage: cached when `folder` holds its maps, else streamed from the images that it names."""
    place = space.stages.index(stage)
    if (folder / f"train-{place}.npy").exists():
        return CachedFeatures(read_map(folder, "train", place), read_map(folder, "train", place + 1))
    weights = folder / "teacher.safetensors"
    before = [name for name, _ in space.before] + [other.name for other in space.stages[:place]]
    return StreamedFeatures(
        *load_augmented_images(folder, space),
        load_teacher_parts(space, before, weights),
        load_teacher_parts(space, [stage.name], weights),
    )


def move_features(features: Features, device: torch.device) -> Features:
    """Return features that give their batches on a device; on a GPU with room for both maps twice over, the maps lie there."""
    if isinstance(features, StreamedFeatures):
        return replace(features, before=features.before.to(device), stage=features.stage.to(device), device=device)
    assert isinstance(features, CachedFeatures)  # noqa: S101  there are two kinds
    x, y = features.x, features.y
    if device.type == "cuda" and 2 * (x.nbytes + y.nbytes) <= torch.cuda.mem_get_info(device)[0]:
        x, y = x.to(device), y.to(device)
    return CachedFeatures(x, y, device)


def map_bytes(space: Space, images: int) -> int:
    """Return how many bytes the maps of so many images take on the disk, float32, at every border between stages."""
    first = space.output_shapes[space.before[-1][0]] if space.before else space.input_shape
    shapes = [first, *(space.output_shapes[stage.name] for stage in space.stages)]
    return 4 * images * sum(math.prod(shape) for shape in shapes)


def load_teacher_parts(space: Space, names: list[str], weights: Path) -> nn.Module:
    """Return parts of the reference that follow one another, with its trained weights, in evaluation mode; raises `FileFormatError`.

    No parts are the identity.
    """
    if not names:
        return nn.Identity()
    parts = space.named_blocks(space.reference)
    order = [name for name, _ in parts]
    at = order.index(names[0])
    shape = space.output_shapes[order[at - 1]] if at else space.input_shape
    module = to_torch(lower_chain(parts[at : at + len(names)], shape))
    state = {key: value for key, value in read_weights(weights).items() if key.split(".")[0] in names}
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        raise FileFormatError(
            f"{weights} must hold the reference of this space", got=str(error), hint="delete it"
        ) from None
    return module.to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload,no-any-return]


def channels_last(maps: Tensor) -> Tensor:
    """Return maps [n, channels, height, width] as [n, height, width, channels], a view; tokens [n, tokens, channels] as they are."""
    return maps.permute(0, 2, 3, 1) if maps.ndim == 4 else maps


def read_map(folder: Path, part: str, place: int) -> Tensor:
    """Return one border's maps from a memory-mapped file: [n, channels, height, width], channels last in memory, or tokens."""
    kept = torch.from_numpy(np.load(folder / f"{part}-{place}.npy", mmap_mode="c"))
    return kept.permute(0, 3, 1, 2) if kept.ndim == 4 else kept


def create_map_file(folder: Path, place: int, count: int, maps: Tensor) -> np.memmap:
    """Return a file for one border's train maps of so many images, channels last, of the size of some maps."""
    shape = (count, *channels_last(maps).shape[1:])
    return np.lib.format.open_memmap(folder / f"train-{place}.npy", "w+", np.float32, shape)


def save_map(folder: Path, part: str, place: int, maps: Tensor) -> None:
    """Write one border's maps as `read_map` reads them."""
    np.save(folder / f"{part}-{place}.npy", channels_last(maps).numpy())  # as trained
