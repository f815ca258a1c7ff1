"""`xner why OUT CELL`: why a cell is done, is to be run again, or was never run."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.plan.explain import Standing

SHOWN = 8  # differences; --json has them all


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
    """Print how the cells stand.

    Raises:
        BadInput: no such folder or cell.
    """
    from bench.plan.explain import why
    from bench.report.folder import resolve

    found = why(resolve(args.out), args.cell, args.matrix, args.set)
    if args.json:
        print(json.dumps([_as_json(one) for one in found], indent=1, sort_keys=True, ensure_ascii=False))
    else:
        for one in found:
            print("\n  ".join("".join(c if c.isprintable() else " " for c in line) for line in _lines(one)))
    return 0


def _lines(one: Standing) -> list[str]:
    record = one.record
    stored = f"record {record.key}: {record.status}, attempt {record.attempts}" if record else ""
    if one.state == "stale":
        shown = [str(difference) for difference in one.differences[:SHOWN]]
        more = len(one.differences) - len(shown)
        shown += [f"and {more} more (--json has them all)"] if more else []
        shown = shown or ["what its key was made of was not stored: an older version of this program wrote it"]
        return [f"{one.name}: stale", *shown, stored, f"today's key is {one.key}: the next run trains it"]
    if one.state == "missing":
        if one.note:
            return [f"{one.name}: missing", one.note]
        return [f"{one.name}: missing", f"no record of this cell under any key; the next run trains it as {one.key}"]
    if one.state == "imported":
        return [f"{one.name}: imported", f"{stored}; another system's predictions, which no code here can make stale"]
    if one.state == "unknown":
        return [f"{one.name}: unknown", f"it cannot be planned today: {one.note}", *([stored] if stored else [])]
    lines = [f"{one.name}: hit", stored, "its key is the one that today's settings, data, versions and code give"]
    error = (record.error if record else None) or {}
    if one.state == "failed":
        lines.append(f"failed: {error.get('type')}: {error.get('message')}; --mode retry runs it again")
    if one.state == "skipped" and record:
        lines.append(f"skipped: {record.reason}")
    return lines


def _as_json(one: Standing) -> dict[str, object]:
    differ = [{"what": d.what, "old": d.old, "new": d.new} for d in one.differences]
    record = {"key": one.record.key, "status": one.record.status} if one.record else None
    return {"cell": dict(one.cell), "state": one.state, "key": one.key, "record": record} | {
        "differences": differ,
        "note": one.note,
    }
