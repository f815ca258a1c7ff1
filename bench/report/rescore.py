"""A record's numbers, made again from its sidecars: scores, counts by sentence, sentences, tokens, the test itself."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from bench.core.files import sha256_of_file
from bench.measure.score import TagScore, ratios, score_tags
from bench.store.record import Record, Records, TypeCounts
from bench.store.sidecars import GOLD, Damaged, Sidecar, digest_of, predictions_name, read_arrays, read_sidecar

COUNTS = "counts.npz"
CLOSE = 1.1e-6  # records round to six digits
KEPT = 8  # files in memory: the gold of one test serves all its records
_TAG = re.compile(r"O|[BI]-\S.*")
Add = Callable[..., None]  # (file, what, stored, should be)


@dataclass(frozen=True)
class _File:
    sha: str
    content: Sidecar


@dataclass
class Rescorer:
    """Checks finished records one by one; files of the same bytes are read once."""

    add: Add
    store: Records
    files: dict[str, _File] = field(default_factory=dict)
    tests: dict[tuple[str, str], str] = field(default_factory=dict)  # digest of a gold file in a language
    scored: dict[tuple[str, str], TagScore] = field(default_factory=dict)  # by gold and predictions

    def check(self, record: Record) -> int:
        """The number of scores that were made again."""
        path = self.store.path(record.key)
        if not record.scores or set(record.scores) - set(record.rules):
            self.add(path, "scores by rule", ", ".join(record.scores), f"some of {', '.join(record.rules)}")
        gold = self._read(record.key, GOLD)
        types, counts = self._counts(record.key)
        for rule in sorted(set(counts) - set(record.scores)):
            self.add(self.store.sidecar(record.key, COUNTS), f"holds the rule '{rule}', of which there is no score")
        if gold is None:
            return 0
        self._facts(record, gold)
        return sum(self._rule(record, rule, gold, types, counts) for rule in record.scores)

    # --- reading ------------------------------------------------------------------------------------------------------

    def _read(self, key: str, name: str) -> _File | None:
        """A CoNLL sidecar; None where it cannot be read, which is a finding."""
        path = self.store.sidecar(key, name)
        try:
            sha = sha256_of_file(path) if path.is_file() else ""
            found = self.files.pop(sha, None) or _File(sha, _checked(read_sidecar(path)))
        except Damaged as error:
            self.add(path, str(error))
            return None
        except OSError as error:
            self.add(path, f"cannot be read: {error.strerror}")
            return None
        self.files[sha] = found  # the newest last
        while len(self.files) > KEPT:
            del self.files[next(iter(self.files))]
        return found

    def _counts(self, key: str) -> tuple[list[str], dict[str, np.ndarray]]:
        """Types and counts by rule of counts.npz; nothing where it cannot be read."""
        path = self.store.sidecar(key, COUNTS)
        try:
            found = read_arrays(path)
            types = [str(type_) for type_ in found.pop("types").tolist()]
        except FileNotFoundError:
            self.add(path, "missing")
        except Damaged as error:
            self.add(path, str(error))
        except (KeyError, TypeError) as error:
            self.add(path, f"truncated or damaged: {error}")
        else:
            return types, found
        return [], {}

    # --- comparing ----------------------------------------------------------------------------------------------------

    def _facts(self, record: Record, gold: _File) -> None:
        """Sentences, tokens and which test it is."""
        path, tokens = self.store.path(record.key), gold.content.tokens
        for name, stored, found in (
            ("sentences", record.sentences, len(gold.content.ids)),
            ("tokens_gold", record.tokens_gold, tokens),
            ("tokens_scored", record.tokens_scored, tokens),
        ):
            if stored != found:
                self.add(path, name, stored, found)
        wanted, language = str(record.corpus.get("test", "")), str(record.cell["target"])
        if not re.fullmatch("[0-9a-f]{64}", wanted):
            self.add(path, "corpus.test is no digest of a test", wanted)
            return
        if (gold.sha, language) not in self.tests:
            self.tests[gold.sha, language] = digest_of(gold.content, language)
        if self.tests[gold.sha, language] != wanted:
            what = "not the test that the record names (sha256 of its sentences)"
            self.add(self.store.sidecar(record.key, GOLD), what, self.tests[gold.sha, language], wanted)

    def _rule(self, record: Record, rule: str, gold: _File, types: list[str], counts: dict[str, np.ndarray]) -> bool:
        """Whether the score of a rule could be made again; what differs is a finding."""
        name = predictions_name(rule)
        predicted = self._read(record.key, name)
        if predicted is None:
            return False
        difference = _first_difference(gold.content, predicted.content)
        if difference:
            self.add(self.store.sidecar(record.key, name), *difference)
            return False
        if (gold.sha, predicted.sha) not in self.scored:
            self.scored = {}  # rules of one record often chose the same checkpoint; nothing else repeats
            tags = score_tags(gold.content.tags, predicted.content.tags, "strict")
            self.scored[gold.sha, predicted.sha] = tags
        found = self.scored[gold.sha, predicted.sha]
        self._compare_scores(record, rule, found)
        if types:
            self._compare_counts(record, rule, gold.content, _wider(found, types), counts.get(rule))
        return True

    def _compare_scores(self, record: Record, rule: str, found: TagScore) -> None:
        path, stored = self.store.path(record.key), record.scores[rule]
        sums = found.counts.sum(axis=0, dtype=np.int64)
        expected = {type_: TypeCounts(*row) for type_, row in zip(found.types, sums.tolist(), strict=True)}
        nothing = TypeCounts(0, 0, 0)
        for type_ in sorted(stored.types.keys() | expected.keys()):
            one, other = stored.types.get(type_, nothing), expected.get(type_, nothing)
            if one != other:
                self.add(path, f"scores.{rule}.types.{type_} (tp, fp, fn)", _triple(one), _triple(other))
        micro = ratios(*sums.sum(axis=0).tolist())
        for name in ("f1", "precision", "recall"):
            if not abs(getattr(stored, name) - getattr(micro, name)) <= CLOSE:
                self.add(path, f"scores.{rule}.{name}", getattr(stored, name), round(getattr(micro, name), 6))

    def _compare_counts(
        self, record: Record, rule: str, gold: Sidecar, expected: TagScore, stored: np.ndarray | None
    ) -> None:
        path = self.store.sidecar(record.key, COUNTS)
        types, counts = expected
        if stored is None:
            self.add(path, f"lacks the rule '{rule}'")
        elif stored.shape != counts.shape or stored.dtype.kind not in "iu":
            form = f"{stored.dtype} {stored.shape}"
            self.add(path, f"{rule}: (sentences, types, 3) of types {', '.join(types)}", form, f"int32 {counts.shape}")
        elif not np.array_equal(stored, counts):
            sentence, type_ = np.argwhere((stored != counts).any(axis=2))[0]
            more = int((stored != counts).any(axis=2).any(axis=1).sum())
            what = f"{rule}: sentence {sentence + 1} ('{gold.ids[sentence]}'), {types[type_]} (tp, fp, fn)"
            what += f", the first of {more} sentences" if more > 1 else ""
            self.add(path, what, tuple(stored[sentence, type_].tolist()), tuple(counts[sentence, type_].tolist()))


def _checked(found: Sidecar) -> Sidecar:
    """The sidecar; Damaged at the first tag that is no IOB2."""
    known: set[str] = set()
    for number, tags in enumerate(found.tags):
        for tag in tags:
            if tag not in known and not _TAG.fullmatch(tag):
                raise Damaged(f"sentence {number + 1} ('{found.ids[number]}'): no IOB2 tag: {tag!r}")
            known.add(tag)
    return found


def _first_difference(gold: Sidecar, predicted: Sidecar) -> tuple[str, str, str] | None:
    """What, stored, should be: of the first sentence that is not the gold's."""
    if (gold.ids, gold.words) == (predicted.ids, predicted.words):
        return None
    if len(gold.ids) != len(predicted.ids):
        return "sentences", str(len(predicted.ids)), str(len(gold.ids))
    both = zip(gold.ids, predicted.ids, gold.words, predicted.words, strict=True)
    for number, (id_, other_id, words, others) in enumerate(both, 1):
        if id_ != other_id:
            return f"id of sentence {number}", repr(other_id), repr(id_)
        if words != others:
            word = next((i for i, (x, y) in enumerate(zip(words, others, strict=False)) if x != y), None)
            if word is None:
                return f"words of sentence {number} ('{id_}')", str(len(others)), str(len(words))
            return f"word {word + 1} of sentence {number} ('{id_}')", repr(others[word]), repr(words[word])
    return None


def _wider(found: TagScore, types: list[str]) -> TagScore:
    """The counts in the order of `types`, further ones after them."""
    every = [*types, *(type_ for type_ in found.types if type_ not in types)]
    counts = np.zeros((len(found.counts), len(every), 3), np.int32)
    for place, type_ in enumerate(found.types):
        counts[:, every.index(type_)] = found.counts[:, place]
    return TagScore(tuple(every), counts)


def _triple(counts: TypeCounts) -> str:
    return f"({counts.tp}, {counts.fp}, {counts.fn})"
