"""Aligners over an encoder's vectors: choice of layer and units, embedding in blocks, from sub-words to words."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from bench.api.recipes import Aligner, Embedded, Embedder
from bench.core.errors import BadInput, require
from bench.core.sentences import Link, Pair

BLOCK = 512  # pairs whose vectors are in memory at a time

Level = Literal["subword", "word"]
Vectors = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
UnitLinks = tuple[Any, ...]  # index arrays of the links: rows, columns


@dataclass(frozen=True)
class EmbeddingParams:
    """Which units and which layer are embedded."""

    level: Level = "subword"  # word: the mean of its sub-words
    layer: Literal["auto"] | int = "auto"  # auto: the recipe's align_layer, else two thirds of the depth

    def __post_init__(self) -> None:
        require(self.layer == "auto" or self.layer >= 0, "layer must be auto or at least 0")


class EmbeddingAligner(Aligner):
    """Links from vectors that the harness embeds in batches; a word that the tokenizer drops has none.

    A pair's links do not depend on other pairs: text can be aligned in parts.
    """

    Params: ClassVar[type] = EmbeddingParams
    embeds = True
    streams = True

    def layer(self, embedder: Embedder) -> int:
        """The layer asked for, or `auto`'s. BadInput where the encoder has no such layer."""
        params: EmbeddingParams = self.params
        layer = super().layer(embedder) if params.layer == "auto" else params.layer
        if not 0 <= layer <= embedder.layers:
            raise BadInput(f"aligner {self.name}: layer {layer}, but the encoder has layers 0 to {embedder.layers}")
        return layer

    def align(self, pairs: Sequence[Pair]) -> list[tuple[Link, ...]]:
        """Links of each pair, sorted; none where a side has no words.

        Raises:
            BadInput: there is no encoder, or it has no such layer.
        """
        if self.embedder is None:
            raise BadInput(f"aligner {self.name}: it embeds sentences and needs an encoder (labels.aligner_encoder)")
        layer = self.layer(self.embedder)
        links: list[tuple[Link, ...]] = [()] * len(pairs)
        # neighbours of like length fill batches well, and equal sources share a block
        order = sorted(range(len(pairs)), key=lambda i: (len(pairs[i].source.words), pairs[i].source.words))
        for start in range(0, len(order), BLOCK):
            block = order[start : start + BLOCK]
            sides = [pairs[i].source.words for i in block] + [pairs[i].target.words for i in block]
            embedded = self.embedder.embed(sides, layer)
            for i, source, target in zip(block, embedded, embedded[len(block) :], strict=False):
                links[i] = self.links_of(source, target)
        return links

    def links_of(self, source: Embedded, target: Embedded) -> tuple[Link, ...]:
        """Sorted links of the words that hold the matched units of one pair of embedded sentences."""
        if not len(source.words) or not len(target.words):
            return ()
        (x, of_x), (y, of_y) = units(source, self.params.level), units(target, self.params.level)
        rows, columns = self.matched(x, y)
        return tuple(sorted(set(zip(of_x[rows].tolist(), of_y[columns].tolist(), strict=True))))

    @abstractmethod
    def matched(self, source: Vectors, target: Vectors) -> UnitLinks:
        """Which units of (m, H) and (n, H), none of them empty, belong together."""


def units(sentence: Embedded, level: Level) -> tuple[Vectors, Ints]:
    """The vectors (n, H) that are matched, and the word of each (n,); words: the means of their pieces."""
    if level == "subword":
        return sentence.vectors, sentence.words
    starts = np.flatnonzero(np.diff(sentence.words, prepend=-1))
    means: Vectors = np.add.reduceat(sentence.vectors, starts, axis=0)
    means /= np.diff(starts, append=len(sentence.words))[:, None]
    return means, sentence.words[starts]
