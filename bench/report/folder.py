"""Locating a results folder and the state of its cells. Imports no pandas, so that `xner status` is fast."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.core.errors import BadInput, nearest
from bench.store.packed import is_packed
from bench.store.record import Record, Records, matrix_cells

STATES = ("ok", "failed", "skipped", "missing")


def resolve(out: str | Path) -> Path:
    """The results folder: `out` itself, or `results/<out>` where `out` is a matrix's name.

    Raises:
        BadInput: neither holds records.
    """
    path = Path(out)
    shipped = Path("results") / path
    for candidate in (path, shipped):
        if _holds_suite(candidate):
            return candidate
    problem = "no records here" if path.is_dir() else "no such folder"
    elsewhere = f" (nor in {shipped})" if len(path.parts) == 1 else ""
    parents = [parent for parent in (path.parent, shipped.parent) if parent.is_dir()]
    known = [folder.as_posix() for parent in parents for folder in parent.iterdir() if _holds_suite(folder)]
    near = nearest(path.as_posix(), known)
    instead = near if "did you mean" in near else f"; make them with `xner run MATRIX --out {path}`"
    raise BadInput(f"{path}: {problem}{elsewhere}{instead}")


def _holds_suite(folder: Path) -> bool:
    return (folder / "records").is_dir() or is_packed(folder) or (folder / "matrix.json").is_file()


@dataclass
class StateCounts:
    """Cells of one method and target by state, and why cells failed or were skipped."""

    states: Counter[str] = field(default_factory=Counter)
    why: Counter[str] = field(default_factory=Counter)  # "failed: …" or "skipped: …"


def problem_of(record: Record) -> str:
    """Why a cell was skipped, or the type and first line of its error (160 characters, the rest as …); '' if ok."""
    if record.status == "ok":
        return ""
    error = record.error or {}
    message = (error.get("message", "").strip().splitlines() or [""])[0]
    text = ": ".join(filter(None, (error.get("type", ""), message)))
    return record.reason or (text if len(text) <= 160 else f"{text[:159]}…") or "no reason given"


@dataclass(frozen=True)
class Status:
    """The state of a results folder at one reading."""

    out: Path
    tallies: dict[tuple[str, str], StateCounts]  # by (label, target), in the matrix's order
    planned: bool  # there is a matrix.json: the tallies are of its cells, else of all records
    unplanned: int  # records of cells that matrix.json does not name (older code or settings, imports)
    damaged: tuple[Path, ...] = ()  # records that cannot be read: their cells count as missing

    @property
    def total(self) -> dict[str, int]:
        """Cells by state over everything."""
        return {state: sum(tally.states[state] for tally in self.tallies.values()) for state in STATES}

    @property
    def why(self) -> dict[str, int]:
        """How many cells have no number, by reason."""
        return dict(sorted(sum((tally.why for tally in self.tallies.values()), Counter[str]()).items()))


def status_of(out: Path, records: Iterable[Record] | None = None) -> Status:
    """The state of a results folder; pass `records` if all of them were read already.

    Raises:
        BadInput: matrix.json or a record is not readable by this version.
    """
    stored = {record.key: record for record in (Records(out).all() if records is None else records)}
    cells = matrix_cells(out)
    planned = {str(cell["key"]): cell for cell in cells} or {key: record.cell for key, record in stored.items()}
    tallies: dict[tuple[str, str], StateCounts] = defaultdict(StateCounts)
    for key, cell in planned.items():
        tally, record = tallies[str(cell.get("label", "?")), str(cell.get("target", "?"))], stored.get(key)
        tally.states["missing" if record is None else record.status] += 1
        if record is not None and record.status != "ok":
            tally.why[f"{record.status}: {problem_of(record)}"] += 1
    damaged = tuple(Records(out).damaged(stored).values())
    tallies = dict(tallies if cells else sorted(tallies.items()))
    return Status(out, tallies, bool(cells), len(stored.keys() - planned.keys()) if cells else 0, damaged)


def as_json(status: Status) -> dict[str, Any]:
    """The counts as JSON values."""
    rows = [
        {"method": label, "target": target, **{s: tally.states[s] for s in STATES}, "why": dict(tally.why)}
        for (label, target), tally in status.tallies.items()
    ]
    facts = {"out": status.out.as_posix(), "matrix": status.planned, "unplanned": status.unplanned}
    return {**facts, "damaged": [path.as_posix() for path in status.damaged], "total": status.total, "cells": rows}


def text(status: Status) -> str:
    """One line per method and target, then the reasons of failed and skipped cells, then the total."""
    counts = [[*key, *(str(tally.states[s] or ".") for s in STATES)] for key, tally in status.tallies.items()]
    lines = aligned([("method", "target", *STATES), *(map(printable, row) for row in counts)], left=2)
    if status.why:
        lines += ["", *(f"{count} x {printable(reason)}" for reason, count in status.why.items())]
    known = f"; {status.unplanned} records of cells that the matrix does not name" if status.unplanned else ""
    known = known if status.planned else " (missing cells unknown: no matrix.json)"
    total = ", ".join(f"{count} {state}" for state, count in status.total.items())
    bad = [f"{path}: damaged, so its cell counts as missing; the next run makes it again" for path in status.damaged]
    return "\n".join([*lines, "", *bad, f"{status.out}: {total}{known}"]) + "\n"


def printable(line: str) -> str:
    """The text with every unprintable character, line breaks included, replaced by a blank."""
    return "".join(c if c.isprintable() else " " for c in line)


def aligned(grid: Iterable[Iterable[str]], left: int = 1) -> list[str]:
    """Lines of a table; the first `left` columns are aligned left, the others right."""
    rows = [list(row) for row in grid]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(f"{cell:{'<' if i < left else '>'}{widths[i]}}" for i, cell in enumerate(row)).rstrip()
        for row in rows
    ]
