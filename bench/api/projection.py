"""Links + source spans → target spans, well-formed whatever the links are; what matchers, filters, transfers are.

Ranges of linked target words: what the span rules choose from.
Square brackets around entities: putting them in, and finding what they hold in a translation.

A translator into Chinese may write them wide (［ ］) or as its own kind of bracket (【 】, 〔 〕, 〖 〗): these pair
like ours (*ours*). Quotes, parentheses and corner brackets are its punctuation and no marks: brackets that became such
are lost, and counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from bench.core.sentences import Link, Pair, Sentence, Span

Range = tuple[int, int]  # first word, and the word after the last


def ranges(linked: Sequence[int], gap: int = 0) -> list[Range]:
    """The runs of consecutive words in `linked` (sorted), those at most `gap` unlinked words apart as one; in order."""
    found: list[Range] = []
    for word in linked:
        if found and word - found[-1][1] <= gap:
            found[-1] = (found[-1][0], word + 1)
        else:
            found.append((word, word + 1))
    return found


def longest(found: Sequence[Range]) -> Range:
    """The range of the most words, the first of those."""
    return max(found, key=lambda one: one[1] - one[0])


OPEN, CLOSE = "[", "]"
KINDS = {OPEN: CLOSE, "［": "］", "【": "】", "〔": "〕", "〖": "〗"}  # what opens: what closes it
_LETTERS = frozenset(KINDS) | frozenset(KINDS.values())


def has_bracket(words: Sequence[str]) -> bool:
    """Whether a word holds a square bracket of any kind: brackets of our own could not be told from it."""
    return any(not _LETTERS.isdisjoint(word) for word in words)


def bracketed(sentence: Sentence, which: Collection[int]) -> Sentence:
    """The sentence with brackets around the entities of these numbers; its spans moved, brackets outside of them."""
    words: list[str] = []
    spans = []
    done = 0
    for number, span in enumerate(sentence.spans or ()):
        words += sentence.words[done : span.start]
        words += [OPEN] * (number in which)
        spans.append(Span(len(words), len(words) + span.end - span.start, span.type))
        words += sentence.words[span.start : span.end]
        words += [CLOSE] * (number in which)
        done = span.end
    return replace(sentence, words=(*words, *sentence.words[done:]), spans=tuple(spans))


def unbracketed(words: Sequence[str]) -> tuple[tuple[str, ...], list[Range]] | None:
    """The words without brackets, and what was bracketed, in order.

    None if the brackets do not pair (each with its own kind), nest or hold nothing, or if one is glued to a word.
    """
    plain: list[str] = []
    ranges: list[Range] = []
    start, closing = 0, ""  # of the bracket that is open
    for word in words:
        if word in KINDS and not closing:
            start, closing = len(plain), KINDS[word]
        elif word and word == closing and start < len(plain):
            ranges.append((start, len(plain)))
            closing = ""
        elif has_bracket([word]):
            return None
        else:
            plain.append(word)
    return None if closing else (tuple(plain), ranges)


Words = tuple[str, ...]

Outcome = Literal["projected", "unaligned", "conflicting", "filtered"]
OUTCOMES: tuple[Outcome, ...] = ("projected", "unaligned", "conflicting", "filtered")
PROJECTED: Outcome = "projected"


class Matcher(Protocol):
    """A span rule: a module of `data_recipes.projection.matchers`, or an entry point of `xner.matchers`.

    `linked` are the target words (sorted, at least one) that the words of the entity are linked to. The answer is the
    target words (start, end) that are to carry the label, or None where the rule wants none of them.
    """

    def match(self, entity: Span, linked: Sequence[int]) -> tuple[int, int] | None: ...


class JointMatcher(Protocol):
    """A span rule that sees all entities of a sentence at once: a module with this function in place of `match`.

    `words` are the target's. The answer is for each entity the target words (start, end) that are to carry its label,
    None where it gets none; ranges do not overlap.
    """

    def assign(
        self, entities: Sequence[Span], links: Sequence[Link], words: Sequence[str]
    ) -> Sequence[tuple[int, int] | None]: ...


@dataclass(frozen=True)
class Projection:
    """Target spans (sorted, never overlapping) and what became of each source entity, in its order."""

    spans: tuple[Span, ...]
    outcomes: tuple[Outcome, ...]


class Filter(Protocol):
    """Which sentences are fit for training: a module of `data_recipes.projection.filters`, or an entry point.

    It sees the source sentence with its spans, the links, the target words, and what the projection gave.
    """

    def keep(self, pair: Pair, projection: Projection) -> bool: ...


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
    """A way to mark entities: a module of `data_recipes.projection.transfers`, or an entry point of `xner.transfers`.

    `read` is asked where `losses` found none; `names` are the translations of the entities. Ranges never overlap.
    """

    COUNTS: tuple[str, ...]  # what `losses` may count
    IN_CONTEXT_FIRST: bool  # how an entity is translated: bracketed in its sentence, or by itself, before the other

    def mark(self, sentence: Sentence) -> Sentence | None: ...

    def losses(self, entities: Sequence[Span], words: Words) -> Counter[str]: ...

    def read(self, entities: Sequence[Span], words: Words, names: Sequence[Words]) -> Marked: ...


def linked_words(entity: Span, links: Sequence[Link]) -> list[int]:
    """The target words linked to any word of the entity, sorted."""
    return sorted({target for source, target in links if entity.start <= source < entity.end})


def project(
    entities: Sequence[Span],
    links: Sequence[Link],
    n_target: int,
    matcher: Matcher | JointMatcher,
    words: Sequence[str] | None = None,
) -> Projection:
    """Project the entities of a source sentence on `n_target` target words (`words`, where they are known).

    An entity is unaligned if it has no link, or if the matcher takes none of its words. Where two entities claim a
    word, the one with more of its candidate's words linked to it wins, then the shorter candidate, then the earlier
    entity: the other is conflicting. A joint matcher settles that itself: an entity to which it gives nothing is
    conflicting if, alone in the sentence, it would have got something. Neither the order of the entities nor that of
    the links matters.

    Raises:
        ValueError: a link points outside the target sentence.
    """
    outside = [t for _, t in links if not 0 <= t < n_target]
    if outside:
        raise ValueError(f"a link points to word {outside[0]} of a sentence of {n_target} words")
    words = words or ("",) * n_target
    candidates = _candidates(entities, links, words, matcher)
    support: dict[int, float] = {}  # share of a candidate's words that are linked to the entity
    for index, (start, end) in candidates.items():
        support[index] = sum(start <= word < end for word in linked_words(entities[index], links)) / (end - start)
    taken = [False] * n_target
    outcomes: list[Outcome] = ["unaligned"] * len(entities)
    spans = []
    for index in sorted(candidates, key=lambda i: (-support[i], candidates[i][1] - candidates[i][0], entities[i])):
        start, end = candidates[index]
        if any(taken[start:end]):
            outcomes[index] = "conflicting"
            continue
        taken[start:end] = [True] * (end - start)
        outcomes[index] = "projected"
        spans.append(Span(start, end, entities[index].type))
    if hasattr(matcher, "assign"):
        for index, entity in enumerate(entities):
            if index not in candidates and _candidates([entity], links, words, matcher):
                outcomes[index] = "conflicting"
    return Projection(tuple(sorted(spans)), tuple(outcomes))


def _candidates(
    entities: Sequence[Span], links: Sequence[Link], words: Sequence[str], matcher: Matcher | JointMatcher
) -> dict[int, tuple[int, int]]:
    """By number of the entity the range that the matcher gives it."""
    found: Sequence[tuple[int, int] | None]
    if hasattr(matcher, "assign"):  # a protocol's isinstance costs more than the matching
        found = matcher.assign(entities, links, words)
    else:
        linked = [linked_words(entity, links) for entity in entities]
        found = [matcher.match(entity, some) if some else None for entity, some in zip(entities, linked, strict=True)]
    return {index: one for index, one in enumerate(found) if one is not None}
