"""Figures from papers under ours, each with its source and what differs; and whether ours agree with them."""

from __future__ import annotations

import csv
import re
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import groupby
from pathlib import Path

from bench.core.errors import BadInput
from bench.report.frame import Group
from bench.report.head import corpus_notes, setting_notes, title_of
from bench.report.main_table import cell_of, macro_cell
from bench.report.model import Cell, Footnotes, Table, frame_of
from bench.report.scores import average_over, rows_of, scores_of

FOLDER = Path(__file__).resolve().parents[2] / "results" / "published"
INTRINSIC = "projection.csv"  # of labels projected to the test itself
TAGGING = "tagging.csv"  # of taggers
UNVERIFIED = ("not checked", "secondary")  # in `table`: the paper itself was not seen
F1 = re.compile(r"(overall_)?f1(_micro)?")
MEAN = "avg"  # their mean over languages, in place of a language
PART = " | "  # between the parts of what differs
HEADS = ("from", "method")


@dataclass(frozen=True)
class Published:
    """One published number, in percent as it was printed, and what to know of it."""

    paper: str
    table: str
    method: str
    encoder: str
    dataset: str
    language: str
    metric: str
    value: str
    source_url: str
    corpus: str  # ours that it was measured on; '' none
    matches: str  # "METHOD / ENCODER" of ours that is meant to be the same; '' none
    differs: str

    @property
    def unverified(self) -> bool:
        """Whether the figure is known at second hand only."""
        return any(word in self.table for word in UNVERIFIED)

    @property
    def notes(self) -> list[str]:
        """The source, and each part of what differs."""
        source = f"{self.paper}, {self.table}; {self.encoder}; {self.dataset}: {self.source_url}"
        return [source, *filter(None, self.differs.split(PART))]


def figures(folder: Path = FOLDER, name: str = INTRINSIC) -> list[Published]:
    """The figures of a file of the folder, [] where it is not there (in a wheel).

    Raises:
        BadInput: a row lacks a column, has one too many, no number or no source: with file and line.
    """
    path = folder / name
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(_read(csv.reader(file), path))


def _read(lines: Iterator[list[str]], path: Path) -> Iterator[Published]:
    names = [one.name for one in fields(Published)]
    if (head := next(lines, [])) != names:
        raise BadInput(f"{path}:1: columns are {', '.join(head) or 'missing'}; must be {', '.join(names)}")
    for number, row in enumerate(lines, 2):
        if len(row) != len(names):
            raise BadInput(f"{path}:{number}: {len(row)} columns, must be {len(names)}")
        one = Published(*row)
        if not re.fullmatch(r"\d+(\.\d+)?", one.value):
            raise BadInput(f"{path}:{number}: value {one.value!r} is no number")
        if not one.source_url or not one.differs:
            raise BadInput(f"{path}:{number}: a published figure needs source_url and differs")
        yield one


def published_table(group: Group, name: str = "published", folder: Path = FOLDER) -> Table | None:
    """Our F1 (percent) by method and language, and under it the published ones on the same corpus.

    None where nothing was published on its corpus. Taggers and projected labels never share a table.
    """
    theirs = _known(group, {*group.targets, MEAN}, folder)
    if not theirs:
        return None
    footnotes = Footnotes()
    lines = [*_ours(group, footnotes), *_theirs(theirs, group.targets, footnotes)]
    types = ", ".join(map(str, group.stored[0].record.corpus.get("types") or ()))
    return Table(
        name=name,
        title=title_of(group, "Ours and published F1, by method and target language"),
        heads=HEADS,
        frame=frame_of(lines, [*HEADS, *group.targets, "macro"]),
        columns_are="language",
        notes=(
            *corpus_notes(group),
            *setting_notes(group),
            f"Ours: strict IOB2, percent; types {types or 'n/a'}; intervals stand in the main table.",
            "Published: as printed, not made here; footnotes name the source and what differs from ours. Settings "
            "differ, so a gap between the two is no finding.",
        ),
        footnotes=tuple(footnotes.texts),
    )


def _known(group: Group, languages: Container[str], folder: Path) -> list[Published]:
    """The F1 figures on the group's corpus, of its kind."""
    every = figures(folder, INTRINSIC if group.intrinsic else TAGGING)
    known = [one for one in every if one.corpus == group.corpus and one.language in languages]
    return [one for one in known if F1.fullmatch(one.metric)]


def agreement(found: Sequence[Group], tolerance: float, folder: Path = FOLDER) -> list[str]:
    """A line a published figure that a row of ours is meant to reproduce: both, the difference, and whether it is
    within `tolerance` points of F1. Agreement of unlike settings proves nothing, and the lines say what differs."""
    lines = []
    for group in found:
        scores = scores_of(group, group.main_rule)
        for one in _known(group, group.targets, folder):
            method, _, encoder = one.matches.partition(" / ")
            if encoder != group.encoder.rsplit("/", 1)[-1]:
                continue
            for row in rows_of(group):
                mean = scores[row, one.language].mean
                if row[1].partition(" (")[0] == method and mean is not None:
                    gap = mean - float(one.value)
                    said = "within" if abs(gap) <= tolerance else "outside"
                    kind = "reported, unverified" if one.unverified else "published"
                    lines.append(
                        f"{group.corpus} {one.language} {row[1]}: ours {mean:.1f}, {kind} {one.value} ({one.paper}): "
                        f"{gap:+.1f}, {said} ±{tolerance:g}; {one.differs.replace(PART, '; ')}"
                    )
    return lines


def _ours(group: Group, footnotes: Footnotes) -> Iterator[dict[str, Cell]]:
    scores, rows = scores_of(group, group.main_rule), rows_of(group)
    languages = average_over(scores, rows, group.targets)
    for row in rows:
        label = row[1] if len(group.suites) == 1 else f"{row[0]}: {row[1]}"
        line = dict(zip(HEADS, (Cell(text="ours"), Cell(text=label)), strict=True))
        line |= {target: _plain(cell_of(scores[row, target], footnotes)) for target in group.targets}
        yield line | {"macro": _plain(macro_cell(scores, row, languages, footnotes))}


def _plain(cell: Cell) -> Cell:
    return Cell(cell.value, text=cell.text, notes=cell.notes, status=cell.status, seeds=cell.seeds, n=cell.n)


def _theirs(known: Sequence[Published], targets: Sequence[str], footnotes: Footnotes) -> Iterator[dict[str, Cell]]:
    """A row a paper, table and method; their own mean, where they print one, in the macro column."""
    order = {name: place for place, name in enumerate(dict.fromkeys(_row(one) for one in known))}
    for _, ones in groupby(sorted(known, key=lambda one: order[_row(one)]), key=_row):
        found = {one.language: one for one in ones}
        first = next(iter(found.values()))
        paper = re.sub(r" \(.*\)$", "", first.paper)
        paper = f"reported, unverified: {paper}" if first.unverified else paper
        noted = Cell(text=first.method, notes=footnotes.add(first.notes))
        line = dict(zip(HEADS, (Cell(text=paper), noted), strict=True))
        for column, language in (*((target, target) for target in targets), ("macro", MEAN)):
            one = found.get(language)
            line[column] = Cell(text="–", status="missing") if one is None else _figure(one)
        yield line


def _row(one: Published) -> tuple[str, str, str, tuple[str, ...]]:
    return one.paper, one.table, one.method, tuple(one.notes)


def _figure(one: Published) -> Cell:
    return Cell(float(one.value), digits=len(one.value.partition(".")[2]))
