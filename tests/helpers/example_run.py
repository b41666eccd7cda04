"""A run that nothing trained: made qualities and accuracies in files of their own, counts of a shipped table; the rest is the run's."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from donna_hw._core.resources import data_roots
from donna_hw._core.toml_files import write_toml
from donna_hw.pipeline import steps
from donna_hw.pipeline.run import Run, open_run
from donna_hw.pipeline.sampling import library_rows
from donna_hw.training.block_metrics import METRICS
from donna_hw.training.libraries import FinetunedNetwork

RECIPE = """title = "Made"
space = "small_8px"
seed = 1
workers = 1
data = { name = "digits", held_out = 850 }
reference = { epochs = 1 }
finetune = { epochs = 6, scratch_networks = 2, scratch_epochs = 8 }
library = { networks = 14, test_networks = 8 }
search = { samples = 1000, population = 20, costs = ["macs"] }
"""


def made_run(folder: Path) -> tuple[Path, Path]:
    """Make a run as far as its verified front, and return its recipe and its folder."""
    recipe, out = folder / "made.toml", folder / "run"
    recipe.write_text(RECIPE)
    rng = np.random.default_rng(0)
    with open_run(str(recipe), out) as run:
        write_toml(out / "reference" / "reference.toml", {"top1_percent": 98.0, "train_s": 1.0})
        for stage in run.space.stages:
            for number in range(stage.size):
                run.blocks.add(stage, number, {name: float(rng.uniform(0.02, 0.6)) for name in METRICS}, 1.0)
        tables = next(root for root in data_roots() if (root / "latency_tables").is_dir()) / "latency_tables"
        for counter in ("macs", "params"):
            shutil.copytree(tables / counter / run.space.name, run.tables / counter / run.space.name)
        library, test = library_rows(run)
        for role, rows in (("library", library), ("test", test), ("scratch", library[2:4]), ("long", library[2:4])):
            _finetuned(run, role, rows, rng)
        steps.fit_accuracy_predictor(run)
        _verified(run)
    return recipe, out


def _finetuned(run: Run, role: str, rows: np.ndarray, rng: np.random.Generator) -> None:
    kl = run.qualities()
    for row in rows:
        top1 = 90 - 4 * sum(float(stage[m][0]) for stage, m in zip(kl, row, strict=True)) + rng.normal(0, 0.3)
        epochs = np.arange(1, 9 if role in ("scratch", "long") else 7)
        speed = 3.0 if role == "scratch" else 1.0
        curve = tuple(float(round(top1 * (1 - np.exp(-epoch / speed)), 4)) for epoch in epochs)
        run.architectures.add(FinetunedNetwork(role, run.space.architecture(row), 1, curve[-1], 50.0, curve, 1.0))


def _verified(run: Run) -> None:
    front = steps.search_front(run)
    names = [run.architectures.name(run.space.architecture(row)) for row in front.rows[::5]]
    frame = pd.DataFrame({"role": "front", "level": range(len(names)), "network": names, "top1_percent": 85.0})
    frame.assign(measured_s=1e-5).to_csv(run.folder / "verified.csv", index=False)
