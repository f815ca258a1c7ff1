"""The aligner `translator`: the links that come with a translation, from the system that made it."""

from __future__ import annotations

from typing import ClassVar

from data_recipes.aligners.gold import GoldAligner


class TranslatorAligner(GoldAligner):
    """A translator's own links (apertium, dictionary, or pivot through two such): not an upper bound."""

    name: ClassVar[str] = "translator"
    version = 1
    from_what: ClassVar[str] = "a translator that gives links: apertium, dictionary, or pivot through two such"
