"""ContProto: losses, prototypes and refinement against loops in float64; spans and their overlaps; what it learns."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.api.method import Round, Step, TrainingSet, singles
from bench.api.objectives import supervised_contrastive
from bench.core.sentences import Sentence, Span
from bench.plan.sections import EncoderSpec, TrainSpec
from bench.train.batches import Collator
from bench.train.diagnostics import pseudo_f1
from bench.train.fit import FitPlan, fit
from bench.train.predict import predict
from methods.contproto.method import Contproto, ContprotoParams
from methods.contproto.prototypes import Prototypes, moved, refined, some_outside, span_loss
from methods.contproto.spans import (
    SpanTagger,
    candidates,
    capital_kind,
    gold_classes,
    most_probable,
    pieces_of_words,
    word_logits,
)

CLASSES = 3
Draw = np.random.Generator


def unit(draw: Draw, *shape: int) -> Any:
    vectors = draw.normal(size=shape)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def close(found: torch.Tensor, wanted: Any) -> None:
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-6, atol=1e-6)


# --- by hand, in float64 ----------------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 12), st.sampled_from([0.0, 0.5, 1.0]))
def test_the_span_loss_is_its_formula(seed: int, count: int, outside: float) -> None:
    """Of soft labels, and of hard ones as a special case."""
    draw = np.random.default_rng(seed)
    scores, weights = draw.normal(0, 3, (count, CLASSES)), draw.uniform(0.5, 2, count)
    soft = draw.dirichlet(np.full(CLASSES, 0.4), count)
    for targets in (soft, np.eye(CLASSES)[draw.integers(0, CLASSES, count)]):
        total = whole = 0.0
        for row in range(count):
            powers = [math.exp(x) for x in scores[row]]
            loss = -sum(t * math.log(p / sum(powers)) for t, p in zip(targets[row], powers, strict=True))
            weight = weights[row] * (outside if max(targets[row]) == targets[row][0] else 1.0)
            total, whole = total + weight * loss, whole + weight
        found = span_loss(*(torch.tensor(x) for x in (scores, targets, weights)), outside)
        assert float(found) == pytest.approx(total / whole if whole else 0.0, rel=1e-6, abs=1e-6)


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(0, 12), st.sampled_from([0.0, 0.5, 0.99]))
def test_prototypes_move_span_by_span(seed: int, count: int, momentum: float) -> None:
    draw = np.random.default_rng(seed)
    before, q = unit(draw, CLASSES, 5), unit(draw, count, 5)
    before[2] = 0  # has seen none yet
    classes = draw.integers(0, CLASSES, count)
    wanted = before.copy()
    for vector, of in zip(q, classes, strict=True):
        wanted[of] = momentum * wanted[of] + (1 - momentum) * vector
    lengths = np.linalg.norm(wanted, axis=1, keepdims=True)
    found = moved(torch.tensor(before), torch.tensor(q), torch.tensor(classes), momentum)
    close(found, wanted / np.where(lengths > 0, lengths, 1))
    assert 2 in classes or not found[2].any()


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 12), st.sampled_from([0.0, 0.8, 0.95]))
def test_labels_are_refined_within_the_margins(seed: int, count: int, phi: float) -> None:
    draw = np.random.default_rng(seed)
    soft = draw.dirichlet(np.full(CLASSES, 0.4), count)
    similarity, margins = draw.uniform(-1, 1, (count, CLASSES)), draw.uniform(-0.5, 0.9, CLASSES)
    wanted = []
    for label, near in zip(soft, similarity, strict=True):
        best = max(range(CLASSES), key=lambda k: near[k])
        if best and near[best] <= margins[best]:
            wanted.append(list(label))
            continue
        mixed = [phi * s + (1 - phi) * (k == best) for k, s in enumerate(label)]
        wanted.append([value / sum(mixed) for value in mixed])
    found = refined(torch.tensor(soft), torch.tensor(similarity), torch.tensor(margins), phi)
    close(found, wanted)
    close(found.sum(1), np.ones(count))


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 6), st.sampled_from([0.07, 0.5]))
def test_contrast_is_its_formula(seed: int, count: int, tau: float) -> None:
    """Over both views of all spans: every other vector of the class is a positive, O a class like any other."""
    draw = np.random.default_rng(seed)
    first, second = unit(draw, count, 4), unit(draw, count, 4)
    classes = draw.integers(0, CLASSES, count)
    z, of = np.concatenate([first, second]), [*classes, *classes]
    losses = []
    for i in range(2 * count):
        whole = sum(math.exp(float(z[i] @ z[a]) / tau) for a in range(2 * count) if a != i)
        positives = [p for p in range(2 * count) if p != i and of[p] == of[i]]
        shares = [math.log(math.exp(float(z[i] @ z[p]) / tau) / whole) for p in positives]
        losses.append(-sum(shares) / len(shares))  # its own second view is one at least
    found = supervised_contrastive(torch.tensor(z), torch.tensor(of), tau)
    assert float(found) == pytest.approx(sum(losses) / len(losses), rel=1e-6, abs=1e-6)


def test_some_outside_keeps_every_entity() -> None:
    classes = torch.tensor([0, 2, 0, 0, 1, 0, 0])
    assert some_outside(classes, 0).tolist() == some_outside(classes, 5).tolist() == list(range(7))
    chosen = some_outside(classes, 2)
    assert sorted(classes[chosen].tolist()) == [0, 0, 1, 2] and len(set(chosen.tolist())) == 4


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(1, 4))
def test_words_follow_from_spans_as_if_one_at_most_were_an_entity(seed: int, words: int, width: int) -> None:
    draw = np.random.default_rng(seed)
    odds = np.full((1, words, width, 2), -1e4)
    spans = [(a, b) for a in range(words) for b in range(a + 1, min(words, a + width) + 1)]
    for a, b in spans:
        odds[0, a, b - a - 1] = draw.normal(0, 2, 2)
    found = torch.softmax(word_logits(torch.tensor(odds), -1e4), -1)[0].numpy()
    for word in range(words):
        mass = [1.0, 0.0, 0.0, 0.0, 0.0]  # O, B and I of the first type, of the second
        for a, b in spans:
            for type_ in range(2):
                if a <= word < b:
                    mass[1 + 2 * type_ + (a < word)] += math.exp(odds[0, a, b - a - 1, type_])
        np.testing.assert_allclose(found[word], np.asarray(mass) / sum(mass), rtol=1e-6, atol=1e-9)


# --- spans ------------------------------------------------------------------------------------------------------------


def test_the_more_probable_of_two_overlapping_spans_wins() -> None:
    a, b, c, d = Span(0, 2, "PER"), Span(1, 4, "LOC"), Span(3, 5, "PER"), Span(4, 6, "LOC")
    assert most_probable([(0.7, a), (0.9, b), (0.8, c), (0.6, d)]) == (b, d)
    assert most_probable([(0.9, a), (0.7, b), (0.8, c), (0.6, d)]) == (a, c)
    assert most_probable([(0.7, b), (0.7, a)]) == (a,)  # a tie: the earlier
    assert most_probable([]) == ()


def test_the_width_covers_the_source_entities() -> None:
    spans = tuple(Span(10 * n, 10 * n + 1 + (n % 100 == 0) * 2 + (n == 0) * 5, "PER") for n in range(200))
    source = [Sentence("s", "en", ("w",) * 2000, spans)]  # 198 of one word, one of 3, one of 8
    assert [noted(source, coverage=share)[0] for share in (0.5, 0.99, 0.995, 1.0)] == [1, 1, 3, 8]
    assert [noted(source, max_width=width) for width in (1, 3, 4, 8)] == [(1, 2), (3, 1), (4, 1), (8, 0)]
    assert noted([Sentence("none", "en", ("w",), ())]) == (1, 0)


def noted(source: list[Sentence], **params: Any) -> tuple[float, float]:
    """The widest span of a training, and how many entities are wider."""
    method, notes = Contproto(ContprotoParams(**params)), dict[str, float]()
    ask: Any = SimpleNamespace(source=lambda: source, note=notes.__setitem__)
    method.prepare(method.rounds()[0], ask)
    return notes["span_width"], notes["entities_wider_than_spans"]


def test_candidates_are_every_span_of_the_width() -> None:
    mask = torch.tensor([[True, True, True], [True, False, False]])
    rows, starts, ends = (x.tolist() for x in candidates(mask, 2))
    assert list(zip(rows, starts, ends, strict=True)) == [
        (0, 0, 1),
        (0, 0, 2),
        (0, 1, 2),
        (0, 1, 3),
        (0, 2, 3),
        (1, 0, 1),
    ]


def test_capitals() -> None:
    assert [capital_kind(w) for w in ("1984", "was", "Anna", "A", "NATO", "iPhone", "—")] == [4, 1, 2, 2, 3, 0, 0]


def inputs_of(collator: Collator, sentences: Sequence[Sentence]) -> Any:
    examples = [group[0] for group in singles(sentences)]
    return collator(examples, collator.pieces(examples), range(len(examples)))


def test_sub_words_are_counted_in_windows_too(new_collator: Callable[..., Any]) -> None:
    words = ("Anna", "xyz", "went", "qq", "in", "Rome") * 4
    for longest in (64, 12):
        inputs = inputs_of(new_collator(longest), [Sentence("a", "en", words), Sentence("b", "en", ("xy", "Bob"))])
        assert pieces_of_words(inputs).tolist() == [[1, 3, 1, 2, 1, 1] * 4, [2, 1] + [0] * 22]


def test_a_wider_entity_has_no_candidate_and_decoding_resolves_overlaps(
    new_tagger: Callable[..., Any], new_collator: Callable[..., Any]
) -> None:
    tagger = SpanTagger(new_tagger(), 2).eval()
    words = ("Anna", "Bob", "Carl", "in", "Rome")
    sentence = Sentence("a", "en", words, (Span(0, 3, "PER"), Span(4, 5, "LOC")))
    with torch.no_grad():
        batch = tagger.read(inputs_of(new_collator(), [sentence]))
    spans = list(zip(batch.starts.tolist(), batch.ends.tolist(), strict=True))
    classes = gold_classes(batch, tagger.types, 2)
    assert {s: c for s, c in zip(spans, classes.tolist(), strict=True) if c} == {(4, 5): 2}
    scores = torch.zeros_like(batch.scores)
    scores[:, 0] = 5.0
    for span, of, score in (((0, 2), 1, 9.0), ((1, 3), 2, 8.0), ((3, 4), 2, 7.0)):
        scores[spans.index(span), of] = score
    found = tagger.decode(replace(batch, scores=scores))
    assert found.spans == ((Span(0, 2, "PER"), Span(3, 4, "LOC")),)
    assert found.probabilities[0].shape == (5, 5)
    np.testing.assert_allclose(found.probabilities[0].sum(-1), 1, atol=1e-5)


# --- in training ------------------------------------------------------------------------------------------------------


class Asked:
    """What the method asks for: toy sentences, the same in another language, and its own teacher."""

    def __init__(self, method: Contproto, toy: Any, new_tagger: Any, collator: Collator) -> None:
        self.method, self.new_tagger, self.collator = method, new_tagger, collator
        self.english, self.german = toy(32, 1), [replace(s, spans=None) for s in toy(24, 2, "de")]
        self.notes: dict[str, float] = {}
        self.teacher: Any = None

    def source(self) -> list[Sentence]:
        return list(self.english)

    def unlabelled(self) -> list[Sentence]:
        return list(self.german)

    def note(self, name: str, value: float) -> None:
        self.notes[name] = value

    def model(self, name: str) -> Any:
        assert name == "teacher"
        return self

    def predict(self, sentences: Sequence[Sentence]) -> Any:
        return predict(self.teacher, self.collator, sentences)


def both_rounds(ask: Asked, folder: Path, steps: int) -> tuple[Any, Any]:
    """The student, and its training's history."""
    tagger: Any = None
    for round_ in ask.method.rounds():
        data = ask.method.prepare(round_, ask)  # type: ignore[arg-type]
        tagger = trained(ask, round_, data, folder, steps)
        ask.teacher = ask.teacher or tagger[0]
    return tagger  # type: ignore[no-any-return]


