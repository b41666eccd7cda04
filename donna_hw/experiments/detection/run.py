"""DetectionRun: a detection recipe and its folder, with its images, its detectors and their results."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from donna_hw._core import torchvision_compat
from donna_hw._core.files import hold_lock
from donna_hw._core.imagenet import IMAGENET_MEAN, IMAGENET_STD
from donna_hw._core.journal import Journal
from donna_hw._core.progress import track
from donna_hw.errors import ConfigError, UnavailableError
from donna_hw.experiments.detection.backbones import select_backbones
from donna_hw.experiments.detection.coco import validate_splits
from donna_hw.experiments.detection.features import feature_maps
from donna_hw.experiments.detection.metrics import require_pycocotools
from donna_hw.experiments.detection.recipe import DetectionRecipe, ScenesConfig, save_recipe
from donna_hw.experiments.detection.retinanet import GROUP_NORM_CHANNELS, ImagePreprocessing, out_indices
from donna_hw.experiments.detection.synthetic_scenes import write_scenes
from donna_hw.experiments.detection.train import CocoSplit, DetectorJob, DetectorResult, train_detector
from donna_hw.graph.graph import layers_hash
from donna_hw.pipeline.recipe import Recipe, find_recipe
from donna_hw.spaces import load_space
from donna_hw.spaces.space import Space
from donna_hw.training.data.fashion_mnist import compute_mean_std, read_split
from donna_hw.training.executors import ProcessExecutor
from donna_hw.training.libraries import ArchitectureLibrary, FinetunedNetwork

COLUMNS = (
    "network",
    "role",
    "seed",
    "start",
    "macs",
    "top1_percent",
    "map_percent",
    "ap50_percent",
    "ap75_percent",
    "by_class",
    "train_s",
)
STARTS = ("pretrained", "scratch")


@dataclass(frozen=True)
class DetectionRun:
    """A detection recipe, the folder of its results, the recipe's file, and the command that repeats the run."""

    recipe: DetectionRecipe
    folder: Path
    path: Path
    command: str

    @property
    def base(self) -> Path:
        """The folder of the run whose networks are the backbones."""
        return self.recipe.base_folder(self.folder)

    @cached_property
    def base_recipe(self) -> Recipe:
        """The recipe of that run: the one saved in its folder or, before it is begun, the one that this recipe names."""
        saved = self.base / "recipe.toml"
        return Recipe.read(saved if saved.exists() else self.recipe.base_path(self.path))

    @property
    def space(self) -> Space:
        """The space of the backbones."""
        return load_space(self.base_recipe.space)

    @property
    def library(self) -> ArchitectureLibrary:
        """The finetuned networks of that run."""
        return ArchitectureLibrary(self.base / "architecture_library", self.space)

    @property
    def journal(self) -> Journal:
        """The result of each detector, appended as it finishes."""
        return Journal(self.folder / "detectors.csv", COLUMNS)

    @property
    def device(self) -> str:
        """Where detectors are trained, `cpu` or `cuda`; raises `UnavailableError` where the recipe asks for a GPU and there is none."""
        import torch

        has_gpu = torch.cuda.is_available()
        if self.recipe.device == "cuda" and not has_gpu:
            raise UnavailableError("device = 'cuda' needs a CUDA GPU that torch can use", hint="set device = 'cpu'")
        return "cuda" if has_gpu and self.recipe.device != "cpu" else "cpu"

    def validate(self) -> None:
        """Raise, before hours of training, what a later step would raise because of packages, the head or the images."""
        torchvision_compat.require_torchvision("a detector", extra="detection")
        require_pycocotools()
        head, data = self.recipe.detector.head_config(), self.recipe.data
        out_indices([feature_map.reduction for feature_map in feature_maps(self.space)], head, self.space.name)
        if head.channels % GROUP_NORM_CHANNELS:
            raise ConfigError(f"detector.channels must be a multiple of {GROUP_NORM_CHANNELS}", got=head.channels)
        channels, needed = self.space.input_shape[0], 1 if isinstance(data, ScenesConfig) else 3
        if channels != needed:
            raise ConfigError(
                f"images of data.name = {data.name!r} need a space of {needed} channels; {self.space.name} is of others",
                got=channels,
                hint="name a recipe of another space",
            )
        if isinstance(data, ScenesConfig):
            data.scene_settings()
        else:
            train, test = (CocoSplit(Path(data.folder), split, channels).read() for split in (data.train, data.test))
            validate_splits(train, test)
        assert self.device  # noqa: S101  it raises

    def data(self) -> tuple[CocoSplit, CocoSplit, ImagePreprocessing]:
        """Return the splits to train and to test on, and the preprocessing of their images; composes scenes where they are missing."""
        config, channels = self.recipe.data, self.space.input_shape[0]
        if not isinstance(config, ScenesConfig):
            folder = Path(config.folder).resolve()
            preprocessing = ImagePreprocessing(IMAGENET_MEAN, IMAGENET_STD, config.min_size, config.max_size)
            return CocoSplit(folder, config.train, channels), CocoSplit(folder, config.test, channels), preprocessing
        folder = self.folder / "scenes"
        write_scenes(folder, config.scene_settings(), config.folder, self.recipe.seed)
        pixels = read_split(config.folder, "train")  # what the backbones were trained on
        mean, std = (value / 255 for value in compute_mean_std(pixels))
        preprocessing = ImagePreprocessing((mean,), (std,), config.pixels, config.pixels)
        return CocoSplit(folder, "train", channels), CocoSplit(folder, "test", channels), preprocessing

    def backbones(self) -> list[FinetunedNetwork]:
        """Return the networks that become backbones, those of the front first, by one finetuning each."""
        return select_backbones(self.base, self.library, self.recipe.backbones.recipe, self.recipe.backbones.networks)

    def train(self) -> None:
        """Train and evaluate the detectors that are not in the journal yet: on each backbone, pretrained and from scratch."""
        train, test, preprocessing = self.data()
        done = {(record["network"], record["start"]) for record in self.journal.records()}
        starts = STARTS if self.recipe.backbones.scratch else STARTS[:1]
        library = self.library
        jobs: dict[DetectorJob, tuple[FinetunedNetwork, str]] = {}
        total = 0
        for network in self.backbones():
            path = library.weights_path(network.architecture, network.seed)
            name = layers_hash(self.space.network_graph(network.architecture))
            for start in starts:
                total += 1
                if (library.name(network.architecture), start) in done:
                    continue
                job = DetectorJob(
                    space=self.space.load_name or self.space.name,
                    architecture=network.architecture,
                    backbone=path.resolve() if start == "pretrained" else None,
                    head=self.recipe.detector.head_config(),
                    preprocessing=preprocessing,
                    train=train,
                    test=test,
                    fit=self.recipe.training.optim_config(),
                    flip=self.recipe.data.flip,
                    seed=self.recipe.seed,
                    weights=self.folder / "weights" / f"{name}-{start}.safetensors",
                    frozen=self.recipe.training.frozen,
                    device=self.device,
                )
                jobs[job] = network, start
        executor = ProcessExecutor(1 if self.device == "cuda" else self.recipe.processes)
        try:
            results = executor.map(train_detector, list(jobs))
            for job, result in track(results, "train detectors", total, total - len(jobs)):
                self._record(library.name(job.architecture), *jobs[job], result)
        finally:
            executor.close()

    def _record(self, name: str, network: FinetunedNetwork, start: str, result: DetectorResult) -> None:
        precision = result.precision
        self.journal.append(
            {
                "network": name,
                "role": network.role,
                "seed": self.recipe.seed,
                "start": start,
                "macs": self.space.network_graph(network.architecture).macs,
                "top1_percent": f"{network.top1_percent:.4f}",
                "map_percent": f"{precision.map_percent:.4f}",
                "ap50_percent": f"{precision.ap50_percent:.4f}",
                "ap75_percent": f"{precision.ap75_percent:.4f}",
                "by_class": " ".join(f"{value:.4f}" for value in precision.by_class),
                "train_s": f"{result.train_s:.2f}",
            }
        )


@contextmanager
def open_detection(recipe_name: str, out: Path | None = None) -> Iterator[DetectionRun]:
    """Open the run of a detection recipe, or begin it; its folder is `out`, by default `runs/<recipe>`.

    Only one process at a time may write the folder. Raises `ConfigError` for a folder of other settings, naming the first difference.
    """
    path = find_recipe(recipe_name)
    shown = recipe_name if Path(recipe_name).is_file() and not path.is_absolute() else f"recipes/{path.stem}.toml"
    recipe, folder = DetectionRecipe.read(path), out or Path("runs") / path.stem
    with hold_lock(folder / ".lock"):
        save_recipe(recipe, folder)
        yield DetectionRun(recipe, folder, path, f"donna-hw study detection {shown}")
