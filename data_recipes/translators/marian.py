"""The translator `marian`: OPUS-MT (Tiedemann and Thottingal 2020), one model a pair of languages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from bench.core.errors import Unavailable
from bench.core.languages import from_english, opus_code, opus_tokens
from data_recipes.translators._engine import Request, Seq2SeqParams
from data_recipes.translators._seq2seq import Seq2SeqTranslator

MODEL = "Helsinki-NLP/opus-mt-{source}-{target}"


@dataclass(frozen=True)
class MarianParams(Seq2SeqParams):
    """`_engine.Seq2SeqParams` with OPUS-MT's name of a pair's model."""

    model: str = MODEL


class MarianTranslator(Seq2SeqTranslator):
    """A Marian model; one for several target languages is told which by a token before the sentence."""

    name: ClassVar[str] = "marian"
    version = 1
    cites = ("tiedemann2020opus",)
    Params: ClassVar[type] = MarianParams

    def codes(self, source: str, target: str) -> tuple[str, str]:
        """OPUS-MT's codes; models into English are left for the hub to know."""
        if self.params.model == MODEL and source == "en" and not from_english(target):
            raise Unavailable(
                f"translator marian: no model opus-mt-en-{target} is known; name one with [translator.marian] model"
            )
        return opus_code(source), opus_code(target)

    def request(self, tokenizer: Any, source: str, target: str) -> Request:
        """Nothing for a model of one target language, else the token of the target."""
        known = list(getattr(tokenizer, "supported_language_codes", ()))
        if not known:
            return Request()
        for token in opus_tokens(target):
            if token in known:
                return Request(prefix=f"{token} ")
        raise Unavailable(f"translator marian: the model has no token for '{target}', only {' '.join(known[:20])}")
