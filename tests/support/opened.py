"""Which files the code of a plug-in opens itself: not what the harness opens for it, nor what an import reads."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from types import FrameType
from typing import Any

Opened = set[tuple[str, str]]  # the plug-in's module, and the real path
_WATCH: ContextVar[tuple[tuple[str, ...], Opened] | None] = ContextVar("watch", default=None)


@contextmanager
def opened_by(modules: Collection[str]) -> Iterator[Opened]:
    """What these modules, and others of their packages, open meanwhile in this process."""
    _install()
    found: Opened = set()
    token = _WATCH.set((tuple(modules), found))
    try:
        yield found
    finally:
        _WATCH.reset(token)


@cache
def _install() -> None:
    sys.addaudithook(_seen)  # it cannot be taken out again, only told to look away


def _seen(event: str, arguments: tuple[Any, ...]) -> None:
    watch = _WATCH.get()
    if event != "open" or watch is None or not isinstance(arguments[0], str | bytes | os.PathLike):
        return
    modules, found = watch
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        if name.startswith(("bench.", "importlib")):
            return
        for module in modules:
            package = module.rpartition(".")[0] or module
            if name == module or name.startswith(f"{package}."):
                found.add((module, os.path.realpath(os.fsdecode(arguments[0]))))
                return
        frame = frame.f_back
