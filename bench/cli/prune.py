"""`xner prune OUT`: free what nothing needs any more."""

from __future__ import annotations

import argparse
import json


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `prune`."""
    parser = commands.add_parser(
        "prune",
        help="free weights, leftovers and, if asked, older records",
        description="Frees weights that no unfinished cell may need and what killed processes left; says what and how "
        "many bytes. Imported records and files that are not ours are never touched.",
    )
    parser.add_argument("out", metavar="OUT", help="results folder, or the name of a matrix (results/NAME)")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be freed")
    parser.add_argument("--stale", action="store_true", help="also records that a newer one of their cell replaces")
    parser.add_argument("--taggers", action="store_true", help="also the taggers that --keep-models exported")
    parser.add_argument(
        "--cache",
        action="store_true",
        help="also the translations and links of finished cells; a folder that shares them makes them again",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Free, or say what would be.

    Raises:
        BadInput: no such folder, or a run is at work in it.
    """
    from bench.report.folder import resolve
    from bench.run.prune import Wanted, prune
    from bench.store.artefacts import Artefacts, cache_root

    out = resolve(args.out)
    found = prune(out, Wanted(args.stale, args.taggers, args.cache), Artefacts(cache_root()), args.dry_run)
    total = sum(item.size for item in found.items)
    if args.json:
        rows = [vars(item) | {"paths": [path.as_posix() for path in item.paths]} for item in found.items]
        whole = {"out": out.as_posix(), "freed": rows, "bytes": total, "kept": found.kept, "foreign": found.foreign}
        print(json.dumps(whole | {"dry_run": args.dry_run}, indent=1, sort_keys=True, ensure_ascii=False))
        return 0
    for kind in dict.fromkeys(item.kind for item in found.items):
        items = [item for item in found.items if item.kind == kind]
        print(f"{kind}: {sum(len(item.paths) for item in items)} paths, {sum(item.size for item in items):,} bytes")
        for item in items if args.dry_run or kind == "stale records" else ():
            print(f"  {_plain(item.what or item.paths[0].as_posix())}: {item.size:,} bytes")
    for reason in found.kept:
        print(f"kept: {reason}")
    for name in found.foreign:
        print(f"not ours, left alone: {_plain(name)}")
    print(f"{out}: {total:,} bytes {'would be freed' if args.dry_run else 'freed'}")
    return 0


def _plain(value: str) -> str:
    return "".join(c if c.isprintable() else " " for c in value)
