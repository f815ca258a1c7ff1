"""Markdown, CSV, LaTeX, JSON and plain text of the one table model; names from outside are escaped in each."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Callable
from typing import Any

from bench.report.model import Cell, Table

_MARKDOWN = re.compile(r"([\\`*\[\]|~#$])|(?<![^\W_])_|_(?![^\W_])")  # _ inside a word is plain in Markdown
_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "_": r"\_",
    "%": r"\%",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\char34{}",
    "–": "--",
    "—": "---",
    "’": "'",
    "…": r"\ldots{}",
    "±": r"$\pm$",
    "†": r"$^{\dagger}$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "−": "$-$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "→": r"$\rightarrow$",
    "α": r"$\alpha$",
    "β": r"$\beta$",
    "τ": r"$\tau$",
    "ß": r"\ss{}",
    "æ": r"\ae{}",
    "ø": r"\o{}",
    "ł": r"\l{}",
}
_ACCENTS = dict(
    zip("\u0300\u0301\u0302\u0303\u0304\u0306\u0307\u0308\u030a\u030b\u030c\u0327", "`'^~=u.\"rHvc", strict=True)
)


def _line(text: str) -> str:
    """The text on one line, without control characters."""
    return "".join(c for c in " ".join(text.split()) if c.isprintable())


def escape_markdown(text: str) -> str:
    """The text as Markdown (and the HTML inside it) prints it literally."""
    text = _line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN.sub(lambda match: "\\" + match[0], text)


def escape_latex(text: str) -> str:
    """The text as any LaTeX prints it literally: a letter that its usual fonts lack stands by its code, as [U+4E2D]."""
    return "".join(map(_latex_letter, _line(text)))


def _latex_letter(letter: str) -> str:
    if letter in _LATEX or letter.isascii():
        return _LATEX.get(letter, letter)
    base, *accents = list(unicodedata.normalize("NFD", letter))
    if base.isascii() and len(accents) == 1 and accents[0] in _ACCENTS:
        return f"\\{_ACCENTS[accents[0]]}{{{base}}}"
    return f"{{[}}U+{ord(letter):04X}]"


def number(cell: Cell) -> str:
    """The value with its half-width, or the text in its place."""
    if cell.value is None:
        return cell.text
    text = f"{cell.value:,.{cell.digits}f}"
    return text if cell.half is None else f"{text} ± {cell.half:.{cell.digits}f}"


# --- Markdown --------------------------------------------------------------------------------------------------------


def markdown(table: Table) -> str:
    """A GitHub table under its title and notes, footnotes below."""
    lines = [f"# {escape_markdown(table.title)}", ""]
    lines += [f"- {escape_markdown(note)}" for note in table.notes]
    columns = list(table.frame.columns)
    lines += ["", f"| {' | '.join(map(escape_markdown, columns))} |"]
    lines.append(f"|{'|'.join(':---' if column in table.heads else '---:' for column in columns)}|")
    lines += [f"| {' | '.join(_markdown_cell(row[c]) for c in columns)} |" for row in table.rows()]
    lines += [""] if table.footnotes else []
    lines += [f"<sup>{i}</sup> {escape_markdown(text)}  " for i, text in enumerate(table.footnotes, 1)]
    return "\n".join(lines) + "\n"


def _markdown_cell(cell: Cell) -> str:
    text = escape_markdown(number(cell)) + (" †" if cell.oracle else "")
    text = f"**{text}**" if cell.bold else text
    return text + "".join(f"<sup>{note}</sup>" for note in cell.notes).replace("</sup><sup>", ",")


# --- LaTeX -----------------------------------------------------------------------------------------------------------


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
        *(" & ".join(_latex_cell(row[c]) for c in columns) + r" \\" for row in table.rows()),
        r"\bottomrule",
        r"\end{tabular}",
        r"\par\medskip\footnotesize\raggedright",
        *(rf"{escape_latex(text)}\par" for text in below),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _latex_cell(cell: Cell) -> str:
    text = escape_latex(number(cell)) + (r"$^{\dagger}$" if cell.oracle else "")
    text = rf"\textbf{{{text}}}" if cell.bold else text
    # Braces: a row that begins with [ would be read as the optional argument of the \\ before it.
    text = f"{{{text}}}" if text.startswith(("[", "*")) else text
    return text + (f"$^{{{','.join(map(str, cell.notes))}}}$" if cell.notes else "")


# --- CSV and JSON ----------------------------------------------------------------------------------------------------

_FIELDS = ("value", "low", "high", "seeds", "n", "status", "marked", "oracle", "note")


def tidy_rows(table: Table) -> list[dict[str, Any]]:
    """One row a number: the row's head columns, the column's name, value, interval, seeds, n (test sentences)."""
    rows = []
    for row in table.rows():
        head = {name: row[name].text for name in table.heads}
        noted = [note for name in table.heads for note in row[name].notes]
        for column in table.frame.columns[len(table.heads) :]:
            cell: Cell = row[column]
            rows.append(
                {
                    **head,
                    table.columns_are: column,
                    "value": (cell.text or None) if cell.value is None and cell.status == "ok" else cell.value,
                    "low": cell.low,
                    "high": cell.high,
                    "seeds": cell.seeds,
                    "n": cell.n,
                    "status": cell.status,
                    "marked": cell.bold,
                    "oracle": any(row[name].oracle for name in table.heads),
                    "note": "; ".join(table.footnotes[note - 1] for note in (*noted, *cell.notes)) or None,
                }
            )
    return rows


def as_csv(table: Table) -> str:
    """The tidy rows; a gap is empty, numbers have four decimals."""
    columns = [*table.heads, table.columns_are, *_FIELDS]
    names = ["mean" if name == "value" and table.columns_are == "language" else name for name in columns]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([[_csv_value(row[name]) for name in columns] for row in tidy_rows(table)])
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
        "notes": list(table.notes),
        "footnotes": list(table.footnotes),
        "rows": tidy_rows(table),
    }


# --- plain text ------------------------------------------------------------------------------------------------------


def terminal(table: Table) -> str:
    """Aligned plain text for the end of a run: * marks what is bold elsewhere, [1] refers to a footnote."""
    columns = list(table.frame.columns)
    grid = [[_line(column) for column in columns]]
    grid += [[_terminal_cell(row[column]) for column in columns] for row in table.rows()]
    widths = [max(len(line[i]) for line in grid) for i in range(len(columns))]
    lines = [_line(table.title), ""]
    for line in grid:
        cells = (
            text.ljust(width) if column in table.heads else text.rjust(width)
            for text, width, column in zip(line, widths, columns, strict=True)
        )
        lines.append("  ".join(cells).rstrip())
    lines += ["", *map(_line, table.notes)]
    lines += [f"[{i}] {_line(text)}" for i, text in enumerate(table.footnotes, 1)]
    return "\n".join(lines) + "\n"


def _terminal_cell(cell: Cell) -> str:
    text = _line(number(cell)) + (" †" if cell.oracle else "") + ("*" if cell.bold else "")
    return text + (f" [{','.join(map(str, cell.notes))}]" if cell.notes else "")


RENDERERS: dict[str, tuple[str, Callable[[Table], str]]] = {
    "md": (".md", markdown),
    "csv": (".csv", as_csv),
    "latex": (".tex", latex),
}
