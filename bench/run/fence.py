"""A method writes nothing: what its own code writes outside the run's folders fails its cell, and is not done."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import FrameType
from typing import Any

PATHS = {  # audit events → how many of their first arguments are paths
    "open": 1,
    "os.mkdir": 1,
    "os.rmdir": 1,
    "os.remove": 1,
    "os.truncate": 1,
    "os.rename": 2,
    "os.link": 2,
    "os.symlink": 2,
}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class WroteElsewhere(RuntimeError):
    """A method's own code was about to write outside the run's folders."""


@dataclass(frozen=True)
class Fence:
    """Whose code is watched (prefixes of module names), and the folders in which it may write."""

    packages: tuple[str, ...]
    folders: tuple[str, ...]


_FENCE: ContextVar[Fence | None] = ContextVar("fence", default=None)  # a hook cannot be taken out again, only told


@contextmanager
def fenced(module: str, folders: Sequence[Path]) -> Iterator[None]:
    """While it is entered, the code of a method's package may write in `folders` and the temporary one alone.

    `module` is where the method is. What the harness writes on the method's behalf (translations in the cache), what an
    import leaves and what native code does are not looked at.
    """
    _install()
    allowed = [*folders, Path(tempfile.gettempdir())]
    packages = ("methods", module.partition(".")[0])
    token = _FENCE.set(Fence(packages, tuple(os.path.realpath(folder) for folder in allowed)))
    try:
        yield
    finally:
        _FENCE.reset(token)


@lru_cache(maxsize=1)
def _install() -> None:
    sys.addaudithook(_watch)


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    fence = _FENCE.get()
    if fence is None or event not in PATHS:
        return
    if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & WRITING):
        return
    paths = [os.path.realpath(p) for p in arguments[: PATHS[event]] if isinstance(p, str | bytes | os.PathLike)]
    outside = [os.fsdecode(path) for path in paths if not _inside(os.fsdecode(path), fence.folders)]
    if outside and _by_the_method(fence.packages):
        raise WroteElsewhere(f"it was about to write {outside[0]}: a method writes nothing outside the run's folders")


def _inside(path: str, folders: Sequence[str]) -> bool:
    return path.startswith("/dev/") or any(path == folder or path.startswith(folder + os.sep) for folder in folders)


def _by_the_method(packages: Sequence[str]) -> bool:
    """Whether the method's code is nearer to what happens than the harness's, or an import."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        if name.startswith(("bench.", "importlib.")):
            return False
        if any(name == package or name.startswith(f"{package}.") for package in packages):
            return True
        frame = frame.f_back
    return False
