"""Annotation projection: which lines of parallel text are kept, and with which labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.api.annotation import Annotation, annotated
from bench.api.method import Predictions, TrainingSet
from bench.core.errors import Unavailable
from bench.core.sentences import Pair, Sentence, Span
from bench.data.cell_data import CellData, Guard, sentences_of
from bench.data.identity import cell_key
from bench.data.labels import parallel_links
from bench.plan.matrix import Cell, cells
from bench.plan.spec import load_matrix
from methods.annotation_projection.method import AnnotationProjection, AnnotationProjectionParams
from methods.concner.method import Concner, ConcnerParams
from tests.support.e2e_tools import Place, matrix_text

PER = Span(0, 1, "PER")
GOLD = [Sentence("g", "en", ("Anna", "sang"), (PER,))]


class FakeAsk:
    """Parallel text of two words a line; by line the teacher's sureness, and the target span of its entity."""

    def __init__(self, sure: Sequence[float], entity: Sequence[bool], reached: Sequence[bool]) -> None:
        self.sure, self.entity, self.reached = sure, entity, reached
        self.notes: dict[str, float] = {}

    def parallel_text(self) -> list[Pair]:
        return [
            Pair(
                Sentence(f"t/{n}", "en", ("a", "b"), None, f"t/{n}"),
                Sentence(f"t/{n}", "da", ("x", "y"), None, f"t/{n}"),
            )
            for n in range(len(self.sure))
        ]

    def model(self, name: str) -> Any:
        assert name == "teacher"
        return self

    def predict(self, sentences: Sequence[Sentence]) -> Predictions:
        assert all(sentence.language == "en" and sentence.spans is None for sentence in sentences)
        probabilities = tuple(np.asarray([[1 - s, s], [0.5, 0.5]], np.float32) for s in self.sure)
        return Predictions(tuple((PER,) if found else () for found in self.entity), probabilities)

    def project(self, pairs: Sequence[Pair]) -> list[tuple[Span | None, ...]]:
        found = zip(pairs, self.reached, strict=True)
        return [tuple(Span(1, 2, "PER") if here else None for _ in pair.source.spans or ()) for pair, here in found]

    def note(self, name: str, value: float) -> None:
        self.notes[name] = value

    def source(self) -> list[Sentence]:
        return GOLD


LINES = st.lists(st.tuples(st.floats(0.5, 1), st.booleans(), st.booleans()), min_size=1, max_size=12)


@given(LINES, st.sampled_from([0.0, 0.3, 0.5, 1.0]), st.sampled_from([0.0, 1.0]), st.booleans())
def test_the_lines_that_are_kept(lines: list[Any], share: float, projected: float, empty: bool) -> None:
    ask: Any = FakeAsk(*zip(*lines, strict=True))
    kept = annotated(ask, "teacher", Annotation(share, projected, empty))
    able = {}
    for n, (sure, entity, reached) in enumerate(lines):
        if (reached or projected == 0.0) if entity else empty:
            mean = np.float32(sure) if entity else np.asarray([sure, 0.5], np.float32).mean()
            found = (Span(1, 2, "PER"),) if entity and reached else ()
            able[f"t/{n}"] = (float(mean), (PER,) if entity else (), found)
    chosen = [pair.source.id for pair in kept]
    assert len(chosen) == ask.notes["parallel_kept"]
    assert chosen == [line for line in able if line in chosen], "in the text's order"
    assert [(p.source.spans, p.target.spans) for p in kept] == [able[line][1:] for line in chosen]
    for entities in ((PER,), ()):  # the surest of each kind
        kind = {line: sure for line, (sure, labels, _) in able.items() if labels == entities}
        kept_of = [sure for line, sure in kind.items() if line in chosen]
        left = [sure for line, sure in kind.items() if line not in chosen]
        assert len(kept_of) == math.ceil(share * len(kind))
        assert not kept_of or not left or min(kept_of) >= max(left)


