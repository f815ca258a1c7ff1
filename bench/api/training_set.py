"""What a method trains on: sentences with hard, soft or no labels, in groups that share a batch, in three streams."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.core.sentences import Pair, Sentence

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


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
    """Three streams of groups. A step draws `batch` sentences of each stream that is there, in whole groups."""

    labelled: tuple[Group, ...] = ()
    paired: tuple[Group, ...] = ()
    unlabelled: tuple[Group, ...] = ()

    def streams(self) -> dict[str, tuple[Group, ...]]:
        """The streams that hold anything, by name."""
        every = {"labelled": self.labelled, "paired": self.paired, "unlabelled": self.unlabelled}
        return {name: groups for name, groups in every.items() if groups}

    def digest(self) -> str:
        """sha256 of all that training reads: words, labels, languages, weights, grouping, order; not ids."""
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
