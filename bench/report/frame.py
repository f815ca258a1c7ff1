"""Stored records as the report side reads them: chosen trials, tidy frame, comparable cells, pooled counts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.core.errors import BadInput
from bench.core.files import canonical_json
from bench.report.folder import matrix_cells, resolve
from bench.store.record import Record, Records
from bench.store.sidecars import Damaged

UNPLACED = 10**9  # the place of a record that the matrix does not name: after those that it does


@dataclass(frozen=True)
class Stored:
    """A record, the folder that holds its sidecars, the name of its suite and its place in the matrix."""

    record: Record
    store: Records
    suite: str
    place: int = UNPLACED

    @cached_property
    def label(self) -> str:
        """The method's or variant's name, with what the axes of [labels] chose: rows of one table."""
        chosen = [_plain(value) for name, value in self._axes if name.startswith("labels.")]
        return str(self.record.cell["label"]) + (f" ({', '.join(chosen)})" if chosen else "")

    @cached_property
    def target(self) -> str:
        return str(self.record.cell["target"])

    @property
    def seed(self) -> int:
        return int(self.record.cell.get("seed", 0))

    @cached_property
    def axes(self) -> str:
        """The cell's further axes but those of [labels] as one text, '' where it has none: a table each."""
        return ", ".join(f"{name}={_plain(value)}" for name, value in self._axes if not name.startswith("labels."))

    @property
    def _axes(self) -> list[tuple[str, Any]]:
        return sorted((self.record.cell.get("axes") or {}).items())

    @property
    def intrinsic(self) -> bool:
        """Whether projected labels were scored, not a tagger's: never in one table with taggers."""
        return bool(self.record.cell.get("intrinsic"))

    @property
    def imported(self) -> bool:
        """Whether another system's predictions were scored: what made them is unknown."""
        return bool(self.record.cell.get("imported"))

    @cached_property
    def identity(self) -> tuple[str, ...]:
        """What must be one result, whatever trials and code versions lie in the folder."""
        cell = self.record.cell
        parts = (cell.get(name, "") for name in ("corpus", "source", "n_source", "encoder", "seed"))
        return (self.suite, self.label, self.target, self.axes, *map(str, parts))


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else canonical_json(value)


def is_oracle(record: Record) -> bool:
    """Whether the method saw gold labels of the target language."""
    return record.resources.target_gold > 0 or "yes" in (record.factors.get("gold"), record.factors.get("target_gold"))


def read(outs: Sequence[Path]) -> list[Stored]:
    """The records of the folders, one a cell and seed: the trial that source dev chose; in the matrix's order.

    Raises:
        BadInput: as `read_all`, or a folder holds two records for one cell.
    """
    return chosen(read_all(outs))


def read_all(outs: Sequence[Path]) -> list[Stored]:
    """All records of the folders.

    Raises:
        BadInput: a folder does not exist or holds no records.
    """
    stored: list[Stored] = []
    suites = _suites([resolve(out) for out in outs])
    for out, suite in suites.items():
        store = Records(out)
        places = {str(cell["key"]): place for place, cell in enumerate(matrix_cells(out))}
        records = store.all()
        if not records:
            raise BadInput(f"{out}: no records here; make them with `xner run MATRIX --out {out}`")
        stored += [Stored(record, store, suite, places.get(record.key, UNPLACED)) for record in records]
    return stored


def in_order(stored: Iterable[Stored]) -> list[Stored]:
    """In the matrix's order."""
    return sorted(stored, key=lambda s: (s.place, s.identity))


def load(outs: Sequence[Path]) -> list[Record]:
    """The records that `read` finds, without their folders."""
    return [stored.record for stored in read(outs)]


def _suites(outs: Sequence[Path]) -> dict[Path, str]:
    """The folder's name, or its path where two folders share a name."""
    names = [out.resolve().name for out in outs]
    return {out: name if names.count(name) == 1 else out.as_posix() for out, name in zip(outs, names, strict=True)}


def chosen(stored: Iterable[Stored]) -> list[Stored]:
    """One record an identity: of a search's trials the best on source dev, never on a test; in the matrix's order.

    Raises:
        BadInput: two records for one cell.
    """
    cells: dict[tuple[str, ...], list[Stored]] = {}
    for one in stored:
        cells.setdefault(one.identity, []).append(one)
    return in_order(_best_trial(_current(ones)) for ones in cells.values())


def _current(ones: list[Stored]) -> list[Stored]:
    """Without the records that the present matrix no longer names (older code or settings), if it names any of them."""
    current = [one for one in ones if one.place != UNPLACED] or ones
    trials: dict[int, str] = {}
    for one in current:
        trial = int(one.record.cell.get("trial") or 0)
        if trial in trials:
            raise BadInput(
                f"{one.store.out}: two records for {one.label} / {one.target} / seed {one.seed}: "
                f"{trials[trial]} and {one.record.key}; `xner prune` removes what the matrix no longer needs"
            )
        trials[trial] = one.record.key
    return current


