"""Words ↔ sub-words, windows and layouts: every word is answered once; loading encoders."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from bench.api.method import Example
from bench.core.errors import BadInput
from bench.core.sentences import Sentence
from bench.core.subwords import Layout, Pieces, Specials, layout, pieces_of, windows_of
from bench.data.encoders import find_encoder
from bench.data.loading import load_encoder
from bench.plan.sections import EncoderSpec
from bench.train.predict import predict

SPECIALS = Specials(prefix=(2,), suffix=(3,), pad=0, unknown=1)
sizes = st.lists(st.one_of(st.integers(1, 4), st.integers(1, 40)), min_size=1, max_size=60)  # pieces of each word


def sentence(*words: str) -> Sentence:
    return Sentence("s", "en", words)


def pieces_like(lengths: Sequence[int]) -> Pieces:
    """A sentence whose words have so many pieces; every piece has another id."""
    starts = np.concatenate([[0], np.cumsum(lengths)])
    return Pieces(np.arange(100, 100 + starts[-1]), starts[:-1].astype(np.int64))


# --- windows ----------------------------------------------------------------------------------------------------------


@given(sizes, st.integers(1, 50))
@example([1, 1, 1, 200, 1, 1], 8)  # a word longer than the room between others
@example([200], 8)
def test_every_word_is_answered_once_and_its_first_piece_is_read(lengths: list[int], room: int) -> None:
    pieces = pieces_like(lengths)
    windows = windows_of(pieces, room)
    assert [w.first for w in windows] == [0, *(w.last for w in windows[:-1])]
    assert windows[-1].last == len(lengths)
    for window in windows:
        assert 0 < window.end - window.start <= room
        assert window.end <= len(pieces.ids)
        assert window.last > window.first, "a window that answers for nothing is wasted"
        for word in range(window.first, window.last):
            assert window.start <= pieces.starts[word] < window.end


@given(sizes, st.integers(1, 50))
def test_only_words_longer_than_the_room_are_cut(lengths: list[int], room: int) -> None:
    pieces = pieces_like(lengths)
    read = np.zeros(len(pieces.ids), bool)
    for window in windows_of(pieces, room):
        read[window.start : window.end] = True
    for start, length in zip(pieces.starts, lengths, strict=True):
        assert read[start : start + min(length, room)].all()


def test_neighbouring_windows_overlap_and_answer_where_there_is_context() -> None:
    windows = windows_of(pieces_like([1] * 100), 40)
    assert len(windows) > 2
    for left, right in pairwise(windows):
        assert left.end - right.start == 10  # a quarter of the room
        assert left.last == right.first == right.start + 5  # the middle of what both read


def test_a_short_sentence_is_one_window() -> None:
    (window,) = windows_of(pieces_like([2, 3]), 5)
    assert (window.start, window.end, window.first, window.last) == (0, 5, 0, 2)
    with pytest.raises(ValueError, match="room"):
        windows_of(pieces_like([1]), 0)


# --- layouts ----------------------------------------------------------------------------------------------------------


def check(plan: Layout, batch: Sequence[Pieces], max_length: int) -> None:
    assert plan.ids.shape[1] <= max_length
    flat = plan.ids.reshape(-1)
    for row, pieces in enumerate(batch):
        count = len(pieces.starts)
        assert plan.word_mask[row].tolist() == [True] * count + [False] * (plan.words.shape[1] - count)
        where = plan.words[row, :count]
        assert flat[where].tolist() == pieces.ids[pieces.starts].tolist()
        assert (plan.sentence[where // plan.ids.shape[1]] == row).all()
        assert plan.mask.reshape(-1)[where].all()
    lengths = plan.mask.sum(1)
    assert plan.tokens == lengths.sum()
    for ids, mask, length in zip(plan.ids, plan.mask, lengths, strict=True):
        assert mask[:length].all()
        assert (ids[0], ids[length - 1]) == (SPECIALS.prefix[0], SPECIALS.suffix[0])
        assert (ids[length:] == SPECIALS.pad).all()


@given(st.lists(sizes, min_size=1, max_size=4), st.integers(3, 50))
@example([[1, 1, 1, 200, 1, 1]], 10)
@settings(max_examples=60)
def test_word_indices_point_at_first_pieces(batch: list[list[int]], max_length: int) -> None:
    several = [pieces_like(lengths) for lengths in batch]
    plan = layout(several, SPECIALS, max_length)
    check(plan, several, max_length)
    room = max_length - 2
    for row, (pieces, lengths) in enumerate(zip(several, batch, strict=True)):
        counted = plan.ids[plan.sentence == row][plan.real[plan.sentence == row]]
        assert len(set(counted.tolist())) == len(counted), "a piece counts once for the sentence vector"
        if max(lengths) <= room:
            assert sorted(counted.tolist()) == pieces.ids.tolist()


def test_sentences_without_words_have_a_row() -> None:
    plan = layout([Pieces(np.zeros(0, np.int64), np.zeros(0, np.int64)), pieces_like([1])], SPECIALS, 8)
    assert plan.word_mask.tolist() == [[False], [True]]
    assert plan.real.sum() == 1


# --- tokenizers -------------------------------------------------------------------------------------------------------

dropped = st.sampled_from("\x00\x07\u200b\u200d\ufeff\xad")  # control and zero-width characters
characters = st.one_of(st.sampled_from("abxyAZ09.,"), dropped, st.characters(codec="utf-8"))
some_words = st.lists(st.text(characters, max_size=6), min_size=1, max_size=8)


@given(words=some_words)
@example(words=["\x00"])
@example(words=["a", "\u200b", "b"])
@example(words=["\x00", "\x07", "dog", "\u200b"])
@example(words=["[SEP]", "dog", "[MASK]"])
@settings(max_examples=80)
def test_every_word_has_a_first_piece(tokenizer: Any, words: list[str]) -> None:
    alone = [pieces_of(tokenizer, [sentence(word)])[0].ids.tolist() for word in words]
    assert all(alone)
    (pieces,) = pieces_of(tokenizer, [sentence(*words)])
    assert pieces.ids.tolist() == [piece for own in alone for piece in own]
    assert pieces.starts.tolist() == np.cumsum([0, *map(len, alone[:-1])]).tolist()


def test_dropped_words_become_the_unknown_piece(tokenizer: Any) -> None:
    unknown, dog = tokenizer.convert_tokens_to_ids(["[UNK]", "dog"])
    (pieces,) = pieces_of(tokenizer, [sentence("\x00", "dog", "\u200b", "\u200b", "dog", "\x07")])
    assert pieces.ids.tolist() == [unknown, dog, unknown, unknown, dog, unknown]
    assert pieces.starts.tolist() == [0, 1, 2, 3, 4, 5]


def test_sentences_of_a_batch_do_not_mix(tokenizer: Any) -> None:
    batch = [sentence("dog", "zq"), sentence(), sentence("\x00"), sentence("zqzq", "dog")]
    together = pieces_of(tokenizer, batch)
    for one, pieces in zip(batch, together, strict=True):
        (alone,) = pieces_of(tokenizer, [one])
        assert pieces.ids.tolist() == alone.ids.tolist()
        assert pieces.starts.tolist() == alone.starts.tolist()
    assert [len(pieces.starts) for pieces in together] == [2, 0, 1, 2]
    assert pieces_of(tokenizer, []) == []


def test_specials_are_read_off_the_tokenizer(tokenizer: Any) -> None:
    assert Specials.of(tokenizer) == Specials(prefix=(2,), suffix=(3,), pad=0, unknown=1)


def test_a_tokenizer_file_that_truncates_and_pads_does_not_here(tokenizer: Any) -> None:
    import copy

    other = copy.deepcopy(tokenizer)
    other.backend_tokenizer.enable_truncation(16)
    other.backend_tokenizer.enable_padding(length=16)
    (long, short) = pieces_of(other, [sentence(*["dog"] * 300), sentence("dog")])
    assert (len(long.ids), len(short.ids)) == (300, 1)


# --- long sentences through a model -----------------------------------------------------------------------------------


def test_2000_words_are_predicted_and_scored_in_full(
    new_tagger: Callable[..., Any], new_collator: Callable[..., Any], toy: Callable[..., list[Sentence]]
) -> None:
    words = [word for one in toy(400) for word in one.words][:2000]
    assert len(words) == 2000
    words[700] = "x" * 900  # one word alone is far longer than a window
    collator = new_collator(128)
    (pieces,) = collator.pieces([Example(sentence(*words))])
    assert len(windows_of(pieces, 126)) > 16
    found = predict(new_tagger(), collator, [sentence(*words)])
    assert found.probabilities[0].shape == (2000, 5)
    assert np.allclose(found.probabilities[0].sum(-1), 1, atol=1e-5)
    assert (found.probabilities[0].std(0) > 1e-4).all(), "words differ, so no position was left at its default"


def test_windows_do_not_change_sentences_that_need_none(
    new_tagger: Callable[..., Any], new_collator: Callable[..., Any], toy: Callable[..., list[Sentence]]
) -> None:
    tagger = new_tagger().eval()
    short = toy(3)
    long = sentence(*(word for one in toy(30, seed=1) for word in one.words))

    def logits(batch: list[Sentence], max_length: int) -> Any:
        collator = new_collator(max_length)
        examples = [Example(one) for one in batch]
        return tagger.read(collator(examples, collator.pieces(examples), range(len(batch))))

    alone = logits(short, 128)
    for max_length in (24, 64):
        mixed = logits([*short, long], max_length)  # the long one is windowed, its neighbours are not
        assert len(mixed.inputs.sentence) > 4
        for row, one in enumerate(short):
            words = len(one.words)
            for ours, theirs in ((mixed.logits, alone.logits), (mixed.states, alone.states)):
                assert np.allclose(ours[row, :words].detach(), theirs[row, :words].detach(), atol=1e-5)
            assert np.allclose(mixed.vectors[row].detach(), alone.vectors[row].detach(), atol=1e-5)


def test_each_window_gives_the_states_of_its_own_words(
    new_tagger: Callable[..., Any], new_collator: Callable[..., Any], toy: Callable[..., list[Sentence]]
) -> None:
    """A long sentence's states are those of its windows, each read as a sentence of its own."""
    tagger, collator = new_tagger().eval(), new_collator(24)
    words = [word for one in toy(12, seed=2) for word in one.words]
    examples = [Example(sentence(*words))]
    (pieces,) = collator.pieces(examples)
    assert len(pieces.ids) == len(words)  # all in the vocabulary, so windows cut at words
    stitched = tagger.read(collator(examples, [pieces], [0]))
    for window in windows_of(pieces, 22):
        part = [Example(sentence(*words[window.start : window.end]))]
        alone = tagger.read(collator(part, collator.pieces(part), [0]))
        own = alone.states[0, window.first - window.start : window.last - window.start]
        assert np.allclose(stitched.states[0, window.first : window.last].detach(), own.detach(), atol=1e-5)


