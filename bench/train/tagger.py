"""The default tagger: a linear token classifier over any AutoModel with a fast tokenizer; loading and saving."""

from __future__ import annotations

import copy
import functools
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from bench.api.method import Batch, Inputs, Predictions
from bench.core.errors import BadInput
from bench.core.sentences import Span, spans_of
from bench.core.subwords import Pieces
from bench.train.frozen import Prefix
from bench.train.last_layer import LastLayer


@dataclass(frozen=True)
class Loaded:
    """An encoder as loaded: float32 weights, its tokenizer, the longest input that it takes, what it tokenised."""

    model: Any
    tokenizer: Any
    longest: int
    known: dict[tuple[str, ...], Pieces] = field(default_factory=dict)


def load_encoder(where: str, revision: str | None = None) -> Loaded:
    """Load weights as float32, whatever type the checkpoint was stored in; safetensors only, and no code from the hub.

    Raises:
        BadInput: there is no such folder or hub model, it has no safetensors, or no fast tokenizer.
    """
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    options = {"trust_remote_code": False} | ({"revision": revision} if revision else {})
    try:
        tokenizer = AutoTokenizer.from_pretrained(where, use_fast=True, **options)
        if not tokenizer.is_fast:
            raise BadInput(f"encoder '{where}' has no fast tokenizer, which word-level labels need")
        if not tokenizer.init_kwargs.get("add_prefix_space", True) or tokenizer.backend_tokenizer.pre_tokenizer is None:
            tokenizer = AutoTokenizer.from_pretrained(where, use_fast=True, add_prefix_space=True, **options)
        if len(tokenizer) <= len(set(tokenizer.all_special_ids)):  # transformers makes up what it does not find
            raise BadInput(f"encoder '{where}' has no tokenizer files")
        with torch.random.fork_rng(devices=[]):  # a pooler that is not stored is drawn; not from our streams
            torch.manual_seed(0)
            model, found = AutoModel.from_pretrained(
                where, use_safetensors=True, dtype=torch.float32, output_loading_info=True, **options
            )
    except (OSError, ValueError, SafetensorError) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"encoder '{where}' cannot be loaded: {str(error).strip().splitlines()[0]}") from error
    missing = sorted(name for name in found["missing_keys"] if "pooler" not in name)  # nothing here reads the pooler
    if missing:
        raise BadInput(f"encoder '{where}' lacks weights that would be drawn at random, such as {missing[0]}")
    positions = getattr(model.config, "max_position_embeddings", None) or 10**6
    pad = model.config.pad_token_id or 0
    # RoBERTa-like models count positions from the padding id on, so the last ones cannot be used.
    offset = pad + 1 if "roberta" in model.config.model_type or model.config.model_type == "camembert" else 0
    return Loaded(model, tokenizer, int(min(positions - offset, tokenizer.model_max_length)))


MOST = 2**31  # bytes of weights that a process keeps; a larger encoder is read from disk each time
_KEPT: dict[str, Loaded] = {}  # by content key; one, since units of an encoder come one after the other


def fresh_encoder(key: str, where: str, revision: str | None = None) -> Loaded:
    """`load_encoder`, a copy of what this process holds where it loaded that key last. BadInput as there."""
    kept = _KEPT.get(key)
    if kept is None:
        kept = load_encoder(where, revision)
        if sum(p.numel() * p.element_size() for p in kept.model.parameters()) > MOST:
            return kept
        _KEPT.clear()
        _KEPT[key] = kept
    return replace(kept, model=copy.deepcopy(kept.model))


