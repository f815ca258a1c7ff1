"""What several units need, made before any of them starts: encoders of our own recipes, and linked translations."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from bench.corpus import Unavailable
from bench.encode import Progress
from bench.method import LINKED, Need
from bench.plan.needs import needs_of_method, reads_links
from bench.runner.data import CellData
from bench.runner.identity import Planned, encoder_of, method_of
from bench.runner.labels import source_links
from bench.runner.transferred import TransferStage
from bench.store.artefacts import Artefacts, cache_root


def make_shared(todo: Sequence[Planned], cache: Path | None, progress: Progress, device: str = "cpu") -> None:
    """Make the shared artefacts of these cells. What cannot be made is said, and left to its cells' records."""
    artefacts = Artefacts(cache or cache_root())
    tried: set[str] = set()
    for planned in todo:
        try:
            _make(planned, artefacts, progress, device, tried)
        except Unavailable:
            continue  # the cell will be a skip that says why
        except Exception as error:  # noqa: BLE001 - a plug-in's error is the result of the cells that need it
            print(f"xner: shared by {planned.cell.label} {planned.cell.target}: {error}", file=sys.stderr)


def _make(planned: Planned, artefacts: Artefacts, progress: Progress, device: str, tried: set[str]) -> None:
    encoder = encoder_of(planned.cell)
    if encoder.key not in tried:
        tried.add(encoder.key)
        encoder.ensure(artefacts, progress)
    method, labels = method_of(planned.cell), planned.cell.labels
    needs = needs_of_method(method)
    if needs & LINKED:
        stage = source_links(planned.cell, CellData(planned.cell))
        if Need.LABELLED_TRANSLATION in needs and labels.transfer != "align":
            marked = TransferStage(planned.cell, stage.translations)
            key = marked.key()
            if key not in tried:
                tried.add(key)
                marked.artefact(artefacts, device)
        if reads_links(method, labels):
            key = stage.links_key()
            if key not in tried:
                tried.add(key)
                stage.links(artefacts, device, progress)
