"""Labelled translations: one artefact, the same for every method (DESIGN.md §4): translate → align → project."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.corpus import Aligner, Pair, Sentence, Translator
from bench.plan import registry
from bench.plan.fingerprint import code_running
from bench.plan.keys import key_of
from bench.plan.matrix import Cell
from bench.runner.data import CellData, CorpusData, digest
from bench.store.artefacts import Artefact, Artefacts
from bench.store.files import canonical_json
from data_recipes.projection.project import load_matcher, project

TRANSLATIONS = "translations.jsonl"
LINKS = "links.jsonl"


@dataclass(frozen=True)
class Links:
    """Linked pairs of the cell's source subset, in its order, and where they came from."""

    pairs: tuple[Pair, ...]
    provenance: str
    human: bool
    counts: Mapping[str, int]
    artefact: Artefact


class LinkStage:
    """Translating sentences of one language into another and linking the words: two artefacts.

    Sentences are taken by id, so that seeds whose subsets are the same set share their translations.
    """

    def __init__(
        self, cell: Cell, data: CorpusData, sentences: Sequence[Sentence], target: str, known_digest: str = ""
    ) -> None:
        self.cell, self.data, self.target = cell, data, target
        self.known_digest = known_digest
        self.asked = list(sentences)
        self.sentences = sorted(sentences, key=lambda s: s.id)

    def translate_key(self) -> str:
        cell, translator = self.cell, self._translator()
        return key_of(
            "translate",
            code=code_running(type(translator).__module__, "bench.runner.labels"),
            translator=cell.labels.translator,
            params=cell.translator_params,
            tokenisation=cell.labels.tokenisation,
            sentences=self.known_digest or digest(self.sentences),
            target=self.target,
            known=self.data.pairs_digest(self.sentences[0].language, self.target) if self.sentences else "",
        )

    def links_key(self) -> str:
        """Key of the linked translations: what a cell that uses labelled translations has as a parent."""
        cell, aligner = self.cell, self._aligner()
        return key_of(
            "links",
            code=code_running(type(aligner).__module__, "bench.runner.labels"),
            translations=self.translate_key(),
            aligner=cell.labels.aligner,
            params=cell.aligner_params,
            encoder=cell.labels.aligner_encoder,
        )

    def _translator(self) -> Translator:
        name = self.cell.labels.translator
        made: Translator = registry.make("translator", name, self.cell.translator_params)
        return made

    def _aligner(self) -> Aligner:
        name = self.cell.labels.aligner
        made: Aligner = registry.make("aligner", name, self.cell.aligner_params)
        return made

    def links(self, cache: Artefacts) -> Links:
        """The linked pairs, made if they are not there yet.

        Raises:
            BadInput: the translator has no such pair, or the aligner cannot link what it gave.
        """
        translated = cache.get_or_make("translate", self.translate_key(), self._translate)
        pairs = self._read(translated)
        artefact = cache.get_or_make(
            "links", self.links_key(), lambda to: self._align(list(pairs.values()), to), parents=(translated.address,)
        )
        lines = (artefact.folder / LINKS).read_text(encoding="utf-8").splitlines()
        for line, pair in zip(lines, list(pairs.values()), strict=True):
            pairs[pair.source.id] = replace(pair, links=tuple((s, t) for s, t in json.loads(line)))
        details = translated.details
        ordered = tuple(pairs[s.id] for s in self.asked if s.id in pairs)
        return Links(ordered, details["provenance"], details["human"], details["counts"], artefact)

    def _translate(self, folder: Path) -> dict[str, Any]:
        translator = self._translator()
        out = translator.translate(self.sentences, self.target, self.data.corpus)
        lines = [
            canonical_json(None if t is None else {"group": t.group, "id": t.id, "links": links, "words": t.words})
            for t, links in zip(out.targets, out.links, strict=True)
        ]
        (folder / TRANSLATIONS).write_text("\n".join(lines) + "\n", encoding="utf-8")
        human = translator.human or (
            self.cell.labels.translator == "files" and self.data.corpus.facts.human_translations
        )
        return {"counts": out.counts, "human": human, "provenance": out.provenance}

    def _read(self, artefact: Artefact) -> dict[str, Pair]:
        pairs = {}
        for line, source in zip((artefact.folder / TRANSLATIONS).open(encoding="utf-8"), self.sentences, strict=True):
            value = json.loads(line)
            if value is not None:
                target = Sentence(value["id"], self.target, tuple(value["words"]), None, value["group"] or source.group)
                links = None if value["links"] is None else tuple((s, t) for s, t in value["links"])
                pairs[source.id] = Pair(source, target, links)
        return pairs

    def _align(self, pairs: list[Pair], folder: Path) -> dict[str, Any]:
        links = self._aligner().align(pairs)
        (folder / LINKS).write_text("\n".join(canonical_json(one) for one in links) + "\n", encoding="utf-8")
        return {"pairs": len(pairs)}


def source_links(cell: Cell, data: CellData) -> LinkStage:
    """The stage that links the cell's source subset with its translations."""
    return LinkStage(cell, data.data, data.source(), cell.target, data.source_digest())


def labelled(pairs: tuple[Pair, ...], matcher: str) -> tuple[list[Pair], Counter[str]]:
    """The pairs with projected target labels, every sentence kept, and what became of the source entities."""
    rule = load_matcher(matcher)
    counts: Counter[str] = Counter({"entities": 0, "projected": 0, "unaligned": 0, "conflicting": 0})
    out = []
    for pair in pairs:
        entities = pair.source.spans or ()
        done = project(entities, pair.links or (), len(pair.target.words), rule)
        counts.update(done.outcomes)
        counts["entities"] += len(entities)
        out.append(replace(pair, target=replace(pair.target, spans=done.spans)))
    return out, counts
