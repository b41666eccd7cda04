"""Variations of a space, written after its name: another resolution, another number of classes, INT8."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from donna_hw.errors import ConfigError
from donna_hw.spaces.cells import Classifier
from donna_hw.spaces.mixed_precision import add_precision_axis, to_int8
from donna_hw.spaces.space import Space

_FORMAT_HINT = (
    "expected <n>px (height and width of the images), <n>classes, and precision (each block in float32 or INT8) or int8 (all in INT8), "
    "each at most once and in this order"
)
_VARIATIONS = re.compile(
    r"(@(?P<px>[1-9][0-9]{0,4})px)?(@(?P<classes>[1-9][0-9]{0,5})classes)?(@(?P<types>precision|int8))?"
)


def apply_variations(space: Space, variations: Sequence[str]) -> Space:
    """Return the space on other images, for other classes or of other types, `<space>@<n>px@<n>classes@precision`; raises `ConfigError`.

    Each variation is a separate space: tables and weights of one do not fit another.
    """
    match = _VARIATIONS.fullmatch("".join(f"@{variation}" for variation in variations))
    if match is None:
        raise ConfigError(
            f"wrong variation of the space {space.name}",
            got="@".join(variations),
            hint=f"{_FORMAT_HINT}, such as {space.name}@160px@10classes",
        )
    if match["px"]:
        space = space.with_image_size(int(match["px"]))
    if match["classes"]:
        space = _set_classes(space, int(match["classes"]))
    if match["types"]:
        space = add_precision_axis(space) if match["types"] == "precision" else to_int8(space)
    return space


def _set_classes(space: Space, classes: int) -> Space:
    name, last = space.after[-1] if space.after else ("", None)
    if not isinstance(last, Classifier):
        raise ConfigError(
            f"the last part of space {space.name} must be a Classifier for another number of classes",
            got=f"{type(last).__name__} {name}" if space.after else "no fixed part at the end",
        )
    after = (*space.after[:-1], (name, replace(last, classes=classes)))
    return replace(space, name=f"{space.name}@{classes}classes", after=after)
