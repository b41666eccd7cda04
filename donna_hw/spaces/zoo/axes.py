"""Axes shared by several spaces."""

from __future__ import annotations

from donna_hw.spaces.stage import Axis

KERNEL = Axis("kernel", (3, 5, 7))
EXPAND = Axis("expand", (3, 4, 6))
WIDTH = Axis("width", (0.5, 1.0))
STYLE = Axis(  # the paper's tied activation and attention
    "style",
    ("relu", "swish_se"),
    settings={
        "relu": {"activation": "relu", "attention": "none"},
        "swish_se": {"activation": "swish", "attention": "se"},
    },
)
CELL = Axis("cell", ("depthwise", "grouped"), reference="depthwise")
