"""Two-way random-effects inference on micro-F1: by hand, by finite differences, by simulation, by bootstrap."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from bench.measure import statistics
from bench.measure.spread import Spread


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


def weighted_f1(counts: np.ndarray, weights: np.ndarray) -> float:
    tp, fp, fn = weights @ counts.astype(float)
    return float(2 * tp / (2 * tp + fp + fn))


def test_influence_against_finite_differences() -> None:
    counts = np.array([[[2, 1, 0], [0, 0, 3], [1, 1, 1], [0, 0, 0]], [[1, 0, 1], [3, 0, 0], [0, 2, 3], [0, 1, 0]]])
    ours = statistics.influence(counts)
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
    values = statistics.f1_by_seed(counts)[:, None] + 30 * statistics.influence(counts)
    grand = values.mean()
    seeds = sum(30 * (values[r].mean() - grand) ** 2 for r in range(4)) / 3
    sentences = sum(4 * (values[:, i].mean() - grand) ** 2 for i in range(30)) / 29
    residual = sum(
        (values[r, i] - values[r].mean() - values[:, i].mean() + grand) ** 2 for r in range(4) for i in range(30)
    ) / (3 * 29)
    total = seeds + sentences - residual
    result = statistics.interval(counts)
    assert sentences > residual
    assert result.se == pytest.approx(np.sqrt(total / 120))
    assert result.se_seeds == pytest.approx(np.std(statistics.f1_by_seed(counts), ddof=1) / 2)
    spread = Spread(seeds / 120, 3, sentences / 120, 29, residual / 120)
    assert result.high - result.mean == pytest.approx(spread.half_width(0.95))
    assert result.limits(0.9)[1] - result.mean == pytest.approx(spread.half_width(0.9))
    assert (result.seeds, result.what) == (4, "seeds and test sentences")


def test_never_below_the_seeds_alone() -> None:
    """Sentences alike in every seed and seeds that differ: what remains is a t interval over seeds."""
    tp = np.repeat([[6], [7], [9]], 40, axis=1)
    counts = np.stack([tp, 10 - tp, 10 - tp], axis=-1)
    result = statistics.interval(counts)
    f1 = np.array([0.6, 0.7, 0.9])
    low, high = stats.t.interval(0.95, 2, f1.mean(), stats.sem(f1))
    assert (result.low, result.high) == (pytest.approx(low), pytest.approx(min(high, 1)))
    for seed in range(20):
        noisy = statistics.interval(simulate(np.random.default_rng(seed), 5, 20, 1, sd_seed=1)[0])
        assert noisy.se_seeds is not None and noisy.se >= noisy.se_seeds


@pytest.mark.parametrize("seeds", [1, 2])
def test_few_seeds_give_no_test(seeds: int) -> None:
    a, b = simulate(np.random.default_rng(1), seeds, 50, 2)
    result, gap = statistics.interval(a), statistics.difference(a, b)
    assert result.what == gap.what == "test sentences only"
    assert result.se_seeds is None and gap.p is None
    assert result.se == result.se_sentences
    expected = 50 * statistics.influence(a).mean(axis=0)
    assert result.se == pytest.approx(np.std(expected, ddof=1) / np.sqrt(50))


@pytest.mark.parametrize("sd_seed", [0.05, 0.15, 0.4])
def test_null_is_rejected_at_the_nominal_rate(sd_seed: float) -> None:
    """DESIGN.md §7: a nested bootstrap rejects 13-27 % here."""
    rng = np.random.default_rng(20)
    pairs = (simulate(rng, 5, 300, 2, sd_seed) for _ in range(800))
    p_values = np.array([statistics.difference(a, b).p for a, b in pairs], float)
    assert 0.02 <= (p_values < 0.05).mean() <= 0.07
    assert 0.4 <= (p_values < 0.5).mean() <= 0.6


def test_interval_covers_the_truth() -> None:
    rng = np.random.default_rng(21)
    truth = statistics.f1_by_seed(simulate(rng, 200, 4000, 1)[0]).mean()
    hits = [r.low <= truth <= r.high for r in (statistics.interval(simulate(rng, 5, 300, 1)[0]) for _ in range(400))]
    assert 0.92 <= np.mean(hits) <= 0.98


def test_difference_is_found_and_antisymmetric() -> None:
    a, b = simulate(np.random.default_rng(3), 5, 400, 2)
    lost = np.minimum(b[..., 0], np.random.default_rng(4).binomial(1, 0.6, b.shape[:2]))
    worse = np.stack([b[..., 0] - lost, b[..., 1], b[..., 2] + lost], axis=-1)
    forth, back = statistics.difference(a, worse), statistics.difference(worse, a)
    assert forth.p is not None and forth.p < 0.01
    assert forth.low > 0
    assert (forth.mean, forth.low, forth.p) == (pytest.approx(-back.mean), pytest.approx(-back.high), back.p)
    means = statistics.f1_by_seed(a).mean() - statistics.f1_by_seed(worse).mean()
    assert forth.mean == pytest.approx(means)


def test_interval_agrees_with_the_crossed_bootstrap() -> None:
    counts = simulate(np.random.default_rng(5), 20, 600, 1)[0]
    result = statistics.interval(counts)
    means = statistics.crossed_bootstrap(counts, np.random.default_rng(6), draws=2000)
    assert means.shape == (2000,)
    assert means.mean() == pytest.approx(result.mean, abs=0.2 * result.se)
    assert means.std() == pytest.approx(result.se, rel=0.1)
    low, high = np.quantile(means, [0.025, 0.975])
    assert (low, high) == (
        pytest.approx(result.low, abs=0.3 * result.se),
        pytest.approx(result.high, abs=0.3 * result.se),
    )


def test_bootstrap_blocks_do_not_change_shape_or_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = simulate(np.random.default_rng(5), 3, 40, 1)[0]
    whole = statistics.crossed_bootstrap(counts, np.random.default_rng(1), draws=900)
    monkeypatch.setattr(statistics, "_BLOCK", 4000)  # 100 draws a block
    blocks = statistics.crossed_bootstrap(counts, np.random.default_rng(1), draws=900)
    assert blocks.shape == whole.shape
    assert blocks.std() == pytest.approx(whole.std(), rel=0.15)


def test_degenerate_counts() -> None:
    nothing = np.zeros((3, 5, 3), np.int32)
    perfect = nothing.copy()
    perfect[..., 0] = 1
    assert statistics.influence(nothing).tolist() == [[0.0] * 5] * 3
    result = statistics.interval(perfect)
    assert (result.mean, result.low, result.high, result.se) == (1, 1, 1, 0)
    assert statistics.difference(perfect, perfect).p == 1
    assert statistics.difference(perfect, nothing).p == 0
    assert (statistics.crossed_bootstrap(nothing, np.random.default_rng(0), 10) == 0).all()


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
    drawn = statistics.crossed_bootstrap(counts, np.random.default_rng(0), draws=40_000)
    assert len(every) == 108
    assert drawn.mean() == pytest.approx(np.mean(every), abs=4 * np.std(every) / 200)
    assert drawn.std() == pytest.approx(np.std(every), rel=0.02)
    for share in (0.1, 0.5, 0.9):
        below = np.mean(np.asarray(every) <= np.quantile(every, share))
        assert np.mean(drawn <= np.quantile(every, share) + 1e-12) == pytest.approx(below, abs=0.01)
