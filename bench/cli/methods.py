"""`xner methods`: the methods, and for a matrix the targets in which each could not run."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, replace
from typing import Any

from bench.api.method import Method
from bench.core.errors import BadInput
from bench.data.foreseen import skip_of
from bench.plan import registry
from bench.plan.matrix import Cell, cells, check_usable, needs_of_method
from bench.plan.schema import to_plain
from bench.plan.spec import load_matrix


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    methods = commands.add_parser("methods", help="the methods found, with paper, factors and needs")
    methods.add_argument("--json", action="store_true")
    about = "also show which methods are in this matrix, and where each could not run"
    methods.add_argument("--matrix", metavar="MATRIX", help=about)
    methods.set_defaults(run=methods_verb)


def methods_verb(args: argparse.Namespace) -> int:
    """List every method found; one that cannot be loaded is named with its cause, and makes the exit code 1."""
    planned = cells(load_matrix(args.matrix)) if args.matrix else []
    rows, broken = [], []
    for name in registry.names("method"):
        try:
            check_usable(name, {})
            method: Method = registry.make("method", name)
            needs, factors = sorted(need.name for need in needs_of_method(method)), asdict(method.factors())
            row: dict[str, Any] = {"name": name, "paper": method.paper, "needs": needs, "factors": factors}
            if args.matrix:
                row["labels"] = sorted({cell.label for cell in planned if cell.method == name})
                row["skipped"] = _skips(name, method, planned)
        except BadInput as error:
            broken.append(str(error))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a plug-in's error must not hide the others
            broken.append(f"method '{name}' fails: {registry.in_one_line(error)}")
        else:
            rows.append(row)
    if args.json:
        print(json.dumps({"methods": rows, "broken": broken}, indent=1))
    for row in [] if args.json else rows:
        _print(row)
    for line in broken:
        print(f"xner: {line}", file=sys.stderr)
    return 1 if broken else 0


def _print(row: dict[str, Any]) -> None:
    factors = ", ".join(f"{k.replace('_', ' ')}: {v}" for k, v in row["factors"].items() if v not in ("no", "none"))
    print(f"{row['name']}\n  paper    {row['paper'] or 'none'}")
    print(f"  needs    {', '.join(row['needs']) or 'labelled source sentences only'}\n  factors  {factors}")
    if "labels" in row:
        print(f"  matrix   {'as ' + ', '.join(row['labels']) if row['labels'] else 'not in it'}")
        for reason, targets in row["skipped"].items():
            print(f"  skipped  {', '.join(targets)}: {reason}")


def _skips(name: str, method: Method, planned: list[Cell]) -> dict[str, list[str]]:
    """The matrix's targets that the method would skip, by reason; with default parameters if the matrix lacks it.

    One cell per target is checked. Reasons that only a run can find, such as leakage, are left out.
    """
    reasons: dict[str, list[str]] = {}
    for cell in {cell.target: cell for cell in reversed(planned)}.values():
        own = [candidate for candidate in planned if candidate.method == name and candidate.target == cell.target]
        looked = own[0] if own else replace(cell, label=name, method=name, params=to_plain(method.params))
        reason = skip_of(registry.make("method", name, looked.params), looked)
        if reason:
            reasons.setdefault(reason, []).append(looked.target)
    return {reason: sorted(targets) for reason, targets in reasons.items()}
