"""The aligner softmax: probabilities and links by hand, and what its parameters do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.api.recipes import Embedded, Embedder
from bench.core.errors import BadInput
from bench.core.sentences import Pair, Sentence
from bench.plan import registry
from data_recipes.aligners.softmax import Softmax, SoftmaxParams, probabilities

SHAPES = st.tuples(st.integers(1, 7), st.integers(1, 7))


class Given(Embedder):
    """The vectors that a test gives each sentence, by its text."""

    layers, align_layer = 12, None

    def __init__(self, **known: tuple[Sequence[Sequence[float]], Sequence[int]]) -> None:
        self.known = {text: Embedded(np.asarray(v, np.float32), np.asarray(w)) for text, (v, w) in known.items()}
        self.asked: list[int] = []

    def embed(self, sentences: Sequence[tuple[str, ...]], layer: int) -> list[Embedded]:
        self.asked.append(layer)
        return [self.known[" ".join(words)] for words in sentences]


def pair(source: str, target: str) -> Pair:
    return Pair(Sentence("1", "en", tuple(source.split())), Sentence("1", "de", tuple(target.split())))


def aligner(embedder: Embedder | None = None, **params: Any) -> Softmax:
    made: Softmax = registry.make("aligner", "softmax", params)
    made.embedder = embedder
    return made


def by_hand(x: np.ndarray, y: np.ndarray, temperature: float) -> tuple[list[list[float]], list[list[float]]]:
    """Both softmaxes in plain Python floats, without any trick."""
    raised = [[math.exp(sum(a * b for a, b in zip(one, two, strict=True)) / temperature) for two in y] for one in x]
    rows = [sum(row) for row in raised]
    columns = [sum(row[j] for row in raised) for j in range(len(y))]
    forward = [[value / rows[i] for value in row] for i, row in enumerate(raised)]
    return forward, [[value / columns[j] for j, value in enumerate(row)] for row in raised]


@settings(max_examples=100)
@given(SHAPES, st.integers(0, 2**32 - 1), st.floats(0.2, 5))
def test_probabilities_are_those_by_hand(shape: tuple[int, int], seed: int, temperature: float) -> None:
    draw = np.random.default_rng(seed)
    x, y = (draw.standard_normal((n, 4)) for n in shape)
    for found, wanted in zip(probabilities(x, y, temperature), by_hand(x, y, temperature), strict=True):  # type: ignore[arg-type]
        np.testing.assert_allclose(found, wanted, rtol=1e-9)


@settings(max_examples=50)
@given(SHAPES, st.integers(0, 2**32 - 1), st.floats(0, 0.5), st.floats(0, 0.4))
def test_links_are_those_above_the_threshold_both_ways(
    shape: tuple[int, int], seed: int, threshold: float, more: float
) -> None:
    """Also: the two directions take part alike, and a higher threshold only loses links."""
    draw = np.random.default_rng(seed)
    x, y = (draw.standard_normal((n, 4)).astype(np.float32) for n in shape)
    source, target = Embedded(x, np.arange(len(x))), Embedded(y, np.arange(len(y)))
    forward, backward = by_hand(x.astype(np.float64), y.astype(np.float64), 1.0)
    cells = [(i, j) for i in range(len(x)) for j in range(len(y))]
    if any(abs(p[i][j] - threshold) < 1e-5 for p in (forward, backward) for i, j in cells):
        return  # float32's rounding may decide
    wanted = tuple((i, j) for i, j in cells if forward[i][j] > threshold and backward[i][j] > threshold)
    made = Softmax(SoftmaxParams(threshold=threshold))
    assert made.links_of(source, target) == wanted
    assert made.links_of(target, source) == tuple(sorted((j, i) for i, j in wanted))
    assert set(Softmax(SoftmaxParams(threshold=threshold + more)).links_of(source, target)) <= set(wanted)


def test_one_example() -> None:
    """Scores [[3, 0], [0, 2]]: p is e³/(e³+1) = 0.953 and 0.047, e²/(e²+1) = 0.881 and 0.119, in both directions."""
    x, y = np.asarray([[3.0, 0.0], [0.0, 2.0]], np.float32), np.eye(2, dtype=np.float32)
    forward, backward = probabilities(x, y)
    np.testing.assert_allclose(forward, [[0.9525741, 0.0474259], [0.1192029, 0.8807971]], atol=1e-7)
    np.testing.assert_allclose(backward, [[0.9525741, 0.1192029], [0.0474259, 0.8807971]], atol=1e-7)
    embedder = Given(**{"a b": (x.tolist(), [0, 1]), "A B": (y.tolist(), [0, 1])})
    links = {c: aligner(embedder, threshold=c).align([pair("a b", "A B")])[0] for c in (0.04, 0.05, 0.9)}
    assert links == {0.04: ((0, 0), (0, 1), (1, 0), (1, 1)), 0.05: ((0, 0), (1, 1)), 0.9: ((0, 0),)}
    cold = aligner(embedder, threshold=0.04, temperature=0.5).align([pair("a b", "A B")])[0]
    assert cold == ((0, 0), (1, 1)), "e⁶ and e⁴ in place of e³ and e²: 0.0025 and 0.018 are below"


def test_a_word_is_linked_by_any_of_its_pieces_or_by_their_mean() -> None:
    """Word 0 has two pieces, one like each target word; word 1 was dropped by the tokenizer."""
    source = ([[20.0, 0.0], [0.0, 20.0], [20.0, 0.0]], [0, 0, 2])
    embedder = Given(**{"a - c": source, "A B": ([[1.0, 0.0], [0.0, 1.0]], [0, 1])})
    pairs = [pair("a - c", "A B")]
    assert aligner(embedder).align(pairs) == [((0, 0), (0, 1), (2, 0))]
    # means [10, 10] and [20, 0]: A is e¹⁰ times likelier from c than from a
    assert aligner(embedder, level="word").align(pairs) == [((0, 1), (2, 0))]


def test_large_scores_and_empty_sides() -> None:
    x = np.asarray([[1e4, 0.0], [0.0, 1e4]], np.float32)
    forward, backward = probabilities(x, x)
    assert forward.tolist() == backward.tolist() == [[1.0, 0.0], [0.0, 1.0]]
    embedder = Given(**{"": (np.zeros((0, 2)).tolist(), []), "a b": (x.tolist(), [0, 1])})
    assert aligner(embedder).align([pair("", "a b"), pair("a b", ""), pair("a b", "a b")]) == [
        (),
        (),
        ((0, 0), (1, 1)),
    ]


def test_the_layer_is_chosen_as_by_simalign() -> None:
    embedder = Given(a=([[1.0]], [0]))
    for settings_, wanted in (({}, 8), ({"layer": 3}, 3)):
        aligner(embedder, **settings_).align([pair("a", "a")])
        assert embedder.asked[-1] == wanted
    with pytest.raises(BadInput, match=r"aligner softmax: layer 13, but the encoder has layers 0 to 12"):
        aligner(embedder, layer=13).align([pair("a", "a")])
    with pytest.raises(BadInput, match=r"aligner softmax: it embeds sentences and needs an encoder"):
        aligner().align([pair("a", "a")])


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"threshold": 1.0}, "threshold: must be at least 0 and below 1"),
        ({"threshold": -0.1}, "threshold: must be at least 0"),
        ({"temperature": 0.0}, "temperature: must be above 0"),
        ({"layer": -1}, "layer: must be auto or at least 0"),
        ({"treshold": 0.1}, "unknown key 'treshold'; did you mean 'threshold'?"),
    ],
)
def test_wrong_parameters(table: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput) as raised:
        registry.make("aligner", "softmax", table)
    assert message in str(raised.value)
