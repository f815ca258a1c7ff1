"""`xner methods`."""

from __future__ import annotations

import argparse
import json
import sys

from bench.corpus import BadInput


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    methods = commands.add_parser("methods", help="the methods found, with paper, factors and needs")
    methods.add_argument("--json", action="store_true")
    methods.set_defaults(run=methods_verb)


def methods_verb(args: argparse.Namespace) -> int:
    """List every method found; one that cannot be loaded is named with its cause, and makes the exit code 1."""
    from dataclasses import asdict

    from bench.plan import registry

    rows, broken = [], []
    for name in registry.names("method"):
        try:
            method = registry.make("method", name)
        except BadInput as error:
            broken.append(str(error))
            continue
        needs = sorted(need.name for need in method.needs)
        rows.append({"name": name, "paper": method.paper, "needs": needs, "factors": asdict(method.factors())})
    if args.json:
        print(json.dumps({"methods": rows, "broken": broken}, indent=1))
    for row in [] if args.json else rows:
        factors = ", ".join(f"{k.replace('_', ' ')}: {v}" for k, v in row["factors"].items() if v not in ("no", "none"))
        print(f"{row['name']}\n  paper    {row['paper'] or 'none: a standard bound'}")
        print(f"  needs    {', '.join(row['needs']) or 'labelled source sentences only'}\n  factors  {factors}")
    for line in broken:
        print(f"xner: {line}", file=sys.stderr)
    return 1 if broken else 0
