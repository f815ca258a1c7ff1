"""Whether what a results folder says follows from what it holds: records against sidecars, tables against records."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.corpus import BadInput
from bench.report.folder import printable
from bench.report.frame import groups, read
from bench.report.rescore import Rescorer
from bench.report.tables import SHOWN, main_tables, shown_text, texts_of
from bench.report.tables.render import RENDERERS
from bench.store.artefacts import Artefacts
from bench.store.planned import matrix_cells
from bench.store.record import Record, Records, from_json
from bench.store.sidecars import GOLD, predictions_name

_AT_TOP = frozenset(
    {"records", "sidecars", "fingerprints", "models", "taggers", "jobs", "matrix.json"}
    | {"tables", "figures", "report.html"}  # made from the others
)


@dataclass(frozen=True)
class Finding:
    """Something that is not as it must be: where, what is there, what should be."""

    file: str  # from the results folder
    what: str
    stored: str = ""
    expected: str = ""

    def __str__(self) -> str:
        values = f": stored {self.stored or 'nothing'}, should be {self.expected or 'nothing'}"
        return f"{self.file}: {self.what}{values if self.stored or self.expected else ''}"


@dataclass
class Verified:
    """What was looked at and what was found; notes are no mismatch."""

    out: Path
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, file: Path, what: str, stored: Any = "", expected: Any = "") -> None:
        """Note a mismatch."""
        place = file.relative_to(self.out).as_posix()
        self.findings.append(Finding(place, what, str(stored)[:200], str(expected)[:200]))

    def leftover(self, file: Path) -> None:
        """Note a file that a killed write left."""
        place = file.relative_to(self.out).as_posix()
        self.notes.append(f"{place}: left by a write that did not finish; it may be deleted")

    def count(self, what: str, number: int = 1) -> None:
        """Note what was looked at."""
        self.counts[what] = self.counts.get(what, 0) + number


def verify(out: Path) -> Verified:
    """Check everything that a results folder holds.

    Scores, counts, sentences and tokens are made again from the gold and predictions of the sidecars; the gold against
    the test's digest; tables from the records; the weights kept in models/ against their hashes. What only a training
    knows (dev scores, entities seen, cost) cannot be checked.

    Raises:
        BadInput: there are no records at all.
    """
    found = Verified(out)
    if not any((out / "records").glob("*")):
        raise BadInput(f"{out}: no records here, so nothing can be verified")
    records = dict(_records(found))
    planned = _matrix(found, records)
    rescorer = Rescorer(found.add, Records(out))
    for record in records.values():
        found.count("records")
        if record.status == "ok":
            found.count("scores", rescorer.check(record))
    _sidecars(found, records, planned)
    _models(found)
    for path in sorted(out.iterdir()):
        if path.name not in _AT_TOP and not path.name.startswith("."):
            found.notes.append(f"{path.name}: nothing that this program writes there")
    _tables(found)
    return found


def _records(found: Verified) -> Iterator[tuple[str, Record]]:
    """Every record that this version can read, by key."""
    for path in sorted((found.out / "records").iterdir()):
        if path.name.startswith("."):
            found.leftover(path)
            continue
        if path.suffix != ".json" or not path.is_file():
            found.add(path, "no record: nothing that this program writes")
            continue
        try:
            record = from_json(json.loads(path.read_text(encoding="utf-8")), "record")
            _check_form(record)
        except BadInput as error:
            found.add(path, str(error))
        except UnicodeDecodeError as error:
            found.add(path, f"not UTF-8 at byte {error.start}")
        except json.JSONDecodeError as error:
            found.add(path, f"truncated or not JSON: {error.msg} at line {error.lineno}, column {error.colno}")
        except (RecursionError, ValueError) as error:  # nested too deeply, a number too long
            found.add(path, f"not a record: {error}")
        except OSError as error:
            found.add(path, f"cannot be read: {error.strerror}")
        else:
            if record.key != path.stem:
                found.add(path, "the key is not the file's name", record.key, path.stem)
                continue
            yield record.key, record


def _check_form(record: Record) -> None:
    """What dataclasses do not check and everything below relies on."""
    fields: list[tuple[str, Any, tuple[type, ...]]] = [("key", record.key, (str,))]
    fields += [(name, getattr(record, name), (dict,)) for name in ("cell", "corpus", "factors")]
    fields += [("rules", rule, (str,)) for rule in record.rules]
    for rule, score in record.scores.items():
        fields += [(f"scores.{rule}.{n}", getattr(score, n), (int, float)) for n in ("f1", "precision", "recall")]
    if isinstance(record.cell, dict):
        fields += [(f"cell.{name}", record.cell.get(name), (str,)) for name in ("label", "target")]
    for name, value, types in fields:
        if not isinstance(value, types):
            raise BadInput(f"not a record: '{name}' is {value!r}"[:200])
    if record.status not in ("ok", "failed", "skipped"):
        raise BadInput(f"not a record: status {record.status!r} is not ok, failed or skipped")
    if any("/" in rule or rule.startswith(".") for rule in record.scores):
        raise BadInput("not a record: a selection rule is no file name")


def _matrix(found: Verified, records: dict[str, Record]) -> set[str]:
    """Keys that matrix.json names; the cell of a record must be the matrix's."""
    path = found.out / "matrix.json"
    try:
        cells = matrix_cells(found.out)
    except BadInput as error:
        found.add(path, str(error).removeprefix(f"{path}: "))
        return set()
    keys = {str(cell["key"]) for cell in cells}
    for cell in (cell for cell in cells if cell["key"] in records):
        record = records[str(cell["key"])]
        for name, value in cell.items():
            if name != "key" and record.cell.get(name) != value:
                file = Records(found.out).path(record.key)
                found.add(file, f"cell.{name} is not what matrix.json says", record.cell.get(name), value)
    if cells and (absent := len(keys - records.keys())):
        found.notes.append(f"{absent} of the matrix's {len(keys)} cells have no (readable) record")
    if cells and (more := len(records.keys() - keys)):
        found.notes.append(f"{more} records are of cells that matrix.json does not name (older code or settings)")
    return keys


