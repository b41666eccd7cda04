"""A whole experiment in seconds, and the command line as a user starts it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from paths import ROOT

COMMAND = [sys.executable, "-c", "from donna_hw.cli import main; main()"]
RECIPE = """title = "Tiny & small"
space = "small_8px"
seed = 3
workers = 2

[data]
name = "digits"
held_out = 850

[reference]
epochs = 3
batch = 32
learning_rate = 0.01

[distill]
images = 96
batch = 16

[latency]
rounds = 1
calibration_networks = 4
test_networks = 3

[finetune]
epochs = 2
images = 128
batch = 8
learning_rate = 0.01

[library]
networks = 5

[search]
samples = 100
population = 20

[verify]
front = 2
random = 1
"""


Main = Callable[..., tuple[int, str, str]]  # the command line's entry: (exit code, standard output, standard error)


def environment() -> dict[str, str]:
    """Return the environment of a command that imports this checkout's package from any folder."""
    return os.environ | {"PYTHONPATH": str(ROOT)}


def donna(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command to its end in its own process."""
    words = [*COMMAND, *map(str, arguments)]
    return subprocess.run(words, cwd=cwd, env=environment(), capture_output=True, text=True, timeout=300, check=False)


@dataclass(frozen=True)
class TinyRun:
    """A finished run: its recipe, its folder, how long it took, and what it printed."""

    recipe: Path
    folder: Path
    seconds: float
    printed: str


def trained(folder: Path) -> dict[str, bytes]:
    """Return the content of every file of a run that was trained or measured, by its path in the run."""
    patterns = ("**/*.safetensors", "**/quality.csv", "**/architectures.csv", "**/*.samples.csv", "reference/*.toml")
    return {str(p.relative_to(folder)): p.read_bytes() for pattern in patterns for p in folder.glob(pattern)}
