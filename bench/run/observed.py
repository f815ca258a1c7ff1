"""A tiny cell of every label, run under observation: what methods open, train and draw from.

The rules that the conformance suite holds them to are in `bench.run.conformance`.
"""

from __future__ import annotations

import io
import json
import os
import random
import subprocess
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from types import FrameType
from typing import Any
from unittest import mock

import numpy as np
import torch

from bench.api.method import Method, Need, Round, TrainingSet
from bench.core.sentences import Sentence
from bench.data.identity import encoder_of, keyed
from bench.plan import registry
from bench.plan.matrix import cells
from bench.plan.spec import load_matrix
from bench.plan.units import Planned, method_of
from bench.run import local
from bench.run.shared import RunSettings
from bench.store.artefacts import Artefacts
from bench.store.record import Record, Records
from bench.train import training
from bench.train.ask import needs_of
from bench.train.history import History
from bench.train.training import CellTrainer, Places

TARGET, STEPS, BATCH = "de", 4, 8
MATRIX = """name = "conformance"
[axes]
methods = {labels}
targets = ["de"]
encoders = ["{encoder}"]
seeds = [1]
[data]
n_source = 24
n_dev = 20
n_unlabelled = 24
corpus = "demo"
[corpus.demo]
n_train = 40
n_dev = 24
n_test = 16
n_unlabelled = 30
[labels]
translator = "frames"
[train]
steps = 4
batch = 8
evals = 2
threads = 1
[encoder."{encoder}"]
lr = 1e-3
layers = 2
"""
VARIANT = '[[variant]]\nname = "{name}+kd"\nuse = "{name}"\ndistil = true\n'


class Nonconforming(AssertionError):
    """A method breaks a rule of the suite."""


def require(held: object, rule: str) -> None:
    """Raise Nonconforming with the rule where it was not held."""
    if not held:
        raise Nonconforming(rule)


# --- the files that a plug-in opens itself ----------------------------------------------------------------------------

Opened = set[tuple[str, str]]  # the plug-in's module, and the real path
_WATCH: ContextVar[tuple[tuple[str, ...], Opened] | None] = ContextVar("watch", default=None)


@contextmanager
def opened_by(modules: Collection[str]) -> Iterator[Opened]:
    """What these modules, and others of their packages, open inside the block in this process; imports do not count."""
    _install()
    opened: Opened = set()
    token = _WATCH.set((tuple(modules), opened))
    try:
        yield opened
    finally:
        _WATCH.reset(token)


@cache
def _install() -> None:
    sys.addaudithook(_seen)  # it cannot be taken out again, only told to look away


def _seen(event: str, arguments: tuple[Any, ...]) -> None:
    watch = _WATCH.get()
    if event != "open" or watch is None or not isinstance(arguments[0], str | bytes | os.PathLike):
        return
    modules, opened = watch
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        if name.startswith(("bench.", "importlib")):
            return
        for module in modules:
            package = module.rpartition(".")[0] or module
            if name == module or name.startswith(f"{package}."):
                opened.add((module, os.path.realpath(os.fsdecode(arguments[0]))))
                return
        frame = frame.f_back


# --- one tiny cell of every label, run under observation --------------------------------------------------------------


@dataclass(frozen=True)
class Fit:
    """What one training really did, counted from outside, and what it says that it did."""

    method: str  # its module
    steps: int
    forward_passes: int
    drew: tuple[str, ...]  # global generators that it drew from
    history: History


@dataclass(frozen=True)
class Ready:
    """A cell of one label with its trainings."""

    planned: Planned
    method: Method
    trainer: CellTrainer

    def workers(self) -> list[tuple[Round, Method]]:
        """The rounds that the method prepares itself; one that names another method is that method's own matter."""
        return [(r, self.trainer.worker(r)) for r in self.method.rounds() if not isinstance(r.method, str)]

    def digests(self, *, untaught: bool = False) -> dict[str, str]:
        """By round the digest of a training set prepared anew; `untaught`: only of rounds without a teacher."""
        digests = {}
        for round_, worker in self.workers():
            if not (untaught and round_.teachers):
                data = worker.prepare(round_, self.trainer.ask(worker, round_, needs_of(worker, round_)))
                require(isinstance(data, TrainingSet), f"prepare gives a TrainingSet, not a {type(data).__name__}")
                digests[round_.name] = data.digest()
        return digests

    def predicted(self, sentences: list[Sentence], needs: frozenset[Need]) -> Any:
        """What the method predicts if these are its needs."""
        models = {round_.name: self.trainer.teacher(round_.name) for round_ in self.method.rounds()}
        return self.method.predict(self.trainer.ask_for_test(needs), models, sentences)


