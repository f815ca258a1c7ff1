"""matrix.json of a results folder: the cells that it is to hold, so that status and tables know what is missing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

from bench.corpus import BadInput
from bench.store.files import canonical_json, write_json

FILE = "matrix.json"


def matrix_cells(out: Path) -> list[dict[str, Any]]:
    """The cells of OUT/matrix.json in the matrix's order; [] where the file is missing.

    Raises:
        BadInput: the file is not what `xner run` writes.
    """
    path = out / FILE
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except ValueError as error:
        raise BadInput(f"{path}: not JSON: {error}") from error
    cells = value.get("cells") if isinstance(value, dict) else None
    if not isinstance(cells, list) or not all(isinstance(cell, dict) and "key" in cell for cell in cells):
        raise BadInput(f"{path}: expected an object with `cells`, each with a `key`")
    return cells


def add_cells(out: Path, new: Iterable[Mapping[str, Any]], name: str = "") -> None:
    """Publish matrix.json with these cells added; one of the same name takes the place of the old one.

    `name`: of the matrix; "" keeps the one that is there, or takes the folder's. A damaged file is written anew.
    """
    out.mkdir(parents=True, exist_ok=True)
    with FileLock(out / f".{FILE}.lock"):  # two that add at once must not lose each other's cells
        try:
            before = matrix_cells(out)
        except BadInput:
            before = []
        cells: dict[str, Mapping[str, Any]] = {cell_name(cell): cell for cell in before}
        cells.update({cell_name(cell): cell for cell in new})
        known = json.loads((out / FILE).read_text(encoding="utf-8")).get("name") if before and not name else name
        write_json(out / FILE, {"cells": list(cells.values()), "name": known or out.resolve().name})


def cell_name(cell: Mapping[str, Any]) -> str:
    """What must be one cell, whatever code and data gave its key."""
    return canonical_json([cell.get(k) for k in ("label", "corpus", "target", "encoder", "seed", "trial", "axes")])
