"""Labels carried by placeholders and markers: losses counted by cause, fall-backs, always well-formed."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.api.projection import OUTCOMES, Marked, bracketed, unbracketed
from bench.api.recipes import Corpus, Translated, Translator
from bench.core.sentences import Pair, Sentence, Span, spans_of, tags_of
from bench.data.projected import transferred
from bench.data.translated import CAUSES, MarkedTranslations
from bench.data.translating import NoCorpus
from bench.plan import registry
from bench.plan.matrix import cells
from bench.plan.sections import LabelsSpec
from bench.plan.spec import load_matrix
from data_recipes.corpora.demo.corpus import DemoCorpus, DemoParams
from data_recipes.translators.frames import FramesTranslator
from tests.support.e2e_tools import Place, by_name, matrix_text, records

TRANSFERS = ("placeholder", "marker")
WORDS = ("Anna", "Bonn", "New", "York", "in", "x", ".")
Words = tuple[str, ...]


class Fake(Translator):
    """Says each word as `table` has it (itself where it has none), `then` does the rest: None is no translation."""

    name = "fake"

    def __init__(
        self, table: dict[str, str] | None = None, then: Callable[[Sentence, Words], Words | None] = lambda s, w: w
    ) -> None:
        super().__init__()
        self.table, self.then = table or {}, then
        self.asked: list[Sentence] = []

    def translate(self, sentences: Sequence[Sentence], target: str, corpus: Corpus) -> Translated:
        self.asked += sentences
        drafts = [self.then(s, tuple(self.table.get(word, word) for word in s.words)) for s in sentences]
        found = [
            None if d is None else replace(s, words=d, language=target) for s, d in zip(sentences, drafts, strict=True)
        ]
        return Translated(tuple(found), (None,) * len(found), "fake")


def sentence(text: str, *spans: tuple[int, int, str], id_: str = "s") -> Sentence:
    return Sentence(id_, "en", tuple(text.split()), tuple(Span(*span) for span in spans), f"group-{id_}")


def marked(name: str, translator: Translator, *sentences: Sentence) -> tuple[list[Marked | None], dict[str, int]]:
    job = MarkedTranslations(registry.load("transfer", name), translator, "de", NoCorpus())
    return job.of(sentences), dict(job.counts)


def said(found: Marked | None, one: Sentence) -> tuple[str, list[tuple[int, int, str]]]:
    assert found is not None
    return " ".join(found.words), [tuple(span) for span in found.projection(one.spans or ()).spans]


def only(counts: dict[str, int]) -> dict[str, int]:
    return {name: count for name, count in counts.items() if count}


ANNA = sentence("Anna Lee went to New York .", (0, 2, "PER"), (4, 6, "LOC"))
GERMAN = {"went": "ging", "to": "nach", "New": "Neu"}


# --- exact results ----------------------------------------------------------------------------------------------------


def test_placeholders_are_replaced_by_the_entities_as_they_are_said_in_their_sentence() -> None:
    fake = Fake(GERMAN)
    (found,), counts = marked("placeholder", fake, ANNA)
    assert [s.text for s in fake.asked] == [
        "PER0 went to LOC1 .",
        "[ Anna Lee ] went to New York .",
        "Anna Lee went to [ New York ] .",
    ]
    assert fake.asked[0].spans == (Span(0, 1, "PER"), Span(3, 4, "LOC"))
    assert fake.asked[2].spans == (Span(0, 2, "PER"), Span(5, 7, "LOC"))
    assert len({s.id for s in fake.asked} | {ANNA.id}) == 4, "an error of one translation is not one of the others"
    assert said(found, ANNA) == ("Anna Lee ging nach Neu York .", [(0, 2, "PER"), (4, 6, "LOC")])
    assert found is not None and found.links(ANNA.spans or ()) == tuple(
        (i, j) for a in ((0, 1), (4, 5)) for i in a for j in a
    )
    assert only(counts) == {"marked": 1, "marked_read": 1, "names_in_context": 2}


def test_placeholders_may_change_places() -> None:
    def turn(s: Sentence, words: Words) -> Words:
        return words[::-1] if words[0] == "PER0" else words

    (found,), _ = marked("placeholder", Fake({}, turn), ANNA)
    assert said(found, ANNA) == (". New York to went Anna Lee", [(1, 3, "LOC"), (5, 7, "PER")])


def test_an_entity_by_itself_where_its_brackets_do_not_survive() -> None:
    def strip(s: Sentence, words: Words) -> Words:
        plain = tuple(word for word in words if word not in "[]")
        return (*plain, ".") if "#alone" in s.id else plain

    fake = Fake(GERMAN, strip)
    (found,), counts = marked("placeholder", fake, ANNA)
    assert [s.text for s in fake.asked[3:]] == ["Anna Lee", "New York"]
    assert said(found, ANNA)[0] == "Anna Lee ging nach Neu York .", "without the full stop that it was given"
    assert only(counts) == {"marked": 1, "marked_read": 1, "names_alone": 2}


@pytest.mark.parametrize(
    ("text", "losses"),
    [
        ("ging nach LOC1 .", {"placeholders_lost": 1}),
        ("PER0 , PER0 ging nach LOC1 .", {"placeholders_doubled": 1}),
        ("xPER0 ging nach Loc-1x .", {"placeholders_mangled": 2}),
        ("PER0-Anna ging nach .", {"placeholders_mangled": 1, "placeholders_lost": 1}),
        ("PER 0 und per-0 ging nach LOC1 .", {"placeholders_doubled": 1}),
        ("PER0 per0 ging nach LOC12", {"placeholders_doubled": 1, "placeholders_lost": 1}),
    ],
)
def test_damaged_placeholders_by_cause(text: str, losses: dict[str, int]) -> None:
    (found,), counts = marked("placeholder", Fake({}, lambda s, w: tuple(text.split())), ANNA)
    assert found is None
    assert only(counts) == {"marked": 1, "marks_unreadable": 1, **losses}


@pytest.mark.parametrize("text", ["LOC1 bleibt per 0 Tage zu", "Per 0 ging nach LOC1 .", "PER0 ging nach A\\d1"])
def test_text_is_no_placeholder(text: str) -> None:
    """Two words are one in capitals alone; nor is what a type stands for a pattern."""
    (found,), counts = marked("placeholder", Fake({}, lambda s, w: tuple(text.split())), ANNA)
    assert found is None and counts["marks_unreadable"] == 1


def test_words_with_blanks_stay_and_types_are_no_patterns() -> None:
    odd = sentence("Anna pays x", (0, 1, "A\\d"))
    (found,), _ = marked(
        "placeholder", Fake({}, lambda s, w: ("a\\d-0", "pays", "10\u00a0000") if "#marked" in s.id else w), odd
    )
    assert found is not None and found.words == ("Anna", "pays", "10\u00a0000")


def test_a_sentence_that_holds_a_placeholder_in_two_words_is_not_marked() -> None:
    own = sentence("Anna met PER 0", (0, 1, "PER"))
    assert only(marked("placeholder", Fake(), own)[1]) == {"marked": 1, "marks_clash": 1}


@pytest.mark.parametrize("said_as", ["PER 0 ging nach Loc1 .", "per-0 ging nach LOC 1 .", "Per0 ging nach loc_1 ."])
def test_placeholders_that_can_be_told_are_mended(said_as: str) -> None:
    (found,), counts = marked("placeholder", Fake({}, lambda s, w: tuple(said_as.split()) if "PER0" in w else w), ANNA)
    assert said(found, ANNA) == ("Anna Lee ging nach New York .", [(0, 2, "PER"), (4, 6, "LOC")])
    assert only(counts) == {"marked": 1, "marked_read": 1, "names_in_context": 2}


def test_brackets_are_told_apart_by_the_entities_own_translations() -> None:
    def turn(s: Sentence, words: Words) -> Words:
        return (*words[6:], *words[4:6], *words[:4]) if words[0] == "[" else words

    fake = Fake({**GERMAN, "Lee": "Li"}, turn)
    (found,), counts = marked("marker", fake, ANNA)
    assert [s.text for s in fake.asked] == ["[ Anna Lee ] went to [ New York ] .", "Anna Lee", "New York"]
    text, spans = said(found, ANNA)
    assert text == "Neu York . ging nach Anna Li"
    assert spans == [(0, 2, "LOC"), (5, 7, "PER")]
    assert only(counts) == {"marked": 1, "marked_read": 1, "names_alone": 2}


def renaming(other: dict[str, str]) -> Fake:
    """Says words otherwise in a marked sentence than alone."""

    def rename(s: Sentence, words: Words) -> Words:
        return tuple(other.get(word, word) for word in words) if "#marked" in s.id else words

    return Fake({}, rename)


def test_similar_is_enough_and_unlike_is_not() -> None:
    """Only where several types are left is there no telling which bracket is whose."""
    other = {"Anna": "Annas", "Lee": "Li", "New": "Grosse", "York": "Stadt", "Acme": "Firma"}
    three = sentence("Anna Lee went to New York for Acme", (0, 2, "PER"), (4, 6, "LOC"), (7, 8, "ORG"))
    (found,), _ = marked("marker", renaming(other), three)
    assert found is not None
    assert found.outcomes == ("projected", "unaligned", "unaligned")
    assert said(found, three) == ("Annas Li went to Grosse Stadt for Firma", [(0, 2, "PER")])
    assert found.links(three.spans or ()) == ((0, 0), (0, 1), (1, 0), (1, 1))


def test_upper_case_does_not_matter() -> None:
    (found,), _ = marked("marker", renaming({"Anna": "ANNA", "Lee": "LEE", "New": "NEW", "York": "YORK"}), ANNA)
    assert said(found, ANNA) == ("ANNA LEE went to NEW YORK .", [(0, 2, "PER"), (4, 6, "LOC")])


@pytest.mark.parametrize("types", [("PER",), ("PER", "LOC"), ("PER", "PER", "PER")])
def test_what_is_left_of_one_type_needs_no_match(types: tuple[str, ...]) -> None:
    """A single entity, the last one, or all of one type: as in EasyProject's code."""
    names = ("Maçã", "Anna", "Cavaleiro")
    spans = [(2 * number, 2 * number + 1, type_) for number, type_ in enumerate(types)]
    own = sentence(" and ".join(("apple", "Anna", "knightley")[: len(types)]), *spans)
    (found,), _ = marked("marker", renaming({"apple": names[0], "knightley": names[2]}), own)
    assert said(found, own) == (" and ".join(names[: len(types)]), spans)
    assert found is not None and set(found.outcomes) == {"projected"}


