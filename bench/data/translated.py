"""Artefacts of translation: plain translations of a subset into one language, and marked ones.

To carry labels by marks, sentences are translated again with their entities marked, and the marks are read back. Both
are made once, for all methods, matchers, filters and fall-backs.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from bench.api.projection import Marked, Transfer, Words, bracketed, has_bracket, unbracketed
from bench.api.recipes import Corpus, Translated, Translator
from bench.core.errors import Unavailable
from bench.core.files import canonical_json
from bench.core.sentences import Link, Pair, Sentence, Span, digest
from bench.data.cell_data import CorpusData
from bench.plan import registry
from bench.plan.fingerprint import code_of
from bench.plan.keys import key_of
from bench.plan.matrix import Cell
from bench.store.artefacts import Artefact, Artefacts

TRANSLATIONS = "translations.jsonl"


class TranslateStage:
    """Translating sentences of one language, sorted by id, into another."""

    def __init__(
        self, cell: Cell, data: CorpusData, sentences: Sequence[Sentence], target: str, known_digest: str = ""
    ) -> None:
        self.cell, self.data, self.target = cell, data, target
        self.known_digest, self.sentences = known_digest, sentences

    def key(self) -> str:
        cell, translator = self.cell, self.translator()
        identity = dict(translator.identity(self.sentences[0].language, self.target)) if self.sentences else {}
        return key_of(
            "translate",
            code=code_of(type(translator)),
            translator=cell.labels.translator,
            params=dict(cell.translator_params) | identity,
            tokenisation=cell.labels.tokenisation,
            sentences=self.known_digest or digest(self.sentences),
            target=self.target,
            known=self.data.pairs_digest(self.sentences[0].language, self.target) if self.sentences else "",
        )

    def artefact(self, cache: Artefacts, device: str = "cpu") -> Artefact:
        """The translations, made if need be; `device` is where a model runs.

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

    def translator(self, device: str = "auto") -> Translator:
        """The cell's translator."""
        labels, params = self.cell.labels, self.cell.translator_params
        made: Translator = registry.make(
            "translator", labels.translator, params, tokenisation=labels.tokenisation, device=device
        )
        return made

    def looked_up(self) -> list[Pair]:
        """The pairs of a translator that only looks translations up; Unavailable where it has none."""
        out = self.translator().translate(self.sentences, self.target, self.data.corpus)
        rows = zip(self.sentences, out.targets, out.links, strict=True)
        return [Pair(source, target, links) for source, target, links in rows if target is not None]

    def _make(self, folder: Path, device: str) -> dict[str, Any]:
        translator = self.translator(device)
        out = translator.translate(self.sentences, self.target, self.data.corpus)
        lines = [
            canonical_json(None if t is None else {"group": t.group, "id": t.id, "links": links, "words": t.words})
            for t, links in zip(out.targets, out.links, strict=True)
        ]
        (folder / TRANSLATIONS).write_text("\n".join(lines) + "\n", encoding="utf-8")
        human = translator.human or re.match(r"human\b", out.provenance) is not None
        return {"counts": out.counts, "human": human, "provenance": out.provenance}


MARKED = "marked.jsonl"
CAUSES = ("marks_clash", "marks_untranslated", "marks_unreadable", "marks_nameless")  # of falling back
NAMES = ("names_in_context", "names_alone", "names_missing")
_STOPS = frozenset(".。")


def marking(cell: Cell) -> Cell:
    """The cell as if its labels were carried by brackets, which give its second translations."""
    return replace(cell, labels=replace(cell.labels, transfer="marker"))


class TransferStage:
    """Translating sentences again with their entities marked, as [labels] transfer says.

    Only sentences with an ordinary translation and with entities: the others need no marks.
    """

    def __init__(self, cell: Cell, translations: TranslateStage) -> None:
        self.cell, self.translations = cell, translations

    def key(self) -> str:
        """Key of the marked translations. Raises Unavailable if the translator can only look translations up."""
        translator, name = self._translator(), self.cell.labels.transfer
        return key_of(
            "transfer",
            code={"translator": code_of(type(translator)), "transfer": code_of(registry.load("transfer", name))},
            transfer=name,
            translations=self.translations.key(),
        )

    def artefact(self, cache: Artefacts, device: str = "cpu") -> Artefact:
        """The marked translations, made if need be; `device` is where a model runs.

        Raises:
            Unavailable: the translator can only look translations up.
        """
        key = self.key()
        translated = self.translations.artefact(cache, device)
        return cache.get_or_make(
            "transfer", key, lambda to: self._make(to, translated, device), parents=(translated.address,)
        )

    def read(self, artefact: Artefact) -> Mapping[str, Marked | None]:
        """By source id the marked translations of sentences with entities; None for one that falls back."""
        marked: dict[str, Marked | None] = {}
        for line in (artefact.folder / MARKED).open(encoding="utf-8"):
            id_, value = json.loads(line)
            marked[id_] = value and Marked(
                tuple(value["words"]),
                tuple(None if range_ is None else (range_[0], range_[1]) for range_ in value["ranges"]),
                tuple(value["outcomes"]),
            )
        return marked

    def _translator(self, device: str = "auto") -> Translator:
        translator, labels = self.translations.translator(device), self.cell.labels
        if not translator.marks:
            raise Unavailable(
                f"transfer '{labels.transfer}' must translate each sentence again with its entities marked, which "
                f"translator '{labels.translator}' cannot: its translations were made elsewhere"
            )
        return translator

    def _make(self, folder: Path, translated: Artefact, device: str) -> dict[str, Any]:
        translator = self._translator(device)
        pairs = self.translations.read(translated).values()
        asked = [pair.source for pair in pairs if pair.source.spans]
        how: Transfer = registry.load("transfer", self.cell.labels.transfer)
        job = MarkedTranslations(how, translator, self.translations.target, self.translations.data.corpus)
        with (folder / MARKED).open("w", encoding="utf-8") as file:
            for sentence, marked in zip(asked, job.of(asked), strict=True):
                file.write(canonical_json([sentence.id, marked and vars(marked)]) + "\n")
        return {"counts": dict(job.counts)}


