"""The sections of a recipe, each a table of its TOML; `recipes/README.md` explains every key."""

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
    """Which images, how many of the train set are held out for the metrics of blocks, and how images are augmented."""

    name: str
    held_out: int = Field(ge=1)
    folder: str = ""
    crop: int = Field(default=0, ge=0)
    flip: bool = False


class ReferenceConfig(StrictModel):
    """Training of the reference network from scratch by Adam, for small images; for ImageNet there is `PaperTrainingConfig`."""

    method: Literal["adam_cosine"] = "adam_cosine"
    epochs: int = Field(ge=1)
    batch: int = Field(default=64, ge=2)
    learning_rate: float = Field(default=0.005, gt=0)
    cosine_steps: int = Field(default=1000, ge=1)

    def optim_config(self) -> OptimConfig:
        """Return the settings for the training loop."""
        return OptimConfig(self.epochs, self.batch, self.learning_rate, self.cosine_steps)


class PretrainedReferenceConfig(StrictModel):
    """A reference that is trained already. weights: a safetensors file of its state; empty: the space has weights of its own."""

    method: Literal["pretrained"]
    weights: str = ""

    @property
    def epochs(self) -> int:
        """0, since nothing is trained."""
        return 0


class ExtendsConfig(StrictModel):
    """Another recipe, whose run gives its reference, blocks and predictor.

    run: that run's folder; empty: the folder of that name next to this run's. test_networks: how many networks with new blocks test the
    predictor; 0: as many as the other's library.test_networks.
    """

    recipe: str = Field(max_length=255)  # a file's name is no longer
    run: str = ""
    test_networks: int = Field(default=0, ge=0)


class TeacherConfig(StrictModel):
    """Another recipe, whose reference network teaches whole networks instead of the run's own.

    run: that run's folder; empty: the folder of that name next to this run's.
    """

    recipe: str = Field(max_length=255)  # a file's name is no longer
    run: str = ""


class DistillConfig(StrictModel):
    """Blockwise distillation. The defaults are the paper's (A.1): one epoch, batch 256, Adam at 0.01, cosine in 20 steps."""

    epochs: int = Field(default=1, ge=1)
    images: int = Field(default=0, ge=0)
    batch: int = Field(default=256, ge=2)
    learning_rate: float = Field(default=0.01, gt=0)
    cosine_steps: int = Field(default=20, ge=1)
    cache_gib: float = Field(default=16.0, ge=0)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    parallel_blocks: int = Field(default=16, ge=1)

    def block_distill_config(self, devices: tuple[str, ...] = ("cpu",)) -> BlockDistillConfig:
        """Return the settings for blockwise distillation; a GPU trains `parallel_blocks` blocks at a time, a CPU core one."""
        optim = OptimConfig(self.epochs, self.batch, self.learning_rate, self.cosine_steps)
        group_size = 1 if devices == ("cpu",) else self.parallel_blocks
        return BlockDistillConfig(optim, self.images, self.cache_gib * 2**30, devices, group_size)


class QuantizeStepConfig(StrictModel):
    """How 8-bit blocks and networks are made of trained float32 ones, by Data-Free Quantization; the defaults are that paper's.

    ranges: of activations, from the statistics of batch-norms, or observed on so many `images` of the train set. per_channel: one grid
    for each output channel of the weights. range_stds: how many standard deviations ranges reach from the mean of a batch-norm.
    """

    equalize: bool = True
    absorb_bias: bool = True
    correct_bias: bool = True
    per_channel: bool = False
    ranges: Literal["batch_norm", "images"] = "batch_norm"
    images: int = Field(default=512, ge=1)
    range_stds: float = Field(default=6.0, gt=0)

    def quantization_config(self) -> BlockQuantizationConfig:
        """Return the settings for quantization."""
        method = QuantizationConfig(
            self.equalize, self.absorb_bias, self.correct_bias, self.per_channel, self.range_stds
        )
        return BlockQuantizationConfig(method, self.images if self.ranges == "images" else 0)


class LatencyConfig(StrictModel):
    """The device to measure on, and how many whole networks correct the sum of block latencies and how many test it."""

    device: str = "onnxruntime_cpu"
    rounds: int | None = Field(default=None, ge=1)
    calibration_networks: int = Field(default=8, ge=4)
    test_networks: int = Field(default=0, ge=0)


class FinetuneStepConfig(FinetuneSchedule):
    """End-to-end distillation of whole networks by Adam, for small images; for ImageNet there is `PaperFinetuneConfig`."""

    method: Literal["adam_cosine"] = "adam_cosine"
    epochs: int = Field(ge=1)
    images: int = Field(default=0, ge=0)
    batch: int = Field(default=64, ge=2)
    learning_rate: float = Field(default=0.003, gt=0)
    cosine_steps: int = Field(default=1000, ge=1)

    def finetune_config(self) -> FinetuneConfig:
        """Return the settings for finetuning."""
        optim = OptimConfig(self.epochs, self.batch, self.learning_rate, self.cosine_steps)
        return FinetuneConfig(optim, self.images, self.hard_label_weight, self.temperature)


class LibraryConfig(StrictModel):
    """The Architecture Library: networks to fit the predictor to (two of them corners of the space), others to test it.

    choice: how those to fit to are chosen. extra_networks: more of them, finetuned by one seed each, the most informative ones given the
    first. test_networks are drawn uniformly, stratified_networks evenly over MACs. quality: the metric of blocks that the predictor reads,
    or several joined by `+` for the kind `joint`.
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
        """Default the metrics to the best ones that the kind of predictor can read."""
        if not isinstance(content, dict):
            return content
        return {"quality": JOINT_METRICS if content.get("predictor", "joint") == "joint" else "kl"} | content

    @model_validator(mode="after")
    def _validate_quality(self) -> LibraryConfig:
        """Refuse, before hours of training, metrics that the predictor cannot read."""
        if len(parse_metrics(self.quality)) > 1 and self.predictor != "joint":
            raise ConfigError(
                "several metrics in library.quality need library.predictor = 'joint'",
                got=f"{self.quality} for {self.predictor}",
                hint="name one metric, or that kind",
            )
        return self


class SearchConfig(StrictModel):
    """The search; without costs it is for the latency of the recipe's device. Constraints have units: `onnxruntime_cpu = "0.2ms"`."""

    samples: int = Field(default=2500, ge=4)
    population: int = Field(default=50, ge=4)
    costs: list[str] = Field(default=[])
    constraints: dict[str, str] = Field(default={})

    @model_validator(mode="after")
    def _validate_samples(self) -> SearchConfig:
        """Refuse, before hours of training, a search that ends within its first generation."""
        if self.samples < self.population:
            raise ValueError("samples must be at least the population")
        return self


class VerifyConfig(StrictModel):
    """How many networks of the front are finetuned and measured, and how many random ones of equal latency, for comparison."""

    front: int = Field(default=3, ge=1)
    random: int = Field(default=0, ge=0)


class FrontBenchmarkConfig(StrictModel):
    """The study of the front against baselines: at how many latencies, by how many seeds each network is finetuned.

    tolerance: by what share latencies may differ that count as equal. tries: how many random networks of a predicted latency are measured,
    one after another, until one is near enough.
    """

    levels: int = Field(default=8, ge=1)
    seeds: int = Field(default=3, ge=2)
    tolerance: float = Field(default=0.02, gt=0, lt=1)
    tries: int = Field(default=20, ge=1)
