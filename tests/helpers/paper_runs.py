"""A recipe of nine networks on a folder of small images, and a Block Library, from which finetuning as in the paper starts."""

from __future__ import annotations

import sys
from pathlib import Path

from image_folders import PLAIN, image_folder

from donna_hw._core.toml_files import write_toml
from donna_hw.graph.graph import layers_hash
from donna_hw.graph.torch_module import to_torch
from donna_hw.spaces import load_space
from donna_hw.training.block_metrics import METRICS
from donna_hw.training.checkpoints import save_weights
from donna_hw.training.libraries import BlockLibrary

SPACE = (
    PLAIN.replace("(1, 3)),)", "(1, 3, 5)),)")
    .replace(
        "    return Space",
        '    other = Stage("stage2", (Axis("kernel", (1, 3, 5)),), partial(Plain, 8))\n    return Space',
    )
    .replace("(stage,)", "(stage, other)")
)
RECIPE = """title = "Colors"
space = "{space}"
seed = 4
workers = 1
data = {{ name = "image_folder", folder = "{images}", held_out = 8 }}
distill = {{ batch = 8 }}
library = {{ networks = 5 }}

[reference]
epochs = 2
batch = 8

[finetune]
method = "paper"
epochs = {epochs}
batch = 8
micro_batch = {micro_batch}
learning_rate = 0.002
warmup_epochs = 0
ema_decay = 0.5
data_workers = 0
{more}
"""


def recipe(folder: Path, *, name: str = "r", epochs: int = 2, micro_batch: int = 8, more: str = "") -> Path:
    """Write a recipe for the images in `folder/images`, 24 to train, 8 of them held out, and 12 to test."""
    path = folder / f"{name}.toml"
    text = RECIPE.format(
        space=f"{folder / 'space.py'}:plain",
        images=folder / "images",
        epochs=epochs,
        micro_batch=micro_batch,
        more=more,
    )
    path.write_text(text)
    return path


def start_run(folder: Path, *, batch_norm: bool = False) -> Path:
    """Write images, a space, and in `run` a reference and a Block Library of random weights; return the folder."""
    image_folder(folder / "images")
    (folder / "space.py").write_text(SPACE.replace("batch_norm=False, ", "") if batch_norm else SPACE)
    space, reference = load_space(f"{folder / 'space.py'}:plain"), folder / "run" / "reference"
    save_weights(to_torch(space.network_graph(space.reference), seed=1), reference / "weights.safetensors")
    write_toml(reference / "reference.toml", {"top1_percent": 33.0, "train_s": 1.0, "test_images": 12, "seed": 4})
    library = BlockLibrary(folder / "run" / "block_library", space)
    for stage in space.stages:
        for number in range(stage.size):
            graph = space.block_graph(stage, number)
            save_weights(to_torch(graph, seed=number), library.weights_path(stage, number))
            names = {"stage": stage.name, "block": stage.label(number), "layers_hash": layers_hash(graph)}
            metrics = dict.fromkeys(METRICS, f"0.{number + 1}")
            library.journal.append(names | {"status": "trained", "train_s": "1"} | metrics)
    return folder


def command(recipe_path: Path, out: Path, processes: int = 1) -> list[str]:
    """Return the command line that finetunes the library in `processes` processes."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    arguments = ["-m", "donna_hw", "finetune", str(recipe_path), "--out", str(out)]
    return [sys.executable, *(launcher if processes > 1 else []), *arguments]
