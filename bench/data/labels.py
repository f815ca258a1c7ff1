"""Linked translations: artefacts, the same for every method: translate → (embed) → align."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.api.recipes import Aligner, Consumed, Embedder, Progress
from bench.core.errors import BadInput, Unavailable
from bench.core.files import canonical_json
from bench.core.sentences import Pair, Sentence, digest
from bench.data.cell_data import CellData, CorpusData
from bench.data.encoders import EncoderSource, find_encoder
from bench.data.translated import TranslateStage
from bench.plan import registry
from bench.plan.fingerprint import code_of
from bench.plan.keys import key_of, versions
from bench.plan.matrix import Cell
from bench.plan.stages import VERSIONS
from bench.store.artefacts import Artefact, Artefacts
from bench.store.record import Translation

LINKS = "links.jsonl"


def silent(done: int, total: int, label: str) -> None:
    """A `Progress` that shows nothing."""


@dataclass(frozen=True)
class Links:
    """Linked pairs of the cell's source subset, in its order, and their origin."""

    pairs: tuple[Pair, ...]
    provenance: str
    made_by: Translation
    counts: Mapping[str, int]
    artefact: Artefact


class LinkStage:
    """Translating sentences of one language into another and linking the words: two artefacts.

    An aligner that embeds adds a third, the vectors of the source side, which serve every target language. Sentences
    are sorted by id, so that seeds whose subsets are the same set share all of these.
    """

    def __init__(
        self, cell: Cell, data: CorpusData, sentences: Sequence[Sentence], target: str, known_digest: str = ""
    ) -> None:
        self.cell, self.target = cell, target
        self.asked = list(sentences)
        self.sentences = sorted(sentences, key=lambda s: s.id)
        self.translations = TranslateStage(cell, data, self.sentences, target, known_digest)

    def links_key(self) -> str:
        """Key of the linked translations, a parent of cells that use labelled translations.

        Raises:
            BadInput: the aligner embeds, and `labels.aligner_encoder` names no available encoder.
        """
        cell, aligner = self.cell, self.aligner()
        encoder = dict[str, Any]()
        if aligner.embeds:
            source, recipe = self._encoder(), cell.aligner_recipe
            encoder = {
                "align_layer": source.align_layer(recipe),
                "key": source.key,
                "max_length": recipe.max_length,
                "stages": {"embed": VERSIONS["embed"]},
                "versions": versions(),
            }
        identity = aligner.identity(self.sentences[0].language, self.target) if self.sentences else {}
        return key_of(
            "links",
            code=code_of(type(aligner)),
            translations=self.translations.key(),
            aligner=cell.labels.aligner,
            params={**cell.aligner_params, **identity},
            encoder=encoder,
        )

    def links(self, cache: Artefacts, device: str = "cpu", progress: Progress = silent, wanted: bool = True) -> Links:
        """The linked pairs, made if need be; `device` is where an encoder runs.

        Not `wanted`: only the pairs, with the links that the translator knows, if any, and no aligner.

        Raises:
            BadInput: the translator has no such pair of languages, or the aligner cannot link its translations.
        """
        translated = self.translations.artefact(cache, device)
        pairs = self.translations.read(translated)
        artefact = translated
        if wanted:
            known = cache.get("links", self.links_key())
            artefact = known or self._make(list(pairs.values()), translated, cache, device, progress)
            lines = (artefact.folder / LINKS).read_text(encoding="utf-8").splitlines()
            for line, pair in zip(lines, list(pairs.values()), strict=True):
                pairs[pair.source.id] = replace(pair, links=tuple((s, t) for s, t in json.loads(line)))
        details = translated.details
        made_by: Translation = "human" if details["human"] else "machine"
        ordered = tuple(pairs[s.id] for s in self.asked if s.id in pairs)
        return Links(ordered, details["provenance"], made_by, details["counts"], artefact)

    def consumed(self, linked: bool = True) -> Consumed:
        """What translating and, if `linked`, linking takes beside the sentences."""
        if not self.sentences:
            return Consumed()
        languages = self.sentences[0].language, self.target
        translating = self.translations.translator().consumed(*languages)
        return translating | self.aligner().consumed(*languages) if linked else translating

    def aligner(self, embedder: Embedder | None = None) -> Aligner:
        """The cell's aligner."""
        name = self.cell.labels.aligner
        made: Aligner = registry.make("aligner", name, self.cell.aligner_params, embedder=embedder)
        return made

    def _encoder(self) -> EncoderSource:
        name = self.cell.labels.aligner_encoder
        if not name:
            known = ", ".join(registry.names("encoder"))
            raise BadInput(
                f"labels.aligner_encoder: the aligner '{self.cell.labels.aligner}' embeds sentences: name an encoder, "
                f"a folder, a hub id or one of our own ({known})"
            )
        try:
            return find_encoder(name, self.cell.aligner_recipe)
        except BadInput as error:
            raise BadInput(f"labels.aligner_encoder: {error}") from error

    def _make(
        self, pairs: list[Pair], translated: Artefact, cache: Artefacts, device: str, progress: Progress
    ) -> Artefact:
        """Link the pairs. Costly artefacts that cells share are made first, as parents."""
        aligner = self.aligner()
        parents: list[str] = [translated.address]
        details: dict[str, Any] = {}
        if aligner.embeds:
            from bench.data.embed import counting, embedder_of

            source = self._encoder()
            embedder, made = embedder_of(source, self.cell.aligner_recipe, cache, device, progress)
            layer = aligner.layer(embedder)
            parents += [made.address] if made else []
            # in the other direction, test-time translation, every language has its own source: nothing to share
            if self.sentences and self.sentences[0].language == self.cell.source:
                kept = embedder.keep(cache, [s.words for s in self.sentences], layer, (source.key, made))
                parents.append(kept.artefact.address)
            embedder.tick = counting(progress, 2 * len(pairs), "aligning")
            details = {"encoder": source.label, "layer": layer, "layers": embedder.layers}
            details["max_length"] = embedder.max_length
            aligner = self.aligner(embedder)

        def build(folder: Path) -> dict[str, Any]:
            links = aligner.align(pairs)
            (folder / LINKS).write_text("".join(f"{canonical_json(line)}\n" for line in links), encoding="utf-8")
            return {"pairs": len(pairs), **details}

        return cache.get_or_make("links", self.links_key(), build, parents=tuple(parents))


