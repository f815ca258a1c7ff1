"""`xner verify OUT`: whether scores and tables follow from the stored predictions."""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `verify`."""
    parser = commands.add_parser(
        "verify",
        help="score stored predictions again, make tables again, name every mismatch",
        description="Scores the stored predictions against the stored gold again and compares with records and counts; "
        "makes the tables again and compares them to the byte; checks hashes of kept weights; names what is missing, "
        "foreign or damaged. Exit code 1 where anything is wrong.",
    )
    parser.add_argument("out", metavar="OUT", help="results folder, or the name of a matrix (results/NAME)")
    parser.add_argument(
        "--against", choices=["published"], help="list only where our rows agree with published figures; exit code 0"
    )
    parser.add_argument(
        "--tolerance", type=float, default=2.0, metavar="F1", help="points of F1 (default: %(default)g)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """0 where all is as it must be, 1 where not.

    Raises:
        BadInput: no such folder, or no records in it.
    """
    from bench.report.folder import resolve
    from bench.report.verify import as_json, text, verify

    if args.against:
        return _against_published(resolve(args.out), args.tolerance, args.json)
    found = verify(resolve(args.out))
    if args.json:
        print(json.dumps(as_json(found), indent=1, sort_keys=True, ensure_ascii=False))
    else:
        print(text(found), end="")
    return 1 if found.findings else 0


def _against_published(out: Path, tolerance: float, as_json: bool) -> int:
    """Print the agreement; that settings differ is no fault of the folder, so nothing is a failure."""
    from bench.core.errors import BadInput
    from bench.report.frame import groups, read
    from bench.report.published import agreement

    if not tolerance >= 0:
        raise BadInput(f"--tolerance {tolerance:g}: must not be negative")
    lines = agreement(groups(read([out])), tolerance)
    if as_json:
        print(json.dumps(lines, indent=1, ensure_ascii=False))
    else:
        print("\n".join(lines) or f"{out}: no row of ours is meant to reproduce a published figure")
    return 0
