"""Sub-word vectors: those of the encoder itself, whatever is batched, cut off, windowed or kept."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.api.recipes import Embedded
from bench.core.errors import BadInput
from bench.core.subwords import windows_of
from bench.data.cell_data import CellData
from bench.data.embed import EncoderEmbedder, pieces_of
from bench.data.labels import LinkStage, source_links
from bench.plan.matrix import Cell, cells
from bench.plan.spec import load_matrix
from bench.store.artefacts import Artefacts
from tests.conftest import VOCABULARY, toy_sentences

TOY = [sentence.words for sentence in toy_sentences(12)]
LONG = ("the", "big", "man", "met", "Anna", "at", "Rome", "today", ".") * 20


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def embedder(tiny_folder: Path) -> EncoderEmbedder:
    return EncoderEmbedder(str(tiny_folder))


def alone(folder: Path, words: tuple[str, ...], layer: int) -> np.ndarray:
    """What transformers gives for one sentence, special tokens taken off."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    inputs = tokenizer(list(words), is_split_into_words=True, return_tensors="pt")
    with torch.no_grad():
        return model(**inputs, output_hidden_states=True).hidden_states[layer][0, 1:-1].numpy()  # type: ignore[no-any-return]


def forwards(embedder: EncoderEmbedder) -> list[tuple[int, ...]]:
    """Shapes of the batches that the encoder reads from now on."""
    shapes: list[tuple[int, ...]] = []
    embedder.model.register_forward_pre_hook(
        lambda module, args, kwargs: shapes.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
    )
    return shapes


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1, 2)])
def test_vectors_are_the_encoders_own_in_every_layer(
    tiny_folder: Path, embedder: EncoderEmbedder, order: tuple[int, ...]
) -> None:
    assert (embedder.layers, embedder.align_layer) == (2, None)
    for layer in order:
        for words, found in zip(TOY, embedder.embed(TOY, layer), strict=True):
            assert found.vectors.dtype == np.float32
            np.testing.assert_allclose(found.vectors, alone(tiny_folder, words, layer), atol=1e-5)
            assert found.words.tolist() == sorted(found.words.tolist())
            assert set(found.words.tolist()) == set(range(len(words)))
        assert len(embedder._stack or ()) == max(layer, 1), "what lies above is not run"


def families() -> dict[str, Any]:
    import transformers as t

    size: dict[str, Any] = {"vocab_size": len(VOCABULARY), "hidden_size": 32, "num_hidden_layers": 3}
    size |= {"num_attention_heads": 2, "intermediate_size": 48, "max_position_embeddings": 96, "pad_token_id": 0}
    drawn = {"vocab_size": len(VOCABULARY), "max_position_embeddings": 96, "pad_token_id": 0}
    return {
        "roberta": (t.RobertaModel, t.RobertaConfig(**size), True),
        "deberta": (t.DebertaV2Model, t.DebertaV2Config(**size, relative_attention=True, pos_att_type=["c2p"]), False),
        "distilbert": (
            t.DistilBertModel,
            t.DistilBertConfig(dim=32, n_layers=3, n_heads=2, hidden_dim=48, **drawn),
            False,  # it and DeBERTa could be, but their layers ask for more than states and mask
        ),
        "modernbert": (t.ModernBertModel, t.ModernBertConfig(**size), False),  # a norm after the last layer,
        "llama": (t.LlamaModel, t.LlamaConfig(**size), False),  # whichever that is
        "albert": (t.AlbertModel, t.AlbertConfig(embedding_size=16, **size), False),  # one layer, used three times
        "xlm": (t.XLMModel, t.XLMConfig(emb_dim=32, n_layers=3, n_heads=2, **drawn), False),  # parts, not layers
    }


