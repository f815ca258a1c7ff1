"""Looking a sentence up in a dictionary: longest phrase first, base forms, case carried over (ours)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from bench.core.sentences import Sentence
from data_recipes.english import FUNCTION_WORDS, bases, irregular_base
from data_recipes.wiktionary import Lexicon

_AUXILIARIES = frozenset({"be", "do", "have"})
_PRONOUNS = frozenset({"pron", "determiner"})
_OPENS = frozenset(".!?:;\"'“”„«‘’([-–—…")  # after these a capital may be that of a sentence


class Piece(NamedTuple):
    """Source words start to end (exclusive) and the text in their place; "" for a word that is left out."""

    start: int
    end: int
    text: str
    kind: str  # translated, copied or dropped


class Lookup:
    """A lexicon, and how its headwords are found for words as they stand in a sentence."""

    def __init__(self, lexicon: Lexicon, source: str, max_phrase: int) -> None:
        self.lexicon, self.english, self.max_phrase = lexicon, source == "en", max_phrase

    def pieces(self, sentence: Sentence, copied_types: Collection[str]) -> list[Piece]:
        """The sentence in pieces; none crosses the border of an entity, and entities of the types are copied."""
        words = sentence.words
        owner = [-1] * len(words)
        for number, span in enumerate(sentence.spans or ()):
            owner[span.start : span.end] = [number] * (span.end - span.start)
        copied = [own >= 0 and (sentence.spans or ())[own].type in copied_types for own in owner]
        found: list[Piece] = []
        position = 0
        while position < len(words):
            piece = None if copied[position] else self._longest(words, owner, position)
            piece = piece or Piece(position, position + 1, words[position], "copied")
            found.append(piece)
            position = piece.end
        return found

    def _longest(self, words: Sequence[str], owner: Sequence[int], start: int) -> Piece | None:
        initial = all(word in _OPENS for word in words[:start]) or words[start - 1] in _OPENS
        for end in range(min(start + self.max_phrase, len(words)), start, -1):
            if any(own != owner[start] for own in owner[start:end]):
                continue
            text = self.find(words[start:end], initial, owner[start] >= 0)
            if text is not None:
                return Piece(start, end, text, "translated" if text else "dropped")
        return None

    def find(self, words: Sequence[str], initial: bool, named: bool) -> str | None:
        """The translation of a phrase; "" where it has none and is left out, None where nothing is known of it."""
        joined = " ".join(words).replace(" - ", "-").replace(" 's", "'s").replace(" ’s", "'s")
        small = joined.lower()
        if not any(letter.isalpha() for letter in words[0]) or not any(letter.isalpha() for letter in words[-1]):
            return "" if self.english and small in FUNCTION_WORDS else None
        if self.english and _is_abbreviation(joined):
            return self.lexicon.best.get(joined)  # US is no pronoun, and J. no letter of the alphabet
        for head, as_it_is in self._heads(words, joined, small, initial and not named):
            if (text := self.lexicon.best.get(head)) is not None:
                return text if as_it_is and not initial else _cased(text, joined)
        return "" if small in self.lexicon.silent or (self.english and small in FUNCTION_WORDS) else None

    def _heads(self, words: Sequence[str], joined: str, small: str, initial: bool) -> Iterator[tuple[str, bool]]:
        """Headwords to try, and whether one's translation has the dictionary's case."""
        base = irregular_base(small) if self.english and len(words) == 1 else ""
        kinds = self.lexicon.kinds.get(small, set())
        if base and not (kinds & _PRONOUNS or ("v" in kinds and base in _AUXILIARIES)):
            yield base, False  # saw is of see, no tool; but a dictionary that has is or him is right
        if initial and joined != "I":
            yield small, False
        yield joined, joined != small
        yield small, False
        if base:
            yield base, False
        if self.english and small.isascii() and len(small) > 3:
            *before, last = small.split(" ")
            for form in bases(last):
                yield " ".join((*before, form)), False


def _is_abbreviation(word: str) -> bool:
    """Up to four capitals, and full stops; but A and I are words."""
    return word not in ("A", "I") and word.isupper() and len(word.replace(".", "")) <= 4 and " " not in word


def _cased(text: str, like: str) -> str:
    """The text with the capitals of the source words: all, or the first letter's; a dictionary's own are kept."""
    letters = [letter for letter in like if letter.isalpha()]
    if len(letters) > 1 and all(letter.isupper() for letter in letters):
        return text.upper()
    return text[:1].upper() + text[1:] if like[:1].isupper() else text
