"""A method's access to data while it prepares a training set or predicts: noted, and refused if undeclared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from bench.api.method import DataFile, Method, Model, Need, Round, Second, Tagger, UndeclaredNeed
from bench.api.recipes import Consumed
from bench.core.errors import Unavailable
from bench.core.sentences import Pair, Sentence, Span, tag_set
from bench.data.cell_data import CellData
from bench.data.labels import Links, LinkStage, parallel_links, source_links
from bench.data.projected import NO_COUNTS, PLAIN, carried, labelled, transferred
from bench.data.translated import TransferStage, marking, same_words
from bench.plan.keys import rng
from bench.plan.matrix import Cell
from bench.store.artefacts import Artefacts
from bench.store.record import Translation

T = TypeVar("T")


@dataclass
class Usage:
    """The data that rounds used, for the record and for the parents of their trainings."""

    sentences: dict[str, int] = field(default_factory=dict)  # numbers by kind of data
    parents: dict[str, str] = field(default_factory=dict)  # addresses of artefacts by kind
    translators: set[Translation] = field(default_factory=set)  # of training text
    test_translators: set[Translation] = field(default_factory=set)
    projection: dict[str, int] = field(default_factory=dict)  # outcomes of the entities of the training text
    test_projection: dict[str, int] = field(default_factory=dict)
    labelled: tuple[Sequence[Pair], Sequence[Pair]] | None = None  # into the cell's target, and the unlabelled pairs
    notes: dict[str, float] = field(default_factory=dict)
    consumed: dict[frozenset[str], Consumed] = field(default_factory=dict)  # by two languages, for links between them

    def links(self, stage: LinkStage, wanted: bool = True) -> None:
        """Note what the stage's translations, and if `wanted` their links, are made with."""
        languages = frozenset({stage.target, *(sentence.language for sentence in stage.sentences[:1])})
        self.consumed[languages] = stage.consumed(wanted) | self.consumed.get(languages, Consumed())

    @classmethod
    def together(cls, usages: Iterable[Usage]) -> Usage:
        """The usage of several rounds, in order: the most sentences, the last training and the first test labels."""
        total = cls()
        for usage in usages:
            for name, count in usage.sentences.items():
                total.sentences[name] = max(count, total.sentences.get(name, 0))
            total.parents |= usage.parents
            total.translators |= usage.translators
            total.test_translators |= usage.test_translators
            total.projection = usage.projection or total.projection
            total.test_projection = total.test_projection or usage.test_projection
            total.labelled = usage.labelled or total.labelled
            total.notes |= usage.notes
            for languages, consumed in usage.consumed.items():
                total.consumed[languages] = consumed | total.consumed.get(languages, Consumed())
        return total