def f1_of(gold: Any, found: Any) -> float:
    right = sum(len({*gold[w]} & {*found[w]}) for w in found)
    return round(2 * right / (sum(len(gold[w]) for w in found) + sum(map(len, found.values()))), 6)


def trained(ask: Asked, round_: Round, data: TrainingSet, folder: Path, steps: int) -> tuple[Any, Any]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        tagger: Any = ask.method.tagger(round_, ask)  # type: ignore[arg-type]
        plan = FitPlan(ask.method, TrainSpec(steps=steps, batch=16, evals=1), EncoderSpec(lr=5e-3), 1, ())
        place = folder / f"{round_.name}-{len(list(folder.iterdir()))}"
        place.mkdir()
        return tagger, fit(plan, data, tagger, ask.collator, place)


def test_teacher_and_student_learn_and_repeat(
    new_tagger: Callable[..., Any], new_collator: Callable[..., Any], toy: Callable[..., Any], tmp_path: Path
) -> None:
    """30 steps, 15 passes: the student finds most of what it has seen, and labels move; twice, bit for bit."""
    found = []
    for _ in range(2):
        ask = Asked(Contproto(ContprotoParams(head=16)), toy, new_tagger, new_collator())
        found.append((ask, *both_rounds(ask, tmp_path, 30)))
    (ask, student, history), (_, again, _) = found
    assert ask.notes == {"span_width": 2, "entities_wider_than_spans": 0}
    assert list(history.losses) == ["ce", "soft", "contrast"]
    assert np.mean(history.losses["ce"][-3:]) < 0.5 * np.mean(history.losses["ce"][:3])
    assert student.prototypes.epoch == 15 and student.prototypes.phi == pytest.approx(0.8)
    assert all(
        torch.equal(a, b) for a, b in zip(student.state_dict().values(), again.state_dict().values(), strict=True)
    )
    first, last = ask.method._soft, student.prototypes.soft
    assert first.keys() == last.keys() and any(not torch.equal(first[w], last[w]) for w in first)
    known = {s.words: s.spans for s in toy(24, 2, "de")}
    measured = pseudo_f1(ask.method, student, lambda: known, student.types)["pseudo_f1"]
    assert len(measured) == 16 and measured[0] == f1_of(known, student.prototypes.labels[0]) and 0.5 < measured[-1] <= 1
    assert pseudo_f1(ask.method, student, dict, student.types) == {}
    assert pseudo_f1(ask.method, ask.teacher, lambda: known, student.types) == {}
    assert all(torch.allclose(labels.sum(-1), torch.ones(len(labels))) for labels in last.values())
    gold = toy(24, 2, "de")
    spans = predict(student, ask.collator, ask.unlabelled()).spans
    right = sum(len(set(s.spans) & set(f)) for s, f in zip(gold, spans, strict=True))
    assert right / max(1, sum(map(len, spans))) > 0.5 and right / sum(len(s.spans) for s in gold) > 0.5


