"""The options for reading labelled files, shared by every verb that reads them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, cast

from bench.core.conll import Format
from bench.core.errors import BadInput, nearest
from bench.core.sentences import SCHEMES, Scheme


def add_format(parser: argparse.ArgumentParser, *files: str) -> None:
    """Register --token-column, --tag-column, --separator, --scheme, --label-map, --comments and --normalise.

    Args:
        files: names of the labelled files; where there are two, columns and scheme may be given for each: `1,0`.
    """
    for_each = f"; {','.join('AB')} for {' and '.join(files)}" if len(files) > 1 else ""
    group = parser.add_argument_group(f"how {' and '.join(files)} {'are' if len(files) > 1 else 'is'} read")
    group.add_argument("--token-column", default="", metavar="N", help=f"of words, from 0 (default: first){for_each}")
    group.add_argument("--tag-column", default="", metavar="N", help=f"of tags, -1 is the last (default){for_each}")
    group.add_argument("--separator", default="", metavar="S", help="between columns (default: tabs, else spaces)")
    group.add_argument("--scheme", default="IOB2", metavar="S", help=f"{', '.join(SCHEMES)} (default: IOB2){for_each}")
    group.add_argument(
        "--label-map", action="append", default=[], metavar="OLD=NEW", help="rename an entity type; NEW O drops it"
    )
    group.add_argument("--comments", metavar="S", help="what comment lines begin with; '' for none (default: '# ')")
    group.add_argument("--normalise", choices=("NFC", "NFKC"), default="", help="bring words to a Unicode normal form")


def formats_of(args: argparse.Namespace, files: int = 1) -> list[Format]:
    """The formats that `add_format`'s options give, one a file.

    Raises:
        BadInput: a column is not a number, there is no such scheme, or too many values are given.
    """
    columns: list[Sequence[str]] = []
    for name in ("token_column", "tag_column", "scheme"):
        values: list[str] = getattr(args, name).split(",")
        if len(values) > files:
            excess = f"{len(values)} values for {files} file{'s'[: files > 1]}"
            raise BadInput(f"--{name.replace('_', '-')} {','.join(values)}: {excess}")
        columns.append(values * files if len(values) == 1 else values)
    tokens, tags, schemes = columns
    for scheme in schemes:
        if scheme not in SCHEMES:
            raise BadInput(f"--scheme {args.scheme}: no scheme '{scheme}'{nearest(scheme, SCHEMES)}")
    names: dict[str, str] = {}
    for text in args.label_map:
        old, equals, new = text.partition("=")
        if not (old and equals and new) or old in names:
            wrong = "given twice" if old in names else "expected OLD=NEW, such as GPE=LOC"
            raise BadInput(f"--label-map {text}: {wrong}")
        names[old] = new
    common: dict[str, Any] = {"label_map": names, "comments": args.comments, "normalise": args.normalise}
    common["separator"] = args.separator.replace("\\t", "\t")  # a shell passes "\t" as it is typed
    return [
        Format(_number("--token-column", token), _number("--tag-column", tag), scheme=cast(Scheme, scheme), **common)
        for token, tag, scheme in zip(tokens, tags, schemes, strict=True)
    ]


def _number(option: str, text: str) -> int | None:
    try:
        return int(text) if text else None
    except ValueError:
        raise BadInput(f"{option} '{text}': expected a number: from 0, or negative from the end") from None
