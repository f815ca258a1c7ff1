"""Records as the runner leaves them: gold, predictions, counts and scores that agree, and matrix.json."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.core.conll import conll_text
from bench.core.sentences import Sentence, digest
from bench.measure.score import count, summary
from bench.store.record import Cost, Record, Records, Resources, RuleScores, add_cells
from bench.store.sidecars import GOLD, predictions_name
from tests.conftest import toy_sentences
from tests.support.records_for_tests import CORPUS, Plan, cell_of, key_of

TYPES = ("PER", "LOC")
QUALITY = {"zero_shot": 0.5, "concner": 0.8}


def gold_of(target: str, sentences: int = 40) -> list[Sentence]:
    """The test of a language; sides of one parallel corpus."""
    return [replace(s, group=f"toy/{n}") for n, s in enumerate(toy_sentences(sentences, 7, target))]


def found_in(gold: Sequence[Sentence], quality: float, *names: object) -> list[Sentence]:
    """Predictions that keep an entity with that probability, and give some of the kept ones another type."""
    draw = random.Random(" ".join(map(str, names)))
    other = {"PER": "LOC", "LOC": "PER"}
    return [
        replace(
            sentence,
            spans=tuple(
                span if draw.random() < 0.9 else span._replace(type=other[span.type])
                for span in sentence.spans or ()
                if draw.random() < quality
            ),
        )
        for sentence in gold
    ]


def put_scored(out: Path, label: str, target: str, seed: int, quality: float, **more: Any) -> Record:
    """One finished record; `more` goes over its fields."""
    store, gold, key = Records(out), gold_of(target), key_of(label, target, seed)
    counts, scores = {}, {}
    for rule in ("source-dev", "last"):
        found = found_in(gold, quality, label, target, seed, rule)
        counts[rule] = count([s.spans or () for s in gold], [s.spans or () for s in found], TYPES)
        total = summary(counts[rule], TYPES)
        f1, precision, recall = (round(value, 6) for value in (total.f1, total.precision, total.recall))
        scores[rule] = RuleScores(f1, precision, recall, total.types, 100, 0.8, None, None)
        store.put_text(key, predictions_name(rule), conll_text(found))
    store.put_text(key, GOLD, conll_text(gold))
    store.put_counts(key, counts, TYPES)
    tokens = sum(len(s.words) for s in gold)
    record = Record(
        key=key,
        matrix="toy",
        cell=cell_of(Plan({}), label, target, seed),
        status="ok",
        corpus={**CORPUS, "types": list(TYPES), "test": digest(gold)},
        scores=scores,
        rules=("source-dev", "last"),
        sentences=len(gold),
        tokens_gold=tokens,
        tokens_scored=tokens,
        resources=Resources(labelled=1000, translation="human"),
        cost=Cost(seconds=12.5, steps=500, batch=32, sentences=16000, tokens=123456),
    )
    record = replace(record, **more)
    store.put(record)
    return record


def make_scored(
    out: Path,
    quality: Mapping[str, float] = QUALITY,
    targets: Sequence[str] = ("de", "fi"),
    seeds: Sequence[int] = (1, 2, 3),
) -> list[Record]:
    """The records of a small matrix, and the matrix."""
    records = [
        put_scored(out, label, target, seed, part)
        for label, part in quality.items()
        for target in targets
        for seed in seeds
    ]
    cells = [{"key": one.key} | {k: v for k, v in one.cell.items() if k != "params"} for one in records]
    add_cells(out, cells, "toy")
    return records
