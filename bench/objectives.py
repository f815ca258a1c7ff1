"""Loss terms that several methods share. All take a Batch and give a scalar."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.method import Batch


def cross_entropy(batch: Batch) -> Tensor:
    """Mean cross-entropy over labelled words, weighed by their sentences' weights; float32 whatever the precision."""
    labels = batch.inputs.labels
    logits = batch.logits.float()
    losses = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100, reduction="none")
    weights = (labels != -100) * batch.inputs.weights[:, None]
    return (losses.view_as(labels) * weights).sum() / weights.sum().clamp_min(1e-9)


def soft_labels(batch: Batch, kind: Literal["mse", "kl", "hard"] = "mse", *, outside: bool = True) -> Tensor:
    """Distance between the student's and the soft labels' distributions, mean over words.

    `mse` is the mean over tags of the squared difference of probabilities (Wu et al. 2020, TSL, equation 4); `kl` is
    KL(teacher ‖ student); `hard` is cross-entropy with the teacher's most probable tag. `outside=False` leaves out the
    words whose most probable tag is O.
    """
    soft, mask = batch.inputs.soft, batch.inputs.soft_mask
    if soft is None or mask is None:
        raise ValueError("this stream has no soft labels")
    if not outside:
        mask = mask & (soft.argmax(-1) != 0)
    logits = batch.logits.float()
    if kind == "mse":
        losses = (torch.softmax(logits, -1) - soft).square().mean(-1)
    elif kind == "kl":
        losses = F.kl_div(torch.log_softmax(logits, -1), soft, reduction="none").sum(-1)
    else:
        losses = F.cross_entropy(logits.flatten(0, 1), soft.argmax(-1).flatten(), reduction="none").view(mask.shape)
    weights = mask * batch.inputs.weights[:, None]
    return (losses * weights).sum() / weights.sum().clamp_min(1e-9)
