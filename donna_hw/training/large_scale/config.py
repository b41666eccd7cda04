"""What training as the paper does is made of; each default is the paper's (A.1), or timm's where the paper says nothing."""

from __future__ import annotations

from typing import ClassVar, Literal, NamedTuple

from pydantic import Field

from donna_hw._core.toml_files import StrictModel
from donna_hw.errors import ConfigError


class StepsPerEpoch(NamedTuple):
    """One epoch in one process: how many optimiser steps, each from the gradients of how many batches."""

    steps: int
    batches_per_step: int


class PaperTrainingConfig(StrictModel):
    """The paper's training of a reference: `method = "paper"`.

    From the paper (A.1): epochs, batch, learning_rate, momentum, decay, decay_epochs, dropout, stochastic_depth, and that there is
    RandAugment and an exponential average of the weights. From timm's command for EfficientNet-B0 with RandAugment, whose
    hyperparameters the paper says it uses: optimiser_eps, weight_decay, warmup_from, ema_decay, RandAugment's setting, random_erasing,
    mixed_precision. From the defaults of timm's training script and RMSprop: warmup_epochs, label_smoothing, data_workers, alpha. Ours:
    images_at_once, the share of one of the paper's 8 GPUs.

    batch: images of one optimiser step, over all processes. images_at_once: those of them that one process puts through the network
    together, and so those that batch-norm sees.
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
        """Return one epoch's steps; raises `ConfigError` where `batch` is no whole number of batches, or an epoch has no step."""
        together = processes * self.micro_batch
        if self.batch % together:
            raise ConfigError(
                f"{self.section}.batch must be a multiple of {processes} process{'es' * (processes > 1)} x "
                f"{self.section}.images_at_once = {self.micro_batch}",
                got=self.batch,
                hint="lower images_at_once to a divisor of each process's share",
            )
        if images < self.batch:
            raise ConfigError(
                f"an epoch must fill one batch of {self.section}.batch = {self.batch} images",
                got=images,
                hint="lower batch",
            )
        return StepsPerEpoch(images // self.batch, self.batch // together)


class FinetuneSchedule(StrictModel):
    """What every finetuning has, however it is trained.

    repeats: by how many seeds each network is trained, the recipe's and those after it. hard, temperature: of `Ekd`. scratch_networks: so
    many networks of the library are also trained from scratch, as the reference is, for `scratch_epochs` (by default the reference's), and
    finetuned for `long_epochs` (by default as many; 0: not), on all images.
    """

    repeats: int = Field(default=1, ge=1)
    hard_label_weight: float = Field(default=0.5, ge=0, le=1)
    temperature: float = Field(default=1.0, gt=0)
    scratch_networks: int = Field(default=0, ge=0)
    scratch_epochs: int | None = Field(default=None, ge=1)
    long_epochs: int | None = Field(default=None, ge=0)


class PaperFinetuneConfig(FinetuneSchedule, PaperTrainingConfig):
    """The paper's finetuning (EKD): `method = "paper"`, a `PaperTrainingConfig` with the changes that A.1 names.

    From the paper: a decay of 0.9 every 2 epochs, a fifth of the learning rate, no dropout, stochastic depth nor RandAugment, and 15
    to 50 epochs, of which this is the most. All else is as for the reference. hard and temperature are ours.
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