def test_a_short_budget_refines_in_its_second_half_and_a_repeated_step_once(
    new_tagger: Callable[..., Any], new_collator: Callable[..., Any], toy: Callable[..., Any], tmp_path: Path
) -> None:
    ask = Asked(Contproto(ContprotoParams(head=8, contrast_weight=0.0)), toy, new_tagger, new_collator())
    ask.english = toy(96, 1)
    student, history = both_rounds(ask, tmp_path, 4)  # two thirds of a pass
    state: Prototypes = student.prototypes
    assert state.epoch == 1 and list(history.losses) == ["ce", "soft"]
    before, vectors = {w: s.clone() for w, s in state.soft.items()}, state.vectors.clone()
    with torch.no_grad():
        batch = student.read(inputs_of(ask.collator, ask.english[:4]))
        target = student.read(inputs_of(ask.collator, ask.german[:4]))
        q, classes = student.project(batch), gold_classes(batch, student.types, student.width)
        state.learn(Step(batch, None, target, 3, 4), (q, classes), student.project(target))
    assert torch.equal(vectors, state.vectors) and all(torch.equal(before[w], s) for w, s in state.soft.items())
    twin = copy.deepcopy(state)
    german = student.project(target).detach()
    plain = state.learn(Step(batch, None, target, 6, 8), (q, classes), german)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(twin.learn(Step(batch, None, target, 6, 8), (q, classes), german), plain)
    assert torch.equal(twin.vectors, state.vectors) and not torch.equal(vectors, state.vectors)
    assert torch.equal(twin.sums, state.sums), "float32 in any precision"
    state.soft.clear()
    with pytest.raises(ValueError, match="has no soft labels"):
        state.learn(Step(batch, None, target, 4, 5), (q, classes), student.project(target))


def test_the_margin_is_the_last_epochs_mean_similarity() -> None:
    state = Prototypes(("PER", "LOC"), 2, {}, size=4, momentum=0.99, phi=(0.95, 0.8))
    assert state.margins.tolist() == [1.0, 1.0, 1.0]
    state.sums, state.counts = torch.tensor([3.0, 1.0, 0.0]), torch.tensor([4.0, 2.0, 0.0])
    state.begin(0.1)
    assert state.margins.tolist() == [0.75, 0.5, 1.0] and not state.counts.any()
    phis = [state.phi]
    for share in (0.55, 1.0):
        state.begin(share)
        phis.append(state.phi)
    assert phis == pytest.approx([0.95, 0.875, 0.8])


@pytest.mark.parametrize(
    "wrong",
    [{"max_width": -1}, {"coverage": 0}, {"temperature": 0}, {"head": 0}, {"momentum": 1}, {"phi": (0.9, 1.1)}],
)
def test_wrong_parameters(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        ContprotoParams(**wrong)
