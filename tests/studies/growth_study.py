"""How a matrix's wall time grows: `python -m tests.studies.growth_study [--encoder mini] [--plot growth.png]`.

Matrices on the demo corpus, each by `xner run --jobs 1` with an empty results folder and an empty cache: more target
languages, seeds, methods or source sentences than the smallest one. Four coefficients are fitted to them (none below
0) and asked for the time of matrices that were not among them. What is printed is Markdown.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

REPO = Path(__file__).resolve().parent.parent
METHODS = ("en_trans", "zero_shot", "label_projection", "concner")
LANGUAGES = ("de", "hu", "bg", "zh")
PARTS = ("start", "training", "concner more", "1,000 pairs")


@dataclass(frozen=True)
class Matrix:
    """A matrix on the demo corpus by its size."""

    languages: int = 1
    seeds: int = 1
    methods: int = 1
    sentences: int = 1000

    def counts(self) -> list[float]:
        """How often each of PARTS: once, trainings, those of concner, thousands of pairs translated and linked."""
        trainings = self.seeds * sum(1 if method == "zero_shot" else self.languages for method in self._labels)
        contrast = self.seeds * self.languages * ("concner" in self._labels)
        return [1.0, trainings, contrast, self.languages * self.sentences / 1000]

    @property
    def _labels(self) -> tuple[str, ...]:
        return METHODS[: self.methods]

    def text(self, encoder: str) -> str:
        quoted = [", ".join(f'"{name}"' for name in names) for names in (self._labels, LANGUAGES[: self.languages])]
        return f"""name = "growth"
source = "en"
[axes]
methods = [{quoted[0]}]
targets = [{quoted[1]}]
encoders = ["{encoder}"]
seeds = {list(range(1, self.seeds + 1))}
[data]
corpus = "demo"
n_source = {self.sentences}
n_dev = 150
[corpus.demo]
n_train = {self.sentences}
n_test = 200
[labels]
translator = "frames"
aligner = "simalign"
aligner_encoder = "{encoder}"
[train]
steps = 60
batch = 16
evals = 2
threads = 1
[encoder.{encoder}]
lr = 1e-3
freeze = {3 if encoder == "mini" else 0}
"""


SMALLEST = Matrix()
SERIES: dict[str, tuple[Matrix, ...]] = {
    "languages": tuple(replace(SMALLEST, languages=n) for n in (1, 2, 4)),
    "seeds": tuple(replace(SMALLEST, seeds=n) for n in (1, 2, 4)),
    "methods": tuple(replace(SMALLEST, methods=n) for n in (1, 2, 3, 4)),
    "sentences": tuple(replace(SMALLEST, sentences=n) for n in (100, 1000, 5000, 20_000)),
}
HELD_OUT = (Matrix(2, 2, 3, 2000), Matrix(2, 1, 4, 1000))


def seconds(matrix: Matrix, encoder: str) -> float:
    """Wall time of one run in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="growth-") as folder:
        (Path(folder) / "growth.toml").write_text(matrix.text(encoder), encoding="utf-8")
        command = [sys.executable, "-m", "bench.cli.main", "run", "growth.toml", "--out", "out", "--jobs", "1"]
        here = {"XNER_CACHE": str(Path(folder) / "cache"), "PYTHONPATH": str(REPO), "HF_HUB_OFFLINE": "1"}
        begin = time.perf_counter()
        done = subprocess.run(command, cwd=folder, env=os.environ | here, capture_output=True, text=True)
        spent = time.perf_counter() - begin
    if done.returncode:
        raise SystemExit(f"{matrix}: exit {done.returncode}\n{done.stderr[-2000:]}")
    print(f"{matrix}: {spent:.1f} s", file=sys.stderr, flush=True)
    return spent


def fitted(points: dict[Matrix, float]) -> np.ndarray:
    """Seconds of each of PARTS, by least squares of the relative errors."""
    from scipy.optimize import nnls

    rows = np.array([matrix.counts() for matrix in points])
    took = np.array(list(points.values()))
    found: np.ndarray = nnls(rows / took[:, None], np.ones(len(took)))[0]
    return found


def plot(path: Path, points: dict[Matrix, float], model: np.ndarray, note: str) -> None:
    """A panel a series: what was measured, and the model's line."""
    from bench.report.canvas import figure, finish, saved, settings

    with settings():
        fig = figure(9.0, 2.8)
        for axis, (name, matrices) in zip(fig.subplots(1, len(SERIES), sharey=True), SERIES.items(), strict=True):
            values = [getattr(matrix, name) for matrix in matrices]
            axis.plot(values, [model @ np.array(m.counts()) for m in matrices], color="0.6", label="model")
            axis.plot(values, [points[m] for m in matrices], "o", color="black", label="measured")
            axis.set_xlabel("source sentences" if name == "sentences" else name)
            axis.set_xscale("log" if name == "sentences" else "linear")
            axis.set_xticks(values, [f"{value:,}" for value in values], fontsize=7.5)
            axis.minorticks_off()
        fig.axes[0].set_ylim(bottom=0)  # of all: they share it
        fig.axes[0].set_ylabel("wall seconds")
        fig.axes[0].legend(frameon=False)
        finish(fig, "Wall time of a matrix on the demo corpus", note)
        path.write_bytes(saved(fig, "png"))


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="mini", choices=("mini", "tiny"))
    parser.add_argument("--plot", type=Path, metavar="FILE.png")
    args = parser.parse_args(argv)
    wanted = dict.fromkeys(matrix for matrices in SERIES.values() for matrix in matrices)
    points = {matrix: seconds(matrix, args.encoder) for matrix in wanted}
    model = fitted(points)
    print("| languages | seeds | methods | sentences | seconds | model | |\n|---:|---:|---:|---:|---:|---:|:---|")
    for matrix in (*points, *HELD_OUT):
        took = points.get(matrix) or seconds(matrix, args.encoder)
        said = float(model @ np.array(matrix.counts()))
        size = f"{matrix.languages} | {matrix.seeds} | {matrix.methods} | {matrix.sentences}"
        kind = "" if matrix in points else f"not fitted: {100 * (said / took - 1):+.0f} %"
        print(f"| {size} | {took:.1f} | {said:.1f} | {kind} |", flush=True)
    note = "seconds = " + " + ".join(f"{value:.2f} x {part}" for value, part in zip(model, PARTS, strict=True))
    print(f"\n{note}")
    if args.plot:
        plot(args.plot, points, model, f"{note}. Encoder {args.encoder}, 60 steps of 16 sentences, one process.")


if __name__ == "__main__":
    main()
