"""Axes that several spaces share: the paper's tied activation and attention, and its two cells."""

from __future__ import annotations

from donna_hw.spaces.space import Axis

STYLE = Axis(
    "style",
    ("relu", "swish_se"),
    settings={
        "relu": {"activation": "relu", "attention": "none"},
        "swish_se": {"activation": "swish", "attention": "se"},
    },
)
CELL = Axis("cell", ("depthwise", "grouped"), reference="depthwise")