def _sidecars(found: Verified, records: dict[str, Record], planned: set[str]) -> None:
    """Folders and files that belong to no record."""
    folder = found.out / "sidecars"
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name.startswith("."):
            continue
        if (found.out / "records" / f"{path.name}.json").exists():
            known = _known_files(records.get(path.name))
            for inner in sorted(path.iterdir()) if path.is_dir() else ():
                if inner.name.startswith("."):
                    found.leftover(inner)
                elif known is not None and inner.name not in known:
                    found.add(inner, "no sidecar of its record")
        elif path.name in planned:
            found.notes.append(f"sidecars/{path.name}: of a cell that is not finished")
        else:
            found.add(path, "no record of this name")


def _known_files(record: Record | None) -> set[str] | None:
    """The sidecars that a record may have; None where that is unknown, or the record has no scores."""
    if record is None or record.status != "ok":
        return None
    rules = {predictions_name(rule) for rule in record.scores}
    return {"counts.npz", GOLD, "curves.json", "key.json", "space.npz"} | rules


def _models(found: Verified) -> None:
    """The artefacts of the folder, against the hashes that they were published with."""
    store = Artefacts(found.out / "models")
    for path in sorted(store.root.glob("[!.]*/[!.]*")):
        if path.is_dir():
            found.count("artefacts")
            if store.get(path.parent.name, path.name) is None:
                found.add(path, "damaged: a file is not the one that was published (it will be made again)")


# --- tables -----------------------------------------------------------------------------------------------------------


def _tables(found: Verified) -> None:
    """The tables that are there, made again from the records and compared to the byte."""
    found.count("tables", 0)
    folder = found.out / "tables"
    there = {path.name: path for path in sorted(folder.glob("*"))} if folder.is_dir() else {}
    for name in [name for name in there if name.startswith(".")]:
        found.leftover(there.pop(name))
    if not there:
        return
    if any(finding.file.startswith("records/") and finding.file.endswith(".json") for finding in found.findings):
        found.notes.append("tables/: not checked, since not every record could be read")
        return
    formats = [format_ for format_, (ending, _) in RENDERERS.items() if any(name.endswith(ending) for name in there)]
    try:
        made = groups(read([found.out]))
        wanted = {path.name: text for path, text in texts_of(found.out, formats, made).items()} if formats else {}
        if SHOWN in there:
            wanted[SHOWN] = shown_text(main_tables(made))
    except Exception as error:  # noqa: BLE001 - whatever records of odd content raise is what there is to say
        said = str(error) if isinstance(error, BadInput) else f"{type(error).__name__}: {error}"
        found.add(folder, f"cannot be made again: {said}")
        return
    for name in sorted(there.keys() - wanted.keys()):
        found.add(there[name], "no table of these records")
    for name, expected in wanted.items():
        if name not in there:
            found.add(folder / name, "missing; `xner tables` makes it")
        else:
            found.count("tables")
            _compare(found, there[name], expected)


def _compare(found: Verified, path: Path, expected: str) -> None:
    try:
        stored = path.read_bytes().decode()
    except UnicodeDecodeError as error:
        found.add(path, f"not UTF-8 at byte {error.start}")
        return
    except OSError as error:
        found.add(path, f"cannot be read: {error.strerror}")
        return
    if stored != expected:
        lines = stored.split("\n"), expected.split("\n")
        number = _first_difference(*lines)
        at = [text[number] if number < len(text) else "" for text in lines]
        start = max(0, _first_difference(*at) - 40)  # shortly before it
        what = f"line {number + 1} is not what this version makes of the records (`xner tables` writes it anew)"
        found.add(path, what, *(repr(line[start : start + 100]) for line in at))


def _first_difference(text: Sequence[str], other: Sequence[str]) -> int:
    """The first place in which they differ, the length of the shorter where there is none."""
    same = (a == b for a, b in zip(text, other, strict=False))
    return next((place for place, equal in enumerate(same) if not equal), min(len(text), len(other)))


# --- as text and JSON -------------------------------------------------------------------------------------------------


def text(found: Verified) -> str:
    """A line a mismatch, then notes, then the sum."""
    looked, number = ", ".join(f"{number} {what}" for what, number in found.counts.items()), len(found.findings)
    end = f"{found.out}: {looked}: {number or 'no'} mismatch{'es' if number > 1 else ''}"
    lines = [*map(str, found.findings), *(f"note: {note}" for note in found.notes), end]
    return "".join(f"{printable(line)}\n" for line in lines)


def as_json(found: Verified) -> dict[str, Any]:
    """The same as JSON values."""
    return {
        "out": found.out.as_posix(),
        "clean": not found.findings,
        "checked": found.counts,
        "mismatches": [asdict(finding) for finding in found.findings],
        "notes": found.notes,
    }
