"""Another system's predictions as a record, so that tables and comparisons cover systems that were not trained here."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from bench.api.method import Factors
from bench.core.conll import conll_text, refuse_placeholders
from bench.core.errors import BadInput
from bench.core.files import sha256_of
from bench.core.sentences import Mode, Sentence, Span
from bench.measure.score import Summary, count, f1, rule_scores, summary
from bench.measure.tagged import Tagged, labelled, test_of
from bench.plan.keys import key_of
from bench.store.packed import refuse_packed
from bench.store.record import Record, Records, add_cells, cell_name, matrix_cells
from bench.store.sidecars import GOLD, predictions_name

UNSTATED = "not stated"
_LANGUAGE = (re.compile(r"[a-z]{2,3}([-_][A-Za-z0-9]+)*"), "a language code such as de or zh-Hans")
_NAMES = {
    "method": (re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}"), "letters, digits, '.', '_', '+' and '-'"),
    "target": _LANGUAGE,
    "source": _LANGUAGE,
    "corpus": (re.compile(r"|[a-z0-9][a-z0-9._-]{0,99}"), "lower-case letters, digits, '.', '_' and '-'"),
    "encoder": (re.compile(r"|not stated|[A-Za-z0-9][A-Za-z0-9._/+-]{0,199}"), "a name such as org/model"),
    "rule": (re.compile(r"|[a-z0-9][a-z0-9-]{0,49}"), "lower-case letters, digits and '-'"),
}


@dataclass(frozen=True)
class System:
    """The user's description of a system. "" of corpus, encoder and rule: as in the folder's own records."""

    method: str
    target: str
    seed: int
    source: str = "en"
    corpus: str = ""
    encoder: str = ""
    rule: str = ""
    mode: Mode = "strict"
    scheme: str = "IOB2"  # of both files, or `GOLD,PRED`
    oracle: bool = False  # it saw gold labels of the target language

    def __post_init__(self) -> None:
        for name, (pattern, allowed) in _NAMES.items():
            value = getattr(self, name)
            if not pattern.fullmatch(value):
                raise BadInput(f"--{name} {value!r}: must be {allowed}")
        if self.seed < 0:
            raise BadInput(f"--seed {self.seed}: must be at least 0")


@dataclass(frozen=True)
class Imported:
    """The record, and what a user should know about it."""

    record: Record
    known: bool  # it existed already, and nothing changed
    foreign: tuple[str, ...]  # predicted types that the gold lacks: each such entity counts as wrong
    lenient: float  # F1 if ill-formed predictions were read as seqeval reads them without a mode
    beside: tuple[str, ...] = ()  # the folder's corpora, where that of the record is new among them


def import_predictions(
    out: Path, system: System, gold: Tagged, predicted: Tagged, *, replacing: bool = False
) -> Imported:
    """Score the predictions and publish record, sidecars and the cell in matrix.json. Importing twice changes nothing.

    Gold and predictions hold the same words. The record's key is a hash of its content. `replacing`: take the place of
    another import of this cell.

    Raises:
        BadInput: a tag is not of the scheme; the gold is ill-formed, all O or not the test on which the folder's
            records of this corpus and language were scored; the cell holds other predictions, or a run's; the folder
            has several corpora or encoders and none was named; a file of the folder cannot be read.
    """
    store = Records(out)
    records = store.all()
    cells = [*(record.cell for record in records), *matrix_cells(out)]
    refuse_packed(out)
    stated = bool(system.encoder)
    system = _placed(system, cells, records, out)
    if any(system.method in (cell.get("label"), cell.get("method")) and not cell.get("imported") for cell in cells):
        raise BadInput(  # an import may not mix with the seeds of a method that was trained here
            f"--method {system.method}: {out} has a method of this name that was trained here; give the imported one "
            f"another, such as '{system.method}-imported'"
        )
    refuse_placeholders(gold.path, gold.items)
    wanted = gold.gold(system.mode)
    if not any(wanted):
        raise BadInput(f"{gold.path}: not one entity; the labels look like placeholders")
    given = predicted.entities(system.mode)
    like = [record for record in records if record.cell.get("corpus") == system.corpus]
    test, facts = test_of(system.corpus, gold, labelled(gold, wanted, system.target), store, like)
    types = list(dict.fromkeys([*facts.get("types", ()), *_types(wanted)]))
    foreign = tuple(type_ for type_ in _types(given) if type_ not in types)
    every = [*types, *foreign]
    counts = count(wanted, given, every)
    tagged = [replace(sentence, spans=spans) for sentence, spans in zip(test, given, strict=True)]
    texts = {"gold": conll_text(test), "predictions": conll_text(tagged)}
    total = summary(counts, every)
    record = _scored(system, test, total, texts, _noted(system, stated, facts | {"types": types}))
    others = [o for o in records if cell_name(o.cell) == cell_name(record.cell) and o.key != record.key]
    if others and not replacing:
        raise BadInput(
            f"{store.path(others[0].key)}: {system.method} / {system.target} / seed {system.seed} is imported already, "
            "with other predictions or settings; --replace puts these in their place"
        )
    known = record in records
    store.put_text(record.key, GOLD, texts["gold"])
    store.put_text(record.key, predictions_name(system.rule), texts["predictions"])
    store.put_counts(record.key, {system.rule: counts}, every)
    store.put(record)
    cell = {"key": record.key} | {name: value for name, value in record.cell.items() if name != "params"}
    add_cells(out, [cell])
    for other in others:  # last: if killed before, both are there, and matrix.json names the new one
        store.path(other.key).unlink(missing_ok=True)
        shutil.rmtree(out / "sidecars" / other.key, ignore_errors=True)
    lenient = predicted.entities("seqeval-default" if system.mode == "strict" else system.mode)
    every = list(dict.fromkeys([*types, *_types(lenient)]))
    corpora = {str(cell.get("corpus")) for cell in cells}
    beside = () if system.corpus in corpora else tuple(sorted(corpora))
    return Imported(record, known, foreign, round(f1(count(wanted, lenient, every)), 6), beside)


def _placed(system: System, cells: Sequence[Mapping[str, Any]], records: Sequence[Record], out: Path) -> System:
    """The system with corpus, encoder and rule of the folder's table where it names none."""
    corpus = system.corpus or _only("corpus", [str(cell.get("corpus")) for cell in cells], out) or "imported"

    def near(cell: Mapping[str, Any]) -> bool:
        return (cell.get("corpus"), cell.get("source")) == (corpus, system.source) and not cell.get("intrinsic")

    encoders = [str(cell.get("encoder")) for cell in cells if near(cell)]
    encoder = system.encoder or _only("encoder", encoders, out) or UNSTATED
    scored = [record for record in records if near(record.cell) and record.scores and record.rules]
    scored = [record for record in scored if not record.cell.get("imported")] or scored
    rules = sorted(record.rules[0] for record in scored)
    rule = system.rule or max(rules, key=rules.count, default="imported")
    return replace(system, corpus=corpus, encoder=encoder, rule=rule)


