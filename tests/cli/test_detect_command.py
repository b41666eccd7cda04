"""A transfer to detection from a finished run to its page, by the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from requirements import needs

from donna_hw._core import torchvision_compat
from donna_hw._core.resources import resource_names
from donna_hw._core.toml_files import write_toml
from donna_hw.errors import ConfigError
from donna_hw.experiments.detection import run as running
from donna_hw.experiments.detection import synthetic_scenes as scenes
from donna_hw.experiments.detection.backbones import select_farthest
from donna_hw.experiments.detection.recipe import DetectionRecipe, is_detection
from donna_hw.experiments.detection.run import open_detection
from donna_hw.graph.torch_module import to_torch
from donna_hw.pipeline.recipe import Recipe, find_recipe
from donna_hw.spaces import load_space
from donna_hw.training.checkpoints import save_weights
from donna_hw.training.data.fashion_mnist import RawImages
from donna_hw.training.libraries import ArchitectureLibrary, FinetunedNetwork

BASE = """title = "B"
space = "small_8px"
data = { name = "digits", held_out = 10 }
reference = { epochs = 1 }
finetune = { epochs = 1 }
library = { networks = 5 }
"""
RECIPE = """title = "Detectors"
workers = 1
[backbones]
recipe = "base.toml"
networks = 3
[data]
name = "fashion_mnist_scenes"
train = 8
test = 4
pixels = 32
garments = [1, 2]
sizes = [10, 14]
[detector]
reductions = [2, 4]
extra_levels = 0
channels = 8
octave_scales = 1
[training]
epochs = 1
batch = 4
learning_rate = 0.01
"""


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a detection recipe beside a finished run, five networks of which are made, not trained."""
    needs(torchvision_compat.patch_torchvision(), "torchvision")
    pytest.importorskip("pycocotools")
    made = RawImages(np.full((9, 28, 28), 150, np.uint8), np.arange(9, dtype=np.uint8))
    for module in (scenes, running):
        monkeypatch.setattr(module, "read_split", lambda _source, _part: made)
    (tmp_path / "base.toml").write_text(BASE)
    (tmp_path / "detect.toml").write_text(RECIPE)
    base, space = tmp_path / "runs" / "base", load_space("small_8px")
    write_toml(base / "recipe.toml", Recipe.read(tmp_path / "base.toml").model_dump(exclude_none=True))
    write_toml(base / "reference" / "reference.toml", {"top1_percent": 95.0})
    library = ArchitectureLibrary(base / "architecture_library", space)
    for number, row in enumerate(space.random_rows(5, 1)):
        network = space.architecture(row)
        library.add(FinetunedNetwork("library", network, 0, 80.0 + number**2, 50.0, (80.0,), 1.0))
        save_weights(to_torch(space.network_graph(network), seed=number), library.weights_path(network, 0))
    front = library.name(space.architecture(space.random_rows(5, 1)[2]))
    (base / "verified.csv").write_text(f"role,network\nfront,{front}\n")
    return tmp_path / "detect.toml"


