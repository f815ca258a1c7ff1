"""Who a cell is: its method, what of the target that reads, and the cell in the words of records."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.api.method import LINKED, Method, Need, Round
from bench.plan import registry
from bench.plan.matrix import Cell

TARGET_NEEDS = LINKED | {Need.TARGET_UNLABELLED, Need.PARALLEL_TEXT, Need.TARGET_GOLD}


@dataclass(frozen=True)
class Planned:
    """A cell and its key."""

    cell: Cell
    key: str


def method_of(cell: Cell) -> Method:
    """The cell's method with its parameters.

    Raises:
        BrokenPlugin: it cannot be used, as the plan found.
    """
    if cell.broken:
        raise registry.BrokenPlugin(cell.broken)
    made: Method = registry.make("method", cell.method, cell.params)
    return made


def trains(cell: Cell) -> bool:
    """Whether the cell needs its encoder; a broken method is taken for one that does."""
    return bool(cell.broken or method_of(cell).rounds())


def workers_of(method: Method) -> list[Method]:
    """The method, and those whose training its rounds are."""
    named = [registry.make("method", r.method) if isinstance(r.method, str) else r.method for r in method.rounds()]
    return [method, *(worker for worker in named if worker is not None)]


def shares_training(cell: Cell) -> bool:
    """Whether one training of the method serves all targets: no round reads anything of the target alone."""
    if cell.broken:
        return False
    method = method_of(cell)
    return not any(reads_target(method, round_) for round_ in method.rounds())


def reads_target(method: Method, round_: Round) -> bool:
    """Whether a round trains on anything of the cell's target that it does not take of every target."""
    own = registry.make("method", round_.method).needs if isinstance(round_.method, str) else method.needs
    needs = own if round_.needs is None else round_.needs
    return bool(needs & (TARGET_NEEDS - LINKED if Need.ALL_TARGETS in needs else TARGET_NEEDS))


def encoder_label(name: str) -> str:
    """An encoder as tables print it: a folder by its name, never its path."""
    folder = Path(name).expanduser()
    return folder.resolve().name if name not in registry.names("encoder") and folder.is_dir() else name


def describe(cell: Cell) -> dict[str, Any]:
    """The cell as its record and tables name it."""
    return {
        "label": cell.label,
        "method": cell.method,
        "params": cell.params,
        "source": cell.source,
        "target": cell.target,
        "encoder": encoder_label(cell.encoder) if trains(cell) else "none",
        "seed": cell.seed,
        "trial": cell.trial,
        "corpus": cell.data.corpus,
        "n_source": cell.data.n_source,
        "axes": cell.axes,
    } | {
        **({"settings": cell.settings} if cell.settings else {}),
        **({"intrinsic": True} if not cell.broken and method_of(cell).intrinsic else {}),
    }
