"""The engine ctranslate2 beside transformers over tiny checkpoints: the same tokens, the same failures."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.core.errors import BadInput, Unavailable
from bench.core.sentences import Sentence
from data_recipes.translators import _ctranslate2
from data_recipes.translators._engine import Engine
from data_recipes.translators._seq2seq import Seq2SeqTranslator
from data_recipes.translators.marian import MarianParams, MarianTranslator
from data_recipes.translators.nllb import NllbParams, NllbTranslator
from tests.support.tiny_translators import (
    ENGLISH,
    GERMAN,
    LOOPING,
    Texts,
    known,
    word_by_word,
    write_marian,
    write_nllb,
)

MAKERS: dict[str, Callable[..., Seq2SeqTranslator]] = {
    "marian": lambda **params: MarianTranslator(MarianParams(**params)),
    "nllb": lambda **params: NllbTranslator(NllbParams(**params)),
}
pytest.importorskip("ctranslate2")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Trained checkpoints, and `random`, a Marian that never learned anything and is pushed to end now and then."""
    root = tmp_path_factory.mktemp("models")
    marian = write_marian(root / "tiny-en-de")
    changed(marian, marian, lambda model: model.get_input_embeddings().weight[-1].zero_())  # as OPUS-MT's
    nllb = write_nllb(root / "tiny-nllb")

    def forget(model: Any) -> None:
        generator = torch.Generator().manual_seed(3)
        for name, weights in model.named_parameters():
            if "norm" not in name and "embed_positions" not in name:
                weights.normal_(0, 0.3 if "shared" in name else 0.4, generator=generator)
        model.get_input_embeddings().weight[-1].zero_()
        model.final_logits_bias[0, 0] = 3.0
        model.generation_config.bad_words_ids = [[model.config.pad_token_id]]  # as OPUS-MT's

    return {"marian": marian, "nllb": nllb, "random": changed(marian, root / "random", forget)}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XNER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "ctranslate2"


def changed(folder: Path, to: Path, change: Callable[[Any], object]) -> Path:
    """A Marian folder with other weights."""
    from transformers import AutoTokenizer, MarianMTModel

    model = MarianMTModel.from_pretrained(folder)
    with torch.no_grad():
        change(model)
    AutoTokenizer.from_pretrained(folder).save_pretrained(to)
    model.save_pretrained(to)
    return to


def engine(kind: str, folder: Path, **params: Any) -> Engine:
    made = MAKERS[kind](model=str(folder), **params)
    made.device = "cpu"
    return made.engine(made.find("en", "de"))


def texts(count: int = 120) -> list[str]:
    draw = random.Random(5)
    drawn = [" ".join(draw.choices(ENGLISH, k=draw.randint(1, 14))) for _ in range(count)]
    return [*(s.text for s in known()), LOOPING, "pan pan", "dog " * 70, *drawn]


@pytest.mark.parametrize(("kind", "name"), [("marian", "marian"), ("marian", "random"), ("nllb", "nllb")])
def test_greedy_search_writes_the_tokens_of_transformers(folders: dict[str, Path], kind: str, name: str) -> None:
    theirs = engine(kind, folders[name], beams=1)
    ours = engine(kind, folders[name], beams=1, engine="ctranslate2")
    request = MAKERS[kind](model=str(folders[name])).request(theirs.tokenizer, "en", "de")
    assert ours.runtime.startswith("ctranslate2 ") and ours.runtime.endswith(" float32") and theirs.runtime == ""
    rows: list[list[int]] = theirs.tokenizer([t for t in texts() if 5 <= len(t.split()) <= 6])["input_ids"]
    written = theirs._generated(rows, request)
    assert ours._generated(rows, request) == written
    assert len({tuple(row) for row in written}) > 4, "answers that differ, or equality means little"
    expected = theirs.translate(texts(), request)
    assert ours.translate(texts(), request) == expected
    outcomes = {draft.outcome for draft in expected}
    assert outcomes >= {"translated", "too_long"} | ({"degenerate", "failed"} if name == "marian" else set())


def test_beam_search_is_near(folders: dict[str, Path]) -> None:
    """It ends by another rule; on what the models were taught, where beams are far apart, it finds the same."""
    for kind in ("marian", "nllb"):
        theirs = engine(kind, folders[kind], beams=4)
        ours = engine(kind, folders[kind], beams=4, engine="ctranslate2")
        request = MAKERS[kind](model=str(folders[kind])).request(theirs.tokenizer, "en", "de")
        taught = [s.text for s in known(8)]
        pairs = list(zip(theirs.translate(taught, request), ours.translate(taught, request), strict=True))
        assert sum(one == other for one, other in pairs) >= 7


