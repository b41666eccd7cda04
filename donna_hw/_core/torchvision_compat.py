"""torchvision with a torch that it was not built for: its compiled operators are missing, its Python parts still work.

The torchvision of PyPI is built for a CUDA torch. With the CPU build its import fails with "operator torchvision::nms does not exist",
and so does the import of every package that needs it, ptflops and timm among them.
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
    """Make `import torchvision` succeed where it is installed; call this before importing what imports it.

    Where only its operators are missing they are declared. Of these `nms`, which detectors need, is computed by `nms` below; calling
    any other still raises.

    Returns:
        Whether torchvision is installed.
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
    """Make torchvision ready to import.

    Args:
        what: What needs it, for the message.
        packages: Other packages that are needed.
        extra: The extra of donna-hw that installs them all.

    Raises:
        UnavailableError: torchvision or one of the packages is not installed.
    """
    missing = [name for name in ("torchvision", *packages) if find_spec(name) is None]
    if missing:
        raise UnavailableError(f"{what} needs the package {missing[0]}", hint=f"pip install 'donna-hw[{extra}]'")
    patch_torchvision()


def nms(dets: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Return the indices of the boxes that remain after non-maximum suppression, as torchvision's operator of this name.

    Args:
        dets: Boxes as left, top, right, bottom, float [n, 4].
        scores: Their scores, float [n].
        iou_threshold: A box is dropped when it overlaps a remaining box of higher score by more than this.

    Returns:
        Indices by descending score, int [remaining].
    """
    import torch

    order = scores.sort(descending=True, stable=True).indices
    left, top, right, bottom = dets[order].unbind(1)
    areas = (right - left) * (bottom - top)
    width = torch.minimum(right[:, None], right) - torch.maximum(left[:, None], left)
    height = torch.minimum(bottom[:, None], bottom) - torch.maximum(top[:, None], top)
    intersections = width.clamp(min=0) * height.clamp(min=0)
    overlaps = (intersections > iou_threshold * (areas[:, None] + areas - intersections)).numpy()
    suppressed = torch.zeros(len(order), dtype=torch.bool).numpy()
    for index in range(len(order)):
        if not suppressed[index]:
            suppressed[index + 1 :] |= overlaps[index, index + 1 :]
    return order[torch.from_numpy(~suppressed)]
