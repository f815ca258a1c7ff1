"""How often intervals hold the truth and tests reject a true null, by simulation: `python -m tests.studies.interval_study`.

Two equally good systems with crossed effects of seeds and sentences (`test_statistics.simulate`): seeds × mixes of seed
and sentence variance × sentences. What is printed is Markdown; ± is the simulation's own 95 % interval.
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)]

from bench.measure import statistics  # noqa: E402
from tests.measure.test_statistics import simulate  # noqa: E402

MIXES = {"sentences": 0.05, "both": 0.15, "seeds": 0.4}  # what varies most: sd of a seed on the logit scale
SEEDS, SENTENCES = (3, 5, 10), (200, 600, 2000)


@dataclass(frozen=True)
class Rates:
    """Shares of the simulations."""

    seeds: int
    mix: str
    sentences: int
    covered: float  # of intervals of one system's F1
    rejected: float  # of tests of a difference that is none


def truth(mix: str, size: int = 400) -> float:
    """F1 that a system has on average over seeds and sentences."""
    rng = np.random.default_rng([7, list(MIXES).index(mix)])
    return float(
        np.mean([statistics.f1_by_seed(simulate(rng, 50, 2000, 1, MIXES[mix])[0]).mean() for _ in range(size)])
    )


def rates(seeds: int, mix: str, sentences: int, simulations: int, f1: float) -> Rates:
    """Simulate two systems again and again."""
    rng = np.random.default_rng([11, seeds, list(MIXES).index(mix), sentences])
    covered = rejected = 0
    for _ in range(simulations):
        a, b = simulate(rng, seeds, sentences, 2, MIXES[mix])
        found, p = statistics.interval(a), statistics.difference(a, b).p
        covered += found.low <= f1 <= found.high
        rejected += p is not None and p < 0.05
    return Rates(seeds, mix, sentences, covered / simulations, rejected / simulations)


def study(simulations: int, seeds: tuple[int, ...] = SEEDS, sentences: tuple[int, ...] = SENTENCES) -> Iterator[Rates]:
    """Every combination."""
    true = {mix: truth(mix, max(10, simulations // 10)) for mix in MIXES}
    for number, mix, size in itertools.product(seeds, MIXES, sentences):
        yield rates(number, mix, size, simulations, true[mix])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=4000)
    parser.add_argument("--seeds", type=int, action="append", choices=SEEDS, help="only these (default: all)")
    args = parser.parse_args()
    half = 100 * 1.96 * math.sqrt(0.05 * 0.95 / args.simulations)
    print(f"{args.simulations} simulations each, ± {half:.1f}\n")
    print("| seeds | varies most | sentences | covered (95) | null rejected (5) |\n|---:|:---|---:|---:|---:|")
    for one in study(args.simulations, tuple(args.seeds or SEEDS)):
        print(
            f"| {one.seeds} | {one.mix} | {one.sentences} | {100 * one.covered:.1f} | {100 * one.rejected:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
