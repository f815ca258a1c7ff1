"""The corpus `uner_pud`: joins, surface words, conversions, roles and groups; then the counts of the real files."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.api import source_files
from bench.api.recipes import Corpus
from bench.api.source_files import SourceFile
from bench.core.errors import BadInput, Unavailable
from bench.core.sentences import Pair, Sentence, Span
from bench.core.tokenise import expanded
from bench.data.cell_data import Guard
from bench.plan import registry
from data_recipes.corpora.uner_pud.ntrex import Segmenter
from data_recipes.corpora.uner_pud.pud import contracted, read_conllu, simplifier
from data_recipes.parallel_text import TEXTS, bitext
from data_recipes.translators.files import FilesTranslator
from tests.support.pud_files import IDS, SPANISH, TRANSLATIONS, iob2, write, write_pud


def uner_pud(**params: Any) -> Corpus:
    corpus = registry.make("corpus", "uner_pud", params)
    assert isinstance(corpus, Corpus)
    return corpus


def words(sentence: Sentence) -> str:
    return sentence.text


def by_source(pairs: list[Pair]) -> dict[str, Sentence]:
    return {pair.source.id: pair.target for pair in pairs}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_pud(tmp_path)
    monkeypatch.setenv("XNER_DATA", str(tmp_path))
    return tmp_path


# --- made files -------------------------------------------------------------------------------------------------------


def test_english_is_the_source_and_originals_only_leaves_translated_ones_out(data: Path) -> None:
    all_three = uner_pud().read("en", "train")
    assert [s.id for s in all_three] == [f"en_pud/{id_}" for id_ in IDS]
    assert (all_three[0].spans, all_three[0].group) == ((Span(0, 1, "PER"), Span(2, 3, "LOC")), f"pud/{IDS[0]}")
    originals = uner_pud(originals_only=True)
    assert [s.id for s in originals.read("en", "train")] == ["en_pud/n01001-0001", "en_pud/w01001-0003"]
    assert len(originals.pairs("en", "de")) == len(originals.pairs("en", "zh")) == 2


def test_labelled_translations_join_by_id(data: Path) -> None:
    pair, capital, _ = uner_pud().pairs("en", "de")
    assert pair.target.id == "de_pud/n01001-0001" and pair.source.group == pair.target.group
    assert words(pair.target) == "Anna war am Meer , in dem Paris", "not after a comma"
    assert pair.target.spans == (Span(0, 1, "PER"), Span(7, 8, "LOC"))
    assert words(capital.target) == "Im Haus Bob" and capital.target.spans == (Span(2, 3, "PER"),)
    as_published = uner_pud(german="published").pairs("en", "de")[0].target
    assert (words(as_published), as_published.spans) == (
        TRANSLATIONS["de"][0][0],
        (Span(0, 1, "PER"), Span(8, 9, "LOC")),
    )


def test_chinese_joins_by_the_position_in_a_ud_file_and_becomes_simplified(data: Path) -> None:
    found = by_source(uner_pud().pairs("en", "zh"))
    assert [words(found[f"en_pud/{id_}"]) for id_ in IDS] == ["安娜 见 巴黎", "鲍勃", "狗 跑 了"]
    first = found["en_pud/n01001-0001"]
    assert (first.id, first.group) == ("zh_pud/batch-0000-0002", "pud/n01001-0001")
    assert first.spans == (Span(0, 1, "PER"), Span(2, 3, "LOC"))
    own = uner_pud().read("zh", "train")
    assert own[0].id == "zh_gsdsimp/batch-0000-0001" and own[0].group == "", "the same ids mean other sentences"


def test_spanish_joins_by_its_english_text_and_has_surface_words(data: Path) -> None:
    found = by_source(uner_pud().pairs("en", "es"))
    assert [words(found[f"en_pud/{id_}"]) for id_ in IDS] == ["del mar dársela", "Bob salió", "Un perro 5 000"]
    assert found["en_pud/n01001-0001"].words == ("del", "mar", "dársela")
    assert found["en_pud/w01001-0003"].words[-2:] == ("5", "000"), "no word holds a space"
    assert all(sentence.spans is None for sentence in found.values())
    assert found["en_pud/n01001-0001"].id == "es_pud/n01001011"


def test_a_translation_that_cannot_be_joined_is_named(data: Path) -> None:
    path = data / "ud_pud/es_pud/es_pud-ud-test.conllu"
    path.write_text("".join(SPANISH).replace("Bob left", "Bob went"), encoding="utf-8")
    with pytest.raises(
        BadInput, match=r"es_pud-ud-test.conllu:\d+: w02001012: its text_en is not a sentence of en_pud"
    ):
        uner_pud().pairs("en", "es")
    path.write_text("".join(SPANISH[:2]), encoding="utf-8")
    with pytest.raises(BadInput, match=r"no translation of en_pud's sentence w02001-0002 \(1 are missing\)"):
        uner_pud().pairs("en", "es")
    with pytest.raises(BadInput, match=r"3 sentences, but 2 in es_pud-ud-test.conllu: they are joined by position"):
        uner_pud().pairs("en", "zh")
    path.write_text("".join([*SPANISH, SPANISH[0]]), encoding="utf-8")
    with pytest.raises(BadInput, match="1 sentences translate an English sentence that another translates"):
        uner_pud().pairs("en", "es")
    write(data, "uner/de_pud/de_pud-ud-test.iob2", iob2(TRANSLATIONS["de"][1:]))
    with pytest.raises(BadInput, match=r"de_pud-ud-test.iob2: no translation of en_pud's sentence n01001-0001"):
        uner_pud().pairs("en", "de")


def test_what_is_not_here_is_named_with_what_brings_it(data: Path) -> None:
    with pytest.raises(Unavailable, match=r"sv_talbanken-ud-test.iob2 is not here: run 'xner data fetch uner/sv_talb"):
        uner_pud().read("sv", "test")
    with pytest.raises(Unavailable, match=r"it_pud-ud-test.conllu is not here: .*fetch ud_pud/it_pud'.*\$XNER_DATA"):
        uner_pud().pairs("en", "it")
    with pytest.raises(BadInput, match="no language 'esp'; did you mean 'es'"):
        uner_pud().read("esp", "test")
    assert "sv" in uner_pud().languages() and "ru" not in uner_pud().languages(), "ru has no test"


def test_roles_of_splits(data: Path) -> None:
    corpus = uner_pud()
    assert corpus.pairs("pt", "en") == corpus.pairs("en", "hu") == corpus.pairs("en", "en") == []
    assert corpus.read("de", "train") == corpus.read("ceb", "train") == corpus.read("ceb", "unlabelled") == []
    (serbian,) = corpus.read("sr", "test")
    assert serbian.spans == (Span(0, 1, "PER"),), "an I- that opens an entity; OTH is left out"
    assert [corpus.tokenisation(language) for language in ("de", "zh", "pt")] == ["moses", "ud", "ud"]


def test_unlabelled_text_is_split_as_the_test_is(data: Path) -> None:
    corpus = uner_pud()
    assert [(s.id, words(s)) for s in corpus.read("zh", "unlabelled")] == [
        ("ntrex/1", "安娜 见 过 New York 的 狗 。"),
        ("ntrex/3", "巴黎"),
    ]
    assert words(corpus.read("pt", "unlabelled")[0]) == "Ele foi a o Brasil , de o lado de a NOS ."
    assert words(corpus.read("it", "unlabelled")[0]) == "L' acqua dell' hotel ."
    assert words(corpus.read("de", "unlabelled")[0]) == "Er war am Meer ."
    own = uner_pud(unlabelled="in-domain")
    assert [(s.id, s.spans) for s in own.read("zh", "unlabelled")] == [("zh_gsdsimp/batch-0000-0001", None)]
    assert own.read("de", "unlabelled") == []


def test_intrinsic_makes_the_translation_the_test_and_the_guard_knows_it(data: Path) -> None:
    corpus = uner_pud(intrinsic=True)
    test = corpus.read("de", "test")
    assert test == [pair.target for pair in corpus.pairs("en", "de")]
    assert corpus.languages() == ("en", "de", "pt", "ru", "sv", "zh")
    assert corpus.read("zh", "train") == corpus.read("de", "dev") == []
    assert Guard(test).overlap(corpus.read("en", "train")).by_group == 3
    assert len(uner_pud(intrinsic=True, originals_only=True).read("zh", "test")) == 2


def test_nerkor_is_every_listed_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["nerkor/data/devel/web/w1.conllup", "nerkor/data/devel/news/n1.conllup"]
    listed = tuple(SourceFile(name, f"https://host/{name}", "0" * 64, None, "CC0") for name in names)
    monkeypatch.setattr(source_files, "index", lambda: listed)
    monkeypatch.setenv("XNER_DATA", str(tmp_path))
    head = "# global.columns = FORM LEMMA UPOS XPOS FEATS CONLL:NER EMMORPH:LEMMA\n"
    write(tmp_path, names[0], f"{head}Ő\tő\tP\t_\t_\tO\tő\n\nPest\tp\tN\t_\t_\tI-LOC\tp\nEU\te\tN\t_\t_\tB-MISC\te\n")
    with pytest.raises(Unavailable, match=r"n1.conllup is not here: run 'xner data fetch nerkor/data/devel/news'"):
        uner_pud().read("hu", "dev")
    write(tmp_path, names[1], f"{head}Buda\tb\tN\t_\t_\tB-LOC\tb\n")
    found = [(s.id, s.spans) for s in uner_pud().read("hu", "dev")]
    assert found == [("nerkor/n1-1", (Span(0, 1, "LOC"),)), ("nerkor/w1-1", ()), ("nerkor/w1-2", (Span(0, 1, "LOC"),))]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\ta\n3\tb\n", r":2: id 3, expected 2: a row is missing"),
        ("1-2\tab\n1\ta\n", r":2: the sentence ends before its range"),
        ("1\ta\nx\tb\n", r":2: not a row of CoNLL-U"),
        ("1\t\n", r":1: not a row of CoNLL-U"),
        ("# only = comments\n", r":1: the sentence ends without a word"),
        ("\n", r":1: no sentence in this file"),
    ],
)
def test_broken_conllu_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        read_conllu(write(tmp_path, "a.conllu", text))


# --- words ------------------------------------------------------------------------------------------------------------

GERMAN = st.lists(st.sampled_from(["In", "in", "an", "zu", "dem", "der", ",", "Haus", "Anna"]), max_size=12)


@given(GERMAN, st.data())
def test_contraction_keeps_every_entity_and_the_letters_outside(tokens: list[str], data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(tokens)), max_size=6)))
    spans = tuple(Span(a, b, "LOC") for a, b in zip(cuts[::2], cuts[1::2], strict=False))
    made = contracted(Sentence("s", "de", tuple(tokens), spans))
    assert made.spans is not None and len(made.spans) == len(spans)
    undo = {"am": "an dem", "im": "in dem", "Im": "In dem", "zum": "zu dem", "zur": "zu der"}

    def apart(part: tuple[str, ...]) -> list[str]:
        return " ".join(undo.get(word, word) for word in part).split()

    assert apart(made.words) == tokens
    for new, old in zip(made.spans, spans, strict=True):
        assert apart(made.words[new.start : new.end]) == tokens[old.start : old.end]


@given(st.text("安娜見過巴黎 aB3.,", max_size=20), st.sets(st.text("安娜見過巴黎", min_size=1, max_size=3), max_size=5))
def test_segmentation_loses_nothing_but_spaces(text: str, known: set[str]) -> None:
    made = Segmenter(known).split(text)
    assert "".join(made) == "".join(text.split()) and all(made)


def test_the_longest_word_wins() -> None:
    assert Segmenter({"巴黎", "巴黎人", "人"}).split("巴黎人在3.5%") == ["巴黎人", "在", "3.5%"]
    assert Segmenter([]).split("巴黎") == ["巴", "黎"]


def test_simplified_keeps_words_apart() -> None:
    given_ = Sentence("s", "zh", ("頭髮", "發展", "ABC"), (Span(0, 1, "PER"),))
    assert simplifier()(given_) == Sentence("s", "zh", ("头发", "发展", "ABC"), (Span(0, 1, "PER"),))


def test_portuguese_contractions() -> None:
    text = "À tarde ele saiu da casa daquela mulher , pelas ruas , nesse dia , numa hora ; DA A"
    expected = "A a tarde ele saiu de a casa de aquela mulher , por as ruas , em esse dia , em uma hora ; DA A"
    assert expanded(text.split()) == expected.split()


# --- the real files ---------------------------------------------------------------------------------------------------

COUNTS = [  # language: train, dev, test; Turku without its -DOCSTART- blocks (602, 76 and 76)
    ("en", 1000, 2001, 2077),
    ("de", 0, 0, 799),
    ("es", 0, 0, 799),
    ("it", 0, 0, 799),
    ("pt", 7018, 1172, 1167),
    ("zh", 3997, 500, 500),
    ("fi", 12217, 1364, 1555),
    ("da", 4383, 564, 565),
    ("sk", 8483, 1060, 1061),
    ("sr", 3328, 536, 520),
    ("hu", None, 6996, 6752),
    ("ceb", 0, 0, 188),
    ("tl", 0, 0, 128),
]


@pytest.fixture
def real() -> Corpus:
    if not (Path(os.environ.get("XNER_DATA", "")) / "uner/en_pud").is_dir():
        pytest.skip("needs uner, ud_pud, europarl_ner, turku_ner, nerkor, ntrex and flores in $XNER_DATA")
    return uner_pud()


@cache
def real_pairs(language: str) -> list[Pair]:
    """Translations of the real files: joining them takes seconds, and two tests look at them."""
    return uner_pud().pairs("en", language)


@pytest.mark.data
@pytest.mark.parametrize(("language", "train", "dev", "test"), COUNTS)
def test_published_sizes(real: Corpus, language: str, train: int | None, dev: int, test: int) -> None:
    for split, count in (("train", train), ("dev", dev), ("test", test)):
        if count is not None:
            sentences = real.read(language, split)  # type: ignore[arg-type]
            assert len(sentences) == count, split
            assert len({sentence.id for sentence in sentences}) == count


@pytest.mark.data
@pytest.mark.parametrize("language", ["de", "pt", "zh", "es", "it", "fi"])
def test_all_translations_join_and_none_is_in_its_test(real: Corpus, language: str) -> None:
    pairs = real_pairs(language)
    assert len(pairs) == 1000 == len({pair.target.id for pair in pairs})
    assert all(pair.source.group == pair.target.group for pair in pairs)
    assert {pair.target.spans is None for pair in pairs} == {language in ("es", "it", "fi")}
    assert not any(" " in word for pair in pairs for word in pair.target.words)
    guard = Guard(real.read(language, "test"))
    training = [sentence for pair in pairs for sentence in (pair.source, pair.target)]
    assert guard.overlap(training).total == 0
    assert len(uner_pud(originals_only=True).pairs("en", language)) == 750


@pytest.mark.data
@pytest.mark.usefixtures("real")
def test_conversions_of_the_real_translations() -> None:
    german, published = real_pairs("de"), uner_pud(german="published").pairs("en", "de")
    joined = sum(len(b.target.words) - len(a.target.words) for a, b in zip(german, published, strict=True))
    assert joined == 329
    for ours, theirs in zip(german, published, strict=True):
        assert [t for *_, t in ours.target.spans or ()] == [t for *_, t in theirs.target.spans or ()]
    chinese = "".join(word for pair in real_pairs("zh") for word in pair.target.words)
    assert not set("國學說這個") & set(chinese)
    contractions = {"del", "al", "della", "nel", "alla"}
    for language in ("es", "it"):
        assert contractions & {word for pair in real_pairs(language) for word in pair.target.words}


@pytest.mark.data
@pytest.mark.parametrize("language", ["de", "es", "it"])
def test_europarl_s_english_side_is_for_test_time_translation(real: Corpus, language: str) -> None:
    test, pairs = real.read(language, "test"), real.pairs(language, "en")
    assert [pair.source.id for pair in pairs] == [one.id for one in test] and len(pairs) == 799
    assert {side.spans for pair in pairs for side in (pair.source, pair.target)} == {None}, "text only"
    assert all(pair.source.group == pair.target.group for pair in pairs), "the guard would know it as the test"
    bare = [replace(one, spans=None) for one in test]
    made = FilesTranslator().translate(bare, "en", real)
    assert made.provenance == "human" and made.counts == {"translated": 799, "missing": 0}


@pytest.mark.data
@pytest.mark.parametrize(("language", "lines"), [("da", 4006), ("zh", 4006), ("sr", 4006), ("ceb", 0)])
def test_bitext_is_one_variant_of_a_language(real: Corpus, language: str, lines: int) -> None:
    found = bitext(TEXTS, ("en", str.split), (language, list if language == "zh" else str.split))
    assert len(found) == lines == len({pair.source.id for pair in found})
    assert all(pair.source.group == pair.target.group == pair.source.id for pair in found)
    if lines:
        assert [p.source.id for p in (found[0], found[1997])] == ["ntrex/1", "flores/1"]
        assert found[0].source.words[:2] == ("Welsh", "AMs")
    if language == "zh":
        assert "会" in "".join(found[0].target.words) and "會" not in "".join(w for p in found for w in p.target.words)


@pytest.mark.data
def test_serbian_bitext_is_in_latin_script(real: Corpus) -> None:
    found = uner_pud(parallel=["flores"]).parallel("en", "sr")
    assert len(found) == 2009 and not any(
        "а" <= letter <= "я" for p in found for word in p.target.words for letter in word
    )
    assert found[0].target.words[:2] == ("U", "ponedeljak")
