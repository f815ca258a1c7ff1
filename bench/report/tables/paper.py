"""LaTeX tables for a paper, with the rows, columns, layout and notes that the author asks for."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from fnmatch import fnmatchcase
from itertools import compress
from pathlib import Path
from typing import Any

import pandas as pd

from bench.core.errors import BadInput, nearest
from bench.plan.schema import Place, build, to_plain
from bench.plan.sections import TablesSpec
from bench.report.contrasts import contrasts_of
from bench.report.folder import printable
from bench.report.frame import METHOD_FAMILIES, Group, Row, suffixes
from bench.report.notes import SYNTHETIC, corpus_notes, is_synthetic, setting_notes
from bench.report.tables.model import Entry, Line, Table
from bench.report.tables.render import latex
from bench.report.verdicts import family_note

FOLDER = "paper"
_MADE = "% made by: "
_SPEC = "% as: "


def paper_texts(all_groups: Sequence[Group], spec: TablesSpec) -> dict[str, str]:
    """The text of each table that `spec` asks for, by file name; its first lines record how it was made.

    Raises:
        BadInput: it names an unknown row, column, rule or table, or two rows would print alike.
    """
    from bench.report.tables import MAKERS  # which imports this module

    for name in spec.only:
        if name not in MAKERS:
            raise BadInput(f"--only: no table '{name}'{nearest(name, MAKERS)}")
    _check(all_groups, spec)
    texts = {}
    head = f"{_MADE}{command_of(spec)}\n{_SPEC}{json.dumps(to_plain(spec), ensure_ascii=False, sort_keys=True)}\n"
    for group, suffix in zip(all_groups, suffixes(all_groups), strict=True):
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


def with_measured_rows(all_groups: Sequence[Group], spec: TablesSpec) -> tuple[TablesSpec, list[str]]:
    """`spec` without the rows that no record has yet, and those rows: the matrix may have been run in part."""
    absent = _absent(all_groups, spec)
    return replace(spec, rows=tuple(asked for asked in spec.rows if asked not in absent)), absent


def command_of(spec: TablesSpec) -> str:
    """The `xner tables` command that makes the same tables, apart from names that plug-ins define."""
    words = ["xner", "tables", "OUT"]
    for field in fields(spec):
        value = getattr(spec, field.name)
        if field.name != "names" and value != getattr(TablesSpec(), field.name):
            words += [f"--{field.name}", ", ".join(value) if isinstance(value, tuple) else str(value)]
    return printable(shlex.join(words))


def spec_of(text: str, path: Path) -> TablesSpec:
    """The specification that a table was made from, read from its first lines; BadInput if they lack it."""
    match = re.match(rf"{_MADE}.*\n{_SPEC}(.*)\n", text)
    try:
        return build(TablesSpec, json.loads(match[1]) if match else {"?": ""}, Place(str(path)))
    except ValueError as error:
        raise BadInput(f"{path}: its first lines do not say how it was made") from error


# --- what is shown ----------------------------------------------------------------------------------------------------


def _check(all_groups: Sequence[Group], spec: TablesSpec) -> None:
    for asked in _absent(all_groups, spec)[:1]:
        pattern = asked.partition("=")[0].strip()
        raise BadInput(f"--rows: there is no row '{pattern}'{nearest(pattern, _labels(all_groups))}")
    rules = {rule for group in all_groups for run in group.stored for rule in run.record.rules}
    if spec.rule and spec.rule not in rules:
        raise BadInput(f"--rule: no record has scores by '{spec.rule}'{nearest(spec.rule, rules)}")


def _labels(all_groups: Sequence[Group]) -> set[str]:
    return {row[1] for group in all_groups for row in group.rows}


def _absent(all_groups: Sequence[Group], spec: TablesSpec) -> list[str]:
    """What of `spec.rows` names no row."""
    labels, patterns = _labels(all_groups), [pattern for pattern, _ in _asked(spec)]
    present = [any(_matches(label, pattern) for label in labels) for pattern in patterns]
    return [asked for asked, there in zip(spec.rows, present, strict=True) if not there]


def _asked(spec: TablesSpec) -> list[tuple[str, str]]:
    """The row patterns asked for, each with the name to print; "" for the row's own name."""
    return [(pattern.strip(), name.strip()) for pattern, _, name in (item.partition("=") for item in spec.rows)]


def _matches(row: str, pattern: str) -> bool:
    return row == pattern or fnmatchcase(row, pattern)


def shown_of(group: Group, spec: TablesSpec) -> Group:
    """The group reduced to the rows and languages asked for, so that averages and marks are over these."""
    languages = {*spec.columns} & {*group.targets} or {*group.targets}
    patterns = [pattern for pattern, _ in _asked(spec)] or ["*"]
    runs = [run for run in group.stored if run.target in languages]
    shown = tuple(run for run in runs if any(_matches(run.label, each) for each in patterns))
    return replace(group, stored=shown, narrowed=len(languages) < len(group.targets))


