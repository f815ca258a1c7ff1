"""The two kinds of lock: an artefact's, while it is made, and the claim of a unit of work in a results folder.

Both belong to a process and end with it, however it ends. They only save work: what is published is whole anyway.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from bench.core.files import sha256_of

CLAIMS = ".claims"


class Busy(Exception):
    """Another process is at it, and the caller did not want to wait."""


@contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[None]:
    """This process's until the block ends or the process dies; Busy, unless `wait`, where it is another's."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=-1 if wait else 0)
    except Timeout as error:
        raise Busy from error
    try:
        yield
    finally:
        lock.release()


def claim_file(out: Path, work: str) -> Path:
    """The file that is locked while a process is at this piece of work of the folder."""
    return out / CLAIMS / f"{sha256_of(work)[:32]}.lock"


def claimed(out: Path, work: str, wait: bool = True) -> AbstractContextManager[None]:
    """The piece of work is this process's, as `locked`."""
    file = claim_file(out, work)
    file.parent.mkdir(parents=True, exist_ok=True)
    return locked(file, wait)


def held_claims(out: Path, known: Collection[Path] = ()) -> list[Path]:
    """The claims, but the known ones, that some process holds now."""
    return [file for file in sorted((out / CLAIMS).glob("*.lock")) if file not in known and _is_held(file)]


def _is_held(file: Path) -> bool:
    try:
        with locked(file, wait=False):
            return False
    except Busy:
        return True
