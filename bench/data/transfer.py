"""Labels carried by marks: a sentence is translated again with its entities marked, and the marks are read back."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import Protocol, cast

from bench.api.brackets import bracketed, has_bracket, unbracketed
from bench.api.projection import Outcome, Projection
from bench.api.recipes import Corpus, Translated, Translator
from bench.core.sentences import Link, Sentence, Span

Words = tuple[str, ...]
PROJECTED: Outcome = "projected"
CAUSES = ("marks_clash", "marks_untranslated", "marks_unreadable", "marks_nameless")  # why a sentence falls back
NAMES = ("names_in_context", "names_alone", "names_missing")
_STOPS = frozenset(".。")


@dataclass(frozen=True)
class Marked:
    """A translation with marks, read: its words, and for each source entity the words that carry its label."""

    words: Words
    ranges: tuple[tuple[int, int] | None, ...]
    outcomes: tuple[Outcome, ...]

    def projection(self, entities: Sequence[Span]) -> Projection:
        """As `project` gives it."""
        found = [Span(*one, entity.type) for entity, one in zip(entities, self.ranges, strict=True) if one is not None]
        return Projection(tuple(sorted(found)), self.outcomes)

    def links(self, entities: Sequence[Span]) -> tuple[Link, ...]:
        """Each word of an entity with each of its translation: all that is known of this translation's words (ours)."""
        return tuple(
            (source, target)
            for entity, one in zip(entities, self.ranges, strict=True)
            if one is not None
            for source in range(entity.start, entity.end)
            for target in range(*one)
        )


class Transfer(Protocol):
    """A way to mark entities: a module of `data_recipes.projection.transfers`.

    `read` is asked where `losses` found none; `names` are the translations of the entities. Ranges never overlap.
    """

    COUNTS: tuple[str, ...]  # what `losses` may count
    IN_CONTEXT_FIRST: bool  # how an entity is translated: bracketed in its sentence, or by itself, before the other

    def mark(self, sentence: Sentence) -> Sentence | None: ...

    def losses(self, entities: Sequence[Span], words: Words) -> Counter[str]: ...

    def read(self, entities: Sequence[Span], words: Words, names: Sequence[Words]) -> Marked: ...


def same_words(one: Words, other: Words) -> tuple[Link, ...]:
    """Links between two texts of one language: the words of their longest common runs, found greedily (difflib)."""
    blocks = SequenceMatcher(None, one, other, autojunk=False).get_matching_blocks()
    return tuple((block.a + i, block.b + i) for block in blocks for i in range(block.size))


def module_of(name: str) -> str:
    """The dotted name of a transfer's module, for a fingerprint of its code."""
    return f"{__package__}.transfers.{name}"


def load_transfer(name: str) -> Transfer:
    """The transfer of that name (`align` is none: it needs no marks)."""
    return cast(Transfer, importlib.import_module(module_of(name)))


class MarkedTranslations:
    """Translates sentences of one language with marks, and their entities; every loss is counted."""

    def __init__(self, how: Transfer, translator: Translator, target: str, corpus: Corpus) -> None:
        self.how, self.translator, self.target, self.corpus = how, translator, target, corpus
        self.counts: Counter[str] = Counter(dict.fromkeys(("marked", "marked_read", *CAUSES, *NAMES, *how.COUNTS), 0))

    def of(self, sentences: Sequence[Sentence]) -> list[Marked | None]:
        """For each sentence its marked translation, None where it has none that can be read: it falls back.

        Counts: sentences `marked` = `marked_read` + those that fall back by cause (`marks_…`: marks like these stand in
        the sentence, no translation, marks lost or damaged, an entity without a translation); marks lost or damaged by
        their own names; entities in readable translations by how they were translated (`names_…`).
        """
        asked = [self.how.mark(sentence) for sentence in sentences]
        self.counts["marked"] += len(asked)
        self.counts["marks_clash"] += asked.count(None)
        drafts = self._translated([one and replace(one, id=f"{one.id}#marked") for one in asked])
        self.counts["marks_untranslated"] += sum(
            m is not None and d is None for m, d in zip(asked, drafts, strict=True)
        )
        readable = [draft is not None and self._whole(s, draft) for s, draft in zip(sentences, drafts, strict=True)]
        names = iter(self._names([s for s, able in zip(sentences, readable, strict=True) if able]))
        found: list[Marked | None] = []
        for sentence, draft, able in zip(sentences, drafts, readable, strict=True):
            known = next(names) if able else []
            have = [name for name in known if name is not None]
            if draft is None or not able or len(have) < len(known):
                self.counts["marks_nameless"] += able
                found.append(None)
                continue
            self.counts["marked_read"] += 1
            found.append(self.how.read(sentence.spans or (), draft, have))
        return found

    def _whole(self, sentence: Sentence, draft: Words) -> bool:
        losses = self.how.losses(sentence.spans or (), draft)
        self.counts.update(losses)
        self.counts["marks_unreadable"] += bool(losses)
        return not losses

    def _names(self, sentences: Sequence[Sentence]) -> list[list[Words | None]]:
        """For each sentence its entities' translations, in one way and, where that gives none, in the other."""
        places = [(s, number) for s in sentences for number in range(len(s.spans or ()))]
        ways = [(self._in_context, "names_in_context"), (self._alone, "names_alone")]
        found: dict[tuple[str, int], Words] = {}
        for way, count in ways if self.how.IN_CONTEXT_FIRST else ways[::-1]:
            open_ = [(s, number) for s, number in places if (s.id, number) not in found]
            for (s, number), words in zip(open_, way(open_), strict=True):
                if words:
                    found[s.id, number] = words
                    self.counts[count] += 1
        self.counts["names_missing"] += len(places) - len(found)
        return [[found.get((s.id, number)) for number in range(len(s.spans or ()))] for s in sentences]

    def _in_context(self, places: Sequence[tuple[Sentence, int]]) -> list[Words | None]:
        """What a lone pair of brackets around the entity holds when the whole sentence is translated."""
        asked = [
            None if has_bracket(s.words) else replace(bracketed(s, [number]), id=f"{s.id}#entity{number}")
            for s, number in places
        ]
        found: list[Words | None] = []
        for draft in self._translated(asked):
            plain = draft and unbracketed(draft)
            found.append(plain[0][slice(*plain[1][0])] if plain and len(plain[1]) == 1 else None)
        return found

    def _alone(self, places: Sequence[tuple[Sentence, int]]) -> list[Words | None]:
        """The entity as a sentence; a full stop that it did not have is taken off (ours)."""
        asked: list[Sentence | None] = []
        for s, number in places:
            span = (s.spans or ())[number]
            words = s.words[span.start : span.end]
            own = (Span(0, len(words), span.type),)
            asked.append(replace(s, id=f"{s.id}#alone{number}", words=words, spans=own))
        found: list[Words | None] = []
        for one, draft in zip(asked, self._translated(asked), strict=True):
            if draft and len(draft) > 1 and draft[-1] in _STOPS and one and one.words[-1][-1:] not in _STOPS:
                draft = draft[:-1]
            found.append(None if draft is None or has_bracket(draft) else draft)
        return found

    def _translated(self, sentences: Sequence[Sentence | None]) -> list[Words | None]:
        """The translations' words, None where there was nothing to translate, or no translation."""
        asked = [one for one in sentences if one is not None]
        if not asked:
            return [None] * len(sentences)
        out: Translated = self.translator.translate(asked, self.target, self.corpus)
        words = iter([one.words if one is not None and one.words else None for one in out.targets])
        return [None if one is None else next(words) for one in sentences]
