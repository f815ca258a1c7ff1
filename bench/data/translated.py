"""Translations of a subset into one language: an artefact, made once and read back as pairs."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.api.recipes import Translator
from bench.core.files import canonical_json
from bench.core.sentences import Pair, Sentence, digest
from bench.data.cell_data import CorpusData
from bench.plan import registry
from bench.plan.fingerprint import code_running
from bench.plan.keys import key_of
from bench.store.artefacts import Artefact, Artefacts

if TYPE_CHECKING:  # what it says of training must not be part of this code's fingerprint
    from bench.plan.matrix import Cell

TRANSLATIONS = "translations.jsonl"


class TranslateStage:
    """Translating sentences of one language, sorted by id, into another."""

    def __init__(
        self, cell: Cell, data: CorpusData, sentences: Sequence[Sentence], target: str, known_digest: str = ""
    ) -> None:
        self.cell, self.data, self.target = cell, data, target
        self.known_digest = known_digest
        self.sentences = sentences

    def key(self) -> str:
        cell, translator = self.cell, self.translator()
        identity = dict(translator.identity(self.sentences[0].language, self.target)) if self.sentences else {}
        return key_of(
            "translate",
            code=code_running(type(translator).__module__, "bench.data.translated"),
            translator=cell.labels.translator,
            params=dict(cell.translator_params) | identity,
            tokenisation=cell.labels.tokenisation,
            sentences=self.known_digest or digest(self.sentences),
            target=self.target,
            known=self.data.pairs_digest(self.sentences[0].language, self.target) if self.sentences else "",
        )

    def artefact(self, cache: Artefacts, device: str = "cpu") -> Artefact:
        """The translations, made if they are not there yet; `device` is where a model runs.

        Raises:
            BadInput: the translator has no such pair of languages.
        """
        return cache.get_or_make("translate", self.key(), lambda to: self._make(to, device))

    def read(self, artefact: Artefact) -> dict[str, Pair]:
        """By source id the pairs of the sentences that have a translation."""
        pairs = {}
        for line, source in zip((artefact.folder / TRANSLATIONS).open(encoding="utf-8"), self.sentences, strict=True):
            value = json.loads(line)
            if value is not None:
                target = Sentence(value["id"], self.target, tuple(value["words"]), None, value["group"] or source.group)
                links = None if value["links"] is None else tuple((s, t) for s, t in value["links"])
                pairs[source.id] = Pair(source, target, links)
        return pairs

    def translator(self) -> Translator:
        """The cell's translator, told how to tokenise."""
        name = self.cell.labels.translator
        made: Translator = registry.make("translator", name, self.cell.translator_params)
        made.tokenisation = self.cell.labels.tokenisation
        return made

    def _make(self, folder: Path, device: str) -> dict[str, Any]:
        translator = self.translator()
        translator.device = device
        out = translator.translate(self.sentences, self.target, self.data.corpus)
        lines = [
            canonical_json(None if t is None else {"group": t.group, "id": t.id, "links": links, "words": t.words})
            for t, links in zip(out.targets, out.links, strict=True)
        ]
        (folder / TRANSLATIONS).write_text("\n".join(lines) + "\n", encoding="utf-8")
        human = translator.human or re.match(r"human\b", out.provenance) is not None
        return {"counts": out.counts, "human": human, "provenance": out.provenance}
