"""The one table model as HTML: plain without a script; with it, columns sort and rows filter."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.report.html.text import esc, items, name
from bench.report.model import Cell, Table

Link = Callable[[dict[str, Cell], str], str]  # of a row and a column the id that its number leads to, "" where none
SIMPLE = 5  # a table with fewer rows needs no filter


def no_link(row: dict[str, Cell], column: str) -> str:
    """Numbers that lead nowhere."""
    return ""


def table_html(table: Table, anchor: str, link: Link = no_link, level: int = 4) -> str:
    """Title, notes, table and footnotes; `anchor` is the table's id."""
    columns = list(table.frame.columns)
    head = "".join(
        f'<th scope="col"{"" if column in table.heads else num}>{name(column)}'
        for column in columns
        for num in (' class="n"',)
    )
    rows = [
        f"<tr>{''.join(_cell(row, column, column in table.heads, anchor, link) for column in columns)}"
        for row in table.rows()
    ]
    feet = "".join(f'<li id="{anchor}-f{number}">{esc(text)}' for number, text in enumerate(table.footnotes, start=1))
    return (
        f'<section id="{anchor}" class="table"><h{level}>{esc(table.title)}</h{level}>'
        f"{grid(head, rows, esc(table.title))}"
        f"{f'<ol class=feet>{feet}</ol>' if feet else ''}{notes_html(table.notes)}</section>\n"
    )


def grid(head: str, rows: Sequence[str], label: str, kind: str = "") -> str:
    """A table that sorts and filters; `head`, `rows` and `label` are HTML."""
    filters = " data-filter" if len(rows) >= SIMPLE else ""
    body = "\n".join(rows)
    table = f'<table class="sort {kind}"{filters}><thead><tr>{head}</thead><tbody>\n{body}\n</tbody></table>'
    return boxed(table, label)


def boxed(inner: str, label: str) -> str:
    """What may be wider than the page, in a box that scrolls; arguments are HTML."""
    return f'<div class="scroll" role="region" tabindex="0" aria-label="{label}">{inner}</div>'


def notes_html(notes: Sequence[str]) -> str:
    """What a reader must know of a table."""
    return f'<div class="notes">{items([esc(note) for note in notes])}</div>' if notes else ""


def _cell(row: dict[str, Cell], column: str, is_head: bool, anchor: str, link: Link) -> str:
    cell, to = row[column], link(row, column)
    text = name(cell.text) if cell.value is None else f"{cell.value:,.{cell.digits}f}"
    text = f'<a href="#{to}">{text}</a>' if to else text
    if cell.bold:
        text = f'<b>{text}<span title="not distinguishable from the best">*</span></b>'
    if cell.value is not None and cell.half is not None:
        text += f" <small>± {cell.half:.{cell.digits}f}</small>"
    if cell.oracle:
        text += ' <span title="oracle: uses gold labels of the target language">†</span>'
    text += "".join(
        f'<sup><a href="#{anchor}-f{note}" aria-label="footnote {note}">{note}</a></sup>' for note in cell.notes
    )
    if is_head:
        return f'<th scope="row">{text}'
    if cell.value is None:
        return f'<td class="n{"" if cell.status == "ok" else " gap"}">{text}'
    return f'<td class="n" data-v="{cell.value:.6g}">{text}'
