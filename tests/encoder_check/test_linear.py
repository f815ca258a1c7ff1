"""The linear tagger on frozen vectors: it learns what is there, words without a piece stay outside, nothing drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from bench.api.recipes import Embedded
from bench.core.sentences import Sentence, Span
from bench.encoder_check.run import PENALTY, fit_linear, linear_f1

TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
KINDS = {"Anna": 1, "Bob": 1, "Oslo": 2, "Rome": 2}


class Lookup:
    """An embedder whose vectors are what a word is, with noise; every word is two pieces, "gone" none."""

    layers, align_layer = 1, None

    def embed(self, sentences: Sequence[tuple[str, ...]], layer: int) -> list[Embedded]:
        rng = np.random.default_rng(7)
        found = []
        for words in sentences:
            kept = [i for i, word in enumerate(words) if word != "gone"]
            vectors = rng.normal(0, 0.1, (2 * len(kept), 4)).astype(np.float32)
            for row, i in enumerate(kept):
                vectors[2 * row, KINDS.get(words[i], 0)] += 2.0  # the first piece tells; the second misleads
                vectors[2 * row + 1, 1] += 2.0
            found.append(Embedded(vectors, np.repeat(np.asarray(kept, np.int64), 2)))
        return found


def sentence(name: str, words: str, *spans: Span) -> Sentence:
    return Sentence(name, "en", tuple(words.split()), spans)


TRAIN = [
    sentence("1", "Anna saw Rome", Span(0, 1, "PER"), Span(2, 3, "LOC")),
    sentence("2", "the dog saw Bob", Span(3, 4, "PER")),
    sentence("3", "Oslo was cold", Span(0, 1, "LOC")),
]
MANY = TRAIN * 200  # against the penalty


def test_it_reads_the_first_piece_and_leaves_words_without_one_outside() -> None:
    tests = {
        "seen": TRAIN,
        "half": [sentence("a", "Bob gone Oslo", Span(0, 1, "PER"), Span(1, 2, "LOC"), Span(2, 3, "LOC"))],
        "none": [sentence("b", "the gone dog", Span(1, 2, "PER"))],
    }
    found = linear_f1(Lookup(), 1, ("PER", "LOC"), MANY, tests)
    assert found == {"seen": 1.0, "half": pytest.approx(0.8), "none": 0.0}
    assert found == linear_f1(Lookup(), 1, ("PER", "LOC"), MANY, tests)


def test_the_fit_is_the_minimum_of_the_penalised_loss() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(60, 3))
    tags = [TAGS[i] for i in rng.integers(0, len(TAGS), 60)]
    scaler, regression = fit_linear(vectors, tags)
    assert set(regression.classes_) == set(TAGS)

    def loss(weights: np.ndarray) -> float:
        inputs = scaler.transform(vectors)
        scores = inputs @ weights[:-1] + weights[-1]
        logs = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
        gold = [regression.classes_.tolist().index(tag) for tag in tags]
        return float(-logs[np.arange(60), gold].sum() + PENALTY / 2 * (weights[:-1] ** 2).sum())

    weights = np.vstack([regression.coef_.T, regression.intercept_])
    least = loss(weights)
    for _ in range(50):
        assert loss(weights + rng.normal(0, 1e-2, weights.shape)) > least


def test_a_shift_or_a_scale_of_the_vectors_changes_no_tag() -> None:
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(40, 3))
    tags = ["B-PER" if v[0] > 0 else "O" for v in vectors]
    plain, moved = (fit_linear(v, tags) for v in (vectors, 5 * vectors + 3))
    assert plain.predict(vectors).tolist() == moved.predict(5 * vectors + 3).tolist()