def source_links(cell: Cell, data: CellData) -> LinkStage:
    """The stage that links the cell's source subset with its translations."""
    return LinkStage(cell, data.data, data.source(), cell.target, data.source_digest())


def parallel_links(cell: Cell, data: CellData) -> LinkStage:
    """The stage that links the unlabelled human parallel text; Unavailable if there is none."""
    pairs = data.data.parallel(cell.source, cell.target)
    if not pairs:
        where = f"from '{cell.source}' into '{cell.target}'"
        raise Unavailable(f"corpus '{cell.data.corpus}' has no unlabelled parallel text {where}")
    looked_up = replace(cell, labels=replace(cell.labels, translator="files"), translator_params={})
    known = data.data.parallel_digest(cell.source, cell.target)
    return LinkStage(looked_up, data.data, [pair.source for pair in pairs], cell.target, known)


def links_of_test(cell: Cell, data: CellData) -> LinkStage:
    """The stage that links the target's test sentences, without their labels, with translations into the source."""
    corpus, name = data.data, f"bare test {cell.target}"
    bare = corpus.once(name, lambda: [replace(s, spans=None) for s in corpus.read(cell.target, "test")])
    known = corpus.once(f"{name} digest", lambda: digest(sorted(bare, key=lambda s: s.id)))
    return LinkStage(cell, corpus, bare, cell.source, known)
