"""Translations with marks that carry labels: an artefact, made once for all matchers, filters and fall-backs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.api.recipes import Translator
from bench.core.errors import Unavailable
from bench.core.files import canonical_json
from bench.data.transfer import Marked, MarkedTranslations, load_transfer, module_of
from bench.data.translated import TranslateStage
from bench.plan.fingerprint import code_running
from bench.plan.keys import key_of
from bench.store.artefacts import Artefact, Artefacts

if TYPE_CHECKING:  # as in bench.data.translated
    from bench.plan.matrix import Cell

MARKED = "marked.jsonl"


def marking(cell: Cell) -> Cell:
    """The cell as if its labels were carried by brackets: where its second translations come from."""
    return replace(cell, labels=replace(cell.labels, transfer="marker"))


class TransferStage:
    """Translating sentences again with their entities marked, as [labels] transfer says.

    Only sentences that have an ordinary translation, and entities: those without need no marks.
    """

    def __init__(self, cell: Cell, translations: TranslateStage) -> None:
        self.cell, self.translations = cell, translations

    def key(self) -> str:
        """Key of the marked translations.

        Raises:
            Unavailable: the translator can only look translations up.
        """
        translator, name = self._translator(), self.cell.labels.transfer
        return key_of(
            "transfer",
            code=code_running(type(translator).__module__, "bench.data.transferred", module_of(name)),
            transfer=name,
            translations=self.translations.key(),
        )

    def artefact(self, cache: Artefacts, device: str = "cpu") -> Artefact:
        """The marked translations, made if they are not there yet; `device` is where a model runs.

        Raises:
            Unavailable: the translator can only look translations up.
        """
        key = self.key()
        translated = self.translations.artefact(cache, device)
        return cache.get_or_make(
            "transfer", key, lambda to: self._make(to, translated, device), parents=(translated.address,)
        )

    def read(self, artefact: Artefact) -> Mapping[str, Marked | None]:
        """By source id the marked translations of sentences with entities; None of one that falls back."""
        found: dict[str, Marked | None] = {}
        for line in (artefact.folder / MARKED).open(encoding="utf-8"):
            id_, value = json.loads(line)
            found[id_] = value and Marked(
                tuple(value["words"]),
                tuple(None if one is None else (one[0], one[1]) for one in value["ranges"]),
                tuple(value["outcomes"]),
            )
        return found

    def _translator(self) -> Translator:
        translator, labels = self.translations.translator(), self.cell.labels
        if not translator.marks:
            raise Unavailable(
                f"transfer '{labels.transfer}' must translate each sentence again with its entities marked, which "
                f"translator '{labels.translator}' cannot: its translations were made elsewhere"
            )
        return translator

    def _make(self, folder: Path, translated: Artefact, device: str) -> dict[str, Any]:
        translator = self._translator()
        translator.device = device
        pairs = self.translations.read(translated).values()
        asked = [pair.source for pair in pairs if pair.source.spans]
        how = load_transfer(self.cell.labels.transfer)
        job = MarkedTranslations(how, translator, self.translations.target, self.translations.data.corpus)
        with (folder / MARKED).open("w", encoding="utf-8") as file:
            for sentence, one in zip(asked, job.of(asked), strict=True):
                file.write(canonical_json([sentence.id, one and vars(one)]) + "\n")
        return {"counts": dict(job.counts)}
