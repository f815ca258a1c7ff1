"""Two-way random-effects inference on micro-F1: by hand, by finite differences, by simulation, by bootstrap."""

from __future__ import annotations

import itertools
from operator import attrgetter
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from bench.measure import statistics
from bench.measure.statistics import Clusters, Spread, difference, macro_difference

BLOCK = 1 << 22  # bootstrap weights held at once, which bounds the memory at some 100 MB


def simulate(rng: np.random.Generator, seeds: int, sentences: int, systems: int, sd_seed: float = 0.15) -> np.ndarray:
    """Counts (systems, seeds, sentences, 3) of systems that are equally good, with crossed effects on the logit scale.

    A sentence is hard for all systems (sd 1) and for one of them (sd 0.5); a seed shifts a system (`sd_seed`); the rest
    (sd 0.5) is noise of one seed on one sentence.
    """
    entities = rng.poisson(1.5, sentences)
    logit = (
        1
        + rng.normal(0, 1, sentences)
        + rng.normal(0, 0.5, (systems, 1, sentences))
        + rng.normal(0, sd_seed, (systems, seeds, 1))
        + rng.normal(0, 0.5, (systems, seeds, sentences))
    )
    right = 1 / (1 + np.exp(-logit))
    tp = rng.binomial(entities, right)
    fp = rng.poisson(0.6 * (1 - right))
    return np.stack([tp, fp, entities - tp], axis=-1)


def crossed_bootstrap(counts: np.ndarray, rng: np.random.Generator, draws: int = 2000) -> np.ndarray:
    """Mean F1 (draws,) when seeds and sentences are drawn again independently, each with replacement.

    A check on `interval`, not its replacement: it counts the residual up to three times and seeds (R - 1) / R times
    (Owen, The pigeonhole bootstrap, Annals of Applied Statistics 1(2), 2007).
    """
    numerator = 2 * counts[..., 0].astype(np.float64)
    denominator = numerator + counts[..., 1] + counts[..., 2]
    seeds, sentences = numerator.shape
    stacked = np.concatenate([numerator, denominator]).T  # (sentences, 2 seeds)
    means = np.empty(draws)
    step = max(1, BLOCK // sentences)
    for start in range(0, draws, step):
        size = min(step, draws - start)
        # counts of a multinomial, in less than half its time
        rows = np.arange(0, size * sentences, sentences)[:, None]
        drawn = (rows + rng.integers(0, sentences, (size, sentences))).ravel()
        sums = np.bincount(drawn, minlength=size * sentences).reshape(size, sentences).astype(np.float64) @ stacked
        top, bottom = sums[:, :seeds], sums[:, seeds:]
        scores = np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0)
        weights = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size) / seeds
        means[start : start + size] = (scores * weights).sum(axis=1)
    return means


def weighted_f1(counts: np.ndarray, weights: np.ndarray) -> float:
    tp, fp, fn = weights @ counts.astype(float)
    return float(2 * tp / (2 * tp + fp + fn))


def test_influence_against_finite_differences() -> None:
    counts = np.array([[[2, 1, 0], [0, 0, 3], [1, 1, 1], [0, 0, 0]], [[1, 0, 1], [3, 0, 0], [0, 2, 3], [0, 1, 0]]])
    ours = statistics.f1_and_influence(counts)[1]
    step = 1e-6
    for seed in range(2):
        for sentence in range(4):
            shift = np.zeros(4)
            shift[sentence] = step
            slope = weighted_f1(counts[seed], 1 + shift) - weighted_f1(counts[seed], 1 - shift)
            assert ours[seed, sentence] == pytest.approx(slope / (2 * step), abs=1e-9)
    # By hand: seed 0 has N = 6, D = 6 + 2 + 4 = 12, F1 = 1/2; sentence 0 has n = 4, d = 5: (4 - 2.5) / 12.
    assert ours[0, 0] == pytest.approx(0.125)
    np.testing.assert_allclose(ours.sum(axis=1), 0, atol=1e-15)
    np.testing.assert_allclose(statistics.f1_by_seed(counts), [6 / 12, 8 / 15])


