"""What a method may reach while it prepares a training set; each access is noted, undeclared ones raise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from bench.corpus import Pair, Sentence, Span, Unavailable, tag_set
from bench.method import Method, Model, Need, Round, Tagger, UndeclaredNeed
from bench.plan.keys import rng
from bench.plan.matrix import Cell
from bench.runner.data import CellData
from bench.runner.labels import Links, LinkStage, source_links
from bench.runner.projected import NO_COUNTS, PLAIN, carried, labelled, transferred
from bench.runner.transferred import TransferStage
from bench.store.artefacts import Artefacts

T = TypeVar("T")


class CellAsk:
    """`bench.method.Ask` for one round of one cell."""

    def __init__(
        self,
        cell: Cell,
        round_: Round,
        needs: frozenset[Need],
        cache: Artefacts,
        model: Callable[[str], Model],
        new_tagger: Callable[[], Tagger],
        device: str = "cpu",
    ) -> None:
        self.cell, self.round, self.needs, self.cache = cell, round_, needs, cache
        self._data = CellData(cell)
        self._model, self._new_tagger, self._device = model, new_tagger, device
        self.links: Links | None = None  # the translations in use, linked or (under False of _found) not
        self._found: dict[bool, Links] = {}
        self.used: dict[str, int] = {}  # what was asked for → how many sentences
        self.test_links: Links | None = None
        self.projection: dict[str, int] = {}
        self.test_projection: dict[str, int] = {}
        self.parents: dict[str, str] = {}
        self.notes: dict[str, float] = {}

    @property
    def tags(self) -> tuple[str, ...]:
        return tag_set(self._data.types)

    def _require(self, need: Need, what: str) -> None:
        if need not in self.needs:
            raise UndeclaredNeed(f"round '{self.round.name}' asked for {what}, but its needs do not list {need.name}")

    def source(self) -> list[Sentence]:
        return self._counted("source", self._data.source())

    def _counted(self, name: str, found: list[T]) -> list[T]:
        self.used[name] = len(found)
        return found

    def _linked(self, wanted: bool = True) -> Links:
        if wanted not in self._found:
            self.source()  # the translations of labelled sentences use them: counted
            stage = source_links(self.cell, self._data)
            self._found[wanted] = stage.links(self.cache, self._device, wanted=wanted)
        self.links = self._found.get(True) or self._found[wanted]
        self.parents["labels"] = self.links.artefact.address
        return self._found[wanted]

    def translations(self) -> list[Pair]:
        self._require(Need.TRANSLATION, "translations")
        return self._counted("translations", list(self._linked().pairs))

    def labelled_translations(self, *, plain: bool = False) -> list[Pair]:
        self._require(Need.PLAIN_TRANSLATION if plain else Need.LABELLED_TRANSLATION, "labelled translations")
        rules = PLAIN if plain else self.cell.labels
        if rules.transfer == "align":
            links = self._linked()
            pairs, counts = labelled(links.pairs, rules.matcher, rules.filters)
            refusing = f"the filters ({', '.join(rules.filters)}) leave"
        else:
            stage = TransferStage(self.cell, source_links(self.cell, self._data).translations)
            made = stage.artefact(self.cache, self._device)
            self.parents["transfer"] = made.address
            links = self._linked(wanted=rules.fallback == "align")
            pairs, counts = transferred(links.pairs, stage.read(made), rules)
            counts.update(made.details["counts"])
            refusing = f"transfer '{rules.transfer}' and the filters ({', '.join(rules.filters)}) leave"
        self.projection = {**links.counts, **counts}
        if links.pairs and not pairs:
            raise Unavailable(f"{refusing} none of {len(links.pairs)} translations in '{self.cell.target}'")
        return self._counted("translations", pairs)

    def unlabelled(self) -> list[Sentence]:
        self._require(Need.TARGET_UNLABELLED, "unlabelled target text")
        return self._counted("unlabelled", self._some(self._data.unlabelled(), "unlabelled text"))

    def gold_translations(self) -> list[Pair]:
        self._require(Need.TARGET_GOLD, "gold-labelled translations")
        self.source()
        return self._counted("gold_translations", self._some(self._data.gold_pairs(), "gold-labelled translations"))

    def target_gold(self) -> list[Sentence]:
        self._require(Need.TARGET_GOLD, "gold target labels")
        return self._counted("target_gold", self._some(self._data.target_gold(), "gold-labelled training sentences"))

    def _some(self, found: list[T], what: str) -> list[T]:
        if not found:
            raise Unavailable(f"corpus '{self.cell.data.corpus}' has no {what} in '{self.cell.target}'")
        return found

    def test_translations(self, sentences: Sequence[Sentence]) -> list[Pair]:
        self._require(Need.TEST_TRANSLATION, "test-time translation")
        stage = LinkStage(self.cell, self._data.data, sentences, self.cell.source)
        links = stage.links(self.cache, self._device)
        if sentences and not links.pairs:
            where = f"from '{self.cell.target}' into '{self.cell.source}'"
            raise Unavailable(f"translator '{self.cell.labels.translator}' has no translation {where} of the test")
        self.parents["test-translations"], self.test_links = links.artefact.address, links
        found = [Pair(p.target, p.source, tuple(sorted((t, s) for s, t in p.links or ()))) for p in links.pairs]
        return self._counted("test_translations", found)

    def project(self, pairs: Sequence[Pair]) -> list[tuple[Span | None, ...]]:
        self._require(Need.TEST_TRANSLATION, "the projection of test-time labels")
        found, counts = carried(pairs, self.cell.labels.matcher)
        known = {**(self.test_links.counts if self.test_links else {}), **counts}
        self.test_projection = {f"test_{name}": count for name, count in known.items()}
        return found

    def model(self, round_name: str) -> Model:
        if round_name not in self.round.teachers:
            raise UndeclaredNeed(f"round '{self.round.name}' asked for round '{round_name}', which is no teacher of it")
        return self._model(round_name)

    def count_labels(self, counts: Mapping[str, int]) -> None:
        self.projection = {**self._linked().counts, **NO_COUNTS, **counts}

    def note(self, name: str, value: float) -> None:
        self.notes[name] = value

    def rng(self, name: str) -> np.random.Generator:
        return rng(self.cell.seed, "method", self.round.name, name)

    def new_tagger(self) -> Tagger:
        return self._new_tagger()


def needs_of(method: Method, round_: Round) -> frozenset[Need]:
    """What a round may ask for: its own needs, else all of the method's; translations of the test never."""
    return (method.needs if round_.needs is None else round_.needs) - {Need.TEST_TRANSLATION}
