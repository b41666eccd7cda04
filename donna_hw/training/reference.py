"""The reference network: the teacher of every block and network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as f

from donna_hw._core.progress import track
from donna_hw._core.toml_files import read_toml, write_toml
from donna_hw.errors import ConfigError, FileFormatError
from donna_hw.graph.torch_module import GraphModule, to_torch
from donna_hw.spaces import load_space
from donna_hw.spaces.space import Space
from donna_hw.training.checkpoints import load_weights, read_weights, save_weights
from donna_hw.training.data.dataset import Dataset, augment
from donna_hw.training.loop import OptimConfig, evaluate_top1, train


@dataclass(frozen=True)
class TeacherFile:
    """A trained reference network as the name of its space and the file of its weights, which can be sent to other processes."""

    space: str
    weights: Path

    def module(self) -> GraphModule:
        """Return the network in evaluation mode; raises `FileFormatError` when the weights belong to another network."""
        space = load_space(self.space)
        network = to_torch(space.network_graph(space.reference))
        load_weights(network, self.weights)
        return network.eval()


def train_or_load_reference(
    space: Space, data: Dataset, optim: OptimConfig, *, seed: int, threads: int, folder: Path
) -> GraphModule:
    """Return the space's reference network, trained from scratch on hard labels, in evaluation mode.

    A killed training resumes after its last whole epoch, and ends with the same weights.

    Args:
        space: The search space.
        data: The images to train and to test on.
        optim: Epochs, batch size and learning rate.
        seed: Seed of the initial weights, the order of the images and their augmentation.
        threads: Threads of torch while training.
        folder: Where `weights.safetensors` and `reference.toml` (the accuracy) are saved, and read back when they exist.
    """
    network = to_torch(space.network_graph(space.reference), seed)
    weights, facts, checkpoint = (folder / name for name in ("weights.safetensors", "reference.toml", "checkpoint.pt"))
    if not facts.exists():
        seconds = _train(network, data, optim, seed, threads=threads, checkpoint=checkpoint)
        save_weights(network, weights)
        top1 = evaluate_top1(network, data.test)
        write_toml(facts, {"top1_percent": top1, "train_s": seconds, "test_images": len(data.test), "seed": seed})
        checkpoint.unlink(missing_ok=True)
    load_weights(network, weights)
    return network.eval()


def load_pretrained_reference(space: Space, data: Dataset, weights: str, *, seed: int, folder: Path) -> GraphModule:
    """Return the space's reference with weights that were trained elsewhere, in evaluation mode.

    Args:
        space: The search space.
        data: The images to test on.
        weights: A safetensors file, or empty for the weights that the space itself provides.
        seed: Recorded with the accuracy.
        folder: Where the weights and the accuracy are saved, as by `train_or_load_reference`.

    Raises:
        FileFormatError: When the file is not readable, or its weights are not those of the reference.
        ConfigError: When no file is named and the space provides no weights.
    """
    network = to_torch(space.network_graph(space.reference), seed)
    path, facts = folder / "weights.safetensors", folder / "reference.toml"
    if not facts.exists():
        state = read_pretrained_weights(space, weights)
        try:
            network.load_state_dict(state)
        except RuntimeError as error:
            raise FileFormatError(
                f"{weights or space.name}: not the weights of the reference of {space.name}",
                got=" ".join(str(error).split())[:300],
                hint="name each tensor as in the reference's state dict",
            ) from None
        save_weights(network, path)
        top1 = evaluate_top1(network, data.test)
        write_toml(facts, {"top1_percent": top1, "train_s": 0.0, "test_images": len(data.test), "seed": seed})
    load_weights(network, path)
    return network.eval()


def read_pretrained_weights(space: Space, weights: str) -> dict[str, torch.Tensor]:
    """Return the reference's weights by name, from a safetensors file or, when none is named, from the space itself.

    Raises:
        FileFormatError: When the file is not readable.
        ConfigError: When no file is named and the space provides no weights.
    """
    if weights:
        try:
            return read_weights(Path(weights))
        except FileFormatError as error:  # the user's file, so the hint to delete it would be wrong
            raise FileFormatError(
                f"reference.weights: {error.message}",
                got=error.got,
                hint="set it to a safetensors file with the reference's weights",
            ) from None
    if space.reference_weights is None:
        raise ConfigError(
            f"reference.method = 'pretrained' needs weights, and space {space.name} provides none",
            hint="set reference.weights to a safetensors file, or use a space made by space_from_model",
        )
    return space.reference_weights()


def read_reference_top1(folder: Path) -> float:
    """Return the trained reference's accuracy on the test images, in per cent."""
    return float(read_toml(folder / "reference.toml")["top1_percent"])


def _train(
    network: nn.Module, data: Dataset, optim: OptimConfig, seed: int, *, threads: int, checkpoint: Path
) -> float:
    count = len(data.train)
    steps = iter(track(range(optim.epochs), "train reference", optim.epochs))
    augmented: dict[int, torch.Tensor] = {}  # epoch -> its images; only the current epoch's
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def loss(epoch: int, indices: torch.Tensor) -> torch.Tensor:
        if epoch not in augmented:
            for _ in range(epoch - max(augmented, default=-1)):  # including those before a checkpoint
                next(steps)
            generator = torch.Generator().manual_seed(seed * 1000 + epoch)
            augmented.clear()
            augmented[epoch] = augment(data.train.pixels, data.augmentation, generator)
        pixels = augmented[epoch][indices].contiguous(memory_format=torch.channels_last)
        return f.cross_entropy(network(pixels), data.train.labels[indices])

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        seconds = train(network, count, optim, seed, loss, checkpoint=checkpoint)
    finally:
        torch.set_num_threads(before)
    next(steps, None)
    network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return seconds
