"""A cell's content key, from everything that its numbers depend on. No torch, so plans are fast."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import bench
from bench.api.method import LINKED, Method, Need
from bench.core.errors import BadInput, Unavailable
from bench.core.files import canonical_json, sha256_of, sha256_of_unchanged
from bench.core.sentences import digest
from bench.data.cell_data import CellData
from bench.data.encoders import EncoderSource, find_encoder
from bench.data.labels import links_of_test, parallel_links, source_links
from bench.data.projected import PLAIN, rules_key
from bench.data.translated import TransferStage, marking
from bench.plan import registry
from bench.plan.fingerprint import code_of, stage_fingerprints
from bench.plan.keys import key_of, versions
from bench.plan.matrix import Cell, every_target, needs_of_method, reads_links
from bench.plan.schema import to_plain
from bench.plan.stages import VERSIONS
from bench.plan.units import Planned, describe, method_of, trains, workers_of

NO_ENCODER = EncoderSource("none", "")  # of a method that trains nothing


def keyed(cells: Sequence[Cell]) -> list[Planned]:
    """Each cell with its key, in the same order. Raises BadInput if data or an encoder is missing."""
    collects = gc.isenabled()
    gc.disable()  # corpora and syntax trees are many small objects and no garbage: collecting costs a fifth of the time
    try:
        return [Planned(cell, cell_key(cell)) for cell in cells]
    finally:
        if collects:
            gc.enable()


def encoder_of(cell: Cell) -> EncoderSource:
    """The cell's encoder, NO_ENCODER if nothing is trained."""
    return find_encoder(cell.encoder, cell.recipe) if trains(cell) else NO_ENCODER


def methods_code(cell: Cell) -> dict[str, str]:
    """By name the code (version or fingerprint) of the cell's method and of those whose trainings it uses."""
    named = {round_.method for round_ in method_of(cell).rounds() if isinstance(round_.method, str)}
    return {name: code_of(registry.load("method", name)) for name in sorted({cell.method, *named})}


def code_that_ran(cell: Cell) -> str:
    """Provenance, in no key: 32 hex digits over the core's stages and the method's code."""
    return sha256_of(canonical_json([_core(), methods_code(cell)]))[:32]


@lru_cache(maxsize=1)
def _core() -> dict[str, str]:
    return stage_fingerprints(Path(bench.__file__).parents[1])


def cell_key(cell: Cell) -> str:
    """Key of a cell's record: the parameters that it uses, hashes of its data, its parents' keys, versions, code.

    `xner why` prints the names of its components.

    Raises:
        BadInput: data or the encoder is missing: the matrix cannot be planned.
    """
    encoder = encoder_of(cell)
    if cell.broken:  # once the method works again, the key is another, and the cell runs
        return key_of("broken", **describe(cell) | {"encoder": encoder.key})
    method, data = method_of(cell), CellData(cell)
    needs, of_data = needs_of_method(method), _data_key(method, data)
    if Need.ALL_TARGETS in needs:
        every = [(other.target, CellData(other)) for other in every_target(cell)]
        labels: dict[str, Any] = {name: _labels_key(method, needs, other) for name, other in every}
        # no training may hold one of their sentences
        of_data["tests"] = {name: data.data.split_digest(name, "test") for name, _ in every}
    else:
        labels = _labels_key(method, needs, data)
    if Need.PARALLEL_TEXT in needs:
        of_data["parallel text"] = data.data.parallel_digest(cell.source, cell.target)
        links = _key_or_none(lambda: parallel_links(cell, data).links_key())
        labels["of parallel text"] = {"links": links} | rules_key(replace(cell.labels, filters=()))
    if Need.TEST_TRANSLATION in needs:
        links = _key_or_none(lambda: links_of_test(cell, data).links_key())
        labels["of the test"] = {"links": links} | rules_key(replace(cell.labels, filters=()))
    stages = ["corpus", "predict", "score", *(["fit"] if trains(cell) else []), *(["project"] if labels else [])]
    files = file_hashes(workers_of(method))
    if files:
        of_data["files of the method"] = sorted(files.values())
    return key_of(
        "cell",
        label=cell.label,
        **{f"method.{cell.method}": hashed(cell.params, files)},
        data=of_data,
        labels=labels,
        train=to_plain(cell.train),
        recipe=to_plain(cell.recipe) | {"revision": ""},  # the encoder's key holds the commit
        encoder=encoder.key,
        seed=cell.seed,
        trial=cell.trial,
        axes=cell.axes,
        code=methods_code(cell),
        stages={stage: VERSIONS[stage] for stage in stages},
        versions=versions(),
    )


