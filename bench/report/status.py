"""How far a results folder is: records by method and target, and what its matrix still lacks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
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


@dataclass(frozen=True)
class Status:
    """A results folder in numbers, from one reading of it."""

    out: Path
    tallies: dict[tuple[str, str], Tally]  # by (label, target), in the matrix's order
    planned: bool  # there is a matrix.json: the tallies are of its cells, else of all records
    unplanned: int  # records of cells that matrix.json does not name (older code or settings, imports)
    damaged: tuple[Path, ...] = ()  # records that cannot be read: their cells count as missing

    @property
    def total(self) -> dict[str, int]:
        """Cells by state over everything."""
        return {state: sum(tally.states[state] for tally in self.tallies.values()) for state in STATES}


def status_of(out: Path, records: Iterable[Record] | None = None) -> Status:
    """How far a results folder is; `records` if all of its were read already.

    Raises:
        BadInput: matrix.json or a record is not readable by this version.
    """
    found = {record.key: record for record in (Records(out).all() if records is None else records)}
    cells = matrix_cells(out)
    planned = {str(cell["key"]): cell for cell in cells} or {key: record.cell for key, record in found.items()}
    tallies: dict[tuple[str, str], Tally] = {}
    for key, cell in planned.items():
        tally = tallies.setdefault((str(cell.get("label", "?")), str(cell.get("target", "?"))), Tally())
        _count(tally, found.get(key))
    damaged = tuple(Records(out).damaged(found).values())
    if not cells:
        return Status(out, dict(sorted(tallies.items())), False, 0, damaged)
    return Status(out, tallies, True, len(found.keys() - planned.keys()), damaged)


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


def as_json(status: Status) -> dict[str, Any]:
    """The counts as JSON values."""
    rows = [
        {"method": label, "target": target, **{s: tally.states[s] for s in STATES}, "why": dict(tally.why)}
        for (label, target), tally in status.tallies.items()
    ]
    return {
        "out": status.out.as_posix(),
        "matrix": status.planned,
        "unplanned": status.unplanned,
        "damaged": [path.as_posix() for path in status.damaged],
        "total": status.total,
        "cells": rows,
    }


def text(status: Status) -> str:
    """A line a method and target, then why cells failed or were skipped, then the total."""
    grid: list[tuple[str, ...]] = [("method", "target", *STATES)]
    grid += [
        (*map(_plain, key), *(str(tally.states[s] or ".") for s in STATES)) for key, tally in status.tallies.items()
    ]
    widths = [max(len(line[i]) for line in grid) for i in range(len(grid[0]))]
    lines = [
        "  ".join([c.ljust(w) if i < 2 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True))])
        for line in grid
    ]
    why: Counter[str] = Counter()
    for tally in status.tallies.values():
        why.update(tally.why)
    lines += ["", *(f"{count} x {_plain(reason)}" for reason, count in sorted(why.items()))] if why else []
    summary = ", ".join(f"{count} {state}" for state, count in status.total.items())
    others, bad = status.unplanned, status.damaged
    known = f"; {others} records of cells that the matrix does not name" if others else ""
    known = known if status.planned else " (missing cells unknown: no matrix.json)"
    lines += ["", *(f"{path}: damaged, so its cell counts as missing; the next run makes it again" for path in bad)]
    return "\n".join([*lines, f"{status.out}: {summary}{known}"]) + "\n"


def _plain(value: str) -> str:
    return "".join(c if c.isprintable() else " " for c in value)
