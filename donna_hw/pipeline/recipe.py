"""Recipe: a whole experiment as one TOML. Every key is checked; `recipes/README.md` explains each."""

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

INHERITED_KEYS = {"data", "reference", "distill", "finetune", "library", "seed"}  # rules what a run trains
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
    """A whole experiment. seed rules all randomness; workers is the number of processes, 0 for one a core.

    One that extends another takes from it all that rules what was trained (`INHERITED_KEYS`), and names a space that has new blocks beside all
    of the other's.
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
        """Give a training that names no method the first one."""
        if not isinstance(content, dict):
            return content
        parts = {name: content.get(name) for name in ("reference", "finetune")}
        return content | {
            name: {"method": "adam_cosine"} | part for name, part in parts.items() if isinstance(part, dict)
        }

    @model_validator(mode="after")
    def _validate_networks(self) -> Recipe:
        """Say so before hours of training, not after."""
        corners = 2
        if isinstance(self.reference, PretrainedReferenceConfig) and self.finetune.scratch_networks:
            rule = "nothing says how to train networks from scratch where the reference is given"
            raise ConfigError(rule, got=self.finetune.scratch_networks, hint="leave finetune.scratch_networks out")
        if self.finetune.scratch_networks > self.library.networks - corners:
            raise ConfigError(
                "finetune.scratch_networks must be at most library.networks less its two corners",
                got=self.finetune.scratch_networks,
            )
        return self

    @classmethod
    def read(cls, path: Path) -> Recipe:
        """Read a recipe; raises `FileFormatError`, `UnknownNameError` with the known keys, or `ConfigError` with the broken rule."""
        content = read_toml(path)
        if "detector" in content:
            raise ConfigError(f"{path} is a recipe of detection", hint=f"donna-hw detect {path}")
        if "extends" in content and not INHERITED_KEYS & content.keys():
            content = (
                _inherit_settings(parse_model(content["extends"], ExtendsConfig, f"{path}: extends"), path) | content
            )
        elif "extends" in content and not content.keys() >= INHERITED_KEYS:  # a run's kept recipe has them all
            named = sorted(INHERITED_KEYS & content.keys())
            raise ConfigError(
                f"{path}: a recipe that extends another takes {', '.join(sorted(INHERITED_KEYS))} from it",
                got=", ".join(named),
                hint="leave them out",
            )
        return parse_model(content, cls, str(path))

    @property
    def processes(self) -> int:
        """Number of worker processes."""
        return self.workers or len(os.sched_getaffinity(0))

    @property
    def scratch_epochs(self) -> int:
        """How long networks are trained from scratch."""
        return self.finetune.scratch_epochs or self.reference.epochs

    @property
    def long_epochs(self) -> int:
        """How long the same networks are finetuned beside it; 0: they are not."""
        given = self.finetune.long_epochs
        return self.scratch_epochs if given is None else given

    @property
    def cost_devices(self) -> list[str]:
        """Devices whose cost the search minimises."""
        return self.search.costs or [self.latency.device]


def _inherit_settings(part: ExtendsConfig, path: Path) -> dict[str, Any]:
    """Return what a recipe takes from the one that it extends, which lies beside it or is a shipped one."""
    base = Recipe.read(base_path(part, path)).model_dump(exclude_none=True)
    return {key: value for key, value in base.items() if key not in ("title", "space", "extends", "quantize")}


def base_path(part: ExtendsConfig, path: Path) -> Path:
    """Return the recipe that one at `path` extends: beside it, or a shipped one."""
    beside = path.parent / part.recipe
    return beside if beside.is_file() else find_recipe(part.recipe)


def find_recipe(name: str) -> Path:
    """Return the path of a recipe given by its file or, for a shipped one, by its name."""
    return find_resource("recipes", name)


def save_recipe(recipe: Recipe, folder: Path) -> None:
    """Write the recipe into its run's folder, or raise `ConfigError` when the folder holds the run of another.

    Settings by which nothing that was trained or measured would differ (`MUTABLE_KEYS`) may change: what is kept is then the new recipe.
    """
    kept, settings = folder / "recipe.toml", recipe.model_dump(exclude_none=True)
    # so a key that came later has its default there, too
    before = Recipe.read(kept).model_dump(exclude_none=True) if kept.exists() else None
    if before == settings:
        return
    if before is not None:
        difference = first_difference(_fixed_settings(before), _fixed_settings(settings))
        if difference:
            key, old, new = difference
            raise ConfigError(
                f"{folder} holds a run with {key} = {old!r}",
                got=new,
                hint="choose another folder with --out, or delete this one",
            )
    write_toml(kept, settings)


def _fixed_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that rule what is trained and measured; a choice by qualities is ruled by their metric, too."""
    free = {key for key in MUTABLE_KEYS if key != "library.quality" or settings["library"]["choice"] == "uniform"}
    return {
        part: {key: value for key, value in content.items() if f"{part}.{key}" not in free}
        if isinstance(content, dict)
        else content
        for part, content in settings.items()
        if part not in free
    }


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
