"""report.html: one page that opens from disk, from records alone, the same bytes each time."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

from bench.core.files import write_bytes
from bench.report.errors import KINDS, Sample, samples, totals
from bench.report.frame import Group, chosen, groups, is_oracle, read_all
from bench.report.head import SYNTHETIC, corpus_notes, is_synthetic, oracle_note, setting_notes, title_of
from bench.report.html.cells import cells_html, places_of
from bench.report.html.facts import Facts, environment_html, facts_html, flat, shared
from bench.report.html.figures import across_html, figures_html
from bench.report.html.tables import Link, notes_html, table_html
from bench.report.html.text import esc, fold, items
from bench.report.html.words import words_html
from bench.report.main_table import head_cells, heads_of
from bench.report.model import Cell, Table, frame_of
from bench.report.scores import rows_of
from bench.report.status import Status, status_of
from bench.report.tables import all_tables

NAME = "report.html"
_SENTENCES, _MOST = 600, 5  # sentences shown as a sample of errors: in the page, and of one cell
PARTS = {
    "words": "In words",
    "tables": "Tables",
    "plots": "Plots",
    "cells": "From a number to its records",
}


def write_report(out: Path) -> Path:
    """Write out/report.html for everything that the records have.

    Raises:
        BadInput: as `bench.report.frame.read`.
    """
    path = out / NAME
    write_bytes(path, report_html(out).encode())
    return path


def report_html(out: Path) -> str:
    """The page. Nothing in it is fetched from anywhere, and its policy forbids that it ever is."""
    stored = read_all([out])
    found, status = groups(chosen(stored)), status_of(out, (one.record for one in stored))
    facts = {one.record.key: flat(one.record) for group in found for one in group.stored}
    cells = sum(len(rows_of(group)) * len(group.targets) for group in found)
    size = max(1, min(_MOST, _SENTENCES // max(cells, 1)))
    matrices = ", ".join(dict.fromkeys(one.record.matrix for group in found for one in group.stored))
    style, script = (files("bench.report.html").joinpath(f"page.{kind}").read_text("utf-8") for kind in ("css", "js"))
    policy = f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}"
    chapters = [_chapter(group, f"g{place}", facts, size) for place, group in enumerate(found)]
    across = across_html(found, "across")
    body = "".join(
        [
            _header(status, matrices, found),
            "<main>",
            *(part for chapter in chapters for part in chapter),
            f'<section id="across"><h2>Across tables</h2>{across}</section>' if across else "",
            environment_html(list(facts.values()), "environment"),
            "</main>",
        ]
    )
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{esc(matrices)}: report</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="referrer" content="no-referrer"><meta name="color-scheme" content="light dark">'
        f"<style>{style}</style></head>\n<body>\n{body}\n<script>{script}</script></body></html>\n"
    )


def _hash(text: str) -> str:
    """The source of a Content-Security-Policy that allows this inline text and no other."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _header(status: Status, matrices: str, found: Sequence[Group]) -> str:
    """Title, how much was run, what was not and why, and where to go."""
    states = {state: number for state, number in status.total.items() if number}
    ran = ", ".join(f"{number} {state}" for state, number in states.items())
    why: dict[str, int] = {}
    for tally in status.tallies.values():
        for reason, number in tally.why.items():
            why[reason] = why.get(reason, 0) + number
    reasons = items([f"{number} × {esc(reason)}" for reason, number in sorted(why.items())])
    label = f'<p class="warn">{esc(SYNTHETIC[0].upper() + SYNTHETIC[1:])}.</p>' if any(map(is_synthetic, found)) else ""
    links = []
    for place, group in enumerate(found):
        inner = [f'<a href="#g{place}-{part}">{text}</a>' for part, text in PARTS.items()]
        start = f'<a href="#g{place}">{esc(_title(group))}</a>: ' if len(found) > 1 else ""
        links.append(start + " · ".join(inner))
    links.append('<a href="#environment">Environment</a>')
    return (
        f'<a class="skip" href="#g0">Skip to the results</a><header><h1>{esc(matrices)}: report</h1>{label}'
        f"<p>{sum(states.values())} cells (method × language × seed): {ran}.</p>"
        f"{fold('Why cells have no number', reasons) if why else ''}"
        f'<nav aria-label="Parts of the page">{items(links)}</nav></header>\n'
    )


