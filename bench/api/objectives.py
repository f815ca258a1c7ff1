"""Loss terms that several methods share. All take a Batch and give a scalar."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.api.batch import Batch


def cross_entropy(batch: Batch) -> Tensor:
    """Mean cross-entropy over labelled words, weighted by their sentences' weights; float32 in any precision."""
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


def supervised_contrastive(
    vectors: Tensor,
    classes: Tensor,
    temperature: float,
    *,
    anchors: Tensor | None = None,
    allowed: Tensor | None = None,
) -> Tensor:
    """Supervised contrastive loss over M vectors of H dimensions (Khosla et al. 2020, equation 2, L_out).

    For anchor i with P(i) the others of its class: `−1/|P(i)| Σ_p log(exp(z_i·z_p/τ) / Σ_{a≠i} exp(z_i·z_a/τ))`, z of
    unit length; the mean over the anchors that have a positive, 0 where none has; float32 in any precision. `classes`
    (M,); `anchors` (M,) bool: who may be anchor or positive, the others are negatives only; `allowed` (M, M) bool:
    pairs that may be positives; those that may not, though of one class, are left out of the sum over a.
    """
    # float64 stays float64, for numerical checks
    z = F.normalize(vectors if vectors.dtype == torch.float64 else vectors.float(), dim=-1)
    itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
    positive = (classes[:, None] == classes[None, :]) & ~itself
    if anchors is not None:
        positive = positive & anchors[:, None] & anchors[None, :]
    if allowed is not None:
        itself |= positive & ~allowed  # of the same class, but not to be a positive: no negative either
        positive = positive & allowed
    rows = positive.any(1)
    if not rows.any():
        return vectors.sum() * 0.0  # a batch without a positive still has a gradient: zero
    # only rows with a positive are computed: most words are O
    with torch.autocast(z.device.type, enabled=False):  # which would multiply in bf16
        similarity = (z[rows] @ z.T / temperature).masked_fill(itself[rows], float("-inf"))
    log_share = similarity - similarity.logsumexp(1, keepdim=True)
    chosen = positive[rows]
    per_anchor = log_share.masked_fill(~chosen, 0.0).sum(1) / chosen.sum(1)
    return -per_anchor.mean()


def pair_contrastive(vectors: Tensor, groups: Tensor, temperature: float) -> Tensor:
    """Symmetric InfoNCE over sentence vectors (S, H): the positive is the other side of the pair, all others negatives.

    `groups` (S,) is the same for the two sides of a pair. Each of the sentences is an anchor once (NT-Xent, Chen et al.
    2020, equation 1); a sentence without its other side in the batch is a negative only.
    """
    return supervised_contrastive(vectors, groups, temperature)
