"""Verification of a results folder: checks its records against their sidecars and its tables against the records."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.core.errors import BadInput
from bench.report.folder import printable
from bench.report.frame import groups, read
from bench.report.rescore import Rescorer, Verified
from bench.report.tables import SHOWN, main_tables, shown_text, texts_of
from bench.report.tables.paper import FOLDER, paper_texts, spec_of
from bench.report.tables.render import RENDERERS
from bench.store.artefacts import Artefacts
from bench.store.packed import FILES, is_packed
from bench.store.record import AT_TOP, Record, from_json, matrix_cells
from bench.store.sidecars import GOLD, predictions_name

_SIDECARS = ("counts.npz", GOLD, "curves.json", "key.json", "space.npz")  # and predictions by rule


def verify(out: Path) -> Verified:
    """Check everything that a results folder holds.

    Scores, counts, sentences and tokens are recomputed from the gold and predictions of the sidecars, and tables from
    the records; the gold is checked against the test's digest, weights in models/ against their hashes. Facts that only
    the training run knew (dev scores, entities seen, cost) cannot be checked.

    Raises:
        BadInput: the folder has no records.
    """
    verified = Verified(out)
    if not any((verified.store.home / "records").glob("*")):
        raise BadInput(f"{out}: no records here, so nothing can be verified")
    records = dict(_records(verified))
    planned = _matrix(verified, records)
    rescorer = Rescorer(verified)
    for record in sorted(records.values(), key=lambda record: str(record.corpus.get("test"))):  # gold is read once
        verified.count("records")
        if record.status == "ok":
            verified.count("scores", rescorer.check(record))
    _sidecars(verified, records, planned)
    _models(verified)
    pages = (".md", ".toml") if is_packed(out) else ()  # with which a finished suite is published
    for path in sorted(out.iterdir()):
        if path.name not in (*AT_TOP, *FILES) and not path.name.startswith(".") and path.suffix not in pages:
            verified.notes.append(f"{path.name}: not something that this program writes there")
    _tables(verified)
    return verified


def _records(verified: Verified) -> Iterator[tuple[str, Record]]:
    """Every record that this version can read, by key."""
    for path in sorted((verified.store.home / "records").iterdir()):
        if path.name.startswith("."):
            verified.leftover(path)
        elif path.suffix != ".json" or not path.is_file():
            verified.add(path, "not a record: this program writes no such file")
        else:
            with verified.reading(path):
                record = from_json(json.loads(path.read_text(encoding="utf-8")), "record")
                _check_form(record)
                if record.key == path.stem:
                    yield record.key, record
                else:
                    verified.add(path, "the key is not the file's name", record.key, path.stem)


def _check_form(record: Record) -> None:
    """Check the types of the fields that the checks below rely on; dataclasses do not."""
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
        raise BadInput("not a record: a selection rule cannot serve as a file name")


def _matrix(verified: Verified, records: dict[str, Record]) -> set[str]:
    """The keys in matrix.json; the cell of each record must agree with the matrix's cell."""
    path = verified.out / "matrix.json"
    try:
        cells = matrix_cells(verified.out)
    except BadInput as error:
        verified.add(path, str(error).removeprefix(f"{path}: "))
        return set()
    keys = {str(cell["key"]) for cell in cells}
    for cell in (cell for cell in cells if cell["key"] in records):
        record = records[str(cell["key"])]
        for name, value in cell.items():
            stored = record.cell.get(name)
            if name == "n_source" and isinstance(stored, int) and isinstance(value, int) and 0 < stored < value:
                continue  # as many as the corpus has
            if name != "key" and stored != value:
                file, problem = verified.store.path(record.key), f"cell.{name} is not what matrix.json says"
                verified.add(file, problem, stored, value)
    if cells and (absent := len(keys - records.keys())):
        verified.notes.append(f"{absent} of the matrix's {len(keys)} cells have no (readable) record")
    if cells and (more := len(records.keys() - keys)):
        verified.notes.append(f"{more} records are of cells that matrix.json does not name (older code or settings)")
    return keys


def _sidecars(verified: Verified, records: dict[str, Record], planned: set[str]) -> None:
    """Report folders and files that belong to no record."""
    folder = verified.store.home / "sidecars"
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name.startswith("."):
            continue
        if verified.store.path(path.name).exists():
            record = records.get(path.name)
            known = {*_SIDECARS, *map(predictions_name, record.scores)} if record and record.status == "ok" else None
            for inner in sorted(path.iterdir()) if path.is_dir() else ():
                if inner.name.startswith("."):
                    verified.leftover(inner)
                elif known is not None and inner.name not in known:
                    verified.add(inner, "not a sidecar of its record")
                elif inner.suffix == ".json":
                    with verified.reading(inner):
                        if not isinstance(json.loads(inner.read_text(encoding="utf-8")), dict):
                            verified.add(inner, "expected a JSON object")
        elif path.name in planned:
            verified.notes.append(f"sidecars/{path.name}: of a cell that is not finished")
        else:
            verified.add(path, "no record of this name")