def _only(option: str, values: Sequence[str], out: Path) -> str:
    if len(set(values)) > 1:
        raise BadInput(f"--{option}: {out} has several; name one of {', '.join(sorted(set(values)))}")
    return values[0] if values else ""


def _noted(system: System, stated: bool, facts: dict[str, Any]) -> dict[str, Any]:
    """The corpus facts with a note on the system for the head of every table."""
    encoder = "" if stated else "encoder not stated, "
    own = f"{system.method}: imported predictions, not trained here; {encoder}data, budget and cost unknown"
    notes = [note for note in facts.get("notes", ()) if ": imported predictions, not trained here" not in note]
    return facts | {"notes": [*notes, own]}


def _types(spans: Sequence[tuple[Span, ...]]) -> list[str]:
    return sorted({span.type for of_sentence in spans for span in of_sentence})


def _scored(
    system: System, test: Sequence[Sentence], total: Summary, texts: Mapping[str, str], facts: dict[str, Any]
) -> Record:
    fields_, hashes = asdict(system), {name: sha256_of(text) for name, text in texts.items()}
    tokens = sum(len(s.words) for s in test)
    factors = dict.fromkeys((field.name for field in fields(Factors)), "unknown") | {"imported": "yes"}
    return Record(
        key=key_of("import", facts=facts, types=list(total.types), **fields_, **hashes),
        matrix=system.corpus,
        cell={name: fields_[name] for name in ("method", "source", "target", "encoder", "seed", "corpus")}
        | {"label": system.method, "params": {}, "trial": 0, "n_source": None, "axes": {}, "imported": True},
        status="ok",
        factors=factors | ({"target_gold": "yes"} if system.oracle else {}),
        corpus=facts,
        scores={system.rule: rule_scores(total)},
        rules=(system.rule,),
        sentences=len(test),
        tokens_gold=tokens,
        tokens_scored=tokens,
        ran={"imported": True, "mode": system.mode, "scheme": system.scheme, "sha256": hashes},
    )
