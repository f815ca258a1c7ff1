"""What a method's hooks give is looked at before it is used: the wrong type is named with the hook that gave it."""

from __future__ import annotations

from typing import Any, TypeVar

from bench.api.method import Losses, Method, Step, Tagger, Term

T = TypeVar("T")


def given(value: Any, kind: type[T], method: Method, hook: str) -> T:
    """What a hook of a method gave.

    Raises:
        TypeError: it is of another kind.
    """
    if not isinstance(value, kind):
        raise TypeError(f"{type(method).__name__}.{hook} gave {type(value).__name__}, not a {kind.__name__}")
    return value


def terms_of(method: Method, tagger: Tagger, step: Step) -> Losses:
    """The loss terms of a step.

    Raises:
        TypeError: they are no terms, or there is none.
    """
    terms = method.loss(tagger, step)
    if not isinstance(terms, tuple | list) or not terms or not all(isinstance(term, Term) for term in terms):
        raise TypeError(f"{type(method).__name__}.loss gave {type(terms).__name__}, not a tuple of Term")
    return tuple(terms)
