"""What `xner encoder-check` measures without a training: size, pieces a word, translation retrieval; random weights."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

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
RANDOM = "random:"  # before an encoder's name: its shape and tokenizer with random weights
SEED = 1  # of random weights
BLOCK = 1024  # rows of similarities in memory at a time
Vectors = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Gap:
    """What could not be measured, and why."""

    part: str
    language: str
    reason: str


@dataclass(frozen=True)
class Subject:
    """An encoder under test. `name` is what a matrix calls it: for random weights the folder that was made."""

    label: str
    name: str
    source: EncoderSource
    where: str
    made_in: float = 0.0  # seconds that its own recipe took


@dataclass(frozen=True)
class Facts:
    """Its size, and the hidden layer that retrieval and projection read."""

    layer: int
    layers: int
    parameters: int  # without a pooler, which nothing here reads
    weights_bytes: int
    what: str = ""  # whose weights they are, where a recipe reads them


@dataclass(frozen=True)
class Retrieved:
    """Translation retrieval of one language: into English and from it."""

    text: str
    sentences: int
    to_en: float
    from_en: float


@dataclass
class Found:
    """All that retrieval gives, by language."""

    retrieved: dict[str, Retrieved] = field(default_factory=dict)
    pieces_per_word: dict[str, float] = field(default_factory=dict)  # without spaces: per character; a lone ▁ is none
    gaps: list[Gap] = field(default_factory=list)
    seconds: float = 0.0


def subjects(names: Sequence[str], cache: Artefacts, progress: Progress) -> list[Subject]:
    """The encoders of these names, made where they are our own; folders of one name are told apart by their parent's.

    Raises:
        BadInput: one is no recipe, folder or hub id; or stands there twice.
    """
    found = [_subject(name, cache, progress) for name in names]
    for one in found:
        if sum(other.source.key == one.source.key for other in found) > 1:
            raise BadInput(f"the encoder '{one.label}' stands there twice")
    labels = [one.label for one in found]
    return [
        one if labels.count(one.label) == 1 else replace(one, label=f"{Path(one.where).resolve().parent.name}/{label}")
        for one, label in zip(found, labels, strict=True)
    ]


def _subject(name: str, cache: Artefacts, progress: Progress) -> Subject:
    spec = EncoderSpec()
    source = find_encoder(name.removeprefix(RANDOM), spec)
    where, artefact = source.ensure(cache, progress)
    if not name.startswith(RANDOM):
        return Subject(source.label, name, source, where, artefact.seconds if artefact else 0.0)
    label = f"{source.label.rpartition('/')[2]}-random"  # the folder's name: what records call it
    key = key_of("encoder", random_of=source.key, seed=SEED, versions=versions())

    def build(folder: Path) -> Mapping[str, Any]:
        write_random(where, folder / label)
        return {"encoder": label, "seed": SEED}

    made = str(cache.get_or_make("encoder", key, build).folder / label)
    return Subject(label, made, find_encoder(made, spec), made)


def write_random(where: str, folder: Path) -> None:
    """Write an encoder of the same shape, tokenizer and number type, its weights drawn as its class draws them.

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


def embedder_for(subject: Subject, layer: int | None, device: str) -> tuple[EncoderEmbedder, Facts]:
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
    what = subject.source.recipe.what if subject.source.recipe is not None else ""
    return embedder, Facts(chosen, embedder.layers, parameters, size, what)


def retrieve(embedder: EncoderEmbedder, layer: int, languages: Sequence[str], part: Part, progress: Progress) -> Found:
    """Accuracy@1 of translations by the mean of their pieces' vectors at a layer, and pieces a word, by language."""
    found, begin = Found(), time.perf_counter()
    texts: dict[str, HeldOut] = {}
    for language in languages:
        try:
            texts[language] = held_out(language, part)
        except BadInput as error:
            found.gaps.append(Gap("retrieval", language, str(error)))
    total = sum(len(one.other) for one in texts.values()) + sum(map(len, {tuple(o.english) for o in texts.values()}))
    embedder.tick = counting(progress, total, "retrieval")

    def means(lines: Sequence[str], language: str) -> Vectors:
        """Mean vector of each line's pieces (n, H), special tokens left out; zeros where there is none."""
        embedded = embedder.embed([tuple(line.split()) for line in lines], layer)
        words = sum(len(tokenise(line, language, "ud")) for line in lines)
        found.pieces_per_word.setdefault(language, sum(len(one.words) for one in embedded) / max(1, words))
        return np.stack([one.vectors.sum(axis=0, dtype=np.float64) / max(1, len(one.vectors)) for one in embedded])

    english: dict[tuple[str, ...], Vectors] = {}
    for language, one in texts.items():
        key = tuple(one.english)
        if key not in english:
            english[key] = means(one.english, "en")
        both = retrieval(means(one.other, language), english[key])
        found.retrieved[language] = Retrieved(one.text, len(one.other), *both)
    found.seconds = time.perf_counter() - begin
    return found


class Retrieval(NamedTuple):
    """Shares (0 to 1) of sentences whose translation is found: from the first side in the second, and back."""

    forward: float
    backward: float


def retrieval(first: Vectors, second: Vectors) -> Retrieval:
    """Accuracy@1 of two sides (n, H) of which row i translates row i.

    Found means that no other row is as near or nearer: a tie is a miss (*ours*), so that an encoder that gives every
    sentence the same vector finds nothing. A vector of zeros is as near to all.

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
    return Retrieval(_found(*sides), _found(*sides[::-1]))


def _found(queries: Vectors, candidates: Vectors) -> float:
    """Share of the queries whose own candidate is nearer than every other."""
    right = 0
    for start in range(0, len(queries), BLOCK):
        similarities = queries[start : start + BLOCK] @ candidates.T
        rows = np.arange(len(similarities))
        own = similarities[rows, start + rows].copy()
        similarities[rows, start + rows] = -np.inf
        right += int((own > similarities.max(axis=1)).sum())
    return right / len(queries)
