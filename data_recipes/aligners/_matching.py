"""simalign's matchings of a similarity matrix (Sabet et al. 2020, section 3), without its loops; the same links."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.floating[Any]]
Vectors = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Found = tuple[Any, ...]  # index arrays of the links: rows, columns


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


def intersection(matrix: Matrix) -> Found:
    """Cells that are the first maximum of both their row and their column (Argmax)."""
    rows, columns = np.arange(matrix.shape[0]), matrix.argmax(axis=1)
    mutual = matrix.argmax(axis=0)[columns] == rows
    return rows[mutual], columns[mutual]


def itermax(matrix: Matrix, max_count: int, alpha_ratio: float) -> Found:
    """Argmax, then again on what is left, at most `max_count` times in all (Itermax).

    Rows and columns that have a link count `alpha_ratio`; a cell of which both have one is out.
    """
    found = np.zeros(matrix.shape, bool)
    found[intersection(matrix)] = True
    if min(matrix.shape) <= 2:
        return np.nonzero(found)
    weights = np.asarray([min(2 * alpha_ratio, 1.0), alpha_ratio, 0.0])
    for _ in range(1, max_count):
        row, column = found.max(axis=1, keepdims=True), found.max(axis=0, keepdims=True)
        if row.all() or column.all():
            break
        linked = row.astype(np.int64) + column  # how many of the two have a link
        rows, columns = intersection(matrix * weights[linked])
        new = linked[rows, columns] < 2
        if not new.any():
            break
        found[rows[new], columns[new]] = True
    return np.nonzero(found)


def match(matrix: Matrix) -> Found:
    """The one-to-one links of the smaller side that sum to the most (Match): exactly, not by simalign's search."""
    from scipy.optimize import linear_sum_assignment  # a third of a second that no plan should wait for

    return tuple(linear_sum_assignment(matrix, maximize=True))


def word_means(vectors: Vectors, words: Ints) -> tuple[Vectors, Ints]:
    """Mean vector of each word that has pieces, and which word it is."""
    starts = np.flatnonzero(np.diff(words, prepend=-1))
    means: Vectors = np.add.reduceat(vectors, starts, axis=0)
    means /= np.diff(starts, append=len(words))[:, None]
    return means, words[starts]
