"""How long trainings with an encoder of this shape take on this machine: a few steps with random weights, timed once.

`xner plan` estimates training and predicting by it, not translating or aligning, while there is no record.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.nn.utils import clip_grad_norm_

from bench.api.batch import Inputs
from bench.api.objectives import cross_entropy
from bench.core.errors import Unavailable
from bench.core.memo import Memo
from bench.core.sentences import Sentence
from bench.data.cell_data import CellData
from bench.data.encoders import WITH_DECODER
from bench.data.identity import encoder_of
from bench.plan.estimate import trainings_of
from bench.plan.keys import key_of, versions
from bench.plan.matrix import Cell
from bench.plan.sections import EncoderSpec, TrainSpec
from bench.plan.units import Planned, method_of, trains
from bench.store.artefacts import Artefacts
from bench.train.encoder import Encoder, optimiser_of
from bench.train.fit import steps_of
from bench.train.memory import device_name, resolve_device
from bench.train.predict import autocast
from bench.train.tagger import LinearTagger

STAGE = "calibration"
LENGTH = 32  # sub-words of a measured sentence, about as in news
ROWS = 2000  # word embeddings: as many as a batch may need, whatever the vocabulary
ENOUGH = 0.3  # seconds: once a step takes so long, no larger batch is measured
PIECES = 1.5  # sub-words a word, roughly as multilingual vocabularies split European text
TAGS = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")


@dataclass(frozen=True)
class Pace:
    """Seconds for a step of any batch, and for a sub-word trained on, read, or read first by frozen layers."""

    step: float
    trained: float
    read: float
    frozen: float


@dataclass
class Calibrated:
    """Estimated seconds of units of work; a training that several units need is counted with the first."""

    cache: Artefacts
    failed: dict[str, str] = field(default_factory=dict)  # by encoder why its steps cannot be timed
    _paces: dict[Hashable, Pace | None] = field(default_factory=dict)
    _counted: set[str] = field(default_factory=set)

    def seconds(self, unit: Sequence[Planned]) -> float | None:
        """Seconds of training and predicting; None if the encoder is not on this machine yet, or failed."""
        cell = unit[0].cell
        if not trains(cell):
            return 0.0
        name = (cell.encoder, cell.recipe, cell.train)
        try:
            if name not in self._paces:
                self._paces[name] = pace_of(cell, self.cache)
            pace = self._paces[name]
            return None if pace is None else self._of_unit(unit, pace)
        except Unavailable:  # without a test the cell is skipped
            return 0.0
        except (OSError, ValueError, RuntimeError) as error:
            self._paces[name] = None
            self.failed[cell.encoder] = next(iter(str(error).splitlines()), type(error).__name__)
            return None

    def _of_unit(self, unit: Sequence[Planned], pace: Pace) -> float:
        cell = unit[0].cell
        train, data = cell.train, CellData(cell)
        source, dev = data.source(), data.dev()
        evaluated = _pieces(dev) * ("source-dev" in train.rules)
        if "target-dev" in train.rules:
            evaluated += sum(_pieces(CellData(planned.cell).target_dev()) for planned in unit)
        of_step = pace.step + pace.trained * train.batch * _pieces(source) / len(source)
        of_training = steps_of(train, len(source)) * of_step + train.evals * evaluated * pace.read
        of_training += (_pieces(source) + evaluated) * pace.frozen
        new = {name for planned in unit for name in trainings_of(planned.cell)} - self._counted
        self._counted |= new
        test = sum(_pieces(CellData(planned.cell).test()) for planned in unit)
        rounds = max(1, len(method_of(cell).rounds()))
        return len(new) * of_training + test * (min(len(train.rules), train.evals) * pace.read + pace.frozen) * rounds


def pace_of(cell: Cell, cache: Artefacts) -> Pace | None:
    """The pace of a cell's encoder and recipe, measured if it is not cached; None as in `Calibrated.seconds`."""
    folder = encoder_of(cell).configured(cache)
    if folder is None:
        return None
    device = torch.device(resolve_device("auto", ()))
    train, recipe = cell.train, cell.recipe
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    machine = [platform.node(), platform.processor() or platform.machine(), os.cpu_count(), device_name(device)]
    key = key_of(
        STAGE,
        machine=machine,
        versions=versions(),
        shape={name: value for name, value in config.items() if isinstance(value, int | float) or name == "model_type"},
        recipe=[recipe.layers, recipe.freeze],
        train=[train.batch, train.precision, train.threads],
    )
    made = cache.get_or_make(STAGE, key, lambda _: vars(_measured(folder, recipe, train, device)))
    return Pace(**{name: float(made.details[name]) for name in ("step", "trained", "read", "frozen")})


