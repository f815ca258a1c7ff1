"""The average over languages of a difference: one language is the pair's own test, parallel sides move together."""

from __future__ import annotations

import numpy as np
import pytest

from bench.measure import statistics
from bench.measure.macro import Clusters, macro_difference
from tests.measure.test_statistics import simulate


def systems(number: int, seeds: int = 4, sentences: int = 60) -> tuple[np.ndarray, np.ndarray]:
    counts = simulate(np.random.default_rng(number), seeds, sentences, 2)
    return counts[0], counts[1]


@pytest.mark.parametrize("seeds", (1, 2, 3, 5))
def test_one_language_is_the_paired_difference(seeds: int) -> None:
    a, b = systems(1, seeds)
    ours, pair = macro_difference([a], [b]), statistics.difference(a, b)
    assert ours.limits(0.9) == pytest.approx(pair.limits(0.9), rel=1e-9)
    for name in ("mean", "low", "high", "se", "se_seeds", "se_sentences", "p"):
        expected = getattr(pair, name)
        assert getattr(ours, name) == (expected if expected is None else pytest.approx(expected, rel=1e-9)), name
    assert (ours.what, ours.seeds) == (pair.what, seeds)


def test_the_mean_is_that_of_the_languages() -> None:
    a, b = zip(*(systems(number, sentences=40 + 10 * number) for number in range(3)), strict=True)
    means = [statistics.difference(x, y).mean for x, y in zip(a, b, strict=True)]
    assert macro_difference(a, b).mean == pytest.approx(np.mean(means))


def test_independent_languages_shrink_the_sentences_part_and_parallel_ones_do_not() -> None:
    """The same test thrice: as sides of one parallel test it says no more than once, as three tests it seems to."""
    a, b = systems(2)
    names = [[f"g{i}" for i in range(a.shape[1])]] * 3
    once = statistics.difference(a, b)
    parallel = macro_difference([a] * 3, [b] * 3, Clusters.of(names))
    assert (parallel.se, parallel.p) == (pytest.approx(once.se), pytest.approx(once.p))
    apart = macro_difference([a] * 3, [b] * 3, Clusters.of([[""] * a.shape[1]] * 3))
    assert apart.se_sentences == pytest.approx(once.se_sentences / np.sqrt(3))
    assert apart.se_seeds == pytest.approx(once.se_seeds), "the seeds are the same three times"


def test_parallel_languages_against_the_layout_of_their_means() -> None:
    """Two-way analysis of the means over languages, sentence by sentence, by hand."""
    pairs = [systems(number, seeds=3, sentences=30) for number in range(4)]
    values = np.mean(
        [
            30 * (statistics.influence(a) - statistics.influence(b))
            + (statistics.f1_by_seed(a) - statistics.f1_by_seed(b))[:, None]
            for a, b in pairs
        ],
        axis=0,
    )
    grand, rows, columns = values.mean(), values.mean(axis=1), values.mean(axis=0)
    residual = ((values - rows[:, None] - columns + grand) ** 2).sum() / (2 * 29)
    variance = (30 * rows.var(ddof=1) + 3 * columns.var(ddof=1) - residual) / 90
    names = [[str(i) for i in range(30)]] * 4
    found = macro_difference([a for a, _ in pairs], [b for _, b in pairs], Clusters.of(names))
    assert found.se == pytest.approx(np.sqrt(max(variance, rows.var(ddof=1) / 3)))


def test_below_three_seeds_nothing_is_tested() -> None:
    a, b = systems(3, seeds=2)
    found = macro_difference([a, a], [b, b])
    assert (found.p, found.se_seeds, found.what) == (None, None, "test sentences only")


def test_systems_that_are_equal_or_differ_everywhere_alike() -> None:
    a, _ = systems(4)
    assert macro_difference([a, a], [a, a]).p == 1.0
    perfect = np.tile(np.array([2, 0, 0]), (3, 10, 1))
    nothing = np.tile(np.array([0, 0, 2]), (3, 10, 1))
    assert macro_difference([perfect], [nothing]).p == 0.0


@pytest.mark.parametrize(
    ("a", "b", "clusters"),
    (
        ([], [], None),
        ([np.zeros((3, 5, 3))], [np.zeros((3, 6, 3))], None),
        ([np.zeros((3, 5, 3)), np.zeros((2, 5, 3))], [np.zeros((3, 5, 3)), np.zeros((2, 5, 3))], None),
        ([np.zeros((3, 1, 3))], [np.zeros((3, 1, 3))], None),
        ([np.zeros((3, 5, 3))], [np.zeros((3, 5, 3))], [["g"] * 4]),
    ),
)
def test_what_cannot_be_paired_is_refused(a: list[np.ndarray], b: list[np.ndarray], clusters: list[list[str]]) -> None:
    with pytest.raises(ValueError):
        macro_difference(a, b, None if clusters is None else Clusters.of(clusters))


def test_type_one_error_of_three_languages_with_shared_seeds() -> None:
    """Not a calibration (the closing evidence has that), a guard against a factor: 400 null experiments, 5 seeds."""
    rng, rejected = np.random.default_rng(5), 0
    for _ in range(400):
        draws = [simulate(rng, 5, 60, 2) for _ in range(3)]
        p = macro_difference([d[0] for d in draws], [d[1] for d in draws]).p
        rejected += p is not None and p < 0.05
    assert 4 <= rejected <= 40
