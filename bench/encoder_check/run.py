"""The trainings of `xner encoder-check`: NER and projection on PUD as ordinary cells, and a linear tagger."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from bench.api.recipes import Embedder
from bench.core.errors import Unavailable
from bench.core.sentences import Sentence, spans_of, tags_of
from bench.data.cell_data import CellData
from bench.data.embed import EncoderEmbedder
from bench.data.identity import keyed
from bench.encoder_check.check import EncoderFacts, Gap, Subject
from bench.measure.score import count, f1
from bench.plan.matrix import Cell, cells
from bench.plan.spec import load_matrix
from bench.plan.units import Planned, unfinished, write_matrix
from bench.run import local
from bench.run.shared import RunSettings
from bench.store.record import Record, Records
from bench.train.memory import default_jobs

MATCHINGS = ("itermax", "intersection")
MATCHER = "min-max"
EUROPARL = "europarl-en"  # variant of the matrix, and the column of English debates in tables
PUD = ("de", "pt", "zh", "ru", "sv")  # gold on both sides; ru and sv, which must be fetched, only on demand
PUD_DEFAULT = PUD[:3]
TOO_SMALL = ("ceb", "tl")  # tests of 49 and 23 entities: only on demand
PENALTY = 100.0  # of half the squared weights, beside the summed cross-entropy; chosen on six dev sets with `mini`
ITERATIONS = 200


@dataclass(frozen=True)
class Machine:
    """The device of cells and the folder of their records, from which an interrupted check resumes."""

    out: Path
    device: str = "cpu"
    jobs: int | None = None
    threads: int = 2  # of one training; another number may round differently


@dataclass(frozen=True)
class Training:
    """Settings of NER and its tests; everything else is in the matrix `encoder-check`."""

    lr: float = 2e-4
    freeze: int = 0  # lowest layers left as pre-trained
    seeds: tuple[int, ...] = (1, 2, 3)
    tests: Literal["test", "dev"] = "test"


@dataclass
class Scores:
    """F1 (0 to 1) of an encoder: of NER by test and seed, of projection by matching and language; what is missing."""

    subject: Subject
    f1: dict[str, dict[str, float]] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)
    training: dict[str, float] = field(default_factory=dict)  # seconds by seed, predicting the smallest test included

    @property
    def seconds(self) -> float | None:
        """Of a training and the prediction of the smallest test, mean over the seeds."""
        return sum(self.training.values()) / len(self.training) if self.training else None


def ner(subjects: Sequence[Subject], languages: Sequence[str], how: Training, machine: Machine) -> list[Scores]:
    """Zero-shot F1 from English of each encoder, by test and seed; missing tests are gaps.

    Raises:
        BadInput: a file is not as published.
    """
    by_encoder = [Scores(subject) for subject in subjects]
    made: list[tuple[Scores, Cell]] = []
    for scores in by_encoder:
        settings = _ner_settings(scores.subject, languages, how) | {"train.threads": machine.threads}
        made += [(scores, cell) for cell in _cells("encoder-check", settings)]
        if "en" in languages and how.tests == "test":
            settings |= {"axes.methods": [EUROPARL], "axes.targets": ["en"], "corpus.uner_pud.english": "europarl"}
            made += [(scores, cell) for cell in _cells("encoder-check", settings)]
    for scores, cell, record in _run(made, "ner", machine, machine.out / "ner"):
        seed = str(cell.seed)
        scores.f1.setdefault(_column(cell), {})[seed] = record.scores[record.rules[0]].f1
        if record.cost.seconds is not None:
            own = record.cost.seconds - scores.subject.made_in
            scores.training[seed] = min(scores.training.get(seed, own), own)
    return by_encoder


def _ner_settings(subject: Subject, languages: Sequence[str], how: Training) -> dict[str, Any]:
    return {
        "axes.encoders": [subject.name],
        "axes.targets": list(languages),
        "axes.seeds": list(how.seeds),
        f'encoder."{subject.name}".lr': how.lr,
        f'encoder."{subject.name}".freeze': how.freeze,
        "corpus.uner_pud.tests": how.tests,
    }


def linear(subject: Subject, embedder: EncoderEmbedder, layer: int, languages: Sequence[str], how: Training) -> Scores:
    """F1 of a linear tagger on frozen vectors, with NER's 1,000 training sentences and tests; quick, no seed.

    Raises:
        BadInput: a file is not as published.
    """
    scores, tests = Scores(subject), {}
    made = _cells("encoder-check", _ner_settings(subject, languages, how) | {"axes.seeds": [1]})
    for cell in made:
        with _gap(scores.gaps, "linear", cell.target):
            tests[cell.target] = _readable(cell).test()
    if tests:
        data = CellData(made[0])
        by_language = linear_f1(embedder, layer, data.types, data.source(), tests)
        scores.f1 = {language: {"": value} for language, value in by_language.items()}
    return scores


def linear_f1(
    embedder: Embedder,
    layer: int,
    types: Sequence[str],
    train: Sequence[Sentence],
    tests: Mapping[str, Sequence[Sentence]],
) -> dict[str, float]:
    """Strict F1 by test of a linear tagger trained on `train`; deterministic, without a seed.

    A word's vector is that of its first piece at `layer`; a word without a piece is outside any entity.
    """
    vectors, gold, _ = _words(embedder, layer, train)
    tagger = fit_linear(vectors, gold)
    scores = {}
    for name, sentences in tests.items():
        vectors, _, at = _words(embedder, layer, sentences)
        tags = [["O"] * len(sentence.words) for sentence in sentences]
        for (sentence, word), tag in zip(at, tagger.predict(vectors), strict=True):
            tags[sentence][word] = tag
        scores[name] = f1(count([s.spans or () for s in sentences], [spans_of(t) for t in tags], types))
    return scores


def fit_linear(vectors: npt.NDArray[np.float64], tags: Sequence[str]) -> Pipeline:
    """Multinomial logistic regression on standardised vectors (n, H) of words, fitted to their tags."""
    regression = LogisticRegression(C=1 / PENALTY, max_iter=ITERATIONS, tol=1e-6)
    return make_pipeline(StandardScaler(), regression).fit(vectors, tags)


def _words(
    embedder: Embedder, layer: int, sentences: Sequence[Sentence]
) -> tuple[npt.NDArray[np.float64], list[str], list[tuple[int, int]]]:
    """Of every word that has a piece: its vector (n, H), its tag, and its sentence and place in it."""
    vectors, tags, at = [], [], []
    embedded = embedder.embed([sentence.words for sentence in sentences], layer)
    for i, (sentence, (of_pieces, words_of_pieces)) in enumerate(zip(sentences, embedded, strict=True)):
        words, first = np.unique(words_of_pieces, return_index=True)
        vectors.append(of_pieces[first].astype(np.float64))
        own = tags_of(sentence.spans or (), len(sentence.words))
        tags += [own[word] for word in words]
        at += [(i, int(word)) for word in words]
    return np.concatenate(vectors), tags, at


def projection(subject: Subject, facts: EncoderFacts, languages: Sequence[str], machine: Machine) -> Scores:
    """F1 of English gold spans projected on PUD, by matching and language, at the layer of `facts`.

    Raises:
        BadInput: a file is not as published.
    """
    settings = {
        "axes.targets": list(languages),
        "axes.labels.aligner": ["simalign"],
        "axes.labels.matcher": [MATCHER],
        "axes.aligner.simalign.matching": list(MATCHINGS),
        "labels.aligner_encoder": subject.name,
        f'encoder."{subject.name}".align_layer': facts.layer,
        "train.threads": machine.threads,
    }
    scores, out = Scores(subject), machine.out / "projection" / subject.label.replace("/", "-")
    made = [(scores, cell) for cell in _cells("pud-projection", settings)]
    for _, cell, record in _run(made, "projection", machine, out):
        matching = str(cell.aligner_params["matching"])
        scores.f1.setdefault(matching, {})[cell.target] = record.scores[record.rules[0]].f1
    return scores


def _cells(matrix: str, settings: Mapping[str, Any]) -> list[Cell]:
    """The cells of a shipped matrix with these values set."""
    return cells(load_matrix(matrix, [f"{key}={json.dumps(value)}" for key, value in settings.items()]))


@contextmanager
def _gap(gaps: list[Gap], part: str, language: str) -> Iterator[None]:
    """Turns Unavailable into a gap, once: the seeds of a language have the same reason."""
    try:
        yield
    except Unavailable as error:
        gap = Gap(part, language, str(error))
        if gap not in gaps:
            gaps.append(gap)


def _readable(cell: Cell) -> CellData:
    """The cell's data; Unavailable if they are not on this machine."""
    data = CellData(cell)
    if not data.data.read(cell.target, "test"):
        raise Unavailable(f"its corpus has no {cell.corpus_params['tests']} set")
    data.test()
    return data


