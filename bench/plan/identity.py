"""Who a cell is: its content key, from everything that its numbers depend on. No torch, so plans are fast."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from bench.api.method import LINKED, Method, Need, Round
from bench.api.rounds import all_rounds
from bench.core.errors import Unavailable
from bench.data.cell_data import CellData
from bench.data.encoders import EncoderSource, find_encoder
from bench.data.labels import LinkStage, links_of_test, source_links
from bench.data.projected import PLAIN, rules_key
from bench.data.transferred import TransferStage, marking
from bench.plan import registry
from bench.plan.fingerprint import code_running
from bench.plan.keys import key_of, versions
from bench.plan.matrix import Cell, every_target
from bench.plan.needs import needs_of_method, reads_links
from bench.plan.schema import to_plain


@dataclass(frozen=True)
class Planned:
    """A cell and its key."""

    cell: Cell
    key: str


RUNNER = "bench.run.cell"
TARGET_NEEDS = LINKED | {Need.TARGET_UNLABELLED, Need.TARGET_GOLD}


def method_of(cell: Cell) -> Method:
    """The cell's method with its parameters.

    Raises:
        BrokenPlugin: it cannot be used, as the plan found.
    """
    if cell.broken:
        raise registry.BrokenPlugin(cell.broken)
    made: Method = registry.make("method", cell.method, cell.params)
    return made


NO_ENCODER = EncoderSource("none", "")  # of a method that trains nothing


def encoder_of(cell: Cell) -> EncoderSource:
    """The cell's encoder, NO_ENCODER where nothing is trained."""
    trains = cell.broken or all_rounds(method_of(cell))
    return find_encoder(cell.encoder, cell.recipe) if trains else NO_ENCODER


def code_of(method: Method) -> str:
    """Fingerprint of the runner, of the method, and of every method whose training it names."""
    modules = {RUNNER, type(method).__module__}
    for round_ in all_rounds(method):
        if isinstance(round_.method, str):
            modules.add(registry.module_of("method", round_.method))
    return code_running(*sorted(modules))


def cell_key(cell: Cell) -> str:
    """Key of a cell's record: the parameters that it uses, hashes of its data, its parents' keys, versions, code.

    Raises:
        BadInput: data or the encoder is missing: the matrix cannot be planned.
    """
    if cell.broken:  # one that works again has another key, and runs
        return key_of(
            "broken", encoder=encoder_of(cell).key, **{k: v for k, v in describe(cell).items() if k != "encoder"}
        )
    method, data = method_of(cell), CellData(cell)
    needs = needs_of_method(method)
    corpus, target = data.data, cell.target
    parts: dict[str, Any] = {
        "source": [data.source_digest(), cell.data.n_source],
        "dev": [corpus.split_digest(cell.source, "dev"), cell.data.n_dev],
        "test": corpus.split_digest(target, "test"),
    }
    if "target-dev" in cell.train.rules:
        parts["target-dev"] = corpus.split_digest(target, "dev")
    if Need.TARGET_UNLABELLED in needs:
        parts["unlabelled"] = corpus.split_digest(target, "unlabelled")
        parts["n_unlabelled"] = cell.data.n_unlabelled
    if Need.TARGET_GOLD in needs:
        parts["target-gold"] = [corpus.split_digest(target, "train"), corpus.pairs_digest(cell.source, target)]
    if Need.ALL_TARGETS in needs:
        every = [(other.target, CellData(other)) for other in every_target(cell)]
        parts["labels-of"] = {name: _labels_key(method, needs, other) for name, other in every}
        parts["tests"] = {name: corpus.split_digest(name, "test") for name, _ in every}  # no training text in any
    else:
        parts |= _labels_key(method, needs, data)
    if Need.TEST_TRANSLATION in needs:
        parts["test-labels"] = _links_key(links_of_test(cell, data))
        parts["test-projection"] = rules_key(replace(cell.labels, filters=()))
    return key_of(
        "cell",
        label=cell.label,
        method=cell.method,
        params=cell.params,
        types=list(data.types),
        overlap=cell.data.overlap,
        train=to_plain(cell.train),
        recipe=to_plain(cell.recipe) | {"revision": ""},  # the encoder's key holds the commit
        encoder=encoder_of(cell).key,
        seed=cell.seed,
        trial=cell.trial,
        axes=cell.axes,
        code=code_of(method),
        versions=versions(),
        data=parts,
    )


def _labels_key(method: Method, needs: frozenset[Need], data: CellData) -> dict[str, Any]:
    """What of the labelled translations into one target is part of a cell's key."""
    cell, parts = data.cell, dict[str, Any]()
    if needs & LINKED:
        parts["labels"] = _links_key(source_links(cell, data), reads_links(method, cell.labels))
    if Need.SECOND_TRANSLATION in needs:
        parts["second"] = _transfer_key(marking(cell), data)
    if Need.LABELLED_TRANSLATION in needs:
        parts["projection"] = rules_key(cell.labels)
        if cell.labels.transfer != "align":
            parts["transfer"] = [_transfer_key(cell, data), cell.labels.fallback]
    elif Need.PLAIN_TRANSLATION in needs:
        parts["projection"] = rules_key(PLAIN)
    return parts


def _links_key(stage: LinkStage, wanted: bool = True) -> str:
    try:
        return stage.links_key() if wanted else stage.translations.key()
    except Unavailable:  # the cell will be a skip; when translations appear the key changes
        return "unavailable"  # not the reason, which may name folders of this machine


def _transfer_key(cell: Cell, data: CellData) -> str:
    try:
        return TransferStage(cell, source_links(cell, data).translations).key()
    except Unavailable:
        return "unavailable"


def shares_training(cell: Cell) -> bool:
    """Whether one training of the method serves all targets: no round reads anything of the target alone."""
    if cell.broken:
        return False
    method = method_of(cell)
    return not any(reads_target(method, round_) for round_ in all_rounds(method))


def reads_target(method: Method, round_: Round) -> bool:
    """Whether a round trains on anything of the cell's target that it does not take of every target."""
    own = registry.make("method", round_.method).needs if isinstance(round_.method, str) else method.needs
    needs = own if round_.needs is None else round_.needs
    return bool(needs & (TARGET_NEEDS - LINKED if Need.ALL_TARGETS in needs else TARGET_NEEDS))


def describe(cell: Cell) -> dict[str, Any]:
    """The cell as its record and tables name it; an encoder folder by its name, never its path."""
    return {
        "label": cell.label,
        "method": cell.method,
        "params": cell.params,
        "source": cell.source,
        "target": cell.target,
        "encoder": encoder_of(cell).label,
        "seed": cell.seed,
        "trial": cell.trial,
        "corpus": cell.data.corpus,
        "n_source": cell.data.n_source if cell.broken else CellData(cell).n_source(),  # what is used
        "axes": cell.axes,
    } | ({"intrinsic": True} if not cell.broken and method_of(cell).intrinsic else {})
