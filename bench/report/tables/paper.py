"""Tables as a paper takes them: the rows, columns and notes that its author asks for, in LaTeX."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from fnmatch import fnmatchcase
from pathlib import Path

import pandas as pd

from bench.core.errors import BadInput, nearest
from bench.plan.schema import Place, build, to_plain
from bench.plan.sections import TablesSpec
from bench.report.contrasts import contrasts_of
from bench.report.frame import METHOD_FAMILIES, Group, Row, suffixes
from bench.report.notes import SYNTHETIC, corpus_notes, is_synthetic, setting_notes
from bench.report.tables.model import Entry, Line, Table
from bench.report.tables.render import latex
from bench.report.verdicts import family_note

FOLDER = "paper"
_MADE = "% made by: "
_SPEC = "% as: "


def paper_texts(found: Sequence[Group], spec: TablesSpec) -> dict[str, str]:
    """By file name the text of each table that `spec` asks for; the first lines say how it was made.

    Raises:
        BadInput: it names a row, column, rule or table that is not there, or two rows would print alike.
    """
    from bench.report.tables import MAKERS  # which imports this module

    for name in spec.only:
        if name not in MAKERS:
            raise BadInput(f"--only: no table '{name}'{nearest(name, MAKERS)}")
    _check(found, spec)
    texts = {}
    head = f"{_MADE}{command_of(spec)}\n{_SPEC}{json.dumps(to_plain(spec), ensure_ascii=False, sort_keys=True)}\n"
    for group, suffix in zip(found, suffixes(found), strict=True):
        chosen = shown_of(group, spec)
        for place, name in enumerate(spec.only if chosen.stored else ()):
            shown = _by(chosen, spec) if name == "main" else chosen
            if (made := MAKERS[name](shown, name)) is None:
                continue
            label = (spec.label or f"tab:{spec.only[0]}") + (f"-{name}" if place else "") + suffix
            title = spec.caption if spec.caption and not place else made.title
            title += f" ({SYNTHETIC})" if is_synthetic(group) and SYNTHETIC not in title else ""
            table = replace(_laid_out(made, shown, spec), title=title, label=label)
            file = re.sub(r"[^A-Za-z0-9=._-]+", "-", label.rpartition(":")[2]) + ".tex"
            texts[file] = head + latex(table)
    return texts


def command_of(spec: TablesSpec) -> str:
    """The options of `xner tables` that give the same, the plug-ins' own names left out."""
    words = ["xner", "tables", "OUT"]
    for field in fields(spec):
        value = getattr(spec, field.name)
        if field.name != "names" and value != getattr(TablesSpec(), field.name):
            words += [f"--{field.name}", ", ".join(value) if isinstance(value, tuple) else str(value)]
    return shlex.join(words)


def spec_of(text: str, path: Path) -> TablesSpec:
    """How a table was made, from its first lines; BadInput where they do not say it."""
    found = re.match(rf"{_MADE}.*\n{_SPEC}(.*)\n", text)
    try:
        return build(TablesSpec, json.loads(found[1]) if found else {"?": ""}, Place(str(path)))
    except ValueError as error:
        raise BadInput(f"{path}: its first lines do not say how it was made") from error


# --- what is shown ----------------------------------------------------------------------------------------------------


def _check(found: Sequence[Group], spec: TablesSpec) -> None:
    rows = {row[1] for group in found for row in group.rows}
    for item in spec.rows:
        pattern = item.partition("=")[0].strip()
        if not any(_matches(row, pattern) for row in rows):
            raise BadInput(f"--rows: there is no row '{pattern}'{nearest(pattern, rows)}")
    rules = {rule for group in found for run in group.stored for rule in run.record.rules}
    if spec.rule and spec.rule not in rules:
        raise BadInput(f"--rule: no record has scores by '{spec.rule}'{nearest(spec.rule, rules)}")


def _matches(row: str, pattern: str) -> bool:
    return row == pattern or fnmatchcase(row, pattern)


def shown_of(group: Group, spec: TablesSpec) -> Group:
    """The group with the rows and languages asked for alone, so that averages and marks are over these."""
    languages = [column for column in spec.columns if column in group.targets]
    patterns = [item.partition("=")[0].strip() for item in spec.rows]
    runs = [run for run in group.stored if not languages or run.target in languages]
    kept = [run for run in runs if not patterns or any(_matches(run.label, pattern) for pattern in patterns)]
    return replace(group, stored=tuple(kept))


def _by(group: Group, spec: TablesSpec) -> Group:
    """The group as if the rule asked for were the main one."""
    if not spec.rule or spec.rule == group.main_rule:
        return group
    runs = [(run, [rule for rule in run.record.rules if rule != spec.rule]) for run in group.stored]
    ruled = [replace(run, record=replace(run.record, rules=(spec.rule, *rest))) for run, rest in runs]
    return replace(group, stored=tuple(ruled))


