"""A real folder of small images, a space without batch-norm, and recipes that train on them in seconds."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
from paths import ROOT
from PIL import Image

COLORS = {"blue": (40, 60, 200), "green": (50, 190, 60), "red": (200, 50, 40)}

PLAIN = """from functools import partial
from dataclasses import dataclass
from donna_hw.spaces.cells import Classifier
from donna_hw.spaces import Axis, Space, Stage

@dataclass(frozen=True)
class Plain:
    channels: int
    kernel: int = 3

    def add_layers(self, builder, x):
        y = builder.conv(x, self.channels, kernel=self.kernel, batch_norm=False, activation="relu", name="conv")
        return builder.add(builder.conv(y, self.channels, batch_norm=False, name="branch"), y, name="sum")

def plain():
    stage = Stage("stage1", (Axis("kernel", (1, 3)),), partial(Plain, 6))
    return Space("plain", "no batch-norm", (3, 16, 16), (("stem", Plain(6)),), (stage,), (("classifier", Classifier(3)),))
"""

RECIPE = """title = "Colors"
space = "{space}"
seed = 4
data = {{ name = "image_folder", folder = "{images}", held_out = 2 }}
finetune = {{ epochs = 1 }}
library = {{ networks = 5 }}

[reference]
method = "paper"
epochs = {epochs}
batch = 8
micro_batch = {micro_batch}
learning_rate = 0.002
warmup_epochs = 1
ema_decay = 0.5
data_workers = {workers}
{more}
"""


def image_folder(folder: Path, train: int = 8, val: int = 4) -> Path:
    """Write `train/` and `val/` with noisy images of each color, 20 to 30 pixels high and wide, PNG and JPEG in turn."""
    rng = np.random.default_rng(0)
    for part, count in (("train", train), ("val", val)):
        for name, color in COLORS.items():
            class_folder = folder / part / name
            class_folder.mkdir(parents=True)
            for number in range(count):
                height, width = rng.integers(20, 31, 2)
                pixels = np.clip(rng.normal(color, 40, (height, width, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(class_folder / f"{number}.{('png', 'jpeg')[number % 2]}")
    return folder


def recipe(
    folder: Path, *, name: str = "r", batches: int = 1, epochs: int = 2, workers: int = 0, more: str = ""
) -> Path:
    """Write a recipe for the images in `folder/images` and the space without batch-norm.

    `batches` is the number of batches of one process in a step of 8 images.
    """
    space = folder / "plain_space.py"
    space.write_text(PLAIN)
    text = RECIPE.format(
        space=f"{space}:plain",
        images=folder / "images",
        epochs=epochs,
        micro_batch=8 // batches,
        workers=workers,
        more=more,
    )
    path = folder / f"{name}.toml"
    path.write_text(text)
    return path


def command(recipe_path: Path, out: Path, processes: int = 1) -> list[str]:
    """Return the command line that trains the reference in `processes` processes."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    arguments = ["-m", "donna_hw", "reference", str(recipe_path), "--out", str(out)]
    return [sys.executable, *(launcher if processes > 1 else []), *arguments]


def environment() -> dict[str, str]:
    """Return the environment of a command: this checkout's package, one thread."""
    return os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
