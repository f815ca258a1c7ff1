"""A linear tagger on an encoder's frozen vectors: what they hold of names, quick and without a training's noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from bench.api.recipes import Embedder
from bench.core.sentences import Sentence, spans_of, tags_of
from bench.measure.score import count, f1

PENALTY = 100.0  # of half the squared weights, beside the summed cross-entropy; chosen on six dev sets with `mini`
ITERATIONS = 200


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
