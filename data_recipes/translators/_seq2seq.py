"""The common part of the translators marian and nllb: codes of languages, identity, and loaded models."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import Any, ClassVar

from bench.api.hub import HubName
from bench.core.errors import Unavailable
from bench.core.memo import process_memo
from data_recipes.serbian import to_latin
from data_recipes.translators._ctranslate2 import CTranslate2Engine, ctranslate2_version
from data_recipes.translators._engine import (
    Engine,
    ModelSource,
    Request,
    Seq2SeqParams,
    find_model,
    hub_name,
    is_hub_id,
)
from data_recipes.translators._texts import Asked, Draft, TextTranslator

LIBRARIES = ("torch", "transformers", "tokenizers", "sentencepiece", "sacremoses")


class Seq2SeqTranslator(TextTranslator):
    """Beam search without sampling, in batches of one length class."""

    Params: ClassVar[type] = Seq2SeqParams
    params: Seq2SeqParams

    @abstractmethod
    def codes(self, source: str, target: str) -> tuple[str, str]:
        """The model's codes of the languages. Unavailable where it does not cover one of them."""

    @abstractmethod
    def request(self, tokenizer: Any, source: str, target: str) -> Request:
        """Set the tokenizer's source language; the request for the target language.

        Raises:
            Unavailable: this model does not know one of them.
        """

    def find(self, source: str, target: str) -> ModelSource:
        """The model of a pair of languages; raises as `codes` and `find_model`."""
        return find_model(self._model(source, target), self.params.revision)

    def hub_names(self, source: str, target: str) -> tuple[HubName, ...]:
        """The model of a pair of languages, where it is on the hub."""
        try:
            model = self._model(source, target)
        except Unavailable:
            return ()
        return (hub_name(model, self.params.revision),) if is_hub_id(model) else ()

    def _model(self, source: str, target: str) -> str:
        if source == target:
            raise Unavailable(f"translator {self.name}: source and target language are both '{source}'")
        source_code, target_code = self.codes(source, target)
        return self.params.model.replace("{source}", source_code).replace("{target}", target_code)

    def identity(self, source: str, target: str) -> Mapping[str, object]:
        """The weights in place of their name, and the libraries that run them."""
        model = self.find(source, target)
        minor = {name: ".".join(version(name).split(".")[:2]) for name in LIBRARIES}
        if self.params.engine == "ctranslate2":
            minor["ctranslate2"] = ctranslate2_version()
        return {"model": model.version, "revision": "", "libraries": minor}

    def engine(self, source: ModelSource) -> Engine:
        """The model, loaded once for all targets of a process.

        Raises:
            Unavailable: `engine` asks for a package that is not installed.
            BadInput: the model cannot be loaded, or not be converted.
        """
        memo, how = process_memo(), replace(self.params, model=source.label, revision="")
        key = ("translator", source, how, self.device)
        engine: Engine | None = memo.get(key)
        if engine is None:
            # the version is checked before gigabytes are fetched
            own = CTranslate2Engine if self.params.engine == "ctranslate2" and ctranslate2_version() else Engine
            memo.forget("translator")  # never two of them in memory
            engine = own(source, self.params, self.device)
            memo.put(key, engine, engine.bytes)
        return engine

    def drafts(self, asked: Sequence[Asked], source: str, target: str) -> tuple[list[Draft], str]:
        """Translations without chunks: attention is no alignment."""
        model = self.find(source, target)
        engine = self.engine(model)
        provenance = self.credit(f"{model.label}@{model.version}", engine.runtime)
        drafts = engine.translate([request.text for request in asked], self.request(engine.tokenizer, source, target))
        if target == "sr" and self.params.serbian == "latin":
            drafts = [draft._replace(text=to_latin(draft.text)) for draft in drafts]
        return drafts, provenance
