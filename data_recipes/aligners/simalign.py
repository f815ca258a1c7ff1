"""The aligner `simalign`: words whose vectors in a multilingual encoder are most similar (Sabet et al. 2020)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from bench.api.recipes import Embedded
from bench.core.sentences import Link
from data_recipes.aligners._embedding import EmbeddingAligner, EmbeddingParams, units, word_links
from data_recipes.aligners._matching import Found, distorted, intersection, itermax, match, similarity


@dataclass(frozen=True)
class SimalignParams(EmbeddingParams):
    """[aligner.simalign]; the defaults are those of the package `simalign`, but for the layer of deep encoders."""

    matching: Literal["intersection", "itermax", "match"] = "itermax"  # theirs: inter, itermax, mwmf
    distortion: float = 0.0  # how much a pair of words off the diagonal loses, 0 to 1
    max_count: int = 2  # itermax: rounds of argmax
    alpha_ratio: float = 0.9  # itermax: what a similarity counts when one of the two words has a link

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.distortion <= 1:
            raise ValueError("distortion must be between 0 and 1")
        if self.max_count < 1:
            raise ValueError("max_count must be at least 1")
        if not 0 < self.alpha_ratio <= 1:
            raise ValueError("alpha_ratio must be above 0 and at most 1")


class Simalign(EmbeddingAligner):
    """The package's links from vectors that the harness embeds in batches.

    Sub-words (or words) are matched, and words linked that hold matched sub-words. A word that the tokenizer drops has
    no link. Unlike the package, sentences longer than the encoder's window are read whole (ours).
    """

    name = "simalign"
    Params: ClassVar[type] = SimalignParams

    def links_of(self, source: Embedded, target: Embedded) -> tuple[Link, ...]:
        """Sorted links of one pair of embedded sentences."""
        return links_of(source, target, self.params)


def links_of(source: Embedded, target: Embedded, params: SimalignParams) -> tuple[Link, ...]:
    """Sorted links of one pair of embedded sentences."""
    if not len(source.words) or not len(target.words):
        return ()
    (x, of_x), (y, of_y) = units(source, params.level), units(target, params.level)
    return word_links(matched(distorted(similarity(x, y), params.distortion), params), of_x, of_y)


def matched(matrix: np.ndarray[Any, Any], params: SimalignParams) -> Found:
    """The cells that the matching of the parameters chooses."""
    if params.matching == "intersection":
        return intersection(matrix)
    if params.matching == "itermax":
        return itermax(matrix, params.max_count, params.alpha_ratio)
    return match(matrix)
