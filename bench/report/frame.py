"""Stored records as the report reads them: one per cell, in the matrix's order, grouped into tables."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, wraps
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from bench.core.errors import BadInput
from bench.core.files import canonical_json, sha256_of
from bench.report.folder import problem_of, resolve
from bench.store.record import ROW_AXES, Record, Records, RuleScores, cell_name, matrix_cells, row_name

UNPLACED = 10**9  # the place of a record that the matrix does not name: after all others
METHOD_FAMILIES = (  # *ours*: what a method rests on
    "source sentences only",
    "translated sentences",
    "translated sentences, further loss",
    "unlabelled text or a teacher",
    "translation of the test",
    "oracle",
)
Row = tuple[str, str]  # of a table: suite, label of the method
T = TypeVar("T")


@dataclass(frozen=True)
class Stored:
    """A record, the folder that holds its sidecars, the name of its suite and its place in the matrix."""

    record: Record
    store: Records
    suite: str
    place: int = UNPLACED

    @cached_property
    def label(self) -> str:
        """The method's or variant's name, with what the axes of [labels] and of methods chose: rows of one table."""
        return row_name(str(self.record.cell["label"]), self.record.cell.get("axes") or {})

    @property
    def row(self) -> Row:
        return self.suite, self.label

    @cached_property
    def target(self) -> str:
        return str(self.record.cell["target"])

    @property
    def seed(self) -> int:
        return int(self.record.cell.get("seed", 0))

    @property
    def trial(self) -> int:
        return int(self.record.cell.get("trial") or 0)

    @cached_property
    def table_axes(self) -> dict[str, Any]:
        """The cell's axes but those that make rows: a table for each of their values."""
        axes = self.record.cell.get("axes") or {}
        return {name: value for name, value in axes.items() if not name.startswith(ROW_AXES)}

    @cached_property
    def axes(self) -> str:
        """`table_axes` as one text, '' where it has none."""
        axes = sorted(self.table_axes.items())
        return ", ".join(f"{name}={axis if isinstance(axis, str) else canonical_json(axis)}" for name, axis in axes)

    @property
    def intrinsic(self) -> bool:
        """Whether projected labels were scored, not a tagger's: never in one table with taggers."""
        return bool(self.record.cell.get("intrinsic"))

    @property
    def imported(self) -> bool:
        """Whether another system's predictions were scored: what made them is unknown."""
        return bool(self.record.cell.get("imported"))

    @property
    def oracle(self) -> bool:
        """Whether the method saw gold labels of the target language."""
        factors = self.record.factors
        return self.record.resources.target_gold > 0 or "yes" in (factors.get("gold"), factors.get("target_gold"))

    @property
    def family(self) -> str:
        """One of `METHOD_FAMILIES`, from the factors of the record; methods that state none count as the first."""
        factors, (source, translated, further, unlabelled, test, oracle) = self.record.factors, METHOD_FAMILIES
        if self.oracle:
            return oracle
        if not factors.get("test_time_translation", "no").startswith("no"):
            return test
        if "yes" in factors.get("unlabelled_text", "no") or factors.get("teacher", "none") != "none":
            return unlabelled
        if factors.get("data", "en") in ("en", "source"):
            return source
        return further if "+" in factors.get("loss_terms", "") else translated

    @property
    def test(self) -> str:
        """What says that two records were scored on the same test: the corpus facts' `test`, as one text."""
        return json.dumps(self.record.corpus.get("test"), sort_keys=True)

    def score(self, rule: str) -> RuleScores | None:
        """The scores under a selection rule; None where it failed, was skipped or has none."""
        return self.record.scores.get(rule) if self.record.status == "ok" else None

    @cached_property
    def identity(self) -> tuple[str, ...]:
        """Identifies one result; a folder may hold several records of it, from trials, older code or settings."""
        parts = (self.record.cell.get(name, "") for name in ("corpus", "source", "encoder", "seed"))
        return (self.suite, self.label, self.target, self.axes, *map(str, parts))


# --- reading ----------------------------------------------------------------------------------------------------------


def read(outs: Sequence[Path]) -> list[Stored]:
    """The records of the folders in the matrix's order, one per cell and seed: the best trial on source dev.

    Raises:
        BadInput: as `read_all`, or a folder holds two records for one cell.
    """
    return chosen(read_all(outs))


