"""Files: hashes, atomic writing (a reader sees all of a file or none), and tokenised text with a sentence a line."""

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
    """The folder of what results folders share: `$XNER_CACHE`, else in the user's cache; BadInput if it is a file."""
    if given := os.environ.get("XNER_CACHE"):
        if Path(given).is_file():
            raise BadInput(f"XNER_CACHE={given}: a file, where the folder of shared results should be")
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "xner-bench"


def canonical_json(value: Any) -> str:
    """JSON that is the same for equal values, for keys and hashes: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def sha256_of(data: bytes | str) -> str:
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()


def sha256_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_unchanged(path: Path) -> str:
    """`sha256_of_file`, once a process while inode, size and times stay; a file changed just now is read again."""
    stat = path.stat()
    if time.time_ns() - max(stat.st_mtime_ns, stat.st_ctime_ns) < _JUST_NOW:
        return sha256_of_file(path)
    return _known_sha256(path, stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


@lru_cache(maxsize=4096)
def _known_sha256(path: Path, *stat: int) -> str:
    return sha256_of_file(path)


@contextmanager
def published(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; renamed to it if the block ends well, removed otherwise."""
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
    """Yields an empty folder beside `path`, which must not exist; renamed to it if the block ends well."""
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
    """The lines of a file, one at a time, without an empty one after the last line end. BadInput as `lines_of`."""
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
        BadInput: there are more or fewer items than rows that take one: `says(number of items, number of rows)`.
    """
    next_items, next_rows, count = iter(items), iter(rows), 0
    for row in next_rows:
        if not takes(row):
            yield row, None
            continue
        item = list(itertools.islice(next_items, 1))
        if not item:
            raise BadInput(says(count, count + 1 + sum(map(takes, next_rows))))
        count += 1
        yield row, item[0]
    if more := sum(1 for _ in next_items):
        raise BadInput(says(count + more, count))


@dataclass(frozen=True)
class Lines:
    """A file of tokenised sentences, read again for every pass, never held: empty lines are sentences without words.

    Raises:
        BadInput: while it is read: text that is not UTF-8 or a control character, with file:line; no line at all.
    """

    path: Path
    language: str
    normalise: NormalForm = ""

    def __iter__(self) -> Iterator[Sentence]:
        number = 0
        for number, line in enumerate(text_lines(self.path), 1):
            line = in_form(line, self.normalise).replace("\t", " ")
            words = tuple(word for word in line.split(" ") if word)  # not split(): a word may hold a no-break space
            bad = next((word for word in words if has_control(word)), None)
            if bad is not None:
                raise BadInput(f"{self.path}:{number}: a control character in {bad!r}")
            yield Sentence(f"{self.path.stem}-{number}", self.language, words)
        if not number:
            raise BadInput(f"{self.path}: no line in this file")


def read_parallel(source: Path, target: Path, languages: tuple[str, str] = ("", "")) -> Iterator[Pair]:
    """Pairs of the lines of two files; an empty target line stands for a missing translation, two for no sentence.

    Raises:
        BadInput: as `Lines`; or the lines do not correspond: file:line.
    """

    def says(targets: int, sources: int) -> str:
        line = min(sources, targets) + 1
        return f"{source} has {sources} lines but {target} has {targets}: line {line} has no partner"

    pairs = beside(Lines(source, languages[0]), Lines(target, languages[1]), says)
    for number, (sentence, translation) in enumerate(pairs, 1):
        if translation is not None and translation.words and not sentence.words:
            raise BadInput(f"{source}:{number}: an empty line, but {target}:{number} has words")
        yield Pair(sentence, translation or sentence)
