"""A results folder from outside: its place, and what its matrix planned. No pandas here, so that status stays fast."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.corpus import BadInput


def resolve(out: str | Path) -> Path:
    """The results folder: `out` itself, or `results/<out>` where `out` is a matrix's name.

    Raises:
        BadInput: neither holds records.
    """
    path = Path(out)
    shipped = Path("results") / path
    for candidate in (path, shipped):
        if (candidate / "records").is_dir() or (candidate / "matrix.json").is_file():
            return candidate
    what = "no records here" if path.is_dir() else "no such folder"
    raise BadInput(f"{path}: {what} (nor in {shipped}); make them with `xner run MATRIX --out {path}`")


def matrix_cells(out: Path) -> list[dict[str, Any]]:
    """The cells of OUT/matrix.json in the matrix's order; [] where the file is missing.

    Raises:
        BadInput: the file is not what `xner run` writes.
    """
    path = out / "matrix.json"
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
