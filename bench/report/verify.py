"""Whether what a results folder says follows from what it holds: records against sidecars, tables against records."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.core.errors import BadInput
from bench.report.folder import matrix_cells
from bench.report.rescore import Rescorer
from bench.store.artefacts import Artefacts
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
        parts = [f"{self.file}: {self.what}"]
        if self.stored or self.expected:
            parts.append(f"stored {self.stored or 'nothing'}, should be {self.expected or 'nothing'}")
        return ": ".join(parts)


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
    _top(found)
    from bench.report.retabulate import check_tables

    found.count("tables", check_tables(out, found.add, found.notes, complete=_readable(found)))
    return found


def _records(found: Verified) -> Iterator[tuple[str, Record]]:
    """Every record that this version can read, by key."""
    for path in sorted((found.out / "records").iterdir()):
        if path.name.startswith("."):
            found.notes.append(f"records/{path.name}: left by a write that did not end; it may be deleted")
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

    def need(name: str, value: Any, *kinds: type) -> None:
        if not isinstance(value, kinds):
            raise BadInput(f"not a record: '{name}' is {value!r}"[:200])

    need("key", record.key, str)
    for name in ("cell", "corpus", "factors"):
        need(name, getattr(record, name), dict)
    for name in ("label", "target"):
        need(f"cell.{name}", record.cell.get(name), str)
    for rule in record.rules:
        need("rules", rule, str)
    for rule, score in record.scores.items():
        for name in ("f1", "precision", "recall"):
            need(f"scores.{rule}.{name}", getattr(score, name), int, float)
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
    for cell in cells:
        record = records.get(str(cell["key"]))
        for name, value in cell.items() if record is not None else ():
            if name != "key" and record is not None and record.cell.get(name) != value:
                file = Records(found.out).path(record.key)
                found.add(file, f"cell.{name} is not what matrix.json says", record.cell.get(name), value)
    keys = {str(cell["key"]) for cell in cells}
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
                    place = inner.relative_to(found.out).as_posix()
                    found.notes.append(f"{place}: left by a write that did not end; it may be deleted")
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


def _top(found: Verified) -> None:
    for path in sorted(found.out.iterdir()):
        if path.name not in _AT_TOP and not path.name.startswith("."):
            found.notes.append(f"{path.name}: nothing that this program writes there")


def _readable(found: Verified) -> bool:
    """Whether every record could be read, so that tables can be made."""
    return not any(one.file.startswith("records/") and one.file.endswith(".json") for one in found.findings)


# --- as text and JSON -------------------------------------------------------------------------------------------------


def text(found: Verified) -> str:
    """A line a mismatch, then notes, then the sum."""
    looked = ", ".join(f"{number} {what}" for what, number in found.counts.items())
    lines = [*map(str, found.findings), *(f"note: {note}" for note in found.notes)]
    number = len(found.findings)
    end = "no mismatch" if not number else "1 mismatch" if number == 1 else f"{number} mismatches"
    lines.append(f"{found.out}: {looked}: {end}")
    return "".join("".join(c if c.isprintable() else " " for c in line) + "\n" for line in lines)


def as_json(found: Verified) -> dict[str, Any]:
    """The same as JSON values."""
    return {
        "out": found.out.as_posix(),
        "clean": not found.findings,
        "checked": found.counts,
        "mismatches": [asdict(one) for one in found.findings],
        "notes": found.notes,
    }
