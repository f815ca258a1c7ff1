"""What a results folder holds that nothing needs any more, and freeing it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from bench.core.errors import BadInput
from bench.core.files import canonical_json
from bench.run import force
from bench.run.journal import FOLDER as JOBS
from bench.run.journal import Journal, Standing
from bench.run.perform import CLAIMS
from bench.store.artefacts import Artefacts
from bench.store.planned import cell_name, matrix_cells
from bench.store.presence import FOLDER as RUNNING
from bench.store.presence import gate, others
from bench.store.record import Record, Records

Kind = Literal["weights", "exported taggers", "stale records", "leftovers", "cache"]
MADE = ("tables", "figures", "report.html")
PLACES = ("records", "sidecars", "fingerprints", "models", "taggers", *MADE, JOBS, "matrix.json")
HIDDEN = (RUNNING, CLAIMS, force.LOCK, ".matrix.json.lock", force.FOLDER)
_KEY = "[0-9a-f]{32}"
_LEFTOVER = re.compile(  # of bench.core.files, of artefacts (a folder or a lock), of a forced run
    rf"\..{{1,40}}\.[a-z0-9_]{{8}}\.tmp|\.{_KEY}\.([a-z0-9_]{{8}}|lock)|\.{_KEY}(\.json\.gz)?\.old"
)


@dataclass(frozen=True)
class Item:
    """Something to free: files and folders that go together."""

    kind: Kind
    paths: tuple[Path, ...]
    size: int
    what: str = ""


@dataclass
class Found:
    """What can be freed; what stays, and why; what is not ours."""

    items: list[Item] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    def add(self, kind: Kind, paths: Iterable[Path], what: str = "") -> None:
        """Note what can be freed, as far as it exists."""
        there = tuple(path for path in paths if path.exists() or path.is_symlink())
        if there:
            self.items.append(Item(kind, there, sum(map(_size, there)), what))


@dataclass(frozen=True)
class Wanted:
    """What beside weights and leftovers is to be freed."""

    stale: bool = False  # records that a newer one of the same cell has replaced
    taggers: bool = False  # exported by --keep-models
    cache: bool = False  # translations and links of finished cells, which other folders may share


def prune(out: Path, wanted: Wanted, cache: Artefacts, dry: bool = False) -> Found:
    """Free what nothing needs; with `dry` only find it.

    Imported records and files that are not ours are never touched. What an unfinished cell may need stays.

    Raises:
        BadInput: a run is at work in the folder; matrix.json is damaged, so that what is needed is unknown.
    """
    with gate(out):  # no run begins meanwhile
        if busy := others(out) + _queued(out):
            raise BadInput(f"{out}: a run is at work here ({', '.join(busy[:5])}): wait for it, or stop it")
        found = _Search(out, wanted, cache).found
        for item in () if dry else found.items:
            for path in item.paths:
                _remove(path)
    return found


def _queued(out: Path) -> list[str]:
    """What of the folder is in Slurm's queue; BadInput where jobs may be there and the queue cannot be asked."""
    standing = Journal(out).standing() if (out / JOBS).is_dir() else Standing()
    if standing.unknown and standing.lost:
        raise BadInput(f"{out}: jobs were submitted, and whether they still run is unknown: {standing.unknown}")
    return [f"Slurm job {one.job}" for one in standing.jobs]