def same_words(words: Words, others: Words) -> tuple[Link, ...]:
    """Links between two texts of one language: the words of their longest common runs, found greedily (difflib)."""
    blocks = SequenceMatcher(None, words, others, autojunk=False).get_matching_blocks()
    return tuple((block.a + i, block.b + i) for block in blocks for i in range(block.size))


class MarkedTranslations:
    """Translates sentences of one language with marks, and their entities; every loss is counted."""

    def __init__(self, how: Transfer, translator: Translator, target: str, corpus: Corpus) -> None:
        self.how, self.translator, self.target, self.corpus = how, translator, target, corpus
        self.counts: Counter[str] = Counter(dict.fromkeys(("marked", "marked_read", *CAUSES, *NAMES, *how.COUNTS), 0))

    def of(self, sentences: Sequence[Sentence]) -> list[Marked | None]:
        """For each sentence its marked translation, None if it has no readable one and falls back.

        Counts: sentences `marked` = `marked_read` + those that fall back by cause (`marks_…`: the sentence holds such
        marks itself, no translation, marks lost or damaged, an entity without a translation); marks lost or damaged
        under names of their own; entities in readable translations by how they were translated (`names_…`).
        """
        asked = [self.how.mark(sentence) for sentence in sentences]
        self.counts["marked"] += len(asked)
        self.counts["marks_clash"] += asked.count(None)
        drafts = self._translated([marked and replace(marked, id=f"{marked.id}#marked") for marked in asked])
        self.counts["marks_untranslated"] += drafts.count(None) - asked.count(None)
        readable = []
        for sentence, draft in zip(sentences, drafts, strict=True):
            losses = Counter[str]() if draft is None else self.how.losses(sentence.spans or (), draft)
            self.counts.update(losses)
            self.counts["marks_unreadable"] += bool(losses)
            readable.append(draft is not None and not losses)
        names = iter(self._names([s for s, able in zip(sentences, readable, strict=True) if able]))
        marked: list[Marked | None] = []
        for sentence, draft, able in zip(sentences, drafts, readable, strict=True):
            of_entities = next(names) if able else []
            known = [name for name in of_entities if name is not None]
            if draft is None or not able or len(known) < len(of_entities):
                self.counts["marks_nameless"] += able
                marked.append(None)
                continue
            self.counts["marked_read"] += 1
            marked.append(self.how.read(sentence.spans or (), draft, known))
        return marked

    def _names(self, sentences: Sequence[Sentence]) -> list[list[Words | None]]:
        """For each sentence its entities' translations, made in one way and, if that fails, in the other."""
        places = [(s, number) for s in sentences for number in range(len(s.spans or ()))]
        ways = [(self._in_context, "names_in_context"), (self._alone, "names_alone")]
        names: dict[tuple[str, int], Words] = {}
        for way, count in ways if self.how.IN_CONTEXT_FIRST else ways[::-1]:
            open_ = [(s, number) for s, number in places if (s.id, number) not in names]
            for (s, number), words in zip(open_, way(open_), strict=True):
                if words:
                    names[s.id, number] = words
                    self.counts[count] += 1
        self.counts["names_missing"] += len(places) - len(names)
        return [[names.get((s.id, number)) for number in range(len(s.spans or ()))] for s in sentences]

    def _in_context(self, places: Sequence[tuple[Sentence, int]]) -> list[Words | None]:
        """The content of a lone pair of brackets around the entity in the translated sentence."""
        asked = [
            None if has_bracket(s.words) else replace(bracketed(s, [number]), id=f"{s.id}#entity{number}")
            for s, number in places
        ]
        plain = [draft and unbracketed(draft) for draft in self._translated(asked)]
        return [some[0][slice(*some[1][0])] if some and len(some[1]) == 1 else None for some in plain]

    def _alone(self, places: Sequence[tuple[Sentence, int]]) -> list[Words | None]:
        """The translation of the entity by itself; an added full stop is taken off (ours)."""
        asked: list[Sentence] = []
        for s, number in places:
            start, end, type_ = (s.spans or ())[number]
            own = (Span(0, end - start, type_),)
            asked.append(replace(s, id=f"{s.id}#alone{number}", words=s.words[start:end], spans=own))
        names: list[Words | None] = []
        for entity, draft in zip(asked, self._translated(asked), strict=True):
            if draft and len(draft) > 1 and draft[-1] in _STOPS and entity.words[-1][-1:] not in _STOPS:
                draft = draft[:-1]
            names.append(None if draft is None or has_bracket(draft) else draft)
        return names

    def _translated(self, sentences: Sequence[Sentence | None]) -> list[Words | None]:
        """The translations' words, None if there was nothing to translate, or no translation."""
        asked = [sentence for sentence in sentences if sentence is not None]
        if not asked:
            return [None] * len(sentences)
        out: Translated = self.translator.translate(asked, self.target, self.corpus)
        words = iter([target.words or None if target is not None else None for target in out.targets])
        return [None if sentence is None else next(words) for sentence in sentences]
