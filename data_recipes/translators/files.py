"""Translations that come with the corpus, its parallel text included: looked up by sentence id, never made here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from bench.api.recipes import Corpus, Translated, Translator
from bench.core.errors import Unavailable
from bench.core.sentences import Sentence
from data_recipes.translators._texts import language_of


class FilesTranslator(Translator):
    """Looks translations up in `corpus.pairs`; without tags, like every translator."""

    name: ClassVar[str] = "files"
    version = 1
    marks: ClassVar[bool] = False

    def translate(self, sentences: Sequence[Sentence], target: str, corpus: Corpus) -> Translated:
        """The corpus's translations, with links where it has them; None for a sentence without a translation."""
        source = language_of(sentences) if sentences else ""
        pairs = {pair.source.id: pair for pair in corpus.pairs(source, target)} if sentences else {}
        if any(sentence.id not in pairs for sentence in sentences):
            pairs |= {pair.source.id: pair for pair in corpus.parallel(source, target)}
        if sentences and not pairs:
            raise Unavailable(
                f"corpus '{corpus.name}' has no translations from {source} into {target};"
                " choose another labels.translator, or add translations (corpus conll: translations/<language>.tsv)"
            )
        translated = [pairs.get(sentence.id) for sentence in sentences]
        missing = sum(pair is None for pair in translated)
        named = "human" if corpus.facts.human_translations else corpus.provenance(target)
        return Translated(
            targets=tuple(None if pair is None else replace(pair.target, spans=None) for pair in translated),
            links=tuple(None if pair is None else pair.links for pair in translated),
            provenance=named or "unknown (the corpus does not say)",
            counts={"translated": len(translated) - missing, "missing": missing},
        )
