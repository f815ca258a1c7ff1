"""Writes all tables of a results folder in every format."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from bench.core.errors import BadInput, nearest
from bench.core.files import write_bytes
from bench.report.frame import Group, groups, in_order, read, suffixes, tidy
from bench.report.tables import quantities, scores
from bench.report.tables.model import Table
from bench.report.tables.published import published_table
from bench.report.tables.render import RENDERERS, terminal
from bench.report.tables.scores import main_table
from bench.report.tables.search import settings_table

SHOWN = "main.txt"
MAKERS: dict[str, Callable[[Group, str], Table | None]] = {
    "main": main_table,
    "contrasts": scores.contrasts_table,
    "groups": scores.groups_table,
    "types": scores.types_table,
    "seen": scores.seen_table,
    "errors": quantities.errors_table,
    "rules": scores.rules_table,
    "gap": scores.gap_table,
    "cost": quantities.cost_table,
    "projection": quantities.projection_table,
    "space": quantities.space_table,
    "published": published_table,
    "settings": settings_table,
}


def all_tables(all_groups: Sequence[Group]) -> list[Table]:
    """Every table for which the groups have data."""
    made = (
        make(group, f"{name}{suffix}")
        for group, suffix in zip(all_groups, suffixes(all_groups), strict=True)
        for name, make in MAKERS.items()
    )
    return [table for table in made if table is not None]


def main_tables(all_groups: Sequence[Group]) -> list[Table]:
    """The main table of each group."""
    return [main_table(group, f"main{suffix}") for group, suffix in zip(all_groups, suffixes(all_groups), strict=True)]


def checked_formats(formats: Sequence[str], known: Collection[str] = tuple(RENDERERS)) -> list[str]:
    """The formats, each once.

    Raises:
        BadInput: a format is unknown, or none is given.
    """
    for name in formats:
        if name not in known:
            raise BadInput(f"--format: unknown format {name!r}{nearest(name, known)}")
    if not formats:
        raise BadInput(f"--format: no format given; known: {', '.join(sorted(known))}")
    return list(dict.fromkeys(formats))


def write_tables(
    out: Path, formats: Sequence[str] = tuple(RENDERERS), all_groups: Sequence[Group] | None = None
) -> list[Path]:
    """Write out/tables/<name>.{md,csv,tex} and records.csv (one row per record and rule); the paths, sorted.

    `all_groups` defaults to the records of `out`; several suites share each table, which then has a suite column.

    Raises:
        BadInput: as `read` and `checked_formats`.
    """
    texts = texts_of(out, formats, groups(read([out])) if all_groups is None else all_groups)
    for path, text in texts.items():
        write_bytes(path, text.encode())
    return sorted(texts)


def texts_of(out: Path, formats: Sequence[str], all_groups: Sequence[Group]) -> dict[Path, str]:
    """The texts that `write_tables` writes, by path."""
    tables, folder = all_tables(all_groups), out / "tables"
    endings = [RENDERERS[name] for name in checked_formats(formats)]
    texts = {folder / f"{table.name}{ending}": render(table) for table in tables for ending, render in endings}
    if "csv" in formats:
        records = tidy(in_order(run for group in all_groups for run in group.stored))
        texts[folder / "records.csv"] = records.to_csv(index=False, lineterminator="\n", float_format="%.6f")
    return texts


def write_shown(out: Path, tables: Sequence[Table]) -> Path:
    """Publish out/tables/main.txt: the main tables as the end of a run prints them."""
    write_bytes(path := out / "tables" / SHOWN, shown_text(tables).encode())
    return path


def shown_text(tables: Sequence[Table]) -> str:
    """The main tables as plain text."""
    return "\n\n".join(map(terminal, tables)) + "\n"
