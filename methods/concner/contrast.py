"""Label contrast (LCL): which words are anchors, positives and negatives; and its projection head."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from bench.api.objectives import supervised_contrastive

if TYPE_CHECKING:
    from bench.api.method import Batch
    from methods.concner.method import ConcnerParams


def add_head(tagger: Any, size: int) -> None:
    """Give the tagger a two-layer projection head (H → H → `size`), used by LCL in training only."""
    hidden = tagger.classifier.in_features
    tagger.label_head = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, size))


def label_contrast(tagger: Any, batch: Batch, params: ConcnerParams) -> Tensor:
    """LCL over all labelled words of the bilingual batch, from their first sub-words' last-layer states."""
    labels = batch.inputs.labels
    keep = labels != -100
    classes = labels[keep]
    if params.classes == "type":
        classes = (classes + 1) // 2  # O = 0, B-X and I-X of the n-th type = n
    outside = classes == 0
    chosen = torch.ones_like(outside)
    if params.outside == "none":
        chosen = ~outside
    elif params.outside_share < 1:
        chosen = ~outside | (torch.rand(outside.shape, device=outside.device) < params.outside_share)
    states = batch.states[keep][chosen]
    vectors = tagger.label_head(states) if params.head else states
    classes = classes[chosen]
    anchors = None if params.outside == "class" else classes != 0
    allowed = None
    if params.positives == "cross-language":
        names = sorted(set(batch.inputs.languages))
        rows = torch.tensor([names.index(name) for name in batch.inputs.languages], device=labels.device)
        language = rows[:, None].expand_as(labels)[keep][chosen]
        allowed = language[:, None] != language[None, :]
    return supervised_contrastive(vectors, classes, params.temperature, anchors=anchors, allowed=allowed)
