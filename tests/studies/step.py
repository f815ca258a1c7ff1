"""What a training step of a method costs beside another's on the same sentences: `python -m tests.studies step`.

The demo's matrix with both methods, one language and nothing frozen; their trainings take turns, a seed each. A step is
the median of all but the first and those that end in an evaluation.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.data.identity import keyed
from bench.plan.matrix import cells
from bench.plan.spec import load_matrix
from bench.plan.units import Planned
from bench.run.cell import run_unit
from bench.run.shared import RunSettings, make_shared


def steps_of(planned: Planned, where: RunSettings) -> list[float]:
    """Seconds of each step of the cell's training."""
    ticks: list[float] = []
    (record,) = run_unit([planned], where, lambda done, total, what: ticks.append(time.perf_counter()))
    if record.status != "ok":
        raise SystemExit(f"{planned.cell.label}: {record.status}: {record.reason or record.error}")
    return [after - before for before, after in itertools.pairwise(ticks)][:-1]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs=2, default=["concner", "en_trans"], metavar=("METHOD", "PEER"))
    parser.add_argument("--encoder", default="mini")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args(arguments)
    spec = load_matrix(
        "demo",
        [
            f"axes.methods={args.methods}".replace("'", '"'),
            'axes.targets=["de"]',
            f'axes.encoders=["{args.encoder}"]',
            f"axes.seeds={list(range(1, args.seeds + 1))}",
            'train.rules=["last"]',
            *(f"train.{name}={getattr(args, name)}" for name in ("steps", "batch", "threads")),
            "train.evals=1",
            *(["encoder.mini.freeze=0"] if args.encoder == "mini" else []),
        ],
    )
    seconds: dict[str, list[float]] = {name: [] for name in args.methods}
    with tempfile.TemporaryDirectory(prefix="steps-") as folder:
        where = RunSettings(Path(folder) / "out", cache=Path(folder) / "cache")
        todo = sorted(keyed(cells(spec)), key=lambda one: one.cell.seed)
        make_shared(todo, where, lambda done, total, what: None)
        for one in todo:
            taken = statistics.median(steps_of(one, where))
            seconds[one.cell.label].append(taken)
            print(f"{one.cell.label}, seed {one.cell.seed}: {taken:.3f} s a step", flush=True)
    ours, peer = (statistics.median(seconds[name]) for name in args.methods)
    print(f"{args.methods[0]} {ours:.3f} s, {args.methods[1]} {peer:.3f} s a step: {ours / peer:.2f}x")