def test_the_same_text_before_similar_text() -> None:
    """The first entity is like the second bracket, too, but the second entity is that very text."""
    two = sentence("Ann and Anna", (0, 1, "PER"), (2, 3, "LOC"))
    swap = {"Ann": "Anna", "Anna": "Ann"}

    def change(s: Sentence, words: Words) -> Words:
        return tuple(swap.get(word, word) for word in words) if "#marked" in s.id else words

    (found,), _ = marked("marker", Fake({}, change), two)
    assert said(found, two) == ("Anna and Ann", [(0, 1, "LOC"), (2, 3, "PER")])


def test_two_entities_for_one_bracket() -> None:
    three = sentence("Anna and Anne in Bonn", (0, 1, "PER"), (2, 3, "LOC"), (4, 5, "ORG"))
    (found,), _ = marked("marker", renaming({"Anne": "Otto", "Bonn": "xyz"}), three)
    assert found is not None
    assert found.outcomes == ("projected", "conflicting", "unaligned")
    assert said(found, three) == ("Anna and Otto in xyz", [(0, 1, "PER")])


@pytest.mark.parametrize(
    "text",
    [
        "Anna ] ging",
        "[ Anna ] ging",
        "[ Anna [ Lee ] ] ging",
        "] Anna [ ] Bonn [",
        "[ ] [ x ]",
        "[ Anna ] [ x ] [ y ]",
        "[Anna Lee] [ x ] [ y ]",
    ],
)
def test_brackets_that_are_not_one_for_each_entity(text: str) -> None:
    (found,), counts = marked("marker", Fake({}, lambda s, w: tuple(text.split())), ANNA)
    assert found is None
    assert only(counts) == {"marked": 1, "marks_unreadable": 1, "brackets_wrong": 1}


