"""Networks of known accuracy: a constant minus what each block costs, plus noise of a known size."""

from __future__ import annotations

import numpy as np

from donna_hw.experiments.predictor_study.data import NetworkGroup, StudyData
from donna_hw.training.block_metrics import METRICS, gather_qualities

STAGES, BLOCKS = 3, 12


def example_data(
    noise: float, *, seeds: int = 2, counts: tuple[int, int, int] = (30, 60, 20), kind: str = "monotone", seed: int = 0
) -> StudyData:
    """Return data where top-1 = 80 + sum over stages of -log KL + noise, in per cent; other metrics and counts are random."""
    rng = np.random.default_rng(seed)
    qualities = {metric: tuple(rng.uniform(0.02, 0.6, BLOCKS) for _ in range(STAGES)) for metric in METRICS}
    groups = {}
    for role, count in zip(("library", "test", "stratified"), counts, strict=True):
        rows = rng.integers(0, BLOCKS, (count, STAGES))
        truth = 80 - np.log(gather_qualities(qualities["kl"], rows)).sum(axis=1)
        groups[role] = NetworkGroup(rows, truth[:, None] + rng.normal(0, noise, (count, seeds)), truth - 20)
    macs, params = (tuple(rng.integers(1000, 1400, BLOCKS) for _ in range(STAGES)) for _ in range(2))
    return StudyData("made", kind, "kl", 95.0, qualities, macs, params, 100, 10, groups)
