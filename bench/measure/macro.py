"""A difference of two F1 averaged over languages: seeds and sentences crossed, languages fixed (DESIGN.md §7)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.measure.spread import Spread
from bench.measure.statistics import MIN_SEEDS, Difference, f1_and_influence

Counts = NDArray[np.integer]  # (seeds, sentences, 3) of tp, fp, fn
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Clusters:
    """Which sentences of several languages move together: a number for each, those of one name the same."""

    sizes: tuple[int, ...]  # sentences by language
    number: NDArray[np.int64]
    count: int

    @classmethod
    def of(cls, names: Sequence[Sequence[str]]) -> Clusters:
        """From the name of each sentence of each language, "" where it stands alone."""
        places: dict[str, int] = {}
        every = enumerate(name for of_language in names for name in of_language)
        number = [places.setdefault(name or f"\0{column}", len(places)) for column, name in every]
        return cls(tuple(map(len, names)), np.asarray(number, np.int64), len(places))

    def added(self, moves: Floats) -> Floats:
        """Columns (rows, sentences) of one number added up."""
        if self.count == moves.shape[1]:
            return moves  # in this order, since numbers are given as they come
        return np.stack([np.bincount(self.number, row, self.count) for row in moves])


@dataclass(frozen=True)
class Side:
    """One system over all languages, prepared once for many comparisons: a difference of two is that of their parts.

    `f1` is the macro F1 by seed (seeds,); `moves` (seeds + 1, clusters) what a cluster of sentences moves the macro
    mean: by seed beyond the seed's and the sentences' own effect (the residual), and last the sentences' own effect.
    """

    f1: Floats
    moves: Floats
    shapes: tuple[tuple[int, int], ...]  # seeds and sentences by language

    @classmethod
    def of(cls, counts: Sequence[Counts], clusters: Clusters | None = None) -> Side:
        """From counts by language, each (seeds, sentences, 3); ValueError as `macro_difference`."""
        shapes = _checked(counts, clusters)
        f1, moves = np.zeros(shapes[0][0]), []
        for one, (_, n) in zip(counts, shapes, strict=True):
            of_language, influences = f1_and_influence(one)
            f1 += of_language / len(counts)
            beyond = n * influences  # its rows sum to 0
            of_sentence = beyond.mean(axis=0)
            scale = math.sqrt(n / (n - 1)) / (len(counts) * n)
            moves.append(scale * np.vstack([beyond - of_sentence, of_sentence]))
        together = np.concatenate(moves, axis=1)
        return cls(f1, together if clusters is None else clusters.added(together), shapes)


def macro_difference(a: Sequence[Counts], b: Sequence[Counts], clusters: Clusters | None = None) -> Difference:
    """Mean over languages of mean F1 of `a` minus that of `b`, in fractions; with one language, `difference`.

    The variance is that of `bench.measure.statistics`, *ours* in how it spreads over languages: the seeds' part is the
    variance of the macro difference from seed to seed, which holds whatever correlation a seed gives to languages; the
    sentences' part adds up what each sentence moves the macro mean, after its language's mean is taken off. Sentences
    with one name in `clusters` (the sides of a parallel test) move together: their parts are added before they are
    squared. Degrees of freedom of the sentences: those of the smallest test, which is cautious.

    Args:
        a, b: counts by language, each (seeds, sentences, 3), the same seeds in the same order everywhere.
        clusters: None where every sentence stands alone.

    Raises:
        ValueError: no language; shapes of a and b differ; seeds or names do not fit; a test of one sentence.
    """
    return difference_of_sides(Side.of(a, clusters), Side.of(b, clusters))


def difference_of_sides(a: Side, b: Side) -> Difference:
    """`macro_difference` of what was prepared, with the same clusters; ValueError where they do not pair."""
    if a.shapes != b.shapes or a.moves.shape != b.moves.shape:
        sizes = f"{len(a.shapes)} and {len(b.shapes)} languages"
        raise ValueError(f"counts of {sizes} cannot be paired by seed and sentence")
    by_seed, moves = a.f1 - b.f1, a.moves - b.moves
    seeds = len(by_seed)
    of_sentences = float(moves[-1] @ moves[-1])
    smallest = min(sentences for _, sentences in a.shapes) - 1
    spread = Spread(0.0, 0, of_sentences, smallest)
    if seeds >= MIN_SEEDS:
        of_residual = float(np.vdot(moves[:-1], moves[:-1])) / (seeds * (seeds - 1))
        spread = Spread(float(by_seed.var(ddof=1)) / seeds, seeds - 1, of_sentences, smallest, of_residual)
    return Difference(float(by_seed.mean()), spread, seeds)


def _checked(counts: Sequence[Counts], clusters: Clusters | None) -> tuple[tuple[int, int], ...]:
    """Seeds and sentences by language."""
    if not counts or any(one.ndim != 3 or one.shape[2] != 3 or one.shape[1] < 2 for one in counts):
        raise ValueError("counts are not (seeds, sentences, 3) by language, with 2 sentences at least")
    if len({len(one) for one in counts}) > 1:
        raise ValueError("counts have not the same seeds everywhere")
    if clusters is not None and list(clusters.sizes) != [one.shape[1] for one in counts]:
        raise ValueError("clusters must name each sentence of each language")
    return tuple((len(one), one.shape[1]) for one in counts)
