"""The dictionary translator: what a line of a dictionary says, which translation is chosen, links, case, gaps."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.api.projection import project
from bench.api.recipes import Corpus, Facts
from bench.core.errors import BadInput, Unavailable
from bench.core.sentences import Sentence, Span, Split, spans_of
from data_recipes.english import IRREGULAR_BASES, bases
from data_recipes.projection.matchers import min_max as matcher
from data_recipes.serbian import of_dialect, to_latin, without_tones
from data_recipes.translators.dictionary import DictionaryParams, DictionaryTranslator, Lookup
from data_recipes.wiktionary import Lexicon, files_for, lexicon, version_of
from tests.support.e2e_tools import Place, by_name, matrix_text, small_corpus

GERMAN = """# English :: German dictionary extracted from http://en.wiktionary.org/
# Version :: 20150102
a {n} (name of the letter A, a) :: Aa
a {article} (an) SEE: an ::
an {article} (indefinite article) :: ein {m}, eine {f}
bush {n} (plant) :: Busch {m}
can {n} (a container) :: Dose {f}, Büchse {f}
can {v} (to be able) :: können
city {n} (large settlement) :: Stadt {f}
English {adj} (of the language) :: englisch
give up {v} (surrender) :: aufgeben
house {n} (abode) :: Haus {n}
house {n} (archaic: family) :: Geschlecht {n}, Haus
in {prep} (contained by) :: in {m}
lion {n} (big cat) :: Löwe {m} (Panthera leo)
New York {adj} (of a style) :: New Yorker
New York City {prop} (city) :: die Stadt New York
of {prep} (possessive) :: -s (as in Gewässer Ungarns)
old {adj} (having lived long) :: alt, [of things] betagt; hochbetagt und ehrwürdig für immer
saw {n} (tool) :: Säge {f}
see {v} (perceive) :: sehen
Stadtluft {n} :: never asked
stubborn {adj} SEE: pig-headed ::
pig-headed {adj} :: stur
the {article} (article) :: Not used in this German
walk {v} (move) :: gehen, zu Fuß gehen
"""
SERBIAN = """# Version :: 20150102
faith {n} (feeling) :: вера {f} / вјера {f}; vera {f} / vjera {f}
face {n} (part of head) :: ли́це {n}; líce {n}
house {n} (abode) :: script: кућа {f}; script: kuća {f}
love {v} :: воле̏ти /voleti/
"""
FINNISH = """# Version :: 20150102
asia {n} :: A thing, matter
kissa {n} :: cat
koti {n} :: home, house
talo {n} :: house (building)
talonpoika {n} :: A farmer who owns the house he lives in
"""


class Texts(Corpus):
    name = "texts"
    facts = Facts("texts", "none")
    scheme = "ud"

    @property
    def types(self) -> tuple[str, ...]:
        return ("PER", "LOC")

    def languages(self) -> tuple[str, ...]:
        return ("en", "de")

    def read(self, language: str, split: Split) -> list[Sentence]:
        return []

    def tokenisation(self, language: str) -> str:
        return self.scheme


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path | None:
    """Small dictionaries in place of the published ones, but for the tests on real data."""
    if request.node.get_closest_marker("data"):
        return None
    folder = tmp_path / "data" / "wiktionary"
    folder.mkdir(parents=True)
    for name, text in (("en-de", GERMAN), ("en-sh", SERBIAN), ("fi-en", FINNISH)):
        (folder / f"{name}-enwiktionary.txt").write_text(text, encoding="utf-8")
    monkeypatch.setenv("XNER_DATA", str(folder.parent))
    return folder


def english(text: str, spans: tuple[Span, ...] | None = None) -> Sentence:
    return Sentence("s", "en", tuple(text.split()), spans, "g")


def said(text: str, target: str = "de", spans: tuple[Span, ...] | None = None, **params: object) -> str:
    translator = DictionaryTranslator(DictionaryParams(**params))  # type: ignore[arg-type]
    (found,) = translator.translate([english(text, spans)], target, Texts()).targets
    return found.text if found else ""


def best(source: str, target: str) -> Lexicon:
    return lexicon(files_for(source, target), source, target)


# --- what a dictionary says -------------------------------------------------------------------------------------------


def test_lines_become_translations() -> None:
    found = best("en", "de").best
    assert found["old"] == "alt", "the first of a sense"
    assert found["house"] == "Haus", "an archaic sense counts less"
    assert found["can"] == "können", "mostly a verb"
    assert found["a"] == found["an"] == "ein", "no letter, but an article"
    assert found["stubborn"] == "stur", "SEE is followed"
    assert found["lion"] == "Löwe", "remarks in brackets are none of the translation"
    assert found["walk"] == "gehen"
    assert "of" not in found and {"of", "the"} <= best("en", "de").silent, "an affix or a remark is no word"


def test_among_equals_the_shortest_is_taken_and_then_the_first(data: Path) -> None:
    rows = "big {adj} (adult) :: erwachsen\nbig {adj} (of size) :: groß\nsad {adj} (a) :: eins\nsad {adj} (b) :: zwei\n"
    (data / "en-de-enwiktionary.txt").write_text(rows, encoding="utf-8")
    assert best("en", "de").best == {"big": "groß", "sad": "eins"}


def test_serbo_croatian_is_latin_without_tones_in_the_languages_own_form() -> None:
    serbian, croatian = best("en", "sr").best, best("en", "hr").best
    assert serbian == {"faith": "vera", "face": "lice", "house": "kuća", "love": "voleti"}
    assert croatian["faith"] == "vjera"


def test_a_dictionary_is_read_backwards_where_there_is_no_other() -> None:
    found = best("en", "fi").best
    assert (found["thing"], found["cat"], found["house"]) == ("asia", "kissa", "talo")
    assert best("fi", "en").best["kissa"] == "cat"


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("en", "hu", "en-hu-enwiktionary.txt is not here: run 'xner data fetch wiktionary'"),
        ("en", "sk", "there is no dictionary wiktionary/en-sk-enwiktionary.txt or wiktionary/sk-en-enwiktionary.txt"),
        ("de", "fi", "between English and other languages, not from de into fi"),
    ],
)
def test_a_dictionary_that_is_not_here_is_named(source: str, target: str, message: str) -> None:
    with pytest.raises(Unavailable, match=message):
        DictionaryTranslator().identity(source, target)


def test_identity_is_the_hash_of_the_files_and_no_path(data: Path) -> None:
    before = DictionaryTranslator().identity("en", "de")
    assert str(data) not in str(before) and before == DictionaryTranslator().identity("en", "de")
    (data / "en-de-enwiktionary.txt").write_text(GERMAN + "x {n} :: y\n", encoding="utf-8")
    assert DictionaryTranslator().identity("en", "de") != before


# --- a sentence -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The house can walk .", "Haus können gehen ."),
        ("Houses , HOUSE , House", "Haus , HAUS , Haus"),
        ("Can the old lions give up ?", "Können alt Löwe aufgeben ?"),
        ("Anna saw an English house", "Anna sehen ein englisch Haus"),
        ("Which house ?", "Haus ?"),
        ("US , J. and HOUSE", "US , J. and HAUS"),
        ("old Zorbla has 3.5 %", "alt Zorbla 3.5 %"),
        ("in New York City", "in die Stadt New York"),
        ("the pig - headed lion", "stur Löwe"),
        ("the lion 's house", "Löwe Haus"),
        ("“ Old ” ( Walking )", "“ Alt ” ( Gehen )"),
    ],
)
def test_words_phrases_case_and_gaps(text: str, expected: str) -> None:
    assert said(text) == expected


def test_links_are_known_and_one_to_many() -> None:
    sentence = english("the old lion gave up in New York City")
    out = DictionaryTranslator(DictionaryParams(max_phrase=3)).translate([sentence], "de", Texts())
    (target,), (links,) = out.targets, out.links
    assert target is not None and links is not None
    assert (
        target.words == ("alt", "Löwe", "geben", "up", "in", "die", "Stadt", "New", "York") or target.words[2] == "gave"
    )
    assert (target.id, target.group, target.language, target.spans) == ("s", "g", "de", None)
    by_source = {i: [j for k, j in links if k == i] for i, _ in links}
    assert 0 not in by_source, "the article is left out"
    assert by_source[1] == [0] and by_source[6] == by_source[7] == by_source[8] == [5, 6, 7, 8]
    assert out.counts["words"] == 9 and out.counts["words_dropped"] == 1 and out.counts["phrases"] == 1


def test_persons_are_copied_and_no_phrase_crosses_a_border() -> None:
    person = (Span(0, 1, "PER"),)
    assert said("Bush saw", spans=person) == "Bush sehen"
    assert said("Bush saw", spans=(Span(0, 1, "LOC"),)) == "Busch sehen"
    assert said("Bush saw", spans=person, copied_types=()) == "Busch sehen"
    assert said("in New York City", spans=(Span(1, 3, "LOC"),)) == "in New Yorker Stadt"


def test_a_stand_in_is_named(data: Path) -> None:
    translator = DictionaryTranslator(DictionaryParams(stand_in={"sk": "de"}))
    out = translator.translate([english("house")], "sk", Texts())
    (target,) = out.targets
    assert target is not None and (target.language, target.text) == ("sk", "Haus")
    assert out.provenance == "Wiktionary, word by word: en-de 20150102; de stands in for sk"


def test_a_sentence_of_which_nothing_is_left_is_counted() -> None:
    out = DictionaryTranslator().translate([english("the of"), english("house")], "de", Texts())
    assert out.targets[0] is None and out.links[0] is None and out.targets[1] is not None
    assert (out.counts["translated"], out.counts["failed"]) == (1, 1)


def test_chinese_words_are_the_dictionarys_unless_the_corpus_has_characters(data: Path) -> None:
    row = "lion {n} :: 獅子, 狮子 /shīzi/\nGermany {prop} :: 德國, 德国 /Déguó/\n"
    (data / "en-cmn-enwiktionary.txt").write_text(row, encoding="utf-8")
    corpus = Texts()
    (words,) = DictionaryTranslator().translate([english("lion Germany .")], "zh", corpus).targets
    corpus.scheme = "characters"
    out = DictionaryTranslator().translate([english("lion Germany .")], "zh", corpus)
    assert words is not None and words.words == ("狮子", "德国", "。")
    assert out.targets[0] is not None and out.targets[0].words == tuple("狮子德国。")
    assert out.links[0] == ((0, 0), (0, 1), (1, 2), (1, 3), (2, 4))


def test_into_english() -> None:
    sentence = Sentence("s", "fi", ("Kissa", "of", "talo"))
    out = DictionaryTranslator().translate([sentence], "en", Texts())
    assert out.targets[0] is not None and out.targets[0].words == ("Cat", "of", "house"), (
        "of is an unknown Finnish word"
    )


def test_one_language_at_a_time() -> None:
    with pytest.raises(BadInput, match="one language, not of de, en"):
        DictionaryTranslator().translate([english("a"), Sentence("b", "de", ("b",))], "fi", Texts())
    with pytest.raises(ValueError, match="max_phrase"):
        DictionaryParams(max_phrase=0)


WORDS = ("the", "old", "Old", "lion", "New", "York", "City", "give", "up", "Zorbla", ".", "3", "of", "'s", "-", "HOUSE")


@given(st.lists(st.sampled_from(WORDS), max_size=14), st.data())
def test_every_word_is_in_one_piece_and_every_target_word_is_linked(words: list[str], data: st.DataObject) -> None:
    cuts = sorted(set(data.draw(st.lists(st.integers(0, len(words)), max_size=4))))
    spans = tuple(Span(a, b, "LOC") for a, b in zip(cuts[::2], cuts[1::2], strict=False))
    made = {"old": "alt", "lion": "Löwe", "New York City": "Neu York", "give up": "auf geben", "of": "von"}
    lookup = Lookup(Lexicon(made, {}, {"the"}), "en", 4)
    pieces = lookup.pieces(Sentence("s", "en", tuple(words), spans), ("PER",))
    assert [i for piece in pieces for i in range(piece.start, piece.end)] == list(range(len(words)))
    owner = {i: number for number, span in enumerate(spans) for i in range(span.start, span.end)}
    for piece in pieces:
        assert len({owner.get(i) for i in range(piece.start, piece.end)}) == 1
        assert (piece.text == "") == (piece.kind == "dropped")


# --- English and Serbian ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "base"),
    [
        *[("cities", "city"), ("houses", "house"), ("boxes", "box"), ("stopped", "stop"), ("making", "make")],
        *[("used", "use"), ("biggest", "big"), ("easier", "easy"), ("tried", "try"), ("falling", "fall")],
    ],
)
def test_bases(form: str, base: str) -> None:
    assert base in bases(form)


def test_irregular_bases() -> None:
    assert IRREGULAR_BASES["went"] == "go" and IRREGULAR_BASES["n't"] == "not" and "dog" not in IRREGULAR_BASES


def test_serbian_script() -> None:
    assert to_latin("Њујорк, ЉУБАВ, Џон, шћђ") == "Njujork, LJUBAV, Džon, šćđ"
    assert without_tones("čȉnjenica ку̏ћа líce ć й") == "činjenica кућа lice ć й"
    assert of_dialect(["vera", "vjera", "mleko", "mlijeko"], "sr") == ["vera", "mleko"]
    assert of_dialect(["vera", "vjera"], "hr") == ["vjera"]


# --- from end to end, and the published dictionaries ------------------------------------------------------------------


def test_a_matrix_with_the_dictionary_runs(tmp_path: Path, tiny_folder: Path, data: Path) -> None:
    place = Place(tmp_path, tiny_folder)  # its $XNER_DATA holds the small dictionaries
    labels = 'translator = "dictionary"\naligner = "gold"'
    text = matrix_text(tiny_folder, ("en_trans",), ("de", "zh"), corpus=small_corpus(tmp_path / "own"), labels=labels)
    ran = place.xner("run", place.matrix(text), "--out", place.out)
    assert ran.code == 0, ran.err
    found = by_name(place.out)
    german, chinese = found["en_trans", "de", 1], found["en_trans", "zh", 1]
    assert german["status"] == "ok" and german["resources"]["translation"] == "machine"
    assert german["resources"]["translated"] == 24 == german["projection"]["translated"]
    assert german["resources"]["dictionary"] and not german["resources"]["parallel"]
    assert german["projection"]["words"] > german["projection"]["words_copied"] > 0
    assert german["projection"]["entities"] == german["projection"]["projected"]
    assert chinese["status"] == "skipped" and "en-cmn-enwiktionary.txt" in chinese["reason"]


def pud() -> list[Sentence]:
    path = Path(os.environ.get("XNER_DATA", "")) / "uner" / "en_pud" / "en_pud-ud-test.iob2"
    if not path.is_file() or not (path.parents[2] / "wiktionary").is_dir():
        pytest.skip("needs uner and wiktionary in $XNER_DATA")
    found = []
    for number, block in enumerate(path.read_text(encoding="utf-8").strip().split("\n\n")):
        rows = [line.split("\t") for line in block.split("\n") if not line.startswith("#")]
        words, tags = [row[1] for row in rows], [row[2] for row in rows]
        found.append(Sentence(f"{number}", "en", tuple(words), spans_of(tags), f"{number}"))
    return found


@pytest.mark.data
@pytest.mark.parametrize(("target", "at_least"), [("hu", 0.75), ("da", 0.73), ("sr", 0.60), ("sk", 0.75), ("de", 0.90)])
def test_most_words_of_pud_are_in_the_dictionary(target: str, at_least: float) -> None:
    sentences = pud()
    out = DictionaryTranslator(DictionaryParams(stand_in={"sk": "cs"})).translate(sentences, target, Texts())
    counts = out.counts
    words = counts["words"] - counts["marks"]
    assert counts["translated"] == len(sentences) == 1000
    assert counts["words_translated"] / words >= at_least
    assert counts["words_translated"] + counts["words_copied"] + counts["words_dropped"] == words
    outcomes: Counter[str] = Counter()
    for sentence, made, links in zip(sentences, out.targets, out.links, strict=True):
        assert made is not None and links is not None
        done = project(sentence.spans or (), links, len(made.words), matcher)
        outcomes.update(done.outcomes)
    assert outcomes["projected"] == sum(len(s.spans or ()) for s in sentences), "links by construction lose nothing"
    assert version_of(files_for("en", "cs" if target == "sk" else target)[0]).endswith("20150102")
