"""A network in training: its optimizer, schedule, averaged weights and mixed precision, by timm and torch."""

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
    """Return timm's RMSprop as in TensorFlow, with epsilon inside the root; biases and batch-norms have no weight decay."""
    from timm.optim import create_optimizer_v2

    optimizer: torch.optim.Optimizer = create_optimizer_v2(
        network,
        "rmsproptf",
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        momentum=settings.momentum,
        alpha=settings.alpha,
        eps=settings.optimizer_eps,
    )
    return optimizer


def create_scheduler(optimizer: torch.optim.Optimizer, settings: PaperTrainingConfig) -> Any:
    """Return timm's schedule, whose `step(epoch)` sets the learning rate of a whole epoch.

    The rate of epoch e, which counts those of the warm-up, is `learning_rate * decay ** floor(e / decay_epochs)`. In the warm-up it
    grows linearly from `warmup_from` to `learning_rate`.
    """
    from timm.scheduler import StepLRScheduler

    return StepLRScheduler(
        optimizer,
        decay_t=settings.decay_epochs,
        decay_rate=settings.decay,
        warmup_t=settings.warmup_epochs,
        warmup_lr_init=settings.warmup_from,
        warmup_prefix=False,
    )


@dataclass(frozen=True)
class Teacher:
    """The network whose soft labels a student learns in addition to the hard ones, and the two settings of `ekd_loss`."""

    network: nn.Module
    hard_label_weight: float
    temperature: float


class Trainer:
    """A network in training in one process, equal in all processes.

    `network` has the trained weights, and `ema_network` their exponential average after every step, batch-norm statistics included.

    Args:
        network: The network to train, in place.
        settings: How it is trained.
        processes: All processes.
        teacher: The teacher of end-to-end distillation, which sees the same images; None to learn hard labels only.
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
        self.ema = ModelEmaV3(self.network, settings.ema_decay)
        add_regularization(self.network, settings.dropout, settings.stochastic_depth)
        self.optimizer = create_optimizer(self.network, settings)
        self.scheduler = create_scheduler(self.optimizer, settings)
        self.use_amp = settings.mixed_precision and processes.device_type == "cuda"
        self.scaler = torch.amp.GradScaler("cuda", enabled=self.use_amp)
        self.ddp = DistributedDataParallel(self.network) if processes.world_size > 1 else None

    @property
    def ema_network(self) -> nn.Module:
        """The network with averaged weights."""
        module: nn.Module = self.ema.module
        return module

    def start_epoch(self, epoch: int) -> float:
        """Set the epoch's learning rate, and return it."""
        self.network.train()
        self.scheduler.step(epoch)
        return float(self.optimizer.param_groups[0]["lr"])

    def step(self, batches: Sequence[Batch]) -> Tensor:
        """Take one step on the mean loss of all processes' batches, and return the mean loss of this process's, a scalar on its device."""
        self.optimizer.zero_grad(set_to_none=True)
        losses = []
        for number, (images, labels) in enumerate(batches, start=1):
            accumulate = self.ddp is not None and number < len(batches)  # gradients are reduced once in a step
            with self.ddp.no_sync() if self.ddp is not None and accumulate else nullcontext():
                with torch.autocast(self.processes.device_type, torch.float16, enabled=self.use_amp):
                    logits = (self.ddp or self.network)(images)
                    loss = self.loss(images, logits, labels)
                self.scaler.scale(loss / len(batches)).backward()  # type: ignore[no-untyped-call]
            losses.append(loss.detach())
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.ema.update(self.network)
        return torch.stack(losses).mean()

    def loss(self, images: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss of a batch with its smoothed labels and, if there is a teacher, the teacher's soft labels."""
        teacher, smoothing = self.teacher, self.settings.label_smoothing
        if teacher is None:
            return f.cross_entropy(logits, labels, label_smoothing=smoothing)
        with torch.no_grad():
            soft = teacher.network(images)
        return ekd_loss(logits, labels, soft, teacher.hard_label_weight, teacher.temperature, label_smoothing=smoothing)

    def save(self, path: Path, log: list[dict[str, float]]) -> None:
        """Write a checkpoint, atomically.

        The schedule and the random states are not in it, since both follow from the epoch's number.
        """
        state = {
            "network": self.network.state_dict(),
            "ema": self.ema_network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "log": log,
        }
        save_checkpoint(path, state)

    def restore(self, path: Path) -> list[dict[str, float]]:
        """Restore what `save` wrote, if the file exists, and return its log; raises `FileFormatError` when the file is corrupt."""
        if not path.exists():
            return []
        with open_checkpoint(path) as state:
            self.network.load_state_dict(state["network"])
            self.ema_network.load_state_dict(state["ema"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.scaler.load_state_dict(state["scaler"])
            log: list[dict[str, float]] = state["log"]
        return log
