"""The aligner simalign: the package's own links, matching by matching; what it does where the package has no answer."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.api.recipes import Embedded, Embedder
from bench.core.errors import BadInput
from bench.core.sentences import Link, Pair, Sentence
from bench.plan import registry
from data_recipes.aligners._embedding import units
from data_recipes.aligners.simalign import (
    Simalign,
    SimalignParams,
    distorted,
    intersection,
    itermax,
    match,
    similarity,
)

MATCHINGS = ("intersection", "itermax", "match")
SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def pair(source: str, target: str, number: int = 0) -> Pair:
    return Pair(Sentence(str(number), "en", tuple(source.split())), Sentence(str(number), "de", tuple(target.split())))


class Letters(Embedder):
    """A vector for each word of one letter, in two pieces; `-` is dropped; upper and lower case are alike."""

    layers, align_layer = 12, None

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []  # layer, sentences

    def embed(self, sentences: Sequence[tuple[str, ...]], layer: int) -> list[Embedded]:
        self.asked.append((layer, len(sentences)))
        return [self._one(words) for words in sentences]

    def _one(self, words: tuple[str, ...]) -> Embedded:
        kept = [(i, word.lower()) for i, word in enumerate(words) if word != "-"]
        vectors = [np.eye(26)[ord(word) - 97] + 0.1 * half for _, word in kept for half in (0, 1)]
        return Embedded(np.asarray(vectors, np.float32).reshape(-1, 26), np.repeat([i for i, _ in kept], 2))


def aligner(embedder: Any = None, **params: Any) -> Simalign:
    return Simalign(SimalignParams(**params), embedder=embedder)


# --- matchings, against the package's own functions -------------------------------------------------------------------


def theirs(name: str, matrix: np.ndarray, **more: Any) -> set[tuple[int, int]]:
    from simalign import SentenceAligner

    if name == "intersection":
        forward, backward = SentenceAligner.get_alignment_matrix(matrix)
        found = forward * backward
    else:
        found = (
            SentenceAligner.iter_max(matrix, **more)
            if name == "itermax"
            else SentenceAligner.get_max_weight_match(matrix)
        )
    return {(int(i), int(j)) for i, j in zip(*np.nonzero(found), strict=True)}


def cells(found: Any) -> set[tuple[int, int]]:
    return set(zip(found[0].tolist(), found[1].tolist(), strict=True))


@settings(max_examples=200)
@given(SHAPES, st.integers(0, 2**32 - 1), st.integers(1, 5), st.booleans())
def test_argmax_and_itermax_are_the_packages(shape: tuple[int, int], seed: int, count: int, ties: bool) -> None:
    """Bit for bit, ties included: few different values make many."""
    draw = np.random.default_rng(seed)
    matrix = (draw.integers(0, 4, shape) / 4 if ties else draw.random(shape)).astype(np.float32)
    assert cells(intersection(matrix)) == theirs("intersection", matrix)
    assert cells(itermax(matrix, count, 0.9)) == theirs("itermax", matrix, max_count=count)


@settings(max_examples=60)
@given(SHAPES, st.integers(0, 2**32 - 1), st.booleans())
def test_match_is_the_packages_or_as_good(shape: tuple[int, int], seed: int, ties: bool) -> None:
    draw = np.random.default_rng(seed)
    matrix = draw.integers(1, 5, shape) / 4 if ties else draw.random(shape) + 0.01
    ours, other = cells(match(matrix)), theirs("match", matrix)
    assert len(ours) == len(other) == min(shape), "as many links as the shorter side has words"
    assert len({i for i, _ in ours}) == len({j for _, j in ours}) == len(ours), "one to one"
    total = sum(matrix[cell] for cell in other)
    assert sum(matrix[cell] for cell in ours) == pytest.approx(total, abs=1e-9)
    assert ties or ours == other


@settings(max_examples=50)
@given(SHAPES, st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_similarities_distortion_and_means_are_the_packages(shape: tuple[int, int], seed: int, ratio: float) -> None:
    from simalign import SentenceAligner

    draw = np.random.default_rng(seed)
    x, y = (draw.standard_normal((n, 5)).astype(np.float32) for n in shape)
    matrix = similarity(x, y)
    np.testing.assert_allclose(matrix, SentenceAligner.get_similarity(x, y), atol=1e-6)
    np.testing.assert_allclose(distorted(matrix, ratio), SentenceAligner.apply_distortion(matrix, ratio), atol=1e-12)
    words = np.sort(draw.integers(0, 4, shape[0]))
    tokens = [["piece"] * int((words == word).sum()) for word in np.unique(words)]
    means, present = units(Embedded(x, words), "word")
    np.testing.assert_allclose(means, SentenceAligner.average_embeds_over_words([x, x], [tokens, tokens])[0], atol=1e-6)
    assert present.tolist() == np.unique(words).tolist()


def test_a_vector_of_zeros_is_like_nothing() -> None:
    matrix = similarity(np.zeros((1, 3), np.float32), np.eye(3, dtype=np.float32))
    assert matrix.tolist() == [[0.5, 0.5, 0.5]]


# --- the plug-in ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["subword", "word"])
@pytest.mark.parametrize("matching", MATCHINGS)
def test_equal_words_are_linked_wherever_they_stand(matching: str, level: str) -> None:
    found = aligner(Letters(), matching=matching, level=level).align([pair("a b c", "C A B"), pair("d e", "E D")])
    assert found == [((0, 1), (1, 2), (2, 0)), ((0, 1), (1, 0))]


def test_words_without_pieces_and_sides_without_words_have_no_links() -> None:
    pairs = [pair("a - b", "- B A"), pair("-", "A"), pair("", "A"), pair("a", ""), pair("", "")]
    for level in ("subword", "word"):
        assert aligner(Letters(), level=level, matching="match").align(pairs) == [((0, 2), (2, 1)), (), (), (), ()]


def test_the_order_of_the_pairs_is_kept_over_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data_recipes.aligners._embedding.BLOCK", 3)
    pairs = [pair(" ".join("abcdefg"[: 1 + i % 5]), " ".join("gfedcba"), i) for i in range(11)]
    embedder = Letters()
    found = aligner(embedder, matching="intersection").align(pairs)
    alone = [aligner(Letters(), matching="intersection").align([one])[0] for one in pairs]
    assert found == alone
    assert [count for _, count in embedder.asked] == [6, 6, 6, 4], "blocks of at most three pairs, both sides together"


@pytest.mark.parametrize(
    ("layer", "layers", "advice", "expected"),
    [("auto", 12, None, 8), ("auto", 6, None, 4), ("auto", 4, None, 3), ("auto", 4, 4, 4), (0, 4, 4, 0), (3, 4, 1, 3)],
)
def test_the_layer(layer: Any, layers: int, advice: int | None, expected: int) -> None:
    embedder = Letters()
    embedder.layers, embedder.align_layer = layers, advice
    made = aligner(embedder, layer=layer)
    assert made.layer(embedder) == expected
    made.align([pair("a", "A")])
    assert embedder.asked == [(expected, 2)]


def test_what_it_refuses() -> None:
    with pytest.raises(BadInput, match=r"layer 13, but the encoder has layers 0 to 12"):
        aligner(Letters(), layer=13).align([pair("a", "a")])
    with pytest.raises(BadInput, match=r"needs an encoder \(labels\.aligner_encoder\)"):
        aligner().align([pair("a", "a")])


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"matching": "iter"}, "matching: 'iter' is not one of the values; did you mean 'itermax'?"),
        ({"layr": 8}, "unknown key 'layr'; did you mean 'layer'?"),
        ({"layer": -1}, "layer: must be auto or at least 0"),
        ({"layer": "last"}, "layer: expected a whole number, not 'last'"),
        ({"max_count": 0}, "max_count: must be at least 1"),
        ({"alpha_ratio": 0.0}, "alpha_ratio: must be above 0"),
        ({"distortion": 2}, "distortion: must be between 0 and 1"),
        ({"level": "bpe"}, "level: 'bpe' is not one of the values"),
    ],
)
def test_wrong_parameters(table: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput) as raised:
        registry.make("aligner", "simalign", table)
    assert message in str(raised.value)


# --- against the package, on real text --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real() -> list[Pair]:
    """150 English-German and 150 English-Chinese pairs of PUD."""
    if not os.environ.get("XNER_DATA"):
        pytest.skip("XNER_DATA is not set")
    corpus = registry.make("corpus", "uner_pud")
    return [*corpus.pairs("en", "de")[:150], *corpus.pairs("en", "zh")[:150]]


@pytest.fixture(scope="module")
def random_bert(real: list[Pair], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """3 layers × 48, weights drawn at random, with a vocabulary trained on the pairs."""
    import torch
    from transformers import BertConfig, BertModel
    from transformers.utils import logging

    from data_recipes.encoders.tiny.encoder import train_tokenizer

    logging.disable_progress_bar()
    tokenizer = train_tokenizer([side.text for one in real for side in (one.source, one.target)], 6000)
    sizes = {"hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 3, "intermediate_size": 96}
    config = BertConfig(vocab_size=len(tokenizer), max_position_embeddings=128, initializer_range=0.1, **sizes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = BertModel(config)
    folder = tmp_path_factory.mktemp("encoders") / "random"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.data
@pytest.mark.parametrize("level", ["subword", pytest.param("word", marks=pytest.mark.slow)])
def test_the_packages_links_on_300_real_pairs(real: list[Pair], random_bert: Path, level: str) -> None:
    """All three matchings; at most one link in 10,000 may differ, and only by a tie."""
    from simalign import SentenceAligner

    from bench.data.embed import EncoderEmbedder
    from tests.studies.speed_align import Peer, difference

    embedder = EncoderEmbedder(str(random_bert))
    assert len(real) == 300
    assert all(
        0 < len(one.words) <= embedder.room for p in real for one in embedder.embed([p.source.words, p.target.words], 0)
    )
    reference = SentenceAligner(str(random_bert), "bpe" if level == "subword" else "word", 0.0, "aim", "cpu", 2)
    found = [reference.get_word_aligns(list(p.source.words), list(p.target.words)) for p in real]
    total = differing = 0
    for matching, name in zip(MATCHINGS, ("inter", "itermax", "mwmf"), strict=True):
        ours = aligner(embedder, matching=matching, level=level)
        assert ours.layer(embedder) == 2
        params: SimalignParams = ours.params
        for number, (one, own, other) in enumerate(zip(real, ours.align(real), found, strict=True)):
            wanted: tuple[Link, ...] = tuple(other[name])
            total += len(wanted)
            if own != wanted:
                peer = Peer(str(random_bert), params, 2, "cpu")
                listed = difference(number, one, (own, wanted), (embedder, peer, params, 2))
                print(matching, level, listed)
                assert listed.tie, listed
                differing += len(listed.only_ours) + len(listed.only_theirs)
    assert total > 12000
    assert differing <= total / 10000


def test_links_of_equal_sentences_with_repeated_words_do_not_fail() -> None:
    one = Letters().embed([tuple("aaabbb")], 0)[0]
    for matching in MATCHINGS:
        links = Simalign(SimalignParams(matching=matching)).links_of(one, one)  # type: ignore[arg-type]
        assert links and all("aaabbb"[i] == "aaabbb"[j] for i, j in links)
