"""What the translators marian and nllb share: batched, deterministic translation by a transformers seq2seq model."""

from __future__ import annotations

import sys
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.metadata import version
from typing import Any, ClassVar, Literal, NamedTuple

from bench.corpus import BadInput, Corpus, Sentence, Translated, Translator, Unavailable
from data_recipes.serbian import to_latin
from data_recipes.tokenise import detokenise, tokenise
from data_recipes.translators._models import ModelSource, find_model

ROOM = {"cpu": 2048, "cuda": 16384}  # padded source sub-words a batch, beams counted; never part of a key
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
    precision: Literal["fp32", "bf16"] = "fp32"
    serbian: Literal["latin", "cyrillic"] = "latin"  # script of Serbian; latin, as Universal NER has it

    def __post_init__(self) -> None:
        if self.beams < 1:
            raise ValueError("beams must be at least 1")
        if self.max_length < 8:
            raise ValueError("max_length must be at least 8")
        if not self.model:
            raise ValueError("model must name a hub id or a folder")


class Request(NamedTuple):
    """How a model is told the languages: text before the sentence, or the first token that it must write."""

    prefix: str = ""
    forced: int | None = None


class Draft(NamedTuple):
    """One text's translation, or why there is none."""

    text: str
    outcome: str  # of OUTCOMES


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
        if source == target:
            raise Unavailable(f"translator {self.name}: source and target language are both '{source}'")
        ours, theirs = self.codes(source, target)
        return find_model(self.params.model.replace("{source}", ours).replace("{target}", theirs), self.params.revision)

    def identity(self, source: str, target: str) -> Mapping[str, object]:
        """The weights in place of their name, and the libraries that run them."""
        found = self.find(source, target)
        minor = {name: ".".join(version(name).split(".")[:2]) for name in LIBRARIES}
        return {"model": found.version, "revision": "", "libraries": minor}

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
        engine = Engine(found, self.params, self.device)
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
        provenance = f"{found.label}@{found.version}" + (f" ({self.licence})" if self.licence else "")
        return Translated(
            tuple(targets), (None,) * len(targets), provenance, {**counts, "different_texts": len(unique)}
        )

    def _spelled(self, text: str, target: str) -> str:
        return to_latin(text) if target == "sr" and self.params.serbian == "latin" else text


class Engine:
    """A loaded model and its tokenizer."""

    def __init__(self, found: ModelSource, params: Seq2SeqParams, device: str = "auto") -> None:
        import torch
        from transformers import AutoModelForSeq2SeqLM, AutoTokenizer
        from transformers.utils import logging

        logging.set_verbosity_error()  # its advice is for other uses
        logging.disable_progress_bar()
        folder = found.ensure()
        usable = torch.cuda.is_available() and device != "cpu"
        self.device, self.params = torch.device("cuda" if usable else "cpu"), params
        dtype = torch.float32 if params.precision == "fp32" else torch.bfloat16
        try:
            self.tokenizer: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
            model: Any = AutoModelForSeq2SeqLM.from_pretrained(folder, use_safetensors=True, trust_remote_code=False)
        except (OSError, ValueError, KeyError) as error:
            raise BadInput(f"translation model '{found.label}' cannot be loaded: {error}".splitlines()[0]) from error
        self.model = model.to(self.device, dtype).eval()
        config = model.config
        self.positions = int(getattr(config, "max_position_embeddings", 0) or params.max_length)
        self.longest = min(params.max_length, self.positions, int(self.tokenizer.model_max_length))

    def translate(self, texts: Sequence[str], request: Request) -> list[Draft]:
        """Each text's translation, in their order; texts of more than `longest` sub-words have none."""
        if not texts:
            return []
        asked = [request.prefix + text for text in texts]
        ids: list[list[int]] = self.tokenizer(asked, truncation=False, verbose=False)["input_ids"]
        drafts = [Draft("", "too_long" if len(row) > self.longest else "failed") for row in ids]
        short = [i for i, row in enumerate(ids) if len(row) <= self.longest and texts[i].strip()]
        for batch in batches([(len(ids[i]), i) for i in short], ROOM[self.device.type] // self.params.beams):
            written = self._write([ids[i] for i in batch], request)
            for i, row in zip(batch, written, strict=True):
                drafts[i] = self._draft(row, limit_of(len(ids[i]), self.positions))
        return drafts

    def _draft(self, written: list[int], limit: int) -> Draft:
        text: str = self.tokenizer.decode(written, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        if len(written) >= limit:
            return Draft("", "degenerate")
        return Draft(text.strip(), "translated" if text.strip() else "failed")

    def _write(self, ids: list[list[int]], request: Request) -> list[list[int]]:
        """What the model writes for sources of one length class, without the start and what follows the end."""
        import torch

        try:
            with torch.inference_mode():
                return self._generated(ids, request)
        except torch.OutOfMemoryError:
            if len(ids) == 1:
                raise
        torch.cuda.empty_cache()
        half = len(ids) // 2
        return self._write(ids[:half], request) + self._write(ids[half:], request)

    def _generated(self, ids: list[list[int]], request: Request) -> list[list[int]]:
        padded = self.tokenizer.pad({"input_ids": ids}, return_tensors="pt").to(self.device)
        forced = {} if request.forced is None else {"forced_bos_token_id": request.forced}
        rows = self.model.generate(
            input_ids=padded["input_ids"],
            attention_mask=padded["attention_mask"],
            num_beams=self.params.beams,
            do_sample=False,
            max_length=None,
            max_new_tokens=limit_of(len(ids[0]), self.positions),
            forced_eos_token_id=None,  # OPUS-MT's settings would hide that there was no end
            **forced,
        )
        end = self.tokenizer.eos_token_id
        written: list[list[int]] = rows[:, 1:].tolist()
        return [row[: row.index(end)] if end in row else row for row in written]


def limit_of(length: int, positions: int) -> int:
    """Sub-words that may be written for a source of so many: about three times as many (ours).

    The same for all of a length class (8, 16, 32, …), so that no sentence's translation depends on its batch.
    """
    return min(3 * max(8, 1 << (length - 1).bit_length()) + 10, positions - 1)


def batches(lengths: Sequence[tuple[int, int]], room: int) -> Iterator[list[int]]:
    """Indices of (length, index) in batches of one length class that, padded, fill the room; long ones first."""
    batch: list[int] = []
    longest = 0
    for length, index in sorted(lengths, reverse=True):
        other = limit_of(length, 1 << 30) != limit_of(longest, 1 << 30) if batch else False
        if batch and (other or (len(batch) + 1) * longest > room):
            yield batch
            batch = []
        longest = max(longest, length) if batch else length
        batch.append(index)
    if batch:
        yield batch


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