def _measured(folder: Path, recipe: EncoderSpec, train: TrainSpec, device: torch.device) -> Pace:
    """Measure for a few seconds: batches are doubled until a step takes long enough, the last is timed three times."""
    before = torch.get_num_threads()
    torch.set_num_threads(train.threads)
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(0)
            return _Bench(folder, recipe, train, device).pace()
    finally:
        torch.set_num_threads(before)


class _Bench:
    """A tagger of random weights whose steps are timed."""

    def __init__(self, folder: Path, recipe: EncoderSpec, train: TrainSpec, device: torch.device) -> None:
        from transformers import AutoConfig, AutoModel, AutoModelForTextEncoding

        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        config.vocab_size = max(ROWS, (config.pad_token_id or 0) + 1)
        if recipe.layers is not None:
            config.num_hidden_layers = recipe.layers
        kind: Any = AutoModelForTextEncoding if config.model_type in WITH_DECODER else AutoModel
        encoder = Encoder(kind.from_config(config).float(), recipe.freeze, "random", Memo())
        self.tagger = LinearTagger(encoder, TAGS, recipe.dropout).to(device)
        self.optimiser = optimiser_of(self.tagger, recipe)
        self.train, self.device = train, device

    def pace(self) -> Pace:
        self._learn(self._inputs(1))  # the very first pass allocates
        rows = 1
        while self._timed(partial(self._learn, self._inputs(rows))) < ENOUGH and rows < self.train.batch:
            rows = min(2 * rows, self.train.batch)
        inputs = self._inputs(rows)
        self._learn(inputs)  # frozen layers read it once
        learn, step = self._best(lambda: self._learn(inputs)), self._best(self._step)
        self.tagger.eval()
        read = self._best(lambda: self._read(inputs))
        first = self._best(lambda: self._read(self._inputs(rows))) if self.tagger.encoder.freeze else read
        tokens = rows * LENGTH
        return Pace(step, learn / tokens, read / tokens, max(0.0, first - read) / tokens)

    def _best(self, run: Callable[[], None]) -> float:
        return min(self._timed(run) for _ in range(3))

    def _learn(self, inputs: Inputs) -> None:
        self.tagger.train()
        self.tagger.zero_grad(set_to_none=True)
        with autocast(self.device, self.train.precision):
            loss = cross_entropy(self.tagger.read(inputs))
        loss.backward()

    def _step(self) -> None:
        clip_grad_norm_(self.tagger.parameters(), 1.0)
        self.optimiser.step()

    @torch.no_grad()
    def _read(self, inputs: Inputs) -> None:
        with autocast(self.device, self.train.precision):
            self.tagger.decode(self.tagger.read(inputs))

    def _timed(self, run: Callable[[], None]) -> float:
        """Seconds without the influence of other processes: on a CPU busy time."""
        if self.device.type == "cuda":
            begun = time.perf_counter()
            run()
            torch.cuda.synchronize(self.device)
            return time.perf_counter() - begun
        own, every = time.thread_time(), time.process_time()
        run()
        return max(time.thread_time() - own, (time.process_time() - every) / self.train.threads)

    def _inputs(self, rows: int) -> Inputs:
        """Sentences of LENGTH random sub-words, each a word."""
        ids = torch.randint(5, 1000, (rows, LENGTH), device=self.device)
        words = torch.arange(rows * LENGTH, device=self.device).view(rows, LENGTH)
        ones, sentence = torch.ones_like(ids), Sentence("0", "en", ("a",) * LENGTH)
        rows_ = torch.arange(rows, device=self.device)
        return Inputs(
            ids=ids,
            mask=ones,
            real=ones,
            sentence=rows_,
            words=words,
            word_mask=ones.bool(),
            labels=torch.zeros_like(ids),
            soft=None,
            soft_mask=None,
            weights=torch.ones(rows, device=self.device),
            groups=rows_,
            sentences=(sentence,) * rows,
            tokens=rows * LENGTH,
        )


def _pieces(sentences: Sequence[Sentence]) -> float:
    """The approximate number of sub-words, with two special ones a sentence."""
    return sum(2 + PIECES * len(sentence.words) for sentence in sentences)
