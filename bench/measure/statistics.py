"""The uncertainty of F1 and of differences: seeds and test sentences are crossed random effects.

Every seed is scored on the same test sentences, so a new seed changes all sentences and a new sentence all seeds.
Micro-F1 is made additive by its influence values; then F1 of seed r and sentence i obeys

    Y[r, i] = mean + seed[r] + sentence[i] + residual[r, i]

and the mean's variance is the random-effects one of a two-way layout with one value a cell (Searle, Casella and
McCulloch, Variance Components, 1992, chapter 4):

    Var(mean) = (MS_seeds + MS_sentences - MS_residual) / (seeds * sentences).

Counts are (seeds, sentences, 3) of tp, fp, fn, types summed. F1, means and errors are fractions, 0 to 1.

The variance of the mean is the seeds' part plus the sentences' part beyond the residual. With three seeds the first is
hardly known. Satterthwaite's degrees of freedom (Biometrics Bulletin 2, 1946) treat the sum as one mean square, and
reject up to 7.8 of 100 true nulls instead of 5; generalised inference (Weerahandi, Journal of the American Statistical
Association 88, 1993), which averages p over the possible values of the seeds' part, rejects as few as 2.4. Each is
exact if only one part varies, and in between they err in opposite directions. So p is *ours*: the mean of the two,
weighted by the seeds' share of the variance, and never below the t test's over the seeds alone, as variation among
sentences cannot add certainty. It rejects 4.2 to 5.1 of 100 with 3 seeds and 4.6 to 5.0 with 5, whatever the true share
(by integration, `tests/measure/test_spread.py`; by simulation of F1, `tests/studies/intervals.py`).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import chdtri, gammaincinv, stdtr, stdtrit

Floats = NDArray[np.float64]
What = Literal["test sentences only", "seeds and test sentences"]
_NODES = 64
_CUT = 1e-13  # probability left out at either end
_CLOSE = 1e-8  # relative error of an interval's width


@dataclass(frozen=True)
class Spread:
    """The mean squares of a two-way layout, each over its number of cells: their parts of the mean's variance.

    `seeds` and its degrees of freedom are 0 if seeds are not part of the variance; then `residual` is 0, too. Both
    `seeds` and `sentences` hold the residual, so that they add up to more than the square of `se`.
    """

    seeds: float
    df_seeds: int
    sentences: float
    df_sentences: int
    residual: float = 0.0

    @property
    def rest(self) -> float:
        """The sentences' part beyond the residual, which the seeds' part holds already; at least 0.

        Where all seeds have the same mean, the seeds' part is 0 and holds nothing.
        """
        return max(0.0, self.sentences - (self.residual if self.seeds else 0.0))

    @property
    def se(self) -> float:
        """Standard error of the mean."""
        return math.sqrt(self.seeds + self.rest)

    @property
    def what(self) -> What:
        """The sources of the variance."""
        return "seeds and test sentences" if self.df_seeds else "test sentences only"

    def with_seeds(self, number: int) -> Spread:
        """The spread to be expected with this many seeds, at least 2: what the test sentences alone add stays.

        Raises:
            ValueError: the variance of seeds is not known, or the number is below 2.
        """
        if not self.df_seeds or number < 2:
            raise ValueError(f"no spread to be expected of {number} seeds from {self.df_seeds} degrees of freedom")
        ratio = (self.df_seeds + 1) / number
        residual = ratio * self.residual
        sentences = max(0.0, self.sentences - self.residual + residual)
        return Spread(ratio * self.seeds, number - 1, sentences, self.df_sentences, residual)

    def p_value(self, mean: float) -> float:
        """Two-sided p of a true mean of 0; if nothing varies, 1 for a mean of 0 and 0 otherwise."""
        if self.se == 0:
            return 1.0 if mean == 0 else 0.0
        return self._tail(abs(mean))

    def half_width(self, level: float) -> float:
        """Half the width of the confidence interval: the mean whose p is 1 - level.

        Raises:
            ValueError: the level is not between 0 and 1.
        """
        if not 0 < level < 1:
            raise ValueError(f"level {level} is not between 0 and 1")
        if self.se == 0:
            return 0.0

        def above(half: float) -> float:  # the logarithm of p is nearly a straight line, which takes few steps
            return math.log(self._tail(half)) - math.log(1 - level)

        low = 0.0
        if self.seeds:  # p is never below the t test's over the seeds alone
            low = -math.sqrt(self.seeds) * float(stdtrit(self.df_seeds, (1 - level) / 2))
            if above(low) <= _CLOSE:
                return low
        high = max(low, 2 * self.se)
        while above(high) > 0:
            low, high = high, 2 * high
        return float(brentq(above, low, high, rtol=_CLOSE))

    def _tail(self, mean: float) -> float:
        """Two-sided p of a mean above 0."""
        of_seeds_alone = 2 * float(stdtr(self.df_seeds, -mean / math.sqrt(self.seeds))) if self.seeds else 0.0
        if not self.rest:
            return of_seeds_alone
        variance = self.seeds + self.rest
        share = self.seeds / variance
        # of the sentences' part: squared mean squares over degrees of freedom
        free = (self.sentences**2 + self.residual**2 / max(1, self.df_seeds)) / self.df_sentences
        of_seeds = self.seeds**2 / self.df_seeds if self.seeds else 0.0
        # the sentences' own mean square where the seeds' came out smaller than the residual that it holds
        df = max(variance, self.sentences) ** 2 / (of_seeds + free)
        p = (1 - share) * 2 * float(stdtr(df, -mean / math.sqrt(variance)))
        if share:
            nodes, weights = _chi_square(self.df_seeds)
            drawn = self.seeds * self.df_seeds / nodes + self.rest
            dfs = np.maximum(drawn, self.sentences) ** 2 / free
            p += share * float(weights @ (2 * stdtr(dfs, -mean / np.sqrt(drawn))))
        return max(p, of_seeds_alone)


@functools.cache
def _chi_square(df: int) -> tuple[Floats, Floats]:
    """Nodes and weights of the mean over a chi-square variable: the trapezoidal rule on its logarithm."""
    logs = np.linspace(math.log(2 * gammaincinv(df / 2, _CUT)), math.log(chdtri(df, _CUT)), _NODES)
    nodes = np.exp(logs)
    weights = np.exp(df / 2 * logs - nodes / 2 - df / 2 * (math.log(df) - 1))  # 1 at its highest
    return nodes, weights / weights.sum()


Counts = NDArray[np.integer]  # (seeds, sentences, 3) of tp, fp, fn
MIN_SEEDS = 3  # below it the variance of seeds is not estimated and nothing is tested


@dataclass(frozen=True)
class Estimate:
    """Mean F1 over seeds, or a difference of two, paired, and how sure it is."""

    mean: float
    spread: Spread
    seeds: int
    paired: bool = False

    def limits(self, level: float = 0.95) -> tuple[float, float]:
        """Confidence limits, clipped to what an F1 or a difference can be; ValueError for a level not in (0, 1)."""
        half = self.spread.half_width(level)
        return max(-1.0 if self.paired else 0.0, self.mean - half), min(1.0, self.mean + half)

    @property
    def p(self) -> float | None:
        """Two-sided; None below 3 seeds: no test. Where nothing varies, 1 for a mean of 0 and 0 otherwise."""
        return self.spread.p_value(self.mean) if self.spread.df_seeds else None


def f1_by_seed(counts: Counts) -> Floats:
    """Micro F1 of each seed (seeds,) from counts (seeds, sentences, 3); 0/0 is 0."""
    return f1_and_influence(counts)[0]


def f1_and_influence(counts: Counts) -> tuple[Floats, Floats]:
    """`f1_by_seed`, and the influence of each sentence on its seed's micro-F1: (seeds, sentences), rows sum to 0.

    F1 = N/D with N = 2 tp and D = 2 tp + fp + fn summed over sentences. The derivative of F1 by the weight of sentence
    i is (n_i - F1 d_i) / D (infinitesimal jackknife; Efron, The Jackknife, the Bootstrap and Other Resampling Plans,
    1982, chapter 6). Where D is 0 the influences are 0.
    """
    if counts.ndim != 3 or counts.shape[2] != 3 or len(counts) < 1 or counts.shape[1] < 2:
        raise ValueError(f"counts have the shape {counts.shape}, not (seeds, sentences, 3) with 2 sentences at least")
    numerator = 2 * counts[..., 0].astype(np.float64)
    denominator = numerator + counts[..., 1] + counts[..., 2]
    total = denominator.sum(axis=1)
    none = np.zeros_like(total)
    f1 = np.divide(numerator.sum(axis=1), total, out=none.copy(), where=total > 0)
    influences = numerator - f1[:, None] * denominator
    influences *= np.divide(1.0, total, out=none, where=total > 0)[:, None]
    return f1, influences


def interval(counts: Counts) -> Estimate:
    """Mean F1 over seeds with the two-way random-effects variance.

    With 1 or 2 seeds the variance of seeds cannot be estimated: the interval holds the test sentences only, and `what`
    says so.

    Raises:
        ValueError: counts are not (seeds, sentences, 3) with a seed and two sentences.
    """
    side = MacroSide.of([counts])
    return _estimate(side.f1, side.moves, side.shapes)


def difference(a: Counts, b: Counts) -> Estimate:
    """Mean F1 of `a` minus that of `b`, paired by seed and sentence: the same model on differences of values.

    Raises:
        ValueError: a and b differ in shape, or as `interval`.
    """
    return macro_difference([a], [b])


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Adjusted p values of one family, in the order given (Holm, Scandinavian Journal of Statistics 6, 1979).

    None (not tested) stays None and does not count in the family.
    """
    tested = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, index) in enumerate(tested):
        highest = max(highest, min(1.0, (len(tested) - rank) * p))
        adjusted[index] = highest
    return adjusted


