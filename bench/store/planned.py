"""matrix.json of a results folder: the cells that it is to hold, so that status and tables know what is missing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.core.errors import BadInput
from bench.core.files import canonical_json, write_json
from bench.store.artefacts import claimed
from bench.store.packed import refuse_packed

FILE = "matrix.json"
CHOSEN = "chosen.toml"  # of a folder that `xner search` ran


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
    """[[contrast]]: a difference A - B that was declared before the matrix ran; everything else is exploratory.

    `a`, `b`: rows of the tables (`row_name`); in a matrix file also a method or variant, for each of its rows.
    """

    a: str
    b: str
    name: str  # in short words
    primary: bool = False


@dataclass(frozen=True)
class Written:
    """A matrix as it was written: the file's own name, its text, what --set changed, --only chose and it declares."""

    file: str
    text: str
    overrides: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    contrasts: tuple[Contrast, ...] = ()  # row by row


def matrices(out: Path) -> list[Written]:
    """The matrices that were run into the folder, the last one last; [] where matrix.json does not know them."""
    try:
        return [
            Written(
                text["file"],
                text["text"],
                tuple(text["overrides"]),
                tuple(text["only"]),
                tuple(Contrast(**contrast) for contrast in text.get("contrasts", [])),
            )
            for text in _read(out).get("written", [])
        ]
    except (TypeError, KeyError) as error:
        raise BadInput(f"{out / FILE}: `written` is not what `xner run` writes") from error


def contrasts(out: Path) -> list[Contrast]:
    """What the matrices of the folder declare, in their order: of each file as it was last run.

    Raises:
        BadInput: as `matrices`.
    """
    last = {text.file: text.contrasts for text in matrices(out)}
    return list(dict.fromkeys(contrast for declared in last.values() for contrast in declared))


def row_name(label: str, axes: Mapping[str, Any]) -> str:
    """What tables call a row: the method's or variant's name, with what the axes of [labels] chose in brackets."""
    values = (value for name, value in sorted(axes.items()) if name.startswith("labels."))
    chosen = [value if isinstance(value, str) else canonical_json(value) for value in values]
    return label + (f" ({', '.join(chosen)})" if chosen else "")


def add_cells(
    out: Path, new: Iterable[Mapping[str, Any]], name: str = "", written: Sequence[Written] | None = None
) -> None:
    """Publish matrix.json with these cells added; one of the same name takes the place of the old one.

    `name`: of the matrix; "" keeps the one that is there, or takes the folder's. `written`: the matrix of the cells,
    kept after those that are there. A damaged file is written anew.

    Raises:
        BadInput: the folder is a packed suite.
    """
    refuse_packed(out)
    with claimed(out, FILE):  # two that add at once must not lose each other's cells
        try:
            before, texts = matrix_cells(out), matrices(out)
            name = name or str(_read(out).get("name") or "")
        except BadInput:
            before, texts = [], []
        cells = {cell_name(cell): cell for cell in (*before, *new)}
        texts = [text for text in texts if text not in (written or ())] + list(written or ())
        whole = {"cells": list(cells.values()), "name": name or out.resolve().name}
        write_json(out / FILE, whole | ({"written": [asdict(text) for text in texts]} if texts else {}))


def cell_name(cell: Mapping[str, Any]) -> str:
    """What must be one cell, whatever code and data gave its key."""
    return canonical_json([cell.get(k) for k in ("label", "corpus", "target", "encoder", "seed", "trial", "axes")])


def training_base(cell: Mapping[str, Any]) -> str:
    """The same text for the cells that may share weights over targets and methods."""
    return canonical_json([cell.get(k) for k in ("encoder", "seed", "trial", "axes")])
