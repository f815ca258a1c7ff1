"""`xner why OUT CELL`: why a cell is done, is to be run again, or was never run."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.plan.explain import CellState

SHOWN = 8  # changes; --json has them all


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `why`."""
    parser = commands.add_parser(
        "why",
        help="why a cell is done, stale or missing",
        description="Compares the key that a cell has today with the one that its record was stored under, and names "
        "the components that differ, with old and new value: settings first, then data, versions and code.",
    )
    parser.add_argument("out", metavar="OUT", help="results folder, or the name of a matrix (results/NAME)")
    parser.add_argument(
        "cell",
        nargs="+",
        metavar="CELL",
        help="how a record's key begins, or words that all hold: method, target, encoder, seed, k=v",
    )
    parser.add_argument("--matrix", default="", help="take the settings from this matrix (default: what was run last)")
    parser.add_argument("--set", action="append", default=[], metavar="K=V", help="override, e.g. train.steps=50")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the state of the cells; BadInput where there is no such folder or cell."""
    from bench.data.identity import keyed
    from bench.data.sources import with_commits
    from bench.plan.explain import why
    from bench.report.folder import resolve

    out = resolve(args.out)
    found = why(out, args.cell, lambda cell: keyed(with_commits([cell], out)[0])[0], args.matrix, args.set)
    if args.json:
        print(json.dumps([_as_json(state) for state in found], indent=1, sort_keys=True, ensure_ascii=False))
    for state in [] if args.json else found:
        print("\n  ".join("".join(c if c.isprintable() else " " for c in line) for line in _lines(state)))
    return 0


def _lines(cell: CellState) -> list[str]:
    record = cell.record
    stored = [f"record {record.key}: {record.status}, attempt {record.attempts}"] if record else []
    if cell.state == "stale":
        more = [f"and {len(cell.changes) - SHOWN} more (--json has them all)"] if len(cell.changes) > SHOWN else []
        unknown = ["what its key was made of was not stored: an older version of this program wrote it"]
        lines = [*map(str, cell.changes[:SHOWN]), *more] or unknown
        lines += [*stored, f"today's key is {cell.key}: the next run trains it"]
    elif cell.state == "missing":
        lines = [f"no record of this cell under any key; the next run trains it as {cell.key}"]
    elif cell.state == "imported":
        lines = [*stored, "another system's predictions, which no code here can make stale"]
    elif cell.state == "unknown":
        lines = [f"it cannot be planned today: {cell.note}", *stored]
    else:
        lines = [*stored, "its key is the one that today's settings, data, versions and code give"]
        error = (record.error if record else None) or {}
        if cell.state == "failed":
            lines.append(f"failed: {error.get('type')}: {error.get('message')}; --mode retry runs it again")
        elif cell.state == "skipped" and record:
            lines.append(f"skipped: {record.reason}")
    hit = cell.state in ("ok", "failed", "skipped")
    return [f"{cell.name}: {'hit' if hit else cell.state}", *lines]


def _as_json(cell: CellState) -> dict[str, object]:
    record = {"key": cell.record.key, "status": cell.record.status} if cell.record else None
    differ = [asdict(change) for change in cell.changes]
    whole = {"cell": dict(cell.cell), "state": cell.state, "key": cell.key, "record": record}
    return whole | {"differences": differ, "note": cell.note}
