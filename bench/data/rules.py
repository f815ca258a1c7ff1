"""Matchers and filters by name, and what they make of a pair."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import cast

from bench.api.projection import Filter, JointMatcher, Matcher, Outcome, Projection, project
from bench.core.errors import BadInput, nearest
from bench.core.sentences import Pair
from data_recipes.projection import filters, matchers

FILTERED: Outcome = "filtered"


@dataclass(frozen=True)
class Projected:
    """A pair whose target has labels, what became of the source entities (in order), and the filter that refused it."""

    pair: Pair
    outcomes: tuple[Outcome, ...]
    refused_by: str = ""


@dataclass(frozen=True)
class Rules:
    """A matcher and any number of filters, loaded."""

    matcher: Matcher | JointMatcher
    filters: tuple[tuple[str, Filter], ...] = ()
    modules: tuple[str, ...] = ()  # their dotted names, for a fingerprint of their code

    def apply(self, pair: Pair) -> Projected:
        """Label the target of a pair; where a filter refuses the sentence, all of its entities are filtered.

        Raises:
            ValueError: a link points outside the target sentence.
            BadInput: a joint matcher's solver failed.
        """
        words = pair.target.words
        return self.judged(pair, project(pair.source.spans or (), pair.links or (), len(words), self.matcher, words))

    def judged(self, pair: Pair, done: Projection) -> Projected:
        """The same with the target's labels known, whatever gave them."""
        labelled = replace(pair, target=replace(pair.target, spans=done.spans))
        for name, one in self.filters:
            if not one.keep(pair, done):
                return Projected(labelled, (FILTERED,) * len(done.outcomes), name)
        return Projected(labelled, done.outcomes)


def matcher_names() -> list[str]:
    """The span rules found, by their names in a matrix."""
    return _names(matchers)


def filter_names() -> list[str]:
    """The filters found, by their names in a matrix."""
    return _names(filters)


def load_matcher(name: str) -> Matcher | JointMatcher:
    """The span rule of that name.

    Raises:
        BadInput: there is none.
    """
    return cast(Matcher | JointMatcher, importlib.import_module(_module(matchers, "matcher", name)))


def load_filter(name: str) -> Filter:
    """The filter of that name.

    Raises:
        BadInput: there is none.
    """
    return cast(Filter, importlib.import_module(_module(filters, "filter", name)))


def load_rules(matcher: str, filters_: Sequence[str] = ()) -> Rules:
    """The matcher and the filters of these names; a sentence must pass every filter.

    Raises:
        BadInput: one of them does not exist.
    """
    modules = (_module(matchers, "matcher", matcher), *(_module(filters, "filter", name) for name in filters_))
    return Rules(load_matcher(matcher), tuple((name, load_filter(name)) for name in filters_), modules)


def _names(package: ModuleType) -> list[str]:
    found = [info.name for info in pkgutil.iter_modules(package.__path__)]
    return sorted(name.replace("_", "-") for name in found if not name.startswith("_"))


def _module(package: ModuleType, kind: str, name: str) -> str:
    known = _names(package)
    if name not in known:
        raise BadInput(f"unknown {kind} '{name}'{nearest(name, known)}")
    return f"{package.__name__}.{name.replace('-', '_')}"
