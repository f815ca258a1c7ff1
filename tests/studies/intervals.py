"""How often intervals hold the truth and tests reject a true null, by simulation: ours, and what others would do.

Two equally good systems with crossed effects of seeds and sentences (`test_statistics.simulate`): seeds × mixes of seed
and sentence variance × sentences. Every procedure sees the same mean squares (docs/concepts/statistics.md has their
formulas); the crossed bootstrap the same counts. What is printed is Markdown.
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from bench.measure import statistics
from bench.measure.statistics import Spread
from tests.measure.test_statistics import crossed_bootstrap, simulate

MIXES = {"sentences": 0.05, "both": 0.15, "seeds": 0.4}  # what varies most: sd of a seed on the logit scale
SEEDS, SENTENCES = (3, 5, 10), (200, 600, 2000)
LEVEL = 0.05
BOOTSTRAP = "crossed bootstrap, percentiles"


@dataclass(frozen=True)
class Rates:
    """Shares of the simulations, by procedure."""

    seeds: int
    mix: str
    sentences: int
    covered: Mapping[str, float]  # of intervals of one system's F1
    rejected: Mapping[str, float]  # of tests of a difference that is none


# --- procedures: two-sided p of a mean from the mean squares of a two-way layout --------------------------------------


def seeds_alone(spread: Spread, mean: float) -> float:
    """The paired t test over seeds, as if the test sentences were all there are."""
    return 2 * float(stats.t.sf(abs(mean) / math.sqrt(spread.seeds), spread.df_seeds))


def sentences_alone(spread: Spread, mean: float) -> float:
    """The paired t test over sentences of the seeds' mean, as a bootstrap of the test set does it."""
    return 2 * float(stats.t.sf(abs(mean) / math.sqrt(spread.sentences), spread.df_sentences))


def clusters(spread: Spread, mean: float) -> float:
    """Two-way cluster-robust variance, t with min(seeds, sentences) - 1 degrees of freedom.

    Cameron, Gelbach and Miller, Journal of Business & Economic Statistics 29(2), 2011: one-way variance by seed plus
    that by sentence minus that by cell. The last is the variance of all cells over their number; where the sum is not
    above 0, the greater of the first two takes its place, as is usual.
    """
    seeds, sentences = spread.df_seeds + 1, spread.df_sentences + 1
    cells = seeds * sentences
    within = spread.residual * spread.df_seeds * spread.df_sentences
    squares = within + spread.seeds * spread.df_seeds + spread.sentences * spread.df_sentences
    variance = spread.seeds + spread.sentences - squares / (cells - 1)
    variance = variance if variance > 0 else max(spread.seeds, spread.sentences)
    return 2 * float(stats.t.sf(abs(mean) / math.sqrt(variance), min(seeds, sentences) - 1))


def _free(spread: Spread) -> float:
    return (spread.sentences**2 + spread.residual**2 / spread.df_seeds) / spread.df_sentences


def satterthwaite(spread: Spread, mean: float) -> float:
    """Satterthwaite's degrees of freedom, never surer than the seeds alone."""
    variance = spread.seeds + spread.rest
    df = max(variance, spread.sentences) ** 2 / (spread.seeds**2 / spread.df_seeds + _free(spread))
    return max(2 * float(stats.t.sf(abs(mean) / math.sqrt(variance), df)), seeds_alone(spread, mean))


def generalised(spread: Spread, mean: float) -> float:
    """Generalised inference (Weerahandi 1993), never surer than the seeds alone: p over what the seeds' part may be."""
    quantiles = stats.chi2.ppf((np.arange(200) + 0.5) / 200, spread.df_seeds)
    drawn = spread.seeds * spread.df_seeds / quantiles + spread.rest
    df = np.maximum(drawn, spread.sentences) ** 2 / _free(spread)
    return max(float(2 * stats.t.sf(abs(mean) / np.sqrt(drawn), df).mean()), seeds_alone(spread, mean))