def read_all(outs: Sequence[Path]) -> list[Stored]:
    """All records of the folders, without those that matrix.json names under another key (older code or settings).

    Raises:
        BadInput: a folder does not exist or holds no records.
    """
    records: dict[Path, list[Record]] = {}
    for out in map(resolve, outs):
        records[out] = Records(out).all()
        if not records[out]:
            raise BadInput(f"{out}: no records here; make them with `xner run MATRIX --out {out}`")
    stored: list[Stored] = []
    for out, suite in _suites(records).items():
        store, cells = Records(out), matrix_cells(out)
        places = {str(cell["key"]): place for place, cell in enumerate(cells)}
        asked = _asked_for(records[out], cells)
        stored += [Stored(record, store, suite, places.get(record.key, UNPLACED)) for record in asked]
    return stored


def _asked_for(records: list[Record], cells: Sequence[Mapping[str, Any]]) -> list[Record]:
    """The records without those of a cell that now has another key, so that no mean mixes two settings or two codes.

    All of them where none has a key of the matrix: nothing of what it asks for has run yet.
    """
    keys, names = {str(cell["key"]) for cell in cells}, {cell_name(cell) for cell in cells}
    if not any(record.key in keys for record in records):
        return records
    return [record for record in records if record.key in keys or cell_name(record.cell) not in names]


def _suites(records: dict[Path, list[Record]]) -> dict[Path, str]:
    """By folder the matrix that most of its own records name, so that renaming or moving a folder changes no output.

    Folders of the same matrix go by their folder names, or by their paths if those are equal too.
    """
    names = {}
    for out, folder_records in records.items():
        own = [record for record in folder_records if not record.cell.get("imported")]
        counts = Counter(record.matrix for record in own or folder_records)
        names[out] = max(sorted(counts), key=counts.__getitem__)
    for other in (lambda out: out.resolve().name, Path.as_posix):
        shared = {name for name, number in Counter(names.values()).items() if number > 1}
        names = {out: other(out) if name in shared else name for out, name in names.items()}
    return names


def in_order(stored: Iterable[Stored]) -> list[Stored]:
    """In the matrix's order."""
    return sorted(stored, key=lambda run: (run.place, run.identity))


def chosen(stored: Iterable[Stored]) -> list[Stored]:
    """One record per identity in the matrix's order: the best trial of a search on source dev, never on a test.

    Raises:
        BadInput: two records for one cell.
    """
    cells: dict[tuple[str, ...], list[Stored]] = {}
    for run in stored:
        cells.setdefault(run.identity, []).append(run)
    return in_order(min(_current(same), key=_rank) for same in cells.values())


def _current(same: list[Stored]) -> list[Stored]:
    """The records that the present matrix names; all of them if it names none (older code or settings)."""
    current = [run for run in same if run.place != UNPLACED] or same
    trials: dict[int, str] = {}
    for run in current:
        if run.trial in trials:
            raise BadInput(
                f"{run.store.out}: two records for {run.label} / {run.target} / seed {run.seed}, neither of which "
                f"matrix.json names: {trials[run.trial]} and {run.record.key}; run the matrix again, or remove one"
            )
        trials[run.trial] = run.record.key
    return current


def _rank(run: Stored) -> tuple[float, int]:
    """The trial with the best F1 on source dev first, ties in order; a failed one only where all failed."""
    rule = next(iter(run.record.rules), "")
    score = run.record.scores.get("last" if rule == "target-dev" else rule)
    dev = score.dev_f1 if score is not None and score.dev_f1 is not None else -1.0
    return -dev if run.record.status == "ok" else 2.0, run.trial


def tidy(stored: Sequence[Stored]) -> pd.DataFrame:
    """One row per record and selection rule (one row, without a rule, for a record that has no scores)."""
    rows = []
    for run in stored:
        record = run.record
        names: dict[str, Any] = {"suite": run.suite, "key": record.key}
        names |= {name: getattr(run, name) for name in ("label", "target", "axes")}
        names |= {name: record.cell.get(name) for name in ("method", "source", "encoder", "corpus", "n_source")}
        names |= {"seed": run.seed, "trial": run.trial, "status": record.status}
        names |= {"reason": problem_of(record), "oracle": run.oracle}
        for rule in record.rules if record.scores else (None,):
            score = record.scores.get(rule) if rule is not None else None
            row = names | {"rule": rule, "main": rule is not None and rule == record.rules[0]}
            parts = ("f1", "precision", "recall", "step", "dev_f1", "recall_seen", "recall_unseen")
            row |= {name: getattr(score, name, None) for name in parts}
            rows.append(row | {"oracle_rule": bool(score and score.oracle)})
    frame = pd.DataFrame(rows)
    if frame["n_source"].isna().any():  # imported predictions have none; the others must stay integers
        frame["n_source"] = frame["n_source"].astype("Int64")
    return frame


