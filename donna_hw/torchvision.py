"""torchvision beside a torch that it was not built for: its compiled operators are missing, its Python parts still serve.

The torchvision of PyPI is built for a CUDA torch. Beside the CPU build its import ends in "operator torchvision::nms does not exist", and
with it that of every package that imports it, ptflops and timm among them, though none of what donna_hw uses of them needs the operator.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from donna_hw.errors import Unavailable

_MISSING = "operator torchvision::nms does not exist"
_DECLARED: list[object] = []  # torch forgets what a library declared when the library is collected


def ready() -> bool:
    """Make `import torchvision` succeed where it is installed, and say whether it is; call before importing what imports it.

    Where only its operators are missing they are declared, without an implementation: calling one still raises.
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
        _DECLARED.append(library)
        import_module("torchvision")
    return True


def required(what: str, *packages: str) -> None:
    """Make torchvision ready, or raise `Unavailable` when it, or one of the packages of the extra `timm`, is not installed."""
    missing = [name for name in ("torchvision", *packages) if find_spec(name) is None]
    if missing:
        raise Unavailable(f"{what} needs the package {missing[0]}", cure="pip install 'donna-hw[timm]'")
    ready()
