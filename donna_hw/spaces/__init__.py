"""Search spaces by name: the shipped ones, and those that other packages register as `donna_hw.spaces` entry points."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.metadata import entry_points

from donna_hw.errors import UnknownName
from donna_hw.spaces.space import Architecture, Axis, Space, Stage

__all__ = ["Architecture", "Axis", "Space", "Stage", "load_space", "space_names"]

_SHIPPED = {
    "donna": "donna_hw.spaces.donna:donna",
    "efficientnet_b0": "donna_hw.spaces.efficientnet:efficientnet_b0",
    "mobilenetv3_1.0": "donna_hw.spaces.mobilenetv3:mobilenetv3_1_0",
    "mobilenetv3_1.2": "donna_hw.spaces.mobilenetv3:mobilenetv3_1_2",
    "mobilenetv3_1.2_extended": "donna_hw.spaces.mobilenetv3:mobilenetv3_1_2_extended",
    "proxylessnas_1.3": "donna_hw.spaces.proxylessnas:proxylessnas_1_3",
    "small_8px": "donna_hw.spaces.small:small_8px",
    "small_28px": "donna_hw.spaces.small:small_28px",
}


def space_names() -> list[str]:
    """Return the names that `load_space` knows."""
    return sorted({*_SHIPPED, *(point.name for point in entry_points(group="donna_hw.spaces"))})


@cache
def load_space(name: str) -> Space:
    """Return the space of that name; raises `UnknownName` with the known ones."""
    target = _SHIPPED.get(name)
    for point in entry_points(group="donna_hw.spaces"):
        if target is None and point.name == name:
            target = point.value
    if target is None:
        raise UnknownName("a search space must be a known one", found=name, known=space_names())
    module, _, attribute = target.partition(":")
    space: Space = getattr(import_module(module), attribute)()
    return space
