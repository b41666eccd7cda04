"""What a search costs in epochs of training: the arithmetic of the paper's section E, as functions."""

from __future__ import annotations

import math

from donna_hw.errors import ConfigError

SCRATCH_EPOCHS = 450  # epochs to train one network from scratch (section E)
FINETUNE_EPOCHS = 50  # epochs to finetune one network that DONNA found (section E)
STARTUP_EPOCHS = 1500  # epochs before the first search: blocks, library and predictor, MobileNetV3 (1.2x) (section E)


def random_epochs(networks: int, targets: int = 1, platforms: int = 1) -> int:
    """Return the epochs of random search, N x 450 x targets x platforms: N networks are trained for each target on each platform."""
    return _validate_count(networks) * SCRATCH_EPOCHS * _validate_count(targets) * _validate_count(platforms)


def donna_epochs(targets: int = 1, platforms: int = 1, start_up: int = STARTUP_EPOCHS) -> int:
    """Return the epochs of DONNA: its startup, once, and 50 x targets x platforms, a network finetuned for each target and platform."""
    return start_up + FINETUNE_EPOCHS * _validate_count(targets) * _validate_count(platforms)


def epoch_ratio(networks: int, targets: int = 1, platforms: int = 1, start_up: int = STARTUP_EPOCHS) -> float:
    """Return how many times as many epochs as DONNA random search takes; the paper counts with `start_up=0` for many targets."""
    return random_epochs(networks, targets, platforms) / donna_epochs(targets, platforms, start_up)


def share_exceeding(top1_percent: float, mean: float, std: float) -> float:
    """Return the share of random networks, 0 to 1, that are more accurate than `top1_percent`.

    Their accuracies are normal with a mean and standard deviation in per cent, as in section E.
    """
    if not std > 0:
        raise ConfigError("the standard deviation of random networks' accuracies must be above 0", got=std)
    return math.erfc((top1_percent - mean) / (std * math.sqrt(2))) / 2


def networks_needed(share: float, confidence: float = 0.95) -> int:
    """Return how many random networks contain one of that share with that confidence.

    It is the smallest n with 1 - (1 - share)^n >= confidence.
    """
    if not (0 < share < 1 and 0 < confidence < 1):
        raise ConfigError("share and confidence must lie between 0 and 1", got=f"{share}, {confidence}")
    return math.ceil(math.log1p(-confidence) / math.log1p(-share))


def _validate_count(number: int) -> int:
    if number < 1:
        raise ConfigError("networks, targets and platforms must be at least 1", got=number)
    return number