class CellAsk:
    """`bench.api.method.Ask` for one round of one cell; `usage` notes each access."""

    def __init__(
        self,
        cell: Cell,
        round_: Round,
        needs: frozenset[Need],
        cache: Artefacts,
        model: Callable[[str], Model],
        new_tagger: Callable[[], Tagger],
        device: str = "cpu",
        files: Mapping[str, Path] | None = None,
    ) -> None:
        self.cell, self.round, self.needs, self.cache = cell, round_, needs, cache
        self.usage = Usage()
        self._data = CellData(cell)
        self._model, self._new_tagger, self._device, self._files = model, new_tagger, device, files or {}
        self._links: dict[tuple[str, bool], Links] = {}  # by target, and whether the words are linked
        self._labelled: dict[str, tuple[int, Mapping[str, int]]] = {}  # by target the number of pairs, and their counts
        self._test_counts: Mapping[str, int] = {}

    @property
    def tags(self) -> tuple[str, ...]:
        return tag_set(self._data.types)

    def _require(self, need: Need, data: str) -> None:
        if need not in self.needs:
            raise UndeclaredNeed(f"round '{self.round.name}' asked for {data}, but its needs do not list {need.name}")

    def source(self) -> list[Sentence]:
        return self._counted("source", self._data.source())

    def _counted(self, name: str, items: list[T]) -> list[T]:
        self.usage.sentences[name] = len(items)
        return items

    def targets(self) -> tuple[str, ...]:
        self._require(Need.ALL_TARGETS, "the matrix's targets")
        return tuple(sorted({self.cell.target, *self.cell.targets}))

    def _links_into(self, target: str) -> LinkStage:
        if target == self.cell.target:
            return source_links(self.cell, self._data)
        cell = replace(self.cell, target=target)
        return source_links(cell, CellData(cell))

    def _linked(self, target: str, wanted: bool = True) -> Links:
        if (target, wanted) not in self._links:
            self.source()  # translations use the labelled sentences, which are counted
            stage = self._links_into(target)
            self._links[target, wanted] = stage.links(self.cache, self._device, wanted=wanted)
            self.usage.links(stage, wanted)
        links = self._links.get((target, True)) or self._links[target, wanted]
        self.usage.translators.add(links.made_by)
        self.usage.parents[self._name("labels", target)] = links.artefact.address
        return self._links[target, wanted]

    def _name(self, stage: str, target: str) -> str:
        return stage if target == self.cell.target else f"{stage}:{target}"

    def translations(self) -> list[Pair]:
        self._require(Need.TRANSLATION, "translations")
        return self._counted("translations", list(self._linked(self.cell.target).pairs))

    def labelled_translations(self, *, plain: bool = False, target: str | None = None) -> list[Pair]:
        self._require(Need.PLAIN_TRANSLATION if plain else Need.LABELLED_TRANSLATION, "labelled translations")
        target = self.cell.target if target is None else target
        if target != self.cell.target and target not in self.targets():
            raise UndeclaredNeed(f"round '{self.round.name}' asked for '{target}', which is not a target of the matrix")
        rules = PLAIN if plain else self.cell.labels
        if rules.transfer == "align":
            links = self._linked(target)
            pairs, counts = labelled(links.pairs, rules.matcher, rules.filters)
            refusing = f"the filters ({', '.join(rules.filters)}) leave"
        else:
            stage = TransferStage(self.cell, self._links_into(target).translations)
            made = stage.artefact(self.cache, self._device)
            self.usage.parents[self._name("transfer", target)] = made.address
            links = self._linked(target, wanted=rules.fallback == "align")
            pairs, counts = transferred(links.pairs, stage.read(made), rules)
            counts.update(made.details["counts"])
            refusing = f"transfer '{rules.transfer}' and the filters ({', '.join(rules.filters)}) leave"
        self._labelled[target] = (len(pairs), {**links.counts, **counts})
        total = Counter[str]()
        for _, of_target in self._labelled.values():
            total.update(of_target)  # unlike +, it keeps counts of 0
        self.usage.projection = dict(total)
        if links.pairs and not pairs:
            raise Unavailable(f"{refusing} none of {len(links.pairs)} translations in '{target}'")
        self.usage.sentences["translations"] = sum(number for number, _ in self._labelled.values())
        if target == self.cell.target:
            self.usage.labelled = pairs, links.pairs
        return pairs

    def second_translations(self) -> list[Second | None]:
        self._require(Need.SECOND_TRANSLATION, "second translations")
        links = self._linked(self.cell.target)
        stage = TransferStage(marking(self.cell), self._links_into(self.cell.target).translations)
        made = stage.artefact(self.cache, self._device)
        self.usage.parents["second-translations"] = made.address
        marked = stage.read(made)
        seconds: list[Second | None] = []
        for pair in links.pairs:
            translation = marked[pair.source.id] if pair.source.spans else None
            matched = () if translation is None else same_words(translation.words, pair.target.words)
            seconds.append(None if translation is None else Second(translation.words, translation.ranges, matched))
        self.note("second_translations", sum(translation is not None for translation in seconds))
        return seconds

    def unlabelled(self) -> list[Sentence]:
        self._require(Need.TARGET_UNLABELLED, "unlabelled target text")
        return self._counted("unlabelled", self._some(self._data.unlabelled(), "unlabelled text"))

    def parallel_text(self) -> list[Pair]:
        self._require(Need.PARALLEL_TEXT, "parallel text")
        stage = parallel_links(self.cell, self._data)
        links = stage.links(self.cache, self._device)
        self.usage.links(stage)
        self.usage.parents["parallel"] = links.artefact.address
        return self._counted("parallel", list(links.pairs))

    def gold_translations(self) -> list[Pair]:
        self._require(Need.TARGET_GOLD, "gold-labelled translations")
        self.source()
        return self._counted("gold_translations", self._some(self._data.gold_pairs(), "gold-labelled translations"))

    def target_gold(self) -> list[Sentence]:
        self._require(Need.TARGET_GOLD, "gold target labels")
        return self._counted("target_gold", self._some(self._data.target_gold(), "gold-labelled training sentences"))

    def _some(self, items: list[T], data: str) -> list[T]:
        if not items:
            raise Unavailable(f"corpus '{self.cell.data.corpus}' has no {data} in '{self.cell.target}'")
        return items

    def test_translations(self, sentences: Sequence[Sentence]) -> list[Pair]:
        self._require(Need.TEST_TRANSLATION, "test-time translation")
        stage = LinkStage(self.cell, self._data.data, sentences, self.cell.source)
        links = stage.links(self.cache, self._device)
        if sentences and not links.pairs:
            where = f"from '{self.cell.target}' into '{self.cell.source}'"
            raise Unavailable(f"translator '{self.cell.labels.translator}' has no translation {where} of the test")
        self.usage.links(stage)
        self.usage.parents["test-translations"] = links.artefact.address
        self.usage.test_translators.add(links.made_by)
        self._test_counts = links.counts
        turned = [Pair(p.target, p.source, tuple(sorted((t, s) for s, t in p.links or ()))) for p in links.pairs]
        return self._counted("test_translations", turned)

    def project(self, pairs: Sequence[Pair]) -> list[tuple[Span | None, ...]]:
        if Need.PARALLEL_TEXT not in self.needs:
            self._require(Need.TEST_TRANSLATION, "the projection of test-time labels")
        projected, counts = carried(pairs, self.cell.labels.matcher)
        if Need.TEST_TRANSLATION not in self.needs:
            self.usage.projection = dict(counts)
            return projected
        known = {**self._test_counts, **counts}
        self.usage.test_projection = {f"test_{name}": count for name, count in known.items()}
        return projected

    def file(self, name: DataFile) -> Path:
        if name not in self._files:
            asked = f"round '{self.round.name}' asked for the file '{name}'"
            raise UndeclaredNeed(f"{asked}: no DataFile parameter names it")
        return self._files[name]

    def model(self, round_name: str) -> Model:
        if round_name not in self.round.teachers:
            asked = f"round '{self.round.name}' asked for round '{round_name}'"
            raise UndeclaredNeed(f"{asked}, which is not one of its teachers")
        return self._model(round_name)

    def count_labels(self, counts: Mapping[str, int]) -> None:
        self.usage.projection = {**self._linked(self.cell.target).counts, **NO_COUNTS, **counts}

    def note(self, name: str, value: float) -> None:
        self.usage.notes[name] = value

    def rng(self, name: str) -> np.random.Generator:
        return rng(self.cell.seed, "method", self.round.name, name)

    def new_tagger(self) -> Tagger:
        return self._new_tagger()


def needs_of(method: Method, round_: Round) -> frozenset[Need]:
    """The needs of a round: its own, else all of the method's; never translations of the test."""
    return (method.needs if round_.needs is None else round_.needs) - {Need.TEST_TRANSLATION}
