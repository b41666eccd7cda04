"""Recipe: a whole experiment as one TOML. Every key is checked, and `recipes/README.md` explains each."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from donna_hw._core.resources import find_resource
from donna_hw._core.toml_files import StrictModel, parse_model, read_toml, write_toml
from donna_hw.errors import ConfigError
from donna_hw.pipeline.recipe_schema import (
    DataConfig,
    DistillConfig,
    ExtendsConfig,
    FinetuneStepConfig,
    FrontBenchmarkConfig,
    LatencyConfig,
    LibraryConfig,
    PretrainedReferenceConfig,
    QuantizeStepConfig,
    ReferenceConfig,
    SearchConfig,
    TeacherConfig,
    VerifyConfig,
)
from donna_hw.training.large_scale.config import PaperFinetuneConfig, PaperTrainingConfig

# what decides what a run trains: a recipe that extends another takes these from it
INHERITED_KEYS = {"data", "reference", "distill", "finetune", "library", "seed"}
# may change in a begun run: nothing that was trained or measured depends on them
MUTABLE_KEYS = (
    "title",
    "workers",
    "distill.cache_gib",
    "distill.device",
    "distill.parallel_blocks",
    "search",
    "verify",
    "front_benchmark",
    "finetune.scratch_networks",
    "library.extra_networks",
    "library.quality",
    "library.predictor",
)


class Recipe(StrictModel):
    """A whole experiment: one table of a TOML file for each step.

    A recipe that extends another takes the settings of its training from it (`INHERITED_KEYS`), and names a space that has new blocks
    in addition to all blocks of the other's space.

    Attributes:
        title: Heads the report.
        space: What `load_space` is given.
        seed: Of all random numbers.
        extends: The recipe that this one extends, None for none.
        workers: Number of processes; 0 uses one for each core.
        counters: The devices that count operations and parameters.
        data: The images.
        reference: Training of the reference network; `method` chooses the kind.
        teacher: The recipe whose reference teaches whole networks; None: the run's own.
        distill: Blockwise distillation.
        quantize: How 8-bit blocks and networks are quantized.
        latency: The device that is measured, and the networks that correct and test the sum.
        finetune: Finetuning of whole networks; `method` chooses the kind.
        library: The Architecture Library and the predictor.
        search: The search.
        verify: The verification of the front.
        front_benchmark: The study that compares the front with baselines of equal latency.
    """

    title: str
    space: str
    seed: int = Field(default=0, ge=0)
    extends: ExtendsConfig | None = None
    workers: int = Field(default=0, ge=0)
    counters: list[str] = Field(default=["macs", "params"], min_length=1)
    data: DataConfig
    reference: ReferenceConfig | PretrainedReferenceConfig | PaperTrainingConfig = Field(discriminator="method")
    teacher: TeacherConfig | None = None
    distill: DistillConfig = DistillConfig()
    quantize: QuantizeStepConfig = QuantizeStepConfig()
    latency: LatencyConfig = LatencyConfig()
    finetune: FinetuneStepConfig | PaperFinetuneConfig = Field(discriminator="method")
    library: LibraryConfig
    search: SearchConfig = SearchConfig()
    verify: VerifyConfig = VerifyConfig()
    front_benchmark: FrontBenchmarkConfig = FrontBenchmarkConfig()

    @model_validator(mode="before")
    @classmethod
    def _default_method(cls, content: Any) -> Any:
        """Default the method of a training to the first one."""
        if not isinstance(content, dict):
            return content
        trainings = {name: content.get(name) for name in ("reference", "finetune")}
        return content | {
            name: {"method": "adam_cosine"} | config for name, config in trainings.items() if isinstance(config, dict)
        }

    @model_validator(mode="after")
    def _validate_networks(self) -> Recipe:
        """Refuse, before hours of training, networks from scratch that cannot be trained."""
        corners = 2
        if isinstance(self.reference, PretrainedReferenceConfig) and self.finetune.scratch_networks:
            raise ConfigError(
                "finetune.scratch_networks needs a reference that is trained, since they are trained as it is",
                got=self.finetune.scratch_networks,
                hint="leave finetune.scratch_networks out",
            )
        if self.finetune.scratch_networks > self.library.networks - corners:
            raise ConfigError(
                "finetune.scratch_networks must be at most library.networks minus its two corners",
                got=self.finetune.scratch_networks,
            )
        return self

    @classmethod
    def read(cls, path: Path) -> Recipe:
        """Read and check a recipe.

        Args:
            path: Its TOML file.

        Returns:
            The recipe, with all that it inherits from the one that it extends.

        Raises:
            ConfigError: A value is missing or bad, or the file is a recipe of a detection study.
            FileFormatError: The file is missing or no TOML.
            UnknownNameError: A key is unknown.
        """
        content = read_toml(path)
        if "detector" in content:
            raise ConfigError(f"{path} is a recipe of a detection study", hint=f"run donna-hw study detection {path}")
        if "extends" in content and not INHERITED_KEYS & content.keys():
            content = (
                _inherit_settings(parse_model(content["extends"], ExtendsConfig, f"{path}: extends"), path) | content
            )
        elif (
            "extends" in content and not content.keys() >= INHERITED_KEYS
        ):  # the recipe saved in a run's folder has them all
            raise ConfigError(
                f"{path}: a recipe that extends another inherits {', '.join(sorted(INHERITED_KEYS))} from it",
                got=", ".join(sorted(INHERITED_KEYS & content.keys())),
                hint="leave them out",
            )
        return parse_model(content, cls, str(path))

    @property
    def processes(self) -> int:
        """Number of worker processes."""
        return self.workers or len(os.sched_getaffinity(0))

    @property
    def scratch_epochs(self) -> int:
        """Epochs of networks that are trained from scratch."""
        return self.finetune.scratch_epochs or self.reference.epochs

    @property
    def long_epochs(self) -> int:
        """Epochs of finetuning of the same networks, for comparison; 0: they are not finetuned so."""
        epochs = self.finetune.long_epochs
        return self.scratch_epochs if epochs is None else epochs

    @property
    def cost_devices(self) -> list[str]:
        """Devices whose cost the search minimizes."""
        return self.search.costs or [self.latency.device]


def _inherit_settings(config: ExtendsConfig, path: Path) -> dict[str, Any]:
    """Return the settings that a recipe at `path` inherits from the one that it extends."""
    base = Recipe.read(base_path(config, path)).model_dump(exclude_none=True)
    return {key: value for key, value in base.items() if key not in ("title", "space", "extends", "quantize")}


def base_path(config: ExtendsConfig, path: Path) -> Path:
    """Return the recipe that one at `path` extends: a file in the same folder, or a shipped one."""
    neighbor = path.parent / config.recipe
    return neighbor if neighbor.is_file() else find_recipe(config.recipe)


def find_recipe(name: str) -> Path:
    """Return the path of a recipe that is named by its file or, if it is shipped, by its name."""
    return find_resource("recipes", name)


def save_recipe(recipe: Recipe, folder: Path) -> None:
    """Write the recipe into its run's folder, or raise `ConfigError` when the folder holds the run of another.

    Settings on which nothing depends that was trained or measured (`MUTABLE_KEYS`) may change: then the new recipe is saved.
    """
    path, settings = folder / "recipe.toml", recipe.model_dump(exclude_none=True)
    # read as a recipe, so that a key that is newer than the file has its default there, too
    before = Recipe.read(path).model_dump(exclude_none=True) if path.exists() else None
    if before == settings:
        return
    if before is not None:
        validate_same_run(folder, _fixed_settings(before), _fixed_settings(settings))
    write_toml(path, settings)


def _fixed_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that decide what is trained and measured.

    The metric of blocks is one of them where it chose the networks.
    """
    mutable = {key for key in MUTABLE_KEYS if key != "library.quality" or settings["library"]["choice"] == "uniform"}
    return {
        section: {key: value for key, value in content.items() if f"{section}.{key}" not in mutable}
        if isinstance(content, dict)
        else content
        for section, content in settings.items()
        if section not in mutable
    }


def validate_same_run(folder: Path, before: dict[str, Any], settings: dict[str, Any]) -> None:
    """Raise `ConfigError` with the first setting in which a recipe differs from the one that a run's folder was begun with."""
    difference = first_difference(before, settings)
    if difference:
        key, old, new = difference
        raise ConfigError(
            f"{folder} holds a run with {key} = {old!r}",
            got=new,
            hint="choose another folder with --out, or delete this one",
        )


def first_difference(a: dict[str, Any], b: dict[str, Any], prefix: str = "") -> tuple[str, Any, Any] | None:
    """Return (key, value in a, value in b) of the first setting in which two recipes differ, or None."""
    for key in dict.fromkeys([*a, *b]):
        left, right = a.get(key), b.get(key)
        if isinstance(left, dict) and isinstance(right, dict):
            inner = first_difference(left, right, f"{prefix}{key}.")
            if inner:
                return inner
        elif left != right:
            return f"{prefix}{key}", left, right
    return None
