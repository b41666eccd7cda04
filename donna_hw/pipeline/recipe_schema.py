"""The parts of a recipe, each a table of its TOML; `recipes/README.md` explains every key."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from donna_hw._core.toml_files import StrictModel
from donna_hw.errors import ConfigError
from donna_hw.training.block_metrics import JOINT_METRICS, parse_metrics
from donna_hw.training.distillation.blockwise import BlockDistillConfig
from donna_hw.training.finetuning.finetune import FinetuneConfig
from donna_hw.training.large_scale.config import FinetuneSchedule
from donna_hw.training.loop import OptimConfig
from donna_hw.training.quantization.blocks import BlockQuantizationConfig
from donna_hw.training.quantization.data_free import QuantizationConfig


class DataConfig(StrictModel):
    """Which images, how many of the train set are held out for block qualities, and what may be done to them."""

    name: str
    held_out: int = Field(ge=1)
    folder: str = ""
    crop: int = Field(default=0, ge=0)
    flip: bool = False


class ReferenceConfig(StrictModel):
    """Training of the reference network from scratch; small images want Adam and a few epochs, ImageNet wants `PaperTraining`."""

    method: Literal["adam_cosine"] = "adam_cosine"
    epochs: int = Field(ge=1)
    batch: int = Field(default=64, ge=2)
    learning_rate: float = Field(default=0.005, gt=0)
    cosine_steps: int = Field(default=1000, ge=1)

    def optim_config(self) -> OptimConfig:
        """Return the settings for the training loop."""
        return OptimConfig(self.epochs, self.batch, self.learning_rate, self.cosine_steps)


class PretrainedReferenceConfig(StrictModel):
    """A reference that is trained already. weights: a safetensors file of its state; empty: the space brings its own weights."""

    method: Literal["pretrained"]
    weights: str = ""

    @property
    def epochs(self) -> int:
        """None: nothing is trained."""
        return 0


class ExtendsConfig(StrictModel):
    """Another recipe whose run is taken over: its reference, blocks and predictor.

    run: its folder; empty: beside this run's own. test_networks: how many networks with new blocks judge the predictor; 0: as many as
    the other's library.test_networks.
    """

    recipe: str = Field(max_length=255)  # longer ones are no file's name
    run: str = ""
    test_networks: int = Field(default=0, ge=0)


class TeacherConfig(StrictModel):
    """Another recipe whose reference network teaches whole networks, in the place of their own.

    run: its folder; empty: beside this run's own.
    """

    recipe: str = Field(max_length=255)  # longer ones are no file's name
    run: str = ""


class DistillConfig(StrictModel):
    """Blockwise distillation; the defaults are the paper's (A.1): one epoch, batch 256, Adam at 0.01, cosine in 20 steps."""

    epochs: int = Field(default=1, ge=1)
    images: int = Field(default=0, ge=0)
    batch: int = Field(default=256, ge=2)
    learning_rate: float = Field(default=0.01, gt=0)
    cosine_steps: int = Field(default=20, ge=1)
    cache_gib: float = Field(default=16.0, ge=0)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    parallel_blocks: int = Field(default=16, ge=1)

    def block_distill_config(self, devices: tuple[str, ...] = ("cpu",)) -> BlockDistillConfig:
        """Return the settings for blockwise distillation; on GPUs `together` blocks are trained at a time, on a core of the CPU one."""
        fit = OptimConfig(self.epochs, self.batch, self.learning_rate, self.cosine_steps)
        together = 1 if devices == ("cpu",) else self.parallel_blocks
        return BlockDistillConfig(fit, self.images, self.cache_gib * 2**30, devices, together)


class QuantizeStepConfig(StrictModel):
    """How 8-bit blocks and networks are made of trained float32 ones, after Data-Free Quantization; the defaults are its own.

    ranges: from what batch-norms say, or observed on so many `images` of the train set. per_channel: a grid for each output channel of the
    weights. deviations: how far ranges reach from a mean that no image gave.
    """

    equalize: bool = True
    absorb_bias: bool = True
    correct_bias: bool = True
    per_channel: bool = False
    ranges: Literal["batch_norm", "images"] = "batch_norm"
    images: int = Field(default=512, ge=1)
    range_stds: float = Field(default=6.0, gt=0)

    def quantization_config(self) -> BlockQuantizationConfig:
        """Return the settings for quantising."""
        method = QuantizationConfig(
            self.equalize, self.absorb_bias, self.correct_bias, self.per_channel, self.range_stds
        )
        return BlockQuantizationConfig(method, self.images if self.ranges == "images" else 0)


