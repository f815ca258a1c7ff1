"""A word's state is that of its first sub-word that covers one of its characters: a lone ▁ says nothing of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bench.core.sentences import Sentence
from bench.core.subwords import Specials, bare_marks, layout, pieces_of
from bench.data.embed import EncoderEmbedder
from bench.data.encoders import find_encoder
from bench.data.loading import load_encoder
from bench.plan.sections import EncoderSpec
from bench.store.artefacts import Artefacts
from bench.train.batches import Collator
from bench.train.encoder import Encoder
from bench.train.predict import predict
from bench.train.tagger import LinearTagger
from tests.support import packed_e5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder of random weights with a tokenizer like XLM-R's: see `packed_e5.PIECES`."""
    root = tmp_path_factory.mktemp("xlmr")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(root / "site"))
        packed_e5.install(root / "site", packed_e5.packed())
        where, _ = find_encoder("e5-small", EncoderSpec()).ensure(Artefacts(root / "cache"), lambda *_: None)
    return Path(where)


@pytest.fixture(scope="module")
def xlmr(folder: Path) -> Any:
    return load_encoder(str(folder)).tokenizer


def sentence(*words: str) -> Sentence:
    return Sentence("s", "zh", words)


def first_pieces(tokenizer: Any, *words: str) -> list[str]:
    (pieces,) = pieces_of(tokenizer, [sentence(*words)])
    names: list[str] = tokenizer.convert_ids_to_tokens(pieces.ids[pieces.starts].tolist())
    return names


def test_a_lone_mark_is_passed_over(xlmr: Any) -> None:
    assert first_pieces(xlmr, "Anna", "中国", "met", "é", "国中") == ["▁Anna", "中国", "▁met", "é", "国"]


def test_words_of_which_no_piece_covers_a_character_have_a_state_all_the_same(xlmr: Any) -> None:
    assert first_pieces(xlmr, "\u200b", "Anna", "\u0007", "\u00a0") == ["▁", "▁Anna", "<unk>", "▁"]


def test_unknown_scripts_are_unknown_pieces(xlmr: Any) -> None:
    assert first_pieces(xlmr, "\ufe0f", "𓀀", "ꙮ中") == ["<unk>", "<unk>", "<unk>"]


def test_all_pieces_are_read(xlmr: Any) -> None:
    words = ("Anna", "中国", "\u200b", "é")
    (pieces,) = pieces_of(xlmr, [sentence(*words)])
    assert pieces.ids.tolist() == xlmr(list(words), is_split_into_words=True, add_special_tokens=False)["input_ids"]


def test_which_pieces_are_bare(xlmr: Any, tokenizer: Any) -> None:
    assert bare_marks(xlmr) == {xlmr.convert_tokens_to_ids("▁")}
    assert bare_marks(tokenizer) == frozenset()


def test_a_letter_of_another_tokenizer_is_no_mark() -> None:
    """Ġ is a letter in Maltese, and ▁ a block in a WordPiece vocabulary."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    from data_recipes.encoders.tiny.encoder import SPECIAL, fast_tokenizer

    backend = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    vocabulary = {piece: number for number, piece in enumerate((*SPECIAL, "Ġ", "▁", "##u"))}
    wordpiece = fast_tokenizer(backend, vocabulary, longest_word=100, length=128)
    assert bare_marks(wordpiece) == frozenset()
    assert first_pieces(wordpiece, "Ġu") == ["Ġ"]


def test_byte_level_marks_are_passed_over() -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = {letter: number for number, letter in enumerate(["<unk>", *sorted(pre_tokenizers.ByteLevel.alphabet())])}
    backend = Tokenizer(models.BPE(letters, [], unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    backend.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>")
    assert bare_marks(tokenizer) == {letters["Ġ"]}
    assert first_pieces(tokenizer, "a", "\u00e9") == ["a", "Ã"]


characters = st.one_of(st.sampled_from("ab中国é\u200b\ufe0f\u00a0\u0007▁"), st.characters(codec="utf-8"))
some_words = st.lists(st.text(characters, min_size=1, max_size=5), min_size=1, max_size=8)


@settings(max_examples=100, deadline=None)
@given(some_words, st.integers(3, 24))
@example(["中" * 60, "国", "\u200b"], 6)
@example(["中", "\u200b", "\u200b", "国"], 3)
def test_every_word_has_a_state_inside_it(xlmr: Any, words: list[str], max_length: int) -> None:
    bare = bare_marks(xlmr)
    (pieces,) = pieces_of(xlmr, [sentence(*words)])
    encoded = xlmr([words], is_split_into_words=True, add_special_tokens=False)
    of_words: dict[int, list[int]] = {}
    for piece, word in zip(encoded["input_ids"][0], encoded.word_ids(0), strict=True):
        of_words.setdefault(word, []).append(piece)
    assert len(pieces.starts) == len(words) and (np.diff(pieces.starts) > 0).all()
    for word, start in enumerate(pieces.starts.tolist()):
        own = of_words.get(word, [xlmr.unk_token_id])
        telling = [piece for piece in own if piece not in bare]
        assert pieces.ids[start] == (telling or own)[0]
    plan = layout([pieces], Specials.of(xlmr), max_length)
    assert plan.word_mask.all(), "every word is scored"
    assert plan.ids.reshape(-1)[plan.words[0]].tolist() == pieces.ids[pieces.starts].tolist()


def test_a_tagger_scores_every_word(folder: Path, xlmr: Any, tags: Any) -> None:
    torch.manual_seed(0)
    tagger = LinearTagger(Encoder(load_encoder(str(folder)).model), tags, 0.0).eval()
    words = ("\u200b", "中国", "\ufe0f", "Anna", "𓀀", "\u0007") * 9  # in several windows
    found = predict(tagger, Collator(xlmr, tags, packed_e5.POSITIONS, torch.device("cpu")), [sentence(*words)])
    assert found.probabilities[0].shape == (len(words), len(tags))
    assert np.allclose(found.probabilities[0].sum(-1), 1, atol=1e-5)


def test_aligners_are_given_no_vector_of_a_bare_mark(folder: Path, xlmr: Any) -> None:
    embedder = EncoderEmbedder(str(folder))
    words = ("中国", "\u200b", "Anna", "é")
    (found,) = embedder.embed([words], 2)
    assert found.words.tolist() == [0, 2, 3], "nor any of a word that has no other piece"
    inputs = xlmr(list(words), is_split_into_words=True, return_tensors="pt")
    with torch.no_grad():
        whole = load_encoder(str(folder)).model.eval()(**inputs, output_hidden_states=True).hidden_states[2][0]
    read = xlmr.convert_ids_to_tokens(inputs["input_ids"][0].tolist())
    assert read == ["<s>", "▁", "中国", "▁", "▁Anna", "▁", "é", "</s>"], "the encoder reads the marks"
    np.testing.assert_allclose(found.vectors, whole[[2, 4, 6]].numpy(), atol=1e-5)


def test_words_of_a_tokenizer_without_marks_keep_their_first_piece(
    tokenizer: Any, toy: Callable[..., list[Sentence]]
) -> None:
    for one, pieces in zip(toy(10), pieces_of(tokenizer, toy(10)), strict=True):
        encoded = tokenizer(list(one.words), is_split_into_words=True, add_special_tokens=False)
        firsts = [encoded.word_ids().index(word) for word in range(len(one.words))]
        assert pieces.starts.tolist() == firsts
