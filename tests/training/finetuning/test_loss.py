"""The finetuning loss by its closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from torch.nn import functional as f

from donna_hw.pipeline.recipe_schema import FinetuneStepConfig
from donna_hw.training.finetuning.loss import ekd_loss

GENERATOR = torch.Generator().manual_seed(0)
STUDENT, TEACHER = torch.randn(2, 6, 10, generator=GENERATOR, dtype=torch.float64)
LABELS = torch.randint(0, 10, (6,), generator=GENERATOR)


@settings(deadline=None)
@given(st.floats(0, 1), st.floats(0.25, 8))
def test_the_loss_is_its_formula(hard: float, temperature: float) -> None:
    p, q = (softmax(logits.numpy() / temperature, axis=1) for logits in (TEACHER, STUDENT))
    divergence = (p * np.log(p / q)).sum(axis=1).mean()
    entropy = -np.log(softmax(STUDENT.numpy(), axis=1)[np.arange(6), LABELS.numpy()]).mean()
    loss = float(ekd_loss(STUDENT, LABELS, TEACHER, hard, temperature))
    assert loss == pytest.approx(hard * entropy + (1 - hard) * temperature**2 * divergence, rel=1e-9)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_hard_alone_is_cross_entropy(temperature: float) -> None:
    assert torch.equal(ekd_loss(STUDENT, LABELS, TEACHER, 1.0, temperature), f.cross_entropy(STUDENT, LABELS))


@pytest.mark.parametrize("hard", [0.0, 0.3, 1.0])
def test_a_student_equal_to_its_teacher_has_the_hard_part_only(hard: float) -> None:
    loss = float(ekd_loss(TEACHER, LABELS, TEACHER, hard, 2.0))
    assert loss == pytest.approx(hard * float(f.cross_entropy(TEACHER, LABELS)), abs=1e-12)


def test_the_squared_temperature_keeps_the_soft_part_at_its_limit() -> None:
    """T^2 KL goes to half the variance of the differences of logits (over classes) when T grows: without T^2 it would vanish."""
    difference = (TEACHER - STUDENT).numpy()
    limit = 0.5 * difference.var(axis=1).mean()
    assert float(ekd_loss(STUDENT, LABELS, TEACHER, 0.0, 1e4)) == pytest.approx(limit, rel=1e-3)


def test_the_recipes_defaults_are_half_and_half_at_temperature_one() -> None:
    ekd = FinetuneStepConfig(epochs=1).finetune_config()
    assert (ekd.hard_label_weight, ekd.temperature) == (0.5, 1.0)
