"""The default tagger, a linear token classifier over any encoder of transformers: decoding, saving and loading.

Trained taggers are loaded from token-classification folders of transformers: ours (`save_tagger`) or others with IOB2
labels.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from bench.api.method import Batch, Inputs, Predictions
from bench.core.errors import BadInput
from bench.core.sentences import Sentence, spans_of
from bench.data.loading import fast_tokenizer, longest_of
from bench.train.batches import Collator
from bench.train.encoder import Encoder, cover, whole_state
from bench.train.predict import predict


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
        """Sentence vectors (S, H): mean over real sub-words, or over the first positions of the sentence's windows.

        Windows are summed with a mask, as `index_add` is not deterministic on CUDA.
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
        scores = tuple(probabilities[row, :length] for row, length in enumerate(lengths))
        best = [viterbi(own, self.tags) if self.decoding == "viterbi" else own.argmax(-1) for own in scores]
        return Predictions(tuple(spans_of([self.tags[i] for i in path]) for path in best), scores)


def viterbi(probabilities: Any, tags: Sequence[str]) -> list[int]:
    """The most probable well-formed IOB2 path through (words, tags) probabilities, words independent given the path."""
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

    own = {"read", "decode"} & vars(tagger).keys() or type(tagger) is not LinearTagger
    if own or not isinstance(tagger.classifier, nn.Linear):
        raise BadInput("a tagger with a head of its own is not a token classifier of transformers")
    encoder = tagger.encoder.model
    config = type(encoder.config).from_dict(encoder.config.to_dict())
    config.id2label = dict(enumerate(tagger.tags))
    config.label2id = {tag: i for i, tag in enumerate(tagger.tags)}
    try:
        model = AutoModelForTokenClassification.from_config(config)
    except ValueError as error:
        raise BadInput(f"transformers has no token classifier for {config.model_type}: it cannot be saved") from error
    body = getattr(model, model.base_model_prefix)
    missing = body.load_state_dict(whole_state(encoder), strict=False).missing_keys
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
        plain = tagger.classifier(encoder(input_ids=ids).last_hidden_state)
        if not torch.allclose(model(input_ids=ids).logits, plain, atol=1e-4):
            raise BadInput(f"transformers' token classifier for {config.model_type} is not dropout and a linear layer")
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer = copy.deepcopy(tokenizer)  # other trainings use this one
    tokenizer.model_max_length = max_length
    tokenizer.save_pretrained(folder)


class SavedTagger(nn.Module):
    """A transformers token classifier with whatever head it has; a word's tag is that of its first sub-word."""

    decode = LinearTagger.decode

    def __init__(self, model: Any, tags: Sequence[str], decoding: str = "greedy") -> None:
        super().__init__()
        self.model, self.tags, self.decoding = model, tuple(tags), decoding

    def read(self, inputs: Inputs) -> Batch:
        """Logits (S, N, C) of the words, which also stand for the states: nothing else is known of the model."""
        logits = self.model(input_ids=inputs.ids, attention_mask=inputs.mask).logits
        of_words = logits.flatten(0, 1)[inputs.words] * inputs.word_mask[..., None].to(logits.dtype)
        return Batch(inputs, of_words, of_words.mean(1), of_words)


class Predictor:
    """A tagger read from a folder, ready to tag sentences of any length (long ones in windows).

    Raises:
        BadInput: there is no such folder; it holds no token classifier with safetensors and a fast tokenizer; or its
            labels are not O, B-X and I-X.
    """

    def __init__(self, folder: Path, device: str = "cpu", decoding: str = "greedy") -> None:
        from transformers import AutoModelForTokenClassification
        from transformers.utils import logging

        logging.set_verbosity_error()
        logging.disable_progress_bar()
        if not (folder / "config.json").is_file():
            raise BadInput(f"{folder}: not a folder of a trained tagger (there is no config.json)")
        where = str(folder.resolve())  # never the name of a hub model
        options: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}
        try:
            tokenizer = fast_tokenizer(str(folder), where)
            model, report = AutoModelForTokenClassification.from_pretrained(
                where, use_safetensors=True, dtype=torch.float32, output_loading_info=True, **options
            )
        except BadInput:
            raise
        except (OSError, ValueError, SafetensorError) as error:
            raise BadInput(f"{folder}: cannot be loaded: {str(error).strip().splitlines()[0]}") from error
        if report["missing_keys"]:
            raise BadInput(f"{folder}: not a trained tagger: it lacks the weights {sorted(report['missing_keys'])[0]}")
        labels = model.config.id2label
        self.tags = tuple(labels[number] for number in sorted(labels))  # in the order of the model's outputs
        wrong = next((tag for tag in self.tags if tag != "O" and not (tag[:2] in ("B-", "I-") and tag[2:])), None)
        if wrong is not None or "O" not in self.tags:
            wrong = self.tags[0] if wrong is None else wrong
            raise BadInput(f"{folder}: its labels are not O, B-X and I-X: '{wrong}' (config.json, id2label)")
        self._tagger = SavedTagger(model, self.tags, decoding).to(device).eval()
        self._collator = Collator(tokenizer, self.tags, longest_of(model, tokenizer), torch.device(device))

    def tagged(self, sentences: Sequence[Sentence]) -> list[Sentence]:
        """The sentences, in order, with predicted spans."""
        spans = predict(self._tagger, self._collator, sentences).spans
        return [replace(sentence, spans=labels) for sentence, labels in zip(sentences, spans, strict=True)]
