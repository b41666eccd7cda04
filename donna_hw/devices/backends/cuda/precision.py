"""Precisions of a CUDA GPU: their names, what they need, and PyTorch's switches for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Precision:
    """A precision of arithmetic.

    Attributes:
        storage: torch's name of the type in memory.
        name: Name of the type in tables.
        min_capability: Lowest compute capability (major, minor) of a GPU that has it.
    """

    storage: str
    name: str
    min_capability: tuple[int, int]

    @property
    def tf32(self) -> bool:
        """Whether float32 products are rounded to TF32."""
        return self.name == "tfloat32"


PRECISIONS = {
    "fp32": Precision("float32", "float32", (0, 0)),
    "tf32": Precision("float32", "tfloat32", (8, 0)),  # an older GPU silently computes float32
    "fp16": Precision("float16", "float16", (5, 3)),
    "bf16": Precision("bfloat16", "bfloat16", (8, 0)),  # older ones emulate it
}


@contextmanager
def backend_flags(*, tf32: bool, autotune: bool) -> Iterator[None]:
    """Set TF32 (matrix products and cuDNN) and cuDNN's autotuning, and restore them on leaving."""
    flags = list(_flag_values(tf32, autotune))
    previous = [getattr(owner, name) for owner, name, _ in flags]
    try:
        for owner, name, value in flags:
            setattr(owner, name, value)
        yield
    finally:
        for (owner, name, _), value in zip(flags, previous, strict=True):
            setattr(owner, name, value)


def _flag_values(tf32: bool, autotune: bool) -> Iterator[tuple[Any, str, object]]:
    """Yield (owner, name, new value) of each switch."""
    import torch

    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    yield cudnn, "benchmark", autotune
    # from torch 2.9; reading the old switches raises once a caller has used these
    if hasattr(matmul, "fp32_precision"):
        precision = "tf32" if tf32 else "ieee"
        yield matmul, "fp32_precision", precision
        yield cudnn.conv, "fp32_precision", precision  # type: ignore[attr-defined]
    else:
        yield matmul, "allow_tf32", tf32
        yield cudnn, "allow_tf32", tf32
