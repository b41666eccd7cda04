"""The loss of end-to-end knowledge distillation (EKD), whichever loop trains by it."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as f


def ekd_loss(
    student: Tensor,
    labels: Tensor,
    teacher: Tensor | None,
    hard_label_weight: float,
    temperature: float,
    *,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Return the mean loss of a batch: hard * cross-entropy + (1 - hard) * T^2 * KL(teacher || student), both at temperature T.

    Logits are [n, classes], labels [n]. The hard labels alone are smoothed. teacher: None where hard is 1, for it then says nothing.
    """
    loss = hard_label_weight * f.cross_entropy(student, labels, label_smoothing=label_smoothing)
    if teacher is None:
        return loss
    soft = f.kl_div(
        f.log_softmax(student / temperature, 1),
        f.log_softmax(teacher / temperature, 1),
        reduction="batchmean",
        log_target=True,
    )
    return loss + (1 - hard_label_weight) * temperature**2 * soft
