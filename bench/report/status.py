"""How far a results folder is: records by method and target, and what its matrix still lacks."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.report.folder import matrix_cells
from bench.store.record import Record, Records

STATES = ("ok", "failed", "skipped", "missing")


@dataclass
class Tally:
    """Cells of one method and target by state, and why the failed and skipped ones are."""

    states: Counter[str] = field(default_factory=Counter)
    why: Counter[str] = field(default_factory=Counter)  # "failed: …" or "skipped: …"


def counts(out: Path) -> dict[tuple[str, str], Tally]:
    """By (label, target), in the matrix's order: tallies of the matrix's cells, or of all records without matrix.json.

    Raises:
        BadInput: matrix.json or a record is not readable by this version.
    """
    records = {record.key: record for record in Records(out).all()}
    cells = matrix_cells(out)
    planned = {str(cell["key"]): cell for cell in cells} or {key: record.cell for key, record in records.items()}
    tallies: dict[tuple[str, str], Tally] = {}
    for key, cell in planned.items():
        tally = tallies.setdefault((str(cell.get("label", "?")), str(cell.get("target", "?"))), Tally())
        _count(tally, records.get(key))
    return tallies if cells else dict(sorted(tallies.items()))


def _count(tally: Tally, record: Record | None) -> None:
    if record is None:
        tally.states["missing"] += 1
        return
    tally.states[record.status] += 1
    if record.status == "failed":
        error = record.error or {}
        first = (error.get("message", "").strip().splitlines() or ["no message"])[0]
        tally.why[f"failed: {error.get('type', 'error')}: {first}"[:160]] += 1
    elif record.status == "skipped":
        tally.why[f"skipped: {record.reason or 'no reason given'}"[:160]] += 1


def unplanned(out: Path) -> int:
    """Records of cells that matrix.json does not name (older code or settings, imports); 0 without a matrix.json."""
    planned = {str(cell["key"]) for cell in matrix_cells(out)}
    return sum(record.key not in planned for record in Records(out).all()) if planned else 0


def total(tallies: dict[tuple[str, str], Tally]) -> dict[str, int]:
    """Cells by state over everything."""
    return {state: sum(tally.states[state] for tally in tallies.values()) for state in STATES}


def as_json(out: Path, tallies: dict[tuple[str, str], Tally]) -> dict[str, Any]:
    """The counts as JSON values."""
    rows = [
        {"method": label, "target": target, **{s: tally.states[s] for s in STATES}, "why": dict(tally.why)}
        for (label, target), tally in tallies.items()
    ]
    return {
        "out": out.as_posix(),
        "matrix": bool(matrix_cells(out)),
        "unplanned": unplanned(out),
        "total": total(tallies),
        "cells": rows,
    }


def text(out: Path, tallies: dict[tuple[str, str], Tally]) -> str:
    """A line a method and target, then why cells failed or were skipped, then the total."""
    grid: list[tuple[str, ...]] = [("method", "target", *STATES)]
    grid += [(*map(_plain, key), *(str(tally.states[s] or ".") for s in STATES)) for key, tally in tallies.items()]
    widths = [max(len(line[i]) for line in grid) for i in range(len(grid[0]))]
    lines = [
        "  ".join([c.ljust(w) if i < 2 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True))])
        for line in grid
    ]
    why: Counter[str] = Counter()
    for tally in tallies.values():
        why.update(tally.why)
    lines += ["", *(f"{count} x {_plain(reason)}" for reason, count in sorted(why.items()))] if why else []
    summary = ", ".join(f"{count} {state}" for state, count in total(tallies).items())
    others = unplanned(out)
    known = f"; {others} records of cells that the matrix does not name" if others else ""
    known = known if matrix_cells(out) else " (missing cells unknown: no matrix.json)"
    return "\n".join([*lines, "", f"{out}: {summary}{known}"]) + "\n"


def _plain(value: str) -> str:
    return "".join(c if c.isprintable() else " " for c in value)
