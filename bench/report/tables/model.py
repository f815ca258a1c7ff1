"""The table model that all renderers read, and a builder for tables of a group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from bench.report.frame import Group, Row
from bench.report.notes import ORACLE, corpus_notes, setting_notes, title_of
from bench.report.scores import CellStatus, Limits, Score, Scores, half_width, macro, oracle_rows

TEXTS = {"skipped": "–", "failed": "failed", "missing": "–", "no score": "–"}


@dataclass(frozen=True)
class Entry:
    """A cell of a table: a number with its interval limits, in the column's unit, or a text in its place."""

    value: float | None = None
    limits: Limits | None = None
    text: str = ""  # printed if there is no value
    digits: int = 1
    bold: bool = False  # the column's highest; of a difference: significant
    near: bool = False  # not significantly different from the highest
    signed: bool = False  # a difference
    oracle: bool = False  # saw target labels: printed with a dagger
    notes: tuple[int, ...] = ()  # footnotes, from 1
    status: CellStatus = "ok"
    seeds: int | None = None
    n: int | None = None  # test sentences

    @property
    def half(self) -> float | None:
        """Half the width of the interval."""
        return half_width(self.value, self.limits)

    @property
    def shown(self) -> str:
        """The printed value, or the text in its place."""
        return self.text if self.value is None else f"{self.value:{'+' if self.signed else ''},.{self.digits}f}"


Line = dict[str, Entry]  # a row, by column


@dataclass(frozen=True, eq=False)
class Table:
    """A table; `frame` holds only entries, and its first columns, named in `heads`, identify the row."""

    name: str  # of the files, without ending
    title: str
    heads: tuple[str, ...]
    frame: pd.DataFrame
    columns_are: str = "quantity"  # kind of the other columns: language, type, rule, quantity
    lead: tuple[str, ...] = ()  # the main findings, above everything else
    blocks: Mapping[int, str] = field(default_factory=dict)  # headings, by the index of the row below them
    notes: tuple[str, ...] = ()
    footnotes: tuple[str, ...] = ()
    label: str = ""  # of LaTeX; "": tab:<name>
    paren: bool = False  # LaTeX puts intervals in brackets

    def rows(self) -> list[Line]:
        """The rows, by column name."""
        return list(self.frame.to_dict("records"))


class TableDraft:
    """A table under construction: its rows so far and its footnotes (equal texts share a number)."""

    def __init__(self, group: Group, scores: Scores | None = None, heads: Sequence[str] = ("method",)) -> None:
        self.group = group
        self.oracles = oracle_rows(scores) if scores else frozenset[Row]()
        self.heads = (*(["suite"] if len(group.suites) > 1 and heads[0] == "method" else []), *heads)
        self.lines: list[Line] = []
        self.footnotes: list[str] = []

    def notes(self, *texts: str) -> tuple[int, ...]:
        """The numbers of these footnotes."""
        self.footnotes += [text for text in dict.fromkeys(texts) if text not in self.footnotes]
        return tuple(self.footnotes.index(text) + 1 for text in texts)

    def add(self, row: Row, heads: Mapping[str, str | Entry] | None = None, oracle: bool | None = None) -> Line:
        """A new row of a method, to be filled; `heads` gives its head columns other than suite and method."""
        marked = row in self.oracles if oracle is None else oracle
        line = {"suite": Entry(text=row[0]), "method": Entry(text=row[1], oracle=marked)}
        line |= {name: Entry(text=head) if isinstance(head, str) else head for name, head in (heads or {}).items()}
        self.lines.append({name: line[name] for name in self.heads})
        return self.lines[-1]

    def score(self, score: Score) -> Entry:
        """A score with its interval, or a gap with its reason."""
        notes = self.notes(*score.notes)
        if score.mean is None:
            return self.gap(TEXTS[score.status], score.status, notes)
        return Entry(score.mean, score.limits, notes=notes, seeds=len(score.seeds), n=score.sentences)

    def macro(self, scores: Scores, row: Row, languages: Sequence[str]) -> Entry:
        """The macro average over these languages, or a gap with its reason."""
        mean, half = macro(scores, row, languages)
        if mean is None:
            absent = ", ".join(target for target in languages if scores[row, target].mean is None)
            why = f"no macro average: no number for {absent}" if absent else "no language that all methods have"
            return self.gap("–", "missing", self.notes(why))
        numbers = {number for target in languages for number in self.notes(*scores[row, target].notes)}
        return Entry(mean, None if half is None else (mean - half, mean + half), notes=tuple(sorted(numbers)))

    @staticmethod
    def gap(text: str = "–", status: CellStatus = "missing", notes: tuple[int, ...] = ()) -> Entry:
        """A text in place of a number."""
        return Entry(text=text, status=status, notes=notes)

    def table(self, name: str, topic: str, columns: Sequence[str], notes: Sequence[str], of: str = "language") -> Table:
        """The table of the rows so far; the group's notes come before `notes`, the note on oracles after them."""
        marked = any(line[head].oracle for line in self.lines for head in self.heads)
        names, above = [*self.heads, *columns], [*corpus_notes(self.group), *setting_notes(self.group)]
        return Table(
            name=name,
            title=title_of(self.group, topic),
            heads=self.heads,
            frame=pd.DataFrame([[line[c] for c in names] for line in self.lines], columns=names, dtype=object),
            columns_are=of,
            notes=tuple(filter(None, (*above, *notes, ORACLE if marked else ""))),
            footnotes=tuple(self.footnotes),
        )


def macro_note(languages: Sequence[str]) -> str:
    """The note that names the languages of the macro average."""
    if not languages:
        return "No macro average: no language where all compared methods have numbers."
    return (
        f"macro: mean over {', '.join(languages)} (where all methods that are not partial have numbers); "
        "its ± is the mean of theirs, an upper bound whatever their correlation."
    )
