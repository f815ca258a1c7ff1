"""Published figures beside ours, each with its source and the differences in settings, and their agreement."""

from __future__ import annotations

import csv
import re
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from bench.core.errors import BadInput
from bench.report.frame import Group
from bench.report.scores import average_over, scores_of
from bench.report.tables.model import Entry, Table, TableDraft

FOLDER = Path(__file__).resolve().parents[3] / "results" / "published"
INTRINSIC = "projection.csv"  # of labels projected to the test itself
TAGGING = "tagging.csv"  # of taggers
UNVERIFIED = ("not checked", "secondary")  # in `table`: the figure was not read in the paper itself
F1 = re.compile(r"(overall_)?f1(_micro)?")
MEAN = "avg"  # the paper's mean over languages, in place of a language
PART = " | "  # separates the parts of `differs`
HEADS = ("from", "method")


@dataclass(frozen=True)
class Published:
    """One published number in percent, as printed, with its source and setting."""

    paper: str
    table: str
    method: str
    encoder: str
    dataset: str
    language: str
    metric: str
    value: str
    source_url: str
    corpus: str  # our corpus that it was measured on; '' none
    matches: str  # our "METHOD / ENCODER" that is meant to reproduce it; '' none
    differs: str

    @property
    def unverified(self) -> bool:
        """Whether the figure is known at second hand only."""
        return any(word in self.table for word in UNVERIFIED)

    @property
    def notes(self) -> list[str]:
        """The source, then each difference in settings."""
        source = f"{self.paper}, {self.table}; {self.encoder}; {self.dataset}: {self.source_url}"
        return [source, *filter(None, self.differs.split(PART))]


def figures(folder: Path = FOLDER, name: str = INTRINSIC) -> list[Published]:
    """The figures of a file in the folder; [] if there is no such file (in a wheel).

    Raises:
        BadInput: a row lacks a column, has one too many, no number or no source: with file and line.
    """
    path = folder / name
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(_read(csv.reader(file), path))


def _read(lines: Iterator[list[str]], path: Path) -> Iterator[Published]:
    names = [field.name for field in fields(Published)]
    if (head := next(lines, [])) != names:
        raise BadInput(f"{path}:1: columns are {', '.join(head) or 'missing'}; must be {', '.join(names)}")
    for number, row in enumerate(lines, 2):
        if len(row) != len(names):
            raise BadInput(f"{path}:{number}: {len(row)} columns, must be {len(names)}")
        figure = Published(*row)
        if not re.fullmatch(r"\d+(\.\d+)?", figure.value):
            raise BadInput(f"{path}:{number}: value {figure.value!r} is no number")
        if not figure.source_url or not figure.differs:
            raise BadInput(f"{path}:{number}: a published figure needs source_url and differs")
        yield figure


def published_table(group: Group, name: str = "published", folder: Path = FOLDER) -> Table | None:
    """Our F1 (percent) by method and language, and below it the published F1 on the same corpus.

    None if no figure is known for the corpus. Taggers and projected labels never share a table.
    """
    published = _known(group, {*group.targets, MEAN}, folder)
    if not published:
        return None
    draft, scores = TableDraft(group, heads=HEADS), scores_of(group, group.main_rule)
    languages = average_over(scores, group.rows, group.targets)
    for row in group.rows:
        line = draft.add(row, {"from": "ours", "method": group.name_of(row)})
        entries = {target: draft.score(scores[row, target]) for target in group.targets}
        entries["macro"] = draft.macro(scores, row, languages)
        line |= {column: replace(entry, limits=None) for column, entry in entries.items()}
    _add_published(draft, published)
    types = ", ".join(map(str, group.stored[0].record.corpus.get("types") or ()))
    notes = [
        f"Ours: strict IOB2, percent; types {types or 'n/a'}; intervals stand in the main table.",
        "Published: as printed, not made here; footnotes name the source and what differs from ours. Settings "
        "differ, so a gap between the two is no finding.",
    ]
    subject = "Ours and published F1, by method and target language"
    return draft.table(name, subject, [*group.targets, "macro"], notes)


def _known(group: Group, languages: Container[str], folder: Path) -> list[Published]:
    """The published F1 figures on the group's corpus, for its kind of evaluation."""
    return [
        figure
        for figure in figures(folder, INTRINSIC if group.intrinsic else TAGGING)
        if figure.corpus == group.corpus and figure.language in languages and F1.fullmatch(figure.metric)
    ]


def agreement(all_groups: Sequence[Group], tolerance: float, folder: Path = FOLDER) -> list[str]:
    """One line for each published figure that a row is meant to reproduce: both numbers, the difference, and whether it
    is within `tolerance` points of F1. Settings may differ, so each line names the differences."""
    lines = []
    for group in all_groups:
        scores = scores_of(group, group.main_rule)
        for figure in _known(group, group.targets, folder):
            method, _, encoder = figure.matches.partition(" / ")
            if encoder != group.encoder.rsplit("/", 1)[-1]:
                continue
            for row in group.rows:
                mean = scores[row, figure.language].mean
                if row[1].partition(" (")[0] == method and mean is not None:
                    gap = mean - float(figure.value)
                    verdict = "within" if abs(gap) <= tolerance else "outside"
                    kind = "reported, unverified" if figure.unverified else "published"
                    lines.append(
                        f"{group.corpus} {figure.language} {row[1]}: ours {mean:.1f}, {kind} {figure.value} "
                        f"({figure.paper}): {gap:+.1f}, {verdict} ±{tolerance:g}; {figure.differs.replace(PART, '; ')}"
                    )
    return lines


def _add_published(draft: TableDraft, known: Sequence[Published]) -> None:
    """Add a row for each paper, table and method; the macro column has the paper's own mean if it prints one."""
    by_row: dict[tuple[object, ...], list[Published]] = {}
    for figure in known:
        by_row.setdefault((figure.paper, figure.table, figure.method, *figure.notes), []).append(figure)
    for figures_of_row in by_row.values():
        first, by_language = figures_of_row[0], {figure.language: figure for figure in figures_of_row}
        paper = re.sub(r" \(.*\)$", "", first.paper)
        paper = f"reported, unverified: {paper}" if first.unverified else paper
        method = Entry(text=first.method, notes=draft.notes(*first.notes))
        line = draft.add(("", ""), {"from": paper, "method": method}, False)
        for column in (*draft.group.targets, "macro"):
            printed = by_language.get(MEAN if column == "macro" else column)
            value = printed.value if printed else ""  # with the decimals that were printed
            line[column] = Entry(float(value), digits=len(value.partition(".")[2])) if value else TableDraft.gap()
