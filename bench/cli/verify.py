"""`xner verify OUT`: whether scores and tables follow from the stored predictions."""

from __future__ import annotations

import argparse
import json


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
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """0 where all is as it must be, 1 where not.

    Raises:
        BadInput: no such folder, or no records in it.
    """
    from bench.report.folder import resolve
    from bench.report.verify import as_json, text, verify

    found = verify(resolve(args.out))
    if args.json:
        print(json.dumps(as_json(found), indent=1, sort_keys=True, ensure_ascii=False))
    else:
        print(text(found), end="")
    return 1 if found.findings else 0