def test_sentences_that_hold_such_marks_themselves() -> None:
    own = sentence("PER0 met Anna", (2, 3, "PER"), id_="a"), sentence("[ sic ] Anna", (3, 4, "PER"), id_="b")
    for name, first in (("placeholder", False), ("marker", True)):
        fake = Fake()
        found, counts = marked(name, fake, *own)
        assert [one is not None for one in found] == [first, not first]
        assert counts["marks_clash"] == 1 and counts["marked_read"] == 1
    found, counts = marked("placeholder", Fake(), own[1])
    assert counts["names_alone"] == 1, "no brackets can be put beside those of the sentence"


@pytest.mark.parametrize("name", TRANSFERS)
def test_nothing_translated_and_entities_without_a_translation(name: str) -> None:
    assert only(marked(name, Fake({}, lambda s, w: None), ANNA)[1]) == {"marked": 1, "marks_untranslated": 1}
    (found,), counts = marked(name, Fake({}, lambda s, w: w if "#marked" in s.id else None), ANNA)
    assert found is None
    assert only(counts) == {"marked": 1, "marks_nameless": 1, "names_missing": 2}


@pytest.mark.parametrize("language", ["de", "zh"])
def test_an_exact_translator_loses_nothing(language: str) -> None:
    """frames knows no entity by itself, and no article for a placeholder; what brackets hold is the corpus's gold."""
    corpus = DemoCorpus(DemoParams(n_train=20))
    gold = {pair.source.id: pair.target for pair in corpus.pairs("en", language)}
    asked = [s for s in corpus.read("en", "train") if s.spans]
    for name in TRANSFERS:
        job = MarkedTranslations(registry.load("transfer", name), FramesTranslator(), language, corpus)
        for s, found in zip(asked, job.of(asked), strict=True):
            assert found is not None
            spans, exact = found.projection(s.spans or ()).spans, gold[s.id]
            if name == "marker":
                assert (found.words, spans) == (exact.words, exact.spans)
            assert sorted((found.words[a:b], type_) for a, b, type_ in spans) == sorted(
                (exact.words[a:b], type_) for a, b, type_ in exact.spans or ()
            )
        assert job.counts["marked"] == job.counts["marked_read"] == len(asked) > 10


