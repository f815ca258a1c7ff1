"""marian and nllb over tiny checkpoints of the real classes, trained here to translate a dozen words."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.core.errors import BadInput, Unavailable
from bench.core.memo import process_memo
from bench.core.sentences import Sentence
from data_recipes.translators._engine import Engine, ModelSource, Request, batches, limit_of
from data_recipes.translators._seq2seq import Seq2SeqTranslator
from data_recipes.translators._texts import Draft, loops
from data_recipes.translators.marian import MarianParams, MarianTranslator
from data_recipes.translators.nllb import NllbParams, NllbTranslator
from tests.support.tiny_translators import FRENCH, GERMAN, LOOPING, Texts, known, word_by_word, write_marian, write_nllb


@pytest.fixture(scope="module")
def marian_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_marian(tmp_path_factory.mktemp("marian") / "tiny-en-de")


@pytest.fixture(scope="module")
def nllb_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_nllb(tmp_path_factory.mktemp("nllb") / "tiny-nllb")


def marian(folder: Path, **more: Any) -> MarianTranslator:
    return MarianTranslator(MarianParams(model=str(folder), **more))


def nllb(folder: Path, **more: Any) -> NllbTranslator:
    return NllbTranslator(NllbParams(model=str(folder), **more))


# --- marian -----------------------------------------------------------------------------------------------------------


def test_marian_keeps_order_ids_and_groups_and_hides_no_failure(marian_folder: Path) -> None:
    sentences = [
        *known(),
        Sentence("loop", "en", ("tree", "tree", "tree")),
        Sentence("none", "en", ("pan", "pan")),
        Sentence("long", "en", ("dog",) * 70),
        Sentence("again", "en", known()[0].words, None, "other"),
    ]
    out = marian(marian_folder).translate(sentences, "de", Texts())
    by_id = {s.id: t for s, t in zip(sentences, out.targets, strict=True)}
    right = 0
    for sentence, target in list(zip(sentences, out.targets, strict=True))[:16]:
        if target is not None:
            assert (target.id, target.group, target.language) == (sentence.id, sentence.group, "de")
            assert target.spans is None
            right += target.words == word_by_word(sentence, GERMAN)
    assert right >= 14  # so the order is the sentences' own
    assert by_id["loop"] is None and by_id["none"] is None and by_id["long"] is None
    again, first = by_id["again"], by_id["s0"]
    assert again and first and (again.words, again.group) == (first.words, "other")
    counts = dict(out.counts)
    assert counts.pop("different_texts") == len({s.text for s in sentences})
    assert counts["too_long"] == 1 and counts["failed"] >= 1 and counts["degenerate"] >= 1
    assert sum(counts.values()) == len(sentences) and counts["translated"] == sum(t is not None for t in out.targets)
    assert out.links == (None,) * len(sentences)
    assert out.provenance.startswith("tiny-en-de@sha256:")


@pytest.mark.parametrize("beams", [1, 4])
def test_batches_change_no_translation(marian_folder: Path, beams: int) -> None:
    translator = marian(marian_folder, beams=beams)
    engine = Engine(translator.find("en", "de"), translator.params, "cpu")
    texts = [s.text for s in known()] + [LOOPING]
    together = engine.translate(texts, Request())
    assert together == [engine.translate([text], Request())[0] for text in texts]
    assert together == engine.translate(texts, Request())
    assert together[::-1] == engine.translate(texts[::-1], Request())
    assert {draft.outcome for draft in together} >= {"translated", "degenerate"}


def test_a_batch_that_does_not_fit_is_halved(marian_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    translator = marian(marian_folder, beams=1)
    engine = Engine(translator.find("en", "de"), translator.params, "cpu")
    texts = [s.text for s in known(9)]
    expected = engine.translate(texts, Request())
    real, sizes = engine._generated, list[int]()

    def small(ids: list[list[int]], request: Request) -> list[list[int]]:
        sizes.append(len(ids))
        if len(ids) > 2:
            raise torch.OutOfMemoryError("no room")
        return real(ids, request)

    monkeypatch.setattr(engine, "_generated", small)
    assert engine.translate(texts, Request()) == expected and max(sizes) > 2


def test_a_model_of_several_targets_is_told_which(marian_folder: Path, tmp_path: Path) -> None:
    """The prefix is found in the vocabulary; a target that is not there is a skip."""

    class Several:
        supported_language_codes = (">>deu<<", ">>cmn_Hans<<")

    translator = marian(marian_folder)
    assert translator.request(Several(), "en", "de") == Request(prefix=">>deu<< ")
    assert translator.request(Several(), "en", "zh") == Request(prefix=">>cmn_Hans<< ")
    with pytest.raises(Unavailable, match="no token for 'fi', only >>deu<< >>cmn_Hans<<"):
        translator.request(Several(), "en", "fi")


def test_marian_knows_which_models_there_are_not() -> None:
    with pytest.raises(Unavailable, match="opus-mt-en-tr"):
        MarianTranslator().identity("en", "tr")
    with pytest.raises(Unavailable, match="both 'en'"):
        MarianTranslator().identity("en", "en")
    assert MarianTranslator().codes("en", "kin") == ("en", "rw")


# --- nllb -------------------------------------------------------------------------------------------------------------


def test_nllb_writes_the_language_that_is_asked_for(nllb_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sentences = known(8)
    for target, words in (("de", GERMAN), ("fr", FRENCH)):
        out = nllb(nllb_folder).translate(sentences, target, Texts())
        pairs = [(s, t) for s, t in zip(sentences, out.targets, strict=True) if t is not None]
        assert sum(t.words == word_by_word(s, words) for s, t in pairs) >= 7
        assert "CC BY-NC 4.0" in out.provenance
    assert capsys.readouterr().err.count("CC BY-NC 4.0") <= 1  # once a process


def test_a_model_is_loaded_once_for_all_targets(nllb_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[ModelSource] = []
    load = Engine._load
    monkeypatch.setattr(Engine, "_load", lambda self, found, folder: (loaded.append(found), load(self, found, folder)))
    process_memo().clear()
    engines = [nllb(nllb_folder).engine(nllb(nllb_folder).find("en", target)) for target in ("de", "fr", "de")]
    assert all(engine is engines[0] for engine in engines) and len(loaded) == 1
    assert process_memo().bytes == sum(p.numel() * 4 for p in nllb(nllb_folder).engine(loaded[0]).model.parameters())
    other = nllb(nllb_folder, precision="bf16")
    assert other.engine(other.find("en", "de")) is not engines[0], "and another way of running it is another engine"
    process_memo().forget("translator")
    assert process_memo().bytes == 0


def test_nllb_is_told_the_source_language(nllb_folder: Path) -> None:
    found = {}
    for language in ("en", "es"):
        sentence = Sentence("a", language, ("red", "pan"))
        (found[language],) = nllb(nllb_folder).translate([sentence], "de", Texts()).targets
    assert found["en"] and found["en"].words == ("rot", "Pfanne")
    assert found["es"] and found["es"].words == ("rot", "Brot")


def test_nllb_forces_the_target_token(nllb_folder: Path) -> None:
    translator = nllb(nllb_folder)
    engine = Engine(translator.find("en", "fr"), translator.params, "cpu")
    request = translator.request(engine.tokenizer, "en", "fr")
    token = engine.tokenizer.convert_tokens_to_ids("fra_Latn")
    assert request == Request(forced=token) and token != engine.tokenizer.unk_token_id
    ids = engine.tokenizer(["dog", "red house"])["input_ids"]
    assert [row[0] for row in ids] == [engine.tokenizer.convert_tokens_to_ids("eng_Latn")] * 2
    assert [row[0] for row in engine._write(ids, request)] == [token, token]


def test_weights_that_would_be_drawn_at_random_are_refused(nllb_folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(nllb_folder, tmp_path / "cut")
    weights = load_file(folder / "model.safetensors")
    kept = {name: weight for name, weight in weights.items() if "decoder.layers.0.fc1" not in name}
    assert len(kept) == len(weights) - 2
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BadInput, match=r"lacks weights.*decoder\.layers\.0\.fc1"):
        nllb(folder).translate(known(1), "de", Texts())


def test_bf16_loads_as_such(nllb_folder: Path) -> None:
    translator = nllb(nllb_folder, precision="bf16")
    assert Engine(translator.find("en", "fr"), translator.params, "cpu").model.dtype == torch.bfloat16
    targets = translator.translate(known(8), "fr", Texts()).targets
    assert sum(t is not None for t in targets) >= 6


@pytest.mark.parametrize(("target", "message"), [("pcm", "does not cover 'pcm'"), ("fi", "no language 'fin_Latn'")])
def test_nllb_without_the_language_is_a_skip(nllb_folder: Path, target: str, message: str) -> None:
    with pytest.raises(Unavailable, match=message):
        nllb(nllb_folder).translate([Sentence("a", "en", ("dog",))], target, Texts())


# --- both -------------------------------------------------------------------------------------------------------------


def test_identity_is_the_weights_and_no_path(marian_folder: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "elsewhere"
    shutil.copytree(marian_folder, copy)
    first, second = marian(marian_folder).identity("en", "de"), marian(copy).identity("en", "de")
    assert first == second and set(first) == {"model", "revision", "libraries"}
    assert str(tmp_path) not in json.dumps(first)
    (copy / "config.json").write_text((copy / "config.json").read_text() + "\n")
    assert marian(copy).identity("en", "de") != first


def test_labels_tokenisation_goes_before_the_corpus_own(marian_folder: Path) -> None:
    class Letters(Texts):
        def tokenisation(self, language: str) -> str:
            return "characters"

    translator = marian(marian_folder)
    (target,) = translator.translate([Sentence("a", "en", ("dog", "sees"))], "de", Letters()).targets
    assert target and target.words == ("Hund", "sieht")  # runs of Latin letters stay whole
    translator.tokenisation = "nonsense"
    with pytest.raises(BadInput, match="unknown tokenisation 'nonsense'"):
        translator.translate([Sentence("a", "en", ("dog",))], "de", Letters())


@pytest.mark.parametrize(
    ("serbian", "target", "written"),
    [("latin", "sr", "Njujork"), ("cyrillic", "sr", "Њујорк"), ("latin", "ru", "Њујорк")],
)
def test_serbian_comes_in_latin_script_unless_asked(
    marian_folder: Path, monkeypatch: pytest.MonkeyPatch, serbian: str, target: str, written: str
) -> None:
    monkeypatch.setattr(Engine, "translate", lambda *_: [Draft("Њујорк", "translated")])
    translator = marian(marian_folder, serbian=serbian)
    (made,) = translator.translate([Sentence("a", "en", ("dog",))], target, Texts()).targets
    assert made and made.words == (written,)


def test_one_language_at_a_time(marian_folder: Path) -> None:
    with pytest.raises(BadInput, match="one language, not of en, fr"):
        marian(marian_folder).translate([Sentence("a", "en", ("a",)), Sentence("b", "fr", ("b",))], "de", Texts())
    assert marian(marian_folder).translate([], "de", Texts()).targets == ()


def test_batches_hold_one_length_class_and_fill_the_room() -> None:
    draw = random.Random(0)
    lengths = [(draw.randint(1, 70), i) for i in range(200)]
    found = list(batches(lengths, 256))
    assert sorted(i for batch in found for i in batch) == list(range(200))
    for batch in found:
        own = [lengths[i][0] for i in batch]
        assert len({limit_of(n, 10_000) for n in own}) == 1
        assert len(batch) == 1 or len(batch) * max(own) <= 256
    assert len(found) < 40 and list(batches([(500, 0)], 256)) == [[0]]


def test_loops() -> None:
    words = ["a", "b", "c", "d"]
    assert loops(words, words * 4) and not loops(words, words * 3)
    assert not loops(words * 4, words * 4) and not loops((), ())


@pytest.mark.parametrize("bad", [{"beams": 0}, {"max_length": 2}, {"model": ""}])
def test_parameters_are_checked(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        NllbParams(**bad)


def test_the_two_are_found_by_name() -> None:
    from bench.plan import registry

    for name in ("marian", "nllb"):
        made: Seq2SeqTranslator = registry.make("translator", name, {"beams": 2})
        assert made.params.beams == 2
