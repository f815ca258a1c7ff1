"""A difference of two F1 averaged over languages: seeds and sentences crossed, languages fixed (DESIGN.md §7)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from bench.measure.statistics import MIN_SEEDS, Difference, What, f1_by_seed, influence

Counts = NDArray[np.integer]  # (seeds, sentences, 3) of tp, fp, fn


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
    seeds, languages = _checked(a, b, clusters)
    by_seed = np.zeros(seeds)
    moves: list[NDArray[np.float64]] = []  # (seeds + 1, sentences) a language: residuals by seed, then the sentence's
    for first, second in zip(a, b, strict=True):
        n = first.shape[1]
        gains = f1_by_seed(first) - f1_by_seed(second)
        by_seed += gains / languages
        values = gains[:, None] + n * (influence(first) - influence(second))
        of_sentence = values.mean(axis=0)
        residual = values - gains[:, None] - of_sentence + values.mean()
        scale = math.sqrt(n / (n - 1)) / (languages * n)
        moves.append(scale * np.vstack([residual, of_sentence - values.mean()]))
    together = _added(np.concatenate(moves, axis=1), clusters)
    of_sentences = float((together[-1] ** 2).sum())
    smallest = min(counts.shape[1] for counts in a) - 1
    variance, df = of_sentences, float(smallest)
    se_seeds: float | None = None
    what: What = "test sentences only"
    if seeds >= MIN_SEEDS:
        of_seeds = float(by_seed.var(ddof=1)) / seeds
        of_residual = float((together[:-1] ** 2).sum()) / (seeds * (seeds - 1))
        se_seeds, what = math.sqrt(of_seeds), "seeds and test sentences"
        variance, df = of_seeds, seeds - 1.0
        if of_sentences > of_residual:
            variance = of_seeds + of_sentences - of_residual
            free = of_sentences**2 / smallest + of_residual**2 / (smallest * (seeds - 1))
            df = variance**2 / (of_seeds**2 / (seeds - 1) + free)
    mean, se = float(by_seed.mean()), math.sqrt(variance)
    half = float(stats.t.ppf((1 + level) / 2, df)) * se
    p = None if seeds < MIN_SEEDS else _p_value(mean, se, df)
    low, high = max(-1.0, mean - half), min(1.0, mean + half)
    return Difference(mean, low, high, p, se, se_seeds, math.sqrt(of_sentences), df, seeds, what)


def _checked(a: Sequence[Counts], b: Sequence[Counts], clusters: Sequence[Sequence[str]] | None) -> tuple[int, int]:
    if not a or [x.shape for x in a] != [x.shape for x in b]:
        raise ValueError(f"counts of {len(a)} and {len(b)} languages cannot be paired by seed and sentence")
    if len({x.shape[0] for x in a}) > 1 or any(x.ndim != 3 or x.shape[2] != 3 or x.shape[1] < 2 for x in a):
        raise ValueError("counts are not (seeds, sentences, 3) with the same seeds and 2 sentences at least everywhere")
    if clusters is not None and [len(names) for names in clusters] != [x.shape[1] for x in a]:
        raise ValueError("clusters must name each sentence of each language")
    return a[0].shape[0], len(a)


def _added(moves: NDArray[np.float64], clusters: Sequence[Sequence[str]] | None) -> NDArray[np.float64]:
    """Columns of one name added up."""
    if clusters is None:
        return moves
    places: dict[str, int] = {}
    index = np.empty(moves.shape[1], np.int64)
    for column, name in enumerate(name for names in clusters for name in names):
        index[column] = places.setdefault(name or f"\0{column}", len(places))
    added = np.zeros((len(moves), len(places)))
    np.add.at(added.T, index, moves.T)
    return added


def _p_value(mean: float, se: float, df: float) -> float:
    if se == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * stats.t.sf(abs(mean) / se, df))