def test_brackets_go_in_and_come_out() -> None:
    inside = bracketed(ANNA, [0, 1])
    assert inside.text == "[ Anna Lee ] went to [ New York ] ."
    assert [inside.words[s.start : s.end] for s in inside.spans or ()] == [("Anna", "Lee"), ("New", "York")]
    assert unbracketed(inside.words) == (ANNA.words, [(0, 2), (4, 6)])


# --- whatever a translator does ---------------------------------------------------------------------------------------


@st.composite
def sentences(draw: st.DrawFn) -> list[Sentence]:
    found = []
    for number in range(draw(st.integers(1, 3))):
        words = draw(st.lists(st.sampled_from((*WORDS, "PER0", "[")), min_size=1, max_size=8))
        cuts = draw(st.lists(st.integers(0, len(words)), unique=True).map(sorted))
        bounds = zip(cuts[::2], cuts[1::2], strict=False)
        spans = tuple(Span(a, b, draw(st.sampled_from(("PER", "LOC", "work-of-art")))) for a, b in bounds)
        found.append(Sentence(f"s{number}", "en", tuple(words), spans))
    return found


def damaging(seed: int) -> Fake:
    """Loses, doubles, reorders and mangles words and brackets, and at times translates nothing."""

    def damage(s: Sentence, words: Words) -> Words | None:
        draw = random.Random(f"{seed} {s.id}")
        new: list[str] = []
        for word in words:
            kind = draw.choice(("keep",) * 12 + ("lose", "double", "mangle", "glue", "bracket"))
            new += {
                "keep": [word],
                "lose": [],
                "double": [word, word],
                "mangle": [word.lower()],
                "glue": [word + "x"],
                "bracket": [draw.choice("[]"), word],
            }[kind]
        if draw.random() < 0.3:
            draw.shuffle(new)
        return None if draw.random() < 0.1 else tuple(new)

    return Fake({"in": "im"}, damage)


@settings(max_examples=80)
@given(sentences(), st.integers(0, 10**6), st.sampled_from(TRANSFERS), st.sampled_from(("align", "drop")))
def test_always_well_formed_and_each_entity_counted_once(
    found: list[Sentence], seed: int, name: str, fallback: str
) -> None:
    draw = random.Random(seed)
    pairs = []
    for s in found:
        words = tuple(draw.choices(WORDS, k=draw.randint(1, 8)))
        places = [(draw.randrange(len(s.words)), draw.randrange(len(words))) for _ in range(draw.randint(0, 8))]
        pairs.append(Pair(s, Sentence(s.id, "de", words, None, "g"), tuple(sorted(set(places)))))
    asked = [s for s in found if s.spans]
    readings, losses = marked(name, damaging(seed), *asked)
    assert losses["marked"] == len(asked) == losses["marked_read"] + sum(losses[cause] for cause in CAUSES)
    assert losses["marked_read"] == sum(one is not None for one in readings)
    by_id = dict(zip([s.id for s in asked], readings, strict=True))
    labels = LabelsSpec(transfer=name, fallback=fallback, filters=("comp-ins",))  # type: ignore[arg-type]
    kept, counts = transferred(pairs, by_id, labels)
    for pair in kept:
        words, spans = pair.target.words, pair.target.spans
        assert spans is not None and spans_of(tags_of(spans, len(words))) == spans
        assert pair.target.group == "g"
        reading = by_id.get(pair.source.id)
        assert reading is None or reading.words == words
        assert reading is None or name == "placeholder" or not {"[", "]"} & set(words)
    assert sum(counts[name] for name in OUTCOMES) == counts["entities"] == sum(len(s.spans or ()) for s in found)
    assert counts["pairs"] + counts["pairs_filtered"] == len(found)
    assert counts["pairs"] == len(kept)
    assert counts[f"fallback_{fallback}"] == len(asked) - losses["marked_read"]


