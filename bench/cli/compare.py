"""`xner compare OUT A B`: by how much two methods differ, how sure that is, and what may be concluded."""

from __future__ import annotations

import argparse
import json


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `compare`."""
    parser = commands.add_parser(
        "compare",
        help="two methods against each other: difference, interval, test, conclusion",
        description="Difference of F1 of A and B by target language and on average, with its 95 % interval, a paired "
        "test (seeds and sentences crossed, Holm over the languages) and equivalence within one point; in what they "
        "differ, whether the contrast was declared in advance, and what may be concluded.",
    )
    parser.add_argument("out", metavar="OUT", help="results folder, or the name of a matrix (results/NAME)")
    parser.add_argument("a", metavar="A", help="a method or variant, as tables name it")
    parser.add_argument("b", metavar="B", help="the one that it is compared with")
    parser.add_argument("--rule", default="", metavar="R", help="selection rule (default: each table's main one)")
    parser.add_argument("--json", action="store_true", help="print JSON, F1 in percent")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Compare in every table that has both.

    Raises:
        BadInput: no such folder, label or rule, or no table has both.
    """
    from bench.report.compare import compare
    from bench.report.folder import resolve
    from bench.report.verdicts import as_json, text

    found = compare(resolve(args.out), args.a, args.b, args.rule)
    if args.json:
        print(json.dumps([as_json(one) for one in found], indent=1, sort_keys=True, ensure_ascii=False))
    else:
        print("\n\n".join(map(text, found)))
    return 0
