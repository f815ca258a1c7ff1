"""The measures of `xner encoder-check` that need no training: size, pieces per word, translation retrieval.

Also encoders with random weights, as a baseline.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.api.recipes import Progress
from bench.api.source_files import HeldOut, Part, held_out
from bench.core.errors import BadInput
from bench.core.tokenise import tokenise
from bench.data.embed import EncoderEmbedder, counting
from bench.data.encoders import EncoderSource, find_encoder
from bench.plan.keys import key_of, versions
from bench.plan.sections import EncoderSpec
from bench.store.artefacts import Artefacts

LANGUAGES = ("de", "es", "it", "pt", "fi", "hu", "bg", "ru", "sv", "da", "sr", "hr", "sk", "tr", "zh", "sw", "yo")
RANDOM = "random:"  # prefix of an encoder's name: its shape and tokenizer with random weights
SEED = 1  # of random weights
BLOCK = 1024  # rows of similarities in memory at a time
Vectors = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Gap:
    """A measure that is missing, and why."""

    part: str
    language: str
    reason: str


@dataclass(frozen=True)
class Subject:
    """An encoder under test. `name` is its name in a matrix, for random weights a folder in the cache."""

    label: str
    name: str
    source: EncoderSource
    where: str
    made_in: float = 0.0  # seconds that its recipe took


@dataclass(frozen=True)
class EncoderFacts:
    """An encoder's size, and the hidden layer that retrieval and projection read."""

    layer: int
    layers: int
    parameters: int  # without a pooler, which is never read
    weights_bytes: int
    what: str = ""  # origin of the weights, if a recipe reads them


@dataclass(frozen=True)
class Retrieved:
    """Translation retrieval of one language: into English and from it."""

    text: str
    sentences: int
    to_en: float
    from_en: float


@dataclass
class RetrievalScores:
    """The results of retrieval, by language."""

    retrieved: dict[str, Retrieved] = field(default_factory=dict)
    pieces_per_word: dict[str, float] = field(default_factory=dict)  # zh: per character; a lone ▁ does not count
    gaps: list[Gap] = field(default_factory=list)
    seconds: float = 0.0


def subjects(names: Sequence[str], cache: Artefacts, progress: Progress) -> list[Subject]:
    """The encoders of these names, made or fetched if need be; folders of the same name get their parent's as prefix.

    Raises:
        BadInput: a name is no recipe, folder or hub id; or an encoder is named twice.
    """
    encoders = [_subject(name, cache, progress) for name in names]
    keys, labels = [s.source.key for s in encoders], [s.label for s in encoders]
    for subject in encoders:
        if keys.count(subject.source.key) > 1:
            raise BadInput(f"the encoder '{subject.label}' is named twice")
    return [
        s if labels.count(s.label) == 1 else replace(s, label=f"{Path(s.where).resolve().parent.name}/{s.label}")
        for s in encoders
    ]


def _subject(name: str, cache: Artefacts, progress: Progress) -> Subject:
    spec = EncoderSpec()
    source = find_encoder(name.removeprefix(RANDOM), spec)
    where, artefact = source.ensure(cache, progress)
    if not name.startswith(RANDOM):
        return Subject(source.label, name, source, where, artefact.seconds if artefact else 0.0)
    label = f"{source.label.rpartition('/')[2]}-random"  # the folder's name, which records hold
    key = key_of("encoder", random_of=source.key, seed=SEED, versions=versions())

    def build(folder: Path) -> Mapping[str, Any]:
        write_random(where, folder / label)
        return {"encoder": label, "seed": SEED}

    made = str(cache.get_or_make("encoder", key, build).folder / label)
    return Subject(label, made, find_encoder(made, spec), made)


def write_random(where: str, folder: Path) -> None:
    """Write an encoder of the same shape, tokenizer and number type with randomly initialised weights.

    Raises:
        BadInput: the encoder cannot be loaded.
    """
    import torch
    from transformers import AutoConfig, AutoModel

    from bench.data.loading import load_encoder

    loaded = load_encoder(where)
    config = AutoConfig.from_pretrained(where)
    stored = config.dtype or torch.float32
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        model = AutoModel.from_config(config, dtype=torch.float32)
    model.to(stored).save_pretrained(folder, safe_serialization=True)
    loaded.tokenizer.save_pretrained(folder)


