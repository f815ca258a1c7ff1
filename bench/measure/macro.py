"""A difference of two F1 averaged over languages: seeds and sentences crossed, languages fixed (DESIGN.md §7)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.measure.spread import Spread
from bench.measure.statistics import MIN_SEEDS, Difference, difference_of, f1_by_seed, influence

Counts = NDArray[np.integer]  # (seeds, sentences, 3) of tp, fp, fn
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Side:
    """One system on one language: micro-F1 by seed (seeds,), and its sentences' influence on it (seeds, sentences)."""

    f1: Floats
    influence: Floats

    @classmethod
    def of(cls, counts: Counts) -> Side:
        """From counts (seeds, sentences, 3); ValueError if that is not their shape or there is but one sentence."""
        if counts.ndim != 3 or counts.shape[2] != 3 or counts.shape[1] < 2:
            raise ValueError("counts are not (seeds, sentences, 3) with 2 sentences at least")
        return cls(f1_by_seed(counts), influence(counts))


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


def macro_difference(
    a: Sequence[Counts], b: Sequence[Counts], clusters: Sequence[Sequence[str]] | None = None, level: float = 0.95
) -> Difference:
    """Mean over languages of mean F1 of `a` minus that of `b`, in fractions; with one language, `difference`.

    The variance is that of `bench.measure.statistics`, *ours* in how it spreads over languages: the seeds' part is the
    variance of the macro difference from seed to seed, which holds whatever correlation a seed gives to languages; the
    sentences' part adds up what each sentence moves the macro mean, after its language's mean is taken off. Sentences
    with one name in `clusters` (the sides of a parallel test) move together: their parts are added before they are
    squared. Degrees of freedom of the sentences: those of the smallest test, which is cautious.

    Args:
        a, b: counts by language, each (seeds, sentences, 3), the same seeds in the same order everywhere.
        clusters: by language the name of each sentence, "" where it stands alone; None where all do.

    Raises:
        ValueError: no language; shapes of a and b differ; seeds or names do not fit; a test of one sentence.
    """
    sides = [[Side.of(counts) for counts in side] for side in (a, b)]
    return difference_of_sides(sides[0], sides[1], None if clusters is None else Clusters.of(clusters), level)


def difference_of_sides(
    a: Sequence[Side], b: Sequence[Side], clusters: Clusters | None = None, level: float = 0.95
) -> Difference:
    """`macro_difference` of what was prepared once for many comparisons."""
    seeds, languages = _checked(a, b, clusters)
    by_seed = np.zeros(seeds)
    moves: list[Floats] = []  # (seeds + 1, sentences) a language: residuals by seed, then the sentence's
    for first, second in zip(a, b, strict=True):
        n = first.influence.shape[1]
        gains = first.f1 - second.f1
        by_seed += gains / languages
        values = gains[:, None] + n * (first.influence - second.influence)
        of_sentence = values.mean(axis=0)
        residual = values - gains[:, None] - of_sentence + values.mean()
        scale = math.sqrt(n / (n - 1)) / (languages * n)
        moves.append(scale * np.vstack([residual, of_sentence - values.mean()]))
    together = np.concatenate(moves, axis=1)
    if clusters is not None:
        together = clusters.added(together)
    of_sentences = float((together[-1] ** 2).sum())
    smallest = min(side.influence.shape[1] for side in a) - 1
    spread = Spread(0.0, 0, of_sentences, smallest)
    if seeds >= MIN_SEEDS:
        of_residual = float((together[:-1] ** 2).sum()) / (seeds * (seeds - 1))
        spread = Spread(float(by_seed.var(ddof=1)) / seeds, seeds - 1, of_sentences, smallest, of_residual)
    return difference_of(float(by_seed.mean()), spread, seeds, level)


def _checked(a: Sequence[Side], b: Sequence[Side], clusters: Clusters | None) -> tuple[int, int]:
    sizes = [[side.influence.shape for side in sides] for sides in (a, b)]
    if not a or sizes[0] != sizes[1]:
        raise ValueError(f"counts of {len(a)} and {len(b)} languages cannot be paired by seed and sentence")
    if len({seeds for seeds, _ in sizes[0]}) > 1:
        raise ValueError("counts have not the same seeds everywhere")
    if clusters is not None and list(clusters.sizes) != [sentences for _, sentences in sizes[0]]:
        raise ValueError("clusters must name each sentence of each language")
    return len(a[0].f1), len(a)
