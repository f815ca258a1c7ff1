"""Links + source spans → target spans; every source entity ends as exactly one of projected, unaligned, conflicting."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from bench.corpus import BadInput, Link, Span, nearest
from data_recipes.projection import matchers

Outcome = Literal["projected", "unaligned", "conflicting"]


class Matcher(Protocol):
    """A span rule: a module of `data_recipes.projection.matchers` with this function."""

    def match(self, entity: Span, linked: Sequence[int]) -> tuple[int, int]: ...


@dataclass(frozen=True)
class Projection:
    """Target spans (sorted, never overlapping) and what became of each source entity, in its order."""

    spans: tuple[Span, ...]
    outcomes: tuple[Outcome, ...]


def matcher_names() -> list[str]:
    """The span rules found, by their names in a matrix."""
    return sorted(info.name.replace("_", "-") for info in pkgutil.iter_modules(matchers.__path__))


def load_matcher(name: str) -> Matcher:
    """The span rule of that name.

    Raises:
        BadInput: there is none.
    """
    if name not in matcher_names():
        raise BadInput(f"labels.matcher: unknown matcher '{name}'{nearest(name, matcher_names())}")
    module: Matcher = importlib.import_module(f"{matchers.__name__}.{name.replace('-', '_')}")
    return module


def project(entities: Sequence[Span], links: Sequence[Link], n_target: int, matcher: Matcher) -> Projection:
    """Project the entities of a source sentence on `n_target` target words.

    Where two entities claim a word, the one with more of its candidate's words linked to it wins, then the shorter
    candidate, then the earlier: the other is conflicting. The output is well-formed whatever the links are.

    Raises:
        ValueError: a link points outside the target sentence.
    """
    outside = [t for _, t in links if not 0 <= t < n_target]
    if outside:
        raise ValueError(f"a link points to word {outside[0]} of a sentence of {n_target} words")
    candidates: dict[int, tuple[int, int]] = {}
    support: dict[int, float] = {}
    for index, entity in enumerate(entities):
        linked = sorted({t for s, t in links if entity.start <= s < entity.end})
        if linked:
            start, end = candidates[index] = matcher.match(entity, linked)
            support[index] = len([t for t in linked if start <= t < end]) / (end - start)
    taken = [False] * n_target
    outcomes: list[Outcome] = ["unaligned"] * len(entities)
    spans = []
    for index in sorted(candidates, key=lambda i: (-support[i], candidates[i][1] - candidates[i][0], i)):
        start, end = candidates[index]
        if any(taken[start:end]):
            outcomes[index] = "conflicting"
            continue
        taken[start:end] = [True] * (end - start)
        outcomes[index] = "projected"
        spans.append(Span(start, end, entities[index].type))
    return Projection(tuple(sorted(spans)), tuple(outcomes))
