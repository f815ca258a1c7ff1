"""Renders a table as Markdown, CSV, LaTeX, JSON or plain text, escaping all text for each format."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from bench.report.folder import aligned
from bench.report.tables.model import Entry, Table

COLUMN, PAGE = 219.0, 455.0  # width of a column and of the page in points, ACL style
HEAD = 190.0  # points; wider head columns are broken into lines
GAP = 8.0  # points between columns
ROWS = 45  # rows of a float that fit on a page with caption and notes
SIZES = (("", 1.0), (r"\small", 0.92), (r"\footnotesize", 0.84), (r"\scriptsize", 0.76))  # with relative letter width
NEAR = "°"  # not significantly different from the column's highest
_MARKDOWN = re.compile(r"([\\`*\[\]|~#$])|(?<![^\W_])_|_(?![^\W_])")  # _ inside a word is plain in Markdown
_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        '"': r"\char34{}",
        **{letter: rf"\{letter}" for letter in "{}$&#_%"},
        # signs that text fonts lack; letters are left to the engine, which reads UTF-8
        "±": r"$\pm$",
        "†": r"$^{\dagger}$",
        "°": r"$^{\circ}$",
        "×": r"$\times$",
        "·": r"$\cdot$",
        "−": "$-$",
        "≤": r"$\leq$",
        "≥": r"$\geq$",
        "→": r"$\rightarrow$",
        "α": r"$\alpha$",
        "β": r"$\beta$",
        "τ": r"$\tau$",
    }
)


def _line(text: str) -> str:
    """The text on one line, without control characters."""
    return "".join(c for c in " ".join(text.split()) if c.isprintable())


def escape_markdown(text: str) -> str:
    """The text escaped so that Markdown, and HTML in it, print it literally."""
    text = _line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN.sub(lambda match: "\\" + match[0], text)


def escape_latex(text: str) -> str:
    """The text escaped so that LaTeX (UTF-8) prints it literally; pdflatex has letters of Latin scripts only."""
    return _line(text).translate(_LATEX)


def number(cell: Entry, paren: bool = False) -> str:
    """The value with its half-width (in brackets), or the text in its place."""
    half = "" if cell.half is None else f"{cell.half:.{cell.digits}f}"
    return cell.shown + (f" (±{half})" if half and paren else f" ± {half}" if half else "")


def markdown(table: Table) -> str:
    """A GitHub table under its title and notes, footnotes below."""
    lines = [f"# {escape_markdown(table.title)}", ""]
    lines += [*(f"{n}. {escape_markdown(text)}" for n, text in enumerate(table.lead, 1)), ""] if table.lead else []
    lines += [f"- {escape_markdown(note)}" for note in table.notes]
    columns = list(table.frame.columns)
    lines += ["", f"| {' | '.join(map(escape_markdown, columns))} |"]
    lines.append(f"|{'|'.join(':---' if column in table.heads else '---:' for column in columns)}|")
    for place, row in enumerate(table.rows()):
        if place in table.blocks:
            lines.append(f"| *{escape_markdown(table.blocks[place])}* |{' |' * (len(columns) - 1)}")
        lines.append(f"| {' | '.join(_markdown_cell(row[c]) for c in columns)} |")
    lines += [""] if table.footnotes else []
    lines += [f"<sup>{i}</sup> {escape_markdown(text)}  " for i, text in enumerate(table.footnotes, 1)]
    return "\n".join(lines) + "\n"


def _markdown_cell(cell: Entry) -> str:
    text = escape_markdown(number(cell)) + (" †" if cell.oracle else "")
    text = f"**{text}**" if cell.bold else f"{text} {NEAR}" if cell.near else text
    return text + "".join(f"<sup>{note}</sup>" for note in cell.notes).replace("</sup><sup>", ",")


def latex(table: Table) -> str:
    """A booktabs float with a label, `table*` if one of two columns is too narrow; needs only the package booktabs.

    The font size is the largest at which the table should fit, by the widths of Computer Modern. Columns and rows that
    do not fit go into further floats. One note below the last float explains all gaps.
    """
    rows = table.rows()
    gaps = {note for row in rows for cell in row.values() if cell.value is None for note in cell.notes}
    numbered = {note for row in rows for cell in row.values() if cell.value is not None for note in cell.notes}
    marks = {note: mark for mark, note in enumerate(sorted(numbered), 1)}
    why = [text.rstrip(".") for note, text in enumerate(table.footnotes, 1) if note in gaps - numbered]
    below = [
        *(note.replace(" (* in plain text)", "") for note in table.notes),
        *(f"[{mark}] {table.footnotes[note - 1]}" for note, mark in marks.items()),
    ]
    below += [f"Without a number: {'; '.join(why)}."] if why else []
    grid = [[_latex_cell(row[column], marks, table.paren) for column in table.frame.columns] for row in rows]
    columns = list(map(escape_latex, table.frame.columns))
    starred, size, parts = _fitted([columns, *grid], len(table.heads))
    step = math.ceil(len(grid) / math.ceil(len(grid) / ROWS)) if grid else 1
    floats = [
        (part, range(at, min(at + step, len(grid)))) for part in parts for at in range(0, max(len(grid), 1), step)
    ]
    lines = [r"% needs \usepackage{booktabs}"]
    for number, (part, places) in enumerate(floats):
        label = "" if number else rf"\label{{{table.label or f'tab:{table.name}'}}}"
        lines += [
            rf"\begin{{table{starred}}}",
            rf"\centering\sloppy\setlength{{\tabcolsep}}{{{GAP / 2:g}pt}}",
            rf"\caption{{{escape_latex(table.title)}{' (continued)' if number else ''}}}{label}",
            *filter(None, [size]),
            *_tabular(table, [columns, *grid], part, places),
        ]
        if number + 1 == len(floats) and below:
            lines.append(r"\par\medskip\scriptsize\raggedright")
            lines += [rf"{escape_latex(text)}\par" for text in below]
        lines.append(rf"\end{{table{starred}}}")
    return "\n".join(lines) + "\n"


def _tabular(table: Table, grid: list[list[str]], part: Sequence[int], places: range) -> Iterator[str]:
    """The tabular of some columns and rows; the first row of `grid` is the columns' names."""
    wide = {i for i in range(len(table.heads)) if any(_width(row[i]) > HEAD for row in grid)}
    kinds = [rf"p{{{HEAD:g}pt}}" if i in wide else "l" for i in range(len(table.heads))]
    yield rf"\begin{{tabular}}{{@{{}}{''.join(kinds)}{'r' * (len(part) - len(kinds))}@{{}}}}"
    yield r"\toprule"
    yield " & ".join(grid[0][i] for i in part) + r" \\"
    yield r"\midrule"
    for place in places:
        if place in table.blocks:
            heading = rf"\multicolumn{{{len(part)}}}{{@{{}}l@{{}}}}{{\emph{{{escape_latex(table.blocks[place])}}}}} \\"
            yield heading if place == places[0] else rf"\midrule {heading}"
        row = grid[place + 1]
        yield " & ".join(rf"\raggedright {row[i]}" if i in wide else row[i] for i in part) + r" \\"
    yield r"\bottomrule"
    yield r"\end{tabular}"


