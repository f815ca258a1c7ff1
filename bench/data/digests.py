"""Digests of a corpus that are remembered from run to run, so that a plan need not read what has not changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.api.recipes import Corpus
from bench.core.files import cache_root, canonical_json, sha256_of, write_json
from bench.plan.fingerprint import code_running
from bench.plan.keys import versions
from bench.plan.schema import to_plain

FOLDER = "digests"


class Digests:
    """What one corpus gave, by name, as long as its code, its parameters and the files that it reads stay the same.

    As git's index does, a file is taken for unchanged while its inode, size and times are. A corpus that does not tell
    which files it reads is read each time.
    """

    def __init__(self, corpus: Corpus) -> None:
        files = corpus.files()
        self._path: Path | None = None
        if files is not None:
            code = code_running(type(corpus).__module__, __name__)
            what = [code, to_plain(corpus.params), versions("sacremoses"), [_stat(file) for file in files]]
            self._path = cache_root() / FOLDER / f"{sha256_of(canonical_json(what))[:32]}.json"
        self._known = self._read()

    def get(self, name: str, make: Callable[[], str]) -> str:
        """The digest of that name, by `make` where it is not known."""
        if name not in self._known:
            made = make()
            self._known = {**self._read(), **self._known, name: made}
            self._write()
        return self._known[name]

    def _read(self) -> dict[str, str]:
        """What is kept; {} where nothing is, or it is damaged."""
        if self._path is None:
            return {}
        try:
            kept = json.loads(self._path.read_text(encoding="utf-8"))
            found: dict[str, str] = kept["digests"]
            return found if kept["sha256"] == sha256_of(canonical_json(found)) else {}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def _write(self) -> None:
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_json(self._path, {"digests": self._known, "sha256": sha256_of(canonical_json(self._known))})
        except OSError:  # a cache that is full or read-only: the next plan reads again
            self._path = None


def _stat(file: Path) -> list[Any]:
    try:
        found = file.stat()
    except OSError:
        return [str(file), None]
    return [str(file), found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]
