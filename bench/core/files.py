"""Publication on disk: written to a temporary name, flushed, renamed, so a reader sees all of a file or none.

Plain text files: a tokenised sentence a line, and two files whose lines correspond.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from bench.core.conll import NormalForm, has_control, in_form, lines_of
from bench.core.errors import BadInput
from bench.core.sentences import Pair, Sentence

_JUST_NOW = 10**9  # ns: a file system's clock may tick too slowly to tell two writes apart


def cache_root() -> Path:
    """Where what several results folders share lives: `$XNER_CACHE`, else the user's cache."""
    if given := os.environ.get("XNER_CACHE"):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "xner-bench"


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
    text = json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)
    write_bytes(path, f"{text}\n".encode())


R = TypeVar("R")
T = TypeVar("T")


def text_lines(path: Path) -> Iterator[str]:
    """The lines of a file, a line at a time; what follows the last end of line is none. BadInput as `lines_of`."""
    before: str | None = None
    for line in lines_of(path):
        if before is not None:
            yield before
        before = line
    if before:
        yield before


def beside(
    rows: Iterable[R],
    items: Iterable[T],
    says: Callable[[int, int], str],
    takes: Callable[[R], bool] = lambda row: True,
) -> Iterator[tuple[R, T | None]]:
    """Rows, each with the next item; None for a row that takes none.

    Raises:
        BadInput: there are more or fewer items than rows that take one: `says`, of both numbers.
    """
    left, others, count = iter(items), iter(rows), 0
    for row in others:
        if not takes(row):
            yield row, None
            continue
        found = list(itertools.islice(left, 1))
        if not found:
            raise BadInput(says(count, count + 1 + sum(map(takes, others))))
        count += 1
        yield row, found[0]
    if more := sum(1 for _ in left):
        raise BadInput(says(count + more, count))


@dataclass(frozen=True)
class Lines:
    """A file of tokenised sentences, read again for every pass, never held: empty lines are sentences without words.

    Raises:
        BadInput: while it is read: file:line of what is not UTF-8 or a control character; no line at all.
    """

    path: Path
    language: str
    normalise: NormalForm = ""

    def __iter__(self) -> Iterator[Sentence]:
        number = 0
        for number, line in enumerate(text_lines(self.path), 1):
            line = in_form(line, self.normalise).replace("\t", " ")
            words = tuple(word for word in line.split(" ") if word)  # it may hold a no-break space
            bad = next((word for word in words if has_control(word)), None)
            if bad is not None:
                raise BadInput(f"{self.path}:{number}: a control character in {bad!r}")
            yield Sentence(f"{self.path.stem}-{number}", self.language, words)
        if not number:
            raise BadInput(f"{self.path}: no line in this file")


def read_parallel(source: Path, target: Path, languages: tuple[str, str] = ("", "")) -> Iterator[Pair]:
    """Pairs of the lines of two files; an empty target line is a sentence without a translation, two are no sentence.

    Raises:
        BadInput: as `Lines`; or the two do not correspond: file:line.
    """

    def says(theirs: int, ours: int) -> str:
        return f"{source} has {ours} lines but {target} has {theirs}: line {min(ours, theirs) + 1} has no partner"

    pairs = beside(Lines(source, languages[0]), Lines(target, languages[1]), says)
    for number, (one, two) in enumerate(pairs, 1):
        if two is not None and two.words and not one.words:
            raise BadInput(f"{source}:{number}: an empty line, but {target}:{number} has words")
        yield Pair(one, two or one)