def _fitted(grid: list[list[str]], heads: int) -> tuple[str, str, list[list[int]]]:
    """The float's star, font size, and columns by part: prefers few parts, then the narrow float, then large type."""
    widths = [max(_width(row[place]) for row in grid) for place in range(len(grid[0]))]
    widths = [min(width, HEAD) if place < heads else width for place, width in enumerate(widths)]
    first, others = list(range(heads)), list(range(heads, len(widths)))
    for number in range(1, len(others) + 1):
        step = math.ceil(len(others) / number)
        parts = [first + others[start : start + step] for start in range(0, len(others), step)]
        for starred, room in (("", COLUMN), ("*", PAGE))[number > 1 :]:
            for size, scale in SIZES:
                if all(sum(scale * widths[i] + GAP for i in part) - GAP <= room for part in parts):
                    return starred, size, parts
    return "*", SIZES[-1][0], [[*first, place] for place in others]


def _width(text: str) -> float:
    """Estimated width of the text in points at size 10; errs on the wide side."""
    bold = 1.15 if r"\textbf" in text else 1.0
    plain = re.sub(r"\$(\^?)\{?(.*?)\}?\$", lambda m: "i" if m[1] else "M", re.sub(r"\\text\w+\{|[{}\\]", "", text))
    return bold * sum(3.6 if c in " .,:;'|()[]-ijltfr" else 8.0 if c.isupper() or c in "mw%" else 5.4 for c in plain)