@pytest.mark.parametrize("family", ["roberta", "deberta", "distilbert", "modernbert", "llama", "albert", "xlm"])
def test_layers_are_cut_only_where_that_changes_nothing(family: str, tiny_folder: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    kind, config, cut = families()[family]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        kind(config).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(tiny_folder).save_pretrained(tmp_path)
    made = EncoderEmbedder(str(tmp_path))
    for layer in (1, 3, 0, 2):
        for words, found in zip(TOY[:4], made.embed(TOY[:4], layer), strict=True):
            np.testing.assert_allclose(found.vectors, alone(tmp_path, words, layer), atol=1e-5)
        if made._stack is not None:
            assert len(made._stack) == (max(layer, 1) if cut else 3)
    assert (made._stack is not None) == (family not in ("albert", "xlm"))


def test_equal_sentences_are_read_once_and_batches_hold_a_number_of_pieces(
    embedder: EncoderEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.data.embed.ROOM", {"cpu": 64})
    many = [words for words in TOY for _ in range(3)]
    embedder.embed(TOY[:1], 1)  # the encoder is cut
    shapes, ticks = forwards(embedder), []
    embedder.tick = ticks.append
    found = embedder.embed(many, 1)
    assert sum(rows for rows, _ in shapes) == len(set(TOY))
    assert all(rows == 1 or rows * length <= 64 for rows, length in shapes)
    assert [length for _, length in shapes] == sorted(length for _, length in shapes)
    assert sum(ticks) == len(many)
    for one, other in zip(found, many, strict=True):
        np.testing.assert_array_equal(one.vectors, found[many.index(other)].vectors)


def test_long_sentences_are_windowed_and_stitched(tiny_folder: Path, embedder: EncoderEmbedder) -> None:
    """Whole words keep all their pieces, in order; near the start the vectors are those of the first window."""
    small = EncoderEmbedder(str(tiny_folder), max_length=24)
    ((pieces, of_pieces),) = pieces_of(small.tokenizer, [LONG], small.room)
    short, found = small.embed([TOY[0], LONG], 1)
    assert len(pieces.ids) > 128, "longer than the encoder takes"
    assert found.vectors.shape == (len(pieces.ids), 32)
    assert found.words.tolist() == of_pieces.tolist()
    assert np.abs(found.vectors).sum(1).min() > 0
    first = windows_of(pieces, small.room)[0]
    end = int(pieces.starts[first.last])
    inside = alone_ids(small, pieces.ids[first.start : first.end], 1)
    np.testing.assert_allclose(found.vectors[:end], inside[:end], atol=1e-5)
    np.testing.assert_allclose(short.vectors, embedder.embed([TOY[0]], 1)[0].vectors, atol=1e-5)


def alone_ids(embedder: EncoderEmbedder, ids: np.ndarray, layer: int) -> np.ndarray:
    row = torch.tensor([[*embedder.specials.prefix, *ids, *embedder.specials.suffix]])
    with torch.no_grad():
        hidden = embedder.model(input_ids=row, output_hidden_states=True).hidden_states[layer]
    return hidden[0, 1:-1].numpy()  # type: ignore[no-any-return]


def test_a_word_longer_than_a_window_keeps_every_piece(tiny_folder: Path) -> None:
    small = EncoderEmbedder(str(tiny_folder), max_length=12)
    (found,) = small.embed([("Anna", "z" * 35, "Rome")], 2)
    assert found.words.tolist() == [0, *[1] * 35, 2]
    assert np.abs(found.vectors).sum(1).min() > 0


def test_what_has_no_words_or_no_pieces(tiny_folder: Path, embedder: EncoderEmbedder) -> None:
    nothing, dropped, some = embedder.embed([(), ("\u200b",), ("Anna", "\u200b", "Rome")], 2)
    for empty in (nothing, dropped):
        assert empty.vectors.shape == (0, 32) and empty.words.shape == (0,)
    assert some.words.tolist() == [0, 2]
    np.testing.assert_allclose(some.vectors, alone(tiny_folder, ("Anna", "Rome"), 2), atol=1e-5)
    assert embedder.embed([], 2) == []


@settings(max_examples=60)
@given(
    st.lists(st.lists(st.text("abz.,\u200b", min_size=1, max_size=30), max_size=12).map(tuple), max_size=4),
    st.integers(1, 9),
)
def test_every_piece_is_answered_for_once(tokenizer: Any, sentences: list[tuple[str, ...]], room: int) -> None:
    for words, (pieces, of_pieces) in zip(sentences, pieces_of(tokenizer, sentences, room), strict=True):
        ids = tokenizer(list(words), is_split_into_words=True, add_special_tokens=False)["input_ids"] if words else []
        assert pieces.ids.tolist() == ids
        assert len(of_pieces) == len(ids)
        starts = [*pieces.starts.tolist(), len(ids)]
        assert all(0 < b - a <= max(room, 1) for a, b in itertools.pairwise(starts))
        if ids:
            answered = [n for w in windows_of(pieces, room) for n in range(starts[w.first], starts[w.last])]
            assert answered == list(range(len(ids)))


def test_a_layer_that_is_not_there(embedder: EncoderEmbedder) -> None:
    for layer in (-1, 3):
        with pytest.raises(ValueError, match=f"layer {layer} of an encoder of 2 layers"):
            embedder.embed(TOY, layer)


# --- kept vectors -----------------------------------------------------------------------------------------------------


def test_kept_vectors_are_read_back_and_nothing_is_run(tiny_folder: Path, tmp_path: Path) -> None:
    cache = Artefacts(tmp_path)
    first, second = EncoderEmbedder(str(tiny_folder)), EncoderEmbedder(str(tiny_folder))
    fresh = first.embed(TOY, 1)
    kept = first.keep(cache, TOY, 1, ("key", None))
    assert kept.artefact.details == {"layer": 1, "layers": 2, "max_length": 128, "sentences": len(set(TOY))}
    assert {path.suffix for path in kept.artefact.folder.iterdir()} == {".safetensors", ".json"}
    shapes = forwards(second)
    again = second.keep(cache, list(reversed(TOY)), 1, ("key", None))
    assert again.artefact.key == kept.artefact.key, "a set of sentences, in whatever order"
    for one, other in zip(fresh, second.embed(TOY, 1), strict=True):
        np.testing.assert_array_equal(one.vectors, other.vectors)
        np.testing.assert_array_equal(one.words, other.words)
    assert shapes == []
    found = second.embed([TOY[0], ("Anna", "Rome")], 1)
    assert [rows for rows, _ in shapes if rows == 1] and len(found[1].words) == 2, "others are embedded as ever"
    assert kept.get(("Anna", "Rome")) is None


def test_the_key_of_kept_vectors(tiny_folder: Path, tmp_path: Path) -> None:
    cache = Artefacts(tmp_path)

    def key(layer: int = 1, max_length: int | None = None, encoder: str = "key", count: int = 12) -> str:
        made = EncoderEmbedder(str(tiny_folder), max_length=max_length)
        return made.keep(cache, TOY[:count], layer, (encoder, None)).artefact.key

    keys = [key(), key(2), key(max_length=64), key(encoder="other"), key(count=5)]
    assert len(set(keys)) == len(keys)
    assert key() == keys[0] == key(max_length=128), "the longest that the encoder takes is 128"


# --- the stage that links ---------------------------------------------------------------------------------------------


def cell_of(encoder: Path | str, *overrides: str, target: str = "de") -> Cell:
    axes = ("axes.encoders=['tiny']", f"axes.targets=['{target}']", "axes.methods=['en_trans']", "data.n_source=10")
    more = ("labels.aligner='simalign'", f"labels.aligner_encoder='{encoder}'", "corpus.demo.n_train=60")
    return cells(load_matrix("demo", (*axes, *more, *overrides)))[0]


def stage_of(*arguments: Any, **named: Any) -> LinkStage:
    cell = cell_of(*arguments, **named)
    return source_links(cell, CellData(cell))


def test_an_aligner_that_embeds_needs_an_encoder(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"^labels\.aligner_encoder: the aligner 'simalign' embeds sentences"):
        stage_of("").links_key()
    with pytest.raises(BadInput, match=r"^labels\.aligner_encoder: encoder 'tiney' is neither a folder.* 'tiny'"):
        stage_of("tiney").links_key()
    with pytest.raises(BadInput, match=r"^labels\.aligner_encoder: .*no config\.json"):
        stage_of(tmp_path).links_key()


def test_the_key_of_links_holds_the_encoders_content(tiny_folder: Path, tmp_path: Path) -> None:
    key = stage_of(tiny_folder).links_key()
    copy = shutil.copytree(tiny_folder, tmp_path / "elsewhere")
    assert stage_of(copy).links_key() == key, "not its path"
    recipe = f"encoder.'{tiny_folder}'"
    others = [
        stage_of(tiny_folder, "aligner.simalign.layer=1").links_key(),
        stage_of(tiny_folder, "aligner.simalign.matching='match'").links_key(),
        stage_of(tiny_folder, f"{recipe}.align_layer=1").links_key(),
        stage_of(tiny_folder, f"{recipe}.max_length=64").links_key(),
    ]
    (copy / "config.json").write_text((copy / "config.json").read_text().replace('"gelu"', '"relu"'))
    others.append(stage_of(copy).links_key())
    assert len({key, *others}) == 1 + len(others)
    assert stage_of(tiny_folder, f"{recipe}.lr=1e-4").links_key() == key, "the rest of the recipe is no matter"


def test_the_encoder_is_no_matter_to_an_aligner_that_does_not_embed(tiny_folder: Path) -> None:
    gold = "labels.aligner='gold'"
    assert stage_of(tiny_folder, gold).links_key() == stage_of("", gold).links_key()


def test_the_source_is_embedded_once_for_all_languages(tiny_folder: Path, tmp_path: Path) -> None:
    cache = Artefacts(tmp_path)
    ticks: list[tuple[int, int, str]] = []
    found = {
        t: stage_of(tiny_folder, target=t).links(cache, progress=lambda *tick: ticks.append(tick)) for t in ("de", "bg")
    }
    (embedded,) = list((tmp_path / "embed").glob("[0-9a-f]*"))
    for target, links in found.items():
        assert f"embed/{embedded.name}" in links.artefact.parents
        assert {p.partition("/")[0] for p in links.artefact.parents} == {"translate", "embed"}
        facts = {"encoder": tiny_folder.name, "layer": 1, "layers": 2, "max_length": 128, "pairs": 10}
        assert links.artefact.details == facts
        assert all(p.links and p.target.language == target for p in links.pairs)
    assert ticks[-1] == (20, 20, "aligning")
    again = stage_of(tiny_folder).links(cache)
    assert again.pairs == found["de"].pairs


def test_a_test_translated_to_english_keeps_no_vectors(tiny_folder: Path, tmp_path: Path) -> None:
    cell = cell_of(tiny_folder)
    data = CellData(cell)
    stage = LinkStage(cell, data.data, data.data.read("de", "train")[:5], "en")
    links = stage.links(Artefacts(tmp_path))
    assert len(links.pairs) == 5 and not (tmp_path / "embed").exists()


def test_no_translation_at_all_is_no_pair(tiny_folder: Path, tmp_path: Path) -> None:
    cell, cache = cell_of("", "labels.aligner='gold'", "labels.translator='files'"), Artefacts(tmp_path)
    data = CellData(cell)
    for _ in ("made", "read"):
        stage = LinkStage(cell, data.data, data.data.read("de", "test")[:5], "en")
        assert stage.links(cache).pairs == ()


def test_embedded_is_a_pair_of_arrays() -> None:
    assert Embedded._fields == ("vectors", "words")
