"""The translator `nllb`: No Language Left Behind (NLLB Team 2022), one model for 200 languages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from bench.core.errors import Unavailable
from bench.core.languages import nllb_code
from data_recipes.translators._engine import Request, Seq2SeqParams
from data_recipes.translators._seq2seq import Seq2SeqTranslator


@dataclass(frozen=True)
class NllbParams(Seq2SeqParams):
    """`_engine.Seq2SeqParams` with NLLB's smallest model."""

    model: str = "facebook/nllb-200-distilled-600M"


class NllbTranslator(Seq2SeqTranslator):
    """A model of the NLLB family; the target language is the first token that it writes."""

    name: ClassVar[str] = "nllb"
    version = 1
    cites = ("nllb2022",)
    Params: ClassVar[type] = NllbParams
    licence: ClassVar[str] = "CC BY-NC 4.0, for non-commercial use only"

    def codes(self, source: str, target: str) -> tuple[str, str]:
        """FLORES-200 codes."""
        return nllb_code(source), nllb_code(target)

    def request(self, tokenizer: Any, source: str, target: str) -> Request:
        """Source language by the tokenizer, target language by the forced first token."""
        source_code, target_code = self.codes(source, target)
        for code in (source_code, target_code):
            if tokenizer.convert_tokens_to_ids(code) in (None, tokenizer.unk_token_id):
                raise Unavailable(f"translator nllb: the model has no language '{code}'")
        tokenizer.src_lang = source_code
        return Request(forced=tokenizer.convert_tokens_to_ids(target_code))