@dataclass
class Suite:
    """The tiny matrix of some methods in the folder `root`; it is run when a check first looks at a record."""

    root: Path
    encoder: str
    methods: Sequence[str]
    fits: list[Fit] = field(default_factory=list)
    opened: Opened = field(default_factory=set)
    _ready: dict[str, Ready] = field(default_factory=dict, repr=False)

    @property
    def labels(self) -> tuple[str, ...]:
        """Each method as it is, and distilled."""
        return tuple(label for name in self.methods for label in (name, f"{name}+kd"))

    @property
    def out(self) -> Path:
        return self.root / "out"

    @cached_property
    def matrix(self) -> Path:
        """The matrix file."""
        path = self.root / "conformance.toml"
        variants = "".join(VARIANT.format(name=name) for name in self.methods)
        self.root.mkdir(parents=True, exist_ok=True)
        path.write_text(MATRIX.format(labels=json.dumps(self.labels), encoder=self.encoder) + variants, "utf-8")
        return path

    @cached_property
    def cells(self) -> dict[str, Planned]:
        """The planned cell of each label."""
        return planned_cells(self.matrix)

    @cached_property
    def records(self) -> dict[str, Record]:
        """The record of each label, all run from an empty folder under observation."""
        modules = [registry.module_of("method", name) for name in self.methods]
        with _counting(self.fits), opened_by(modules) as opened, redirect_stderr(io.StringIO()):
            self.run(self.labels)
        self.opened |= opened
        return {str(record.cell["label"]): record for record in Records(self.out).all()}

    def run(self, labels: Sequence[str]) -> None:
        """Run the cells of these labels in this process."""
        where = RunSettings(self.out, keep_models=True, cache=self.root / "cache")
        local.run([self.cells[label] for label in labels], where)

    def ready(self, label: str) -> Ready:
        """The label's cell with the models that the run kept."""
        if label not in self._ready:
            require(self.records[label].status == "ok", why(self.records[label]))
            self._ready[label] = self.prepared(label, self.out / "models")
            self._ready[label].trainer.all()
        return self._ready[label]

    def prepared(self, label: str, models: Path, **told: Any) -> Ready:
        """The label's cell, nothing trained yet."""
        planned = self.cells[label]
        method = method_of(planned.cell)
        places = Places(Artefacts(self.root / "cache"), Artefacts(models), torch.device("cpu"), **told)
        return Ready(planned, method, CellTrainer(planned.cell, method, encoder_of(planned.cell), places))

    @property
    def elsewhere(self) -> Suite:
        """The same in another process, with another hash seed and an empty cache."""
        require(self._process.returncode == 0, f"another process fails: {self._process.stderr.strip()[-300:]}")
        return Suite(self.root / "elsewhere", self.encoder, self.methods)

    @cached_property
    def _process(self) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join(filter(None, sys.path))
        return subprocess.run(
            [sys.executable, "-m", "bench.run.conformance", self.root / "elsewhere", self.encoder, *self.methods],
            env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "4711"},
            capture_output=True,
            text=True,
        )

    @cached_property
    def told_elsewhere(self) -> dict[str, Any]:
        """By label the key and digests of the other process."""
        told: dict[str, Any] = json.loads((self.elsewhere.root / "told.json").read_text(encoding="utf-8"))
        return told


def planned_cells(matrix: Path) -> dict[str, Planned]:
    """The cells of a matrix file with one cell a label."""
    return {planned.cell.label: planned for planned in keyed(cells(load_matrix(str(matrix))))}


def why(record: Record) -> str:
    """The state of a cell that has no scores, and the reason."""
    error = {"type": "", "message": ""} | (record.error or {})
    return f"its cell {record.status}: {record.reason or '{type}: {message}'.format_map(error)}"


@contextmanager
def _counting(fits: list[Fit]) -> Iterator[None]:
    """Note in `fits` each training that the runner does inside the block."""
    real, step = training.fit, torch.optim.AdamW.step  # type: ignore[attr-defined]

    def drawn_from() -> tuple[Any, ...]:
        return random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index]

    def fit(plan: Any, data: Any, tagger: Any, *rest: Any) -> Any:
        steps, forwards = [], []
        before = drawn_from()
        hook = tagger.encoder.register_forward_hook(lambda *_: forwards.append(1) if tagger.training else None)

        def counted(*arguments: Any, **options: Any) -> Any:
            steps.append(1)
            return step(*arguments, **options)

        with mock.patch.object(torch.optim.AdamW, "step", counted):
            history = real(plan, data, tagger, *rest)
        hook.remove()
        drew = tuple(n for n, a, b in zip(("random", "numpy"), before, drawn_from(), strict=True) if a != b)
        fits.append(Fit(type(plan.method).__module__, len(steps), len(forwards), drew, history))
        return history

    with mock.patch.object(training, "fit", fit):
        yield