class LinearTagger(nn.Module):
    """Encoder, dropout, one linear layer from hidden size H to C tags."""

    def __init__(self, encoder: nn.Module, tags: Sequence[str], dropout: float, decoding: str = "greedy") -> None:
        super().__init__()
        self.encoder = encoder
        self.tags = tuple(tags)
        self.decoding = decoding
        self.pooling: Literal["mean", "cls"] = "mean"
        self.pooled_layer: Literal["last", "first"] = "last"
        self.prefix: Prefix | None = None  # frozen layers, whose states are kept
        self.last = LastLayer.of(encoder)
        self.dropout = nn.Dropout(dropout)
        hidden = int(encoder.config.hidden_size)  # type: ignore[union-attr,arg-type]
        self.classifier = nn.Linear(hidden, len(self.tags))
        nn.init.normal_(self.classifier.weight, std=0.02)
        nn.init.zeros_(self.classifier.bias)

    def read(self, inputs: Inputs) -> Batch:
        """Word states (S, N, H), sentence vectors (S, H) and logits (S, N, C); windows are stitched."""
        first = self.pooled_layer == "first"
        # the first layer's states are wanted where it pools, so that no layer may be skipped
        skipping = self.prefix.replayed(inputs.ids, inputs.mask) if self.prefix and not first else nullcontext()
        if self.last is None or self.last.checkpoints or first:
            with skipping:
                out = self.encoder(input_ids=inputs.ids, attention_mask=inputs.mask, output_hidden_states=first)
            hidden: Tensor = out.last_hidden_state
            states = hidden.flatten(0, 1)[inputs.words] * inputs.word_mask[..., None].to(hidden.dtype)
            pooled = functools.cache(lambda: self._pooled(inputs, out.hidden_states[1] if first else hidden))
        else:
            with skipping, self.last.left_out() as reached:
                self.encoder(input_ids=inputs.ids, attention_mask=inputs.mask)
            (below,), places = reached, inputs.words[inputs.word_mask]
            of_words = below.at(places)
            shape = (*inputs.words.shape, of_words.shape[-1])
            states = of_words.new_zeros(shape).index_put((inputs.word_mask,), of_words)
            pooled = functools.cache(lambda: self._pooled(inputs, below.rest(inputs.mask, places, of_words)))
        return Batch(inputs, states, pooled, self.classifier(self.dropout(states)))

    def _pooled(self, inputs: Inputs, hidden: Tensor) -> Tensor:
        """Sentence vectors (S, H): mean over real sub-words, or of the first position of the sentence's windows."""
        counted = inputs.real
        if self.pooling == "cls":
            counted = torch.zeros_like(counted)
            counted[:, 0] = True
        total = torch.zeros(len(inputs.sentences), hidden.shape[-1], dtype=torch.float32, device=hidden.device)
        total = total.index_add(0, inputs.sentence, (hidden * counted[..., None]).sum(1).float())
        pieces = torch.zeros(len(inputs.sentences), dtype=torch.float32, device=hidden.device)
        pieces = pieces.index_add(0, inputs.sentence, counted.sum(1).float())
        return total / pieces.clamp_min(1)[:, None]

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

    config = type(tagger.encoder.config).from_dict(tagger.encoder.config.to_dict())  # type: ignore[union-attr,operator]
    config.id2label = dict(enumerate(tagger.tags))
    config.label2id = {tag: i for i, tag in enumerate(tagger.tags)}
    model = AutoModelForTokenClassification.from_config(config)
    body = getattr(model, model.base_model_prefix)
    missing = body.load_state_dict(tagger.encoder.state_dict(), strict=False).missing_keys
    head = getattr(model, "classifier", None)
    if missing or not isinstance(head, nn.Linear):
        raise BadInput(f"a tagger over {config.model_type} cannot be saved for transformers' pipeline")
    head.load_state_dict(tagger.classifier.state_dict())
    device = next(tagger.parameters()).device
    ids = torch.tensor([[tokenizer.unk_token_id or 0, tokenizer.pad_token_id or 0]], device=device)
    model.to(device).eval()
    tagger.eval()
    with torch.no_grad():
        ours = tagger.classifier(tagger.encoder(input_ids=ids).last_hidden_state)
        if not torch.allclose(model(input_ids=ids).logits, ours, atol=1e-4):
            raise BadInput(f"transformers' token classifier for {config.model_type} is not dropout and a linear layer")
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.model_max_length = max_length
    tokenizer.save_pretrained(folder)
