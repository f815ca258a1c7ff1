"""Output that grows block by block: an interrupted run is resumed, a finished one is renamed into place."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bench.core.errors import BadInput
from bench.core.files import canonical_json, write_json
from bench.store.artefacts import Busy, locked

OVER = "--restart starts over"


class Growing:
    """Files that are written together. Until the end they are `<file>.part`; `<first file>.part.json` says how far.

    `notes` is what the writer keeps of its own, {} at the beginning.
    """

    def __init__(self, files: Sequence[Path], made_of: Mapping[str, object]) -> None:
        self.files = list(files)
        self.parts = [path.with_name(f"{path.name}.part") for path in files]
        self.state = self.parts[0].with_name(f"{self.parts[0].name}.json")
        self.made_of = json.loads(canonical_json(dict(made_of)))  # as it will be read back
        self.notes: dict[str, Any] = {}
        self.finished = False

    def append(self, texts: Sequence[str], notes: Mapping[str, Any]) -> None:
        """Write a block, one text a file; from then on it is kept.

        Raises:
            BadInput: it cannot be written.
        """
        self.notes = dict(notes)
        try:
            for part, text in zip(self.parts, texts, strict=True):
                with part.open("ab") as file:
                    file.write(text.encode())
                    file.flush()
                    os.fsync(file.fileno())
            self._save()
        except OSError as error:
            raise BadInput(f"{self.files[0]}: cannot be written: {error.strerror}; what was is kept") from error

    def finish(self) -> None:
        """Rename the files into place."""
        self.finished = True
        self._save()
        for part, path in zip(self.parts, self.files, strict=True):
            if part.exists():
                part.replace(path)
        self.state.unlink()

    def _save(self) -> None:
        sizes = [part.stat().st_size if part.exists() else 0 for part in self.parts]
        known = {"notes": self.notes, "sizes": sizes, "finished": self.finished, "of": self.made_of}
        write_json(self.state, known)

    def resume(self) -> None:
        """Continue what an interrupted run left; what it wrote after its last block is cut off.

        Raises:
            BadInput: that was made of something else, or its files were changed.
        """
        if not self.state.exists():
            for part in self.parts:
                part.write_bytes(b"")
            return
        try:
            known = json.loads(self.state.read_text(encoding="utf-8"))
            before, sizes = dict(known["of"]), list(known["sizes"])
            self.notes, self.finished = dict(known["notes"]), bool(known["finished"])
        except (ValueError, KeyError, TypeError) as error:
            raise BadInput(f"{self.state}: not what an interrupted run leaves; {OVER}") from error
        other = sorted(
            name for name in before.keys() | self.made_of.keys() if before.get(name) != self.made_of.get(name)
        )
        if other:
            raise BadInput(f"{self.state}: begun with other {', '.join(other)}: give the same command, or {OVER}")
        for part, size in zip(self.parts, sizes, strict=True):
            if self.finished:
                continue  # some may have their names already
            if not part.exists() or part.stat().st_size < size:
                raise BadInput(f"{part}: missing or shorter than it was written; {OVER}")
            os.truncate(part, size)


@contextmanager
def growing(files: Sequence[Path], made_of: Mapping[str, object], restart: bool = False) -> Iterator[Growing]:
    """Files to append to; an interrupted run of the same `made_of` is resumed.

    Raises:
        BadInput: a file cannot be written; another process writes it; or what is there was made of something else.
    """
    for path in files:
        _check(path)
    output = Growing(files, made_of)
    lock = files[0].with_name(f".{files[0].name}.lock")
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(lock, wait=False))
        except Busy as error:
            raise BadInput(f"{files[0]}: another process is writing it") from error
        stack.callback(lock.unlink, missing_ok=True)
        if restart:
            output.state.unlink(missing_ok=True)
        output.resume()
        yield output


def _check(path: Path) -> None:
    """That a file could be made here; BadInput where it could not."""
    if path.is_dir():
        raise BadInput(f"{path}: cannot be written: it is a folder")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise BadInput(f"{path}: cannot be written: {error.strerror}") from error
