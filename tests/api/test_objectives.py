"""Shared loss terms against loops written by hand in float64."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.api.method import Batch, Inputs
from bench.api.objectives import cross_entropy, soft_labels
from bench.core.sentences import Sentence

KINDS: tuple[Literal["mse", "kl", "hard"], ...] = ("mse", "kl", "hard")


def batch_of(
    logits: Any, labels: Any, weights: Any, soft: Any = None, soft_mask: Any = None, dtype: torch.dtype = torch.float32
) -> Batch:
    """A batch with only what loss terms read."""
    count, words = np.asarray(labels).shape
    empty = torch.zeros(1, 1, dtype=torch.int64)
    inputs = Inputs(
        ids=empty,
        mask=empty,
        real=empty.bool(),
        sentence=torch.zeros(1, dtype=torch.int64),
        words=torch.zeros(count, words, dtype=torch.int64),
        word_mask=torch.ones(count, words, dtype=torch.bool),
        labels=torch.tensor(labels),
        soft=None if soft is None else torch.tensor(np.asarray(soft, np.float32)),
        soft_mask=None if soft_mask is None else torch.tensor(soft_mask),
        weights=torch.tensor(np.asarray(weights, np.float32)),
        groups=torch.arange(count),
        sentences=tuple(Sentence(str(n), "en", ("w",) * words) for n in range(count)),
        tokens=0,
    )
    states = torch.zeros(count, words, 2)
    return Batch(inputs, states, torch.zeros(count, 2), torch.tensor(np.asarray(logits), dtype=dtype))


def softmax(scores: Any) -> list[float]:
    highest = max(scores)
    powers = [math.exp(score - highest) for score in scores]
    return [power / sum(powers) for power in powers]


def random_batch(seed: int, sharp: float = 3.0) -> dict[str, Any]:
    """3 sentences of up to 5 words, 4 tags, some words without labels; numbers as float32 holds them."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, sharp, (3, 5, 4)).astype(np.float32)
    labels = rng.integers(0, 4, (3, 5))
    labels[rng.random((3, 5)) < 0.3] = -100
    labels[0, 0] = 2
    soft = rng.dirichlet(np.full(4, 0.5), (3, 5)).astype(np.float32)
    mask = rng.random((3, 5)) < 0.7
    mask[1, 1] = True
    soft[1, 1] = (0.1, 0.6, 0.2, 0.1)
    return {
        "logits": logits,
        "labels": labels,
        "weights": rng.uniform(0.1, 2, 3).astype(np.float32),
        "soft": soft,
        "soft_mask": mask,
    }


def loop(given_: dict[str, Any], kind: str, outside: bool = True) -> float:
    """Every term word by word, in Python floats."""
    total = mass = 0.0
    for s in range(3):
        for w in range(5):
            student = softmax([float(x) for x in given_["logits"][s, w]])
            teacher = [float(x) for x in given_["soft"][s, w]]
            best = max(range(4), key=lambda c: teacher[c])
            if kind == "ce":
                label = int(given_["labels"][s, w])
                if label == -100:
                    continue
                value = -math.log(student[label])
            else:
                if not given_["soft_mask"][s, w] or (not outside and best == 0):
                    continue
                if kind == "mse":
                    value = sum((p - q) ** 2 for p, q in zip(student, teacher, strict=True)) / 4
                elif kind == "kl":
                    value = sum(q * math.log(q / p) for p, q in zip(student, teacher, strict=True) if q > 0)
                else:
                    value = -math.log(student[best])
            weight = float(given_["weights"][s])
            total += weight * value
            mass += weight
    return total / mass


@given(st.integers(0, 10_000))
@settings(max_examples=40)
def test_terms_equal_the_loops(seed: int) -> None:
    numbers = random_batch(seed)
    batch = batch_of(**numbers)
    assert float(cross_entropy(batch)) == pytest.approx(loop(numbers, "ce"), rel=1e-6, abs=1e-6)
    for kind in KINDS:
        for outside in (True, False):
            expected = loop(numbers, kind, outside)
            assert float(soft_labels(batch, kind, outside=outside)) == pytest.approx(expected, rel=1e-6, abs=1e-6), kind


