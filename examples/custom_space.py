"""A custom search space: axes, stages, and what comes before and after them; then its counts.

On the command line the same space is a file and a function: `donna-hw profile examples/custom_space.py:narrow --device onnxruntime_cpu`.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from donna_hw import Axis, Classifier, ConvNormAct, Device, InvertedResidual, Space, Stage, profile_space
from donna_hw.costs.table_sum import TableCost

AXES = (
    Axis("kernel", (3, 5, 7)),
    Axis("expand", (2, 4)),
    Axis("gate", ("plain", "se"), settings={"plain": {"attention": "none"}, "se": {"attention": "se"}}),
)


def narrow() -> Space:
    """Three stages of 3 x 2 x 2 = 12 blocks for 32x32 images, 1,728 architectures."""
    stem, head = ConvNormAct(16, kernel=3), ConvNormAct(128)
    stages = tuple(
        Stage(f"stage{n}", AXES, partial(InvertedResidual, channels=16 * n, stride=2, depth=2)) for n in (1, 2, 3)
    )
    return Space(
        "narrow", "three stages", (3, 32, 32), (("stem", stem),), stages, (("head", head), ("end", Classifier(10)))
    )


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "latency_tables")
    space = narrow()
    macs = TableCost.of(space, profile_space(space, Device.load("macs"), folder))
    rows = space.random_rows(5, 0)
    for row, count in zip(rows, macs.mean(rows), strict=True):
        print(f"{count / 1e6:5.2f} MMAC  {space.labels(space.architecture(row))}")