class _Search:
    def __init__(self, out: Path, wanted: Wanted, cache: Artefacts) -> None:
        self.out, self.wanted, self.cache = out, wanted, cache
        self.found = Found()
        self.records = dict(self._readable())
        self.cells = matrix_cells(out)
        self.missing = [cell for cell in self.cells if not self._finished(str(cell["key"]))]
        stale = self._stale()
        self._weights()
        self._taggers(stale)
        self._leftovers()
        self._foreign()
        if wanted.cache:
            self._cache()

    def _readable(self) -> Iterator[tuple[str, Record]]:
        """The records of this version by key; what else lies there is left alone."""
        for path in sorted((self.out / "records").glob("[!.]*")):
            name = path.relative_to(self.out).as_posix()
            if not re.fullmatch(rf"{_KEY}\.json", path.name):
                self.found.foreign.append(name)
                continue
            try:
                record = Records(self.out).get(path.stem)
            except BadInput:
                record = None
            if record is None:
                self.found.kept.append(f"{name}, which is damaged or of another version: xner verify says more")
            else:
                yield record.key, record

    def _finished(self, key: str) -> bool:
        return key in self.records and self.records[key].status != "failed"

    def _stale(self) -> set[str]:
        """Records that the matrix no longer names; to be freed only where the newer one is there."""
        current = {cell_name(cell): str(cell["key"]) for cell in self.cells}
        older = [one for one in self.records.values() if not one.cell.get("imported") and self.cells]
        older = [one for one in older if one.key != current.get(cell_name(one.cell), one.key)]
        replaced = [one for one in older if self._finished(current[cell_name(one.cell)])]
        if len(older) > len(replaced):
            self.found.kept.append(f"{len(older) - len(replaced)} older records whose newer one is not there yet")
        if replaced and not self.wanted.stale:
            self.found.kept.append(f"{len(replaced)} older records that newer ones replace: --stale frees them")
            return set()
        for one in replaced:
            places = (Records(self.out).path(one.key), self.out / "sidecars" / one.key)
            self.found.add("stale records", places, f"{one.cell.get('label')} {one.cell.get('target')} {one.key[:8]}")
        return {one.key for one in replaced}

    def _weights(self) -> None:
        """Weights, but those that a cell which is still to run may learn from: of its encoder, seed, trial and axes."""
        needed = {_base(cell) for cell in self.missing}
        bases: dict[str, set[str]] = {}
        for record in self.records.values():
            for name, key in record.parents.items():
                if name.startswith("fit:"):
                    bases.setdefault(key, set()).add(_base(record.cell))
        kept = 0
        for folder in sorted((self.out / "models").glob("[!.]*/[!.]*")):
            if self.missing and (folder.name not in bases or bases[folder.name] & needed):
                kept += 1
            else:
                self.found.add("weights", [folder])
        if kept:
            self.found.kept.append(f"{kept} weights that the {len(self.missing)} unfinished cells may need")

    def _taggers(self, stale: set[str]) -> None:
        folders = sorted((self.out / "taggers").glob("[!.]*"))
        for folder in folders:
            if self.wanted.taggers or folder.name in stale:
                self.found.add("exported taggers", [folder])
        if folders and not self.wanted.taggers:
            self.found.kept.append("the taggers that --keep-models exported: --taggers frees them")

    def _leftovers(self) -> None:
        """Of processes that were killed: half-written files and folders, locks, sidecars without a record."""
        for place in (
            "records",
            "sidecars",
            "sidecars/*",
            "fingerprints",
            "models/*",
            "taggers",
            "tables",
            "figures",
            ".",
        ):
            for path in sorted(self.out.glob(f"{place}/.*")):
                if path.name in HIDDEN or path.parent.is_symlink():
                    continue
                if _LEFTOVER.fullmatch(path.name):
                    self.found.add("leftovers", [path])
                else:
                    self.found.foreign.append(path.relative_to(self.out).as_posix())
        self.found.add("leftovers", [self.out / force.FOLDER])
        self.found.add("leftovers", [*(self.out / CLAIMS).glob("*.lock"), *(self.out / RUNNING).glob("left-*.json")])
        planned = {str(cell["key"]) for cell in self.cells}
        for folder in sorted((self.out / "sidecars").glob("[!.]*")):
            if not re.fullmatch(_KEY, folder.name) or not folder.is_dir():
                self.found.foreign.append(folder.relative_to(self.out).as_posix())
            elif not Records(self.out).path(folder.name).exists() and folder.name not in planned:
                self.found.add("leftovers", [folder])

    def _foreign(self) -> None:
        for path in sorted(self.out.iterdir()):
            if path.name not in PLACES and path.name not in HIDDEN and not path.name.startswith("."):
                self.found.foreign.append(path.name)

    def _cache(self) -> None:
        """Translations and links of the finished cells, when no cell of the folder is still to run."""
        if self.missing:
            self.found.kept.append(f"the cache, which {len(self.missing)} unfinished cells may need")
            return
        for address in sorted(set(self._parents())):
            self.found.add("cache", [self.cache.root / address])

    def _parents(self) -> Iterator[str]:
        waiting = [key for one in self.records.values() for key in one.parents.values() if "/" in key]
        seen: set[str] = set()
        while waiting:
            address = waiting.pop()
            stage, _, key = address.partition("/")
            if address in seen or stage in ("encoder", "fit"):  # an encoder may have taken hours, and serves everyone
                continue
            seen.add(address)
            artefact = self.cache.get(stage, key)
            if artefact is not None:
                yield address
                waiting += artefact.parents


def _base(cell: Mapping[str, Any]) -> str:
    return canonical_json([cell.get(name) for name in ("encoder", "seed", "trial", "axes")])


def _size(path: Path) -> int:
    if path.is_symlink() or not path.is_dir():
        return path.lstat().st_size
    return sum(file.lstat().st_size for file in path.rglob("*") if file.is_symlink() or file.is_file())


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
