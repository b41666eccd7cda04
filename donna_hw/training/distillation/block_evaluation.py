"""The quality of a trained block: the four metrics of the paper (A.4.2), and the KL divergence by which Puzzle scores blocks."""

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
    """A block's metrics on held-out images; lower is better.

    The last three belong to the reference with this block alone replaced.

    Args:
        nsr: Noise-to-signal ratio in power (paper, equation 1).
        l1: Noise-to-signal ratio in amplitude (paper, equation 3).
        loss: Cross-entropy.
        error_percent: Share of wrongly classified images, in per cent.
        kl: KL divergence from the reference's own output, in nats.
    """

    nsr: float
    l1: float
    loss: float
    error_percent: float
    kl: float


def nsr(output: Tensor, target: Tensor, variance: Tensor) -> Tensor:
    """Return the noise-to-signal power ratio (paper, equation 1); lower is better.

    The squared error of each channel, as the mean over images and positions, is divided by the channel's variance in the teacher's
    output. The result is the mean over channels.

    Args:
        output: The block's output, [n, channels, height, width] or [n, tokens, channels].
        target: The teacher's output, of the same shape.
        variance: The variance of each channel of the teacher's output, [channels].

    Returns:
        A scalar.
    """
    return (flatten_channels((output - target).square()).mean(0) / variance).mean()


def noise_to_signal_amplitude(output: Tensor, target: Tensor, variance: Tensor) -> Tensor:
    """Return the absolute error relative to the channel's standard deviation, a scalar (paper, equation 3, which lacks the |.|).

    The arguments are those of `nsr`.
    """
    return (flatten_channels((output - target).abs()).mean(0) / variance.sqrt()).mean()


def channel_variance(target: Tensor) -> Tensor:
    """Return the variance of each channel of the teacher's output, [channels], and 1e-6 for a constant channel."""
    return flatten_channels(target).var(0, correction=0).clamp_min(1e-6)


def flatten_channels(maps: Tensor) -> Tensor:
    """Return maps [n, channels, height, width], or tokens [n, tokens, channels], as [values, channels]."""
    return channels_last(maps).flatten(0, -2)


def evaluate_block(block: nn.Module, x: Tensor, y: Tensor, tail: nn.Module, truth: tuple[Tensor, Tensor]) -> Quality:
    """Compute a block's metrics.

    Args:
        block: The block.
        x: The teacher's map before the block, [n, channels, height, width] or [n, tokens, channels].
        y: The teacher's map after the block, which is the block's target.
        tail: The parts of the teacher that follow the block.
        truth: (labels int [n], the teacher's own logits [n, classes]).
    """
    labels, logits = truth
    output = compute_outputs(block, x)
    variance = channel_variance(y)
    predicted = compute_outputs(tail, output)
    kl = f.kl_div(f.log_softmax(predicted, 1), f.log_softmax(logits, 1), reduction="batchmean", log_target=True)
    return Quality(
        nsr=float(nsr(output, y, variance)),
        l1=float(noise_to_signal_amplitude(output, y, variance)),
        loss=float(f.cross_entropy(predicted, labels)),
        error_percent=100 * float((predicted.argmax(1) != labels).double().mean()),
        kl=max(float(kl), 0.0),  # rounding may make it negative
    )


def load_teacher_tail(space: Space, stage: Stage, weights: Path) -> nn.Module:
    """Return the reference's parts after a stage, with trained weights, in evaluation mode; raises `FileFormatError`."""
    names = [name for name, _ in space.named_blocks(space.reference)]
    return load_teacher_parts(space, names[names.index(stage.name) + 1 :], weights)