def _latex_cell(cell: Entry, marks: Mapping[int, int], paren: bool) -> str:
    text = escape_latex(number(cell, paren)) + (r"$^{\dagger}$" if cell.oracle else "")
    text = rf"\textbf{{{text}}}" if cell.bold else rf"{text}$^{{\circ}}$" if cell.near else text
    # Braces: a row that begins with [ would be read as the optional argument of the \\ before it.
    text = f"{{{text}}}" if text.startswith(("[", "*")) else text
    noted = [str(marks[note]) for note in cell.notes if note in marks]
    return text + (f"$^{{{','.join(noted)}}}$" if noted else "")


def tidy_rows(table: Table) -> list[dict[str, Any]]:
    """One row for each entry: head columns, column name, value, interval, seeds, n (test sentences), marks."""
    rows = []
    for row in table.rows():
        heads = [row[name] for name in table.heads]
        for column in table.frame.columns[len(table.heads) :]:
            entry = row[column]
            notes = [table.footnotes[note - 1] for noted in (*heads, entry) for note in noted.notes]
            values = {name: row[name].text for name in table.heads} | {table.columns_are: column}
            low, high = entry.limits or (None, None)
            values |= {"value": entry.value, "low": low, "high": high}
            values |= {"seeds": entry.seeds, "n": entry.n, "status": entry.status}
            if entry.value is None and entry.status == "ok":
                values["value"] = entry.text or None
            oracle = any(head.oracle for head in heads)
            marked = "best" if entry.bold else "near" if entry.near else None
            rows.append(values | {"marked": marked, "oracle": oracle, "note": "; ".join(notes) or None})
    return rows


def as_csv(table: Table) -> str:
    """The tidy rows as CSV; gaps are empty, numbers have four decimals."""
    rows = tidy_rows(table)
    names = {name: "mean" if name == "value" and table.columns_are == "language" else name for name in rows[0]}
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(names.values())
    writer.writerows([_csv_value(row[name]) for name in names] for row in rows)
    return buffer.getvalue()


def _csv_value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4f}"
    return "" if value is None else _line(str(value))


def as_json(table: Table) -> dict[str, Any]:
    """The table as JSON values: title, notes and the tidy rows."""
    return {
        "name": table.name,
        "title": table.title,
        "lead": list(table.lead),
        "notes": list(table.notes),
        "footnotes": list(table.footnotes),
        "rows": tidy_rows(table),
    }


def terminal(table: Table) -> str:
    """Aligned plain text for the end of a run: * marks what is bold elsewhere, [1] refers to a footnote."""
    columns = list(table.frame.columns)
    grid = [list(map(_line, columns))]
    for place, row in enumerate(table.rows()):
        if place in table.blocks:
            grid.append([f"({_line(table.blocks[place])})", *[""] * (len(columns) - 1)])
        grid.append([_terminal_cell(row[column]) for column in columns])
    lead = [*map(_line, table.lead), ""] if table.lead else []
    lines = [*lead, _line(table.title), "", *aligned(grid, left=len(table.heads)), "", *map(_line, table.notes)]
    lines += [f"[{i}] {_line(text)}" for i, text in enumerate(table.footnotes, 1)]
    return "\n".join(lines) + "\n"


def _terminal_cell(cell: Entry) -> str:
    text = _line(number(cell)) + (" †" if cell.oracle else "") + ("*" if cell.bold else NEAR if cell.near else "")
    return text + (f" [{','.join(map(str, cell.notes))}]" if cell.notes else "")


RENDERERS: dict[str, tuple[str, Callable[[Table], str]]] = {
    "md": (".md", markdown),
    "csv": (".csv", as_csv),
    "latex": (".tex", latex),
}
