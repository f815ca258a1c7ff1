"""Freeing what nothing in a results folder needs any more, and the disk that a run's weights will need."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Literal

from bench.core.errors import BadInput
from bench.data.encoders import EncoderSource
from bench.data.identity import encoder_of
from bench.plan.explain import named_by
from bench.plan.units import Planned, describe, method_of
from bench.run.job import JOBS, KEPT, Weights, users_of
from bench.run.local import ASIDE
from bench.run.slurm import QueueState, queue_state
from bench.store.artefacts import CLAIMS, Artefacts, cache_root, held_claims
from bench.store.record import AT_TOP, Record, Records, cell_name, forget_cells, last_texts, matrix_cells


def peak_bytes(missing: Sequence[Planned], hub_sizes: Mapping[str, int]) -> int | None:
    """The largest number of bytes of weights kept at a time; None if an encoder's size is unknown.

    The trainings of one encoder, seed and target are kept together, each with a snapshot per selection rule.
    `hub_sizes`: by id the download size of a repository, used for an encoder that is not cached.
    """
    groups: Counter[tuple[str, int, str]] = Counter()
    sizes: dict[str, int | None] = {}
    for planned in missing:
        cell = planned.cell
        if cell.encoder not in sizes:
            sizes[cell.encoder] = _encoder_size(encoder_of(cell), hub_sizes)
        if (size := sizes[cell.encoder]) is None:
            return None
        rounds = () if cell.broken else method_of(cell).rounds()
        own = max(1, sum(not isinstance(round_.method, str) for round_ in rounds))  # reused trainings count elsewhere
        groups[cell.encoder, cell.seed, cell.target] += own * len(cell.train.rules) * size
    return max(groups.values(), default=0)


def _encoder_size(encoder: EncoderSource, hub_sizes: Mapping[str, int]) -> int | None:
    """Bytes of its weights as float32, as they are kept, from the headers of its safetensors files."""
    folder, size = encoder.configured(Artefacts(cache_root())), 0
    for path in folder.glob("*.safetensors") if folder else ():
        with path.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        size += sum(4 * math.prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")
    return size or hub_sizes.get(encoder.where)


ItemKind = Literal["weights", "exported taggers", "stale records", "leftovers", "cache"]
_KEY = "[0-9a-f]{32}"
_LEFTOVER = re.compile(  # of bench.core.files, of artefacts (a folder or a lock), of a forced run
    rf"\..{{1,40}}\.[a-z0-9_]{{8}}\.tmp|\.{_KEY}\.([a-z0-9_]{{8}}|lock)|\.{_KEY}(\.json\.gz)?\.old"
)
_WITH_LEFTOVERS = ("records", "sidecars", "sidecars/*", "models/*", "taggers", "tables", "figures", "paper", ".")


@dataclass(frozen=True)
class Item:
    """Files and folders to free together."""

    kind: ItemKind
    paths: tuple[Path, ...]
    size: int
    what: str = ""


@dataclass
class Findings:
    """Items to free, reasons why others stay, and files that no run wrote."""

    items: list[Item] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    unnamed: set[str] = field(default_factory=set)  # cells without a record that no matrix names as it was last run

    def add(self, kind: ItemKind, paths: Iterable[Path], description: str = "") -> None:
        """Note those of these paths that exist."""
        existing = tuple(path for path in paths if path.exists() or path.is_symlink())
        if existing:
            self.items.append(Item(kind, existing, sum(map(_size, existing)), description))


def prune(out: Path, wanted: Collection[ItemKind], cache: Artefacts, dry: bool = False) -> Findings:
    """Free unneeded weights, leftovers and the other `wanted` kinds; with `dry` only find them.

    matrix.json forgets the cells without a record that were taken out of their matrix since.
    Imported records and files that are not ours are never touched. What an unfinished cell may need stays. Translations
    and links of the cache may be shared with other folders, which make them again.

    Raises:
        BadInput: a run is at work in the folder; or matrix.json, which tells what is needed, is damaged.
    """
    state = queue_state(out) if (out / JOBS).is_dir() else QueueState()
    if state.unknown and state.lost:
        raise BadInput(f"{out}: jobs were submitted, and whether they still run is unknown: {state.unknown}")
    _refuse_at_work(out, [f"Slurm job {element}" for element in state.elements])
    findings = _Search(out, wanted, cache).findings
    _refuse_at_work(out)  # a run may have begun meanwhile
    for path in () if dry else (path for item in findings.items for path in item.paths):
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
    if findings.unnamed and not dry:
        forget_cells(out, findings.unnamed)
    return findings


def _refuse_at_work(out: Path, queued: Iterable[str] = ()) -> None:
    claims = len(held_claims(out))
    if busy := [*([f"{claims} claimed units"] if claims else []), *queued]:
        raise BadInput(f"{out}: a run is at work here ({', '.join(busy[:5])}): wait for it, or stop it")


class _Search:
    def __init__(self, out: Path, wanted: Collection[ItemKind], cache: Artefacts) -> None:
        self.out, self.wanted = out, wanted
        self.findings = Findings()
        self.records = dict(self._readable())
        self.cells = matrix_cells(out)
        self.findings.unnamed = self._unnamed()
        self.cells = [cell for cell in self.cells if cell_name(cell) not in self.findings.unnamed]
        self.missing = [cell for cell in self.cells if not self._finished(str(cell["key"]))]
        self._weights_and_taggers(self._stale())
        self._leftovers()
        if "cache" not in wanted:
            return
        if self.missing:
            self.findings.kept.append(f"the cache, which {len(self.missing)} unfinished cells may need")
            return
        parents = {key for record in self.records.values() for key in record.parents.values() if "/" in key}
        for artefact in sorted(cache.ancestors(parents), key=lambda artefact: artefact.address):
            if artefact.stage not in ("encoder", "fit"):  # an encoder may have taken hours, and other folders use it
                self.findings.add("cache", [artefact.folder])

    def _readable(self) -> Iterator[tuple[str, Record]]:
        """The records of this version by key; other files are left alone."""
        for path in sorted((self.out / "records").glob("[!.]*")):
            if not re.fullmatch(rf"{_KEY}\.json", path.name):
                self._foreign(path)
                continue
            try:
                record = Records(self.out).get(path.stem)
            except BadInput:
                record = None
            if record is None:
                name = path.relative_to(self.out).as_posix()
                self.findings.kept.append(f"{name}, which is damaged or of another version: xner verify says more")
            else:
                yield record.key, record

    def _unnamed(self) -> set[str]:
        """Names of the cells without a record that no matrix file, as it was last run, names any more."""
        texts = last_texts(self.out)
        try:
            cells = [(describe(cell), cell.encoder) for cell in named_by(texts)]
        except BadInput as error:
            self.findings.kept.append(f"unfinished cells of matrix.json, whose matrix cannot be planned today: {error}")
            return set()
        named = {cell_name(cell) for cell, _ in cells}
        # a folder of weights that is not seen from here is still called by its name
        named |= {cell_name(cell | {"encoder": PurePath(encoder).name}) for cell, encoder in cells}
        unrecorded = (cell for cell in self.cells if str(cell["key"]) not in self.records)
        return {cell_name(cell) for cell in unrecorded} - named if texts else set()

    def _finished(self, key: str) -> bool:
        return key in self.records and self.records[key].status != "failed"

    def _stale(self) -> set[str]:
        """Keys of the records to free: the matrix no longer names them, and has a finished newer one."""
        current = {cell_name(cell): str(cell["key"]) for cell in self.cells}
        older = [record for record in self.records.values() if not record.cell.get("imported") and self.cells]
        older = [record for record in older if record.key != current.get(cell_name(record.cell), record.key)]
        replaced = [record for record in older if self._finished(current[cell_name(record.cell)])]
        if len(older) > len(replaced):
            self.findings.kept.append(f"{len(older) - len(replaced)} older records whose newer one is not there yet")
        if replaced and "stale records" not in self.wanted:
            self.findings.kept.append(f"{len(replaced)} older records that newer ones replace: --stale frees them")
            return set()
        for record in replaced:
            places = (Records(self.out).path(record.key), self.out / "sidecars" / record.key)
            description = f"{record.cell.get('label')} {record.cell.get('target')} {record.key[:8]}"
            self.findings.add("stale records", places, description)
        return {record.key for record in replaced}

    def _weights_and_taggers(self, stale: set[str]) -> None:
        """Weights that no unfinished cell may learn from, and exported taggers."""
        weights = Weights(self.out)
        unneeded, needed = weights.unneeded(users_of(self.missing))
        for folder in unneeded:
            self.findings.add("weights", [folder])
        if needed:
            self.findings.kept.append(f"{len(needed)} weights that the {len(self.missing)} unfinished cells may need")
        else:
            self.findings.add("leftovers", [self.out / "models" / KEPT])
        folders, every = sorted((self.out / "taggers").glob("[!.]*")), "exported taggers" in self.wanted
        for folder in folders:
            if every or folder.name in stale:
                self.findings.add("exported taggers", [folder])
        if folders and not every:
            self.findings.kept.append("the taggers that --keep-models exported: --taggers frees them")

    def _leftovers(self) -> None:
        """Left by killed processes: half-written files and folders, locks, sidecars without a record."""
        for path in (path for place in _WITH_LEFTOVERS for path in sorted(self.out.glob(f"{place}/.*"))):
            if path.name == CLAIMS or path.parent.is_symlink():
                continue
            if _LEFTOVER.fullmatch(path.name):
                self.findings.add("leftovers", [path])
            else:
                self._foreign(path)
        self.findings.add("leftovers", [self.out / ASIDE, *(self.out / CLAIMS).glob("*.lock")])
        planned = {str(cell["key"]) for cell in self.cells}
        for folder in sorted((self.out / "sidecars").glob("[!.]*")):
            if not re.fullmatch(_KEY, folder.name) or not folder.is_dir():
                self._foreign(folder)
            elif not Records(self.out).path(folder.name).exists() and folder.name not in planned:
                self.findings.add("leftovers", [folder])
        for path in sorted(self.out.glob("[!.]*")):
            if path.name not in AT_TOP:
                self._foreign(path)

    def _foreign(self, path: Path) -> None:
        self.findings.foreign.append(path.relative_to(self.out).as_posix())


def _size(path: Path) -> int:
    if path.is_symlink() or not path.is_dir():
        return path.lstat().st_size
    return sum(file.lstat().st_size for file in path.rglob("*") if file.is_symlink() or file.is_file())
