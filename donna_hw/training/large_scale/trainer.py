"""A network in training: its optimiser, schedule, averaged weights and mixed precision, by timm and torch."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as f
from torch.nn.parallel import DistributedDataParallel

from donna_hw.graph.torch_module import GraphModule
from donna_hw.training.checkpoints import open_checkpoint, save_checkpoint
from donna_hw.training.finetuning.loss import ekd_loss
from donna_hw.training.large_scale.config import PaperTrainingConfig
from donna_hw.training.large_scale.distributed import DistributedContext
from donna_hw.training.large_scale.loaders import Batch
from donna_hw.training.large_scale.regularization import add_regularization


def create_optimizer(network: nn.Module, settings: PaperTrainingConfig) -> torch.optim.Optimizer:
    """Return timm's RMSprop, that of TensorFlow: epsilon inside the root; biases and batch-norms do not decay."""
    from timm.optim import create_optimizer_v2

    optimiser: torch.optim.Optimizer = create_optimizer_v2(
        network,
        "rmsproptf",
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        momentum=settings.momentum,
        alpha=settings.alpha,
        eps=settings.optimiser_eps,
    )
    return optimiser


def create_scheduler(optimiser: torch.optim.Optimizer, settings: PaperTrainingConfig) -> Any:
    """Return timm's schedule; `step(epoch)` sets the rate of a whole epoch, e epochs from the start, those of the warm-up included:
    `learning_rate * decay ** floor(e / decay_epochs)`, in the warm-up a straight line from `warmup_from` to `learning_rate`.
    """
    from timm.scheduler import StepLRScheduler

    return StepLRScheduler(
        optimiser,
        decay_t=settings.decay_epochs,
        decay_rate=settings.decay,
        warmup_t=settings.warmup_epochs,
        warmup_lr_init=settings.warmup_from,
        warmup_prefix=False,
    )


@dataclass(frozen=True)
class Teacher:
    """The network whose soft labels a student learns beside the hard ones, and the two settings of `Ekd`."""

    network: nn.Module
    hard: float
    temperature: float


class Trainer:
    """A network in training in one process, alike in all of them.

    network: the weights as they are trained; averaged: their exponential average, batch-norm statistics included, after every step.
    With a teacher, it learns by end-to-end distillation from the images that the teacher sees.
    """

    def __init__(
        self,
        network: GraphModule,
        settings: PaperTrainingConfig,
        processes: DistributedContext,
        teacher: Teacher | None = None,
    ) -> None:
        from timm.utils import ModelEmaV3

        self.settings, self.processes, self.teacher = settings, processes, teacher
        if teacher is not None:
            teacher.network.to(processes.device).to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        self.network = network.to(processes.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = ModelEmaV3(self.network, settings.ema_decay)
        add_regularization(self.network, settings.dropout, settings.stochastic_depth)
        self.optimiser = create_optimizer(self.network, settings)
        self.schedule = create_scheduler(self.optimiser, settings)
        self.mixed = settings.mixed_precision and processes.kind == "cuda"
        self.scaler = torch.amp.GradScaler("cuda", enabled=self.mixed)
        self.joint = DistributedDataParallel(self.network) if processes.count > 1 else None

    @property
    def averaged(self) -> nn.Module:
        """The network of averaged weights."""
        module: nn.Module = self.average.module
        return module

    def begin(self, epoch: int) -> float:
        """Set the epoch's learning rate, and return it."""
        self.network.train()
        self.schedule.step(epoch)
        return float(self.optimiser.param_groups[0]["lr"])

    def step(self, batches: Sequence[Batch]) -> Tensor:
        """Take one step on the mean loss of all batches of all processes; return that of this process's, a scalar on its device."""
        self.optimiser.zero_grad(set_to_none=True)
        losses = []
        for number, (images, labels) in enumerate(batches, start=1):
            waits = self.joint is not None and number < len(batches)  # gradients meet once a step
            with self.joint.no_sync() if self.joint is not None and waits else nullcontext():
                with torch.autocast(self.processes.kind, torch.float16, enabled=self.mixed):
                    logits = (self.joint or self.network)(images)
                    loss = self.loss(images, logits, labels)
                self.scaler.scale(loss / len(batches)).backward()  # type: ignore[no-untyped-call]
            losses.append(loss.detach())
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.average.update(self.network)
        return torch.stack(losses).mean()

    def loss(self, images: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss of a batch: of its labels, smoothed, and of the teacher's, if there is one."""
        teacher, smoothing = self.teacher, self.settings.label_smoothing
        if teacher is None:
            return f.cross_entropy(logits, labels, label_smoothing=smoothing)
        with torch.no_grad():
            soft = teacher.network(images)
        return ekd_loss(logits, labels, soft, teacher.hard, teacher.temperature, label_smoothing=smoothing)

    def save(self, path: Path, log: list[dict[str, float]]) -> None:
        """Write everything that the next epoch needs, atomically.

        The schedule and the randomness are not in it: both follow from the epoch's number.
        """
        state = {
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "log": log,
        }
        save_checkpoint(path, state)

    def restore(self, path: Path) -> list[dict[str, float]]:
        """Go on where `save` was called, and return its log, a record an epoch; raises `BadFile` when the file is torn."""
        if not path.exists():
            return []
        with open_checkpoint(path) as state:
            self.network.load_state_dict(state["network"])
            self.averaged.load_state_dict(state["averaged"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.scaler.load_state_dict(state["scaler"])
            log: list[dict[str, float]] = state["log"]
        return log
