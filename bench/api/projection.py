"""Source spans → target spans, by word links or by brackets in a translation; matchers, filters and transfers.

A translator into Chinese may write square brackets wide (［ ］) or as its own (【 】, 〔 〕, 〖 〗), which pair as well
(*ours*). Quotes, parentheses and corner brackets are punctuation: brackets that became such are lost, and counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from bench.core.sentences import Link, Pair, Sentence, Span

Range = tuple[int, int]  # first word, and the word after the last


def ranges(linked: Sequence[int], gap: int = 0) -> list[Range]:
    """The runs of consecutive words in `linked` (sorted), joined if at most `gap` unlinked words apart; in order."""
    runs: list[Range] = []
    for word in linked:
        if runs and word - runs[-1][1] <= gap:
            runs[-1] = (runs[-1][0], word + 1)
        else:
            runs.append((word, word + 1))
    return runs


def longest(runs: Sequence[Range]) -> Range:
    """The first range with the most words."""
    return max(runs, key=lambda run: run[1] - run[0])


OPEN, CLOSE = "[", "]"
KINDS = {OPEN: CLOSE, "［": "］", "【": "】", "〔": "〕", "〖": "〗"}  # opening: closing bracket
_LETTERS = frozenset(KINDS) | frozenset(KINDS.values())


def has_bracket(words: Sequence[str]) -> bool:
    """Whether a word holds a square bracket of any kind, which could not be told from a mark."""
    return any(not _LETTERS.isdisjoint(word) for word in words)


def bracketed(sentence: Sentence, which: Collection[int]) -> Sentence:
    """The sentence with brackets around the entities of these numbers; its spans are moved and hold no brackets."""
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
    """The words without brackets, and the bracketed ranges, in order.

    None if brackets do not pair (each with its own kind), nest or hold nothing, or if one is glued to a word.
    """
    plain: list[str] = []
    ranges: list[Range] = []
    start, closing = 0, ""  # of the open bracket
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

    `linked` are the target words (sorted, at least one) linked to the words of the entity. The answer is the target
    words (start, end) that get the label, or None if the rule wants none of them.
    """

    def match(self, entity: Span, linked: Sequence[int]) -> Range | None: ...


class JointMatcher(Protocol):
    """A span rule that sees all entities of a sentence at once: a module with this function in place of `match`.

    `words` are the target's. The answer is for each entity the target words (start, end) that get its label, or None;
    ranges do not overlap.
    """

    def assign(
        self, entities: Sequence[Span], links: Sequence[Link], words: Sequence[str]
    ) -> Sequence[Range | None]: ...


@dataclass(frozen=True)
class Projection:
    """Target spans (sorted, never overlapping) and what became of each source entity, in its order."""

    spans: tuple[Span, ...]
    outcomes: tuple[Outcome, ...]


class Filter(Protocol):
    """Which sentences are fit for training: a module of `data_recipes.projection.filters`, or an entry point.

    It sees the source sentence with its spans, the links, the target words, and the projection.
    """

    def keep(self, pair: Pair, projection: Projection) -> bool: ...


@dataclass(frozen=True)
class Marked:
    """A translation whose marks were read: its words, and for each source entity the words that carry its label."""

    words: Words
    ranges: tuple[Range | None, ...]
    outcomes: tuple[Outcome, ...]

    def projection(self, entities: Sequence[Span]) -> Projection:
        """As `project` gives it."""
        spans = [Span(*range_, e.type) for e, range_ in zip(entities, self.ranges, strict=True) if range_ is not None]
        return Projection(tuple(sorted(spans)), self.outcomes)

    def links(self, entities: Sequence[Span]) -> tuple[Link, ...]:
        """Each word of an entity with each of its translation: nothing else is known of the words' links (ours)."""
        return tuple(
            (source, target)
            for entity, range_ in zip(entities, self.ranges, strict=True)
            if range_ is not None
            for source in range(entity.start, entity.end)
            for target in range(*range_)
        )


class Transfer(Protocol):
    """A way to mark entities: a module of `data_recipes.projection.transfers`, or an entry point of `xner.transfers`.

    `read` is called if `losses` found none; `names` are the translations of the entities. Ranges never overlap.
    """

    COUNTS: tuple[str, ...]  # the names of the losses
    IN_CONTEXT_FIRST: bool  # whether an entity is translated bracketed in its sentence before it is tried by itself

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
    """Project the entities of a source sentence on `n_target` target words (`words`, if they are known).

    An entity is unaligned if it has no link, or if the matcher takes none of its words. If two entities claim a word,
    the one with the larger share of its candidate's words linked to it wins, then the shorter candidate, then the
    earlier entity; the other is conflicting. A joint matcher settles that itself: an entity to which it gives nothing
    is conflicting if, alone in the sentence, it would have got something. The orders of entities and links do not
    matter.

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
) -> dict[int, Range]:
    """By number of the entity the range that the matcher gives it."""
    chosen: Sequence[Range | None]
    if hasattr(matcher, "assign"):  # a protocol's isinstance costs more than the matching
        chosen = matcher.assign(entities, links, words)
    else:
        linked = [linked_words(entity, links) for entity in entities]
        chosen = [matcher.match(entity, some) if some else None for entity, some in zip(entities, linked, strict=True)]
    return {index: range_ for index, range_ in enumerate(chosen) if range_ is not None}