# --- groups of records -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Group:
    """The cells of one table: same corpus, source language, encoder, further axes, and kind of evaluation."""

    corpus: str
    source: str
    encoder: str
    axes: str
    intrinsic: bool
    stored: tuple[Stored, ...]
    methods: tuple[Stored, ...] = ()  # a record of each row of all groups, so that a method looks the same in each
    narrowed: bool = False  # to some of its languages
    _memo: dict[object, Any] = field(default_factory=dict, init=False, repr=False)

    def remembered(self, key: object, make: Callable[[], T]) -> T:
        """The result of `make`, computed once per key: all tables and plots of a group read its sidecars once."""
        if key not in self._memo:
            self._memo[key] = make()
        value: T = self._memo[key]
        return value

    def only(self, labels: Iterable[str]) -> Group:
        """The group with the records of these labels."""
        names = set(labels)
        return replace(self, stored=tuple(run for run in self.stored if run.label in names))

    @cached_property
    def suites(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(run.suite for run in self.stored))

    @cached_property
    def oracles(self) -> frozenset[Row]:
        """The rows of methods that saw gold labels of the target language."""
        return frozenset(run.row for run in self.stored if run.oracle)

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """The rows of the group's tables: the matrix's order, oracles last."""
        rows = dict.fromkeys(run.row for run in self.stored)
        return tuple(sorted(rows, key=lambda row: (self.suites.index(row[0]), row in self.oracles)))

    @cached_property
    def targets(self) -> tuple[str, ...]:
        """Target languages: in the matrix's order, the rest by code."""
        return tuple(dict.fromkeys(run.target for run in self.stored))

    @cached_property
    def cells(self) -> dict[tuple[Row, str], list[Stored]]:
        """The records of each row and target, by seed; [] where there are none."""
        cells: dict[tuple[Row, str], list[Stored]] = {(row, t): [] for row in self.rows for t in self.targets}
        for run in sorted(self.stored, key=lambda run: run.seed):
            cells[run.row, run.target].append(run)
        return cells

    def name_of(self, row: Row) -> str:
        """The method's name, with its suite where there are several."""
        return row[1] if len(self.suites) == 1 else f"{row[0]}: {row[1]}"

    @cached_property
    def main_rule(self) -> str:
        """The rule that most records put first (ties: the first by name); '' where no record has scores."""
        firsts = Counter(run.record.rules[0] for run in self.stored if run.record.scores and run.record.rules)
        return max(sorted(firsts), key=firsts.__getitem__, default="")

    def values(self, name: str) -> tuple[Any, ...]:
        """The distinct values of a key of `corpus` facts, in order of the records."""
        values = (run.record.corpus.get(name) for run in self.stored)
        return tuple(dict.fromkeys(value for value in values if value not in (None, "")))


def once_a_group(make: Callable[[Group], T]) -> Callable[[Group], T]:
    """`make`, computed once for each group."""

    @wraps(make)
    def remembered(group: Group) -> T:
        return group.remembered(make, lambda: make(group))

    return remembered


def groups(stored: Sequence[Stored]) -> list[Group]:
    """One group per (corpus, source, encoder, further axes, intrinsic or not), in the order of the records."""
    together: dict[tuple[str, str, str, str, bool], list[Stored]] = {}
    for run in stored:
        corpus, source, encoder = (str(run.record.cell.get(name, "")) for name in ("corpus", "source", "encoder"))
        together.setdefault((corpus, source, encoder, run.axes, run.intrinsic), []).append(run)
    methods = tuple({run.row: run for run in reversed(stored)}.values())[::-1]
    return [Group(*key, stored=tuple(same), methods=methods) for key, same in together.items()]


def suffixes(all_groups: Sequence[Group]) -> list[str]:
    """A file-name suffix per group: '' for a single one, else readable text and a hash (`[1]` is not `[-1]`)."""
    if len(all_groups) == 1:
        return [""]
    names = []
    for group in all_groups:
        parts = (group.corpus, group.source, group.encoder, group.axes, "intrinsic" if group.intrinsic else "")
        readable = re.sub(r"[^A-Za-z0-9=.]+", "-", "-".join(part.rsplit("/", 1)[-1] for part in parts)).strip("-.")
        names.append(f"-{readable[:60]}-{sha256_of(repr(parts))[:8]}")
    return names
