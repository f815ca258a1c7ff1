"""The aligner `simalign`: words whose vectors in a multilingual encoder are most similar (Sabet et al. 2020)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from bench.core.errors import require
from data_recipes.aligners._embedding import EmbeddingAligner, EmbeddingParams, UnitLinks, Vectors

Matrix = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class SimalignParams(EmbeddingParams):
    """[aligner.simalign]; the defaults are those of the package `simalign`, but for the layer of deep encoders."""

    matching: Literal["intersection", "itermax", "match"] = "itermax"  # theirs: inter, itermax, mwmf
    distortion: float = 0.0  # penalty of pairs of words off the diagonal, 0 to 1
    max_count: int = 2  # itermax: rounds of argmax
    alpha_ratio: float = 0.9  # itermax: weight of a similarity when one of the two words has a link

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.distortion <= 1, "distortion must be between 0 and 1")
        require(self.max_count >= 1, "max_count must be at least 1")
        require(0 < self.alpha_ratio <= 1, "alpha_ratio must be above 0 and at most 1")


class Simalign(EmbeddingAligner):
    """The package's links from vectors that the harness embeds in batches.

    Sub-words (or words) are matched, and words linked that hold matched sub-words. A word that the tokenizer drops has
    no link. Unlike the package, sentences longer than the encoder's window are read whole (ours).
    """

    name = "simalign"
    version = 1
    cites = ("sabet2020simalign",)
    Params: ClassVar[type] = SimalignParams

    def matched(self, source: Vectors, target: Vectors) -> UnitLinks:
        """The units that `matching` links."""
        params: SimalignParams = self.params
        matrix = distorted(similarity(source, target), params.distortion)
        if params.matching == "itermax":
            return itermax(matrix, params.max_count, params.alpha_ratio)
        return intersection(matrix) if params.matching == "intersection" else match(matrix)


# --- the package's matchings of a similarity matrix (section 3), without its loops; the same links --------------------


def similarity(source: Vectors, target: Vectors) -> Vectors:
    """(1 + cosine) / 2 of the rows of (m, H) and (n, H): (m, n), from 0 to 1."""
    cosine: Vectors = _unit(source) @ _unit(target).T
    return (cosine + np.float32(1)) / np.float32(2)  # in this form: simalign's ties are ours


def _unit(vectors: Vectors) -> Vectors:
    norms: Vectors = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))[:, None]
    norms[norms == 0] = 1
    return vectors / norms


def distorted(matrix: Matrix, ratio: float) -> Matrix:
    """Similarities made smaller the further two positions are off the diagonal (their section 3.4); 0 changes none."""
    m, n = matrix.shape
    if min(m, n) < 2 or ratio == 0:
        return matrix
    off = np.arange(n) / (n - 1.0) - (np.arange(m) / (m - 1.0))[:, None]
    weighted: Matrix = matrix * (1.0 - off**2 * ratio)
    return weighted


def intersection(matrix: Matrix) -> UnitLinks:
    """Cells that are the first maximum of both their row and their column (Argmax)."""
    rows, columns = np.arange(matrix.shape[0]), matrix.argmax(axis=1)
    mutual = matrix.argmax(axis=0)[columns] == rows
    return rows[mutual], columns[mutual]


def itermax(matrix: Matrix, max_count: int, alpha_ratio: float) -> UnitLinks:
    """Argmax, then again on the remaining cells, at most `max_count` times in all (Itermax).

    A cell whose row or column has a link is weighted by `alpha_ratio`; if both have one, it is excluded.
    """
    linked_cells = np.zeros(matrix.shape, bool)
    linked_cells[intersection(matrix)] = True
    if min(matrix.shape) <= 2:
        return np.nonzero(linked_cells)
    weights = np.asarray([min(2 * alpha_ratio, 1.0), alpha_ratio, 0.0])
    for _ in range(1, max_count):
        row, column = linked_cells.max(axis=1, keepdims=True), linked_cells.max(axis=0, keepdims=True)
        if row.all() or column.all():
            break
        linked = row.astype(np.int64) + column  # how many of the two have a link
        rows, columns = intersection(matrix * weights[linked])
        new = linked[rows, columns] < 2
        if not new.any():
            break
        linked_cells[rows[new], columns[new]] = True
    return np.nonzero(linked_cells)


def match(matrix: Matrix) -> UnitLinks:
    """The one-to-one links of the smaller side that sum to the most (Match): exactly, not by simalign's search."""
    from scipy.optimize import linear_sum_assignment  # takes a third of a second, which plans must not wait for

    return tuple(linear_sum_assignment(matrix, maximize=True))
