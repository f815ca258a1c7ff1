"""What the matrix files of a results folder declare before they run: how many contrasts, and for which languages."""

from __future__ import annotations

import tomllib
from math import prod
from pathlib import Path
from typing import Any

from bench.store.record import ROW_AXES, Contrast, contrasts, flat, last_texts


def contrasts_in_order(out: Path) -> list[Contrast]:
    """`contrasts`, in the order in which the matrix files declare them, whatever ran first."""
    names = [contrast["name"] for raw, _ in _files(out) for contrast in raw.get("contrast", [])]

    def place(contrast: Contrast) -> int:
        return next((n for n, name in enumerate(names) if _is(contrast, name)), len(names))

    return sorted(contrasts(out), key=place)


def numbers_declared(out: Path) -> tuple[int, int]:
    """How many primary contrasts and how many others the folder's matrix files declare, run or not.

    One for each table (each encoder's, unless the contrast names one; each value of an axis that is not of rows), and
    for each pair of rows that it was seen to mean.
    """
    primary: list[bool] = []
    rows = contrasts(out)
    for raw, _ in _files(out):
        axes = flat(raw.get("axes", {}))
        tables = prod(len(values) for name, values in axes.items() if "." in name and not name.startswith(ROW_AXES))
        for contrast in raw.get("contrast", []):
            encoders = 1 if contrast.get("encoder") else max(1, len(axes.get("encoders", [])))
            pairs = sum(_is(row, contrast["name"]) for row in rows)
            primary += [bool(contrast.get("primary"))] * tables * encoders * max(1, pairs)
    return sum(primary), len(primary) - sum(primary)


def targets_declared(out: Path, contrast: str) -> tuple[str, ...]:
    """The target languages of the folder's matrix files that declare the contrast, run or not."""
    texts = [raw for raw, names in _files(out) if contrast in names]
    return tuple(dict.fromkeys(target for raw in texts for target in raw.get("axes", {}).get("targets", [])))


def _is(contrast: Contrast, name: str) -> bool:
    """Whether a contrast of rows is what a file declares by this name."""
    return contrast.name == name or contrast.name.startswith(f"{name}: ")


def _files(out: Path) -> list[tuple[dict[str, Any], set[str]]]:
    """The tables of each matrix file, and the names of the contrasts that its runs declared."""
    texts = last_texts(out)
    return [
        (tomllib.loads(content), {c.name for run in texts if run.file == file for c in run.contrasts})
        for file, content in {text.file: text.text for text in texts}.items()
    ]