def _models(verified: Verified) -> None:
    """Check the artefacts in the folder against the hashes stored with them."""
    store = Artefacts(verified.out / "models")
    for path in sorted(store.root.glob("[!.]*/[!.]*")):
        if path.is_dir():
            verified.count("artefacts")
            if store.get(path.parent.name, path.name) is None:
                verified.add(path, "damaged: a file is not the one that was published (it will be made again)")


# --- tables -----------------------------------------------------------------------------------------------------------


def _tables(verified: Verified) -> None:
    """Make the existing tables again from the records and compare them byte for byte."""
    verified.count("tables", 0)
    folder = verified.out / "tables"
    files = {path.name: path for path in sorted(folder.glob("*"))} if folder.is_dir() else {}
    for name in [name for name in files if name.startswith(".")]:
        verified.leftover(files.pop(name))
    papers = sorted((verified.out / FOLDER).glob("*.tex"))
    if not files and not papers:
        return
    if any(finding.file.startswith("records/") and finding.file.endswith(".json") for finding in verified.findings):
        verified.notes.append("tables/: not checked, since not every record could be read")
        return
    formats = [format_ for format_, (ending, _) in RENDERERS.items() if any(name.endswith(ending) for name in files)]
    try:
        made = groups(read([verified.out]))
        wanted = {path.name: text for path, text in texts_of(verified.out, formats, made).items()} if formats else {}
        if SHOWN in files:
            wanted[SHOWN] = shown_text(main_tables(made))
        specs = {path: spec_of(path.read_text(encoding="utf-8"), path) for path in papers}
        remade = {path: paper_texts(made, spec).get(path.name, "") for path, spec in specs.items()}
    except Exception as error:  # noqa: BLE001 - malformed records may raise anything; the error is reported
        reason = str(error) if isinstance(error, BadInput) else f"{type(error).__name__}: {error}"
        verified.add(folder, f"cannot be made again: {reason}")
        return
    for path, expected in remade.items():
        verified.count("tables")
        _compare(verified, path, expected)
    for name in sorted(files.keys() - wanted.keys()):
        verified.add(files[name], "not a table of these records; nothing writes it anew, so delete it")
    for name, expected in wanted.items():
        verified.count("tables", int(name in files))
        if name in files:
            _compare(verified, files[name], expected)
        elif not is_packed(verified.out):  # a packed suite keeps only selected tables
            verified.add(folder / name, "missing; `xner tables` makes it")


def _compare(verified: Verified, path: Path, expected: str) -> None:
    with verified.reading(path):
        stored = path.read_bytes().decode()
        if stored != expected:
            lines = stored.split("\n"), expected.split("\n")
            number = _first_difference(*lines)
            at = [text[number] if number < len(text) else "" for text in lines]
            start = max(0, _first_difference(*at) - 40)  # a little context before it
            problem = f"line {number + 1} is not what this version makes of the records (`xner tables` writes it anew)"
            verified.add(path, problem, *(repr(line[start : start + 100]) for line in at))


def _first_difference(text: Sequence[str], other: Sequence[str]) -> int:
    """The first index at which the two differ, or the length of the shorter."""
    pairs = enumerate(zip(text, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(text), len(other)))


# --- as text and JSON -------------------------------------------------------------------------------------------------


def text(verified: Verified) -> str:
    """One line for each mismatch, then the notes, then the totals."""
    looked, number = ", ".join(f"{number} {kind}" for kind, number in verified.counts.items()), len(verified.findings)
    end = f"{verified.out}: {looked}: {number or 'no'} mismatch{'es' if number > 1 else ''}"
    lines = [*map(str, verified.findings), *(f"note: {note}" for note in verified.notes), end]
    return "".join(f"{printable(line)}\n" for line in lines)


def as_json(verified: Verified) -> dict[str, Any]:
    """The same as JSON values."""
    return {
        "out": verified.out.as_posix(),
        "clean": not verified.findings,
        "checked": verified.counts,
        "mismatches": [asdict(finding) for finding in verified.findings],
        "notes": verified.notes,
    }
