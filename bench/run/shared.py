"""The settings of a run, and the artefacts that several units share: encoders of our recipes, linked translations."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.api.method import LINKED, Need
from bench.api.recipes import Progress
from bench.core.errors import Stopped, Unavailable
from bench.data.cell_data import CellData
from bench.data.identity import encoder_of
from bench.data.labels import parallel_links, source_links
from bench.data.translated import TransferStage
from bench.plan.matrix import every_target, needs_of_method, reads_links
from bench.plan.units import Planned, method_of
from bench.store.artefacts import Artefacts, cache_root


@dataclass(frozen=True)
class RunSettings:
    """The machine and output of a run: never part of a key."""

    out: Path
    device: str = "cpu"
    keep_models: bool = False
    cache: Path = field(default_factory=cache_root)


@dataclass(frozen=True)
class Piece:
    """A shared artefact that a cell needs: its stage and key, and a function that makes it, once, under a lock."""

    stage: str
    key: str
    make: Callable[[Artefacts, str, Progress], object]  # of cache, device, progress


def make_shared(todo: Sequence[Planned], where: RunSettings, progress: Progress) -> None:
    """Make the shared artefacts of these cells; a failure is reported, and becomes the result of its cells."""
    artefacts, tried = Artefacts(where.cache), set[str]()
    for planned in todo:
        with reported(planned):
            for piece in pieces(planned):
                if piece.key not in tried:
                    tried.add(piece.key)
                    piece.make(artefacts, where.device, progress)


def absent(todo: Sequence[Planned], artefacts: Artefacts) -> dict[str, Planned]:
    """By key of each shared artefact that is still to be made, the first cell that needs it."""
    cells: dict[str, Planned] = {}
    for planned in todo:
        with reported(planned):
            for piece in pieces(planned):
                if piece.key not in cells and artefacts.get(piece.stage, piece.key) is None:
                    cells[piece.key] = planned
    return cells


def pieces(planned: Planned) -> Iterator[Piece]:
    """The shared artefacts of a cell, in the order in which they are made.

    Raises:
        BadInput: the sources of a piece are not here.
    """
    if planned.cell.broken:
        return
    encoder = encoder_of(planned.cell)
    if encoder.recipe is not None:
        yield Piece("encoder", encoder.key, lambda cache, _, progress: encoder.ensure(cache, progress))
    method = method_of(planned.cell)
    needs = needs_of_method(method)
    # own target first: a target without translations ends this, and the cells make the pieces of those after it
    for cell in every_target(planned.cell) if Need.ALL_TARGETS in needs else [planned.cell]:
        if not needs & LINKED:
            continue
        stage = source_links(cell, CellData(cell))
        if Need.LABELLED_TRANSLATION in needs and cell.labels.transfer != "align":
            marked = TransferStage(cell, stage.translations)
            key = marked.key()
            yield Piece("transfer", key, lambda cache, device, _: marked.artefact(cache, device))  # noqa: B023 - at once
        if reads_links(method, cell.labels):
            yield Piece("links", stage.links_key(), stage.links)
    if Need.PARALLEL_TEXT in needs:
        stage = parallel_links(planned.cell, CellData(planned.cell))
        yield Piece("links", stage.links_key(), stage.links)


@contextmanager
def reported(planned: Planned) -> Iterator[None]:
    """Report an error inside the block on standard error; it will be the result of the cells that need the piece."""
    try:
        yield
    except Unavailable:
        pass  # the cell's record will be a skip with the reason
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a plug-in's error is the result of the cells that need it
        Stopped.is_not_lost()
        print(f"xner: shared by {planned.cell.label} {planned.cell.target}: {error!r}", file=sys.stderr)
