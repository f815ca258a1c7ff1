"""What a method's hooks give is checked before it is used; what they raise is traced to the method's own line."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor

from bench.api.method import Losses, Method, Step, Tagger, Term
from bench.plan.units import workers_of

T = TypeVar("T")


def given(value: Any, kind: type[T], method: Method, hook: str) -> T:
    """What a hook of a method gave.

    Raises:
        TypeError: it is of another kind.
    """
    if not isinstance(value, kind):
        raise TypeError(f"{_place(method, hook)} returned {type(value).__name__}, not a {kind.__name__}")
    return value


def terms_of(method: Method, tagger: Tagger, step: Step) -> Losses:
    """The loss terms of a step.

    Raises:
        TypeError: they are no terms, or there is none; or the value of one is no scalar tensor on the tagger's device.
    """
    terms = method.loss(tagger, step)
    if not isinstance(terms, tuple | list) or not terms or not all(isinstance(term, Term) for term in terms):
        raise TypeError(f"{_place(method, 'loss')} returned {type(terms).__name__}, not a tuple of Term")
    device = next(iter(tagger.parameters())).device  # type: ignore[call-overload]
    for term in terms:
        value: Any = term.value
        what = f"a {type(value).__name__}"
        if isinstance(value, Tensor):
            what = f"of shape {tuple(value.shape)}" if value.ndim else f"on {value.device}"
            if not value.ndim and value.device == device:
                continue
        raise TypeError(f"{_place(method, 'loss')}: term '{term.name}' is {what}, not a scalar tensor on {device}")
    return tuple(terms)


def _place(method: Method, hook: str) -> str:
    """The hook and where it is defined, such as "Mine.loss (mine/method.py:12)"."""
    code = getattr(getattr(type(method), hook), "__code__", None)
    path = Path(code.co_filename) if code else Path()
    return f"{type(method).__name__}.{hook}" + (
        f" ({path.parent.name}/{path.name}:{code.co_firstlineno})" if code else ""
    )


def raised_in(error: BaseException, method: Method | None) -> str:
    """The last line of the method's own code that an error came through, such as " (mine/method.py:12, in loss)"."""
    modules = {type(worker).__module__ for worker in workers_of(method)} if method else set()
    packages = {module.rpartition(".")[0] or module for module in modules} - {"bench.api"}
    place = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        module = str(frame.f_globals.get("__name__", ""))
        if any(module == package or module.startswith(f"{package}.") for package in packages):
            path = Path(frame.f_code.co_filename)
            place = f" ({path.parent.name}/{path.name}:{line}, in {frame.f_code.co_name})"
    return place