def test_the_whole_command(recipe: Path, tmp_path: Path, main) -> None:  # type: ignore[no-untyped-def]
    out = tmp_path / "runs" / "detect"
    code, printed, error = main("study", "detection", recipe, "--out", out, "--summary", tmp_path / "page.md")
    assert code == 0, error
    assert printed == (tmp_path / "page.md").read_text() == (out / "detection.md").read_text()
    frame = pd.read_csv(out / "detectors.csv")
    assert frame.groupby("start").size().to_dict() == {"pretrained": 3, "scratch": 3}
    assert set(frame["role"]) == {"front", "library"}
    assert frame["map_percent"].between(0, 100).all()
    assert len(list((out / "weights").iterdir())) == 6
    before = (out / "detectors.csv").read_bytes()
    assert main("study", "detection", recipe, "--out", out)[0] == 0
    assert (out / "detectors.csv").read_bytes() == before
    recipe.write_text(RECIPE.replace("networks = 3", "networks = 4"))  # more may be asked for
    assert main("study", "detection", recipe, "--out", out)[0] == 0
    assert (out / "detectors.csv").read_bytes().startswith(before)
    assert len(pd.read_csv(out / "detectors.csv")) == 8
    assert main("plot", "paper", recipe, "--out", out)[0] == 0
    assert {path.name for path in (out / "figures").iterdir()} == {"detection.svg", "detection.png"}
    code, _, error = main("plot", "paper", recipe, "--out", out, "--pareto")
    assert (code, "one figure" in error) == (2, True)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("networks = 3", "networks = 6", "at most the finetuned networks"),
        ("reductions = [2, 4]", "reductions = [8]", "must be among those of small_8px: 1, 2, 4"),
        ("channels = 8", "channels = 12", "multiple of 8"),
        ("sizes = [10, 14]", "sizes = [10, 40]", "data.sizes must be at most data.pixels, 32; got 40"),
        ("sizes = [10, 14]", "sizes = [10]", "data.sizes"),
        ('name = "fashion_mnist_scenes"', 'name = "scenes"', "expected fashion_mnist_scenes or coco"),
        ("batch = 4", "batches = 4", "batches"),
        ('"base.toml"', '"other.toml"', "other"),
        ("workers = 1", 'device = "cuda"', "CUDA GPU"),
        ("epochs = 1", "epochs = 1\nfrozen = true", "training.frozen need"),
    ],
)
def test_what_cannot_be_is_one_line(recipe: Path, main, old: str, new: str, words: str) -> None:  # type: ignore[no-untyped-def]
    if "cuda" in new:
        import torch

        if torch.cuda.is_available():
            pytest.skip("there is a GPU")
    recipe.write_text(RECIPE.replace(old, new))
    code, _, error = main("study", "detection", recipe, "--out", recipe.parent / "runs" / "detect")
    assert code == 2
    assert words in error
    assert "Traceback" not in error
    assert not list((recipe.parent / "runs" / "detect").glob("weights/*"))


def test_coco_wants_colours_and_its_files(recipe: Path, main) -> None:  # type: ignore[no-untyped-def]
    data = RECIPE[RECIPE.index("[data]") : RECIPE.index("[detector]")]
    coco = RECIPE.replace(data, f'[data]\nname = "coco"\nfolder = "{recipe.parent}"\n')
    recipe.write_text(coco)
    code, _, error = main("study", "detection", recipe, "--out", recipe.parent / "runs" / "detect")
    assert (code, "3 channels" in error) == (2, True)


def test_each_kind_of_recipe_names_its_own_command(recipe: Path, main) -> None:  # type: ignore[no-untyped-def]
    code, _, error = main("run", recipe)
    assert (code, "donna-hw study detection" in error) == (2, True)
    code, _, error = main("study", "detection", recipe.parent / "base.toml")
    assert (code, "donna-hw run" in error) == (2, True)


def test_a_backbone_whose_weights_are_gone_is_said_before_anything_is_trained(recipe: Path, main) -> None:  # type: ignore[no-untyped-def]
    for path in (recipe.parent / "runs" / "base" / "architecture_library" / "weights").iterdir():
        path.unlink()
    code, _, error = main("study", "detection", recipe, "--out", recipe.parent / "runs" / "detect")
    assert (code, "the weights of " in error and " are gone" in error) == (2, True)
    assert not (recipe.parent / "runs" / "detect" / "weights").exists()


def test_a_spoiled_run_of_the_backbones_is_one_line(recipe: Path, main) -> None:  # type: ignore[no-untyped-def]
    (recipe.parent / "runs" / "base" / "verified.csv").write_text("role,colour\n")
    code, _, error = main("study", "detection", recipe, "--out", recipe.parent / "runs" / "detect")
    assert (code, "verified.csv" in error and "column" in error and "network" in error) == (2, True)


