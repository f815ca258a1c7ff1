"""How each cell stands: done, stale, missing; and by which components of its key it differs from what is stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from bench.core.errors import BadInput, nearest
from bench.core.files import canonical_json
from bench.plan.components import Difference, differences, read_key
from bench.plan.identity import Planned, describe
from bench.plan.keys import Key
from bench.plan.matrix import cells, only
from bench.plan.spec import load_matrix, parsed_matrix
from bench.plan.units import keyed
from bench.store.planned import cell_name, matrices, matrix_cells
from bench.store.record import Record, Records

State = Literal["ok", "failed", "skipped", "missing", "stale", "imported", "unknown"]
SHORTEST = 4  # digits of a key that name a record


@dataclass(frozen=True)
class Standing:
    """A cell, the key that it has today, and the record of that key; where there is none, an older one."""

    cell: Mapping[str, Any]  # as records describe it
    state: State
    key: str = ""
    record: Record | None = None
    differences: tuple[Difference, ...] = ()  # of the record's key and today's; () where its parts were not stored
    note: str = ""

    @property
    def name(self) -> str:
        """The cell as people say it."""
        axes = "".join(f" {name}={canonical_json(value)}" for name, value in (self.cell.get("axes") or {}).items())
        trial = f" trial {self.cell['trial']}" if self.cell.get("trial") else ""
        parts = (str(self.cell.get(name, "?")) for name in ("label", "target", "encoder"))
        return f"{' '.join(parts)} seed {self.cell.get('seed', '?')}{trial}{axes}"


@dataclass
class Shelf:
    """The records of a folder by key and by cell; imported ones answer to no key of ours."""

    out: Path
    by_key: dict[str, Record] = field(default_factory=dict)
    by_cell: dict[str, list[Record]] = field(default_factory=dict)
    damaged: dict[str, Path] = field(default_factory=dict)  # files of which nothing can be read, by key

    def __post_init__(self) -> None:
        for record in Records(self.out).all():
            self.by_key[record.key] = record
            self.by_cell.setdefault(cell_name(record.cell), []).append(record)
        self.damaged = Records(self.out).damaged(self.by_key)

    def standing(self, planned: Planned, asked: str = "") -> Standing:
        """How a cell stands; `asked` is the key of the older record to compare with, if not the nearest one."""
        cell = describe(planned.cell)
        record = self.by_key.get(planned.key)
        if record is not None and asked in ("", record.key):
            return Standing(cell, record.status, str(planned.key), record)
        older = [one for one in self.by_cell.get(cell_name(cell), ()) if one.key != planned.key and not _imported(one)]
        older = [one for one in older if one.key == asked] or older
        if not older:
            bad = self.damaged.get(planned.key)
            note = f"{bad} is damaged; the next run makes it again" if bad else ""
            return Standing(cell, "missing", str(planned.key), note=note)
        found = [(one, self._differences(one.key, planned.key)) for one in older]
        nearest_one, differ = min(found, key=lambda pair: len(pair[1]) or 10**6)
        return Standing(cell, "stale", str(planned.key), nearest_one, differ)

    def _differences(self, old: str, new: str) -> tuple[Difference, ...]:
        stored = read_key(self.out, old)
        return tuple(differences(self.out, stored, new)) if stored is not None and isinstance(new, Key) else ()


def _imported(record: Record) -> bool:
    return bool(record.cell.get("imported"))


def standings(planned: Iterable[Planned], out: Path) -> list[Standing]:
    """How each cell of a plan stands in a results folder, in the same order."""
    shelf = Shelf(out)
    return [shelf.standing(one) for one in planned]


def why(out: Path, words: Sequence[str], matrix: str = "", overrides: Sequence[str] = ()) -> list[Standing]:
    """How the cells that the words select stand today.

    Args:
        words: digits that a record's key begins with; or a method, target, encoder, seed, axis value, also as `k=v`.
        matrix: file or shipped name to take the settings from; else what was run into the folder last.

    Raises:
        BadInput: a word names nothing, with the nearest right one; or the words together select no cell.
    """
    shelf = Shelf(out)
    known = {cell_name(cell): cell for cell in [*(one.cell for one in shelf.by_key.values()), *matrix_cells(out)]}
    keys = {key: cell_name(record.cell) for key, record in shelf.by_key.items()}
    keys |= {str(cell["key"]): cell_name(cell) for cell in matrix_cells(out)}
    chosen, asked = _chosen(known, keys, words)
    found = []
    for name in chosen:
        cell = {k: v for k, v in known[name].items() if k != "key"}
        mine = next((key for key in asked if keys[key] == name and key in shelf.by_key), "")
        imported = [one for one in shelf.by_cell.get(name, ()) if _imported(one)]
        if imported:
            found.append(Standing(cell, "imported", imported[0].key, imported[0]))
            continue
        try:
            planned = _planned(cell, out, matrix, overrides)
        except BadInput as error:
            records = shelf.by_cell.get(name, ())
            found.append(Standing(cell, "unknown", "", records[0] if records else None, note=str(error)))
            continue
        found.append(shelf.standing(planned, mine))
    return found


def _planned(cell: Mapping[str, Any], out: Path, matrix: str, overrides: Sequence[str]) -> Planned:
    """The cell as the given matrix, or the last one of the folder that has it, plans it today."""
    if matrix:
        specs = [(load_matrix(matrix, overrides), tuple[str, ...]())]
    else:
        stored = reversed(matrices(out))
        specs = [(parsed_matrix(one.file, one.text, [*one.overrides, *overrides]), one.only) for one in stored]
    for spec, chosen in specs:
        for one in only(cells(spec), chosen):
            same = all(getattr(one, name) == cell.get(name) for name in ("label", "target", "seed", "trial", "axes"))
            if same and cell_name(describe(one)) == cell_name(cell):
                return keyed([one])[0]
    if specs:
        raise BadInput(f"{specs[0][0].where.file} has no such cell")
    raise BadInput("the folder does not know its matrix (an older version ran it): --matrix MATRIX says it")


def _chosen(known: Mapping[str, Mapping[str, Any]], keys: Mapping[str, str], words: Sequence[str]) -> Any:
    """Names of the cells that all words select, in order; the keys that a word begins."""
    have = {name: _coordinates(cell) for name, cell in known.items()}
    every = {word for coordinates in have.values() for word in coordinates}
    names, asked = list(known), list[str]()
    for word in _split(words, every):
        begun = [key for key in keys if len(word) >= SHORTEST and key.startswith(word)]
        if word not in every and not begun:
            raise BadInput(f"no cell or key is named '{word}'{nearest(word, every)}")
        names = [name for name in names if word in have[name] or any(keys[key] == name for key in begun)]
        asked += begun
    if not names:
        raise BadInput(f"no cell is {' '.join(words)}: each word names cells, but none all of them")
    return names, asked


def _split(words: Sequence[str], every: set[str]) -> list[str]:
    """Words; `concner/de/1` is three, an encoder's own slash is none."""
    parts: list[str] = []
    for word in (part for text in words for part in text.split()):
        whole = word in every or "/" not in word
        parts += [word] if whole else [part for part in word.split("/") if part]
    return parts


def _coordinates(cell: Mapping[str, Any]) -> set[str]:
    names = ("label", "method", "target", "encoder", "seed", "trial", "corpus")
    own = {name: cell.get(name) for name in names} | dict(cell.get("axes") or {})
    values = {name: value if isinstance(value, str) else canonical_json(value) for name, value in own.items()}
    bare = {value for name, value in values.items() if name != "trial"}
    return bare | {f"{name}={value}" for name, value in values.items()} | {f"method={values['label']}"}
