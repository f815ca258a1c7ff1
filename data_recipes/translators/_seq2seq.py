"""What the translators marian and nllb share: parameters, languages, and every failure counted."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any, ClassVar, Literal

from bench.api.hub import HubName
from bench.core.errors import Unavailable
from bench.core.memo import process_memo
from data_recipes.serbian import to_latin
from data_recipes.translators._ctranslate2 import CTranslate2Engine, ctranslate2_version
from data_recipes.translators._engine import Engine, Request
from data_recipes.translators._models import ModelSource, find_model, hub_name, is_hub_id
from data_recipes.translators._texts import Asked, Draft, TextTranslator

LIBRARIES = ("torch", "transformers", "tokenizers", "sentencepiece", "sacremoses")


@dataclass(frozen=True)
class Seq2SeqParams:
    """How a model translates; all defaults but the model are ours."""

    model: str = ""  # a hub id or a folder; {source} and {target} stand for the languages
    revision: str = ""  # of a hub model; "": main, or the hub's own safetensors conversion of it
    beams: int = 4  # 1: greedy
    max_length: int = 256  # sub-words; a longer sentence is not translated, and counted
    precision: Literal["fp32", "bf16"] = "fp32"  # of transformers
    engine: Literal["transformers", "ctranslate2"] = "transformers"  # what runs the model; ctranslate2: the extra ct2
    quantisation: Literal["float32", "int8", "bfloat16"] = "float32"  # of the weights that ctranslate2 converts
    serbian: Literal["latin", "cyrillic"] = "latin"  # script of Serbian; latin, as Universal NER has it

    def __post_init__(self) -> None:
        if self.beams < 1:
            raise ValueError("beams must be at least 1")
        if self.max_length < 8:
            raise ValueError("max_length must be at least 8")
        if not self.model:
            raise ValueError("model must name a hub id or a folder")
        if self.engine == "transformers" and self.quantisation != "float32":
            raise ValueError(f"quantisation {self.quantisation} needs engine ctranslate2 (transformers has precision)")
        if self.engine == "ctranslate2" and self.precision != "fp32":
            raise ValueError(f"precision {self.precision} needs engine transformers (ctranslate2 has quantisation)")


class Seq2SeqTranslator(TextTranslator):
    """Beam search without sampling, in batches of one length class."""

    Params: ClassVar[type] = Seq2SeqParams
    params: Seq2SeqParams

    @abstractmethod
    def codes(self, source: str, target: str) -> tuple[str, str]:
        """What the model calls the languages.

        Raises:
            Unavailable: it does not cover one of them.
        """

    @abstractmethod
    def request(self, tokenizer: Any, source: str, target: str) -> Request:
        """Set the tokenizer's source language and say how the target language is asked for.

        Raises:
            Unavailable: this model does not know one of them.
        """

    def find(self, source: str, target: str) -> ModelSource:
        """The model for a pair of languages; raises as `codes` and `find_model`."""
        return find_model(self._model(source, target), self.params.revision)

    def hub_names(self, source: str, target: str) -> tuple[HubName, ...]:
        """The model of a pair of languages, where it is the hub's."""
        try:
            model = self._model(source, target)
        except Unavailable:
            return ()
        return (hub_name(model, self.params.revision),) if is_hub_id(model) else ()

    def _model(self, source: str, target: str) -> str:
        if source == target:
            raise Unavailable(f"translator {self.name}: source and target language are both '{source}'")
        ours, theirs = self.codes(source, target)
        return self.params.model.replace("{source}", ours).replace("{target}", theirs)

    def identity(self, source: str, target: str) -> Mapping[str, object]:
        """The weights in place of their name, and the libraries that run them."""
        found = self.find(source, target)
        minor = {name: ".".join(version(name).split(".")[:2]) for name in LIBRARIES}
        if self.params.engine == "ctranslate2":
            minor["ctranslate2"] = ctranslate2_version()
        return {"model": found.version, "revision": "", "libraries": minor}

    def engine(self, found: ModelSource) -> Engine:
        """The model, loaded once for all targets of a process.

        Raises:
            Unavailable: `engine` asks for a package that is not installed.
            BadInput: the model cannot be loaded, or not be converted.
        """
        memo, how = process_memo(), replace(self.params, model=found.label, revision="")
        key = ("translator", found, how, self.device)
        engine: Engine | None = memo.get(key)
        if engine is None:
            made: type[Engine] = Engine
            if self.params.engine == "ctranslate2":
                ctranslate2_version()  # before gigabytes are fetched
                made = CTranslate2Engine
            memo.forget("translator")  # never two of them in memory
            engine = made(found, self.params, self.device)
            memo.put(key, engine, engine.bytes)
        return engine

    def drafts(self, asked: Sequence[Asked], source: str, target: str) -> tuple[list[Draft], str]:
        """Translations without chunks: attention is no alignment.

        Raises:
            Unavailable: the model does not cover the languages, or is not to be had.
            BadInput: the model cannot be loaded.
        """
        found = self.find(source, target)
        engine = self.engine(found)
        provenance = self.credit(f"{found.label}@{found.version}", [engine.what] * bool(engine.what))
        drafts = engine.translate([one.text for one in asked], self.request(engine.tokenizer, source, target))
        return [draft._replace(text=self._spelled(draft.text, target)) for draft in drafts], provenance

    def _spelled(self, text: str, target: str) -> str:
        return to_latin(text) if target == "sr" and self.params.serbian == "latin" else text