def test_another_recipe_is_refused_in_a_runs_folder(recipe: Path, tmp_path: Path) -> None:
    with open_detection(str(recipe), tmp_path / "runs" / "detect"):
        pass
    recipe.write_text(RECIPE.replace("epochs = 1", "epochs = 2"))
    with (
        pytest.raises(ConfigError, match=r"training\.epochs = 1"),
        open_detection(str(recipe), tmp_path / "runs" / "detect"),
    ):
        pass


def test_networks_are_the_front_and_what_spreads_accuracies() -> None:
    space = load_space("small_8px")
    rows = space.random_rows(7, 0)
    top1 = (90.0, 89.0, 70.0, 80.0, 90.1, 70.1, 85.0)
    networks = [
        FinetunedNetwork("front" if n == 1 else "library", space.architecture(row), 0, value, 0.0, (value,), 1.0)
        for n, (row, value) in enumerate(zip(rows, top1, strict=True))
    ]
    assert [one.top1_percent for one in select_farthest(networks, 4)] == [89.0, 70.0, 80.0, 85.0]
    assert [one.top1_percent for one in select_farthest(networks[2:], 2)] == [90.1, 70.0]


@pytest.mark.parametrize("name", [name for name in resource_names("recipes") if is_detection(name)])
def test_shipped_detection_recipes_are_valid(name: str) -> None:
    recipe = DetectionRecipe.read(find_recipe(name))
    assert Recipe.read(recipe.base_path(find_recipe(name)))
    space = load_space(Recipe.read(recipe.base_path(find_recipe(name))).space)
    from donna_hw.experiments.detection.features import feature_maps

    assert {one.reduction for one in feature_maps(space)} >= set(recipe.detector.reductions)


def test_a_coco_folder_is_trained_on_as_it_lies(recipe: Path, tmp_path: Path, main) -> None:  # type: ignore[no-untyped-def]
    """COCO's own layout, images of different sizes in colour, one of them without a box."""
    image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    for part in ("train2017", "val2017"):
        (tmp_path / "coco" / part).mkdir(parents=True)
        for number, size in enumerate([(40, 30), (30, 40), (32, 32), (50, 25)]):
            pixels = rng.integers(0, 255, (*size, 3), dtype=np.uint8)
            image.fromarray(pixels).save(tmp_path / "coco" / part / f"{number}.jpg")
        content = {
            "images": [{"id": n, "file_name": f"{n}.jpg"} for n in range(4)],
            "annotations": [
                {"id": n, "image_id": n, "category_id": 5 + 60 * (n % 2), "bbox": [2, 3, 12, 14]} for n in range(3)
            ],
            "categories": [{"id": 5, "name": "one"}, {"id": 65, "name": "two"}],
        }
        path = tmp_path / "coco" / "annotations" / f"instances_{part}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content))
    (tmp_path / "colour.py").write_text(
        "from dataclasses import replace\nfrom donna_hw import load_space\n"
        "def colour():\n    return replace(load_space('small_8px'), name='colour', input_shape=(3, 8, 8))\n"
    )
    base = tmp_path / "runs" / "base"
    name = f"{tmp_path / 'colour.py'}:colour"
    (base / "recipe.toml").write_text((base / "recipe.toml").read_text().replace('"small_8px"', f'"{name}"'))
    space = load_space(name)
    library = ArchitectureLibrary(base / "architecture_library", space)
    for number, row in enumerate(space.random_rows(5, 1)):
        network = space.architecture(row)
        save_weights(to_torch(space.network_graph(network), seed=number), library.weights_path(network, 0))
    data = RECIPE[RECIPE.index("[data]") : RECIPE.index("[detector]")]
    recipe.write_text(
        RECIPE.replace(data, f'[data]\nname = "coco"\nfolder = "{tmp_path / "coco"}"\nmin_size = 32\nmax_size = 48\n')
    )
    code, printed, error = main("study", "detection", recipe, "--out", tmp_path / "runs" / "detect")
    assert code == 0, error
    assert "| one |" in printed
    assert "| two |" in printed
