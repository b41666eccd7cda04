"""Weights as safetensors, and the checkpoints that trainings resume from: written atomically, validated, never unpickled."""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from donna_hw._core.files import write_atomic
from donna_hw.errors import DonnaError, FileFormatError


def save_weights(module: nn.Module, path: Path) -> None:
    """Write a module's state dict to `path`, atomically."""
    write_atomic(path, save({key: value.contiguous().cpu() for key, value in module.state_dict().items()}))


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return a state dict; raises `FileFormatError` when the file is missing or corrupt."""
    try:
        return dict(load(path.read_bytes()))
    except (OSError, SafetensorError) as error:
        raise FileFormatError(
            f"{path}: not a readable safetensors file", got=str(error), hint="delete it to train it again"
        ) from None


def load_weights(module: nn.Module, path: Path, prefix: str = "") -> None:
    """Fill a module from the file's tensors whose names begin with `prefix`; raises `FileFormatError` when they do not fit."""
    state = {key.removeprefix(prefix): value for key, value in read_weights(path).items() if key.startswith(prefix)}
    try:
        with torch.no_grad():
            module.load_state_dict(state)
    except RuntimeError as error:
        raise FileFormatError(
            f"{path}: the weights do not fit these layers", got=str(error), hint="delete the file"
        ) from None


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write what a training needs to resume (state dicts, numbers, lists of them), atomically."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomic(path, buffer.getvalue())


@contextmanager
def open_checkpoint(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the state that `save_checkpoint` wrote.

    Raises:
        FileFormatError: When the file is corrupt, or the caller cannot load its state because it belongs to another training.
    """
    try:
        content = path.read_bytes()
        if not is_zipfile(io.BytesIO(content)):  # torch would read anything else as a bare pickle
            raise ValueError("not an archive written by torch")
        yield torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except DonnaError:
        raise
    except (RuntimeError, ValueError, KeyError, EOFError, OSError, TypeError, pickle.UnpicklingError) as error:
        raise FileFormatError(
            f"{path}: not a checkpoint of this training",
            got=str(error),
            hint="delete it to start the training again",
        ) from None
