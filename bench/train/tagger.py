"""The default tagger: a linear token classifier over any encoder of transformers; decoding and saving."""

from __future__ import annotations

import copy
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from bench.api.method import Batch, Inputs, Predictions
from bench.core.errors import BadInput
from bench.core.sentences import Span, spans_of
from bench.train.encoder import Encoder
from bench.train.rows import cover, whole_state


class LinearTagger(nn.Module):
    """Encoder, dropout, one linear layer from hidden size H to C tags."""

    def __init__(self, encoder: Encoder, tags: Sequence[str], dropout: float, decoding: str = "greedy") -> None:
        super().__init__()
        self.encoder = encoder
        self.tags = tuple(tags)
        self.decoding = decoding
        self.pooling: Literal["mean", "cls"] = "mean"
        self.pooled_layer: Literal["last", "first"] = "last"
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(int(encoder.config.hidden_size), len(self.tags))
        nn.init.normal_(self.classifier.weight, std=0.02)
        nn.init.zeros_(self.classifier.bias)

    def read(self, inputs: Inputs) -> Batch:
        """Word states (S, N, H), sentence vectors (S, H) and logits (S, N, C); windows are stitched."""
        hidden, first = self.encoder(inputs, self.pooled_layer == "first")
        states = hidden.flatten(0, 1)[inputs.words] * inputs.word_mask[..., None].to(hidden.dtype)
        pooled = functools.cache(lambda: self._pooled(inputs, hidden if first is None else first))
        return Batch(inputs, states, pooled, self.classifier(self.dropout(states)))

    def _pooled(self, inputs: Inputs, hidden: Tensor) -> Tensor:
        """Sentence vectors (S, H): mean over real sub-words, or of the first position of the sentence's windows.

        Windows are added up by a mask, as `index_add` is not deterministic on CUDA.
        """
        counted = inputs.real
        if self.pooling == "cls":
            counted = torch.zeros_like(counted)
            counted[:, 0] = True
        rows = torch.arange(len(inputs.sentences), device=hidden.device)
        own = (inputs.sentence == rows[:, None])[..., None]  # (S, W, 1)
        total = (own * (hidden * counted[..., None]).sum(1).float()).sum(1)
        pieces = (own * counted.sum(1).float()[:, None]).sum(1)
        return total / pieces.clamp_min(1)

    def decode(self, batch: Batch) -> Predictions:
        """Greedy (an I-X that continues no X opens a span) or Viterbi under IOB2's transitions."""
        probabilities = torch.softmax(batch.logits.float(), -1).cpu().numpy()
        lengths = [len(sentence.words) for sentence in batch.inputs.sentences]
        spans: list[tuple[Span, ...]] = []
        for row, length in enumerate(lengths):
            scores = probabilities[row, :length]
            best = viterbi(scores, self.tags) if self.decoding == "viterbi" else scores.argmax(-1)
            spans.append(spans_of([self.tags[i] for i in best]))
        return Predictions(tuple(spans), tuple(probabilities[row, :n] for row, n in enumerate(lengths)))


def viterbi(probabilities: Any, tags: Sequence[str]) -> list[int]:
    """The most probable well-formed IOB2 path through (words, tags) probabilities, words independent given the path."""
    import numpy as np

    allowed = np.asarray([[not t.startswith("I-") or p[2:] == t[2:] for t in tags] for p in tags])
    start = np.asarray([not t.startswith("I-") for t in tags])
    step = np.where(allowed, 0.0, -np.inf)
    logs = np.log(np.maximum(probabilities.astype(np.float64), 1e-30))
    if not len(logs):
        return []
    score = np.where(start, logs[0], -np.inf)
    back = []
    for row in logs[1:]:
        paths = score[:, None] + step
        back.append(paths.argmax(0))
        score = paths.max(0) + row
    path = [int(score.argmax())]
    for pointers in reversed(back):
        path.append(int(pointers[path[-1]]))
    return path[::-1]


def save_tagger(tagger: LinearTagger, tokenizer: Any, folder: Path, max_length: int) -> None:
    """Save as a transformers token-classification folder that `pipeline("token-classification")` loads.

    Raises:
        BadInput: transformers has no token classifier for this encoder, or its head is not dropout and a linear layer.
    """
    from transformers import AutoModelForTokenClassification

    ours = tagger.encoder.model
    config = type(ours.config).from_dict(ours.config.to_dict())
    config.id2label = dict(enumerate(tagger.tags))
    config.label2id = {tag: i for i, tag in enumerate(tagger.tags)}
    try:
        model = AutoModelForTokenClassification.from_config(config)
    except ValueError as error:
        raise BadInput(f"transformers has no token classifier for {config.model_type}: it cannot be saved") from error
    body = getattr(model, model.base_model_prefix)
    missing = body.load_state_dict(whole_state(ours), strict=False).missing_keys
    head = getattr(model, "classifier", None)
    if missing or not isinstance(head, nn.Linear):
        raise BadInput(f"a tagger over {config.model_type} cannot be saved for transformers' pipeline")
    head.load_state_dict(tagger.classifier.state_dict())
    device = next(tagger.parameters()).device
    ids = torch.tensor([[tokenizer.unk_token_id or 0, tokenizer.pad_token_id or 0]], device=device)
    cover(tagger, ids.unique().cpu().numpy())
    model.to(device).eval()
    tagger.eval()
    with torch.no_grad():
        plain = tagger.classifier(ours(input_ids=ids).last_hidden_state)
        if not torch.allclose(model(input_ids=ids).logits, plain, atol=1e-4):
            raise BadInput(f"transformers' token classifier for {config.model_type} is not dropout and a linear layer")
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer = copy.deepcopy(tokenizer)  # other trainings read with this one
    tokenizer.model_max_length = max_length
    tokenizer.save_pretrained(folder)
