"""The demo corpus, its exact translator and the gold aligner."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.errors import BadInput
from bench.core.sentences import Pair, Sentence, Span, tags_of
from data_recipes.aligners.gold import GoldAligner
from data_recipes.corpora.demo.corpus import DemoCorpus, DemoParams, parallel_text
from data_recipes.corpora.demo.grammar import Content, parse, render
from data_recipes.corpora.demo.tables import CASES, LANGUAGES, TYPES, parse_form, tables
from data_recipes.translators.frames import FramesParams, FramesTranslator

SPLITS = ("train", "dev", "test", "unlabelled")
OTHERS = LANGUAGES[1:]
CORPUS = DemoCorpus()


def surfaces(sentences: list[Sentence]) -> set[tuple[str, str]]:
    return {(s.type, " ".join(one.words[s.start : s.end])) for one in sentences for s in one.spans or ()}


def marked(sentence: Sentence) -> Sentence:
    """Square brackets around every entity."""
    words, spans, place = [], [], 0
    for span in sentence.spans or ():
        words += [*sentence.words[place : span.start], "[", *sentence.words[span.start : span.end], "]"]
        spans.append(Span(len(words) - 1 - (span.end - span.start), len(words) - 1, span.type))
        place = span.end
    return replace(sentence, words=(*words, *sentence.words[place:]), spans=tuple(spans))


def masked(sentence: Sentence) -> Sentence:
    """A placeholder in place of every entity."""
    words, place = [], 0
    for number, span in enumerate(sentence.spans or ()):
        words += [*sentence.words[place : span.start], f"{span.type}{number}"]
        place = span.end
    return replace(sentence, words=(*words, *sentence.words[place:]), spans=None)


# --- the corpus -------------------------------------------------------------------------------------------------------


def test_tables_are_large_enough() -> None:
    assert Counter(frame.split for frame in tables().frames) >= Counter(train=40, test=12, unlabelled=6)
    assert min(Counter(name.type for name in tables().names).values()) >= 40
    assert min(len(rows) for rows in tables().fillers.values()) >= 6
    empty = sum(not frame.slots for frame in tables().frames) / len(tables().frames)
    assert 0.05 < empty < 0.15


def test_facts() -> None:
    assert (CORPUS.types, CORPUS.languages()) == (TYPES, LANGUAGES)
    assert CORPUS.facts.synthetic and not CORPUS.facts.human_translations and CORPUS.facts.licence == "CC0-1.0"
    assert CORPUS.check() == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_splits_are_well_formed_and_disjoint(language: str) -> None:
    texts: dict[str, set[str]] = {}
    for split, count in zip(SPLITS, (1000, 300, 300, 600), strict=True):
        sentences = CORPUS.read(language, split)
        texts[split] = {one.text for one in sentences}
        assert len(sentences) == len(texts[split]) == len({one.id for one in sentences}) == count
        for one in sentences:
            assert one.language == language and one.group
            assert all(word and not set(word) & set(" []{}/") for word in one.words)
            assert not one.words[0][0].islower()
            assert list(one.spans) == sorted(one.spans)
            tags_of(one.spans, len(one.words))
    assert not texts["test"] & (texts["train"] | texts["dev"] | texts["unlabelled"])
    assert not texts["dev"] & (texts["train"] | texts["unlabelled"])


@pytest.mark.parametrize("language", LANGUAGES)
def test_names_and_groups_are_disjoint(language: str) -> None:
    read = {split: CORPUS.read(language, split) for split in SPLITS}
    names = {split: surfaces(read[split]) for split in ("train", "dev", "test")}
    assert not (names["train"] | names["dev"]) & names["test"]
    groups = [one.group for split in SPLITS for one in read[split]]
    groups += [one.group for other in LANGUAGES if other != language for one in CORPUS.read(other, "train")]
    assert len(groups) == len(set(groups))


def test_dev_and_test_are_parallel() -> None:
    for split in ("dev", "test"):
        groups = {tuple(one.group for one in CORPUS.read(language, split)) for language in LANGUAGES}
        assert len(groups) == 1


def test_test_names_of_two_types() -> None:
    """Some names can only be told apart by their context."""
    types: dict[str, set[str]] = {}
    for type_, surface in surfaces(CORPUS.read("en", "test")):
        types.setdefault(surface, set()).add(type_)
    assert sum(len(found) > 1 for found in types.values()) >= 5


@pytest.mark.parametrize(("source", "target"), [*(("en", other) for other in OTHERS), ("hu", "zh"), ("bg", "en")])
def test_pairs(source: str, target: str) -> None:
    pairs = CORPUS.pairs(source, target)
    assert [pair.source for pair in pairs] == CORPUS.read(source, "train")
    for pair in pairs:
        assert pair.target.group == pair.source.group and pair.target.language == target
        tags_of(pair.target.spans, len(pair.target.words))
        assert len(set(pair.links)) == len(pair.links) and list(pair.links) == sorted(pair.links)
        assert all(0 <= i < len(pair.source.words) and 0 <= j < len(pair.target.words) for i, j in pair.links)
        for span, images in ((span, entity_image(pair, span)) for span in pair.source.spans):
            assert images in [(set(range(s.start, s.end)), s.type) for s in pair.target.spans], (pair, span)
    assert sum(len(pair.links) for pair in pairs) > 5 * len(pairs)


def entity_image(pair: Pair, span: Span) -> tuple[set[int], str]:
    """What an entity is linked to; every word of it must be linked."""
    linked = [{j for i, j in pair.links if i == word} for word in range(span.start, span.end)]
    assert all(linked)
    return set().union(*linked), span.type


def test_hungarian_person_names_are_linked_in_reverse() -> None:
    pair = next(p for p in CORPUS.pairs("en", "hu") if "Béla Bartók" in p.source.text and p.source.words[0] == "Béla")
    words = {(pair.source.words[i], pair.target.words[j][:4]) for i, j in pair.links if i < 2}
    assert words == {("Béla", "Béla"[:4]), ("Bartók", "Bart")} or words == {("Béla", "Bélá"), ("Bartók", "Bart")}


def test_sizes_seeds_and_nesting(monkeypatch: pytest.MonkeyPatch) -> None:
    small = DemoCorpus(DemoParams(n_train=7, n_test=0))
    assert small.read("en", "train") == CORPUS.read("en", "train")[:7]
    assert small.read("de", "test") == []
    assert DemoCorpus(DemoParams(seed=1)).read("en", "train") != CORPUS.read("en", "train")
    assert CORPUS.read("xx", "train") == [] and CORPUS.pairs("en", "xx") == [] and CORPUS.pairs("en", "en") == []
    bare = tuple(frame for frame in tables().frames if not frame.slots)[:1]
    monkeypatch.setattr("data_recipes.corpora.demo.corpus.frames_of", lambda split: bare)
    with pytest.raises(BadInput, match=r"only .* different"):
        DemoCorpus(DemoParams(seed=2, n_dev=1000)).read("en", "dev")
    with pytest.raises(BadInput, match="n_dev"):
        DemoParams(n_dev=-1)


def test_same_bytes_in_any_process_and_order() -> None:
    code = (
        "import hashlib, random, sys; random.seed(sys.argv[2]);"
        "from data_recipes.corpora.demo.corpus import *; c = DemoCorpus();"
        "keys = sorted(((l, s) for l in c.languages() for s in ('train', 'dev', 'test', 'unlabelled')), "
        "reverse=sys.argv[1] == 'back');"
        "read = {key: repr(c.read(*key)) for key in keys}; read['p'] = repr(c.pairs('de', 'hu'));"
        "read['t'] = repr(parallel_text(c.params, 40));"
        "print(hashlib.sha256(repr(sorted(read.items(), key=str)).encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code, order, seed],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for order, seed in (("forth", "1"), ("back", "2"))
    }
    assert len(digests) == 1


def test_parallel_text_shows_nothing_of_dev_and_test() -> None:
    text = parallel_text(DemoParams())
    assert len(text) == 6000 and Counter(other.language for _, other in text) == Counter(dict.fromkeys(OTHERS, 1500))
    assert all(english.language == "en" and english.spans is None for english, _ in text)
    for english, _ in text:
        content = parse(english.words, "en")
        assert content is not None and content.frame.split in ("train", "unlabelled")
        assert {name.split for name in content.names.values()} <= {"train"}
    for split in ("train", "dev", "test", "unlabelled"):
        assert not {one.group for one in CORPUS.read("en", split)} & {english.group for english, _ in text}


def test_bitext_is_bare_linked_and_of_no_other_split() -> None:
    found = CORPUS.parallel("en", "hu")
    assert len(found) == CORPUS.params.n_unlabelled and CORPUS.parallel("en", "fi") == []
    assert all(p.source.spans is None and p.target.spans is None and p.links for p in found)
    assert all(p.source.group == p.target.group != "" for p in found)
    for split in ("train", "dev", "test", "unlabelled"):
        assert not {one.group for one in CORPUS.read("hu", split)} & {p.source.group for p in found}


def test_every_frame_renders_with_every_name() -> None:
    """Each frame, with each name that its slots can hold, in each language: the name's words are the span's."""
    for frame in tables().frames:
        rows = dict.fromkeys(frame.kinds, 0)
        for name in (name for name in tables().names if any(slot.type == name.type for slot in frame.slots)):
            content = Content(frame, {s.number: tables_name(s.type, name) for s in frame.slots}, rows)
            for language in LANGUAGES:
                side = render(content, language)
                assert len(side.spans) == len(frame.slots) and len(side.keys) == len(side.words)
    for name in tables().names:
        for language in LANGUAGES:
            assert all(name.form(language, case).entity for case in CASES.get(language, ("nom",)))


def tables_name(type_: str, name):  # type: ignore[no-untyped-def]
    """The name where its type fits, else the first of the type."""
    return name if name.type == type_ else next(one for one in tables().names if one.type == type_)


def test_frames_of_splits_differ_in_text() -> None:
    sides = Counter(str(frame.sides[language]) for frame in tables().frames for language in LANGUAGES)
    assert max(sides.values()) == 1


def test_every_link_key_is_shared_with_another_language() -> None:
    """A key on one side only would be a slip of the pen."""
    for frame in tables().frames:
        count = Counter(
            key
            for side in frame.sides.values()
            for key in {key for element in side for key in getattr(element, "keys", ())}
        )
        assert not [key for key, sides in count.items() if sides < 2], frame.id


def test_forms() -> None:
    assert parse_form("der [Weltbank]")[:3] == (("der",), ("Weltbank",), ())
    assert parse_form("World Bank").before == ()
    assert parse_form("Bartók Béla", ("Béla", "Bartók"), person=True).order == (1, 0)
    assert parse_form("Mao Ce-tung", ("Mao", "Zedong"), person=True).order == (0, 1)


@pytest.mark.parametrize(("kind", "bulgarian"), [("Варна", "във"), ("Берлин", "в")])
def test_bulgarian_prepositions(kind: str, bulgarian: str) -> None:
    words = [one.words for one in CORPUS.read("bg", "train") if kind in one.words[1:]]
    before = {one[one.index(kind) - 1].lower() for one in words}
    assert bulgarian in before and ({"в", "във"} - {bulgarian}).isdisjoint(before)


# --- the translator ---------------------------------------------------------------------------------------------------

TRANSLATOR = FramesTranslator()


@pytest.mark.parametrize("language", OTHERS)
def test_round_trips(language: str) -> None:
    sentences = [*CORPUS.read("en", "train")[:150], *CORPUS.read("en", "test")[:100], *CORPUS.read("en", "dev")[:50]]
    there = TRANSLATOR.translate(sentences, language, CORPUS)
    assert there.counts == {"parsed": 300, "failed": 0, "errors": 0} and "synthetic" in there.provenance
    assert all(one.spans is None and one.language == language for one in there.targets)
    back = TRANSLATOR.translate(there.targets, "en", CORPUS)
    assert [one.words for one in back.targets] == [one.words for one in sentences]
    assert [(one.id, one.group) for one in back.targets] == [(one.id, one.group) for one in sentences]
    assert [set(links) for links in back.links] == [{(j, i) for i, j in links} for links in there.links]


@pytest.mark.parametrize("language", OTHERS)
def test_translations_are_the_corpus(language: str) -> None:
    pairs = CORPUS.pairs("en", language)
    found = TRANSLATOR.translate([pair.source for pair in pairs], language, CORPUS)
    assert [one.words for one in found.targets] == [pair.target.words for pair in pairs]
    assert list(found.links) == [pair.links for pair in pairs]


@pytest.mark.parametrize("language", OTHERS)
def test_brackets_are_kept(language: str) -> None:
    pairs = CORPUS.pairs("en", language)[:200]
    sources = [marked(pair.source) for pair in pairs]
    found = TRANSLATOR.translate(sources, language, CORPUS)
    assert [one.words for one in found.targets] == [marked(pair.target).words for pair in pairs]
    for source, target, links in zip(sources, found.targets, found.links, strict=True):
        ends = [(source.words[i], target.words[j]) for i, j in links if source.words[i] in "[]"]
        assert len(ends) == 2 * len(source.spans) and all(one == other for one, other in ends)


@pytest.mark.parametrize("language", OTHERS)
def test_placeholders_are_kept(language: str) -> None:
    sources = [masked(one) for one in CORPUS.read("en", "test")]
    found = TRANSLATOR.translate(sources, language, CORPUS)
    assert found.counts["failed"] == 0
    for one, other in zip(sources, found.targets, strict=True):
        held = [sorted(word for word in s.words if word[:3] in TYPES and word[3:].isdigit()) for s in (one, other)]
        assert held[0] == held[1]
    assert all((set(one.words) & set("[]")) == set() for one in found.targets)


@given(st.data())
@settings(max_examples=60)
def test_any_rendering_can_be_read_back(data: st.DataObject) -> None:
    """Any frame, names, fillers and choice of brackets, in any language: the words read back render to themselves."""
    frame = data.draw(st.sampled_from(tables().frames))
    names = {
        slot.number: data.draw(st.sampled_from([name for name in tables().names if name.type == slot.type]))
        for slot in frame.slots
    }
    rows = {kind: data.draw(st.integers(0, len(tables().fillers[kind]) - 1)) for kind in frame.kinds}
    bracketed = frozenset(number for number in names if data.draw(st.booleans()))
    language = data.draw(st.sampled_from(LANGUAGES))
    side = render(Content(frame, names, rows, bracketed), language)
    found = parse(side.words, language, side.spans)
    assert found is not None and render(found, language) == side and found.bracketed == bracketed


def test_errors_are_made_and_counted() -> None:
    sentences = [marked(one) for one in CORPUS.read("en", "train")]
    right = TRANSLATOR.translate(sentences, "de", CORPUS)
    faulty = FramesTranslator(FramesParams(error_rate=0.2, seed=3))
    wrong = faulty.translate(sentences, "de", CORPUS)
    differ = sum(one.words != other.words for one, other in zip(right.targets, wrong.targets, strict=True))
    assert wrong.counts["errors"] == differ and 150 < differ < 250
    assert wrong == faulty.translate(sentences, "de", CORPUS)
    assert wrong.targets[:1] == faulty.translate(sentences[:1], "de", CORPUS).targets
    for source, target, links in zip(sentences, wrong.targets, wrong.links, strict=True):
        assert all(0 <= i < len(source.words) and 0 <= j < len(target.words) for i, j in links)


def test_what_is_not_a_demo_sentence_fails_and_is_counted() -> None:
    words = (("The", "cat", "sat", "."), ("[", "Angela", "Merkel"), ("[", "On", "]", "Monday"), ())
    found = TRANSLATOR.translate([Sentence("x", "en", one) for one in words], "de", CORPUS)
    assert found.targets == found.links == (None,) * 4 and found.counts == {"parsed": 0, "failed": 4, "errors": 0}


def test_spans_that_do_not_fit_are_ignored() -> None:
    one = replace(CORPUS.read("en", "train")[0], spans=(Span(0, 99, "PER"),))
    assert TRANSLATOR.translate([one], "de", CORPUS).counts["parsed"] == 1


def test_wrong_languages_and_rates() -> None:
    one = CORPUS.read("en", "train")[:1]
    with pytest.raises(BadInput, match="fr"):
        TRANSLATOR.translate(one, "fr", CORPUS)
    with pytest.raises(BadInput, match="both"):
        TRANSLATOR.translate(one, "en", CORPUS)
    with pytest.raises(BadInput, match="error_rate"):
        FramesParams(error_rate=1.5)


# --- the aligner ------------------------------------------------------------------------------------------------------


def test_gold_aligner() -> None:
    pairs = CORPUS.pairs("en", "bg")[:20]
    assert GoldAligner().align(pairs) == [pair.links for pair in pairs]
    with pytest.raises(BadInput, match=r"demo-train-00000.*gold aligner needs pairs"):
        GoldAligner().align([replace(pairs[0], links=None)])
