"""Which operators of torch a counter of multiply-accumulates may ignore; all others that it does not know are named."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

# Operators that torch itself marks as elementwise or, in its newer versions, as reductions.
_TAGS = {torch.Tag.pointwise, getattr(torch.Tag, "reduction", torch.Tag.pointwise)}

# The same and other harmless kinds that torch does not mark, by name without the underscores around it.
_HARMLESS = re.compile(
    "|".join(
        (
            r"all|any|sum|mean|prod|amax|amin|aminmax|arg(max|min)|max|min|var|std|(var|std)_mean|count_nonzero|norm",
            r"linalg_vector_norm|(nan)?median|mode|kthvalue|topk|sort|logsumexp|(log)?cum(sum|prod|max|min)\w*|segment_reduce",
            r"\w*(batch|layer|group|rms|weight)_norm\w*|\w*softmax|log_sigmoid_forward|glu|prelu_kernel|hardswish|add_relu|complex|polar",
            r"\w*(avg|max)_(un)?pool\dd\w*|upsample_nearest\w*|im2col|col2im",
            r"\w*dropout|rrelu_with_noise\w*|bernoulli|cauchy|exponential|geometric|(log_)?normal\w*|uniform|random",
            r"cat|stack|repeat|repeat_interleave|flip|roll|rot90|tril|triu|diag_embed|embedding|gather|take|put|lift|detach|clone",
            r"dequantize|(constant|reflection|replication)_pad\w*|pixel_(un)?shuffle|channel_shuffle|unsafe_(view|split\w*)|resize\w*|set",
            r"reshape_copy|(unsafe_)?(masked_)?index\w*|masked_select|\w*scatter\w*|copy|copy_from|to_copy|fill|zero|\w+_like|new_\w+",
            r"nonzero\w*|unique\w*|bucketize|searchsorted|isin",
        )
    )
)


def may_multiply(operator: Any) -> bool:
    """Whether an operator (an `OpOverload`) may multiply and accumulate: true unless it is known to do something else."""
    if operator.namespace != "aten":
        return operator.namespace not in ("prim", "profiler") and not _is_harmless(operator)
    name = operator.overloadpacket.__name__.strip("_")
    # torch marks `gt` and `transpose`, but not `gt_` and `transpose_`
    plain = getattr(torch.ops.aten, name, operator.overloadpacket)
    return not (
        _HARMLESS.fullmatch(name) or _is_harmless(operator) or _is_harmless(getattr(plain, plain.overloads()[0]))
    )


def _is_harmless(operator: Any) -> bool:
    return bool(operator.is_view or _TAGS & set(operator.tags))


class CoverageMode(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Observes every operator that torch runs, and counts in `unknown` the calls of each that may multiply and is not known.

    Operators that torch can split are split, as torch does by itself outside of inference mode.

    Args:
        counted: Operators that another counter knows.
        leaves: More operators that it knows, and that must reach it whole although torch could split them.
    """

    def __init__(self, counted: Collection[Any], leaves: Collection[Any]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.known, self.leaves = {*counted, *leaves}, frozenset(leaves)
        self.unknown: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run one operator, or its parts."""
        keywords, packet = dict(kwargs or {}), func.overloadpacket
        if packet not in self.leaves:
            with self:
                parts = func.decompose(*args, **keywords)
            if parts is not NotImplemented:
                return parts
        out = func(*args, **keywords)
        if packet not in self.known and may_multiply(func) and _has_tensor((args, keywords)) and _may_return(func, out):
            self.unknown[str(packet)] += 1
        return out


def _may_return(operator: Any, out: Any) -> bool:
    """Whether the result can hold products: torch's own operators that return no tensor read sizes and values."""
    return operator.namespace != "aten" or _has_tensor(out)


def _has_tensor(values: Any) -> bool:
    return any(isinstance(value, Tensor) for value in tree_leaves(values))
