"""A detection recipe: whose networks, which images, which head, which training; `recipes/README.md` explains every key."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from donna_hw._core.toml_files import StrictModel, parse_model, read_toml, write_toml
from donna_hw.errors import ConfigError
from donna_hw.experiments.detection.retinanet import DetectionHead
from donna_hw.experiments.detection.synthetic_scenes import SceneSettings
from donna_hw.pipeline.recipe import find_recipe, validate_same_run
from donna_hw.training.loop import OptimConfig

MUTABLE_KEYS = ("title", "workers", "device")
Pair = Annotated[list[int], Field(min_length=2, max_length=2)]


class BackbonesConfig(StrictModel):
    """Whose networks: a recipe whose run is finished, and how many of its finetuned networks, those of its front first.

    run: that run's folder; empty: the folder of that name next to this run's. scratch: each network is trained from scratch, too.
    """

    recipe: str = Field(max_length=255)  # a file's name is no longer
    run: str = ""
    networks: int = Field(ge=3)
    scratch: bool = True


class ScenesConfig(StrictModel):
    """Scenes composed of Fashion-MNIST's garments. folder: where Fashion-MNIST is; empty: in a standard place."""

    name: Literal["fashion_mnist_scenes"]
    folder: str = ""
    train: int = Field(ge=2)
    test: int = Field(ge=1)
    pixels: int = Field(ge=8)
    garments: Pair
    sizes: Pair
    max_iou: float = Field(default=0.2, ge=0, le=1)
    flip: bool = True

    def scene_settings(self) -> SceneSettings:
        """Return the settings of the scenes; raises `ConfigError` for ranges that cannot be."""
        (fewest, most), (smallest, largest) = self.garments, self.sizes
        return SceneSettings(self.train, self.test, self.pixels, (fewest, most), (smallest, largest), self.max_iou)


class CocoFolderConfig(StrictModel):
    """A data set in COCO's format.

    Args:
        min_size: Pixels that an image's shorter side is scaled to.
        max_size: Pixels of its longer side at most.
    """

    name: Literal["coco"]
    folder: str
    train: str = "train2017"
    test: str = "val2017"
    min_size: int = Field(default=512, ge=8)
    max_size: int = Field(default=853, ge=8)
    flip: bool = True


class DetectorConfig(StrictModel):
    """The head; `DetectionHead` explains each key."""

    reductions: list[int] = Field(min_length=1)
    extra_levels: int = Field(ge=0)
    channels: int = Field(ge=8)
    octave_scales: int = Field(default=3, ge=1)
    anchor_steps: int = Field(default=4, ge=1)

    def head_config(self) -> DetectionHead:
        """Return the settings of the head."""
        reductions = tuple(sorted(set(self.reductions)))
        return DetectionHead(reductions, self.extra_levels, self.channels, self.octave_scales, self.anchor_steps)


class DetectorTrainingConfig(StrictModel):
    """Training by Adam, as of the reference. frozen: the backbones stay as they are, and only the head is trained."""

    epochs: int = Field(ge=1)
    batch: int = Field(default=16, ge=2)
    learning_rate: float = Field(gt=0)
    cosine_steps: int = Field(default=1000, ge=1)
    frozen: bool = False

    def optim_config(self) -> OptimConfig:
        """Return the settings for the training loop."""
        return OptimConfig(self.epochs, self.batch, self.learning_rate, self.cosine_steps)


class DetectionRecipe(StrictModel):
    """A transfer of classification networks to detection (paper, appendix B). workers: processes that train on CPUs; 0: one for each core.

    device: `cpu`, `cuda`, or `auto` for the GPU where there is one; a GPU trains detectors one after another.
    """

    title: str
    seed: int = Field(default=0, ge=0)
    workers: int = Field(default=0, ge=0)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    backbones: BackbonesConfig
    data: ScenesConfig | CocoFolderConfig = Field(discriminator="name")
    detector: DetectorConfig
    training: DetectorTrainingConfig

    @model_validator(mode="after")
    def _validate_frozen(self) -> DetectionRecipe:
        """Refuse, before hours of training, backbones that are random and frozen."""
        if self.training.frozen and self.backbones.scratch:
            raise ConfigError(
                "training.frozen needs pretrained backbones only",
                got="backbones.scratch = true",
                hint="set it to false",
            )
        return self

    @classmethod
    def read(cls, path: Path) -> DetectionRecipe:
        """Read and check a recipe; raises `FileFormatError`, `UnknownNameError` for a key and `ConfigError` for a value."""
        content = read_toml(path)
        if "detector" not in content and "library" in content:
            raise ConfigError(f"{path} is a recipe of classification", hint=f"run donna-hw run {path}")
        return parse_model(content, cls, str(path))

    @property
    def processes(self) -> int:
        """Number of worker processes."""
        return self.workers or len(os.sched_getaffinity(0))

    def base_path(self, path: Path) -> Path:
        """Return the recipe of the backbones: a file in the folder of this recipe's `path`, or a shipped one."""
        neighbor = path.parent / self.backbones.recipe
        return neighbor if neighbor.is_file() else find_recipe(self.backbones.recipe)

    def base_folder(self, folder: Path) -> Path:
        """Return the folder of the backbones' run; folder: this run's."""
        return Path(self.backbones.run) if self.backbones.run else folder.parent / Path(self.backbones.recipe).stem


def is_detection(name: str) -> bool:
    """Return whether a recipe, given by its file or a shipped one's name, is one of detection: it has a `[detector]`."""
    return "detector" in read_toml(find_recipe(name))


def save_recipe(recipe: DetectionRecipe, folder: Path) -> None:
    """Write the recipe into its run's folder, or raise `ConfigError` when the folder holds the run of another.

    The number of networks may change; detectors that are trained stay.
    """
    path, settings = folder / "recipe.toml", recipe.model_dump(exclude_none=True)
    if path.exists():
        before = DetectionRecipe.read(path).model_dump(exclude_none=True)
        validate_same_run(folder, _fixed_settings(before), _fixed_settings(settings))
    write_toml(path, settings)


def _fixed_settings(settings: dict[str, object]) -> dict[str, object]:
    backbones = settings["backbones"]
    assert isinstance(backbones, dict)  # noqa: S101  a section
    fixed = {key: value for key, value in backbones.items() if key in ("recipe", "run")}
    return {key: value for key, value in settings.items() if key not in MUTABLE_KEYS} | {"backbones": fixed}
