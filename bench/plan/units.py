"""Units of work: the cells that share a training; and how records and matrix.json describe a cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.api.method import LINKED, Method, Need, Round
from bench.core.files import canonical_json
from bench.plan import registry
from bench.plan.matrix import Cell
from bench.store.record import Records, Written, add_cells, training_base

TARGET_NEEDS = LINKED | {Need.TARGET_UNLABELLED, Need.PARALLEL_TEXT, Need.TARGET_GOLD}


@dataclass(frozen=True)
class Planned:
    """A cell and its key."""

    cell: Cell
    key: str


def method_of(cell: Cell) -> Method:
    """The cell's method with its parameters; BrokenPlugin where the plan found that it cannot be used."""
    if cell.broken:
        raise registry.BrokenPlugin(cell.broken)
    made: Method = registry.make("method", cell.method, cell.params)
    return made


def trains(cell: Cell) -> bool:
    """Whether the cell needs its encoder; a broken method is assumed to."""
    return bool(cell.broken or method_of(cell).rounds())


def workers_of(method: Method) -> list[Method]:
    """The method, and the methods whose trainings its rounds reuse."""
    named = [registry.make("method", r.method) if isinstance(r.method, str) else r.method for r in method.rounds()]
    return [method, *(worker for worker in named if worker is not None)]


def shares_training(cell: Cell) -> bool:
    """Whether one training of the method serves all targets: no round reads data of a single target."""
    if cell.broken:
        return False
    method = method_of(cell)
    return not any(reads_target(method, round_) for round_ in method.rounds())


def reads_target(method: Method, round_: Round) -> bool:
    """Whether a round trains on data of the cell's target that it does not take from every target."""
    own = registry.make("method", round_.method).needs if isinstance(round_.method, str) else method.needs
    needs = own if round_.needs is None else round_.needs
    return bool(needs & (TARGET_NEEDS - LINKED if Need.ALL_TARGETS in needs else TARGET_NEEDS))


def describe(cell: Cell) -> dict[str, Any]:
    """The cell as its record and tables describe it."""
    names = ("label", "method", "params", "source", "target", "seed", "trial", "axes")
    return {
        **{name: getattr(cell, name) for name in names},
        "encoder": registry.encoder_name(cell.encoder) if trains(cell) else "none",
        "corpus": cell.data.corpus,
        "n_source": cell.data.n_source,
    } | {
        **({"settings": cell.settings} if cell.settings else {}),
        **({"intrinsic": True} if not cell.broken and method_of(cell).intrinsic else {}),
    }


def units(planned: Sequence[Planned]) -> list[list[Planned]]:
    """The cells grouped by shared training, ordered by encoder, seed and target, trainings for all targets first.

    In this order weights exist before later units need them, whatever their axes, and few are kept at a time.
    """
    groups: dict[str, list[Planned]] = {}
    order: dict[str, tuple[int, ...]] = {}
    bases, targets, labels = dict[str, int](), dict[str, int](), dict[str, int]()  # in the order of the matrix
    for each in planned:
        cell, name = each.cell, unit_name(each)
        groups.setdefault(name, []).append(each)
        target = 0 if shares_training(cell) else targets.setdefault(cell.target, 1 + len(targets))
        label = labels.setdefault(cell.label, len(labels))
        base = training_base(vars(cell))
        order.setdefault(name, (bases.setdefault(base, len(bases)), target, label))
    return [groups[name] for name in sorted(groups, key=lambda name: order[name])]


def unit_name(planned: Planned) -> str:
    """A name that is the same for the cells that share a training."""
    cell = planned.cell
    base = canonical_json([cell.encoder, cell.seed, cell.trial, cell.axes])
    return canonical_json([cell.label, base, "" if shares_training(cell) else cell.target])


def unfinished(planned: Sequence[Planned], out: Path, retry: bool = False) -> list[Planned]:
    """The cells without a record; with `retry` also those whose record is a failure."""
    records = [(each, Records(out).get(each.key)) for each in planned]
    return [each for each, record in records if record is None or (retry and record.status == "failed")]


def failures(planned: Sequence[Planned], out: Path) -> dict[str, int]:
    """By key the attempts of the cells whose record is a failure."""
    records = [Records(out).get(each.key) for each in planned]
    return {record.key: record.attempts for record in records if record is not None and record.status == "failed"}


def write_matrix(planned: Sequence[Planned], out: Path, written: Written | None = None) -> None:
    """Publish matrix.json: the cells that the folder is to hold, so that status can tell which are missing.

    A run of another matrix, or of fewer cells, into the same folder adds to it; a cell whose key changed (code, data)
    replaces the old one.
    """
    cells = [{"key": each.key} | {k: v for k, v in describe(each.cell).items() if k != "params"} for each in planned]
    add_cells(out, cells, planned[0].cell.matrix, [written] if written else None)
