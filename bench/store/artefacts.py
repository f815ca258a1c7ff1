"""Artefacts: expensive results shared by cells, in folders named by content key, published whole or not at all."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from bench.core.files import cache_root as cache_root  # artefacts that several results folders share live there
from bench.core.files import canonical_json, sha256_of, sha256_of_file, sha256_of_unchanged, write_json

META = "artefact.json"


class Busy(Exception):
    """Another process is at it, and the caller did not want to wait."""


@dataclass(frozen=True)
class Artefact:
    """A published folder; `seconds` is what its own making took, `parents` the `stage/key` of what it was made from."""

    folder: Path
    stage: str
    key: str
    seconds: float
    parents: tuple[str, ...]
    details: Mapping[str, Any]

    @property
    def address(self) -> str:
        return f"{self.stage}/{self.key}"


class Artefacts:
    """The artefacts below one root. A file lock saves work; correctness comes from atomic publication."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, stage: str, key: str) -> Path:
        return self.root / stage / key

    def get(self, stage: str, key: str) -> Artefact | None:
        """The artefact, or None if it is absent, half-written or damaged (its hashes are checked)."""
        folder = self.folder(stage, key)
        try:
            meta = json.loads((folder / META).read_text(encoding="utf-8"))
            digest = meta.pop("sha256")
            if digest != sha256_of(canonical_json(meta)):
                return None
            if any(sha256_of_unchanged(folder / name) != known for name, known in meta["files"].items()):
                return None
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        except (ValueError, KeyError, TypeError, AttributeError):  # no JSON, or not what is written below
            return None
        return Artefact(folder, stage, key, meta["seconds"], tuple(meta["parents"]), meta["details"])

    def get_or_make(
        self,
        stage: str,
        key: str,
        build: Callable[[Path], Mapping[str, Any]],
        parents: tuple[str, ...] = (),
        wait: bool = True,
    ) -> Artefact:
        """The artefact; `build` fills an empty folder and returns JSON details where it does not exist yet.

        `seconds_before` among them is what earlier, unfinished makings took.

        Raises:
            Busy: another process is making it, and `wait` is false.
        """
        found = self.get(stage, key)
        if found is not None:
            return found
        final = self.folder(stage, key)
        final.parent.mkdir(parents=True, exist_ok=True)
        with locked(final.parent / f".{key}.lock", wait):
            found = self.get(stage, key)
            if found is not None:
                return found
            temporary = Path(tempfile.mkdtemp(dir=final.parent, prefix=f".{key}."))
            try:
                begin = time.perf_counter()
                details = json.loads(canonical_json(dict(build(temporary))))  # as get() will read them
                seconds = round(time.perf_counter() - begin + details.get("seconds_before", 0.0), 3)
                meta = {
                    "details": details,
                    "files": {name: sha256_of_file(temporary / name) for name in _files(temporary)},
                    "key": key,
                    "parents": list(parents),
                    "seconds": seconds,
                    "stage": stage,
                }
                write_json(temporary / META, meta | {"sha256": sha256_of(canonical_json(meta))})
                temporary.chmod(0o755)
                if final.exists():
                    shutil.rmtree(final)  # damaged, as get() said above
                temporary.rename(final)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
        return Artefact(final, stage, key, seconds, parents, details)

    def remove(self, stage: str, key: str) -> None:
        """Free an artefact."""
        shutil.rmtree(self.folder(stage, key), ignore_errors=True)

    def ancestors(self, artefact: Artefact) -> Iterator[Artefact]:
        """The artefact and, each once, all that it was made from and that still exists here."""
        seen: set[str] = set()
        waiting = [artefact.address]
        while waiting:
            address = waiting.pop()
            if address in seen:
                continue
            seen.add(address)
            stage, _, key = address.partition("/")
            found = self.get(stage, key)
            if found is not None:
                yield found
                waiting += found.parents


@contextmanager
def locked(path: Path, wait: bool) -> Iterator[None]:
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


def _files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
