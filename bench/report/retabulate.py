"""The tables of a results folder, made again from its records and compared to the byte."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

from bench.core.errors import BadInput
from bench.report.frame import groups, read
from bench.report.render import RENDERERS
from bench.report.tables import SHOWN, main_tables, shown_text, texts_of

TIDY = "records.csv"


def check_tables(out: Path, add: Callable[..., None], notes: list[str], complete: bool) -> int:
    """The number of files that were compared; what differs, is missing or foreign goes to `add`.

    Args:
        complete: whether every record could be read; if not, tables are not made.
    """
    folder = out / "tables"
    there = {path.name: path for path in sorted(folder.glob("*"))} if folder.is_dir() else {}
    hidden = [name for name in there if name.startswith(".")]
    notes += [f"tables/{name}: left by a write that did not end; it may be deleted" for name in hidden]
    there = {name: path for name, path in there.items() if name not in hidden}
    if not there:
        return 0
    if not complete:
        notes.append("tables/: not checked, since not every record could be read")
        return 0
    formats = [name for name, (ending, _) in RENDERERS.items() if any(one.endswith(ending) for one in there)]
    try:
        found = groups(read([out]))
        wanted = {path.name: text for path, text in texts_of(out, formats, found).items()} if formats else {}
        if SHOWN in there:
            wanted[SHOWN] = shown_text(main_tables(found))
    except Exception as error:  # noqa: BLE001 - whatever records of odd content raise is what there is to say
        said = str(error) if isinstance(error, BadInput) else f"{type(error).__name__}: {error}"
        add(folder, f"cannot be made again: {said}")
        return 0
    for name, path in there.items():
        if name not in wanted:
            add(path, "no table of these records")
    for name, expected in wanted.items():
        if name not in there:
            add(folder / name, "missing; `xner tables` makes it")
        else:
            _compare(there[name], expected, add, notes)
    return len(wanted.keys() & there.keys())


def _compare(path: Path, expected: str, add: Callable[..., None], notes: list[str]) -> None:
    try:
        stored = path.read_bytes().decode()
    except UnicodeDecodeError as error:
        add(path, f"not UTF-8 at byte {error.start}")
        return
    except OSError as error:
        add(path, f"cannot be read: {error.strerror}")
        return
    if stored == expected:
        return
    if path.name == TIDY and _without_suite(stored) == _without_suite(expected):
        notes.append(f"tables/{TIDY}: made when the results folder had another name")
        return
    lines, others = stored.split("\n"), expected.split("\n")
    number = next(
        (i for i, (a, b) in enumerate(zip(lines, others, strict=False)) if a != b), min(len(lines), len(others))
    )
    at = [text[number] if number < len(text) else "" for text in (lines, others)]
    what = f"line {number + 1} is not what this version makes of the records (`xner tables` writes it anew)"
    add(path, what, *map(repr, _around(at[0], at[1])))


def _around(stored: str, expected: str) -> tuple[str, str]:
    """The two lines from shortly before their first difference."""
    start = next((i for i, (a, b) in enumerate(zip(stored, expected, strict=False)) if a != b), 0)
    start = max(0, start - 40)
    return stored[start : start + 100], expected[start : start + 100]


def _without_suite(text: str) -> list[list[str]]:
    """The rows without the first column, the folder's name; the first row says that it is that."""
    rows = list(csv.reader(io.StringIO(text)))
    return [row[1:] if rows[0][:1] == ["suite"] else row for row in rows]