def ids(data: TrainingSet) -> list[list[tuple[str, str]]]:
    return [[(example.sentence.id, example.sentence.language) for example in group] for group in data.labelled]


def test_what_a_student_trains_on() -> None:
    """Target lines, with English singly or beside its line; ConCNER has the very sentences of `pairs`."""
    ask: Any = FakeAsk([0.9, 0.6, 0.95], [True, True, True], [True, True, True])
    found = {}
    for english in ("none", "gold", "pairs"):
        method = AnnotationProjection(AnnotationProjectionParams(english=english))
        assert [round_.method for round_ in method.rounds()] == ["zero_shot", None]
        found[english] = method.prepare(method.rounds()[-1], ask)
    target = [[("t/0", "da")], [("t/2", "da")]]
    assert ids(found["none"]) == target
    assert ids(found["gold"]) == [*target, [("g", "en")]]
    assert ids(found["pairs"]) == [[("t/0", "en"), ("t/0", "da")], [("t/2", "en"), ("t/2", "da")], [("g", "en")]]
    concner = Concner(ConcnerParams(labels="parallel"))
    assert concner.rounds() == AnnotationProjection().rounds() and concner.needs == AnnotationProjection.needs
    assert concner.prepare(concner.rounds()[-1], ask).digest() == found["pairs"].digest()
    assert concner.factors().teacher == "zero_shot" and not concner.diagnostics().space


def test_the_leakage_guard_covers_both_sides_of_the_text() -> None:
    """A test sentence that the text translates, or repeats on either side, is found and dropped with its pair."""
    ask: Any = FakeAsk([0.9, 0.9, 0.9], [True, True, True], [True, True, True])
    method = AnnotationProjection(AnnotationProjectionParams(english="pairs", share=1.0))
    data = method.prepare(method.rounds()[-1], ask)
    of_group = Guard([Sentence("q", "da", ("something", "else"), (), "t/1")])
    assert of_group.overlap(sentences_of(data)).by_group == 1
    assert [group[0][0] for group in ids(of_group.dropped(data))] == ["t/0", "t/2", "g"]
    for words in (("A", "b!"), ("x", "Y")):
        assert Guard([Sentence("q", "en", words, ())]).overlap(sentences_of(data)).by_text == 3


@pytest.mark.slow
def test_its_key_and_axes_know_the_text_its_links_and_the_matcher(tmp_path: Path, tiny_folder: Path) -> None:
    """Not the translator and the filters, which are of labelled translations."""
    place = Place(tmp_path, tiny_folder)
    plain = matrix_text(tiny_folder, ("annotation_projection",))

    def cells_of(text: str) -> list[Cell]:
        return cells(load_matrix(str(place.matrix(text))))

    def key(labels: str = 'translator = "frames"') -> str:
        return cell_key(*cells_of(matrix_text(tiny_folder, ("annotation_projection",), labels=labels)))

    known = 'translator = "frames"\n'
    assert key() == key(labels=known + 'filters = ["comp-ins"]') == key(labels='translator = "files"')
    assert len({key(), key(labels=known + 'matcher = "longest"'), key(labels=known + 'aligner = "statistical"')}) == 3
    crossed = '"labels.matcher" = ["min-max", "longest"]\n"labels.translator" = ["frames", "files"]\n[data]'
    found = cells_of(plain.replace("[data]", crossed, 1))
    assert [cell.axes for cell in found] == [{"labels.matcher": "min-max"}, {"labels.matcher": "longest"}]
    text = {"n_unlabelled": 31}
    (cell,) = cells_of(plain)
    assert cell_key(replace(cell, corpus_params={**cell.corpus_params, **text})) != cell_key(cell)
    with pytest.raises(Unavailable, match="no unlabelled parallel text from 'en' into 'fr'"):
        parallel_links(replace(cell, target="fr"), CellData(cell))


@pytest.mark.parametrize("wrong", [{"share": 1.5}, {"projected": -0.1}])
def test_wrong_parameters(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be from 0 to 1"):
        Annotation(**wrong)  # type: ignore[arg-type]
