"""Text ↔ words: schemes, languages without spaces, and how near real treebanks the result is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.errors import BadInput
from bench.core.tokenise import SCHEMES, detokenise, tokenise

CASES = [
    ("en", "ud", "I don't see Smith’s well-known $5.50 (5%).", "I do n't see Smith ’s well - known $ 5.50 ( 5 % ) ."),
    ("en", "moses", "I don't know, well-known.", "I don 't know , well-known ."),
    ("fr", "ud", "L'homme est là.", "L' homme est là ."),
    ("uk", "ud", "П'ять об'єктів.", "П'ять об'єктів ."),
    ("fi", "ud", "EU:n johtaja: hyvä.", "EU:n johtaja : hyvä ."),
    ("sk", "ud", "J. Novák, 16. máj.", "J . Novák , 16 . máj ."),
    ("de", "ud", "Der 3. Oktober, z.B. „hier“.", "Der 3. Oktober , z.B. „ hier “ ."),
    ("zh", "ud", "他在New York，有3.5元。", "他 在 New York ， 有 3.5 元 。"),
    (
        "yo",
        "ud",
        "O\u0323\u0300ro\u0323\u0300 na\u0301a\u0300, “bí”.",
        "O\u0323\u0300ro\u0323\u0300 na\u0301a\u0300 , “ bí ” .",
    ),
    ("de", "characters", "ab é", "ab é"),
    ("th", "moses", "ที่นี่", "ที่ นี่"),
]


@pytest.mark.parametrize(("language", "scheme", "text", "words"), CASES)
def test_tokenise(language: str, scheme: str, text: str, words: str) -> None:
    assert tokenise(text, language, scheme) == tuple(words.split())


@given(st.lists(st.text("abdeo\u0300\u0301\u0323", min_size=1, max_size=8), min_size=1, max_size=12))
def test_combining_marks_stay_on_their_letters(words: list[str]) -> None:
    words = ["n" + word for word in words]  # a mark needs a letter before it
    assert tokenise(" ".join(words), "yo", "ud") == tuple(words)
    assert tokenise("(" + " ".join(words) + ")", "yo", "ud") == ("(", *words, ")")


@pytest.mark.parametrize(
    ("language", "words", "text"),
    [
        ("en", "I do n't know Smith 's well - known friend .", "I don't know Smith's well-known friend."),
        ("en", "mother - in - law", "mother-in-law"),
        ("en", "- - and a -", "- - and a -"),
        ("fr", "L' homme ( ici ) .", "L'homme (ici)."),
        ("de", "„ Ja “ , sagte er .", "„Ja“, sagte er."),
        ("zh", "他 在 New York ， 有 3.5 元 。", "他在New York，有3.5元。"),
        ("ja", "エー と", "エーと"),
        ("ko", "나는 집에 간다 .", "나는 집에 간다."),
    ],
)
def test_detokenise(language: str, words: str, text: str) -> None:
    assert detokenise(words.split(), language) == text


def test_white_space_has_no_words_and_unknown_schemes_are_refused() -> None:
    assert tokenise("  ", "de", "ud") == () == tokenise("", "zh", "characters") and detokenise([], "de") == ""
    with pytest.raises(BadInput, match="unknown tokenisation 'bpe'"):
        tokenise("a", "de", "bpe")


@given(
    st.text(st.characters(categories=("L", "N", "P", "Zs"), exclude_characters="\u180e"), max_size=40),
    st.sampled_from(["en", "de", "fi", "sk", "zh", "hi"]),
    st.sampled_from(SCHEMES),
)
def test_no_character_is_lost_and_no_word_holds_a_space(text: str, language: str, scheme: str) -> None:
    words = tokenise(text, language, scheme)
    assert all(words) and not any(character.isspace() for word in words for character in word)
    assert "".join(words) == "".join(text.split())


# --- real treebanks: words again from the raw text, spans of characters compared --------------------------------------

TREEBANKS = [("en", "en_pud"), ("de", "de_pud"), ("pt", "pt_pud"), ("da", "da_ddt"), ("sk", "sk_snk"), ("sr", "sr_set")]
AT_LEAST = {"en": 99.0, "de": 98.0, "pt": 99.0, "da": 99.0, "sk": 99.0, "sr": 99.0}


def read(path: Path) -> Iterator[tuple[str, list[str]]]:
    text, words = "", list[str]()
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("# text ="):
            text = line.removeprefix("# text =").strip()
        elif line and not line.startswith("#"):
            words.append(line.split("\t")[1].replace(" ", ""))
        elif not line and words:
            yield text, words
            words = []


def places(words: list[str] | tuple[str, ...]) -> set[tuple[int, int]]:
    ends = [sum(map(len, words[: i + 1])) for i in range(len(words))]
    return {(end - len(word), end) for word, end in zip(words, ends, strict=True)}


@pytest.mark.data
@pytest.mark.parametrize(("language", "name"), TREEBANKS)
def test_words_are_near_those_of_the_treebank(language: str, name: str) -> None:
    path = Path(os.environ.get("XNER_DATA", "")) / "uner" / name / f"{name}-ud-test.iob2"
    if not path.is_file():
        pytest.skip("needs uner in $XNER_DATA")
    both = gold = found = 0
    for text, words in list(read(path))[:300]:
        expected, made = places(words), places(tokenise(text, language, "ud"))
        both, gold, found = both + len(expected & made), gold + len(expected), found + len(made)
    assert 200 * both / (gold + found) >= AT_LEAST[language]
