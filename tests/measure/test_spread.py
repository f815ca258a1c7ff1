"""Intervals and tests where few seeds tell how much seeds vary: their limits, both parts, and how often they err."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.measure.statistics import Spread

positive = st.floats(1e-6, 1e-2)


@pytest.mark.parametrize("df", [2, 4, 9, 60, 999])
@pytest.mark.parametrize("t", [0.1, 2.0, 5.0, 40.0])
def test_without_sentences_it_is_the_t_test_over_seeds(df: int, t: float) -> None:
    for residual in (0.0, 3e-4):  # the sentences vary no more than what is left over
        spread = Spread(4e-4, df, residual, 200, residual)
        assert (spread.rest, spread.se) == (0, pytest.approx(0.02))
        assert spread.p_value(0.02 * t) == pytest.approx(2 * stats.t.sf(t, df), rel=1e-6, abs=1e-12)
        assert spread.half_width(0.95) == pytest.approx(stats.t.ppf(0.975, df) * 0.02)


@pytest.mark.parametrize("df_seeds", [0, 2])
def test_without_seeds_it_is_the_t_test_over_sentences(df_seeds: int) -> None:
    spread = Spread(0.0, df_seeds, 1e-4, 19)
    assert spread.p_value(0.02) == pytest.approx(2 * stats.t.sf(2, 19))
    assert spread.half_width(0.9) == pytest.approx(stats.t.ppf(0.95, 19) * 0.01)
    assert spread.se == pytest.approx(0.01)
    assert spread.what == ("test sentences only" if df_seeds == 0 else "seeds and test sentences")


@pytest.mark.parametrize("seeds", [3e-4, 5e-5])  # the second by chance below the residual, which it holds
def test_between_them_it_is_the_mean_of_two_approximations(seeds: float) -> None:
    """Satterthwaite's t tail, and the mean of t tails over drawn chi-square variables; or the seeds' own t tail."""
    sentences, residual = 5e-4, 2e-4
    spread, variance = Spread(seeds, 2, sentences, 99, residual), seeds + 3e-4
    assert spread.se == pytest.approx(math.sqrt(variance))
    free = sentences**2 / 99 + residual**2 / 198
    drawn = seeds * 2 / np.random.default_rng(0).chisquare(2, 400_000) + 3e-4
    df = np.maximum(drawn, sentences) ** 2 / free
    for mean in (0.01, 0.05, 0.2):
        first = 2 * stats.t.sf(mean / spread.se, max(variance, sentences) ** 2 / (seeds**2 / 2 + free))
        second = 2 * stats.t.sf(mean / np.sqrt(drawn), df)
        error = 4 * second.std() / math.sqrt(len(drawn))
        share = seeds / variance
        expected = max((1 - share) * first + share * second.mean(), 2 * stats.t.sf(mean / math.sqrt(seeds), 2))
        assert spread.p_value(mean) == pytest.approx(expected, abs=error)


def test_many_seeds_make_it_a_normal_test() -> None:
    spread = Spread(3e-4, 20_000, 5e-4, 10**7, 2e-4)
    assert spread.p_value(0.05) == pytest.approx(2 * stats.norm.sf(0.05 / math.sqrt(6e-4)), rel=5e-3)


@given(positive, st.integers(2, 20), positive, positive, st.floats(0.5, 0.999))
def test_the_interval_ends_where_p_says_and_more_variance_widens_it(
    seeds: float, df: int, sentences: float, residual: float, level: float
) -> None:
    spread = Spread(seeds, df, sentences, 300, residual)
    half = spread.half_width(level)
    assert spread.p_value(half) == pytest.approx(1 - level, rel=1e-6)
    assert spread.p_value(-half) == spread.p_value(half)
    assert spread.p_value(2 * half) < 1 - level < spread.p_value(half / 2) <= spread.p_value(0) == pytest.approx(1)
    assert Spread(2 * seeds, df, sentences, 300, residual).half_width(level) > half
    # seeds alone are never surer
    assert half >= Spread(seeds, df, residual, 300, residual).half_width(level) * (1 - 1e-9)


@pytest.mark.parametrize(("seeds", "residual"), [(0.5, 1.0), (0.0, 3.0), (2.0, 0.2)])
def test_what_more_seeds_would_give_is_what_they_give(seeds: float, residual: float) -> None:
    """On average over 4,000 two-way layouts, expected from five seeds and computed from fifteen."""
    rng, n = np.random.default_rng(3), 30

    def spread_of(values: np.ndarray) -> Spread:  # (seeds, sentences) to the parts, by the mean squares
        count, by_seed, by_sentence = len(values), values.mean(1), values.mean(0)
        beyond = values - by_seed[:, None] - by_sentence + values.mean()
        residual = float((beyond**2).sum()) / ((count - 1) * (n - 1))
        parts = by_seed.var(ddof=1) / count, by_sentence.var(ddof=1) / n
        return Spread(parts[0], count - 1, parts[1], n - 1, residual / (count * n))

    expected, computed = [], []
    for _ in range(4000):
        values = seeds * rng.normal(size=(15, 1)) + rng.normal(size=n) + residual * rng.normal(size=(15, n))
        few, many = spread_of(values[:5]).with_seeds(15), spread_of(values)
        expected.append([few.seeds, few.sentences, few.residual, few.df_seeds])
        computed.append([many.seeds, many.sentences, many.residual, many.df_seeds])
    assert np.mean(expected, axis=0) == pytest.approx(np.mean(computed, axis=0), rel=0.08)


@given(positive, st.integers(2, 20), positive, positive)
def test_more_seeds_narrow_the_interval_to_that_of_the_sentences(
    seeds: float, df: int, sentences: float, residual: float
) -> None:
    spread = Spread(seeds, df, sentences + residual, 300, residual)
    assert spread.with_seeds(df + 1).half_width(0.95) == pytest.approx(spread.half_width(0.95))
    assert spread.with_seeds(2 * df + 2).half_width(0.95) < spread.half_width(0.95)
    assert spread.with_seeds(10**9).se == pytest.approx(math.sqrt(sentences), rel=0.01)


@pytest.mark.parametrize(("df", "number"), [(0, 5), (4, 1)])
def test_one_seed_or_an_unknown_variance_foretells_nothing(df: int, number: int) -> None:
    with pytest.raises(ValueError, match="spread"):
        Spread(1e-4, df, 1e-4, 10).with_seeds(number)


def test_nothing_varies() -> None:
    spread = Spread(0.0, 2, 0.0, 10)
    assert [spread.p_value(mean) for mean in (0, 0.1, -0.1)] == [1, 0, 0]
    assert spread.half_width(0.95) == 0


@pytest.mark.parametrize("level", [0, 1, 95])
def test_a_level_is_a_probability(level: float) -> None:
    with pytest.raises(ValueError, match="level"):
        Spread(1e-4, 2, 1e-4, 10).half_width(level)


@pytest.mark.parametrize(
    ("df", "least", "most"),
    [
        (2, 0.042, 0.051),
        (4, 0.045, 0.051),
        pytest.param(9, 0.047, 0.051, marks=pytest.mark.slow),
        pytest.param(30, 0.048, 0.051, marks=pytest.mark.slow),
    ],
)
def test_a_true_null_is_rejected_about_as_often_as_it_says(df: int, least: float, most: float) -> None:
    """Integrated over what the seeds' mean square may be, for every share that seeds have in truth.

    Satterthwaite's degrees of freedom alone reject up to 7.8 of 100 with 3 seeds.
    """
    squares = stats.chi2.ppf((np.arange(200) + 0.5) / 200, df) / df
    for share in np.linspace(0, 1, 11):
        halves = np.asarray([Spread(share * square, df, 1 - share, 10**9).half_width(0.95) for square in squares])
        assert least < 2 * stats.norm.sf(halves).mean() < most
