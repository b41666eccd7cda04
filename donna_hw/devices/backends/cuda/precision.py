"""Precisions of a CUDA GPU: what each is called, what it needs, and PyTorch's switches for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Precision:
    """A way of computing. storage: torch's name of the type in memory. name: in tables. needs: lowest compute capability."""

    storage: str
    name: str
    min_capability: tuple[int, int]

    @property
    def tf32(self) -> bool:
        """Whether float32 products are rounded to TF32."""
        return self.name == "tfloat32"


PRECISIONS = {
    "fp32": Precision("float32", "float32", (0, 0)),
    "tf32": Precision("float32", "tfloat32", (8, 0)),  # an older GPU would compute float32 and say nothing
    "fp16": Precision("float16", "float16", (5, 3)),
    "bf16": Precision("bfloat16", "bfloat16", (8, 0)),  # older ones emulate it
}


@contextmanager
def backend_flags(*, tf32: bool, autotune: bool) -> Iterator[None]:
    """Set TF32 (matrix products and cuDNN) and cuDNN's autotuning as named, and put all switches back on leaving."""
    switches = list(_flag_values(tf32, autotune))
    before = [getattr(owner, name) for owner, name, _ in switches]
    try:
        for owner, name, value in switches:
            setattr(owner, name, value)
        yield
    finally:
        for (owner, name, _), value in zip(switches, before, strict=True):
            setattr(owner, name, value)


def _flag_values(tf32: bool, autotune: bool) -> Iterator[tuple[Any, str, object]]:
    """Yield (owner, name, wanted value) of each switch."""
    import torch

    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    yield cudnn, "benchmark", autotune
    if hasattr(
        matmul, "fp32_precision"
    ):  # from torch 2.9; reading the old switches raises once a caller has used these
        word = "tf32" if tf32 else "ieee"
        yield matmul, "fp32_precision", word
        yield cudnn.conv, "fp32_precision", word  # type: ignore[attr-defined]
    else:
        yield matmul, "allow_tf32", tf32
        yield cudnn, "allow_tf32", tf32
