"""Trained taggers from transformers token-classification folders, ours (`save_tagger`) and others with IOB2 labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn

from bench.api.method import Batch, Inputs
from bench.core.errors import BadInput
from bench.core.sentences import Sentence
from bench.train.batches import Collator
from bench.train.predict import predict
from bench.train.tagger import LinearTagger


class SavedTagger(nn.Module):
    """A transformers token classifier with whatever head it has; a word's tag is that of its first sub-word."""

    decode = LinearTagger.decode

    def __init__(self, model: Any, tags: Sequence[str], decoding: str = "greedy") -> None:
        super().__init__()
        self.model, self.tags, self.decoding = model, tuple(tags), decoding

    def read(self, inputs: Inputs) -> Batch:
        """Logits (S, N, C) of the words; the states are the sub-words' logits: nothing else is known of the model."""
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
        from transformers import AutoModelForTokenClassification, AutoTokenizer
        from transformers.utils import logging

        logging.set_verbosity_error()
        logging.disable_progress_bar()
        if not (folder / "config.json").is_file():
            raise BadInput(f"{folder}: no folder of a trained tagger (there is no config.json)")
        where = str(folder.resolve())  # never the name of a hub model
        options: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}
        try:
            tokenizer = AutoTokenizer.from_pretrained(where, use_fast=True, **options)
            backend = tokenizer.backend_tokenizer if tokenizer.is_fast else None
            spaceless = not tokenizer.init_kwargs.get("add_prefix_space", True)
            if backend and (spaceless or backend.pre_tokenizer is None):  # words come one by one
                tokenizer = AutoTokenizer.from_pretrained(where, use_fast=True, add_prefix_space=True, **options)
            model, report = AutoModelForTokenClassification.from_pretrained(
                where, use_safetensors=True, dtype=torch.float32, output_loading_info=True, **options
            )
        except (OSError, ValueError, SafetensorError) as error:
            raise BadInput(f"{folder}: cannot be loaded: {str(error).strip().splitlines()[0]}") from error
        if not tokenizer.is_fast:
            raise BadInput(f"{folder}: it has no fast tokenizer, which word-level tags need")
        if report["missing_keys"]:
            raise BadInput(f"{folder}: no trained tagger: it lacks the weights {sorted(report['missing_keys'])[0]}")
        self.tags = _iob2_labels(folder, model.config.id2label)
        longest = min(getattr(model.config, "max_position_embeddings", None) or 10**6, tokenizer.model_max_length)
        if "roberta" in model.config.model_type or model.config.model_type == "camembert":
            longest = min(longest, model.config.max_position_embeddings - model.config.pad_token_id - 1)
        self._tagger = SavedTagger(model, self.tags, decoding).to(device).eval()
        self._collator = Collator(tokenizer, self.tags, int(longest), torch.device(device))

    def tagged(self, sentences: Sequence[Sentence]) -> list[Sentence]:
        """The sentences, in order, with what the tagger finds as their spans."""
        spans = predict(self._tagger, self._collator, sentences).spans
        return [replace(sentence, spans=labels) for sentence, labels in zip(sentences, spans, strict=True)]


def _iob2_labels(folder: Path, labels: dict[int, str]) -> tuple[str, ...]:
    """The labels in the order of the model's outputs; BadInput where they are no IOB2."""
    tags = tuple(labels[number] for number in sorted(labels))
    wrong = next((tag for tag in tags if tag != "O" and not (tag[:2] in ("B-", "I-") and tag[2:])), None)
    if wrong is None and "O" not in tags:
        wrong = tags[0]
    if wrong is not None:
        raise BadInput(f"{folder}: its labels are not O, B-X and I-X: '{wrong}' (config.json, id2label)")
    return tags
