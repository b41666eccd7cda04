"""Search spaces by name: the shipped ones, those of other packages (`donna_hw.spaces` entry points), and a user's own file.

A name may be followed by variations: `donna@160px` is the donna space on 160x160 images, `donna@160px@10classes` also has a classifier
for 10 classes. `my_space.py:narrow` is the space that the function `narrow` of that file returns.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

from donna_hw.errors import UnknownNameError
from donna_hw.spaces.registry import load_custom_space
from donna_hw.spaces.space import Architecture, Space
from donna_hw.spaces.stage import Axis, Stage
from donna_hw.spaces.variants import apply_variations

__all__ = ["Architecture", "Axis", "Space", "Stage", "list_spaces", "load_space"]

_BUILTIN_SPACES = {
    "baselines": "donna_hw.spaces.baselines.registry:baselines",
    "donna": "donna_hw.spaces.zoo.donna:donna",
    "donna_shift": "donna_hw.spaces.zoo.shift:donna_shift",
    "efficientnet_b0": "donna_hw.spaces.zoo.efficientnet:efficientnet_b0",
    "fbnet": "donna_hw.spaces.zoo.fbnet:fbnet",
    "fbnet_cifar100": "donna_hw.spaces.zoo.fbnet:fbnet_cifar100",
    "mobilenetv3_1.0": "donna_hw.spaces.zoo.mobilenetv3:mobilenetv3_1_0",
    "mobilenetv3_1.2": "donna_hw.spaces.zoo.mobilenetv3:mobilenetv3_1_2",
    "mobilenetv3_1.2_extended": "donna_hw.spaces.zoo.mobilenetv3:mobilenetv3_1_2_extended",
    "ofa_mobilenetv3": "donna_hw.spaces.zoo.ofa:ofa_mobilenetv3",
    "proxylessnas_1.3": "donna_hw.spaces.zoo.proxylessnas:proxylessnas_1_3",
    "small_8px": "donna_hw.spaces.zoo.small:small_8px",
    "small_8px_cells": "donna_hw.spaces.zoo.small:small_8px_cells",
    "small_8px_shift": "donna_hw.spaces.zoo.shift:small_8px_shift",
    "small_28px": "donna_hw.spaces.zoo.small:small_28px",
    "small_32px": "donna_hw.spaces.zoo.small:small_32px",
    "small_vit_8px": "donna_hw.spaces.zoo.vit:small_vit_8px",
    "small_vit_28px": "donna_hw.spaces.zoo.vit:small_vit_28px",
    "vit_b16": "donna_hw.spaces.zoo.vit:vit_b16",
    "vit_b16_81": "donna_hw.spaces.zoo.vit:vit_b16_81",
}


def list_spaces() -> list[str]:
    """List the search spaces that `load_space` knows.

    Returns:
        The names, sorted, with those of other packages.
    """
    return sorted({*_BUILTIN_SPACES, *(point.name for point in entry_points(group="donna_hw.spaces"))})


@cache
def load_space(name: str) -> Space:
    """Load a search space.

    Args:
        name: A name of `list_spaces`, or `FILE.py:FUNCTION`, with any variations after it, such as `donna@160px`.

    Returns:
        The space.

    Raises:
        UnknownNameError: If there is no such space or function.
        ConfigError: If a variation is wrong or does not fit the space.
        FileFormatError: If the file is missing or cannot be run.
    """
    base, *variations = name.split("@")
    return replace(apply_variations(_load_base(base), variations), load_name=name)


def _load_base(name: str) -> Space:
    target = _BUILTIN_SPACES.get(name)
    for point in entry_points(group="donna_hw.spaces"):
        if target is None and point.name == name:
            target = point.value
    if target is None:
        path, colon, function = name.rpartition(":")
        if colon and path.endswith(".py"):
            return load_custom_space(Path(path), function)
        raise UnknownNameError(
            "unknown search space",
            got=name,
            choices=list_spaces(),
            hint="or name a function of a file: FILE.py:FUNCTION",
        )
    module, _, attribute = target.partition(":")
    space: Space = getattr(import_module(module), attribute)()
    return space
