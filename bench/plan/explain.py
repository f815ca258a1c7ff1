"""The state of each cell: done, stale, missing; and the components in which its key differs from the stored one."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bench.core.errors import BadInput, nearest
from bench.core.files import canonical_json
from bench.plan.keys import KeyChange, key_changes
from bench.plan.matrix import Cell, cells, only
from bench.plan.spec import load_matrix, parsed_matrix
from bench.plan.units import Planned, describe
from bench.store.record import Record, Records, Written, cell_name, matrices, matrix_cells

SHORTEST = 4  # digits that may stand for a record's key


@dataclass(frozen=True)
class CellState:
    """A cell, today's key, and the record of that key or else an older record."""

    cell: Mapping[str, Any]  # as records describe it
    state: Literal["ok", "failed", "skipped", "missing", "stale", "imported", "unknown"]
    key: str = ""
    record: Record | None = None
    changes: tuple[KeyChange, ...] = ()  # from the record's key to today's; () where its components were not stored
    note: str = ""

    @property
    def name(self) -> str:
        """The cell in words."""
        axes = "".join(f" {name}={canonical_json(value)}" for name, value in (self.cell.get("axes") or {}).items())
        trial = f" trial {self.cell['trial']}" if self.cell.get("trial") else ""
        parts = (str(self.cell.get(name, "?")) for name in ("label", "target", "encoder"))
        return f"{' '.join(parts)} seed {self.cell.get('seed', '?')}{trial}{axes}"


class Shelf:
    """The records of a folder by key and by cell; imported ones have no key that a plan could give."""

    def __init__(self, out: Path) -> None:
        records = Records(out)
        self.home = records.home
        self.by_key = {record.key: record for record in records.all()}
        self.by_cell: dict[str, list[Record]] = {}
        for record in self.by_key.values():
            self.by_cell.setdefault(cell_name(record.cell), []).append(record)
        self.damaged = records.damaged(self.by_key)

    def state_of(self, planned: Planned, asked: Container[str] = ()) -> CellState:
        """The state of a cell, by the older record whose key is asked for, else by today's, else by the nearest one."""
        cell, key = describe(planned.cell), planned.key
        record = self.by_key.get(key)
        older = [earlier for earlier in self.by_cell.get(cell_name(cell), ()) if earlier.key != key]
        older = [earlier for earlier in older if not earlier.cell.get("imported")]
        named = [earlier for earlier in older if earlier.key in asked]
        if record is not None and not named:
            return CellState(cell, record.status, str(key), record)
        compared = [(earlier, key_changes(self.home, earlier.key, key)) for earlier in named or older]
        if compared:
            return CellState(cell, "stale", str(key), *min(compared, key=lambda pair: len(pair[1]) or 10**6))
        bad = self.damaged.get(key)
        note = f"{bad} is damaged; the next run makes it again" if bad else ""
        return CellState(cell, "missing", str(key), note=note)


def states(planned: Iterable[Planned], out: Path) -> list[CellState]:
    """The state of each cell of a plan in a results folder, in the same order."""
    shelf = Shelf(out)
    return [shelf.state_of(cell) for cell in planned]


def why(
    out: Path, words: Sequence[str], key: Callable[[Cell], Planned], matrix: str = "", overrides: Sequence[str] = ()
) -> list[CellState]:
    """The state today of the cells that the words select.

    Args:
        words: digits that a record's key begins with; or a method, target, encoder, seed, axis value, also as `k=v`.
        key: plans a cell; BadInput where that cannot be done.
        matrix: file or shipped name to take the settings from; else what was run into the folder last.

    Raises:
        BadInput: a word names nothing, with the nearest right one; or the words together select no cell; or the matrix
            or an override that is given is wrong.
    """
    shelf = Shelf(out)
    stored = [(record.key, record.cell) for record in shelf.by_key.values()]
    stored += [(str(cell.pop("key")), cell) for cell in matrix_cells(out)]
    known = {cell_name(cell): cell for _, cell in stored}
    chosen, asked = _chosen(known, {key: cell_name(cell) for key, cell in stored}, words)
    today: dict[str, Cell] = {}
    problem = "the matrix has no such cell"
    try:
        today = {cell_name(describe(cell)): cell for cell in _resolved(out, matrix, overrides)}
    except BadInput as error:
        if matrix or overrides:
            raise
        problem = str(error)

    def state(name: str) -> CellState:
        own = shelf.by_cell.get(name, [])
        for record in own:
            if record.cell.get("imported"):
                return CellState(known[name], "imported", record.key, record)
        try:
            if name not in today:
                raise BadInput(problem)
            return shelf.state_of(key(today[name]), asked)
        except BadInput as error:
            return CellState(known[name], "unknown", "", own[0] if own else None, note=str(error))

    return [state(name) for name in chosen]


def _resolved(out: Path, matrix: str, overrides: Sequence[str]) -> list[Cell]:
    """The cells of a matrix, else of those that were run into the folder; BadInput if it does not know them."""
    if matrix:
        return cells(load_matrix(matrix, overrides))
    if not (run := matrices(out)):
        raise BadInput("the folder does not know its matrix (an older version ran it): give --matrix MATRIX")
    return named_by(run, overrides)


def named_by(run: Iterable[Written], overrides: Sequence[str] = ()) -> list[Cell]:
    """The cells that matrices select as they were run; BadInput where one of them cannot be planned today."""
    specs = [(parsed_matrix(text.file, text.text, [*text.overrides, *overrides]), text.only) for text in run]
    return [cell for spec, part in specs for cell in only(cells(spec), part)]


def _chosen(
    known: Mapping[str, Mapping[str, Any]], keys: Mapping[str, str], words: Sequence[str]
) -> tuple[list[str], set[str]]:
    """Names of the cells that all words select, in order; and the keys that begin with a word."""
    have: dict[str, set[str]] = {}
    for name, cell in known.items():
        own = {k: cell.get(k) for k in ("label", "method", "target", "encoder", "seed", "trial", "corpus")}
        own |= cell.get("axes") or {}
        values = {k: value if isinstance(value, str) else canonical_json(value) for k, value in own.items()}
        have[name] = {value for k, value in values.items() if k != "trial"} | {f"method={values['label']}"}
        have[name] |= {f"{k}={value}" for k, value in values.items()}
    every = set[str]().union(*have.values())
    names, asked = list(known), set[str]()
    for word in (part for text in words for part in text.split()):
        # `concner/de/1` is three words, an encoder's own slash is none
        for part in [word] if word in every else [part for part in word.split("/") if part]:
            begun = {key for key in keys if len(part) >= SHORTEST and key.startswith(part)}
            if part not in every and not begun:
                raise BadInput(f"no cell or key is named '{part}'{nearest(part, every)}")
            of_keys = {keys[key] for key in begun}
            names = [name for name in names if part in have[name] or name in of_keys]
            asked |= begun
    if not names:
        raise BadInput(f"no cell matches all of '{' '.join(words)}', though each word matches some")
    return names, asked
