"""Multiply-accumulates and parameters of any torch module: by ptflops, with fused attention by its closed form.

Operators that neither counts are named. `docs/counting.md` explains what each counter counts, and compares this one with others.
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

# Attention as one operator. Which one runs depends on the device and on what torch considers fastest; none contains another.
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

    Attributes:
        macs: Multiply-accumulates of convolutions and matrix products, and one for each output element to which such an operator adds a
            bias. A multiply-accumulate is two FLOPs.
        params: Trainable parameters; a shared one counts once.
        attention_macs: The part of `macs` that belongs to fused attention, which ptflops alone counts as zero.
        uncounted: {operator: calls} of operators that may multiply and are in no count, such as `aten.mv`.
    """

    macs: int
    params: int
    attention_macs: int
    uncounted: Mapping[str, int]


def count_module(module: nn.Module, input_shape: Shape) -> Counts:
    """Count the multiply-accumulates and parameters of a torch module for one image, in evaluation mode.

    The module runs once on an image of zeros, in the type and on the device of its first weights; on the device `meta` nothing is computed.
    A product and a sum written element by element are elementwise work, which is neither counted nor named. The training modes of the
    module and its parts are restored.
    Source: ptflops, backend `aten` (paper A.2). Attention of H heads, L queries, S keys of D numbers and values of Dv numbers takes
    H L S (D + Dv).

    Args:
        module: A module of one input.
        input_shape: Shape of one image, without the batch.

    Returns:
        The counts for one image.

    Raises:
        ConfigError: If torch cannot run the module on that shape.
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
    probe = _ModuleProbe(module, CoverageMode(ATEN_OPS_MAPPING, fused))
    with _eval_mode(module), torch.no_grad():
        macs, params = get_model_complexity_info(
            probe,
            tuple(input_shape),
            as_strings=False,
            print_per_layer_stat=False,
            input_constructor=probe.image,
            custom_modules_hooks=fused,
            backend="aten",
        )
    if probe.error is not None or macs is None:
        lines = str(probe.error).strip().splitlines() or [""]
        raise ConfigError(
            f"torch cannot run {type(module).__name__} on one image of shape {tuple(input_shape)}",
            got=f"{type(probe.error).__name__}: {lines[0]}",
            hint="fix the shape or the module",
        ) from probe.error
    return Counts(int(macs), int(params), sum(attention), dict(sorted(probe.coverage.unknown.items())))


class _ModuleProbe(nn.Module):
    """The module as ptflops runs it, held in a tuple and not as a child, on which ptflops would leave hooks.

    ptflops prints a traceback and returns None when a module raises, so the error is stored here instead.
    """

    def __init__(self, module: nn.Module, coverage: CoverageMode) -> None:
        super().__init__()
        self.target, self.coverage = (module,), coverage
        self.error: Exception | None = None

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """Yield the module's parameters for ptflops to count."""
        return self.target[0].parameters(recurse)

    def image(self, input_shape: Shape) -> Tensor:
        """Return one image of zeros in the type and on the device of the module's weights, or of torch's defaults if it has none."""
        tensors = [*self.target[0].parameters(), *self.target[0].buffers()]
        dtype = next((tensor.dtype for tensor in tensors if tensor.is_floating_point()), None)
        return torch.zeros(1, *input_shape, dtype=dtype, device=tensors[0].device if tensors else None)

    def forward(self, x: Tensor) -> Tensor:
        """Run the module while coverage is recorded; return the input, since the output is not used."""
        try:
            with self.coverage:
                self.target[0](x)
        except Exception as error:  # whatever a module raises
            self.error = error
        return x


@contextmanager
def _eval_mode(module: nn.Module) -> Iterator[None]:
    """Put the module in evaluation mode, and restore the modes of its parts afterwards.

    The fast path of torch's own attention and transformer layers is off meanwhile: no counter knows its operators.
    """
    modes = [(part, part.training) for part in module.modules()]
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    module.eval()
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
        for part, training in modes:
            part.training = training