def _by(group: Group, spec: TablesSpec) -> Group:
    """The group with the rule asked for as its main rule."""
    if not spec.rule or spec.rule == group.main_rule:
        return group
    runs = [(run, [rule for rule in run.record.rules if rule != spec.rule]) for run in group.stored]
    ruled = [replace(run, record=replace(run.record, rules=(spec.rule, *other_rules))) for run, other_rules in runs]
    return replace(group, stored=tuple(ruled))


def _names(rows: Sequence[Row], spec: TablesSpec) -> dict[str, str]:
    """The printed name of each row: as asked for, else the method's name with those axis values that differ.

    Raises:
        BadInput: two rows would print alike.
    """
    labels = list(dict.fromkeys(label for _, label in rows))
    bases = {label: label.partition(" (")[0] for label in labels}
    values = {label: label.removeprefix(bases[label])[2:-1].split(", ") for label in labels}
    chosen = [value for value in values.values() if value != [""]]
    telling = [len({*column}) > 1 for column in zip(*chosen, strict=False)]
    alone = len({*bases.values()}) == 1 and any(telling) and len(chosen) == len(labels)
    names = {}
    for label, base in bases.items():
        told = (
            ", ".join(compress(values[label], telling)) if len({*map(len, chosen)}) == 1 else ", ".join(values[label])
        )
        shown = spec.names.get(label) or spec.names.get(base, base)
        names[label] = told if alone else f"{shown} ({told})" if told else shown
    if len({*names.values()}) < len(names):
        names = {label: spec.names.get(base, base) + label.removeprefix(base) for label, base in bases.items()}
    for pattern, name in reversed(_asked(spec)):
        names |= {label: name for label in labels if name and _matches(label, pattern)}
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
    lines = _ordered(table, group, spec, names) if "method" in table.heads else table.rows()
    blocks: dict[str, int] = {}
    if spec.layout == "by-family" and "method" in table.heads:
        families = {run.label: run.family for run in group.stored}
        lines.sort(key=lambda line: METHOD_FAMILIES.index(families[line["method"].text]))
        for place, line in enumerate(lines):
            blocks.setdefault(families[line["method"].text], place)
    shown = [
        {head: replace(line[head], text=names.get(line[head].text, line[head].text)) for head in table.heads}
        | {column: _formatted(line[column], spec) for column in columns}
        for line in lines
    ]
    frame = pd.DataFrame(shown, columns=[*table.heads, *columns], dtype=object)
    headings = {place: family for family, place in blocks.items()}
    made = replace(table, frame=frame, blocks=headings, notes=_notes(table, group, spec))
    made = replace(made, paren=spec.intervals == "paren")
    return _turned(made) if spec.layout == "tall" else made


def _ordered(table: Table, group: Group, spec: TablesSpec, names: Mapping[str, str]) -> list[Line]:
    """The rows in the order asked for."""
    rows, patterns = [row[1] for row in group.rows], [pattern for pattern, _ in _asked(spec)]

    def place(line: Line) -> tuple[Any, int]:
        label = line["method"].text
        first: Any = next((i for i, pattern in enumerate(patterns) if _matches(label, pattern)), 0)
        if spec.order == "name":
            first = names[label].casefold()
        elif spec.order == "score" and "macro" in line:
            first = -(line["macro"].value or 0.0)
        return first, rows.index(label)

    return sorted(table.rows(), key=place)


def _formatted(entry: Entry, spec: TablesSpec) -> Entry:
    entry = replace(entry, digits=spec.decimals) if entry.digits == 1 else entry
    entry = replace(entry, notes=()) if spec.notes == "none" else entry
    return replace(entry, limits=None) if spec.intervals == "none" else entry


def _notes(table: Table, group: Group, spec: TablesSpec) -> tuple[str, ...]:
    comparisons = contrasts_of(group)
    hidden = {family_note(comparisons)} if comparisons and table.lead else set()  # the lead is not printed in LaTeX
    hidden |= {*corpus_notes(group), *setting_notes(group)} if spec.notes == "short" else set()
    unsaid = [f"{column}:" for column in ("last", "macro") if spec.columns and column not in spec.columns]
    unsaid += [] if any(cell.bold for line in table.rows() for cell in line.values()) else ["No marks"]
    unsaid += ["±"] if spec.intervals == "none" else []
    notes = [note for note in table.notes if note not in hidden and not note.startswith(tuple(unsaid))]
    notes = [re.sub(r"; its ± is .*", ".", note) for note in notes] if spec.intervals == "none" else notes
    return () if spec.notes == "none" else (" ".join(notes),) if spec.notes == "short" else tuple(notes)


def _turned(table: Table) -> Table:
    """The transposed table: columns become rows, and row names become column heads."""
    rows = table.rows()
    titles = [", ".join(row[head].text + " †" * row[head].oracle for head in table.heads) for row in rows]
    columns = list(table.frame.columns[len(table.heads) :])
    lines = [[Entry(text=column), *(row[column] for row in rows)] for column in columns]
    head = table.columns_are
    frame = pd.DataFrame(lines, columns=[head, *titles], dtype=object)
    return replace(table, heads=(head,), frame=frame, blocks={})
