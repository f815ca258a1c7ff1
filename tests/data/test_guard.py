"""The leakage guard: what counts as the same sentence, what is counted and what is removed."""

from __future__ import annotations

import random
import unicodedata
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bench.api.method import Example, TrainingSet, singles
from bench.core.sentences import Sentence, Span, letters_of
from bench.data.cell_data import Guard, Overlap, sentences_of


def sentence(text: str, id_: str = "x", group: str = "", language: str = "de") -> Sentence:
    return Sentence(id_, language, tuple(text.split(" ")), (), group)


TEST = [
    sentence("Anna lebt in Rom .", "t1", "p1"),
    sentence("Der Zug nach Köln fährt um 8 Uhr .", "t2", "p2"),
    sentence("...", "t3"),
    sentence("安娜 住 在 罗马 。", "t4", "", "zh"),
]
GUARD = Guard(TEST)


@pytest.mark.parametrize(
    "text",
    [
        "Anna lebt in Rom .",
        "ANNA LEBT IN ROM",
        "anna lebt  in\trom!",
        "« Anna » lebt in Rom ...",
        "Annalebt inRom",
        "Ａｎｎａ lebt in Ｒｏｍ .",  # full-width letters
        "Anna lebt\u200b in Rom \u00ad.",  # zero-width space, soft hyphen
        "der zug nach ko\u0308ln fa\u0308hrt um 8 uhr",  # decomposed
        "der zug nach köln fährt um ⑧ uhr",
        "安娜住在罗马",
    ],
)
def test_the_same_sentence_in_another_dress(text: str) -> None:
    assert GUARD.clashes(sentence(text)) == "text"
    assert GUARD.overlap([sentence(text)]).by_text == 1


@pytest.mark.parametrize(
    "text",
    [
        "Anna lebt in Bonn .",
        "Anna lebt in",
        "lebt Anna in Rom .",
        "Der Zug nach Köln fährt um 9 Uhr",
        "",
        "?!",
        "\u200b",
    ],
)
def test_other_sentences_do_not_hit(text: str) -> None:
    assert GUARD.clashes(sentence(text)) == ""
    assert GUARD.overlap([sentence(text)]) == Overlap()


letters = st.text(st.characters(categories=["Lu", "Ll", "Lo", "Nd"]), min_size=1, max_size=8)


@given(st.lists(letters, min_size=1, max_size=5), st.randoms(use_true_random=False))
@example(["Straße"], random.Random(0))
@example(["ΣΊΣΥΦΟΣ"], random.Random(0))
def test_case_spacing_and_punctuation_never_matter(words: list[str], draw: random.Random) -> None:
    text = " ".join(words)
    guard = Guard([sentence(text)])
    if not letters_of(text):
        return
    dressed = "".join(c + draw.choice(["", "", " ", ",", "\u200b", "\u3000", "«"]) for c in text)
    others = [dressed, text.casefold(), unicodedata.normalize("NFD", text), text + "."]
    if text.upper().casefold() == text.casefold():  # not so for a few letters, such as the dotless i
        others.append(text.upper())
    for other in others:
        assert guard.clashes(sentence(other)) == "text", other


@given(st.lists(letters, min_size=1, max_size=4), st.lists(letters, min_size=1, max_size=4))
def test_only_the_same_letters_hit(ours: list[str], theirs: list[str]) -> None:
    def plain(words: list[str]) -> str:
        return unicodedata.normalize("NFKC", "".join(words)).casefold()

    hit = Guard([sentence(" ".join(ours))]).clashes(sentence(" ".join(theirs)))
    if hit:
        kept = [c for c in plain(theirs) if unicodedata.category(c)[0] not in "ZPC"]
        assert kept == [c for c in plain(ours) if unicodedata.category(c)[0] not in "ZPC"]
    if not hit and any(unicodedata.category(c)[0] not in "ZPC" for c in plain(ours)):
        assert plain(ours) != plain(theirs)


def test_a_translation_of_a_test_sentence_hits_by_its_group() -> None:
    english = sentence("Anna lives in Rome .", "e1", "p1", "en")
    assert GUARD.clashes(english) == "group"
    assert GUARD.clashes(replace(english, group="p9")) == ""
    assert GUARD.clashes(replace(english, group="")) == "", "no group is not a group"
    both = replace(TEST[0], id="again")
    assert GUARD.overlap([english, both]) == Overlap(by_text=1, by_group=1, examples=("again", "e1"))


def test_sentences_are_counted_once_and_named() -> None:
    found = GUARD.overlap([*TEST[:2], *TEST[:2], sentence("neu", "n")])
    assert found == Overlap(by_text=2, by_group=0, examples=("t1", "t2"))
    assert found.total == 2
    assert "2 training sentences" in found.reason()
    assert "t1, t2" in found.reason()
    assert "drop-from-train" in found.reason()
    many = GUARD.overlap([replace(TEST[0], id=f"{n:02}") for n in range(20)])
    assert (many.by_text, len(many.examples)) == (20, 5)


def test_dropping_removes_whole_groups_from_every_stream() -> None:
    clean, leaked = sentence("Bob lives in Oslo", "c", "p7", "en"), sentence("anna lebt in rom", "l")
    by_group = sentence("Anna lives in Rome", "g", "p1", "en")
    pair = (Example(clean), Example(replace(clean, id="c2", language="de")))
    data = TrainingSet(
        labelled=(pair, (Example(clean), Example(leaked)), (Example(by_group), Example(clean))),
        paired=((Example(leaked), Example(clean)), pair),
        unlabelled=((Example(leaked, soft=np.zeros((4, 5), np.float32)),), (Example(clean),)),
    )
    kept = GUARD.dropped(data)
    assert (kept.labelled, kept.paired, kept.unlabelled) == ((pair,), (pair,), data.unlabelled[1:])
    assert GUARD.overlap(sentences_of(kept)) == Overlap()
    assert GUARD.overlap(sentences_of(data)) == Overlap(by_text=1, by_group=1, examples=("g", "l"))
    assert len(data.labelled) == 3, "the training set itself is left alone"


def test_everything_may_go() -> None:
    assert GUARD.dropped(TrainingSet(labelled=singles(TEST[:2]))).streams() == {}


def test_labels_do_not_matter() -> None:
    assert GUARD.clashes(replace(TEST[0], spans=None)) == "text"
    assert GUARD.clashes(replace(TEST[0], spans=(Span(0, 1, "PER"),), group="")) == "text"


def test_bare_texts_of_an_encoder() -> None:
    texts = {letters_of(text): text for text in ("Anna lebt in Rom.", "ANNA LEBT IN ROM", "Bob", "", "...")}
    found = GUARD.overlap_of_texts(texts)
    assert found.by_text == 1, "one text, however it is written"
    assert found.by_group == 0
    assert found.examples == ("ANNA LEBT IN ROM",)
    assert GUARD.overlap_of_texts({letters_of("Bob lebt in Rom"): "Bob lebt in Rom"}) == Overlap()
    assert GUARD.overlap_of_texts({}) == Overlap()
