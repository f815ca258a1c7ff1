"""A results folder's records, on which status, tables and resumption rely, and its matrix.json.

matrix.json lists the cells that the folder is to hold, so that status and tables know which are missing.
`record.schema.json` beside this file is the JSON Schema of a record; tests/store/test_schema.py makes it.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bench.core.errors import BadInput
from bench.core.files import canonical_json, write_bytes, write_json
from bench.store.artefacts import claimed
from bench.store.packed import opened, refuse_packed
from bench.store.sidecars import compressed, npz_of, read_arrays

if TYPE_CHECKING:  # status and why read thousands of records, but no array
    import numpy as np

SCHEMA = 1
_KEY = re.compile("[0-9a-f]{32}")
Status = Literal["ok", "failed", "skipped"]
Translation = Literal["none", "human", "machine"]


@dataclass(frozen=True)
class TypeCounts:
    """True positives, false positives and false negatives of one entity type."""

    tp: int
    fp: int
    fn: int


@dataclass(frozen=True)
class RuleScores:
    """Scores of the checkpoint that one selection rule chose; seqeval, strict IOB2, micro-averaged, 0 to 1."""

    f1: float
    precision: float
    recall: float
    types: dict[str, TypeCounts]
    step: int  # the optimiser step of the chosen checkpoint
    dev_f1: float | None  # F1 of the rule's own dev set at that step
    recall_seen: float | None  # of gold entities whose surface and type occur in the training labels
    recall_unseen: float | None
    oracle: bool = False  # the rule looked at target labels


@dataclass(frozen=True)
class Resources:
    """The data that the cell consumed: the price of its score."""

    labelled: int = 0  # labelled source sentences
    dev: int = 0
    translated: int = 0  # translations used
    unlabelled: int = 0  # unlabelled target sentences
    parallel: int = 0  # lines of unlabelled human parallel text
    target_gold: int = 0  # gold-labelled target sentences (oracles)
    translation: Translation = "none"
    dictionary: bool = False
    test_translated: int = 0  # test sentences that were translated into the source language
    test_translation: Translation = "none"


@dataclass(frozen=True)
class Cost:
    """Cold cost: of the cell and all its ancestors when nothing is cached; None is unknown, never 0.

    Human work (translations, labels) is not included.
    """

    seconds: float | None = None
    inference: float | None = None  # of these, for predicting the test
    steps: int = 0
    evals: int = 0
    batch: int = 0  # labelled sentences a step
    sentences: int = 0
    tokens: int = 0  # real sub-words, padding left out
    forward_passes: int = 0
    flops: float | None = None


@dataclass(frozen=True)
class Record:
    """One cell's result. At most 10 kB as JSON with sorted keys; arrays and texts are sidecars."""

    key: str
    matrix: str
    cell: dict[str, Any]  # label, method, params, source, target, encoder, seed, corpus, n_source, trial, axes
    status: Status
    parents: dict[str, str] = field(default_factory=dict)
    factors: dict[str, str] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)  # by role OWNER/NAME@COMMIT of what was read from the hub
    corpus: dict[str, Any] = field(default_factory=dict)  # title, synthetic, human_translations, licence, types, test
    scores: dict[str, RuleScores] = field(default_factory=dict)  # by selection rule; the main one is the first of rules
    rules: tuple[str, ...] = ()
    error: dict[str, str] | None = None  # type, message, traceback
    reason: str | None = None  # of a skip
    sentences: int = 0
    tokens_gold: int = 0
    tokens_scored: int = 0
    projection: dict[str, int] = field(default_factory=dict)
    overlap: dict[str, int] = field(default_factory=dict)  # counts of the leakage guard
    resources: Resources = field(default_factory=Resources)
    cost: Cost = field(default_factory=Cost)
    ran: dict[str, Any] = field(default_factory=dict)  # device, precision, threads, micro_batches, checkpointing
    diagnostics: dict[str, float] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    code: str = ""
    commit: str = ""
    attempts: int = 1
    schema: int = SCHEMA


class Foreign(BadInput):
    """JSON that is not a record of any version."""


_FIELDS = frozenset(f.name for f in fields(Record))


