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
    """A trained reference network as a space's name and the file of its weights: what goes to other processes."""

    space: str
    weights: Path

    def module(self) -> GraphModule:
        """Return the network in evaluation mode; raises `FileFormatError` where the weights are another's."""
        space = load_space(self.space)
        network = to_torch(space.network_graph(space.reference))
        load_weights(network, self.weights)
        return network.eval()


def train_or_load_reference(
    space: Space, data: Dataset, optim: OptimConfig, *, seed: int, threads: int, folder: Path
) -> GraphModule:
    """Return the space's reference network, trained from scratch on hard labels, in evaluation mode.

    Kept in `folder` as `weights.safetensors` and `reference.toml` (its accuracy), and read back when they are there. A killed training
    goes on after its last whole epoch, to the same end.
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
    """Return the space's reference with weights that were trained elsewhere, in evaluation mode; kept in `folder` as a trained one is.

    weights: as `read_pretrained_weights` takes them. Raises what it does, and `FileFormatError` when they are not those of the reference.
    """
    network = to_torch(space.network_graph(space.reference), seed)
    path, facts = folder / "weights.safetensors", folder / "reference.toml"
    if not facts.exists():
        state = read_pretrained_weights(space, weights)
        try:
            network.load_state_dict(state)
        except RuntimeError as error:
            raise FileFormatError(
                f"{weights or space.name} must give the weights of the reference of {space.name}",
                got=" ".join(str(error).split())[:300],
                hint="name each as the reference's state dict does",
            ) from None
        save_weights(network, path)
        top1 = evaluate_top1(network, data.test)
        write_toml(facts, {"top1_percent": top1, "train_s": 0.0, "test_images": len(data.test), "seed": seed})
    load_weights(network, path)
    return network.eval()


def read_pretrained_weights(space: Space, weights: str) -> dict[str, torch.Tensor]:
    """Return the reference's weights by name: from a safetensors file, or with no file named what the space itself brings.

    Raises `FileFormatError` for a file that is none, `ConfigError` for a space that brings none.
    """
    if weights:
        try:
            return read_weights(Path(weights))
        except FileFormatError as error:  # a user's file: none that is trained again
            rule = f"reference.weights: {error.message}"
            raise FileFormatError(rule, got=error.got, hint="name the file of the reference's weights") from None
    if space.reference_weights is None:
        raise ConfigError(
            f"reference.method = 'given' needs weights, and space {space.name} brings none",
            got="no reference.weights",
            hint="name a safetensors file, or a space made by stages_from",
        )
    return space.reference_weights()


def read_reference_top1(folder: Path) -> float:
    """Return the trained reference's accuracy on the test images, in per cent."""
    return float(read_toml(folder / "reference.toml")["top1_percent"])


def _train(network: nn.Module, data: Dataset, fit: OptimConfig, seed: int, *, threads: int, checkpoint: Path) -> float:
    count = len(data.train)
    steps = iter(track(range(fit.epochs), "train reference", fit.epochs))
    epochs: dict[int, torch.Tensor] = {}
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def loss(epoch: int, indices: torch.Tensor) -> torch.Tensor:
        if epoch not in epochs:
            for _ in range(epoch - max(epochs, default=-1)):  # those before a checkpoint, too
                next(steps)
            generator = torch.Generator().manual_seed(seed * 1000 + epoch)
            epochs.clear()
            epochs[epoch] = augment(data.train.pixels, data.augmentation, generator)
        pixels = epochs[epoch][indices].contiguous(memory_format=torch.channels_last)
        return f.cross_entropy(network(pixels), data.train.labels[indices])

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        seconds = train(network, count, fit, seed, loss, checkpoint=checkpoint)
    finally:
        torch.set_num_threads(before)
    next(steps, None)
    network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return seconds