@pytest.mark.parametrize("quantisation", ["float32", "int8", "bfloat16"])
def test_sentences_are_translated_and_counted(folders: dict[str, Path], quantisation: str) -> None:
    made = MAKERS["marian"](model=str(folders["marian"]), engine="ctranslate2", quantisation=quantisation, beams=1)
    sentences = [*known(), Sentence("long", "en", ("dog",) * 70), Sentence("none", "en", ("pan", "pan"))]
    out = made.translate(sentences, "de", Texts())
    right = [t is not None and t.words == word_by_word(s, GERMAN) for s, t in zip(known(), out.targets, strict=False)]
    assert sum(right) >= (14 if quantisation == "float32" else 8)
    assert out.targets[16:] == (None, None) and out.counts["too_long"] == 1 and out.counts["failed"] >= 1
    assert f"(ctranslate2 {_ctranslate2.ctranslate2_version()} {quantisation})" in out.provenance


def test_a_model_is_converted_once_and_whole(
    folders: dict[str, Path], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, made = _ctranslate2._convert, list[str]()

    def convert(found: Any, to: Path, quantisation: str, tokenizer: Any) -> None:
        made.append(quantisation)
        real(found, to, quantisation, tokenizer)
        if len(made) == 1:
            raise OSError("the disk is full")

    monkeypatch.setattr(_ctranslate2, "_convert", convert)
    with pytest.raises(BadInput, match="cannot be loaded: the disk is full"):
        engine("marian", folders["marian"], engine="ctranslate2")
    assert kept(cache) == [], "nothing half-made"
    for quantisation in ("float32", "int8", "int8", "float32"):
        engine("marian", folders["marian"], engine="ctranslate2", quantisation=quantisation)
    assert made == ["float32", "float32", "int8"] and len(kept(cache)) == 2
    for folder in cache.iterdir():
        if folder.is_dir():
            (folder / "model.bin").write_bytes(b"nothing")
    with pytest.raises(BadInput, match=r"ctranslate2 cannot load .* \(remove the folder to convert again\)"):
        engine("marian", folders["marian"], engine="ctranslate2")


def kept(cache: Path) -> list[Path]:
    return [path for path in cache.iterdir() if not path.name.endswith(".lock")]


def test_a_batch_that_does_not_fit_is_halved(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    ours = engine("marian", folders["marian"], engine="ctranslate2", beams=1)
    request = MAKERS["marian"](model="x").request(ours.tokenizer, "en", "de")
    expected = ours.translate(texts(9), request)
    real, sizes = ours.model, list[int]()

    class Small:
        def translate_batch(self, rows: list[list[str]], **more: Any) -> Any:
            sizes.append(len(rows))
            if len(rows) > 2:
                raise RuntimeError("CUDA failed with error out of memory")
            return real.translate_batch(rows, **more)

    monkeypatch.setattr(ours, "model", Small())
    assert ours.translate(texts(9), request) == expected and max(sizes) > 2


def test_a_model_that_would_start_otherwise_is_refused(folders: dict[str, Path], tmp_path: Path, cache: Path) -> None:
    """CTranslate2 starts Marian from zeros, whatever the start token's embedding is."""
    other = changed(folders["marian"], tmp_path / "fine-tuned", lambda m: m.get_input_embeddings().weight[-1].fill_(1))
    with pytest.raises(BadInput, match="would not start 'fine-tuned' as transformers does"):
        engine("marian", other, engine="ctranslate2")
    assert kept(cache) == []
    assert engine("marian", other).runtime == ""


def test_a_model_of_another_kind_is_refused(tiny_folder: Path) -> None:
    with pytest.raises(BadInput, match=r"ctranslate2 cannot convert|cannot be loaded"):
        engine("marian", tiny_folder, engine="ctranslate2")


def test_the_engine_is_part_of_the_key(folders: dict[str, Path]) -> None:
    path = str(folders["marian"])
    plain = MAKERS["marian"](model=path).identity("en", "de")
    other = MAKERS["marian"](model=path, engine="ctranslate2").identity("en", "de")
    assert other["model"] == plain["model"] and str(folders["marian"]) not in json.dumps(other)
    libraries, more = plain["libraries"], other["libraries"]
    assert isinstance(libraries, dict) and isinstance(more, dict)
    assert more == libraries | {"ctranslate2": _ctranslate2.ctranslate2_version()}


def test_without_the_package_the_cell_is_a_skip(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(_ctranslate2, "version", missing)
    made = MAKERS["marian"](model=str(folders["marian"]), engine="ctranslate2")
    with pytest.raises(Unavailable, match=r"pip install 'xner-bench\[ct2\]'"):
        made.identity("en", "de")
    with pytest.raises(Unavailable, match=r"pip install 'xner-bench\[ct2\]'"):
        made.translate(known(), "de", Texts())


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"quantisation": "int8"}, "quantisation int8 needs engine ctranslate2"),
        ({"engine": "ctranslate2", "precision": "bf16"}, "precision bf16 needs engine transformers"),
    ],
)
def test_parameters_are_checked(bad: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MarianParams(**bad)
