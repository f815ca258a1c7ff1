"""What the translators marian and nllb share: parameters, languages, and every failure counted."""

from __future__ import annotations

import sys
from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.metadata import version
from typing import Any, ClassVar, Literal

from bench.api.hub import HubName
from bench.api.recipes import Corpus, Translated, Translator
from bench.core.errors import BadInput, Unavailable
from bench.core.memo import process_memo
from bench.core.sentences import Sentence
from bench.core.tokenise import detokenise, tokenise
from data_recipes.serbian import to_latin
from data_recipes.translators._ctranslate2 import CTranslate2Engine, ctranslate2_version
from data_recipes.translators._engine import Engine, Request
from data_recipes.translators._models import ModelSource, find_model, hub_name, is_hub_id

LIBRARIES = ("torch", "transformers", "tokenizers", "sentencepiece", "sacremoses")
REPEATS = 4  # a translation in which four words in a row come so often, and oftener than in its source, is a loop
OUTCOMES = ("translated", "too_long", "degenerate", "failed")


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


class Seq2SeqTranslator(Translator):
    """Beam search without sampling; each different sentence once, in batches of one length class."""

    Params: ClassVar[type] = Seq2SeqParams
    licence: ClassVar[str] = ""  # where it restricts use
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

    def translate(self, sentences: Sequence[Sentence], target: str, corpus: Corpus) -> Translated:
        """Translations with the ids and groups of the sentences, without tags or links; None where one failed.

        Counts: translated, too_long (of the source), degenerate (a loop, or no end), failed (nothing written), which
        add up to the sentences; and the different texts.

        Raises:
            Unavailable: the model does not cover the languages, or is not to be had.
            BadInput: the sentences are of several languages, or the model cannot be loaded.
        """
        languages = sorted({sentence.language for sentence in sentences})
        if len(languages) > 1:
            raise BadInput(f"translate takes sentences of one language, not of {', '.join(languages)}")
        if not sentences:
            return Translated((), (), "", dict.fromkeys(OUTCOMES, 0))
        found = self.find(languages[0], target)
        if self.licence:
            _say(f"{found.label}: {self.licence}")
        texts = [detokenise(sentence.words, languages[0]) for sentence in sentences]
        unique = list(dict.fromkeys(texts))
        engine = self.engine(found)
        request = self.request(engine.tokenizer, languages[0], target)
        drafts = dict(zip(unique, engine.translate(unique, request), strict=True))
        scheme = corpus.tokenisation(target) if self.tokenisation == "corpus" else self.tokenisation
        counts = Counter(dict.fromkeys(OUTCOMES, 0))
        targets: list[Sentence | None] = []
        for sentence, text in zip(sentences, texts, strict=True):
            draft = drafts[text]
            words = tokenise(self._spelled(draft.text, target), target, scheme)
            outcome = draft.outcome if words or draft.outcome != "translated" else "failed"
            if outcome == "translated" and loops(sentence.words, words):
                outcome = "degenerate"
            counts[outcome] += 1
            made = replace(sentence, language=target, words=words, spans=None)
            targets.append(made if outcome == "translated" else None)
        said = [self.licence] * bool(self.licence) + [engine.what] * bool(engine.what)
        provenance = f"{found.label}@{found.version}" + (f" ({'; '.join(said)})" if said else "")
        return Translated(
            tuple(targets), (None,) * len(targets), provenance, {**counts, "different_texts": len(unique)}
        )

    def _spelled(self, text: str, target: str) -> str:
        return to_latin(text) if target == "sr" and self.params.serbian == "latin" else text


def loops(source: Sequence[str], words: Sequence[str]) -> bool:
    """Whether a translation repeats four words in a row REPEATS times, oftener than its source does (ours)."""
    most = _most_repeated(tuple(words))
    return most >= REPEATS and most > _most_repeated(tuple(source))


def _most_repeated(words: tuple[str, ...]) -> int:
    return max(Counter(words[i : i + 4] for i in range(len(words) - 3)).values(), default=0)


@lru_cache(maxsize=64)
def _say(line: str) -> None:
    """Once a process."""
    print(line, file=sys.stderr, flush=True)
