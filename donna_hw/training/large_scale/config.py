"""The settings of the paper's training; each default is the paper's (A.1), or timm's where the paper does not state one."""

from __future__ import annotations

from typing import ClassVar, Literal, NamedTuple

from pydantic import Field

from donna_hw._core.toml_files import StrictModel
from donna_hw.errors import ConfigError


class StepsPerEpoch(NamedTuple):
    """One epoch in one process: the number of optimizer steps, and of the batches whose gradients are summed in each."""

    steps: int
    batches_per_step: int


class PaperTrainingConfig(StrictModel):
    """The paper's training of a reference: `method = "paper"`.

    From the paper (A.1): epochs, batch, learning_rate, momentum, decay, decay_epochs, dropout, stochastic_depth, and the use of
    RandAugment and an exponential average of the weights. From timm's command for EfficientNet-B0 with RandAugment, whose
    hyperparameters the paper uses: optimizer_eps, weight_decay, warmup_from, ema_decay, the settings of RandAugment, random_erasing,
    mixed_precision. From the defaults of timm's training script and RMSprop: warmup_epochs, label_smoothing, data_workers, alpha. Ours:
    micro_batch, the share of one of the paper's 8 GPUs.

    Args:
        method: Always `paper`.
        epochs: Number of epochs, those of the warm-up included.
        batch: Images of one optimizer step, over all processes.
        micro_batch: Images that one process puts through the network together, which are those that batch-norm sees.
        learning_rate: The learning rate after the warm-up.
        warmup_epochs: Number of epochs in which the learning rate grows linearly.
        warmup_from: The learning rate of the first epoch of the warm-up.
        decay: The factor by which the learning rate falls.
        decay_epochs: Number of epochs between two falls of the learning rate.
        momentum: Momentum of RMSprop.
        alpha: Smoothing factor of RMSprop.
        optimizer_eps: Epsilon of RMSprop.
        weight_decay: Weight decay, which biases and batch-norms do not have.
        dropout: Rate of the dropout before the last linear layer.
        stochastic_depth: Rate at which the residual branch of the last block would be dropped; it grows linearly from 0.
        label_smoothing: Smoothing of the hard labels.
        ema_decay: Decay of the exponential average of the weights.
        randaugment: timm's string of RandAugment; empty for none.
        random_erasing: Probability of erasing a rectangle of an image.
        mixed_precision: Whether to use float16 on a GPU.
        data_workers: Processes that load images, for each training process.
    """

    section: ClassVar[str] = "reference"  # of a recipe

    method: Literal["paper"] = "paper"
    epochs: int = Field(default=450, ge=1)
    batch: int = Field(default=1536, ge=1)
    micro_batch: int = Field(default=192, ge=1)
    learning_rate: float = Field(default=0.096, gt=0)
    warmup_epochs: int = Field(default=5, ge=0)
    warmup_from: float = Field(default=1e-6, ge=0)
    decay: float = Field(default=0.97, gt=0, le=1)
    decay_epochs: float = Field(default=2.4, gt=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    alpha: float = Field(default=0.9, ge=0, lt=1)
    optimizer_eps: float = Field(default=0.001, gt=0)
    weight_decay: float = Field(default=1e-5, ge=0)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    stochastic_depth: float = Field(default=0.2, ge=0, lt=1)
    label_smoothing: float = Field(default=0.1, ge=0, lt=1)
    ema_decay: float = Field(default=0.9999, ge=0, lt=1)
    randaugment: str = Field(default="rand-m9-mstd0.5", pattern=r"^(rand(-[a-z]+[0-9.]*)*)?$")
    random_erasing: float = Field(default=0.2, ge=0, le=1)
    mixed_precision: bool = True
    data_workers: int = Field(default=4, ge=0)

    def steps_per_epoch(self, images: int, processes: int) -> StepsPerEpoch:
        """Return one epoch's steps.

        Args:
            images: Number of train images.
            processes: Number of training processes.

        Raises:
            ConfigError: When `batch` is not a multiple of `micro_batch` times the processes, or exceeds the number of images.
        """
        step_images = processes * self.micro_batch
        if self.batch % step_images:
            raise ConfigError(
                f"{self.section}.batch must be a multiple of {processes} process{'es' * (processes > 1)} x "
                f"{self.section}.micro_batch = {self.micro_batch}",
                got=self.batch,
                hint="lower micro_batch to a divisor of each process's share",
            )
        if images < self.batch:
            raise ConfigError(
                f"{self.section}.batch must be at most the number of train images, {images}",
                got=self.batch,
                hint="lower it",
            )
        return StepsPerEpoch(images // self.batch, self.batch // step_images)


class FinetuneSchedule(StrictModel):
    """The settings that all methods of finetuning share.

    Args:
        repeats: Number of seeds that each network is trained by: the recipe's seed and those after it.
        hard_label_weight: The weight of the hard labels in the loss, as in `FinetuneConfig`.
        temperature: The temperature of the soft labels, as in `FinetuneConfig`.
        scratch_networks: Number of the library's networks that are also trained from scratch, as the reference is.
        scratch_epochs: Epochs of a training from scratch, by default the reference's.
        long_epochs: Epochs for which the same networks are also finetuned, on all images: by default as many as from scratch; 0 for
            no such finetuning.
    """

    repeats: int = Field(default=1, ge=1)
    hard_label_weight: float = Field(default=0.5, ge=0, le=1)
    temperature: float = Field(default=1.0, gt=0)
    scratch_networks: int = Field(default=0, ge=0)
    scratch_epochs: int | None = Field(default=None, ge=1)
    long_epochs: int | None = Field(default=None, ge=0)


class PaperFinetuneConfig(FinetuneSchedule, PaperTrainingConfig):
    """The paper's finetuning (EKD): `method = "paper"`, a `PaperTrainingConfig` with the changes that A.1 names.

    From the paper: a decay of 0.9 every 2 epochs, a fifth of the learning rate, no dropout, stochastic depth or RandAugment, and 15
    to 50 epochs, of which the default is the most. Everything else is as for the reference. hard_label_weight and temperature are ours.
    """

    section: ClassVar[str] = "finetune"
    images: ClassVar[int] = 0  # all of them in every epoch

    epochs: int = Field(default=50, ge=1)
    learning_rate: float = Field(default=0.096 / 5, gt=0)
    decay: float = Field(default=0.9, gt=0, le=1)
    decay_epochs: float = Field(default=2, gt=0)
    dropout: float = Field(default=0, ge=0, lt=1)
    stochastic_depth: float = Field(default=0, ge=0, lt=1)
    randaugment: str = Field(default="", pattern=r"^(rand(-[a-z]+[0-9.]*)*)?$")
