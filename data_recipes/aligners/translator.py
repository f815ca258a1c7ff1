"""The aligner `translator`: the links that come with a translation, from the system that made it."""

from __future__ import annotations

from typing import ClassVar

from data_recipes.aligners.gold import GoldAligner


class TranslatorAligner(GoldAligner):
    """What a translator says of its own work (apertium, dictionary, or pivot through two such): no upper bound."""

    name: ClassVar[str] = "translator"
    from_what: ClassVar[str] = "a translator that gives links: apertium, dictionary, or pivot through two such"
