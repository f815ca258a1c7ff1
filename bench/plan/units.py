"""From cells to units of work, and which weights an unfinished unit may still need."""

from __future__ import annotations

import gc
import json
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.core.files import canonical_json, write_json
from bench.plan.identity import Planned, cell_key, describe, shares_training
from bench.plan.matrix import Cell
from bench.store.artefacts import Artefacts
from bench.store.planned import Written, add_cells
from bench.store.presence import FOLDER, gate, others
from bench.store.record import Record, Records

FIT = "fit"
LEFT = "left-"


def keyed(cells: Sequence[Cell]) -> list[Planned]:
    """Each cell with its key, in the same order.

    Raises:
        BadInput: data or an encoder is missing.
    """
    collects = gc.isenabled()
    gc.disable()  # corpora and syntax trees are many small objects and no garbage: looking costs a fifth of the time
    try:
        return [Planned(cell, cell_key(cell)) for cell in cells]
    finally:
        if collects:
            gc.enable()


def units(planned: Sequence[Planned]) -> list[list[Planned]]:
    """Cells that share a training together; by encoder, seed and target, the shared ones first.

    In this order the weights that later units start from or learn from are there, and few are kept at a time.
    """
    groups: dict[str, list[Planned]] = {}
    order: dict[str, tuple[int, ...]] = {}
    ranks: dict[str, dict[str, int]] = {"base": {}, "target": {}, "label": {}}

    def rank(kind: str, value: str) -> int:
        return ranks[kind].setdefault(value, len(ranks[kind]))

    for one in planned:
        shared = shares_training(one.cell)
        name = unit_name(one)
        groups.setdefault(name, []).append(one)
        target = 0 if shared else 1 + rank("target", one.cell.target)
        order.setdefault(name, (rank("base", _base(one.cell)), target, rank("label", one.cell.label)))
    return [groups[name] for name in sorted(groups, key=lambda name: order[name])]


def unit_name(one: Planned) -> str:
    """The same text for the cells that share a training."""
    return canonical_json([one.cell.label, _base(one.cell), "" if shares_training(one.cell) else one.cell.target])


def unfinished(planned: Sequence[Planned], out: Path, retry: bool = False) -> list[Planned]:
    """The cells without a record; with `retry` also those whose record is a failure."""
    records = Records(out)
    missing = []
    for one in planned:
        record = records.get(one.key)
        if record is None or (retry and record.status == "failed"):
            missing.append(one)
    return missing


def failures(planned: Sequence[Planned], out: Path) -> dict[str, int]:
    """By key the attempts of the cells whose record is a failure."""
    found = {one.key: Records(out).get(one.key) for one in planned}
    return {key: record.attempts for key, record in found.items() if record is not None and record.status == "failed"}


def write_matrix(planned: Sequence[Planned], out: Path, written: Written | None = None) -> None:
    """Publish matrix.json: the cells that the folder is to hold, so that status can tell what is missing.

    A run of another matrix, or of fewer cells, into the same folder adds to it; a cell whose key changed (code, data)
    takes the place of the old one.
    """
    cells = [{"key": one.key} | {k: v for k, v in describe(one.cell).items() if k != "params"} for one in planned]
    add_cells(out, cells, planned[0].cell.matrix, [written] if written else None)


def _base(cell: Cell) -> str:
    return canonical_json([cell.encoder, cell.seed, cell.trial, cell.axes])


class Ledger:
    """Which unfinished units may still need which weights: those of the same encoder, seed, trial and axes, and target.

    Weights that served several targets are kept until the last unit of their encoder and seed is done.
    """

    def __init__(self, out: Path, todo: Iterable[Sequence[Planned]]) -> None:
        self.out, self.models = out, Artefacts(out / "models")
        self.open = [(_base(unit[0].cell), {one.cell.target for one in unit}) for unit in todo]
        self.fits: dict[str, tuple[str, set[str]]] = {}

    def done(self, unit: Sequence[Planned], records: Sequence[Record]) -> None:
        """Note a finished unit and free what nothing needs any more; while other runs are here, nothing."""
        self.note(unit, records)
        if self._unneeded() and not others(self.out):
            self.free()

    def note(self, unit: Sequence[Planned], records: Sequence[Record]) -> None:
        """Note a finished unit."""
        self.open.remove((_base(unit[0].cell), {one.cell.target for one in unit}))
        for record in records:
            for name, key in record.parents.items():
                if name.startswith("fit:"):
                    self.fits.setdefault(key, (_base(unit[0].cell), set()))[1].add(record.cell["target"])

    def free(self) -> None:
        """Free what nothing needs any more."""
        for key in self._unneeded():
            self.models.remove(FIT, key)
            del self.fits[key]

    def leave(self) -> None:
        """Note for the last run that leaves the folder what this one could not free."""
        if unneeded := self._unneeded():
            write_json(self.out / FOLDER / f"{LEFT}{uuid.uuid4().hex}.json", unneeded)

    def _unneeded(self) -> list[str]:
        return [
            key
            for key, (base, targets) in self.fits.items()
            if not any(base == other and (len(targets) > 1 or targets & more) for other, more in self.open)
        ]


def free_left_behind(out: Path) -> None:
    """Free the weights that runs beside each other could not free, if no run is in the folder any more."""
    if not any((out / FOLDER).glob(f"{LEFT}*.json")):
        return
    with gate(out):
        if others(out):
            return
        for path in (out / FOLDER).glob(f"{LEFT}*.json"):
            for key in json.loads(path.read_text(encoding="utf-8")):
                Artefacts(out / "models").remove(FIT, key)
            path.unlink()
