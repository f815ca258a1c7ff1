"""Rows that train on English and translations keep every English sentence, whatever became of its translation."""

from __future__ import annotations

from typing import Any

import pytest

from bench.api.method import Pair, TrainingSet, pooled
from bench.core.sentences import Sentence, Span
from bench.plan import registry

SOURCE = [Sentence(f"s/{n}", "en", ("Anna", "went"), (Span(0, 1, "PER"),), f"s/{n}") for n in range(5)]
PAIRS = [Pair(s, Sentence(f"{s.id}.de", "de", ("Anna", "ging"), (Span(0, 1, "PER"),), s.group)) for s in SOURCE[1:4]]


class Some:
    """A cell that has translations of three in five sentences, by whatever way a method asks for them."""

    tags = ("O", "B-PER", "I-PER")

    def source(self) -> list[Sentence]:
        return SOURCE

    def labelled_translations(self, **_: Any) -> list[Pair]:
        return PAIRS

    translations = gold_translations = labelled_translations

    def targets(self) -> tuple[str, ...]:
        return ("de",)

    def note(self, name: str, value: float) -> None: ...

    def count_labels(self, counts: Any) -> None: ...


def ids(data: TrainingSet) -> list[list[str]]:
    return [[example.sentence.id for example in group] for group in data.labelled]


def test_pairs_come_first_and_lone_sentences_after_them() -> None:
    groups = [["s/1", "s/1.de"], ["s/2", "s/2.de"], ["s/3", "s/3.de"], ["s/0"], ["s/4"]]
    assert ids(TrainingSet(labelled=pooled(PAIRS, SOURCE))) == groups
    assert ids(TrainingSet(labelled=pooled(PAIRS, SOURCE[1:4]))) == groups[:3], "nothing is added where all are there"


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("en_trans", {"english_weight": 0.25}),
        ("concner", {}),
        ("concner", {"labels": "matrix"}),
        ("label_projection", {"english": True}),
        ("candidate_matching", {"english": True, "candidates": "ngram", "score": "align"}),
        ("translate_train_all", {"drawn": "pairs"}),
        ("translate_train_all", {"drawn": "singly"}),
        ("gold_translation", {}),
    ],
)
def test_no_row_loses_a_gold_sentence_with_its_translation(name: str, params: dict[str, Any]) -> None:
    method, ask = registry.make("method", name, params), Some()
    data = method.prepare(method.rounds()[-1], ask)
    english = [example for group in data.labelled for example in group if example.sentence.language == "en"]
    assert sorted(example.sentence.id for example in english) == [s.id for s in SOURCE]
    assert {example.weight for example in english} == {params.get("english_weight", 1.0)}