def embedder_for(subject: Subject, layer: int | None, device: str) -> tuple[EncoderEmbedder, EncoderFacts]:
    """The loaded encoder and its size; `layer` None: its recipe's, else the last.

    Raises:
        BadInput: it cannot be loaded, or has no such layer.
    """
    embedder = EncoderEmbedder(subject.where, device=device)
    advised = subject.source.align_layer(EncoderSpec())
    chosen = layer if layer is not None else advised if advised is not None else embedder.layers
    if not 0 <= chosen <= embedder.layers:
        raise BadInput(f"--layer {chosen}: the encoder '{subject.label}' has layers 0 to {embedder.layers}")
    parameters = sum(p.numel() for name, p in embedder.model.named_parameters() if "pooler" not in name)
    size = sum(file.stat().st_size for file in Path(subject.where).glob("*.safetensors"))
    origin = subject.source.recipe.what if subject.source.recipe is not None else ""
    return embedder, EncoderFacts(chosen, embedder.layers, parameters, size, origin)


def retrieve(
    embedder: EncoderEmbedder, layer: int, languages: Sequence[str], part: Part, progress: Progress
) -> RetrievalScores:
    """Accuracy@1 of translations, by the mean of their pieces' vectors at a layer, and pieces per word; by language."""
    scores, begin = RetrievalScores(), time.perf_counter()
    texts: dict[str, HeldOut] = {}
    for language in languages:
        try:
            texts[language] = held_out(language, part)
        except BadInput as error:
            scores.gaps.append(Gap("retrieval", language, str(error)))
    total = sum(len(text.other) for text in texts.values()) + sum(map(len, {tuple(t.english) for t in texts.values()}))
    embedder.tick = counting(progress, total, "retrieval")

    def means(lines: Sequence[str], language: str) -> Vectors:
        """Mean vector of each line's pieces (n, H), special tokens left out; zeros if there is none."""
        vectors = [own for own, _ in embedder.embed([tuple(line.split()) for line in lines], layer)]
        words = sum(len(tokenise(line, language, "ud")) for line in lines)
        scores.pieces_per_word.setdefault(language, sum(map(len, vectors)) / max(1, words))
        return np.stack([own.sum(axis=0, dtype=np.float64) / max(1, len(own)) for own in vectors])

    english: dict[tuple[str, ...], Vectors] = {}
    for language, text in texts.items():
        key = tuple(text.english)
        if key not in english:
            english[key] = means(text.english, "en")
        accuracies = retrieval(means(text.other, language), english[key])
        scores.retrieved[language] = Retrieved(text.text, len(text.other), *accuracies)
    scores.seconds = time.perf_counter() - begin
    return scores


def retrieval(first: Vectors, second: Vectors) -> tuple[float, float]:
    """Accuracy@1 of two sides (n, H), row i of each a translation of the other's: shares (0 to 1) found from first to
    second and back.

    A translation is found if no other row is as near or nearer: a tie is a miss (*ours*), so that an encoder with the
    same vector for every sentence finds nothing. A vector of zeros is equally near to all.

    Raises:
        ValueError: no rows, or sides of different shapes.
    """
    if first.shape != second.shape or first.ndim != 2 or not len(first):
        raise ValueError(f"two sides of the same shape (n, H), n above 0, not {first.shape} and {second.shape}")
    sides = []
    for side in (first, second):
        wide = side.astype(np.float64)  # equal rows stay equal, whatever the order of a sum in float32
        norms = np.linalg.norm(wide, axis=1, keepdims=True)
        sides.append(wide / np.where(norms == 0, 1, norms))
    return _accuracy(*sides), _accuracy(*sides[::-1])


def _accuracy(queries: Vectors, candidates: Vectors) -> float:
    """Share of the queries whose own candidate is nearer than every other."""
    right = 0
    for start in range(0, len(queries), BLOCK):
        similarities = queries[start : start + BLOCK] @ candidates.T
        rows = np.arange(len(similarities))
        own = similarities[rows, start + rows].copy()
        similarities[rows, start + rows] = -np.inf
        right += int((own > similarities.max(axis=1)).sum())
    return right / len(queries)
