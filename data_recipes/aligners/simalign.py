"""The aligner `simalign`: words whose vectors in a multilingual encoder are most similar (Sabet et al. 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from bench.corpus import Aligner, BadInput, Embedded, Embedder, Link, Pair
from data_recipes.aligners._matching import Found, distorted, intersection, itermax, match, similarity, word_means

BLOCK = 512  # pairs whose vectors are in memory at a time


@dataclass(frozen=True)
class SimalignParams:
    """[aligner.simalign]; the defaults are those of the package `simalign`, but for the layer of deep encoders."""

    matching: Literal["intersection", "itermax", "match"] = "itermax"  # theirs: inter, itermax, mwmf
    level: Literal["subword", "word"] = "subword"  # word: the mean of its sub-words
    layer: Literal["auto"] | int = "auto"  # auto: the recipe's align_layer, else two thirds of the depth
    distortion: float = 0.0  # how much a pair of words off the diagonal loses, 0 to 1
    max_count: int = 2  # itermax: rounds of argmax
    alpha_ratio: float = 0.9  # itermax: what a similarity counts when one of the two words has a link

    def __post_init__(self) -> None:
        if self.layer != "auto" and self.layer < 0:
            raise ValueError("layer must be auto or at least 0")
        if not 0 <= self.distortion <= 1:
            raise ValueError("distortion must be between 0 and 1")
        if self.max_count < 1:
            raise ValueError("max_count must be at least 1")
        if not 0 < self.alpha_ratio <= 1:
            raise ValueError("alpha_ratio must be above 0 and at most 1")


class Simalign(Aligner):
    """The package's links from vectors that the harness embeds in batches.

    Sub-words (or words) are matched, and words linked that hold matched sub-words. A word that the tokenizer drops has
    no link. Unlike the package, sentences longer than the encoder's window are read whole (ours).
    """

    name = "simalign"
    Params: ClassVar[type] = SimalignParams
    embeds = True

    def layer(self, embedder: Embedder) -> int:
        """The layer asked for, or `auto`'s.

        Raises:
            BadInput: the encoder has no such layer.
        """
        params: SimalignParams = self.params
        layer = super().layer(embedder) if params.layer == "auto" else params.layer
        if not 0 <= layer <= embedder.layers:
            raise BadInput(f"aligner simalign: layer {layer}, but the encoder has layers 0 to {embedder.layers}")
        return layer

    def align(self, pairs: Sequence[Pair]) -> list[tuple[Link, ...]]:
        """Links of each pair, sorted; none where a side has no words.

        Raises:
            BadInput: there is no encoder, or it has no such layer.
        """
        if self.embedder is None:
            raise BadInput("aligner simalign: it embeds sentences and needs an encoder (labels.aligner_encoder)")
        layer = self.layer(self.embedder)
        links: list[tuple[Link, ...]] = [()] * len(pairs)
        # neighbours of like length fill batches well, and equal sources share a block
        order = sorted(range(len(pairs)), key=lambda i: (len(pairs[i].source.words), pairs[i].source.words))
        for start in range(0, len(order), BLOCK):
            block = order[start : start + BLOCK]
            sides = [pairs[i].source.words for i in block] + [pairs[i].target.words for i in block]
            embedded = self.embedder.embed(sides, layer)
            for i, source, target in zip(block, embedded, embedded[len(block) :], strict=False):
                links[i] = links_of(source, target, self.params)
        return links


def links_of(source: Embedded, target: Embedded, params: SimalignParams) -> tuple[Link, ...]:
    """Sorted links of one pair of embedded sentences."""
    if not len(source.words) or not len(target.words):
        return ()
    (x, of_x), (y, of_y) = source, target
    if params.level == "word":
        (x, of_x), (y, of_y) = word_means(x, of_x), word_means(y, of_y)
    rows, columns = matched(distorted(similarity(x, y), params.distortion), params)
    return tuple(sorted(set(zip(of_x[rows].tolist(), of_y[columns].tolist(), strict=True))))


def matched(matrix: np.ndarray[Any, Any], params: SimalignParams) -> Found:
    """The cells that the matching of the parameters chooses."""
    if params.matching == "intersection":
        return intersection(matrix)
    if params.matching == "itermax":
        return itermax(matrix, params.max_count, params.alpha_ratio)
    return match(matrix)
