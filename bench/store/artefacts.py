"""Artefacts, locks, and output files that grow.

Artefacts are expensive results shared by cells, in folders named by content key, published whole or not at all. An
artefact is locked while it is made, a unit of work while it runs in a results folder; both locks end with the process
and only save work, since what is published is whole. Growing files are written block by block: an interrupted run is
resumed, a finished file renamed into place.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from bench.core.errors import BadInput
from bench.core.files import cache_root as cache_root  # artefacts that several results folders share live there
from bench.core.files import canonical_json, sha256_of, sha256_of_file, sha256_of_unchanged, write_json

META = "artefact.json"
CLAIMS = ".claims"  # in a results folder: a file for each piece of work, locked while a process does it


@dataclass(frozen=True)
class Artefact:
    """A published folder; `seconds` is the time to make it, `parents` the `stage/key` of what it was made from."""

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
    """The artefacts below one root."""

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
            if any(sha256_of_unchanged(folder / name) != sha256 for name, sha256 in meta["files"].items()):
                return None
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        except (ValueError, KeyError, TypeError, AttributeError):  # not JSON, or not as written below
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
        """The artefact; where it does not exist, `build` fills an empty folder and returns JSON details.

        `seconds_before` among the details is the time of earlier, unfinished attempts.

        Raises:
            Busy: another process is making it, and `wait` is false.
        """
        existing = self.get(stage, key)
        if existing is not None:
            return existing
        final = self.folder(stage, key)
        final.parent.mkdir(parents=True, exist_ok=True)
        with locked(final.parent / f".{key}.lock", wait):
            existing = self.get(stage, key)
            if existing is not None:
                return existing
            for abandoned in final.parent.glob(f".{key}.*/"):  # by a process that was killed: its lock is ours now
                shutil.rmtree(abandoned)
            temporary = Path(tempfile.mkdtemp(dir=final.parent, prefix=f".{key}."))
            try:
                begin = time.perf_counter()
                details = json.loads(canonical_json(dict(build(temporary))))  # as get() will read them
                seconds = round(time.perf_counter() - begin + details.get("seconds_before", 0.0), 3)
                paths = sorted(path for path in temporary.rglob("*") if path.is_file())
                files = {str(path.relative_to(temporary)): sha256_of_file(path) for path in paths}
                meta = {"stage": stage, "key": key, "parents": list(parents), "seconds": seconds}
                meta |= {"details": details, "files": files}
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

    def ancestors(self, addresses: Iterable[str], *others: Artefacts) -> Iterator[Artefact]:
        """These artefacts and all their ancestors, each once, as far as they are here or in the others."""
        seen: set[str] = set()
        waiting = list(addresses)
        while waiting:
            address = waiting.pop()
            if address in seen:
                continue
            seen.add(address)
            stage, key = address.split("/", 1)
            candidates = (place.get(stage, key) for place in (self, *others))
            if artefact := next(filter(None, candidates), None):
                yield artefact
                waiting += artefact.parents


# --- locks ------------------------------------------------------------------------------------------------------------


class Busy(Exception):
    """Another process holds the lock, and the caller did not want to wait."""


@contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[None]:
    """Hold a lock until the block ends or the process dies; Busy, unless `wait`, where another process holds it."""
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
    """The file that is locked while a process does this piece of work in the folder."""
    return out / CLAIMS / f"{sha256_of(work)[:32]}.lock"


def claimed(out: Path, work: str, wait: bool = True) -> AbstractContextManager[None]:
    """Hold the claim of a piece of work, as `locked`."""
    file = claim_file(out, work)
    file.parent.mkdir(parents=True, exist_ok=True)
    return locked(file, wait)


def held_claims(out: Path, known: Collection[Path] = ()) -> list[Path]:
    """The claims that some process holds now, except for `known` ones."""
    held = []
    for file in sorted((out / CLAIMS).glob("*.lock")):
        try:
            with nullcontext() if file in known else locked(file, wait=False):
                pass
        except Busy:
            held.append(file)
    return held


OVER = "--restart starts over"


class Growing:
    """Files that are written together, as `<file>.part` until the end; `<first file>.part.json` holds the progress.

    `notes` belongs to the writer, {} at the beginning.
    """

    def __init__(self, files: Sequence[Path], made_of: Mapping[str, object]) -> None:
        self.files = list(files)
        self.parts = [path.with_name(f"{path.name}.part") for path in files]
        self.state = self.parts[0].with_name(f"{self.parts[0].name}.json")
        self.made_of = json.loads(canonical_json(dict(made_of)))  # as it will be read back
        self.notes: dict[str, Any] = {}
        self.finished = False

    def append(self, texts: Sequence[str], notes: Mapping[str, Any]) -> None:
        """Write a block durably, one text per file. BadInput where it cannot be written."""
        self.notes = dict(notes)
        try:
            for part, text in zip(self.parts, texts, strict=True):
                with part.open("ab") as file:
                    file.write(text.encode())
                    file.flush()
                    os.fsync(file.fileno())
            self._save()
        except OSError as error:
            raise BadInput(f"{self.files[0]}: cannot be written: {error.strerror}; earlier blocks are kept") from error

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
        state = {"notes": self.notes, "sizes": sizes, "finished": self.finished, "of": self.made_of}
        write_json(self.state, state)

    def resume(self) -> None:
        """Continue after the last whole block of an interrupted run.

        Raises:
            BadInput: that run had other input, or its files were changed.
        """
        if not self.state.exists():
            for part in self.parts:
                part.write_bytes(b"")
            return
        try:
            state = json.loads(self.state.read_text(encoding="utf-8"))
            before, sizes = dict(state["of"]), list(state["sizes"])
            self.notes, self.finished = dict(state["notes"]), bool(state["finished"])
        except (ValueError, KeyError, TypeError) as error:
            raise BadInput(f"{self.state}: not what an interrupted run leaves; {OVER}") from error
        names = sorted(before.keys() | self.made_of.keys())
        if changed := [name for name in names if before.get(name) != self.made_of.get(name)]:
            other = ", ".join(changed)
            raise BadInput(f"{self.state}: was begun with different {other}: repeat the original command, or {OVER}")
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
        BadInput: a file cannot be written; another process writes it; or the interrupted run had other input.
    """
    for path in files:
        if path.is_dir():
            raise BadInput(f"{path}: cannot be written: it is a folder")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=path.parent).close()
        except OSError as error:
            raise BadInput(f"{path}: cannot be written: {error.strerror}") from error
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
