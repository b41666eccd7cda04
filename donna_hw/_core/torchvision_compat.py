"""torchvision beside a torch that it was not built for: its compiled operators are missing, its Python parts still serve.

The torchvision of PyPI is built for a CUDA torch. Beside the CPU build its import ends in "operator torchvision::nms does not exist", and
with it that of every package that imports it, ptflops and timm among them.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from donna_hw.errors import UnavailableError

if TYPE_CHECKING:
    from torch import Tensor

_MISSING = "operator torchvision::nms does not exist"
_LIBRARIES: list[object] = []  # torch forgets what a library declared when the library is collected


def patch_torchvision() -> bool:
    """Make `import torchvision` succeed where it is installed, and say whether it is; call before importing what imports it.

    Where only its operators are missing they are declared; of these `nms`, which detectors need, is computed by `nms` below, and calling
    any other still raises.
    """
    if find_spec("torchvision") is None:
        return False
    try:
        import_module("torchvision")
    except RuntimeError as error:
        if _MISSING not in str(error):
            raise
        import torch

        library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")  # type: ignore[no-untyped-call]
        library.impl("nms", nms, "CPU")  # type: ignore[no-untyped-call]
        _LIBRARIES.append(library)
        import_module("torchvision")
        extension: Any = import_module("torchvision.extension")
        extension._has_ops = lambda: True  # `torchvision.ops.nms` asks it first
    return True


def require_torchvision(what: str, *packages: str, extra: str = "timm") -> None:
    """Make torchvision ready, or raise `UnavailableError` when it, or one of the packages of an extra, is not installed."""
    missing = [name for name in ("torchvision", *packages) if find_spec(name) is None]
    if missing:
        raise UnavailableError(f"{what} needs the package {missing[0]}", hint=f"pip install 'donna-hw[{extra}]'")
    patch_torchvision()


def nms(dets: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Return the numbers of the boxes that stay, best first: none overlaps a better one that stays by more than the threshold.

    dets: float [n, 4], left, top, right, bottom; scores: float [n]. What torchvision's operator of this name computes.
    """
    import torch

    order = scores.sort(descending=True, stable=True).indices
    left, top, right, bottom = dets[order].unbind(1)
    areas = (right - left) * (bottom - top)
    width = torch.minimum(right[:, None], right) - torch.maximum(left[:, None], left)
    height = torch.minimum(bottom[:, None], bottom) - torch.maximum(top[:, None], top)
    shared = width.clamp(min=0) * height.clamp(min=0)
    worse = (shared > iou_threshold * (areas[:, None] + areas - shared)).numpy()
    gone = torch.zeros(len(order), dtype=torch.bool).numpy()
    for number in range(len(order)):
        if not gone[number]:
            gone[number + 1 :] |= worse[number, number + 1 :]
    return order[torch.from_numpy(~gone)]
