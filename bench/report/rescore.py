"""Recomputes a record's scores, counts, sentences, tokens and test digest from its sidecars and reports mismatches."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench.core.errors import BadInput
from bench.core.files import sha256_of_file
from bench.measure.score import Counts, count, summary
from bench.store.record import Record, Records, TypeCounts
from bench.store.sidecars import GOLD, Damaged, Sidecar, damage, digest_of, predictions_name, read_arrays, read_sidecar

COUNTS = "counts.npz"
CLOSE = 1.1e-6  # records round to six digits
KEPT = 8  # files in memory: the gold of one test serves all its records
_TAG = re.compile(r"O|[BI]-\S.*")


@dataclass(frozen=True)
class Finding:
    """One mismatch: the file, the problem, the stored value and the expected one."""

    file: str  # from the results folder
    what: str
    stored: str = ""
    expected: str = ""

    def __str__(self) -> str:
        values = f": stored {self.stored or 'nothing'}, should be {self.expected or 'nothing'}"
        return f"{self.file}: {self.what}{values if self.stored or self.expected else ''}"


@dataclass
class Verified:
    """The result of a verification: counts of what was checked, mismatches, and notes (which are no mismatch)."""

    out: Path
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.store = Records(self.out)

    def _place(self, file: Path) -> str:
        """The path relative to the results folder; for a packed folder, as before packing."""
        return file.relative_to(self.out if file.is_relative_to(self.out) else self.store.home).as_posix()

    def add(self, file: Path, problem: str, stored: Any = "", expected: Any = "") -> None:
        """Note a mismatch."""
        self.findings.append(Finding(self._place(file), problem, str(stored)[:200], str(expected)[:200]))

    def leftover(self, file: Path) -> None:
        """Note a file left by an interrupted write."""
        self.notes.append(f"{self._place(file)}: left by a write that did not finish; it may be deleted")

    def count(self, kind: str, number: int = 1) -> None:
        """Add to the number of checked items of a kind."""
        self.counts[kind] = self.counts.get(kind, 0) + number

    @contextmanager
    def reading(self, path: Path) -> Iterator[None]:
        """Turn errors from reading the file inside the block into a mismatch."""
        try:
            yield
        except (BadInput, Damaged) as error:
            self.add(path, str(error))
        except (OSError, UnicodeDecodeError, KeyError, TypeError) as error:  # the last two: arrays without types
            self.add(path, damage(error))
        except json.JSONDecodeError as error:
            self.add(path, f"truncated or not JSON: {error.msg} at line {error.lineno}, column {error.colno}")
        except (RecursionError, ValueError) as error:  # JSON nested too deeply, a number too long
            self.add(path, f"not a record: {error}")


@dataclass
class Rescorer:
    """Checks finished records one by one; files of the same bytes are read once."""

    verified: Verified
    files: dict[str, Sidecar] = field(default_factory=dict)  # by hash
    tests: dict[tuple[str, str], str] = field(default_factory=dict)  # digest of a gold file in a language
    scored: dict[tuple[str, ...], Counts] = field(default_factory=dict)  # by gold, predictions and types

    def __post_init__(self) -> None:
        self.add, self.store = self.verified.add, self.verified.store

    def check(self, record: Record) -> int:
        """Check a record; returns the number of scores that were recomputed."""
        if not record.scores or set(record.scores) - set(record.rules):
            wanted = f"some of {', '.join(record.rules)}"
            self.add(self.store.path(record.key), "scores by rule", ", ".join(record.scores), wanted)
        gold, path = self._read(record.key, GOLD), self.store.sidecar(record.key, COUNTS)
        counts: dict[str, np.ndarray] = {}
        types: list[str] = []
        with self.verified.reading(path):
            arrays = read_arrays(path)
            types, counts = [str(type_) for type_ in arrays.pop("types").tolist()], arrays
        for rule in sorted(set(counts) - set(record.scores)):
            self.add(path, f"holds the rule '{rule}', of which there is no score")
        if not gold:
            return 0
        self._facts(record, gold)
        return sum(self._rule(record, rule, gold, types, counts.get(rule)) for rule in record.scores)

    def _read(self, key: str, name: str) -> str:
        """The hash of a CoNLL sidecar, its key in `files`; '' if it cannot be read, which is reported."""
        path = self.store.sidecar(key, name)
        with self.verified.reading(path):
            sha = sha256_of_file(path)
            self.files[sha] = self.files.pop(sha) if sha in self.files else _checked(read_sidecar(path))
            while len(self.files) > KEPT:  # the newest come last
                del self.files[next(iter(self.files))]
            return sha
        return ""

    def _facts(self, record: Record, sha: str) -> None:
        """Check the numbers of sentences and tokens and the digest of the test."""
        path, gold, language = self.store.path(record.key), self.files[sha], str(record.cell["target"])
        expected = {"sentences": len(gold.ids), "tokens_gold": gold.tokens, "tokens_scored": gold.tokens}
        for name, number in expected.items():
            if getattr(record, name) != number:
                self.add(path, name, getattr(record, name), number)
        wanted = str(record.corpus.get("test", ""))
        if not re.fullmatch("[0-9a-f]{64}", wanted):
            self.add(path, "corpus.test is no digest of a test", wanted)
            return
        if (sha, language) not in self.tests:
            self.tests[sha, language] = digest_of(gold, language)
        if (digest := self.tests[sha, language]) != wanted:
            problem = "not the test that the record names (sha256 of its sentences)"
            self.add(self.store.sidecar(record.key, GOLD), problem, digest, wanted)

    def _rule(self, record: Record, rule: str, gold: str, types: list[str], stored: np.ndarray | None) -> bool:
        """Recompute the score of a rule and report differences; returns whether that was possible."""
        name = predictions_name(rule)
        predicted = self._read(record.key, name)
        if not predicted:
            return False
        sides = self.files[gold], self.files[predicted]
        if difference := _first_difference(*sides):
            self.add(self.store.sidecar(record.key, name), *difference)
            return False
        used_types = {tag[2:] for side in sides for tags in side.tags for tag in tags if tag != "O"}
        every = [*types, *sorted(used_types.difference(types))]
        if (gold, predicted, *every) not in self.scored:
            # only the rules of one record share predictions, where they chose the same checkpoint
            self.scored = {(gold, predicted, *every): count(sides[0].spans, sides[1].spans, every)}
        counts = self.scored[gold, predicted, *every]
        self._compare_scores(record, rule, every, counts)
        if types:
            self._compare_counts(self.store.sidecar(record.key, COUNTS), rule, sides[0].ids, every, (stored, counts))
        return True

    def _compare_scores(self, record: Record, rule: str, types: Sequence[str], counts: Counts) -> None:
        path, stored = self.store.path(record.key), record.scores[rule]
        expected = summary(counts, types)
        for type_ in sorted(stored.types.keys() | expected.types.keys()):
            recorded, made = (side.types.get(type_, TypeCounts(0, 0, 0)) for side in (stored, expected))
            if recorded != made:
                triples = (f"({counts.tp}, {counts.fp}, {counts.fn})" for counts in (recorded, made))
                self.add(path, f"scores.{rule}.types.{type_} (tp, fp, fn)", *triples)
        for name in ("precision", "recall", "f1"):
            value = getattr(expected, name)
            if not abs(getattr(stored, name) - value) <= CLOSE:
                self.add(path, f"scores.{rule}.{name}", getattr(stored, name), round(value, 6))

    def _compare_counts(
        self, path: Path, rule: str, ids: Sequence[str], types: list[str], sides: tuple[np.ndarray | None, Counts]
    ) -> None:
        stored, counts = sides
        if stored is None:
            self.add(path, f"lacks the rule '{rule}'")
        elif stored.shape != counts.shape or stored.dtype.kind not in "iu":
            form = f"{stored.dtype} {stored.shape}"
            self.add(path, f"{rule}: (sentences, types, 3) of types {', '.join(types)}", form, f"int32 {counts.shape}")
        elif (stored != counts).any():
            wrong = np.argwhere((stored != counts).any(axis=2))
            (sentence, type_), number = wrong[0], len(set(wrong[:, 0].tolist()))
            place = f"{rule}: sentence {sentence + 1} ('{ids[sentence]}'), {types[type_]} (tp, fp, fn)"
            place += f", the first of {number} sentences" if number > 1 else ""
            self.add(path, place, *(tuple(array[sentence, type_].tolist()) for array in (stored, counts)))


def _checked(sidecar: Sidecar) -> Sidecar:
    """The sidecar; raises Damaged for the first tag that is not IOB2."""
    known = {tag for tags in sidecar.tags for tag in tags}
    if bad := sorted(tag for tag in known if not _TAG.fullmatch(tag)):
        place = next(number for number, tags in enumerate(sidecar.tags) if set(bad) & set(tags))
        raise Damaged(f"sentence {place + 1} ('{sidecar.ids[place]}'): no IOB2 tag: {bad[0]!r}")
    return sidecar


def _first_difference(gold: Sidecar, predicted: Sidecar) -> tuple[str, str, str] | None:
    """Problem, stored and expected value at the first sentence that differs from the gold; None if none does."""
    if len(gold.ids) != len(predicted.ids):
        return "sentences", str(len(predicted.ids)), str(len(gold.ids))
    sentences = zip(gold.ids, predicted.ids, gold.words, predicted.words, strict=True)
    for number, (id_, other_id, words, others) in enumerate(sentences, 1):
        if id_ != other_id:
            return f"id of sentence {number}", repr(other_id), repr(id_)
        if len(words) != len(others):
            return f"words of sentence {number} ('{id_}')", str(len(others)), str(len(words))
        if words != others:
            place = next(i for i, (word, other) in enumerate(zip(words, others, strict=True)) if word != other)
            return f"word {place + 1} of sentence {number} ('{id_}')", repr(others[place]), repr(words[place])
    return None
