"""ContProto's two kinds of loss over spans: classification by hard or soft labels, and contrast."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.api.objectives import supervised_contrastive


def span_loss(scores: Tensor, targets: Tensor, weights: Tensor, outside: float) -> Tensor:
    """Weighted mean of `−Σ_k target_k · log softmax(scores)_k` over M spans; scores and targets (M, K), weights (M,).

    A span whose most probable target is O weighs `outside`, any other 1, each times its weight.
    """
    losses = -(targets * torch.log_softmax(scores, -1)).sum(-1)
    weights = weights * torch.where(targets.argmax(-1) == 0, outside, 1.0)
    return (losses * weights).sum() / weights.sum().clamp_min(1e-9)


def some_outside(classes: Tensor, most: int) -> Tensor:
    """Indices of all entity spans and of at most `most` O spans, drawn anew; all of them where `most` is 0."""
    outside = (classes == 0).nonzero()[:, 0]
    if not most or len(outside) <= most:
        return torch.arange(len(classes), device=classes.device)
    drawn = outside[torch.randperm(len(outside), device=classes.device)[:most]]
    return torch.cat([(classes != 0).nonzero()[:, 0], drawn])


def contrast(views: tuple[Tensor, Tensor], classes: Tensor, temperature: float) -> Tensor:
    """Supervised contrast over both views (M, Q) of spans of the classes (M,); O is a class like any other."""
    return supervised_contrastive(torch.cat(views), classes.repeat(2), temperature)