def test_interval_against_anova_by_hand() -> None:
    """A two-way layout whose mean squares are computed cell by cell."""
    counts = simulate(np.random.default_rng(0), 4, 30, 1)[0]
    values = statistics.f1_by_seed(counts)[:, None] + 30 * statistics.f1_and_influence(counts)[1]
    grand = values.mean()
    seeds = sum(30 * (values[r].mean() - grand) ** 2 for r in range(4)) / 3
    sentences = sum(4 * (values[:, i].mean() - grand) ** 2 for i in range(30)) / 29
    residual = sum(
        (values[r, i] - values[r].mean() - values[:, i].mean() + grand) ** 2 for r in range(4) for i in range(30)
    ) / (3 * 29)
    total = seeds + sentences - residual
    result = statistics.interval(counts)
    assert sentences > residual
    assert result.spread.se == pytest.approx(np.sqrt(total / 120))
    assert result.spread.seeds == pytest.approx(np.var(statistics.f1_by_seed(counts), ddof=1) / 4)
    spread = Spread(seeds / 120, 3, sentences / 120, 29, residual / 120)
    assert result.limits()[1] - result.mean == pytest.approx(spread.half_width(0.95))
    assert result.limits(0.9)[1] - result.mean == pytest.approx(spread.half_width(0.9))
    assert (result.seeds, result.spread.what) == (4, "seeds and test sentences")


def test_never_below_the_seeds_alone() -> None:
    """Sentences alike in every seed and seeds that differ: what remains is a t interval over seeds."""
    tp = np.repeat([[6], [7], [9]], 40, axis=1)
    counts = np.stack([tp, 10 - tp, 10 - tp], axis=-1)
    result = statistics.interval(counts)
    f1 = np.array([0.6, 0.7, 0.9])
    low, high = stats.t.interval(0.95, 2, f1.mean(), stats.sem(f1))
    assert result.limits() == (pytest.approx(low), pytest.approx(min(high, 1)))
    for seed in range(20):
        noisy = statistics.interval(simulate(np.random.default_rng(seed), 5, 20, 1, sd_seed=1)[0])
        assert noisy.spread.df_seeds == 4 and noisy.spread.se >= np.sqrt(noisy.spread.seeds)


@pytest.mark.parametrize("seeds", [1, 2])
def test_few_seeds_give_no_test(seeds: int) -> None:
    a, b = simulate(np.random.default_rng(1), seeds, 50, 2)
    result, gap = statistics.interval(a), statistics.difference(a, b)
    assert result.spread.what == gap.spread.what == "test sentences only"
    assert result.spread.df_seeds == 0 and gap.p is None
    assert result.spread.se == np.sqrt(result.spread.sentences)
    expected = 50 * statistics.f1_and_influence(a)[1].mean(axis=0)
    assert result.spread.se == pytest.approx(np.std(expected, ddof=1) / np.sqrt(50))


@pytest.mark.parametrize("sd_seed", [0.15, *(pytest.param(sd, marks=pytest.mark.slow) for sd in (0.05, 0.4))])
def test_null_is_rejected_at_the_nominal_rate(sd_seed: float) -> None:
    """A nested bootstrap rejects 13-27 % here."""
    rng = np.random.default_rng(20)
    pairs = (simulate(rng, 5, 300, 2, sd_seed) for _ in range(800))
    p_values = np.array([statistics.difference(a, b).p for a, b in pairs], float)
    assert 0.02 <= (p_values < 0.05).mean() <= 0.07
    assert 0.4 <= (p_values < 0.5).mean() <= 0.6


def test_interval_covers_the_truth() -> None:
    rng = np.random.default_rng(21)
    truth = statistics.f1_by_seed(simulate(rng, 200, 4000, 1)[0]).mean()
    limits = [statistics.interval(simulate(rng, 5, 300, 1)[0]).limits() for _ in range(400)]
    hits = [low <= truth <= high for low, high in limits]
    assert 0.92 <= np.mean(hits) <= 0.98