def _best_trial(ones: list[Stored]) -> Stored:
    """The trial with the best F1 on source dev; the first of equals; a failed one only where all failed."""

    def rank(one: Stored) -> tuple[float, int]:
        score = one.record.scores.get("source-dev")
        dev = score.dev_f1 if score is not None and score.dev_f1 is not None else -1.0
        return (-dev if one.record.status == "ok" else 2.0, int(one.record.cell.get("trial") or 0))

    return min(ones, key=rank)


def tidy(stored: Sequence[Stored]) -> pd.DataFrame:
    """One row a record and selection rule (one row, without a rule, for a record that has no scores)."""
    rows: list[dict[str, Any]] = []
    for one in stored:
        record, cell = one.record, one.record.cell
        base: dict[str, Any] = {
            "suite": one.suite,
            "key": record.key,
            "label": one.label,
            "target": one.target,
            "axes": one.axes,
        }
        base |= {name: cell.get(name) for name in ("method", "source", "encoder", "corpus", "n_source")}
        base |= {"seed": one.seed, "trial": int(cell.get("trial") or 0), "status": record.status}
        base |= {"reason": record.reason or error_line(record), "oracle": is_oracle(record)}
        for rule in record.rules if record.scores else (None,):
            score = record.scores.get(rule) if rule is not None else None
            row = {**base, "rule": rule, "main": bool(record.rules) and rule == record.rules[0]}
            for name in ("f1", "precision", "recall", "step", "dev_f1", "recall_seen", "recall_unseen"):
                row[name] = getattr(score, name, None)
            rows.append({**row, "oracle_rule": bool(score and score.oracle)})
    frame = pd.DataFrame(rows)
    if frame["n_source"].isna().any():  # of imported predictions; the others' must not become fractions
        frame["n_source"] = frame["n_source"].astype("Int64")
    return frame


def error_line(record: Record) -> str:
    """Type and first line of a failed cell's error, at most 160 characters; '' where there is none."""
    if record.error is None:
        return ""
    message = (record.error.get("message", "").strip().splitlines() or [""])[0]
    return ": ".join(part for part in (record.error.get("type", ""), message) if part)[:160]


@dataclass(frozen=True)
class Group:
    """The cells of one table: same corpus, source language, encoder, further axes, and kind of evaluation."""

    corpus: str
    source: str
    encoder: str
    axes: str
    intrinsic: bool
    stored: tuple[Stored, ...]
    memo: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)  # made once: scores by rule, standing

    @cached_property
    def suites(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(one.suite for one in self.stored))

    @cached_property
    def oracles(self) -> frozenset[tuple[str, str]]:
        """The rows (suite, label) of methods that saw gold labels of the target language."""
        return frozenset((one.suite, one.label) for one in self.stored if is_oracle(one.record))

    @cached_property
    def targets(self) -> tuple[str, ...]:
        """Target languages: in the matrix's order, the rest by code."""
        return tuple(dict.fromkeys(one.target for one in self.stored))

    @cached_property
    def main_rule(self) -> str:
        """The rule that most records put first (the first by name of equals); '' where no record has scores."""
        firsts = Counter(one.record.rules[0] for one in self.stored if one.record.scores and one.record.rules)
        return max(sorted(firsts), key=firsts.__getitem__, default="")

    @cached_property
    def rules(self) -> tuple[str, ...]:
        """All rules that any record has scores by."""
        return tuple(sorted({rule for one in self.stored for rule in one.record.scores}))

    def values(self, name: str) -> tuple[Any, ...]:
        """The distinct values of a key of `corpus` facts, in order of the records."""
        found = (one.record.corpus.get(name) for one in self.stored)
        return tuple(dict.fromkeys(value for value in found if value not in (None, "")))


def groups(stored: Sequence[Stored]) -> list[Group]:
    """One group a (corpus, source, encoder, further axes, intrinsic or not), in the order of the records."""
    found: dict[tuple[str, str, str, str, bool], list[Stored]] = {}
    for one in stored:
        cell = one.record.cell
        corpus, source, encoder = (str(cell.get(name, "")) for name in ("corpus", "source", "encoder"))
        found.setdefault((corpus, source, encoder, one.axes, one.intrinsic), []).append(one)
    return [Group(*key, stored=tuple(ones)) for key, ones in found.items()]


def counts_of(one: Stored) -> dict[str, np.ndarray]:
    """Counts (sentences, 3) of tp, fp, fn by rule, types summed; {} where the sidecar is missing or damaged.

    `xner verify` says more of such a sidecar.
    """
    try:
        found = one.store.counts(one.record.key)
    except Damaged:
        return {}
    return {rule: np.einsum("stc->sc", array) for rule, array in found.items() if array.ndim == 3}


def pooled(counts: Sequence[Mapping[str, np.ndarray]], rule: str) -> np.ndarray | None:
    """Counts (seeds, sentences, 3), in the order given.

    None where a seed has no counts, or the seeds were not scored on the same number of sentences.
    """
    found = [by_rule[rule] for by_rule in counts if rule in by_rule]
    if not found or len(found) < len(counts) or len({array.shape for array in found}) > 1:
        return None
    return np.stack(found)


def test_of(record: Record) -> str:
    """What says that two records were scored on the same test: the corpus facts' `test`, as one text."""
    return json.dumps(record.corpus.get("test"), sort_keys=True)
