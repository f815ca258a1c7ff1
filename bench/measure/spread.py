"""How far a mean can be from the truth where few seeds tell how much seeds vary: p values and intervals.

The variance of the mean is what seeds add and what the sentences add beyond the residual. With three seeds the first is
hardly known. Satterthwaite's degrees of freedom (Biometrics Bulletin 2, 1946) take the sum for one mean square, and
reject up to 7.8 of 100 true nulls instead of 5; generalised inference (Weerahandi, Journal of the American Statistical
Association 88, 1993), which averages p over what the seeds' part may be, rejects as few as 2.4. Each is exact where
only one part varies, and they err to opposite sides between: so p is *ours*, the mean of theirs, weighted by the seeds'
share of the variance. It rejects 4.4 to 5.8 of 100 with 3 seeds and 4.6 to 5.0 with 5, whatever that share is in truth
(by integration, `tests/test_spread.py`; by simulation of F1, `tests/interval_study.py`).
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import brentq
from scipy.special import stdtr

Floats = NDArray[np.float64]
What = Literal["test sentences only", "seeds and test sentences"]
_NODES = 128
_CUT = 1e-13  # probability left out at either end


@dataclass(frozen=True)
class Spread:
    """The mean squares of a two-way layout, each over its number of cells: what they are of the mean's variance.

    `seeds` and its degrees of freedom are 0 where seeds are not part of the variance; then `residual` is 0, too.
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
    def se_seeds(self) -> float | None:
        """That with the test sentences held fixed, None where seeds are not part of it."""
        return math.sqrt(self.seeds) if self.df_seeds else None

    @property
    def se_sentences(self) -> float:
        """That with the seeds held fixed."""
        return math.sqrt(self.sentences)

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
        low, high = 0.0, 2 * self.se
        while self._tail(high) > 1 - level:
            low, high = high, 2 * high
        return float(brentq(lambda half: self._tail(half) - (1 - level), low, high, rtol=1e-8))

    def _tail(self, mean: float) -> float:
        """Two-sided p of a mean above 0."""
        variance = self.seeds + self.rest
        share = self.seeds / variance
        free = 0.0  # of the sentences' part: squared mean squares over degrees of freedom
        if self.rest:
            free = (self.sentences**2 + self.residual**2 / max(1, self.df_seeds)) / self.df_sentences
        p = 0.0
        if share < 1:
            of_seeds = self.seeds**2 / self.df_seeds if self.seeds else 0.0
            p += (1 - share) * 2 * float(stdtr(variance**2 / (of_seeds + free), -mean / math.sqrt(variance)))
        if share:
            nodes, weights = _chi_square(self.df_seeds)
            drawn = self.seeds * self.df_seeds / nodes + self.rest
            df = np.maximum(drawn, self.sentences) ** 2 / free if free else np.inf
            p += share * float(weights @ (2 * stdtr(df, -mean / np.sqrt(drawn))))
        return p


@functools.cache
def _chi_square(df: int) -> tuple[Floats, Floats]:
    """Nodes and weights of the mean over a chi-square variable: the trapezoidal rule on its logarithm."""
    law = stats.chi2(df)
    logs = np.linspace(math.log(law.ppf(_CUT)), math.log(law.isf(_CUT)), _NODES)
    nodes = np.exp(logs)
    weights = law.pdf(nodes) * nodes
    return nodes, weights / weights.sum()
