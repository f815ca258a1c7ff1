"""The aligner `softmax`: words that are likely each other's translation in both directions (Dou & Neubig 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from bench.core.errors import require
from data_recipes.aligners._embedding import EmbeddingAligner, EmbeddingParams, UnitLinks, Vectors

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SoftmaxParams(EmbeddingParams):
    """[aligner.softmax]; the defaults are AWESoME-align's, except for the layer of encoders that are not 12 deep."""

    threshold: float = 0.001  # their c: both probabilities must be above it; 0 or more, below 1
    temperature: float = 1.0  # divides the dot products (ours)

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.threshold < 1, "threshold must be at least 0 and below 1")
        require(0 < self.temperature < float("inf"), "temperature must be above 0 and finite")


class Softmax(EmbeddingAligner):
    """AWESoME-align's probability thresholding (their section 2.1), on an encoder that is not tuned for it.

    Dot products of the vectors as they are, sub-word by sub-word; a softmax over the target for each source sub-word
    and one over the source for each target sub-word; sub-words are linked where both are above the threshold, words
    if any of their sub-words are. Special tokens take no part. Sentences longer than the encoder's window are read
    whole (ours). A word may have many links, and how many depends on how long the encoder's vectors are.
    """

    name = "softmax"
    version = 1
    cites = ("dou2021word",)
    Params: ClassVar[type] = SoftmaxParams

    def matched(self, source: Vectors, target: Vectors) -> UnitLinks:
        """Units whose probabilities are above the threshold in both directions."""
        params: SoftmaxParams = self.params
        forward, backward = probabilities(source, target, params.temperature)
        return np.nonzero((forward > params.threshold) & (backward > params.threshold))


def probabilities(source: Vectors, target: Vectors, temperature: float = 1.0) -> tuple[Doubles, Doubles]:
    """For (m, H) and (n, H): p(target | source), whose rows sum to 1, p(source | target), whose columns do; (m, n)."""
    scores = (source @ target.T).astype(np.float64) / temperature
    return _softmax(scores, 1), _softmax(scores, 0)


def _softmax(scores: npt.NDArray[Any], axis: int) -> Doubles:
    raised: Doubles = np.exp(scores - scores.max(axis=axis, keepdims=True))
    raised /= raised.sum(axis=axis, keepdims=True)
    return raised
