"""Weights as safetensors, and what a training goes on from: written atomically, read with a check, never unpickled."""

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
    """Return a state dict; raises `FileFormatError` when the file is missing or torn."""
    try:
        return dict(load(path.read_bytes()))
    except (OSError, SafetensorError) as error:
        raise FileFormatError(
            f"{path} must hold safetensors", got=str(error), hint="delete it: it is trained again"
        ) from None


def load_weights(module: nn.Module, path: Path, prefix: str = "") -> None:
    """Fill a module from the file's tensors whose names begin with `prefix`; raises `FileFormatError` when they do not fit."""
    found = {key.removeprefix(prefix): value for key, value in read_weights(path).items() if key.startswith(prefix)}
    try:
        with torch.no_grad():
            module.load_state_dict(found)
    except RuntimeError as error:
        raise FileFormatError(
            f"{path} must hold the weights of these layers", got=str(error), hint="delete it"
        ) from None


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write what a training needs to go on (state dicts, numbers, lists of them), atomically."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomic(path, buffer.getvalue())


@contextmanager
def open_checkpoint(path: Path) -> Iterator[dict[str, Any]]:
    """Give what `save_checkpoint` wrote; raises `FileFormatError` when the file is torn, or what is done with it says that it is another's."""
    try:
        content = path.read_bytes()
        if not is_zipfile(io.BytesIO(content)):  # torch would read anything else as a bare pickle
            raise ValueError("no archive of torch's")
        yield torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except DonnaError:
        raise
    except (RuntimeError, ValueError, KeyError, EOFError, OSError, TypeError, pickle.UnpicklingError) as error:
        raise FileFormatError(
            f"{path} must be a checkpoint of this training",
            got=str(error),
            hint="delete it: the training then starts again",
        ) from None
