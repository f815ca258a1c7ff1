"""The translator `dictionary`: word by word from Wiktionary's bilingual dictionaries, links known by construction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, NamedTuple

from bench.api.recipes import Consumed, Corpus, Translated, Translator
from bench.core.errors import require
from bench.core.sentences import Link, Sentence
from bench.core.tokenise import UNSPACED, tokenise
from data_recipes.english import FUNCTION_WORDS, IRREGULAR_BASES, bases
from data_recipes.translators._texts import language_of
from data_recipes.wiktionary import Lexicon, files_for, hashes_of, lexicon, version_of

_WIDE = {".": "。", ",": "，", "?": "？", "!": "！", ":": "：", ";": "；", "(": "（", ")": "）"}
_ARABIC = {",": "،", "?": "؟", ";": "؛"}
_MARKS = {"zh": _WIDE, "ja": _WIDE, "ar": _ARABIC, "fa": _ARABIC}  # punctuation that differs from English
_COUNTS = ("translated", "failed", "words", "words_translated", "words_copied", "words_dropped", "marks", "phrases")
_AUXILIARIES = frozenset({"be", "do", "have"})
_PRONOUNS = frozenset({"pron", "determiner"})
_OPENS = frozenset(".!?:;\"'“”„«‘’([-–—…")  # after these a capital may be that of a sentence


@dataclass(frozen=True)
class DictionaryParams:
    """All values are ours."""

    max_phrase: int = 4  # words of the longest phrase that is looked up
    copied_types: tuple[str, ...] = ("PER",)  # entities of these types are copied: Bush is no shrub
    stand_in: dict[str, str] = field(default_factory=dict)  # sk = "cs": the dictionary of a related language instead

    def __post_init__(self) -> None:
        require(self.max_phrase >= 1, "max_phrase must be at least 1")


class DictionaryTranslator(Translator):
    """Word-by-word translation without a word order model, after Mayhew et al. 2017 ("Cheap Translation").

    Ours: base forms of English words by rule (where English is the source), the choice among translations (by the
    dictionary alone, no language model: see `data_recipes.wiktionary`), no phrase across an entity's border, copied
    persons. Unknown words, numbers and punctuation are copied. Either side may be English.
    """

    name: ClassVar[str] = "dictionary"
    version = 1
    Params: ClassVar[type] = DictionaryParams
    params: DictionaryParams

    def identity(self, source: str, target: str) -> Mapping[str, object]:
        """Hashes of the dictionaries."""
        return {"dictionaries": hashes_of(self._files(source, target))}

    def consumed(self, source: str, target: str) -> Consumed:
        """A dictionary."""
        return Consumed(dictionary=True)

    def translate(self, sentences: Sequence[Sentence], target: str, corpus: Corpus) -> Translated:
        """Translations with links: one-to-many where an entry has several words, none for a word that is left out.

        Counts: sentences translated and failed; words, of which translated, copied (unknown, or a person's), dropped
        (without a counterpart, such as articles) and marks (numbers, punctuation); phrases of several words.
        """
        counts: Counter[str] = Counter(dict.fromkeys(_COUNTS, 0))
        if not sentences:
            return Translated((), (), "", dict(counts))
        source = language_of(sentences)
        files = self._files(source, target)
        lookup = Lookup(
            lexicon(files, self._dictionary_of(source), self._dictionary_of(target)), source, self.params.max_phrase
        )
        scheme = corpus.tokenisation(target) if self.tokenisation == "corpus" else self.tokenisation
        targets: list[Sentence | None] = []
        links: list[tuple[Link, ...] | None] = []
        for sentence in sentences:
            pieces = lookup.pieces(sentence, self.params.copied_types)
            words, linked = _built(pieces, target, scheme)
            made = Sentence(sentence.id, target, words, None, sentence.group) if words else None
            targets.append(made)
            links.append(linked if made else None)
            counts["translated" if made else "failed"] += 1
            for piece in pieces:
                size = piece.end - piece.start
                mark = piece.kind == "copied" and not any(letter.isalpha() for letter in piece.text)
                counts["marks" if mark else f"words_{piece.kind}"] += size
                counts["words"] += size
                counts["phrases"] += piece.kind == "translated" and size > 1
        provenance = "Wiktionary, word by word: " + ", ".join(version_of(path) for path in files)
        used = {language: self._dictionary_of(language) for language in (source, target)}
        standing = [f"{other} stands in for {language}" for language, other in used.items() if other != language]
        return Translated(tuple(targets), tuple(links), "; ".join([provenance, *standing]), dict(counts))

    def _dictionary_of(self, language: str) -> str:
        return self.params.stand_in.get(language, language)

    def _files(self, source: str, target: str) -> tuple[Path, ...]:
        return files_for(self._dictionary_of(source), self._dictionary_of(target))


def _built(pieces: Iterable[Piece], target: str, scheme: str) -> tuple[tuple[str, ...], tuple[Link, ...]]:
    """The target words, and each source word linked with every word of its piece."""
    words: list[str] = []
    links: list[Link] = []
    for piece in pieces:
        start = len(words)
        if piece.kind == "copied":
            words.append(_MARKS.get(target, {}).get(piece.text, piece.text))
        elif target in UNSPACED and scheme != "characters":
            words.extend(piece.text.split())  # a dictionary knows words where a tokenizer would have none
        else:
            words.extend(tokenise(piece.text, target, scheme))
        links.extend((i, j) for i in range(piece.start, piece.end) for j in range(start, len(words)))
    return tuple(words), tuple(sorted(links))


# --- looking up a sentence: longest phrase first, base forms, case carried over (ours) --------------------------------


class Piece(NamedTuple):
    """Source words start to end (exclusive) and the text in their place; "" for a word that is left out."""

    start: int
    end: int
    text: str
    kind: str  # translated, copied or dropped


class Lookup:
    """A lexicon, looked up by the words of a sentence."""

    def __init__(self, lexicon: Lexicon, source: str, max_phrase: int) -> None:
        self.lexicon, self.english, self.max_phrase = lexicon, source == "en", max_phrase

    def pieces(self, sentence: Sentence, copied_types: Collection[str]) -> list[Piece]:
        """The sentence in pieces; none crosses the border of an entity, and entities of the types are copied."""
        words = sentence.words
        owner = [-1] * len(words)
        for number, span in enumerate(sentence.spans or ()):
            owner[span.start : span.end] = [number] * (span.end - span.start)
        copied = [own >= 0 and (sentence.spans or ())[own].type in copied_types for own in owner]
        pieces: list[Piece] = []
        position = 0
        while position < len(words):
            piece = Piece(position, position + 1, words[position], "copied")
            initial = all(word in _OPENS for word in words[:position]) or words[position - 1] in _OPENS
            longest = position if copied[position] else min(position + self.max_phrase, len(words))
            for end in range(longest, position, -1):
                if len(set(owner[position:end])) == 1:
                    text = self.find(words[position:end], initial, owner[position] >= 0)
                    if text is not None:
                        piece = Piece(position, end, text, "translated" if text else "dropped")
                        break
            pieces.append(piece)
            position = piece.end
        return pieces

    def find(self, words: Sequence[str], initial: bool, named: bool) -> str | None:
        """The translation of a phrase; "" where it is to be left out, None where it is unknown."""
        joined = " ".join(words).replace(" - ", "-").replace(" 's", "'s").replace(" ’s", "'s")
        small = joined.lower()
        if not any(letter.isalpha() for letter in words[0]) or not any(letter.isalpha() for letter in words[-1]):
            return "" if self.english and small in FUNCTION_WORDS else None
        if self.english and _is_abbreviation(joined):
            return self.lexicon.best.get(joined)  # US is not a pronoun, and J. not a letter of the alphabet
        for head, as_it_is in self._heads(words, joined, small, initial and not named):
            if (text := self.lexicon.best.get(head)) is not None:
                return text if as_it_is and not initial else _cased(text, joined)
        return "" if small in self.lexicon.silent or (self.english and small in FUNCTION_WORDS) else None

    def _heads(self, words: Sequence[str], joined: str, small: str, initial: bool) -> Iterator[tuple[str, bool]]:
        """Headwords to try, and whether the translation keeps the dictionary's case."""
        base = IRREGULAR_BASES.get(small, "") if self.english and len(words) == 1 else ""
        kinds = self.lexicon.kinds.get(small, set())
        if base and not (kinds & _PRONOUNS or ("v" in kinds and base in _AUXILIARIES)):
            yield base, False  # saw is a form of see, not a tool; but an entry of its own for `is` or `him` is right
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
    """Up to four capitals and full stops, except the words A and I."""
    return word not in ("A", "I") and word.isupper() and len(word.replace(".", "")) <= 4 and " " not in word


def _cased(text: str, like: str) -> str:
    """The text with all capitals or a first capital, as the source words have; the dictionary's capitals stay."""
    letters = [letter for letter in like if letter.isalpha()]
    if len(letters) > 1 and all(letter.isupper() for letter in letters):
        return text.upper()
    return text[:1].upper() + text[1:] if like[:1].isupper() else text
