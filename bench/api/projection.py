"""Links + source spans → target spans: well-formed whatever the links are, and each source entity has one outcome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from bench.core.sentences import Link, Pair, Span

Outcome = Literal["projected", "unaligned", "conflicting", "filtered"]
OUTCOMES: tuple[Outcome, ...] = ("projected", "unaligned", "conflicting", "filtered")


class Matcher(Protocol):
    """A span rule: a module of `data_recipes.projection.matchers` with this function.

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
    """Which sentences are fit for training: a module of `data_recipes.projection.filters` with this function.

    It sees the source sentence with its spans, the links, the target words, and what the projection gave.
    """

    def keep(self, pair: Pair, projection: Projection) -> bool: ...


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
    support = {index: _support(entities[index], links, one) for index, one in candidates.items()}
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


def _support(entity: Span, links: Sequence[Link], candidate: tuple[int, int]) -> float:
    """Share of the candidate's words that are linked to the entity."""
    start, end = candidate
    return len([word for word in linked_words(entity, links) if start <= word < end]) / (end - start)
