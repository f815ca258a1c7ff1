"""`xner pack` and `xner unpack`: a finished suite in a few files, and back."""

from __future__ import annotations

import argparse


def add(commands: argparse._SubParsersAction) -> None:  # type: ignore[type-arg]  # not subscriptable when run
    """Register both verbs."""
    for name, summary, run in (
        ("pack", "put a finished suite into a few files, to be committed or handed on", pack_verb),
        ("unpack", "put a packed suite back into a file a record", unpack_verb),
    ):
        verb = commands.add_parser(name, help=summary, description=run.__doc__)
        verb.add_argument("out", metavar="OUT", help="results folder, or the name of a matrix (results/NAME)")
        verb.set_defaults(run=run)


def pack_verb(args: argparse.Namespace) -> int:
    """Put records, counts, curves and predictions into a few files; every reading verb takes a packed folder."""
    from bench.report.folder import resolve
    from bench.store.packed import FILES, pack

    out = resolve(args.out)
    pack(out)
    size = sum((out / name).stat().st_size for name in FILES if (out / name).is_file())
    print(f"{out}: packed, {size / 1e6:.1f} MB; `xner unpack {out}` undoes it")
    return 0


def unpack_verb(args: argparse.Namespace) -> int:
    """Put a packed suite back into a file a record, so that a matrix can be run into the folder again."""
    from bench.report.folder import resolve
    from bench.store.packed import unpack

    out = resolve(args.out)
    unpack(out)
    print(f"{out}: unpacked")
    return 0