def test_difference_is_found_and_antisymmetric() -> None:
    a, b = simulate(np.random.default_rng(3), 5, 400, 2)
    lost = np.minimum(b[..., 0], np.random.default_rng(4).binomial(1, 0.6, b.shape[:2]))
    worse = np.stack([b[..., 0] - lost, b[..., 1], b[..., 2] + lost], axis=-1)
    forth, back = statistics.difference(a, worse), statistics.difference(worse, a)
    assert forth.p is not None and forth.p < 0.01
    assert forth.limits()[0] > 0
    assert (forth.mean, forth.p) == (pytest.approx(-back.mean), back.p)
    assert forth.limits()[0] == pytest.approx(-back.limits()[1])
    means = statistics.f1_by_seed(a).mean() - statistics.f1_by_seed(worse).mean()
    assert forth.mean == pytest.approx(means)


def test_interval_agrees_with_the_crossed_bootstrap() -> None:
    counts = simulate(np.random.default_rng(5), 20, 600, 1)[0]
    result = statistics.interval(counts)
    means = crossed_bootstrap(counts, np.random.default_rng(6), draws=2000)
    assert means.shape == (2000,)
    assert means.mean() == pytest.approx(result.mean, abs=0.2 * result.spread.se)
    assert means.std() == pytest.approx(result.spread.se, rel=0.1)
    low, high = np.quantile(means, [0.025, 0.975])
    assert (low, high) == (
        pytest.approx(result.limits()[0], abs=0.3 * result.spread.se),
        pytest.approx(result.limits()[1], abs=0.3 * result.spread.se),
    )


def test_bootstrap_blocks_do_not_change_shape_or_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = simulate(np.random.default_rng(5), 3, 40, 1)[0]
    whole = crossed_bootstrap(counts, np.random.default_rng(1), draws=900)
    monkeypatch.setitem(globals(), "BLOCK", 4000)  # 100 draws a block
    blocks = crossed_bootstrap(counts, np.random.default_rng(1), draws=900)
    assert blocks.shape == whole.shape
    assert blocks.std() == pytest.approx(whole.std(), rel=0.15)


def test_degenerate_counts() -> None:
    nothing = np.zeros((3, 5, 3), np.int32)
    perfect = nothing.copy()
    perfect[..., 0] = 1
    assert statistics.f1_and_influence(nothing)[1].tolist() == [[0.0] * 5] * 3
    result = statistics.interval(perfect)
    assert (result.mean, result.limits(), result.spread.se) == (1, (1, 1), 0)
    assert statistics.difference(perfect, perfect).p == 1
    assert statistics.difference(perfect, nothing).p == 0
    assert (crossed_bootstrap(nothing, np.random.default_rng(0), 10) == 0).all()


def test_wrong_shapes_are_refused() -> None:
    counts = np.ones((3, 5, 3), np.int32)
    with pytest.raises(ValueError, match="cannot be paired"):
        statistics.difference(counts, counts[:2])
    for wrong in (counts[:, :1], counts[:0], counts[0]):
        with pytest.raises(ValueError, match="2 sentences at least"):
            statistics.interval(wrong)
    with pytest.raises(ValueError, match="level"):
        statistics.interval(counts).limits(95)


def test_holm() -> None:
    """The worked values of R's p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")."""
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert statistics.holm([0.01, None, 0.6, 0.7]) == [pytest.approx(0.03), None, 1.0, 1.0]
    assert statistics.holm([]) == []


@given(st.lists(st.none() | st.floats(0, 1), max_size=12))
def test_holm_is_that_of_statsmodels(p_values: list[float | None]) -> None:
    tested = [p for p in p_values if p is not None]
    with mock.patch("gc.collect"):  # statsmodels collects at each call, which costs more the more this process holds
        theirs = iter(multipletests(tested, method="holm")[1] if tested else ())
    assert statistics.holm(p_values) == [None if p is None else pytest.approx(next(theirs)) for p in p_values]


