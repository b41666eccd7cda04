"""Random numbers that depend only on their purpose: an image in an epoch, or an epoch in a process."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

NETWORK, IMAGES = 0, 1  # the purpose: dropout and stochastic depth, or an image's augmentation


@contextmanager
def seeded_rng(*numbers: int, device: str = "cpu") -> Iterator[None]:
    """Seed Python, NumPy and torch by these numbers within the context, and restore their states after it.

    So an image's augmentation depends neither on the process or worker that loads it, nor on where a training was interrupted.

    Args:
        *numbers: The numbers that the seeds are derived from.
        device: The torch device whose generator is seeded too.
    """
    seeds = [int(word) for word in np.random.SeedSequence(numbers).generate_state(3)]
    python, numpy = random.getstate(), np.random.get_state()
    cuda = [torch.device(device)] if device != "cpu" else []
    with torch.random.fork_rng(devices=cuda):
        random.seed(seeds[0])
        np.random.seed(seeds[1])  # timm's RandAugment draws from the global generator
        torch.default_generator.manual_seed(
            seeds[2]
        )  # not torch.manual_seed, which would seed CUDA too, for every image
        if cuda:
            torch.cuda.manual_seed(seeds[2])
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
