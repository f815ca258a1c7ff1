"""Publication on disk: written to a temporary name, flushed, renamed, so a reader sees all of a file or none."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

_JUST_NOW = 10**9  # ns: a file system's clock may tick too slowly to tell two writes apart


def cache_root() -> Path:
    """Where what several results folders share lives: `$XNER_CACHE`, else the user's cache."""
    given = os.environ.get("XNER_CACHE")
    if given:
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "xner-bench"


def canonical_json(value: Any) -> str:
    """One text a value: sorted keys, no spaces, no NaN; what keys and hashes are taken of."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def sha256_of(data: bytes | str) -> str:
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()


def sha256_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_unchanged(path: Path) -> str:
    """`sha256_of_file`, read once a process while inode, size and times stay; what changed just now is read again."""
    now = path.stat()
    if time.time_ns() - max(now.st_mtime_ns, now.st_ctime_ns) < _JUST_NOW:
        return sha256_of_file(path)
    return _known_sha256(path, now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns)


@lru_cache(maxsize=4096)
def _known_sha256(path: Path, *stat: int) -> str:
    return sha256_of_file(path)


@contextmanager
def published(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; renamed to it when the block ends well, removed when it does not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.", suffix=".tmp")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)  # mkstemp's 0600 would hide results from the colleagues who share the folder
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def published_folder(path: Path) -> Iterator[Path]:
    """Yields an empty folder beside `path`, which must not be there; renamed to it when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name[:40]}."))
    try:
        yield temporary
        temporary.chmod(0o755)
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Publish bytes at `path`."""
    with published(path) as temporary:
        temporary.write_bytes(data)


def write_json(path: Path, value: Any) -> None:
    """Publish a value as readable JSON with sorted keys."""
    write_bytes(
        path, (json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()
    )
