"""The trainings of whole networks that a recipe wants."""

from __future__ import annotations

from donna_hw.distillation.finetune import Start, finetune, save_lessons
from donna_hw.files import write_atomic
from donna_hw.running.folder import RunFolder
from donna_hw.running.reference import reference
from donna_hw.spaces.space import Rows


def train_networks(run: RunFolder, rows: Rows, role: str) -> None:
    """Finetune networks, int [n, stages], by each of the recipe's seeds by which the Architecture Library holds them not yet."""
    recipe, networks = run.recipe, run.networks(rows)
    teacher, ekd = run.folder / "reference" / "weights.safetensors", recipe.finetune.ekd()
    known = {
        (n.architecture, n.seed) for n in run.architectures.networks() if (n.role == "scratch") == (role == "scratch")
    }
    for seed in range(recipe.seed, recipe.seed + recipe.finetune.repeats):
        if all((network, seed) in known for network in networks):
            continue
        lessons = run.folder / "lessons" / f"seed{seed}"
        if not (lessons / "complete").exists():
            save_lessons(reference(run), run.data, ekd, seed=seed, folder=lessons)
            write_atomic(lessons / "complete", "")
        start = Start(run.blocks.folder, teacher, lessons)
        finetune(run.architectures, networks, role, start, ekd, seed=seed, pool=run.pool)