def _run(
    made: Sequence[tuple[Scores, Cell]], part: str, machine: Machine, out: Path
) -> Iterator[tuple[Scores, Cell, Record]]:
    """The cells with their records, missing ones made first; one without a score becomes a gap of its Scores."""
    readable: list[tuple[Scores, Planned]] = []
    for scores, cell in made:
        with _gap(scores.gaps, part, _column(cell)):
            _readable(cell)
            readable.append((scores, keyed([cell])[0]))
    planned = [unit for _, unit in readable]
    todo = unfinished(planned, out, retry=True)
    if todo:
        print(f"{todo[0].cell.matrix}: {len(planned)} cells, {len(todo)} to run", file=sys.stderr, flush=True)
        out.mkdir(parents=True, exist_ok=True)
        write_matrix(planned, out)
        jobs = machine.jobs or default_jobs(machine.device, max(unit.cell.train.threads for unit in todo))
        local.run(todo, RunSettings(out, machine.device), jobs, retry=True)
    records = Records(out)
    for scores, unit in readable:
        with _gap(scores.gaps, part, _column(unit.cell)):
            yield scores, unit.cell, _finished(records.get(unit.key))


def _column(cell: Cell) -> str:
    """The cell's column in tables, and the language of its gap."""
    return EUROPARL if cell.label == EUROPARL else cell.target


def _finished(record: Record | None) -> Record:
    """The record; Unavailable if it has no score."""
    if record is None:
        raise Unavailable("not run: the same command resumes")
    if record.status != "ok":
        error = record.error or {}
        raise Unavailable(record.reason or f"failed: {error.get('type')}: {error.get('message')}")
    return record
