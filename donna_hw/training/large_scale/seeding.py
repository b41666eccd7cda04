"""Randomness that belongs to what it is for: an image of an epoch, an epoch of a process."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

NETWORK, IMAGES = 0, 1  # what draws: dropout and stochastic depth, or an image's augmentation


@contextmanager
def seeded_rng(*numbers: int, device: str = "cpu") -> Iterator[None]:
    """Let Python, NumPy and torch draw by these numbers while the block runs, whatever was drawn before; then all is put back.

    So what an image goes through depends neither on the process or worker that loads it nor on where a training was interrupted.
    """
    words = [int(word) for word in np.random.SeedSequence(numbers).generate_state(3)]
    python, numpy = random.getstate(), np.random.get_state()
    cuda = [torch.device(device)] if device != "cpu" else []
    with torch.random.fork_rng(devices=cuda):
        random.seed(words[0])
        np.random.seed(words[1])  # timm's RandAugment draws from the global one
        torch.default_generator.manual_seed(words[2])  # not torch.manual_seed, which also tells CUDA, once an image
        if cuda:
            torch.cuda.manual_seed(words[2])
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
