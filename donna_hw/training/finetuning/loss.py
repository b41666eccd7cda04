"""The loss of end-to-end knowledge distillation (EKD), shared by all training loops."""

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
    """Return the mean loss of a batch: w * cross-entropy + (1 - w) * T^2 * KL(teacher || student), w being `hard_label_weight`.

    Args:
        student: The student's logits, [n, classes].
        labels: The hard labels, int64 [n].
        teacher: The teacher's logits, [n, classes]; None where the weight of the hard labels is 1, so that they are not needed.
        hard_label_weight: The weight of the cross-entropy with the hard labels, 0 to 1.
        temperature: T, at which the KL divergence compares both networks.
        label_smoothing: The smoothing of the hard labels; the teacher's are never smoothed.

    Returns:
        A scalar.
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