PROCEDURES: dict[str, Callable[[Spread, float], float]] = {
    "ours": Spread.p_value,
    "Satterthwaite, with floor": satterthwaite,
    "generalised inference, with floor": generalised,
    "two-way clusters": clusters,
    "t test over seeds": seeds_alone,
    "t test over sentences": sentences_alone,
}


# --- simulation -------------------------------------------------------------------------------------------------------


def truth(mix: str, size: int = 400) -> float:
    """F1 that a system has on average over seeds and sentences."""
    rng = np.random.default_rng([7, list(MIXES).index(mix)])
    return float(
        np.mean([statistics.f1_by_seed(simulate(rng, 50, 2000, 1, MIXES[mix])[0]).mean() for _ in range(size)])
    )


def within(values: np.ndarray, value: float) -> bool:
    """Whether the bootstrap's 95 % interval holds a value."""
    low, high = np.quantile(values, [LEVEL / 2, 1 - LEVEL / 2])
    return bool(low <= value <= high)


def rates(seeds: int, mix: str, sentences: int, simulations: int, f1: float, draws: int) -> Rates:
    """Simulate two systems again and again. `draws` of the crossed bootstrap, 0: without it."""
    rng = np.random.default_rng([11, seeds, list(MIXES).index(mix), sentences])
    names = [*PROCEDURES, *([BOOTSTRAP] if draws else [])]
    covered, rejected = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
    for _ in range(simulations):
        a, b = simulate(rng, seeds, sentences, 2, MIXES[mix])
        one, gap = statistics.interval(a), statistics.difference(a, b)
        for name, p_value in PROCEDURES.items():
            covered[name] += p_value(one.spread, one.mean - f1) >= LEVEL
            rejected[name] += p_value(gap.spread, gap.mean) < LEVEL
        if draws:
            again = int(rng.integers(2**31))  # the same draws for both: they are paired
            means = [crossed_bootstrap(side, np.random.default_rng(again), draws) for side in (a, b)]
            covered[BOOTSTRAP] += within(means[0], f1)
            rejected[BOOTSTRAP] += not within(means[0] - means[1], 0.0)
    shares = ({name: count / simulations for name, count in counts.items()} for counts in (covered, rejected))
    return Rates(seeds, mix, sentences, *shares)


def study(
    simulations: int, seeds: Sequence[int] = SEEDS, sentences: Sequence[int] = SENTENCES, draws: int = 0
) -> Iterator[Rates]:
    """Every combination."""
    true = {mix: truth(mix, max(10, simulations // 10)) for mix in MIXES}
    for number, mix, size in itertools.product(seeds, MIXES, sentences):
        yield rates(number, mix, size, simulations, true[mix], draws)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=4000)
    parser.add_argument("--seeds", type=int, action="append", choices=SEEDS, help="only these (default: all)")
    parser.add_argument("--sentences", type=int, action="append", help=f"only so many (default: {SENTENCES})")
    parser.add_argument("--draws", type=int, default=0, help="of the crossed bootstrap (default: without it)")
    args = parser.parse_args(arguments)
    half = 100 * 1.96 * math.sqrt(LEVEL * (1 - LEVEL) / args.simulations)
    print(f"{args.simulations} simulations each, ± {half:.1f}; covered (95) / null rejected (5)\n")
    names = [*PROCEDURES, *([BOOTSTRAP] if args.draws else [])]
    print(f"| seeds | varies most | sentences | {' | '.join(names)} |\n|---:|:---|---:|{'---:|' * len(names)}")
    for one in study(args.simulations, args.seeds or SEEDS, args.sentences or SENTENCES, args.draws):
        shares = " | ".join(f"{100 * one.covered[name]:.1f} / {100 * one.rejected[name]:.1f}" for name in names)
        print(f"| {one.seeds} | {one.mix} | {one.sentences} | {shares} |", flush=True)
