"""Digests of a corpus that are remembered from run to run, so that a plan need not read what has not changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.api.recipes import Corpus
from bench.core.files import cache_root, canonical_json, sha256_of, write_json
from bench.plan.fingerprint import code_of
from bench.plan.keys import versions
from bench.plan.schema import to_plain
from bench.plan.stages import VERSIONS

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
            code = [VERSIONS["corpus"], code_of(type(corpus))]
            made_of = [code, to_plain(corpus.params), versions("sacremoses"), [_stat(file) for file in files]]
            self._path = cache_root() / FOLDER / f"{sha256_of(canonical_json(made_of))[:32]}.json"
        self._known = self._read()

    def get(self, name: str, make: Callable[[], str]) -> str:
        """The digest of that name, by `make` where it is not known."""
        if name not in self._known:
            made = make()
            self._known = {**self._read(), **self._known, name: made}
            try:
                if self._path is not None:
                    self._path.parent.mkdir(parents=True, exist_ok=True)
                    write_json(self._path, {"digests": self._known, "sha256": sha256_of(canonical_json(self._known))})
            except OSError:  # a cache that is full or read-only: the next plan reads again
                self._path = None
        return self._known[name]

    def _read(self) -> dict[str, str]:
        """What is kept; {} where nothing is, or it is damaged."""
        try:
            kept = json.loads(self._path.read_text(encoding="utf-8")) if self._path is not None else {}
            digests: dict[str, str] = kept["digests"]
            return digests if kept["sha256"] == sha256_of(canonical_json(digests)) else {}
        except (OSError, ValueError, KeyError, TypeError):
            return {}


def _stat(file: Path) -> list[Any]:
    try:
        stat = file.stat()
    except OSError:
        return [str(file), None]
    return [str(file), stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
