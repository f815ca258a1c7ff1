"""Links + source spans → target spans: well-formed whatever the links are, and each source entity has one outcome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from bench.corpus import Link, Pair, Span

Outcome = Literal["projected", "unaligned", "conflicting", "filtered"]
OUTCOMES: tuple[Outcome, ...] = ("projected", "unaligned", "conflicting", "filtered")


class Matcher(Protocol):
    """A span rule: a module of `data_recipes.projection.matchers` with this function.

    `linked` are the target words (sorted, at least one) that the words of the entity are linked to. The answer is the
    target words (start, end) that are to carry the label, or None where the rule wants none of them.
    """

    def match(self, entity: Span, linked: Sequence[int]) -> tuple[int, int] | None: ...


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


def project(entities: Sequence[Span], links: Sequence[Link], n_target: int, matcher: Matcher) -> Projection:
    """Project the entities of a source sentence on `n_target` target words.

    An entity is unaligned if it has no link, or if the matcher takes none of its words. Where two entities claim a
    word, the one with more of its candidate's words linked to it wins, then the shorter candidate, then the earlier
    entity: the other is conflicting. Neither the order of the entities nor that of the links matters.

    Raises:
        ValueError: a link points outside the target sentence.
    """
    outside = [t for _, t in links if not 0 <= t < n_target]
    if outside:
        raise ValueError(f"a link points to word {outside[0]} of a sentence of {n_target} words")
    candidates: dict[int, tuple[int, int]] = {}
    support: dict[int, float] = {}
    for index, entity in enumerate(entities):
        linked = linked_words(entity, links)
        candidate = matcher.match(entity, linked) if linked else None
        if candidate is not None:
            start, end = candidates[index] = candidate
            support[index] = len([t for t in linked if start <= t < end]) / (end - start)
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
    return Projection(tuple(sorted(spans)), tuple(outcomes))
