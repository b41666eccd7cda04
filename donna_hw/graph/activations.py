"""The activations of layers, as functions of torch tensors."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as f

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda x: x,
    "relu": f.relu,
    "relu6": f.relu6,
    "swish": f.silu,
    "hard_swish": f.hardswish,
    "sigmoid": torch.sigmoid,
    "hard_sigmoid": f.hardsigmoid,
}
