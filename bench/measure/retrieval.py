"""Translation retrieval: is a sentence's translation the nearest of all by cosine? (Accuracy@1, both ways.)"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.floating[Any]]
BLOCK = 1024  # rows of similarities in memory at a time


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
    left, right = _unit(first), _unit(second)
    return Retrieval(_found(left, right), _found(right, left))


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


def _unit(vectors: Vectors) -> Vectors:
    wide = vectors.astype(np.float64)  # equal rows stay equal, whatever the order of a sum in float32
    norms = np.linalg.norm(wide, axis=1, keepdims=True)
    norms[norms == 0] = 1
    return np.asarray(wide / norms)
