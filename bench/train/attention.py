"""Attention on a CPU: plain matrix products, which over sentences of up to 100 sub-words beat torch's fused kernel, and
our dropout between them, which that kernel does not have."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from bench.train.dropout import dropped_out

NAME = "xner_cpu"
PLAIN = ("bert", "camembert", "electra", "roberta", "xlm-roberta")  # softmax(q k / √d + mask) v, and nothing else


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **_: Any,
) -> tuple[Tensor, Tensor]:
    """Attention as transformers' interface has it: (B, heads, N, d) to (B, N, heads, d), and the weights."""
    weights = torch.matmul(query * (query.shape[-1] ** -0.5 if scaling is None else scaling), key.transpose(2, 3))
    if attention_mask is not None:
        weights = weights + attention_mask
    weights = dropped_out(weights.softmax(-1), dropout, module.training)
    return torch.matmul(weights, value).transpose(1, 2).contiguous(), weights


def for_cpu(encoder: Any) -> None:
    """Let an encoder that runs on a CPU attend so, if its attention is the plain one."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import eager_mask

    if encoder.config.model_type in PLAIN:
        AttentionInterface.register(NAME, attend)
        AttentionMaskInterface.register(NAME, eager_mask)
        encoder.set_attn_implementation(NAME)


def attention_of(tagger: Any) -> str:
    """What transformers calls the attention that a tagger's encoder runs; "" where it is no encoder of transformers."""
    return str(getattr(getattr(getattr(tagger, "encoder", None), "config", None), "_attn_implementation", None) or "")
