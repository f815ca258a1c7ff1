"""Markdown, CSV, LaTeX, JSON and plain text of the one table model; names from outside are escaped in each."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from typing import Any

from bench.report.folder import aligned
from bench.report.tables.model import Entry, Line, Table

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
        # signs that text fonts lack; letters are the engine's business, which reads UTF-8
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
    """The text as Markdown (and the HTML inside it) prints it literally."""
    text = _line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN.sub(lambda match: "\\" + match[0], text)


def escape_latex(text: str) -> str:
    """The text as a LaTeX that reads UTF-8 prints it literally; pdflatex has the letters of Latin scripts only."""
    return _line(text).translate(_LATEX)


def number(cell: Entry) -> str:
    """The value with its half-width, or the text in its place."""
    return cell.shown if cell.half is None else f"{cell.shown} ± {cell.half:.{cell.digits}f}"


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
    """A booktabs table environment; needs the package booktabs only."""
    columns = list(table.frame.columns)
    below = [*table.notes, *(f"[{i}] {text}" for i, text in enumerate(table.footnotes, 1))]
    lines = [
        r"% needs \usepackage{booktabs}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape_latex(table.title)}}}",
        rf"\begin{{tabular}}{{{''.join('l' if column in table.heads else 'r' for column in columns)}}}",
        r"\toprule",
        " & ".join(map(escape_latex, columns)) + r" \\",
        r"\midrule",
        *(line for place, row in enumerate(table.rows()) for line in _latex_lines(table, place, row)),
        r"\bottomrule",
        r"\end{tabular}",
        r"\par\medskip\footnotesize\raggedright",
        *(rf"{escape_latex(text)}\par" for text in below),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _latex_lines(table: Table, place: int, row: Line) -> Iterator[str]:
    if place in table.blocks:
        yield rf"\midrule \multicolumn{{{len(row)}}}{{l}}{{\emph{{{escape_latex(table.blocks[place])}}}}} \\"
    yield " & ".join(_latex_cell(cell) for cell in row.values()) + r" \\"


def _latex_cell(cell: Entry) -> str:
    text = escape_latex(number(cell)) + (r"$^{\dagger}$" if cell.oracle else "")
    text = rf"\textbf{{{text}}}" if cell.bold else rf"{text}$^{{\circ}}$" if cell.near else text
    # Braces: a row that begins with [ would be read as the optional argument of the \\ before it.
    text = f"{{{text}}}" if text.startswith(("[", "*")) else text
    return text + (f"$^{{{','.join(map(str, cell.notes))}}}$" if cell.notes else "")


def tidy_rows(table: Table) -> list[dict[str, Any]]:
    """One row a number: the row's head columns, the column's name, value, interval, seeds, n (test sentences)."""
    rows = []
    for row in table.rows():
        heads = [row[name] for name in table.heads]
        for column in table.frame.columns[len(table.heads) :]:
            entry = row[column]
            notes = [table.footnotes[note - 1] for noted in (*heads, entry) for note in noted.notes]
            values = {name: row[name].text for name in table.heads} | {table.columns_are: column}
            values |= {name: getattr(entry, name) for name in ("value", "low", "high", "seeds", "n", "status")}
            if entry.value is None and entry.status == "ok":
                values["value"] = entry.text or None
            oracle = any(head.oracle for head in heads)
            marked = "best" if entry.bold else "near" if entry.near else None
            rows.append(values | {"marked": marked, "oracle": oracle, "note": "; ".join(notes) or None})
    return rows


def as_csv(table: Table) -> str:
    """The tidy rows; a gap is empty, numbers have four decimals."""
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
