"""What a method trains on (sentences in groups, in three streams), and what a training step sees and gives."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.core.sentences import Pair, Sentence, Span

if TYPE_CHECKING:  # names and plans of methods need neither
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor

    Floats = npt.NDArray[np.float32]
    Ints = npt.NDArray[np.int64]
else:
    Floats = Ints = Any


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A sentence of a stream: `sentence.spans` are its hard labels (None: none), `soft` (words, tags) its soft ones."""

    sentence: Sentence
    soft: Floats | None = None
    weight: float = 1.0
    hard: Ints | None = None  # (words,) in place of the spans where these cannot say it: tag numbers, −100 for none


Group = tuple[Example, ...]  # sentences that must share a batch, such as a pair


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """Three streams of groups. A step draws `batch` sentences of each stream that holds any, in whole groups."""

    labelled: tuple[Group, ...] = ()
    paired: tuple[Group, ...] = ()
    unlabelled: tuple[Group, ...] = ()

    def __post_init__(self) -> None:
        """TypeError where a stream holds anything but groups of Examples, such as bare sentences."""
        for name, groups in self.streams().items():
            for group in groups:
                if not isinstance(group, tuple) or not all(isinstance(example, Example) for example in group):
                    held = f"{type(group).__name__}, not groups of Examples"
                    raise TypeError(f"TrainingSet.{name} holds {held}: singles(sentences) and pairs(pairs) make them")

    def streams(self) -> dict[str, tuple[Group, ...]]:
        """The streams that hold anything, by name."""
        every = {"labelled": self.labelled, "paired": self.paired, "unlabelled": self.unlabelled}
        return {name: groups for name, groups in every.items() if groups}

    def digest(self) -> str:
        """sha256 of everything that training reads: words, labels, languages, weights, grouping, order; not ids."""
        import numpy as np

        hasher = hashlib.sha256()
        for name, groups in self.streams().items():
            hasher.update(f"{name}\0{len(groups)}\0".encode())
            for group in groups:
                for example in group:
                    s = example.sentence
                    hasher.update(repr((s.language, s.words, s.spans, example.weight)).encode())
                    if example.soft is not None:
                        hasher.update(np.ascontiguousarray(example.soft, np.float32).tobytes())
                    hasher.update(b"" if example.hard is None else example.hard.astype(np.int64).tobytes())
                hasher.update(b"\1")
        return hasher.hexdigest()


def singles(sentences: Sequence[Sentence]) -> tuple[Group, ...]:
    """Each sentence a group of its own."""
    return tuple((Example(sentence),) for sentence in sentences)


def pairs(pairs_: Sequence[Pair]) -> tuple[Group, ...]:
    """Each translation pair a group: source first."""
    return tuple((Example(pair.source), Example(pair.target)) for pair in pairs_)


def pooled(pairs_: Sequence[Pair], source: Sequence[Sentence]) -> tuple[Group, ...]:
    """Each pair a group, then singly the source sentences that are in none: gold labels do not go with a translation
    that is missing or refused."""
    paired = {pair.source.id for pair in pairs_}
    return pairs(pairs_) + singles([sentence for sentence in source if sentence.id not in paired])


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """A batch on the device before the encoder has read it (see bench.core.subwords.Layout for the windows).

    Shapes, S sentences of at most N words, W windows of length L, C tags: `ids`, `mask`, `real` (W, L);
    `sentence` (W,); `words`, `word_mask`, `labels` (S, N), −100 where there is no label; `soft` (S, N, C) and
    `soft_mask` (S, N) or None; `weights`, `groups` (S,).
    """

    ids: Tensor
    mask: Tensor
    real: Tensor
    sentence: Tensor
    words: Tensor
    word_mask: Tensor
    labels: Tensor
    soft: Tensor | None
    soft_mask: Tensor | None
    weights: Tensor
    groups: Tensor
    sentences: tuple[Sentence, ...]
    tokens: int  # real sub-words

    @property
    def languages(self) -> tuple[str, ...]:
        return tuple(sentence.language for sentence in self.sentences)


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """A batch that the encoder has read; windows are stitched, so every word has its state, however long a sentence is.

    Shapes: `states` (S, N, H) last-layer state of each word's first sub-word; `vectors` (S, H) mean of the last layer
    over real sub-words; `logits` (S, N, C).
    """

    inputs: Inputs
    states: Tensor
    pooled: Tensor | Callable[[], Tensor]  # the vectors, or a function that makes them on demand
    logits: Tensor

    @property
    def vectors(self) -> Tensor:
        return self.pooled() if callable(self.pooled) else self.pooled


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One optimiser step: a batch of each stream that the training set has."""

    labelled: Batch | None
    paired: Batch | None
    unlabelled: Batch | None
    number: int  # from 0
    total: int


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """A named scalar of the loss and its weight; the runner weighs, sums and logs each."""

    name: str
    value: Tensor
    weight: float = 1.0


Losses = tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class EpochState:
    """Where training stands when `on_epoch` is called: after each pass over the labelled stream."""

    epoch: int
    step: int
    total: int


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """Spans of each sentence, and probabilities (words, tags) float32 of each."""

    spans: tuple[tuple[Span, ...], ...]
    probabilities: tuple[Floats, ...]
