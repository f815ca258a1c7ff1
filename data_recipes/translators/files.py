"""Translations that the corpus itself brings, parallel text too: looked up by sentence id, never made here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Protocol, runtime_checkable

from bench.api.recipes import Corpus, Translated, Translator
from bench.core.errors import BadInput, Unavailable
from bench.core.sentences import Sentence


@runtime_checkable
class SaysProvenance(Protocol):
    """A corpus that knows who or what translated into a language."""

    def provenance(self, target: str) -> str:
        """For example "human" or "facebook/nllb-200-distilled-600M@<revision>"; "" if unknown."""


class FilesTranslator(Translator):
    """Looks translations up in `corpus.pairs`; without tags, as every translator."""

    name: ClassVar[str] = "files"
    marks: ClassVar[bool] = False

    def translate(self, sentences: Sequence[Sentence], target: str, corpus: Corpus) -> Translated:
        """The corpus's translations, with its links where it has them; None for a sentence that has none.

        Raises:
            Unavailable: the corpus has no translation into `target` at all.
            BadInput: the sentences are of several languages.
        """
        sources = {sentence.language for sentence in sentences}
        if len(sources) > 1:
            raise BadInput(f"translate takes sentences of one language, not of {', '.join(sorted(sources))}")
        pairs = {pair.source.id: pair for language in sources for pair in corpus.pairs(language, target)}
        if any(sentence.id not in pairs for sentence in sentences):
            pairs |= {pair.source.id: pair for language in sources for pair in corpus.parallel(language, target)}
        if sentences and not pairs:
            raise Unavailable(
                f"corpus '{corpus.name}' has no translations from {sentences[0].language} into {target};"
                " choose another labels.translator, or add translations (corpus conll: translations/<language>.tsv)"
            )
        found = [pairs.get(sentence.id) for sentence in sentences]
        missing = sum(pair is None for pair in found)
        return Translated(
            targets=tuple(None if pair is None else replace(pair.target, spans=None) for pair in found),
            links=tuple(None if pair is None else pair.links for pair in found),
            provenance=self._provenance(corpus, target),
            counts={"translated": len(found) - missing, "missing": missing},
        )

    def _provenance(self, corpus: Corpus, target: str) -> str:
        if corpus.facts.human_translations:
            return "human"
        said = corpus.provenance(target) if isinstance(corpus, SaysProvenance) else ""
        return said or "unknown (the corpus does not say)"
