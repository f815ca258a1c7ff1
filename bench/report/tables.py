"""All tables of a results folder, written in every format."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.core.errors import BadInput, nearest
from bench.core.files import sha256_of, write_bytes
from bench.report.costs import cost_table, projection_table
from bench.report.frame import Group, groups, in_order, read, tidy
from bench.report.grids import gap_table, rules_table, seen_table, types_table
from bench.report.groups import groups_table
from bench.report.main_table import main_table
from bench.report.model import Table
from bench.report.published import published_table
from bench.report.render import RENDERERS, terminal
from bench.report.space import space_table

__all__ = [
    "all_tables",
    "check_formats",
    "cost_table",
    "gap_table",
    "main_table",
    "main_tables",
    "names_of",
    "projection_table",
    "rules_table",
    "seen_table",
    "terminal",
    "types_table",
    "write_shown",
    "write_tables",
]

SHOWN = "main.txt"
Maker = Callable[[Group, str], Table | None]
MAKERS: tuple[tuple[str, Maker], ...] = (
    ("main", main_table),
    ("groups", groups_table),
    ("types", types_table),
    ("seen", seen_table),
    ("rules", rules_table),
    ("gap", gap_table),
    ("cost", cost_table),
    ("projection", projection_table),
    ("space", space_table),
    ("published", published_table),
)


def names_of(found: Sequence[Group]) -> list[str]:
    """A file-name suffix a group: '' for a single one, else readable text and a hash (`[1]` is not `[-1]`)."""
    if len(found) == 1:
        return [""]
    names = []
    for group in found:
        parts = (group.corpus, group.source, group.encoder, group.axes, "intrinsic" if group.intrinsic else "")
        readable = re.sub(r"[^A-Za-z0-9=.]+", "-", "-".join(part.rsplit("/", 1)[-1] for part in parts)).strip("-.")
        names.append(f"-{readable[:60]}-{sha256_of(repr(parts))[:8]}")
    return names


def all_tables(found: Sequence[Group]) -> list[Table]:
    """Every table that the groups have something for."""
    tables = []
    for group, suffix in zip(found, names_of(found), strict=True):
        made = [make(group, f"{name}{suffix}") for name, make in MAKERS]
        tables += [table for table in made if table is not None]
    return tables


def main_tables(found: Sequence[Group]) -> list[Table]:
    """The main table of each group."""
    return [main_table(group, f"main{suffix}") for group, suffix in zip(found, names_of(found), strict=True)]


def check_formats(formats: Sequence[str]) -> list[str]:
    """The formats, each once.

    Raises:
        BadInput: one is unknown, or there is none.
    """
    for name in formats:
        if name not in RENDERERS:
            raise BadInput(f"--format: unknown format {name!r}{nearest(name, RENDERERS)}")
    if not formats:
        raise BadInput(f"--format: no format given; known: {', '.join(sorted(RENDERERS))}")
    return list(dict.fromkeys(formats))


def write_tables(
    out: Path, formats: Sequence[str] = tuple(RENDERERS), found: Sequence[Group] | None = None
) -> list[Path]:
    """Write out/tables/<name>.{md,csv,tex} and records.csv (one row a record and rule); the paths, sorted.

    `found`: what to tabulate, the records of `out` by default; several suites share each table, with a column.

    Raises:
        BadInput: as `read` and `check_formats`.
    """
    texts = texts_of(out, formats, groups(read([out])) if found is None else found)
    for path, text in texts.items():
        write_bytes(path, text.encode())
    return sorted(texts)


def write_shown(out: Path, tables: Sequence[Table]) -> Path:
    """Publish out/tables/main.txt: the main tables as the end of a run prints them."""
    path = out / "tables" / SHOWN
    write_bytes(path, shown_text(tables).encode())
    return path


def shown_text(tables: Sequence[Table]) -> str:
    """The main tables as plain text."""
    return "\n\n".join(map(terminal, tables)) + "\n"


def texts_of(out: Path, formats: Sequence[str], found: Sequence[Group]) -> dict[Path, str]:
    """By path below out/tables/ the text that `write_tables` writes there."""
    endings = [RENDERERS[name] for name in check_formats(formats)]
    texts = {
        out / "tables" / f"{table.name}{ending}": render(table)
        for table in all_tables(found)
        for ending, render in endings
    }
    if "csv" in formats:
        texts[out / "tables" / "records.csv"] = tidy(in_order(one for group in found for one in group.stored)).to_csv(
            index=False, lineterminator="\n", float_format="%.6f"
        )
    return texts
