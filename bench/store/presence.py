"""Who is at work in a results folder: runs say that they are there, and prune never frees what one of them uses."""

from __future__ import annotations

import os
import re
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

FOLDER = ".running"  # a locked file a process: the lock ends with the process, however it ends


@contextmanager
def present(out: Path) -> Iterator[None]:
    """This process is at work in the folder until the block ends, or until it dies."""
    path = out / FOLDER / f"{mine()}-{uuid.uuid4().hex[:8]}.lock"
    with gate(out):
        lock = FileLock(path)
        lock.acquire()
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        lock.release()


def gate(out: Path) -> BaseFileLock:
    """A lock that nobody passes while it is held: a run that begins waits for it."""
    (out / FOLDER).mkdir(parents=True, exist_ok=True)
    return FileLock(out / FOLDER / "gate")


def others(out: Path) -> list[str]:
    """Other processes at work in the folder, as `host-pid`; the marks of dead ones are removed."""
    found = []
    for path in sorted((out / FOLDER).glob("*.lock")):
        if path.name.startswith(f"{mine()}-"):
            continue
        if is_held(path):
            found.append(path.name.rpartition("-")[0])
        else:
            path.unlink(missing_ok=True)
    return found


def is_held(path: Path) -> bool:
    """Whether a living process holds the lock of this file."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


def mine() -> str:
    """This process as `others` names it."""
    host = re.sub(r"[^A-Za-z0-9.]", "", socket.gethostname())[:40]
    return f"{host or 'host'}-{os.getpid()}"