def test_an_example_by_hand() -> None:
    third = [math.log(3), 0.0, 0.0]  # probabilities 3/5, 1/5, 1/5
    batch = batch_of([[third, third]], [[0, 1]], [1.0], [[[1, 0, 0], [0.2, 0.8, 0]]], [[True, True]])
    assert float(cross_entropy(batch)) == pytest.approx((math.log(5 / 3) + math.log(5)) / 2, abs=1e-6)
    first, second = (0.16 + 0.04 + 0.04) / 3, (0.16 + 0.36 + 0.04) / 3
    assert float(soft_labels(batch)) == pytest.approx((first + second) / 2, abs=1e-6)
    assert float(soft_labels(batch, outside=False)) == pytest.approx(second, abs=1e-6)
    assert float(soft_labels(batch, "hard")) == pytest.approx((math.log(5 / 3) + math.log(5)) / 2, abs=1e-6)
    kl = (math.log(5 / 3) + 0.2 * math.log(0.2 / 0.6) + 0.8 * math.log(0.8 / 0.2)) / 2
    assert float(soft_labels(batch, "kl")) == pytest.approx(kl, abs=1e-6)


@given(st.integers(0, 1000))
@settings(max_examples=20)
def test_a_student_like_its_teacher_has_no_loss(seed: int) -> None:
    numbers = random_batch(seed)
    numbers["soft"] = torch.softmax(torch.tensor(numbers["logits"]), -1).numpy()
    batch = batch_of(**numbers)
    assert float(soft_labels(batch, "mse")) == pytest.approx(0, abs=1e-12)
    assert float(soft_labels(batch, "kl")) == pytest.approx(0, abs=1e-6)
    assert float(soft_labels(batch, "hard")) > 0


def test_what_is_masked_changes_nothing() -> None:
    numbers = random_batch(3)
    before = [float(cross_entropy(batch_of(**numbers))), *(float(soft_labels(batch_of(**numbers), k)) for k in KINDS)]
    unused = (numbers["labels"] == -100) & ~numbers["soft_mask"]
    numbers["logits"] = np.where(unused[..., None], 9, numbers["logits"])
    numbers["soft"] = np.where(numbers["soft_mask"][..., None], numbers["soft"], 0.77)
    after = [float(cross_entropy(batch_of(**numbers))), *(float(soft_labels(batch_of(**numbers), k)) for k in KINDS)]
    assert before == after


def test_a_weight_of_all_changes_nothing_and_a_sentence_of_weight_0_does_not_count() -> None:
    numbers = random_batch(4)
    twice = batch_of(**(numbers | {"weights": 2 * numbers["weights"]}))
    assert float(cross_entropy(twice)) == pytest.approx(float(cross_entropy(batch_of(**numbers))), rel=1e-6)
    without = batch_of(**(numbers | {"weights": np.asarray([1.0, 0.0, 0.0])}))
    alone = {name: value[:1] for name, value in numbers.items()} | {"weights": np.asarray([1.0])}
    for term in (cross_entropy, *(lambda batch, kind=kind: soft_labels(batch, kind) for kind in KINDS)):
        assert float(term(without)) == pytest.approx(float(term(batch_of(**alone))), rel=1e-6, abs=1e-9)


def test_nothing_to_learn_from_is_0_with_a_gradient_of_0() -> None:
    batch = batch_of(np.ones((2, 3, 4)), np.full((2, 3), -100), [1.0, 1.0], np.ones((2, 3, 4)), np.zeros((2, 3), bool))
    batch.logits.requires_grad_(True)
    loss = cross_entropy(batch) + soft_labels(batch)
    loss.backward()
    assert float(loss.detach()) == 0
    assert batch.logits.grad is not None
    assert not batch.logits.grad.any()


def test_half_precision_logits_are_summed_in_float32() -> None:
    numbers = random_batch(5)
    exact = numbers | {"logits": torch.tensor(numbers["logits"]).bfloat16().float().numpy()}
    half = batch_of(**numbers, dtype=torch.bfloat16)
    for loss, kind in ((cross_entropy(half), "ce"), *((soft_labels(half, kind), kind) for kind in KINDS)):
        assert loss.dtype == torch.float32
        assert float(loss) == pytest.approx(loop(exact, kind), rel=1e-6, abs=1e-6)


def test_gradients_reach_the_student_only() -> None:
    numbers = random_batch(6)
    for kind in KINDS:
        batch = batch_of(**numbers)
        batch.logits.requires_grad_(True)
        soft_labels(batch, kind).backward()
        assert batch.logits.grad is not None
        counted = torch.tensor(numbers["soft_mask"])
        assert bool((batch.logits.grad.abs().sum(-1) > 0).eq(counted).all())


def test_soft_labels_need_soft_labels() -> None:
    with pytest.raises(ValueError, match="no soft labels"):
        soft_labels(batch_of(np.zeros((1, 1, 4)), [[0]], [1.0]))
