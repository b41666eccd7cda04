"""DetectionRun: a detection recipe in its folder: its images, its detectors, what they reached."""

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
    """A recipe, its folder, where the recipe lies, and the command that repeats it."""

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
        """The recipe of that run: the one that it keeps, or, before it is begun, the one that is named."""
        kept = self.base / "recipe.toml"
        return Recipe.read(kept if kept.exists() else self.recipe.base_path(self.path))

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
        """What each detector reached, appended as they finish."""
        return Journal(self.folder / "detectors.csv", COLUMNS)

    @property
    def device(self) -> str:
        """Where detectors are trained; raises `UnavailableError` for a GPU that is not there."""
        import torch

        there = torch.cuda.is_available()
        if self.recipe.device == "cuda" and not there:
            raise UnavailableError("device = 'cuda' needs a CUDA GPU that torch can use", hint="device = 'cpu'")
        return "cuda" if there and self.recipe.device != "cpu" else "cpu"

    def validate(self) -> None:
        """Raise, before hours of training, what a later step would raise of packages, head, images and their channels."""
        torchvision_compat.require_torchvision("a detector", extra="detection")
        require_pycocotools()
        head, data = self.recipe.detector.head_config(), self.recipe.data
        out_indices([one.reduction for one in feature_maps(self.space)], head, self.space.name)
        if head.channels % GROUP_NORM_CHANNELS:
            raise ConfigError(f"detector.channels must be a multiple of {GROUP_NORM_CHANNELS}", got=head.channels)
        grey = isinstance(data, ScenesConfig)
        channels, wanted = self.space.input_shape[0], 1 if grey else 3
        if channels != wanted:
            rule = f"images of data.name = {data.name!r} have {wanted} channels; those of space {self.space.name}"
            raise ConfigError(rule, got=channels, hint="name a recipe of another space")
        if isinstance(data, ScenesConfig):
            data.scene_settings()
        else:
            learnt, test = (CocoSplit(Path(data.folder), part, channels).read() for part in (data.train, data.test))
            validate_splits(learnt, test)
        assert self.device  # noqa: S101  it raises

    def data(self) -> tuple[CocoSplit, CocoSplit, ImagePreprocessing]:
        """Return the parts to train and to test on, scenes made if need be, and how their images are put in."""
        part, channels = self.recipe.data, self.space.input_shape[0]
        if not isinstance(part, ScenesConfig):
            folder = Path(part.folder).resolve()
            pictures = ImagePreprocessing(IMAGENET_MEAN, IMAGENET_STD, part.min_size, part.max_size)
            return CocoSplit(folder, part.train, channels), CocoSplit(folder, part.test, channels), pictures
        folder = self.folder / "scenes"
        write_scenes(folder, part.scene_settings(), part.folder, self.recipe.seed)
        mean, std = (
            value / 255 for value in compute_mean_std(read_split(part.folder, "train"))
        )  # as the backbones had it
        pictures = ImagePreprocessing((mean,), (std,), part.pixels, part.pixels)
        return CocoSplit(folder, "train", channels), CocoSplit(folder, "test", channels), pictures

    def backbones(self) -> list[FinetunedNetwork]:
        """Return the networks, those of the front first, by one finetuning each; see `backbones.chosen`."""
        return select_backbones(self.base, self.library, self.recipe.backbones.recipe, self.recipe.backbones.networks)

    def train(self) -> None:
        """Train and judge a detector on each backbone, pretrained and from scratch, that the journal has none of yet."""
        learnt, test, pictures = self.data()
        done = {(record["network"], record["start"]) for record in self.journal.records()}
        starts = STARTS if self.recipe.backbones.scratch else STARTS[:1]
        library = self.library
        todo: dict[DetectorJob, tuple[FinetunedNetwork, str]] = {}
        total = 0
        for network in self.backbones():
            path = library.weights_path(network.architecture, network.seed)
            name = layers_hash(self.space.network_graph(network.architecture))
            for start in starts:
                total += 1
                if (library.name(network.architecture), start) in done:
                    continue
                task = DetectorJob(
                    space=self.space.load_name or self.space.name,
                    architecture=network.architecture,
                    backbone=path.resolve() if start == "pretrained" else None,
                    head=self.recipe.detector.head_config(),
                    preprocessing=pictures,
                    train=learnt,
                    test=test,
                    fit=self.recipe.training.optim_config(),
                    flip=self.recipe.data.flip,
                    seed=self.recipe.seed,
                    weights=self.folder / "weights" / f"{name}-{start}.safetensors",
                    frozen=self.recipe.training.frozen,
                    device=self.device,
                )
                todo[task] = network, start
        pool = ProcessExecutor(1 if self.device == "cuda" else self.recipe.processes)
        try:
            for task, found in track(pool.map(train_detector, list(todo)), "train detectors", total, total - len(todo)):
                self._record(library.name(task.architecture), *todo[task], found)
        finally:
            pool.close()

    def _record(self, name: str, network: FinetunedNetwork, start: str, found: DetectorResult) -> None:
        precision = found.precision
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
                "train_s": f"{found.train_s:.2f}",
            }
        )


@contextmanager
def open_detection(recipe_name: str, out: Path | None = None) -> Iterator[DetectionRun]:
    """Open, or begin, the run of a detection recipe; its folder is `out`, by default `runs/<recipe>`.

    Only one process may write a folder at a time. A folder begun with other settings is refused with the first that differs.
    """
    path = find_recipe(recipe_name)
    shown = recipe_name if Path(recipe_name).is_file() and not path.is_absolute() else f"recipes/{path.stem}.toml"
    recipe, folder = DetectionRecipe.read(path), out or Path("runs") / path.stem
    with hold_lock(folder / ".lock"):
        save_recipe(recipe, folder)
        yield DetectionRun(recipe, folder, path, f"donna-hw detect {shown}")
