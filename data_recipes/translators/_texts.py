"""Translators of running text: words become text, each text is translated once, every failure is counted."""

from __future__ import annotations

import sys
from abc import abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from functools import lru_cache
from typing import NamedTuple

from bench.api.recipes import Corpus, Translated, Translator
from bench.core.errors import BadInput
from bench.core.sentences import Link, Sentence
from bench.core.tokenise import detokenise, tokenise

REPEATS = 4  # a translation that has the same four words in a row this often, and more often than its source, loops
OUTCOMES = ("translated", "too_long", "degenerate", "failed")
LINKED = ("words", "words_linked", "target_words", "target_words_linked")
Characters = tuple[int, int]  # a range of a text: its first character, and the one after its last


class Asked(NamedTuple):
    """A text to translate, and the characters to copy unchanged."""

    text: str
    kept: tuple[Characters, ...] = ()


class Chunk(NamedTuple):
    """Characters of a translation, and those of its source that they translate."""

    target: Characters
    sources: tuple[Characters, ...]


class Draft(NamedTuple):
    """One text's translation, or why there is none."""

    text: str
    outcome: str  # of OUTCOMES
    chunks: tuple[Chunk, ...] | None = None  # None: the system does not link the two sides


class TextTranslator(Translator):
    """A translator of untokenised text; each different text is translated once, independently of the others."""

    @abstractmethod
    def drafts(self, asked: Sequence[Asked], source: str, target: str) -> tuple[list[Draft], str]:
        """The translations in the order of the texts, and who or what made them.

        Raises:
            Unavailable: the languages are not covered, or the system is not installed.
            BadInput: it cannot be loaded or run.
        """

    def kept_types(self) -> Sequence[str]:
        """Types of entities that are copied."""
        return ()

    def translate(self, sentences: Sequence[Sentence], target: str, corpus: Corpus) -> Translated:
        """Translations with the ids and groups of the sentences, without tags; None where one failed.

        Links where the system says which word it made of which. Counts: translated, too_long (of the source),
        degenerate (a loop, or no end), failed (nothing written), which add up to the sentences; the different texts;
        and with links the words of both sides, and how many of them are linked.
        """
        if not sentences:
            return Translated((), (), "", dict.fromkeys(OUTCOMES, 0))
        source, kept = language_of(sentences), self.kept_types()
        asked = [asked_of(sentence, kept) for sentence in sentences]
        unique = list(dict.fromkeys(asked))
        drafts, provenance = self.drafts(unique, source, target)
        draft_of = dict(zip(unique, drafts, strict=True))
        scheme = corpus.tokenisation(target) if self.tokenisation == "corpus" else self.tokenisation
        counts = Counter({**dict.fromkeys(OUTCOMES, 0), "different_texts": len(unique)})
        targets: list[Sentence | None] = []
        links: list[tuple[Link, ...] | None] = []
        for sentence, request in zip(sentences, asked, strict=True):
            draft = draft_of[request]
            words = tokenise(draft.text, target, scheme)
            outcome = draft.outcome if words or draft.outcome != "translated" else "failed"
            if outcome == "translated" and loops(sentence.words, words):
                outcome = "degenerate"
            counts[outcome] += 1
            made = replace(sentence, language=target, words=words, spans=None) if outcome == "translated" else None
            targets.append(made)
            links.append(word_links(sentence.words, request.text, words, draft) if made else None)
            if (linked_words := links[-1]) is not None:
                linked = [len({link[side] for link in linked_words}) for side in (0, 1)]
                counts.update(dict(zip(LINKED, (len(sentence.words), linked[0], len(words), linked[1]), strict=True)))
        return Translated(tuple(targets), tuple(links), provenance, dict(counts))

    def credit(self, label: str, remark: str = "") -> str:
        """The label with licence and remark, for provenance; the licence is also printed, once per process."""
        if self.licence:
            _say(f"{label}: {self.licence}")
        notes = "; ".join(filter(None, (self.licence, remark)))
        return f"{label} ({notes})" if notes else label


def language_of(sentences: Sequence[Sentence]) -> str:
    """The language of one or more sentences; BadInput where they are of several."""
    languages = sorted({sentence.language for sentence in sentences})
    if len(languages) > 1:
        raise BadInput(f"translate takes sentences of one language, not of {', '.join(languages)}")
    return languages[0]


def asked_of(sentence: Sentence, kept: Sequence[str]) -> Asked:
    """The sentence as text; its entities of the types `kept` are to be copied."""
    text = detokenise(sentence.words, sentence.language)
    spans = [span for span in sentence.spans or () if span.type in kept]
    if not spans:
        return Asked(text)
    owners = words_at(sentence.words, text)
    places = [[i for i, own in enumerate(owners) if any(s.start <= w < s.end for w in own)] for s in spans]
    return Asked(text, tuple((positions[0], positions[-1] + 1) for positions in places if positions))


def words_at(words: Sequence[str], text: str) -> list[tuple[int, ...]]:
    """For each character of a text the words (by number) that it belongs to; () for spaces.

    Letters are the same on both sides except in contractions (`de a` written `da`), which difflib aligns.
    """
    letters = [(letter, number) for number, word in enumerate(words) for letter in word if not letter.isspace()]
    places = [place for place, letter in enumerate(text) if not letter.isspace()]
    owners: list[tuple[int, ...]] = [()] * len(text)
    word_letters, text_letters = [letter for letter, _ in letters], [text[place] for place in places]
    if word_letters == text_letters:  # the usual case, and difflib is slow on long texts
        for place, (_, number) in zip(places, letters, strict=True):
            owners[place] = (number,)
        return owners
    for kind, a, b, c, d in SequenceMatcher(None, word_letters, text_letters, autojunk=False).get_opcodes():
        numbers = tuple(sorted({number for _, number in letters[a:b]}))
        for offset, place in enumerate(places[c:d]):
            owners[place] = (letters[a + offset][1],) if kind == "equal" else numbers
    return owners


def word_links(source: Sequence[str], text: str, target: Sequence[str], draft: Draft) -> tuple[Link, ...] | None:
    """Links between words, from the system's links between characters; None where it gives none."""
    if draft.chunks is None:
        return None
    source_words, target_words = words_at(source, text), words_at(target, draft.text)
    links: set[Link] = set()
    for chunk in draft.chunks:
        to = {word for place in range(*chunk.target) for word in target_words[place]}
        of = {word for characters in chunk.sources for place in range(*characters) for word in source_words[place]}
        links.update((i, j) for i in of for j in to)
    return tuple(sorted(links))


def loops(source: Sequence[str], words: Sequence[str]) -> bool:
    """Whether a translation has the same four words in a row REPEATS times, more often than its source (ours)."""

    def most(side: Sequence[str]) -> int:
        return max(Counter(tuple(side[i : i + 4]) for i in range(len(side) - 3)).values(), default=0)

    return REPEATS <= most(words) > most(source)


@lru_cache(maxsize=64)
def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
