"""How far a mean can be from the truth where few seeds tell how much seeds vary: p values and intervals.

The variance of the mean is what seeds add and what the sentences add beyond the residual. With three seeds the first is
hardly known. Satterthwaite's degrees of freedom (Biometrics Bulletin 2, 1946) take the sum for one mean square, and
reject up to 7.8 of 100 true nulls instead of 5; generalised inference (Weerahandi, Journal of the American Statistical
Association 88, 1993), which averages p over what the seeds' part may be, rejects as few as 2.4. Each is exact where
only one part varies, and they err to opposite sides between: so p is *ours*, the mean of theirs, weighted by the seeds'
share of the variance, and never below the t test's over the seeds alone, for sentences that vary, too, make nothing
surer. It rejects 4.2 to 5.1 of 100 with 3 seeds and 4.6 to 5.0 with 5, whatever that share is in truth (by integration,
`tests/measure/test_spread.py`; by simulation of F1, `tests/studies/intervals.py`).
"""

from __future__ import annotations

import functools
import math
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
    """The mean squares of a two-way layout, each over its number of cells: what they are of the mean's variance.

    `seeds` and its degrees of freedom are 0 where seeds are not part of the variance; then `residual` is 0, too.
    `seeds` and `sentences` both hold the residual, so that they add up to more than the square of `se`.
    """

    seeds: float
    df_seeds: int
    sentences: float
    df_sentences: int
    residual: float = 0.0

    @property
    def rest(self) -> float:
        """What the sentences add to the seeds' part, which holds the residual already; never less than nothing."""
        return max(0.0, self.sentences - self.residual)

    @property
    def se(self) -> float:
        """Standard error of the mean."""
        return math.sqrt(self.seeds + self.rest)

    @property
    def what(self) -> What:
        """Which variance it is."""
        return "seeds and test sentences" if self.df_seeds else "test sentences only"

    def p_value(self, mean: float) -> float:
        """Two-sided p of a true mean of 0; where nothing varies, 1 for a mean of 0 and 0 otherwise."""
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
        logarithm = math.log(1 - level)  # that of p is nearly a straight line, which takes few steps

        def above(half: float) -> float:
            return math.log(self._tail(half)) - logarithm

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