@dataclass(frozen=True)
class Clusters:
    """Which sentences of several languages move together: a number for each, the same for those of one name."""

    sizes: tuple[int, ...]  # sentences by language
    number: NDArray[np.int64]
    count: int

    @classmethod
    def of(cls, names: Sequence[Sequence[str]]) -> Clusters:
        """From the name of each sentence of each language, "" for a sentence without companions."""
        places: dict[str, int] = {}
        every = enumerate(name for of_language in names for name in of_language)
        number = [places.setdefault(name or f"\0{column}", len(places)) for column, name in every]
        return cls(tuple(map(len, names)), np.asarray(number, np.int64), len(places))

    def added(self, moves: Floats) -> Floats:
        """The columns of (rows, sentences) summed by number."""
        if self.count == moves.shape[1]:
            return moves  # all numbers differ, and rise
        return np.stack([np.bincount(self.number, row, self.count) for row in moves])


@dataclass(frozen=True)
class MacroSide:
    """One system over all languages, prepared once for many comparisons, which subtract its parts from another's.

    `f1` is the macro F1 by seed (seeds,); `moves` (seeds + 1, clusters) by how much a cluster of sentences moves the
    macro mean: by seed beyond the seed's and the sentences' own effect (the residual), and last the latter.
    """

    f1: Floats
    moves: Floats
    shapes: tuple[tuple[int, int], ...]  # seeds and sentences by language

    @classmethod
    def of(cls, counts: Sequence[Counts], clusters: Clusters | None = None) -> MacroSide:
        """From counts by language, each (seeds, sentences, 3); ValueError as `macro_difference`."""
        if len({len(array) for array in counts}) != 1:
            raise ValueError("counts of no language, or not of the same seeds everywhere")
        if clusters is not None and list(clusters.sizes) != [array.shape[1] for array in counts]:
            raise ValueError("clusters must name each sentence of each language")
        shapes = tuple((len(array), array.shape[1]) for array in counts)
        f1, moves = np.zeros(shapes[0][0]), []
        for array in counts:
            n, (of_language, influences) = array.shape[1], f1_and_influence(array)
            f1 += of_language / len(counts)
            beyond = n * influences  # its rows sum to 0
            of_sentence = beyond.mean(axis=0)
            scale = math.sqrt(n / (n - 1)) / (len(counts) * n)
            moves.append(scale * np.vstack([beyond - of_sentence, of_sentence]))
        together = np.concatenate(moves, axis=1)
        return cls(f1, together if clusters is None else clusters.added(together), shapes)


