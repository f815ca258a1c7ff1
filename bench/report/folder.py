"""A results folder from outside: its place, and what its matrix planned. No pandas here, so that status stays fast."""

from __future__ import annotations

from pathlib import Path

from bench.core.errors import BadInput
from bench.store.planned import matrix_cells

__all__ = ["matrix_cells", "resolve"]


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