def test_both_ways_to_fall_back() -> None:
    """The second sentence loses its marks; the third has no entity, and keeps its ordinary translation."""
    source = [ANNA, sentence("Bonn is big", (0, 1, "LOC"), id_="t"), sentence("it rains", id_="u")]
    targets = [
        Sentence(s.id, "de", words, None, s.group)
        for s, words in zip(source, (("?",), ("gross", "ist", "Bonn"), ("regnet",)), strict=True)
    ]
    links = ((), ((0, 2), (1, 1), (2, 0)), ())
    pairs = [Pair(s, t, own) for s, t, own in zip(source, targets, links, strict=True)]
    read = Marked(("Anna", "Lee", "in", "York"), ((0, 2), None), ("projected", "unaligned"))
    by_id = {"s": read, "t": None}

    kept, counts = transferred(pairs, by_id, LabelsSpec(transfer="marker"))
    assert [(p.target.text, p.target.spans) for p in kept] == [
        ("Anna Lee in York", (Span(0, 2, "PER"),)),
        ("gross ist Bonn", (Span(2, 3, "LOC"),)),
        ("regnet", ()),
    ]
    expected = {"entities": 3, "projected": 2, "unaligned": 1, "pairs": 3, "fallback_align": 1}
    assert only(counts) == expected

    kept, counts = transferred(pairs, by_id, LabelsSpec(transfer="marker", fallback="drop"))
    assert [p.source.id for p in kept] == ["s", "u"]
    expected = {"entities": 3, "projected": 1, "unaligned": 1, "filtered": 1, "pairs": 2, "pairs_filtered": 1}
    assert only(counts) == {**expected, "fallback_drop": 1}

    kept, counts = transferred(pairs, by_id, LabelsSpec(transfer="marker", filters=("comp-src",)))
    assert [p.source.id for p in kept] == ["t", "u"], "filters judge what the marks gave, too"
    assert counts["filtered"] == 2


# --- in a matrix ------------------------------------------------------------------------------------------------------

AXIS = '"labels.transfer" = ["align", "placeholder", "marker"]\n'
OWN = '[[variant]]\nname = "own"\nuse = "concner"\nlabels = "matrix"\n'


def small(place: Place, methods: Sequence[str], axes: str, labels: str, more: str = "") -> Path:
    text = matrix_text(place.encoder, methods, labels=f'translator = "frames"\n{labels}', more=more)
    return place.matrix(text.replace("[data]", f"{axes}[data]", 1))


def counted(path: Path) -> dict[str, int]:
    return Counter(cell.label for cell in cells(load_matrix(str(path))))


def test_whom_the_axes_concern(tmp_path: Path) -> None:
    """Plain projection knows no transfer, and `align` no fall-back."""
    place = Place(tmp_path, tmp_path / "no-encoder")
    methods = ("zero_shot", "en_trans", "concner", "own", "label_projection")
    path = small(place, methods, AXIS, "", OWN)
    assert counted(path) == {"zero_shot": 1, "en_trans": 1, "concner": 1, "own": 3, "label_projection": 3}
    path = small(place, methods, f'{AXIS}"labels.fallback" = ["align", "drop"]\n', "", OWN)
    assert counted(path) == {"zero_shot": 1, "en_trans": 1, "concner": 1, "own": 5, "label_projection": 5}
    links = '"aligner.simalign.matching" = ["intersection", "itermax"]\n'
    path = small(place, methods[1:], links, 'aligner = "simalign"\ntransfer = "marker"\nfallback = "drop"', OWN)
    found = counted(path)
    assert found["label_projection"] == 1, "marks that never fall back need no links"
    assert found["en_trans"] == found["concner"] == 2