def macro_difference(a: Sequence[Counts], b: Sequence[Counts], clusters: Clusters | None = None) -> Estimate:
    """Mean over languages of mean F1 of `a` minus that of `b`, in fractions.

    The variance is that of `bench.measure.statistics`, *ours* in how it extends to languages: the seeds' part is the
    variance of the macro difference among seeds, which includes any correlation that a seed causes among languages; the
    sentences' part sums how far each sentence moves the macro mean, after its language's mean is taken off. Sentences
    with one name in `clusters` (the sides of a parallel test) move together: their parts are added before they are
    squared. Degrees of freedom of the sentences: those of the smallest test, which is cautious. `a`, `b`: counts by
    language, each (seeds, sentences, 3), the same seeds in the same order everywhere.

    Raises:
        ValueError: no language; shapes of a and b differ; seeds or names do not fit; a test of one sentence.
    """
    return difference_of_sides(MacroSide.of(a, clusters), MacroSide.of(b, clusters))


def difference_of_sides(a: MacroSide, b: MacroSide) -> Estimate:
    """`macro_difference` of prepared sides with the same clusters; ValueError if they do not pair."""
    if a.shapes != b.shapes or a.moves.shape != b.moves.shape:
        raise ValueError(f"counts of the shapes {a.shapes} and {b.shapes} cannot be paired by seed and sentence")
    return _estimate(a.f1 - b.f1, a.moves - b.moves, a.shapes, paired=True)


def _estimate(by_seed: Floats, moves: Floats, shapes: Sequence[tuple[int, int]], paired: bool = False) -> Estimate:
    """From values by seed, and by how much sentences move them, as in `MacroSide`."""
    seeds, of_sentences = len(by_seed), float(moves[-1] @ moves[-1])
    smallest = min(sentences for _, sentences in shapes) - 1
    spread = Spread(0.0, 0, of_sentences, smallest)
    if seeds >= MIN_SEEDS:
        of_residual = float(np.vdot(moves[:-1], moves[:-1])) / (seeds * (seeds - 1))
        spread = Spread(float(by_seed.var(ddof=1)) / seeds, seeds - 1, of_sentences, smallest, of_residual)
    return Estimate(float(by_seed.mean()), spread, seeds, paired)
