"""Why a cell will be skipped, as far as that is known before anything is made: it lacks data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict

from bench.api.method import LINKED, Method, Need
from bench.core.errors import Unavailable
from bench.core.files import canonical_json
from bench.data.cell_data import CellData
from bench.data.labels import LinkStage, links_of_test, parallel_links, source_links
from bench.data.translated import TransferStage
from bench.plan.matrix import Cell, needs_of_method, reads_links
from bench.plan.registry import in_one_line
from bench.plan.units import method_of


def skip_of(method: Method, cell: Cell) -> str:
    """The reason for which the method would skip the cell; "" where none is known (leakage is found by a run).

    Translations that were made elsewhere are looked up, and their links; none are made.

    Raises:
        BadInput: a file that is there cannot be read, or [labels] is wrong.
    """
    if skip := method.applies(cell):
        return skip.reason
    data, needs, corpus = CellData(cell), needs_of_method(method), f"corpus '{cell.data.corpus}'"

    def has(what: str, find: Callable[[], Sequence[object]]) -> bool:
        made_of = [what, cell.source, cell.target, cell.seed, asdict(cell.data)]
        return bool(data.data.remembered(canonical_json(made_of), lambda: "yes" if find() else ""))

    try:
        has("test", data.test)
        if Need.TARGET_UNLABELLED in needs and not has("unlabelled", data.unlabelled):
            return f"{corpus} has no unlabelled text"
        if Need.TARGET_GOLD in needs and not has("gold", lambda: data.target_gold() or data.gold_pairs()):
            return f"{corpus} has no gold labels for training"
        if needs & LINKED and Need.ALL_TARGETS not in needs:  # such a method leaves out a target without translations
            stage = source_links(cell, data)
            if Need.LABELLED_TRANSLATION in needs and cell.labels.transfer != "align":
                TransferStage(cell, stage.translations).key()
            if reason := _lacking(stage, linked=reads_links(method, cell.labels)):
                return reason
        if Need.PARALLEL_TEXT in needs and (reason := _lacking(parallel_links(cell, data))):
            return reason
        if Need.TEST_TRANSLATION in needs and (reason := _lacking(links_of_test(cell, data))):
            return reason
    except Unavailable as error:
        return str(error)
    return ""


def foreseen(cells: Iterable[Cell]) -> tuple[Counter[str], Counter[str]]:
    """How many cells will be skipped, and how many fail in their plug-in, by reason.

    Of cells that differ in encoder or seed only one is looked at.
    """
    alike: dict[str, list[Cell]] = {}
    for cell in cells:
        alike.setdefault(canonical_json([cell.label, cell.target, cell.axes]), []).append(cell)
    skips, failures = Counter[str](), Counter[str]()
    for same in alike.values():
        try:
            reason, counted = skip_of(method_of(same[0]), same[0]), skips
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a plug-in's error is the result of its cell
            reason, counted = in_one_line(error), failures
        if reason:
            counted[reason] += len(same)
    return skips, failures


def _lacking(stage: LinkStage, linked: bool = True) -> str:
    """Why translations that were made elsewhere are missing, or the links that they should come with; else ""."""
    translations, aligner = stage.translations, stage.aligner()
    key = stage.links_key() if linked else translations.key()
    if translations.translator().marks:  # it would translate
        return ""

    def look_up() -> str:
        try:
            found = translations.looked_up()
            if linked and aligner.looks_up:
                aligner.align(found)
        except Unavailable as error:
            return str(error)
        return ""

    return translations.data.remembered(f"lacking {key}", look_up)
