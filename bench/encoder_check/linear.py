"""A linear tagger on an encoder's frozen vectors: what they hold of names, quick and without a training's noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import log_softmax

from bench.api.recipes import Embedder
from bench.core.sentences import Sentence, spans_of, tag_set, tags_of
from bench.measure.score import count, f1

Floats = npt.NDArray[np.float64]
PENALTY = 100.0  # of half the squared weights, beside the summed cross-entropy; chosen on six dev sets with `mini`
ITERATIONS = 200


@dataclass(frozen=True)
class LinearTagger:
    """Multinomial logistic regression on standardised vectors (H,) of words; C tags."""

    tags: tuple[str, ...]
    centre: Floats  # (H,)
    scale: Floats  # (H,)
    weights: Floats  # (H + 1, C), the last row the bias

    def tag(self, vectors: Floats) -> list[str]:
        """The best tag of each word (n, H)."""
        scores = _with_bias((vectors - self.centre) / self.scale) @ self.weights
        return [self.tags[i] for i in scores.argmax(axis=1)]


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
    tagger = fit_linear(vectors, gold, tag_set(types))
    found = {}
    for name, sentences in tests.items():
        vectors, _, at = _words(embedder, layer, sentences)
        tags = [["O"] * len(sentence.words) for sentence in sentences]
        for (sentence, word), tag in zip(at, tagger.tag(vectors), strict=True):
            tags[sentence][word] = tag
        found[name] = f1(count([s.spans or () for s in sentences], [spans_of(t) for t in tags], types))
    return found


def fit_linear(vectors: Floats, tags: Sequence[str], known: Sequence[str]) -> LinearTagger:
    """Fit it to words (n, H) and their tags."""
    centre, scale = vectors.mean(axis=0), vectors.std(axis=0) + 1e-8
    inputs = _with_bias((vectors - centre) / scale)
    number = {tag: i for i, tag in enumerate(known)}
    gold = np.asarray([number[tag] for tag in tags])
    rows = np.arange(len(gold))
    counted = np.ones((inputs.shape[1], 1))
    counted[-1] = 0.0  # the bias is free

    def loss(flat: Floats) -> tuple[float, Floats]:
        weights = flat.reshape(inputs.shape[1], len(known))
        logs = log_softmax(inputs @ weights, axis=1)
        slope = np.exp(logs)
        slope[rows, gold] -= 1.0
        value = -logs[rows, gold].sum() + PENALTY / 2 * (counted * weights**2).sum()
        return float(value), (inputs.T @ slope + PENALTY * counted * weights).ravel()

    start = np.zeros(inputs.shape[1] * len(known))
    best = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": ITERATIONS}).x
    return LinearTagger(tuple(known), centre, scale, best.reshape(inputs.shape[1], len(known)))


def _words(
    embedder: Embedder, layer: int, sentences: Sequence[Sentence]
) -> tuple[Floats, list[str], list[tuple[int, int]]]:
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


def _with_bias(vectors: Floats) -> Floats:
    return np.concatenate([vectors, np.ones((len(vectors), 1))], axis=1)
