"""The recipe of `mini`: names exchanged in parallel lines, words as one writes them, other pieces of a word."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_recipes.encoders.mini import names
from data_recipes.encoders.mini.batches import UNK, Kitchen, resplit
from data_recipes.encoders.mini.names import Parallel, Stock, _translated, exchanged, is_name, usual
from data_recipes.encoders.mini.prepare import ENGLISH, ENTRY, FOREIGN
from data_recipes.encoders.mini.recipe import Diet, Extra
from data_recipes.encoders.mini.teacher import Teacher
from data_recipes.encoders.mini.vocabulary import Mix
from tests.support.mini_tools import TEXT, small, write_teacher

LOWER = {"lives", "in", "the", "house", "is", "old", "sees"}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Teacher:
    folder = tmp_path_factory.mktemp("teacher")
    write_teacher(folder)
    return Teacher.load(folder)


def lines() -> Parallel:
    text = Parallel([("Anna", "lives", "in", "Rom")])
    text.add(("Anna", "lebt", "in", "Rom"), "de", 0, ((0, 0), (1, 1), (2, 2), (3, 3)))
    text.add(("安", "娜", "住", "在", "罗", "马"), "zh", 0, ((0, 0), (0, 1), (1, 2), (2, 3), (3, 4), (3, 5)))
    return text


def versions(teacher: Teacher, spelled: dict[tuple[str, str], tuple[str, ...]]) -> dict[str, tuple[Any, ...]]:
    """Of several seeds one with another name: by language the English line, the translation, the links."""
    for seed in range(20):
        made = exchanged(lines(), Stock(["Bob"], [], spelled), LOWER, teacher, 1, seed)
        if made.english:
            return {
                language: (made.english[line], words, links)
                for language, words, line, links in zip(made.language, made.foreign, made.line, made.links, strict=True)
            }
    raise AssertionError("no name was ever exchanged")


def test_a_name_is_exchanged_on_both_sides(teacher: Teacher) -> None:
    made = versions(teacher, {("zh", "Bob"): ("鲍", "勃", "儿")})
    english = ("Anna", "lives", "in", "Bob")  # the name at the front stays: any word may have a capital there
    assert made["de"] == (english, ("Anna", "lebt", "in", "Bob"), ((0, 0), (1, 1), (2, 2), (3, 3)))
    assert made["zh"][:2] == (english, ("安", "娜", "住", "在", "鲍", "勃", "儿"))
    assert made["zh"][2][-3:] == ((3, 4), (3, 5), (3, 6))


def test_where_a_name_cannot_be_written_the_old_one_stays_without_a_link(teacher: Teacher) -> None:
    _, words, links = versions(teacher, {})["zh"]
    assert words == lines().foreign[1]
    assert links == ((0, 0), (0, 1), (1, 2), (2, 3))


@pytest.mark.parametrize(
    ("words", "links"),
    [
        (("in", "Rom"), ((2, 1), (3, 1))),  # one word for two English ones
        (("Rom", "in", "Rom"), ((2, 1), (3, 0), (3, 2))),  # a name in two places
        (("römisch",), ((3, 0),)),  # an adjective, as its small letter shows
    ],
)
def test_a_word_that_does_not_stand_for_the_name_alone_is_not_exchanged(
    words: tuple[str, ...], links: tuple[tuple[int, int], ...]
) -> None:
    assert _translated(words, links, {3: ("Bob",)}) == (words, tuple(link for link in links if link[0] != 3))


def test_other_words_are_exchanged_as_a_dictionary_has_them(teacher: Teacher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "EXCHANGED", 1.0)
    text = Parallel([("Anna", "sees", "the", "house")])
    text.add(("Anna", "sieht", "das", "Haus"), "de", 0, ((0, 0), (1, 1), (2, 2), (3, 3)))
    text.add(("Anna", "ser", "huset"), "da", 0, ((0, 0), (1, 1), (3, 2)))
    stock = Stock([], ["lives"], {("de", "lives"): ("lebt",)})
    made = exchanged(text, stock, LOWER, teacher, 1, 1)
    assert made.english == [("Anna", "lives", "the", "lives")]
    found = dict(zip(made.language, zip(made.foreign, made.links, strict=True), strict=True))
    # a noun of German has a capital and no verb stands for it; no dictionary says what "lives" is in Danish
    assert found["de"] == (("Anna", "lebt", "das", "Haus"), ((0, 0), (1, 1), (2, 2)))
    assert found["da"] == (("Anna", "ser", "huset"), ((0, 0),))


def test_each_translation_goes_with_one_version(teacher: Teacher) -> None:
    text = Parallel([("In", "Rom", "lives", "Anna")])
    for _ in range(5):
        text.add(("In", "Rom", "lebt", "Anna"), "de", 0, tuple((k, k) for k in range(4)))
    made = exchanged(text, Stock(["Bob", "Anna", "Rom"], [], {}), LOWER, teacher, 2, 1)
    assert len(made.english) <= 2 and len(made.foreign) <= 5
    for words, line, links in zip(made.foreign, made.line, made.links, strict=True):
        english = made.english[line]
        assert [english[e] for e, f in links if f in (1, 3)] == [words[1], words[3]]


def test_a_name_has_a_capital_and_is_never_seen_without() -> None:
    assert is_name("Bob", LOWER)
    assert not any(is_name(word, LOWER) for word in ("bob", "House", "It", "R2D2"))


def test_words_that_no_dictionary_has_are_written_as_their_neighbours() -> None:
    at = {"anna": (1.0, 0.0), "berta": (0.9, 0.1), "table": (0.0, 1.0), "run": (0.1, 0.9), "clara": (1.0, 0.2)}
    teacher: Any = SimpleNamespace(
        vocabulary=lambda: [*at, "chairs"],
        embeddings=lambda words: {w: np.array({**at, "chairs": (0.1, 1.0)}[w], np.float32) for w in words},
        model=SimpleNamespace(config=SimpleNamespace(hidden_size=2)),
    )
    found = usual(teacher, {"Anna", "Berta", "Dora", "table", "run", "Run"})
    assert found == ["Anna", "Berta", "table", "run", "clara", "chairs"]  # as many vote for a capital as against it
    assert usual(teacher, {"Anna", "Berta", "Clara"})[-1] == "Chairs"  # nothing but names to compare with
    assert usual(teacher, set()) == teacher.vocabulary()


@given(st.text("abc", min_size=1, max_size=8), st.floats(0.0, 1.0), st.integers(0, 2**32))
def test_other_pieces_spell_the_same_word(word: str, refused: float, seed: int) -> None:
    pieces = ["a", "b", "c", "##a", "##b", "##c", "ab", "abc", "##ca", "##bca", "##cc"]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    found = resplit(word, vocabulary, refused, np.random.default_rng(seed))
    assert "".join(pieces[i].removeprefix("##") for i in found) == word
    assert all(pieces[i].startswith("##") == (k > 0) for k, i in enumerate(found))
    if refused == 1.0:
        assert len(found) == len(word)


def test_a_word_that_cannot_be_cut_otherwise_has_no_other_pieces() -> None:
    vocabulary = {"house": 0, "h": 1}
    assert resplit("house", vocabulary, 0.0, np.random.default_rng(0)) == [0]
    assert resplit("house", vocabulary, 1.0, np.random.default_rng(0)) == []


def test_what_is_read_beside_the_text(tmp_path: Path) -> None:
    """Lines with other names and own words are there, and a batch cuts words in other ways without losing a letter."""
    (tmp_path / "plain").mkdir()
    (tmp_path / "more").mkdir()
    mix = Mix(size=700, teacher=10.0, rare=0.0)
    plain = small(tmp_path / "plain", mix)[1]
    tokenizer, data, _ = small(tmp_path / "more", mix, Extra(exchanged=2, own_words=True))
    assert np.bincount(plain.kind)[[ENGLISH, FOREIGN, ENTRY]].tolist() == [4, len(TEXT.foreign), 3]
    counts = np.bincount(data.kind)
    assert counts[ENTRY] > 3 and counts[ENGLISH] >= 4
    assert data.vectors.shape[0] == len(data.surface) == len(data.capital)
    vocabulary = tokenizer.get_vocab()
    kitchen = Kitchen(data, Diet(resplit=1.0, masked=0.0, switched=0.0), 1, vocabulary)
    batch = kitchen.batch(np.array([0]), np.random.default_rng(1))
    spelled = [kitchen.pieces[i].removeprefix("##") for i in batch.ids[0][batch.word[0] >= 0].tolist()]
    assert "".join(spelled) == TEXT.english[0].replace(" ", "")
    assert len(spelled) > len(tokenizer(TEXT.english[0], add_special_tokens=False)["input_ids"])


def test_an_unknown_word_stays_unknown(tmp_path: Path) -> None:
    tokenizer, data, _ = small(tmp_path, Mix(size=700, teacher=10.0, rare=0.0))
    data.pieces[data.piece_at[data.example(0)[0]]] = UNK
    vocabulary = tokenizer.get_vocab()
    for letter in ("[", "##U", "##N", "##K", "##]"):  # its name could be spelled
        vocabulary.setdefault(letter, len(vocabulary))
    kitchen = Kitchen(data, Diet(resplit=1.0, masked=0.0, switched=0.0), 1, vocabulary)
    for seed in range(5):
        assert kitchen.batch(np.array([0]), np.random.default_rng(seed)).ids[0, 1] == UNK
