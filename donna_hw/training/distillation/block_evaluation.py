"""How good a trained block is: the four metrics of the paper (A.4.2), and the divergence that Puzzle scores blocks by."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional as f

from donna_hw.spaces.space import Space
from donna_hw.spaces.stage import Stage
from donna_hw.training.distillation.teacher_features import channels_last, load_teacher_parts
from donna_hw.training.loop import compute_outputs


@dataclass(frozen=True)
class Quality:
    """A block's metrics on held-out images, each lower for a better block.

    nsr, l1: noise to signal, in power (equation 1) and in amplitude (equation 3). loss, error_percent, kl: of the reference with this
    block alone replaced: cross-entropy, share of images it gets wrong, and KL divergence from the reference's own output (nats).
    """

    nsr: float
    l1: float
    loss: float
    error_percent: float
    kl: float


def nsr(output: Tensor, target: Tensor, variance: Tensor) -> Tensor:
    """Return the noise-to-signal power ratio (paper, equation 1), a scalar, lower is better.

    The mean over channels of the squared error, itself a mean over images and positions, divided by the channel's variance in the
    teacher's output. output, target: [n, channels, height, width], or [n, tokens, channels]; variance: [channels].
    """
    return (flatten_channels((output - target).square()).mean(0) / variance).mean()


def noise_to_signal_amplitude(output: Tensor, target: Tensor, variance: Tensor) -> Tensor:
    """Return the mean absolute error over the channel's standard deviation, a scalar; as `nsr` (equation 3, which lacks the |.|)."""
    return (flatten_channels((output - target).abs()).mean(0) / variance.sqrt()).mean()


def channel_variance(target: Tensor) -> Tensor:
    """Return the variance of each channel of the teacher's output, [channels]; a constant channel counts with 1e-6."""
    return flatten_channels(target).var(0, correction=0).clamp_min(1e-6)


def flatten_channels(maps: Tensor) -> Tensor:
    """Return maps [n, channels, height, width], or tokens [n, tokens, channels], as [numbers, channels]."""
    return channels_last(maps).flatten(0, -2)


def evaluate_block(block: nn.Module, x: Tensor, y: Tensor, rest: nn.Module, truth: tuple[Tensor, Tensor]) -> Quality:
    """Measure a block whose input is x and whose target is y, the teacher's maps [n, channels, height, width].

    rest: what follows the block in the teacher; truth: labels int [n], and the teacher's own logits [n, classes].
    """
    labels, logits = truth
    output = compute_outputs(block, x)
    variance = channel_variance(y)
    found = compute_outputs(rest, output)
    kl = f.kl_div(f.log_softmax(found, 1), f.log_softmax(logits, 1), reduction="batchmean", log_target=True)
    return Quality(
        nsr=float(nsr(output, y, variance)),
        l1=float(noise_to_signal_amplitude(output, y, variance)),
        loss=float(f.cross_entropy(found, labels)),
        error_percent=100 * float((found.argmax(1) != labels).double().mean()),
        kl=max(float(kl), 0.0),  # rounding may take it below
    )


def load_teacher_tail(space: Space, stage: Stage, weights: Path) -> nn.Module:
    """Return the reference's parts after a stage, with its trained weights, in evaluation mode; raises `BadFile`."""
    names = [name for name, _ in space.named_blocks(space.reference)]
    return load_teacher_parts(space, names[names.index(stage.name) + 1 :], weights)
