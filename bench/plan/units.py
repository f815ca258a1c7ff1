"""From cells to units of work: the cells that share a training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.core.files import canonical_json
from bench.plan.identity import Planned, describe, shares_training
from bench.plan.matrix import Cell
from bench.store.planned import Written, add_cells
from bench.store.record import Records


def units(planned: Sequence[Planned]) -> list[list[Planned]]:
    """Cells that share a training together; by encoder, seed and target, the shared ones first.

    In this order the weights that later units start from or learn from are there, and few are kept at a time.
    """
    groups: dict[str, list[Planned]] = {}
    order: dict[str, tuple[int, ...]] = {}
    ranks: dict[str, dict[str, int]] = {"base": {}, "target": {}, "label": {}}

    def rank(kind: str, value: str) -> int:
        return ranks[kind].setdefault(value, len(ranks[kind]))

    for each in planned:
        cell, name = each.cell, unit_name(each)
        groups.setdefault(name, []).append(each)
        target = 0 if shares_training(cell) else 1 + rank("target", cell.target)
        order.setdefault(name, (rank("base", _base(cell)), target, rank("label", cell.label)))
    return [groups[name] for name in sorted(groups, key=lambda name: order[name])]


def unit_name(planned: Planned) -> str:
    """The same text for the cells that share a training."""
    cell = planned.cell
    return canonical_json([cell.label, _base(cell), "" if shares_training(cell) else cell.target])


def unfinished(planned: Sequence[Planned], out: Path, retry: bool = False) -> list[Planned]:
    """The cells without a record; with `retry` also those whose record is a failure."""
    records = [(each, Records(out).get(each.key)) for each in planned]
    return [each for each, record in records if record is None or (retry and record.status == "failed")]


def failures(planned: Sequence[Planned], out: Path) -> dict[str, int]:
    """By key the attempts of the cells whose record is a failure."""
    records = [Records(out).get(each.key) for each in planned]
    return {record.key: record.attempts for record in records if record is not None and record.status == "failed"}


def write_matrix(planned: Sequence[Planned], out: Path, written: Written | None = None) -> None:
    """Publish matrix.json: the cells that the folder is to hold, so that status can tell what is missing.

    A run of another matrix, or of fewer cells, into the same folder adds to it; a cell whose key changed (code, data)
    takes the place of the old one.
    """
    cells = [{"key": one.key} | {k: v for k, v in describe(one.cell).items() if k != "params"} for one in planned]
    add_cells(out, cells, planned[0].cell.matrix, [written] if written else None)


def _base(cell: Cell) -> str:
    return canonical_json([cell.encoder, cell.seed, cell.trial, cell.axes])