def file_hashes(methods: Iterable[Method]) -> dict[str, str]:
    """By name sha256 of the data files of methods. Raises BadInput if a file is missing."""
    files = {name: path for method in methods for name, path in method.files().items()}
    return {name: sha256_of_unchanged(path) for name, path in files.items()}


def hashed(params: Mapping[str, Any], hashes: Mapping[str, str]) -> dict[str, Any]:
    """Parameters with hashes in place of names of files, so that no path is part of a key."""
    return {name: hashes.get(value, value) if isinstance(value, str) else value for name, value in params.items()}


def _data_key(method: Method, data: CellData) -> dict[str, Any]:
    """The part of a cell's key that its own sentences make; BadInput if a rule has no dev set to choose on."""
    cell, corpus, needs = data.cell, data.data, needs_of_method(method)
    target = cell.target
    if trains(cell) and "source-dev" in cell.train.rules and corpus.split_digest(cell.source, "dev") == digest(()):
        where = f"corpus '{cell.data.corpus}' has none in '{cell.source}'"
        raise BadInput(
            f"train.rules: 'source-dev' chooses on dev sentences, and {where}: rules = [\"last\"] needs none"
        )
    of_data: dict[str, Any] = {
        "overlap": cell.data.overlap,
        "n_source": cell.data.n_source,
        "n_dev": cell.data.n_dev,
        "source sentences": data.source_digest(),
        "source dev": corpus.split_digest(cell.source, "dev"),
        "test sentences": corpus.split_digest(target, "test"),
        "entity types": list(data.types),
    }
    if "target-dev" in cell.train.rules:
        of_data["target dev"] = corpus.split_digest(target, "dev")
    if Need.TARGET_UNLABELLED in needs:
        of_data["unlabelled text"] = corpus.split_digest(target, "unlabelled")
        of_data["n_unlabelled"] = cell.data.n_unlabelled
    if Need.TARGET_GOLD in needs:
        of_data["gold-labelled target sentences"] = corpus.split_digest(target, "train")
        of_data["gold-labelled translations"] = corpus.pairs_digest(cell.source, target)
    return of_data


def _labels_key(method: Method, needs: frozenset[Need], data: CellData) -> dict[str, Any]:
    """The part of a cell's key that the labelled translations into one target make."""
    cell, parts = data.cell, dict[str, Any]()
    if needs & LINKED:
        stage = source_links(cell, data)
        parts["links"] = _key_or_none(stage.links_key if reads_links(method, cell.labels) else stage.translations.key)
    if Need.SECOND_TRANSLATION in needs:
        second = TransferStage(marking(cell), source_links(cell, data).translations)
        parts["second translations"] = _key_or_none(second.key)
    if Need.LABELLED_TRANSLATION in needs:
        parts |= rules_key(cell.labels)
        if cell.labels.transfer != "align":
            marked = TransferStage(cell, source_links(cell, data).translations)
            parts |= {"marked translations": _key_or_none(marked.key), "fallback": cell.labels.fallback}
    elif Need.PLAIN_TRANSLATION in needs:
        parts |= rules_key(PLAIN)
    return parts


def _key_or_none(key: Callable[[], str]) -> str:
    try:
        return key()
    except Unavailable:  # the cell is skipped; when translations appear, the key changes
        return "unavailable"  # not the reason, which may name folders of this machine
