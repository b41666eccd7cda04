"""Multiply-accumulates and parameters of any torch module: by ptflops, plus fused attention by its closed form; the rest is named.

`docs/counting.md` says what each counter counts, and how this one is held against others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from donna_hw._core import torchvision_compat
from donna_hw.errors import ConfigError
from donna_hw.graph.flops_coverage import CoverageMode
from donna_hw.graph.graph import Shape

# Attention as one operator. Which of them runs depends on the device and on what torch finds quickest; none of them contains another.
_ATTENTION = (
    "scaled_dot_product_attention",
    "_scaled_dot_product_attention_math",
    "_scaled_dot_product_attention_math_for_mps",
    "_scaled_dot_product_cudnn_attention",
    "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_flash_attention_for_cpu",
    "_scaled_dot_product_fused_attention_overrideable",
)


@dataclass(frozen=True)
class Counts:
    """What one image costs in a module.

    macs: multiply-accumulates of convolutions and matrix products, and one for each output element that such an operator adds a bias to;
    a multiply-accumulate is two FLOPs. attention_macs: those of `macs` that are fused attention's, zero in ptflops alone. params: trainable
    parameters, a shared one once. uncounted: {operator: calls} of those that may multiply and are in no count, such as `aten.mv`.
    """

    macs: int
    params: int
    attention_macs: int
    uncounted: Mapping[str, int]


def count_module(module: nn.Module, input_shape: Shape) -> Counts:
    """Return the counts of a torch module of one input, in evaluation mode, for one image.

    input_shape: of one image, without the batch. The image is zeros in the type and on the device of the module's first weights; the
    module is run on it once, there; on the device `meta` nothing is computed. What is written as an elementwise product and a sum is
    elementwise work, neither counted nor named. The modes of the module and its parts are put back. Raises `ConfigError` when torch cannot
    run it on that shape.
    Source: ptflops, backend `aten` (paper A.2); attention of H heads, L queries and S keys of D and values of Dv numbers: H L S (D + Dv).
    """
    torchvision_compat.patch_torchvision()  # ptflops imports it where it is installed
    from ptflops import get_model_complexity_info
    from ptflops.aten_ops import ATEN_OPS_MAPPING

    attention: list[int] = []

    def closed_form(inputs: Any, outputs: Any) -> int:
        query, key, value = inputs[:3]
        attention.append(prod(query.shape[:-1]) * key.shape[-2] * (query.shape[-1] + value.shape[-1]))
        return attention[-1]

    fused = {getattr(torch.ops.aten, name): closed_form for name in _ATTENTION if hasattr(torch.ops.aten, name)}
    watched = _ModuleProbe(module, CoverageMode(ATEN_OPS_MAPPING, fused))
    with _eval_mode(module), torch.no_grad():
        macs, params = get_model_complexity_info(
            watched,
            tuple(input_shape),
            as_strings=False,
            print_per_layer_stat=False,
            input_constructor=watched.image,
            custom_modules_hooks=fused,
            backend="aten",
        )
    if watched.error is not None or macs is None:
        lines = str(watched.error).strip().splitlines() or [""]
        raise ConfigError(
            f"torch must be able to run {type(module).__name__} on one image of shape {tuple(input_shape)} for ptflops to count it",
            got=f"{type(watched.error).__name__}: {lines[0]}",
            hint="mend the shape or the module",
        ) from watched.error
    return Counts(int(macs), int(params), sum(attention), dict(sorted(watched.watch.unknown.items())))


class _ModuleProbe(nn.Module):
    """The module as ptflops runs it. It is no child of this one: ptflops would leave hooks on it.

    ptflops prints a traceback and returns None when a module raises; the error is kept here instead.
    """

    def __init__(self, module: nn.Module, watch: CoverageMode) -> None:
        super().__init__()
        self.held, self.watch = (module,), watch
        self.error: Exception | None = None

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """Yield the module's parameters for ptflops to count."""
        return self.held[0].parameters(recurse)

    def image(self, input_shape: Shape) -> Tensor:
        """Return one image of zeros that suits the module's weights; torch's defaults where it has none."""
        tensors = [*self.held[0].parameters(), *self.held[0].buffers()]
        dtype = next((tensor.dtype for tensor in tensors if tensor.is_floating_point()), None)
        return torch.zeros(1, *input_shape, dtype=dtype, device=tensors[0].device if tensors else None)

    def forward(self, x: Tensor) -> Tensor:
        """Run the module under the watch; return the input, for nobody wants the output."""
        try:
            with self.watch:
                self.held[0](x)
        except Exception as error:  # whatever a module raises
            self.error = error
        return x


@contextmanager
def _eval_mode(module: nn.Module) -> Iterator[None]:
    """Put the module in evaluation mode, and its parts back in theirs afterwards.

    Torch's own attention and transformer layers then take the way of single operators: their fast path is one that no counter knows.
    """
    modes = [(part, part.training) for part in module.modules()]
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    module.eval()
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for part, training in modes:
            part.training = training