# --- loading encoders -------------------------------------------------------------------------------------------------


@pytest.fixture
def copied(tiny_folder: Path, tmp_path: Path) -> Path:
    """A copy of the tiny encoder, to be damaged."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "copy"))


def refused(folder: Path, message: str) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        load_encoder(str(folder))
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


def test_a_half_precision_checkpoint_is_loaded_as_float32(copied: Path, tiny_folder: Path) -> None:
    weights = load_file(copied / "model.safetensors")
    for dtype in (torch.float16, torch.bfloat16):
        small = {name: tensor.to(dtype) for name, tensor in weights.items()}
        save_file(small, copied / "model.safetensors", metadata={"format": "pt"})
        config = json.loads((copied / "config.json").read_text())
        (copied / "config.json").write_text(json.dumps(config | {"dtype": str(dtype).removeprefix("torch.")}))
        loaded = load_encoder(str(copied)).model
        assert {p.dtype for p in loaded.parameters()} == {torch.float32}
        name = "embeddings.word_embeddings.weight"
        assert torch.equal(loaded.state_dict()[name], small[name].float())
    assert load_encoder(str(tiny_folder)).longest == 128


def test_weights_that_are_no_safetensors_are_refused(copied: Path) -> None:
    weights = load_file(copied / "model.safetensors")
    (copied / "model.safetensors").unlink()
    refused(copied, "safetensors")
    torch.save(weights, copied / "pytorch_model.bin")  # a pickle
    refused(copied, "safetensors")
    with pytest.raises(BadInput, match="safetensors"):
        find_encoder(str(copied), EncoderSpec())


def test_damaged_weights_are_refused(copied: Path) -> None:
    whole = (copied / "model.safetensors").read_bytes()
    for damaged in (b"", b"abc", whole[: len(whole) // 2]):
        (copied / "model.safetensors").write_bytes(damaged)
        refused(copied, "cannot be loaded")


def test_weights_with_a_layer_missing_are_refused(copied: Path) -> None:
    """transformers would draw it at random and say so only in its log. The pooler is not used and may be missing."""
    weights = load_file(copied / "model.safetensors")
    without = {name: tensor for name, tensor in weights.items() if "pooler" not in name}
    save_file(without, copied / "model.safetensors", metadata={"format": "pt"})
    load_encoder(str(copied))
    without = {name: tensor for name, tensor in without.items() if "layer.1.attention" not in name}
    save_file(without, copied / "model.safetensors", metadata={"format": "pt"})
    refused(copied, "lacks weights .*encoder.layer.1.attention")


def test_a_folder_without_a_tokenizer_is_refused(copied: Path) -> None:
    """transformers would make one up that knows no word."""
    (copied / "tokenizer.json").unlink()
    refused(copied, "tokenizer")
    (copied / "tokenizer_config.json").unlink()
    refused(copied, "tokenizer")


def test_an_encoder_without_a_fast_tokenizer_is_refused(tmp_path: Path) -> None:
    from transformers import ByT5Tokenizer, T5Config  # reads bytes: there is no fast one

    ByT5Tokenizer().save_pretrained(tmp_path)
    T5Config().save_pretrained(tmp_path)
    refused(tmp_path, "no fast tokenizer")


def test_an_encoder_of_unknown_or_own_code_is_refused(copied: Path) -> None:
    own = {"AutoModel": "own.Own", "AutoConfig": "own.Config"}
    for config in ({"model_type": "unheard-of"}, {"model_type": "x", "auto_map": own}):
        (copied / "config.json").write_text(json.dumps(config))
        (copied / "own.py").write_text("raise SystemExit('code of the hub ran')")
        refused(copied, "cannot be loaded")
    (copied / "config.json").write_text("{")
    refused(copied, "cannot be loaded")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tinny", "did you mean 'tiny'"),
        ("./nowhere", "is neither a folder"),
        ("/no/where", "is neither a folder"),
        ("a b", "is neither a folder"),
    ],
)
def test_an_encoder_that_is_nowhere(name: str, message: str) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        find_encoder(name, EncoderSpec())
    assert "\n" not in str(caught.value)


def test_the_key_of_a_folder_is_its_content(copied: Path, tiny_folder: Path) -> None:
    first, second = (find_encoder(str(folder), EncoderSpec()) for folder in (tiny_folder, copied))
    assert first.key == second.key, "not its path"
    assert (first.label, second.label) == ("tiny-for-tests", "copy")
    tokenizer = copied / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text().replace('"dog"', '"god"'))
    assert find_encoder(str(copied), EncoderSpec()).key != first.key