def test_a_transfer_that_does_not_exist(tmp_path: Path) -> None:
    place = Place(tmp_path, tmp_path / "no-encoder")
    small(place, ("label_projection",), "", 'transfer = "marks"')
    ran = place.xner("run", "small.toml", "--out", place.out)
    assert ran.code == 2
    assert "small.toml" in ran.err and "labels.transfer: unknown transfer 'marks'; did you mean 'marker'?" in ran.err


def test_a_matrix_with_all_three(tmp_path: Path, tiny_folder: Path) -> None:
    place = Place(tmp_path, tiny_folder)
    small(place, ("en_trans", "label_projection"), AXIS, "[translator.frames]\nerror_rate = 0.5")
    ran = place.xner("run", "small.toml", "--out", place.out)
    assert ran.code == 0, ran.err
    found = {(r["cell"]["label"], r["cell"]["axes"].get("labels.transfer", "")): r for r in records(place.out)}
    assert {key: one["status"] for key, one in found.items()} == dict.fromkeys(
        [("en_trans", ""), *(("label_projection", name) for name in ("align", *TRANSFERS))], "ok"
    )
    aligned = found["label_projection", "align"]["projection"]
    assert "marked" not in aligned and "marked" not in found["en_trans", ""]["projection"]
    for name in TRANSFERS:
        one = found["label_projection", name]
        counts = one["projection"]
        assert counts["entities"] == aligned["entities"] == sum(counts[outcome] for outcome in OUTCOMES)
        assert 0 < counts["fallback_align"] == counts["marked"] - counts["marked_read"] < counts["marked"]
        assert counts["fallback_align"] == sum(counts[cause] for cause in CAUSES)
        assert {address.partition("/")[0] for address in one["parents"].values()} >= {"links", "transfer"}
    assert len(list((place.cache / "transfer").glob("[!.]*"))) == 2
    assert len(list((place.cache / "links").glob("[!.]*"))) == 1
    main = (place.out / "tables" / "main.md").read_text(encoding="utf-8").replace("**", "")
    for name in ("align", *TRANSFERS):
        assert f"| label_projection ({name}) |" in main
    causes = (place.out / "tables" / "projection.md").read_text(encoding="utf-8")
    assert "placeholders_lost" in causes and "brackets_wrong" in causes


def test_marks_that_never_fall_back_need_no_aligner(tmp_path: Path, tiny_folder: Path) -> None:
    """simalign without an encoder would be bad input."""
    place = Place(tmp_path, tiny_folder)
    small(place, ("label_projection",), "", 'transfer = "marker"\nfallback = "drop"\naligner = "simalign"')
    ran = place.xner("run", "small.toml", "--out", place.out)
    assert ran.code == 0, ran.err
    (record,) = records(place.out)
    assert record["status"] == "ok", record
    assert record["resources"]["translation"] == "machine"
    assert not (place.cache / "links").exists()


@pytest.mark.parametrize("name", TRANSFERS)
def test_translations_made_elsewhere_are_a_skip(tmp_path: Path, tiny_folder: Path, name: str) -> None:
    place = Place(tmp_path, tiny_folder)
    path = small(place, ("label_projection", "en_trans"), "", f'transfer = "{name}"')
    path.write_text(path.read_text(encoding="utf-8").replace('translator = "frames"', 'translator = "files"'))
    ran = place.xner("run", "small.toml", "--out", place.out)
    assert ran.code == 0, ran.err
    skipped = by_name(place.out)["label_projection", "de", 1]
    assert skipped["status"] == "skipped"
    assert skipped["reason"].startswith(f"transfer '{name}' must translate each sentence again")
    assert by_name(place.out)["en_trans", "de", 1]["status"] == "ok"


def test_keys_know_the_transfer_where_it_matters(tmp_path: Path, tiny_folder: Path) -> None:
    from bench.data.identity import cell_key

    place = Place(tmp_path, tiny_folder)

    def keys(labels: str) -> dict[str, str]:
        path = small(place, ("en_trans", "label_projection"), "", labels)
        return {cell.label: cell_key(cell) for cell in cells(load_matrix(str(path)))}

    ways = ["", 'transfer = "marker"', 'transfer = "placeholder"', 'transfer = "marker"\nfallback = "drop"']
    with mock.patch.dict(os.environ, place.environment()):
        found = [keys(way) for way in ways]
        same = keys('fallback = "drop"')
    assert len({one["en_trans"] for one in [*found, same]}) == 1
    assert len({one["label_projection"] for one in found}) == 4
    assert same == found[0]
