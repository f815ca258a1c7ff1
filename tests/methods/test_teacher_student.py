"""Methods with zero_shot as a teacher: its training is done once; what their students are trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch

from bench.api.distilled import Student
from bench.api.method import Batch, Example, Predictions, Step
from bench.core.errors import BadInput
from bench.core.sentences import Sentence, Span, tag_set
from bench.plan import registry
from tests.support.e2e_tools import Place, by_name, matrix_text

TAGS = tag_set(("PER", "LOC"))
TEXT = [Sentence(str(n), "de", ("a", "b", "c")[: 1 + n % 3]) for n in range(6)]


def peaked(size: int, *best: float) -> np.ndarray:
    """Probabilities (words, tags): the first tag has the given one, the others share the rest."""
    rows = [[p, *[(1 - p) / (len(TAGS) - 1)] * (len(TAGS) - 1)] for p in best]
    assert len(rows) == size
    return np.array(rows, np.float32)


class FakeAsk:
    """Target text, and teachers that are told what to find; notes what is noted."""

    tags = TAGS

    def __init__(self, **taught: Sequence[np.ndarray]) -> None:
        self.taught, self.notes = taught, dict[str, float]()

    def source(self) -> list[Sentence]:
        return [Sentence("s", "en", ("x",), (Span(0, 1, "PER"),))]

    def unlabelled(self) -> list[Sentence]:
        return list(TEXT)

    def model(self, name: str) -> Any:
        found = self.taught[name]

        class Model:
            def predict(self, sentences: Sequence[Sentence]) -> Predictions:
                assert list(sentences) == TEXT
                return Predictions(tuple((Span(0, 1, "LOC"),) for _ in sentences), tuple(found))

        return Model()

    def note(self, name: str, value: float) -> None:
        self.notes[name] = value


# --- teacher_student --------------------------------------------------------------------------------------------------


def test_the_student_is_fresh_and_sees_the_target_alone() -> None:
    teacher, student = registry.make("method", "teacher_student").rounds()
    assert (teacher.method, teacher.start) == ("zero_shot", "fresh")
    assert isinstance(student.method, Student) and (student.start, student.teachers) == ("fresh", ("teacher",))
    assert student.method.additive
    assert not Student(replace(student.method.params, distil_outside=False)).additive, "a mean over fewer words"
    taught = [np.full((len(s.words), len(TAGS)), 1 / len(TAGS), np.float32) for s in TEXT]
    data = student.method.prepare(student, FakeAsk(teacher=taught))
    assert set(data.streams()) == {"unlabelled"}
    assert all(example.sentence.spans is None for (example,) in data.unlabelled)


def batch_of(logits: torch.Tensor, soft: torch.Tensor, labels: torch.Tensor | None = None) -> Batch:
    """A batch of which a loss reads only this."""
    inputs = mock.Mock(soft=soft, soft_mask=torch.ones(soft.shape[:2], dtype=torch.bool))
    inputs.weights = torch.ones(len(soft))
    inputs.labels = torch.full(soft.shape[:2], -100) if labels is None else labels
    return Batch(inputs, torch.zeros(1), torch.zeros(1), logits)


def test_a_student_that_is_its_teacher_has_no_loss() -> None:
    logits = torch.randn(2, 3, len(TAGS), generator=torch.Generator().manual_seed(1))
    student: Any = registry.make("method", "teacher_student").rounds()[-1].method
    same = Step(None, None, batch_of(logits, logits.softmax(-1)), 0, 1)
    (term,) = student.loss(None, same)
    assert float(term.value) == 0.0
    (term,) = student.loss(None, replace(same, unlabelled=batch_of(logits, logits.flip(-1).softmax(-1))))
    assert float(term.value) > 1e-3
    other: Any = registry.make("method", "teacher_student", {"loss": "kl"})
    assert other.factors().loss_terms == "distillation (kl)"
    (term,) = other.rounds()[-1].method.loss(None, same)
    assert abs(float(term.value)) < 1e-6


# --- self_training ----------------------------------------------------------------------------------------------------


def test_sentences_are_kept_by_their_confidence() -> None:
    taught = [peaked(1, 0.95), peaked(2, 0.99, 0.7), peaked(3, 0.99, 0.99, 0.8)] * 2
    for params, kept in (
        ({"threshold": 0.9}, ["0", "2", "3", "5"]),
        ({"threshold": 0.9, "confidence": "least"}, ["0", "3"]),
        ({"threshold": 0.0}, ["0", "1", "2", "3", "4", "5"]),
        ({"threshold": 0.999}, []),
    ):
        method, ask = registry.make("method", "self_training", params), FakeAsk(teacher=taught)
        data = method.prepare(method.rounds()[-1], ask)
        found = [example.sentence for (example,) in data.labelled]
        assert [s.id for s in found] == ["s", *kept], params
        assert found[0] == ask.source()[0]
        assert {s.spans for s in found[1:]} <= {(Span(0, 1, "LOC"),)}, "what the teacher decoded"
        assert ask.notes == {"student-1: sentences kept": len(kept), "student-1: sentences": 6}


def test_each_student_teaches_the_next() -> None:
    method = registry.make("method", "self_training", {"rounds": 3})
    found = {r.name: (r.method, r.teachers, r.start) for r in method.rounds()}
    assert found == {
        "teacher": ("zero_shot", (), "fresh"),
        "student-1": (None, ("teacher",), "fresh"),
        "student-2": (None, ("student-1",), "fresh"),
        "student-3": (None, ("student-2",), "fresh"),
    }
    distilled = registry.make("method", "self_training", {"rounds": 3, "distil": True})
    assert distilled.rounds()[-1].teachers == ("student-3",)
    assert distilled.factors().teacher != registry.make("method", "self_training").factors().teacher


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"rounds": 0}, "rounds: must be at least 1"),
        ({"threshold": 1.0}, "threshold: must be at least 0 and below 1"),
        ({"threshold": -0.1}, "threshold: must be at least 0"),
        ({"confidence": "last"}, "did you mean 'least'"),
    ],
)
def test_parameters_of_self_training_are_checked(params: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        registry.make("method", "self_training", params)


# --- a matrix ---------------------------------------------------------------------------------------------------------


def test_one_matrix_trains_the_teacher_once(tmp_path: Path, tiny_folder: Path) -> None:
    """Four labels, four trainings: zero_shot's, one student of both that distil, and self_training's two."""
    from bench.train import training

    place, fits = Place(tmp_path, tiny_folder), []
    actual = training.fit

    def counting(plan: Any, data: Any, *rest: Any) -> Any:
        fits.append(type(plan.method).__name__)
        return actual(plan, data, *rest)

    more = '[[variant]]\nname = "kd"\nuse = "zero_shot"\ndistil = true\ndistil_start = "fresh"\n'
    more += "[method.self_training]\nrounds = 2\nthreshold = 0.0\n"
    text = matrix_text(tiny_folder, ("zero_shot", "teacher_student", "self_training", "kd"), more=more)
    with mock.patch.object(training, "fit", counting):
        ran = place.xner("run", place.matrix(text), "--out", place.out)
    assert ran.code == 0, ran.err
    found = {label: record for (label, _, _), record in by_name(place.out).items()}
    parents = {
        label: {name: key for name, key in record["parents"].items() if name.startswith("fit:")}
        for label, record in found.items()
    }
    teacher = parents["zero_shot"]["fit:main"]
    assert parents["kd"]["fit:main"] == parents["teacher_student"]["fit:teacher"] == teacher
    assert parents["self_training"]["fit:teacher"] == teacher
    assert parents["kd"]["fit:distil"] == parents["teacher_student"]["fit:student"]
    assert sorted(fits) == sorted(["ZeroShot", "Student", "SelfTraining", "SelfTraining"])
    assert found["kd"]["scores"] == found["teacher_student"]["scores"]
    assert found["kd"]["resources"]["unlabelled"] == found["teacher_student"]["resources"]["unlabelled"] == 24
    notes = found["self_training"]["diagnostics"]
    assert notes["student-2: sentences kept"] == notes["student-1: sentences"] == 24, "the threshold keeps all"
    assert found["self_training"]["cost"]["steps"] == 3 * 4, "each round has its budget, and is counted"


def test_hard_labels_of_their_own_reach_the_batch(tiny_folder: Path) -> None:
    """`Example.hard`: in the labels, in the digest, and kept where a batch is split."""
    from transformers import AutoTokenizer

    from bench.api.method import TrainingSet
    from bench.train.batches import Collator, split_inputs

    collator = Collator(AutoTokenizer.from_pretrained(tiny_folder), TAGS, 64, torch.device("cpu"))
    hard = np.array([2, -100, 0])
    examples = [Example(replace(TEXT[2], spans=None), hard=hard), Example(TEXT[5])]
    inputs = collator(examples, collator.pieces(examples), [0, 1])
    assert inputs.labels.tolist() == [[2, -100, 0], [-100] * 3]
    assert [part.labels.tolist() for part in split_inputs(inputs, 2, collator)] == [[[2, -100, 0]], [[-100] * 3]]
    sets = [TrainingSet(unlabelled=((Example(TEXT[2], hard=h),),)) for h in (None, hard, hard + 1)]
    assert len({data.digest() for data in sets}) == 3