class LatencyConfig(StrictModel):
    """The device to measure on; whole networks that correct the sum, and others that test it."""

    device: str = "onnxruntime_cpu"
    rounds: int | None = Field(default=None, ge=1)
    calibration_networks: int = Field(default=8, ge=4)
    test_networks: int = Field(default=0, ge=0)


class FinetuneStepConfig(FinetuneSchedule):
    """End-to-end distillation of whole networks; small images want Adam and a few epochs, ImageNet wants `PaperFinetuning`."""

    method: Literal["adam_cosine"] = "adam_cosine"
    epochs: int = Field(ge=1)
    images: int = Field(default=0, ge=0)
    batch: int = Field(default=64, ge=2)
    learning_rate: float = Field(default=0.003, gt=0)
    cosine_steps: int = Field(default=1000, ge=1)

    def finetune_config(self) -> FinetuneConfig:
        """Return the settings for finetuning."""
        fit = OptimConfig(self.epochs, self.batch, self.learning_rate, self.cosine_steps)
        return FinetuneConfig(fit, self.images, self.hard_label_weight, self.temperature)


class LibraryConfig(StrictModel):
    """The Architecture Library: networks to fit the predictor to (two of them corners of the space), others to test it.

    choice: how those to fit to are chosen. further_networks: more of them, finetuned by one seed each, those that tell most after the
    first ones. test_networks are drawn uniformly, stratified_networks evenly over MACs. quality: the metric of blocks that the
    predictor reads, or several joined by `+` for the kind `joint`.
    """

    networks: int = Field(ge=5)
    test_networks: int = Field(default=0, ge=0)
    stratified_networks: int = Field(default=0, ge=0)
    corners: bool = True
    extra_networks: int = Field(default=0, ge=0)
    quality: str = JOINT_METRICS
    choice: Literal["uniform", "d_optimal"] = "uniform"
    predictor: Literal[
        "monotone",
        "ridge2",
        "ridge2_monotone",
        "saturating",
        "joint",
        "ridge",
        "lasso",
        "lars",
        "svm",
        "adaboost",
        "gradient_boosting",
        "bagging",
        "gaussian_process",
        "bayesian_ridge",
        "sum_of_nsr",
    ] = "joint"

    @model_validator(mode="before")
    @classmethod
    def _default_quality(cls, content: Any) -> Any:
        """Give a kind whose metrics are not named the best ones that it can read."""
        if not isinstance(content, dict):
            return content
        return {"quality": JOINT_METRICS if content.get("predictor", "joint") == "joint" else "kl"} | content

    @model_validator(mode="after")
    def _validate_quality(self) -> LibraryConfig:
        """Say so before hours of training, not after."""
        several = len(parse_metrics(self.quality)) > 1
        if several and self.predictor != "joint":
            rule = "several metrics need library.predictor = 'joint'"
            raise ConfigError(rule, got=f"{self.quality} for {self.predictor}", hint="name one metric, or that kind")
        return self


class SearchConfig(StrictModel):
    """The search; no costs means the latency of the recipe's device. Limits carry their unit: `onnxruntime_cpu = "0.2ms"`."""

    samples: int = Field(default=2500, ge=4)
    population: int = Field(default=50, ge=4)
    costs: list[str] = Field(default=[])
    constraints: dict[str, str] = Field(default={})

    @model_validator(mode="after")
    def _validate_samples(self) -> SearchConfig:
        """Say so before hours of training, not after."""
        if self.samples < self.population:
            raise ValueError("samples must be at least the population")
        return self


class VerifyConfig(StrictModel):
    """How many networks of the front are finetuned and measured, and random ones of equal latency beside them."""

    front: int = Field(default=3, ge=1)
    random: int = Field(default=0, ge=0)


class FrontBenchmarkConfig(StrictModel):
    """The proof: at how many latencies, by how many seeds each network is finetuned, how near equal latencies are.

    tries: random networks of the predicted latency that are measured, one by one, until one is near enough.
    """

    levels: int = Field(default=8, ge=1)
    seeds: int = Field(default=3, ge=2)
    tolerance: float = Field(default=0.02, gt=0, lt=1)
    tries: int = Field(default=20, ge=1)
