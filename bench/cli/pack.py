"""`xner pack`, `xner unpack`: a finished suite in a few files, and back; `xner prune`: free what nothing needs."""

from __future__ import annotations

import argparse
import json

from bench.report.folder import printable, resolve
from bench.run.prune import prune
from bench.store.artefacts import Artefacts, cache_root
from bench.store.packed import FILES, pack, refuse_packed, unpack


def add(commands: argparse._SubParsersAction) -> None:  # type: ignore[type-arg]  # not subscriptable when run
    for name, summary, run in (
        ("pack", "put a finished suite into a few files, to be committed or handed on", pack_verb),
        ("unpack", "put a packed suite back into one file per record", unpack_verb),
        ("prune", "free weights, leftovers and, if asked, older records", prune_verb),
    ):
        verb = commands.add_parser(name, help=summary, description=(run.__doc__ or "").partition("\n\n")[0])
        verb.add_argument("out", metavar="OUT", help="results folder, or the name of a matrix (results/NAME)")
        verb.set_defaults(run=run)
    verb.add_argument("--dry-run", action="store_true", help="only say what would be freed")
    for flag, kind, freed in (
        ("--stale", "stale records", "records that a newer one of their cell replaces"),
        ("--taggers", "exported taggers", "the taggers that --keep-models exported"),
        (
            "--cache",
            "cache",
            "translations and links of finished cells; other folders that share them make them again",
        ),
    ):
        verb.add_argument(flag, dest="also", action="append_const", const=kind, default=[], help=f"also {freed}")
    verb.add_argument("--json", action="store_true", help="print JSON")


def pack_verb(args: argparse.Namespace) -> int:
    """Put records, counts, curves and predictions into a few files; every reading verb takes a packed folder."""
    out = resolve(args.out)
    pack(out)
    size = sum((out / name).stat().st_size for name in FILES if (out / name).is_file())
    print(f"{out}: packed, {size / 1e6:.1f} MB; `xner unpack {out}` undoes it")
    return 0


def unpack_verb(args: argparse.Namespace) -> int:
    """Put a packed suite back into one file per record, so that a matrix can be run into the folder again."""
    out = resolve(args.out)
    unpack(out)
    print(f"{out}: unpacked")
    return 0


def prune_verb(args: argparse.Namespace) -> int:
    """Free weights that no unfinished cell may need and leftovers of killed processes; print them and their bytes.
    Cells without a record that were taken out of the matrix are no longer counted as missing.
    Imported records and files that are not ours are never touched.

    Raises:
        BadInput: no such folder, or a run is at work in it.
    """
    out = resolve(args.out)
    refuse_packed(out)
    findings = prune(out, args.also, Artefacts(cache_root()), args.dry_run)
    total = sum(item.size for item in findings.items)
    if args.json:
        rows = [vars(item) | {"paths": [path.as_posix() for path in item.paths]} for item in findings.items]
        whole = {"out": out.as_posix(), "freed": rows, "bytes": total, "dry_run": args.dry_run}
        whole |= {"kept": findings.kept, "foreign": findings.foreign, "unnamed": len(findings.unnamed)}
        print(json.dumps(whole, indent=1, sort_keys=True, ensure_ascii=False))
        return 0
    for kind in dict.fromkeys(item.kind for item in findings.items):
        items = [item for item in findings.items if item.kind == kind]
        print(f"{kind}: {sum(len(item.paths) for item in items)} paths, {sum(item.size for item in items):,} bytes")
        for item in items if args.dry_run or kind == "stale records" else ():
            print(f"  {printable(item.what or item.paths[0].as_posix())}: {item.size:,} bytes")
    if findings.unnamed:
        print(f"matrix.json: {len(findings.unnamed)} cells without a record that the matrix no longer names")
    for reason in findings.kept:
        print(f"kept: {reason}")
    for name in findings.foreign:
        print(f"not ours, left alone: {printable(name)}")
    print(f"{out}: {total:,} bytes {'would be freed' if args.dry_run else 'freed'}")
    return 0