def test_the_crossed_bootstrap_is_that_of_all_resamples() -> None:
    """2 seeds and 3 sentences can be drawn in 4 · 27 equally likely ways: mean and spread of all, by enumeration."""
    counts = np.array([[[2, 1, 0], [0, 1, 3], [1, 0, 1]], [[1, 0, 1], [3, 0, 0], [0, 2, 3]]])
    every = []
    for sentences in itertools.product(range(3), repeat=3):
        weights = np.bincount(sentences, minlength=3)
        f1 = [weighted_f1(counts[seed], weights) for seed in range(2)]
        every += [np.mean([f1[seed] for seed in seeds]) for seeds in itertools.product(range(2), repeat=2)]
    drawn = crossed_bootstrap(counts, np.random.default_rng(0), draws=40_000)
    assert len(every) == 108
    assert drawn.mean() == pytest.approx(np.mean(every), abs=4 * np.std(every) / 200)
    assert drawn.std() == pytest.approx(np.std(every), rel=0.02)
    for share in (0.1, 0.5, 0.9):
        below = np.mean(np.asarray(every) <= np.quantile(every, share))
        assert np.mean(drawn <= np.quantile(every, share) + 1e-12) == pytest.approx(below, abs=0.01)


# --- averages over languages ------------------------------------------------------------------------------------------


def systems(number: int, seeds: int = 4, sentences: int = 60) -> tuple[np.ndarray, np.ndarray]:
    counts = simulate(np.random.default_rng(number), seeds, sentences, 2)
    return counts[0], counts[1]


@pytest.mark.parametrize("seeds", (1, 2, 3, 5))
def test_one_language_is_the_paired_difference(seeds: int) -> None:
    a, b = systems(1, seeds)
    ours, pair = macro_difference([a], [b]), statistics.difference(a, b)
    for level in (0.9, 0.95):
        assert ours.limits(level) == pytest.approx(pair.limits(level), rel=1e-9)
    values = attrgetter("mean", "spread.se", "spread.seeds", "spread.sentences", "p")
    for name, (value, expected) in enumerate(zip(values(ours), values(pair), strict=True)):
        assert value == (expected if expected is None else pytest.approx(expected, rel=1e-9)), name
    assert (ours.spread.what, ours.seeds) == (pair.spread.what, seeds)


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
    assert (parallel.spread.se, parallel.p) == (pytest.approx(once.spread.se), pytest.approx(once.p))
    apart = macro_difference([a] * 3, [b] * 3, Clusters.of([[""] * a.shape[1]] * 3))
    assert apart.spread.sentences == pytest.approx(once.spread.sentences / 3)
    assert apart.spread.seeds == pytest.approx(once.spread.seeds), "the seeds are the same three times"


def test_parallel_languages_against_the_layout_of_their_means() -> None:
    """Two-way analysis of the means over languages, sentence by sentence, by hand."""
    pairs = [systems(number, seeds=3, sentences=30) for number in range(4)]
    values = np.mean(
        [
            30 * (statistics.f1_and_influence(a)[1] - statistics.f1_and_influence(b)[1])
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
    assert found.spread.se == pytest.approx(np.sqrt(max(variance, rows.var(ddof=1) / 3)))


def test_below_three_seeds_nothing_is_tested() -> None:
    a, b = systems(3, seeds=2)
    found = macro_difference([a, a], [b, b])
    assert (found.p, found.spread.df_seeds, found.spread.what) == (None, 0, "test sentences only")


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


def test_a_tie_of_all_seeds_makes_no_certainty() -> None:
    """Each seed finds one more entity than the other system, each another one: an F1 that is equal by luck."""
    b = np.zeros((3, 40, 3), int)
    b[:, :10, 0], b[:, 10:, 2] = 1, 1
    a = b.copy()
    for seed in range(3):
        a[seed, 10 + seed] = (1, 0, 0)
    estimate = difference(a, b)
    assert estimate.spread.seeds == 0 and estimate.mean > 0.02
    assert estimate.p is not None and estimate.p > 0.05
    low, high = estimate.limits()
    assert low < 0 < high
