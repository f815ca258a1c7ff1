"""matrix.json of a results folder: the cells that it is to hold, so that status and tables know what is missing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from bench.core.errors import BadInput
from bench.core.files import canonical_json, write_json

FILE = "matrix.json"


def matrix_cells(out: Path) -> list[dict[str, Any]]:
    """The cells of OUT/matrix.json in the matrix's order; [] where the file is missing.

    Raises:
        BadInput: the file is not what `xner run` writes.
    """
    value = _read(out)
    cells = value.get("cells") if value else []
    if not isinstance(cells, list) or not all(isinstance(cell, dict) and "key" in cell for cell in cells):
        raise BadInput(f"{out / FILE}: expected an object with `cells`, each with a `key`")
    return cells


def _read(out: Path) -> dict[str, Any]:
    """The file's object, {} where there is none."""
    path = out / FILE
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise BadInput(f"{path}: not JSON: {error}") from error
    if not isinstance(value, dict) or not value:
        raise BadInput(f"{path}: expected an object with `cells`, each with a `key`")
    return value


@dataclass(frozen=True)
class Written:
    """A matrix as it was written: the file's own name, its text, what --set changed and --only chose."""

    file: str
    text: str
    overrides: tuple[str, ...] = ()
    only: tuple[str, ...] = ()


def matrices(out: Path) -> list[Written]:
    """The matrices that were run into the folder, the last one last; [] where matrix.json does not know them."""
    found = _read(out).get("written", [])
    try:
        return [Written(one["file"], one["text"], tuple(one["overrides"]), tuple(one["only"])) for one in found]
    except (TypeError, KeyError) as error:
        raise BadInput(f"{out / FILE}: `written` is not what `xner run` writes") from error


def add_cells(
    out: Path, new: Iterable[Mapping[str, Any]], name: str = "", written: Sequence[Written] | None = None
) -> None:
    """Publish matrix.json with these cells added; one of the same name takes the place of the old one.

    `name`: of the matrix; "" keeps the one that is there, or takes the folder's. `written`: the matrix of the cells,
    kept after those that are there. A damaged file is written anew.
    """
    out.mkdir(parents=True, exist_ok=True)
    with FileLock(out / f".{FILE}.lock"):  # two that add at once must not lose each other's cells
        try:
            before, texts = matrix_cells(out), matrices(out)
        except BadInput:
            before, texts = [], []
        cells: dict[str, Mapping[str, Any]] = {cell_name(cell): cell for cell in before}
        cells.update({cell_name(cell): cell for cell in new})
        known = _read(out).get("name") if before and not name else name
        texts = [one for one in texts if one not in (written or ())] + list(written or ())
        whole = {"cells": list(cells.values()), "name": known or out.resolve().name}
        write_json(out / FILE, whole | ({"written": [asdict(one) for one in texts]} if texts else {}))


def cell_name(cell: Mapping[str, Any]) -> str:
    """What must be one cell, whatever code and data gave its key."""
    return canonical_json([cell.get(k) for k in ("label", "corpus", "target", "encoder", "seed", "trial", "axes")])