def _title(group: Group) -> str:
    parts = [f"source {group.source or 'n/a'}", f"encoder {group.encoder}", group.axes]
    return f"{title_of(group, 'Results')}; {', '.join(part for part in parts if part)}"


def _chapter(group: Group, prefix: str, facts: Mapping[str, Facts], size: int) -> Iterator[str]:
    """Everything of one table's records."""
    places, found = places_of(group, prefix), samples(group, size)
    rows = {row[1]: row for row in rows_of(group)}

    def link(row: dict[str, Cell], column: str) -> str:
        method = rows.get(row["method"].text) if "method" in row else None
        if method is None or column not in ("method", *group.targets):
            return ""
        return places[method, "" if column == "method" else column]

    yield f'<section id="{prefix}"><h2>{esc(_title(group))}</h2>'
    yield _heading(prefix, "words")
    yield from words_html(group, prefix, notes_html(_caveats(group)))
    yield _heading(prefix, "tables")
    yield "<p>A number leads to its seeds, records and errors; a heading sorts. Notes from above are not repeated.</p>"
    yield from _tables(group, prefix, link, found)
    yield _heading(prefix, "plots")
    yield from figures_html(group, prefix)
    yield _heading(prefix, "cells")
    yield _kinds()
    yield from cells_html(group, places, found, facts)
    ours = shared([facts[one.record.key] for one in group.stored])
    yield fold("What all these records share", facts_html(ours))
    yield "</section></section>\n"


def _heading(prefix: str, part: str) -> str:
    """Ends the part before and begins this one."""
    end = "" if part == "words" else "</section>\n"
    return f'{end}<section id="{prefix}-{part}" class="{part}"><h3>{PARTS[part]}</h3>'


def _caveats(group: Group) -> list[str]:
    """What a reader must know of every number of the chapter."""
    return [
        *corpus_notes(group),
        *setting_notes(group),
        "F1: entities, strict IOB2, micro-averaged, percent, mean over seeds.",
        "A difference that is not marked as told apart may be chance; one that is, holds for these tests, this encoder "
        "and this budget.",
        *([oracle_note()] if any(is_oracle(one.record) for one in group.stored) else []),
    ]


def _tables(
    group: Group, prefix: str, link: Link, found: Mapping[tuple[tuple[str, str], str], Sample]
) -> Iterator[str]:
    tables, said = [*all_tables([group]), *_errors_table(group, found)], set(_caveats(group))
    for place, table in enumerate(tables):
        table = replace(table, notes=tuple(note for note in table.notes if note not in said))
        shown = table_html(table, f"{prefix}-{table.name}", link)
        yield shown if place == 0 else fold(esc(table.title.partition(": ")[0]), shown, ' class="more"')


def _errors_table(group: Group, found: Mapping[tuple[tuple[str, str], str], Sample]) -> list[Table]:
    """Entities by kind of error, method and language."""
    kinds = list(totals(found))
    lines = []
    for row in rows_of(group):
        for target in group.targets:
            one = found.get((row, target))
            if one is not None and not one.why:
                line = head_cells(group, row, False) | {"language": Cell(text=target)}
                line |= {kind: Cell(float(one.kinds[kind]), digits=0) for kind in kinds}
                lines.append(line | {"seed": Cell(float(one.stored.seed), digits=0)})
    if not lines or not kinds:
        return []
    heads = (*heads_of(group), "language")
    return [
        Table(
            name="errors",
            title=title_of(group, "Entities by kind of error"),
            heads=heads,
            frame=frame_of(lines, [*heads, *kinds, "seed"]),
            columns_are="kind",
            notes=(
                "Counts of one seed: the middle one by F1 (the lower of two).",
                *(f"{kind}: {KINDS[kind]}." for kind in kinds),
                "A spurious entity is predicted; the others are gold entities. One of the gold counts once.",
            ),
        )
    ]


def _kinds() -> str:
    told = items([f"<b>{kind}</b>: {esc(text)}" for kind, text in KINDS.items()])
    start = "A part opens to the seeds of a number, the records they stand in, and a sample of errors."
    return f"<p>{start}</p>{fold('What the kinds of errors mean', told)}"
