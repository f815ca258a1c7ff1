"""What `xner encoder-check` learns and scores: NER and projection on PUD as ordinary cells, and a linear tagger."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from bench.encoder_check.check import Facts, Gap, Subject
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
EUROPARL = "europarl-en"  # variant of the matrix, and what tables call English debates
PUD = ("de", "pt", "zh", "ru", "sv")  # gold on both sides; ru and sv, which must be fetched, on demand only
PUD_DEFAULT = PUD[:3]
TOO_SMALL = ("ceb", "tl")  # tests of 49 and 23 entities: on demand only


PENALTY = 100.0  # of half the squared weights, beside the summed cross-entropy; chosen on six dev sets with `mini`
ITERATIONS = 200


@dataclass(frozen=True)
class Machine:
    """Where cells run and where their records stay, so that an interrupted check resumes."""

    out: Path
    device: str = "cpu"
    jobs: int | None = None
    threads: int = 2  # of one training; another number may round otherwise


@dataclass(frozen=True)
class Training:
    """How NER is trained and on what it is scored; everything else stands in the matrix `encoder-check`."""

    lr: float = 2e-4
    freeze: int = 0  # lowest layers left as pre-trained
    seeds: tuple[int, ...] = (1, 2, 3)
    tests: Literal["test", "dev"] = "test"


@dataclass
class Scores:
    """F1 (0 to 1) by column: by seed of NER, by matching of projection; and what is missing."""

    f1: dict[str, dict[str, float]] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)
    seconds: float | None = None  # a training and the prediction of the smallest test, mean over the seeds


def ner(subjects: Sequence[Subject], languages: Iterable[str], how: Training, machine: Machine) -> dict[str, Scores]:
    """Zero-shot F1 from English by encoder, test and seed; tests that are not here are gaps.

    Raises:
        BadInput: a file is not as published.
    """
    wanted = list(languages)
    found = {subject.label: Scores() for subject in subjects}
    planned: list[tuple[Subject, str, Planned]] = []
    for subject in subjects:
        settings = _ner_settings(subject, wanted, how) | {"train.threads": machine.threads}
        made = _cells("encoder-check", settings)
        if "en" in wanted and how.tests == "test":
            settings |= {"axes.methods": [EUROPARL], "axes.targets": ["en"], "corpus.uner_pud.english": "europarl"}
            made += _cells("encoder-check", settings)
        for cell in made:
            column = cell.target if cell.label != EUROPARL else EUROPARL
            with _gap(found[subject.label].gaps, "ner", column):
                _readable(cell)
                planned.append((subject, column, keyed([cell])[0]))
    records = _run([one for _, _, one in planned], machine, machine.out / "ner")
    costs: dict[str, dict[str, float]] = {}  # by encoder and seed, of the test that is predicted fastest
    for subject, column, one in planned:
        scores, seed = found[subject.label], str(one.cell.seed)
        with _gap(scores.gaps, "ner", column):
            record = _finished(records.get(one.key))
            scores.f1.setdefault(column, {})[seed] = record.scores[record.rules[0]].f1
            if record.cost.seconds is not None:
                own, known = record.cost.seconds - subject.made_in, costs.setdefault(subject.label, {})
                known[seed] = min(known.get(seed, own), own)
    for label, seconds in costs.items():
        found[label].seconds = sum(seconds.values()) / len(seconds)
    return found


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
    """F1 of a linear tagger on its frozen vectors, from the same 1,000 sentences on the same tests; quick, no seed.

    Raises:
        BadInput: a file is not as published.
    """
    scores, tests = Scores(), {}
    made = _cells("encoder-check", _ner_settings(subject, languages, how) | {"axes.seeds": [1]})
    for cell in made:
        with _gap(scores.gaps, "linear", cell.target):
            tests[cell.target] = _readable(cell).test()
    if tests:
        data = CellData(made[0])
        found = linear_f1(embedder, layer, data.types, data.source(), tests)
        scores.f1 = {language: {"": value} for language, value in found.items()}
    return scores


def linear_f1(
    embedder: Embedder,
    layer: int,
    types: Sequence[str],
    train: Sequence[Sentence],
    tests: Mapping[str, Sequence[Sentence]],
) -> dict[str, float]:
    """Strict F1 by test of a linear tagger trained on `train`; the same every time, no seed is drawn.

    A word is the vector of its first piece at `layer`; one without a piece is outside any entity.
    """
    vectors, gold, _ = _words(embedder, layer, train)
    tagger = fit_linear(vectors, gold)
    found = {}
    for name, sentences in tests.items():
        vectors, _, at = _words(embedder, layer, sentences)
        tags = [["O"] * len(sentence.words) for sentence in sentences]
        for (sentence, word), tag in zip(at, tagger.predict(vectors), strict=True):
            tags[sentence][word] = tag
        found[name] = f1(count([s.spans or () for s in sentences], [spans_of(t) for t in tags], types))
    return found


def fit_linear(vectors: npt.NDArray[np.float64], tags: Sequence[str]) -> Pipeline:
    """Multinomial logistic regression on standardised vectors (n, H) of words, fitted to their tags."""
    regression = LogisticRegression(C=1 / PENALTY, max_iter=ITERATIONS, tol=1e-6)
    return make_pipeline(StandardScaler(), regression).fit(vectors, tags)


def _words(
    embedder: Embedder, layer: int, sentences: Sequence[Sentence]
) -> tuple[npt.NDArray[np.float64], list[str], list[tuple[int, int]]]:
    """Of every word that has a piece: its vector (n, H), its tag, and its sentence and place there."""
    vectors, tags, at = [], [], []
    embedded = embedder.embed([sentence.words for sentence in sentences], layer)
    for i, (sentence, one) in enumerate(zip(sentences, embedded, strict=True)):
        words, first = np.unique(one.words, return_index=True)
        vectors.append(one.vectors[first].astype(np.float64))
        own = tags_of(sentence.spans or (), len(sentence.words))
        tags += [own[word] for word in words]
        at += [(i, int(word)) for word in words]
    return np.concatenate(vectors), tags, at


def projection(subject: Subject, facts: Facts, languages: Sequence[str], machine: Machine) -> Scores:
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
    scores = Scores()
    planned = []
    for cell in _cells("pud-projection", settings):
        with _gap(scores.gaps, "projection", cell.target):
            _readable(cell)
            planned += keyed([cell])
    records = _run(planned, machine, machine.out / "projection" / subject.label.replace("/", "-"))
    for one in planned:
        with _gap(scores.gaps, "projection", one.cell.target):
            record, matching = _finished(records.get(one.key)), str(one.cell.aligner_params["matching"])
            scores.f1.setdefault(matching, {})[one.cell.target] = record.scores[record.rules[0]].f1
    return scores


def _cells(matrix: str, settings: Mapping[str, Any]) -> list[Cell]:
    """The cells of a shipped matrix with these values set."""
    return cells(load_matrix(matrix, [f"{key}={json.dumps(value)}" for key, value in settings.items()]))


@contextmanager
def _gap(gaps: list[Gap], part: str, language: str) -> Iterator[None]:
    """What is not here becomes a gap, once: the seeds of a language have one reason."""
    try:
        yield
    except Unavailable as error:
        gap = Gap(part, language, str(error))
        if gap not in gaps:
            gaps.append(gap)


def _readable(cell: Cell) -> CellData:
    """What the cell reads; Unavailable where that is not here."""
    data = CellData(cell)
    if not data.data.read(cell.target, "test"):
        raise Unavailable(f"its corpus has no {cell.corpus_params['tests']} set")
    data.test()
    return data


def _run(planned: Sequence[Planned], machine: Machine, out: Path) -> dict[str, Record]:
    """The records of the cells by key, those that are missing made first."""
    todo = unfinished(planned, out, retry=True)
    if todo:
        print(f"{todo[0].cell.matrix}: {len(planned)} cells, {len(todo)} to run", file=sys.stderr, flush=True)
        out.mkdir(parents=True, exist_ok=True)
        write_matrix(planned, out)
        jobs = machine.jobs or default_jobs(machine.device, max(one.cell.train.threads for one in todo))
        local.run(todo, RunSettings(out, machine.device), jobs, retry=True)
    records = Records(out)
    return {one.key: record for one in planned if (record := records.get(one.key)) is not None}


def _finished(record: Record | None) -> Record:
    """The record; Unavailable where it has no score."""
    if record is None:
        raise Unavailable("not run: the same command resumes")
    if record.status != "ok":
        error = record.error or {}
        raise Unavailable(record.reason or f"failed: {error.get('type')}: {error.get('message')}")
    return record