def from_json(value: Mapping[str, Any], where: str = "record") -> Record:
    """A record from JSON.

    Raises:
        BadInput: the schema is unknown (Foreign: there is none), or a field is missing or unknown.
    """
    if not isinstance(value, Mapping) or "schema" not in value:
        raise Foreign(f"{where}: not a record: expected a JSON object with a schema")
    if value.get("schema") != SCHEMA:
        raise BadInput(f"{where}: record schema {value.get('schema')!r} is unknown; this version reads {SCHEMA}")
    unknown = sorted(value.keys() - _FIELDS)
    if unknown:
        raise BadInput(f"{where}: unknown field '{unknown[0]}' in a record of schema {SCHEMA}")
    made: dict[str, Any] = dict(value)
    try:
        made["scores"] = {
            rule: RuleScores(**{**s, "types": {t: TypeCounts(**c) for t, c in s["types"].items()}})
            for rule, s in value.get("scores", {}).items()
        }
        made["rules"] = tuple(value.get("rules", ()))
        made |= {"resources": Resources(**value.get("resources", {})), "cost": Cost(**value.get("cost", {}))}
        return Record(**made)
    except (TypeError, KeyError, AttributeError) as error:
        raise BadInput(f"{where}: not a record of schema {SCHEMA}: {error}") from error


class Records:
    """The records of one results folder, packed or not: `records/<key>.json`, sidecars in `sidecars/<key>/`."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.home = opened(out)  # the folder of the unpacked files

    def path(self, key: str) -> Path:
        return self.home.joinpath("records", f"{key}.json")

    def sidecar(self, key: str, name: str) -> Path:
        return self.home.joinpath("sidecars", key, name)

    def get(self, key: str) -> Record | None:
        """The record, or None where there is none or it is damaged (half-written counts as absent).

        Raises:
            BadInput: the record's schema is unknown, or the results folder is a file.
        """
        path = self.path(key)
        try:
            value = json.loads(path.read_bytes().decode())
        except NotADirectoryError as error:
            raise BadInput(f"{self.out}: there is a file where the results folder should be") from error
        except (FileNotFoundError, ValueError, RecursionError):
            return None
        return from_json(value, str(path))

    def all(self) -> list[Record]:
        """Every record, sorted by key; a foreign JSON file only causes a warning.

        Raises:
            BadInput: a record's schema is unknown: tables without a newer version's records would be wrong.
        """
        records = []
        for key in sorted(path.stem for path in (self.home / "records").glob("*.json")):
            try:
                record = self.get(key)
            except Foreign as error:
                print(f"warning: {error}; left out", file=sys.stderr)
                continue
            if record is not None:
                records.append(record)
        return records

    def damaged(self, known: Collection[str]) -> dict[str, Path]:
        """By key the files named like records that are half-written or damaged; `known` keys are skipped."""
        broken: dict[str, Path] = {}
        for path in sorted((self.home / "records").glob("*.json")):
            if _KEY.fullmatch(path.stem) and path.stem not in known:
                try:
                    json.loads(path.read_bytes().decode())
                except (ValueError, RecursionError):
                    broken[path.stem] = path
        return broken

    def put(self, record: Record) -> None:
        """Publish a record; its sidecars must be there already. BadInput where the folder has been packed."""
        refuse_packed(self.out)
        write_json(self.path(record.key), asdict(record))

    def put_text(self, key: str, name: str, text: str) -> None:
        """Publish a gzipped text sidecar; the same text gives the same bytes."""
        write_bytes(self.sidecar(key, name), compressed(text))

    def put_counts(self, key: str, counts: Mapping[str, np.ndarray], types: Sequence[str]) -> None:
        """Publish counts.npz: by rule an int32 array (sentences, types, 3) of tp, fp, fn, and `types`."""
        import numpy as np

        write_bytes(self.sidecar(key, "counts.npz"), npz_of({"types": np.array(list(types)), **counts}))

    def counts(self, key: str) -> dict[str, np.ndarray]:
        """By rule the array (sentences, types, 3) of tp, fp, fn; Damaged where they are missing or cannot be read."""
        return read_arrays(self.sidecar(key, "counts.npz"), without="types")


FILE = "matrix.json"
INCLUDED = "\n# included: "  # stands between the text of a matrix and that of an included file, before its name
CHOSEN = "chosen.toml"  # of a folder that `xner search` ran
AT_TOP = frozenset(  # what the verbs write into a results folder, beside hidden files and what `xner pack` makes
    {"records", "sidecars", "models", "taggers", "jobs", "forced", "logs", "wandb", FILE, CHOSEN, "sources.lock.json"}
    | {"tables", "figures", "paper", "report.html"}
)


def matrix_cells(out: Path) -> list[dict[str, Any]]:
    """The cells of OUT/matrix.json in the matrix's order; [] where the file is missing.

    Raises:
        BadInput: the file is not what `xner run` writes.
    """
    cells: list[dict[str, Any]] = _read(out).get("cells", [])
    return cells


def _read(out: Path) -> dict[str, Any]:
    """The file's object, {} where there is none; BadInput as `matrix_cells`."""
    path = out / FILE
    try:
        value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise BadInput(f"{path}: not JSON: {error}") from error
    cells = value.get("cells") if isinstance(value, dict) else None
    if not isinstance(cells, list) or not all(isinstance(cell, dict) and "key" in cell for cell in cells):
        raise BadInput(f"{path}: expected an object with `cells`, each with a `key`")
    return value


