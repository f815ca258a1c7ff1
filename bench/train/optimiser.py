"""The optimiser of every training, and its learning rate by step."""

from __future__ import annotations

from typing import Any

import torch

from bench.plan.spec import EncoderSpec
from bench.train.rows import row_tables


def rate(step: int, total: int, warmup: float) -> float:
    """The share of the full learning rate at a step from 0: linear warm-up, then linear decay."""
    warm = max(1, round(total * warmup))
    return min((step + 1) / warm, (total - step) / max(1, total - warm))


def optimiser_of(tagger: Any, recipe: EncoderSpec) -> torch.optim.AdamW:
    """Fused AdamW; `full` of a group is its rate before the schedule, the head's own where the recipe gives it one.

    Matrices decay, as in BERT's own recipe, but for word embeddings: a row that no sentence reads stays as it is.
    """
    tables = [f"{name}.weight" for name, _ in row_tables(tagger)]
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for name, parameter in tagger.named_parameters():
        if parameter.requires_grad:
            decay = recipe.weight_decay if parameter.ndim > 1 and name not in tables else 0.0
            lr = recipe.lr if name.startswith("encoder.") else recipe.head_lr or recipe.lr
            groups.setdefault((lr, decay), []).append(parameter)
    return torch.optim.AdamW(
        [{"params": own, "lr": lr, "full": lr, "weight_decay": decay} for (lr, decay), own in groups.items()],
        fused=True,
    )