def _names(rows: Sequence[Row], spec: TablesSpec) -> dict[str, str]:
    """By row what is printed: as asked for, else the method's name and what the axes chose where that differs.

    Raises:
        BadInput: two rows would print alike.
    """
    labels = list(dict.fromkeys(label for _, label in rows))
    parts = {label: (label.partition(" (")[0], label.partition(" (")[2].removesuffix(")")) for label in labels}
    split = {label: text.split(", ") if text else [] for label, (_, text) in parts.items()}
    values = [value for value in split.values() if value]
    even = len({len(value) for value in values}) == 1
    telling = [i for i, column in enumerate(zip(*values, strict=True)) if len(set(column)) > 1] if even else None
    alone = len({base for base, _ in parts.values()}) == 1 and len(labels) > 1 and all(split.values())
    names = {}
    for label, (base, text) in parts.items():
        told = ", ".join(split[label][i] for i in telling) if telling is not None and split[label] else text
        shown = spec.names.get(label) or spec.names.get(base, base)
        names[label] = told if alone and told else f"{shown} ({told})" if told else shown
    if len(set(names.values())) < len(names):
        names = {label: (spec.names.get(base, base) + label.removeprefix(base)) for label, (base, _) in parts.items()}
    for item in reversed(spec.rows):
        pattern, equals, name = (part.strip() for part in item.partition("="))
        names |= {label: name for label in labels if equals and _matches(label, pattern)}
    alike = [label for label in labels if list(names.values()).count(names[label]) > 1]
    if alike:
        raise BadInput(f"--rows: {' and '.join(alike[:2])} would both print as '{names[alike[0]]}'")
    return names


# --- how it is laid out -----------------------------------------------------------------------------------------------


def _laid_out(table: Table, group: Group, spec: TablesSpec) -> Table:
    columns = list(table.frame.columns[len(table.heads) :])
    known = {*columns, *group.targets}
    for column in spec.columns:
        if column not in known:
            raise BadInput(f"--columns: there is no column '{column}'{nearest(column, sorted(known))}")
    columns = [column for column in spec.columns if column in columns] or columns
    names = _names(group.rows, spec)
    lines: list[Line] = []
    blocks: dict[int, str] = {}
    by_method = "method" in table.heads
    for heading, line in _ordered(table, group, spec, names) if by_method else (("", line) for line in table.rows()):
        if heading and heading not in blocks.values():
            blocks[len(lines)] = heading
        heads = {head: _named(line[head], names) for head in table.heads}
        lines.append(heads | {column: _formatted(line[column], spec) for column in columns})
    frame = pd.DataFrame(lines, columns=[*table.heads, *columns], dtype=object)
    made = replace(table, frame=frame, blocks=blocks, notes=_notes(table, group, spec), paren=spec.intervals == "paren")
    return _turned(made) if spec.layout == "tall" else made


def _ordered(table: Table, group: Group, spec: TablesSpec, names: dict[str, str]) -> Iterator[tuple[str, Line]]:
    """The rows in the order asked for, each with the heading of its block."""

    def label(line: Line) -> str:
        return line["method"].text

    matrix = [row[1] for row in group.rows]
    lines = sorted(table.rows(), key=lambda line: matrix.index(label(line)))
    patterns = [item.partition("=")[0].strip() for item in spec.rows]
    if spec.order == "name":
        lines.sort(key=lambda line: names[label(line)].casefold())
    elif spec.order == "score" and "macro" in table.frame.columns:
        lines.sort(key=lambda line: -(line["macro"].value or 0.0))
    elif patterns:
        lines.sort(key=lambda line: next(i for i, pattern in enumerate(patterns) if _matches(label(line), pattern)))
    if spec.layout != "by-family":
        yield from (("", line) for line in lines)
        return
    families = {run.label: run.family for run in group.stored}
    for family in METHOD_FAMILIES:
        yield from ((family, line) for line in lines if families[label(line)] == family)


def _named(entry: Entry, names: dict[str, str]) -> Entry:
    return replace(entry, text=names.get(entry.text, entry.text))


def _formatted(entry: Entry, spec: TablesSpec) -> Entry:
    entry = replace(entry, digits=spec.decimals) if entry.digits == 1 else entry
    entry = replace(entry, notes=()) if spec.notes == "none" else entry
    return replace(entry, low=None, high=None) if spec.intervals == "none" else entry


def _notes(table: Table, group: Group, spec: TablesSpec) -> tuple[str, ...]:
    comparisons = contrasts_of(group)
    hidden = {family_note(comparisons)} if comparisons and table.lead else set()  # of lines that LaTeX does not print
    if spec.notes == "short":
        hidden |= {*corpus_notes(group), *setting_notes(group)}
    notes = [note for note in table.notes if note not in hidden]
    if spec.intervals == "none":
        notes = [note for note in notes if "±" not in note.partition(" ")[0]]
        notes = [re.sub(r"; its ± is .*", ".", note) for note in notes]
    if "last" not in (spec.columns or ("last",)):
        notes = [note for note in notes if not note.startswith("last:")]
    if "macro" not in (spec.columns or ("macro",)):
        notes = [note for note in notes if not note.startswith("macro:")]
    if not any(cell.bold for line in table.rows() for cell in line.values()):
        notes = [note for note in notes if not note.startswith("No marks")]
    return () if spec.notes == "none" else (" ".join(notes),) if spec.notes == "short" else tuple(notes)


def _turned(table: Table) -> Table:
    """Columns as rows; what named a row is the head of a column."""
    rows = table.rows()
    titles = [", ".join(row[head].text + " †" * row[head].oracle for head in table.heads) for row in rows]
    columns = list(table.frame.columns[len(table.heads) :])
    lines = [[Entry(text=column), *(row[column] for row in rows)] for column in columns]
    head = table.columns_are
    frame = pd.DataFrame(lines, columns=[head, *titles], dtype=object)
    return replace(table, heads=(head,), frame=frame, blocks={})