@dataclass(frozen=True)
class Contrast:
    """[[contrast]]: a difference A - B that was declared before the matrix ran; everything else is exploratory."""

    a: str  # row of the tables (`row_name`); in a matrix file also a method or variant, for each of its rows
    b: str
    name: str
    primary: bool = False
    encoder: str = ""  # whose tables it is declared for; "": every encoder's


@dataclass(frozen=True)
class Written:
    """A matrix as it was run: the file's name and text, --set, --only, and the contrasts that it declares."""

    file: str
    text: str
    overrides: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    contrasts: tuple[Contrast, ...] = ()  # row by row


def matrices(out: Path) -> list[Written]:
    """The matrices that were run into the folder, the last one last; [] where matrix.json does not name them."""

    def written(file: str, text: str, overrides: list[str], only: list[str], contrasts: Any = ()) -> Written:
        return Written(file, text, tuple(overrides), tuple(only), tuple(Contrast(**contrast) for contrast in contrasts))

    try:
        return [written(**text) for text in _read(out).get("written", [])]
    except (TypeError, KeyError) as error:
        raise BadInput(f"{out / FILE}: `written` is not what `xner run` writes") from error


def contrasts(out: Path) -> list[Contrast]:
    """The contrasts that the folder's matrices declare, row by row, each file with the text that was last run.

    Of its runs all count, since one that --set narrowed has only some of the rows. BadInput as `matrices`.
    """
    return list(dict.fromkeys(contrast for text in last_texts(out) for contrast in text.contrasts))


def last_texts(out: Path) -> list[Written]:
    """The runs of each matrix file with the text that it had when it was last run, file by file.

    What it included makes no difference: that holds only settings, of more rows after another search.
    """
    contents = [(text, text.text.partition(INCLUDED)[0]) for text in matrices(out)]
    last = {text.file: content for text, content in contents}
    return [text for file in last for text, content in contents if (text.file, content) == (file, last[file])]


def flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as dotted keys: `labels.aligner = …` without the quotes means the same axis."""
    keys: dict[str, Any] = {}
    for key, value in table.items():
        keys |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return keys


ROW_AXES = ("labels.", "method.")  # axes whose values are rows of one table; each value of another has its own


def row_name(label: str, axes: Mapping[str, Any]) -> str:
    """The name of a table's row: the method or variant, with the values of axes of [labels] in brackets.

    A swept parameter, `"method.NAME.PARAM"` as an axis, stands there with its name: `concner (alpha=0.5)`.
    """
    chosen = []
    for name, value in sorted(axes.items()):
        if name.startswith(ROW_AXES):
            text = value if isinstance(value, str) else canonical_json(value)
            chosen.append(f"{name.rpartition('.')[2]}={text}" if name.startswith("method.") else text)
    return label + (f" ({', '.join(chosen)})" if chosen else "")


def add_cells(
    out: Path, new: Iterable[Mapping[str, Any]], name: str = "", written: Sequence[Written] | None = None
) -> None:
    """Publish matrix.json with these cells added; a cell replaces an older one of the same name.

    `name`: of the matrix; "" keeps the file's, or takes the folder's. `written`: the matrix of the cells, added last. A
    damaged file is written anew. BadInput where the folder is a packed suite.
    """
    refuse_packed(out)
    with claimed(out, FILE):  # processes that add at the same time must not lose each other's cells
        try:
            before, texts = matrix_cells(out), matrices(out)
            name = name or str(_read(out).get("name") or "")
        except BadInput:
            before, texts = [], []
        cells = {cell_name(cell): cell for cell in (*before, *new)}
        texts = [text for text in texts if text not in (written or ())] + list(written or ())
        whole = {"cells": list(cells.values()), "name": name or out.resolve().name}
        write_json(out / FILE, whole | ({"written": [asdict(text) for text in texts]} if texts else {}))


def forget_cells(out: Path, names: Collection[str]) -> None:
    """Take the cells of these names out of matrix.json."""
    with claimed(out, FILE):
        whole = _read(out)
        write_json(out / FILE, whole | {"cells": [cell for cell in whole["cells"] if cell_name(cell) not in names]})


def cell_name(cell: Mapping[str, Any]) -> str:
    """The identity of a cell, independent of the code and data in its key."""
    return canonical_json([cell.get(k) for k in ("label", "corpus", "target", "encoder", "seed", "trial", "axes")])


def training_base(cell: Mapping[str, Any]) -> str:
    """A text that is the same for cells that may share weights over targets, methods and axes."""
    return canonical_json([cell.get(k) for k in ("encoder", "seed", "trial")])
