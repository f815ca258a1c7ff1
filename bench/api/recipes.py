"""The interfaces of data recipes: corpora, translators, aligners, encoders; and checks of a corpus. Light to import."""

from __future__ import annotations

import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

from bench.api.hub import HubName
from bench.core.sentences import Link, Pair, Sentence, Split

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True)
class NoParams:
    """Parameters of a plug-in that has none."""


@dataclass(frozen=True)
class Facts:
    """What a reader of a table must know about a corpus."""

    title: str
    licence: str
    url: str = ""
    synthetic: bool = False  # such numbers are labelled "synthetic: no evidence about languages"
    human_translations: bool = False
    notes: tuple[str, ...] = ()


class Recipe(ABC):
    """What corpora, translators, aligners and encoders have in common: a name, and parameters fixed when made."""

    name: ClassVar[str]
    cites: ClassVar[tuple[str, ...]] = ()  # entries of the nearest references.bib
    Params: ClassVar[type] = NoParams

    def __init__(self, params: Any = None) -> None:
        self.params = self.Params() if params is None else params


class Corpus(Recipe):
    """A source of sentences. Reading is lazy and validated; the same bytes give the same sentences, in order.

    A folder `data_recipes/corpora/<name>/corpus.py` (or an entry point of group `xner.corpora`) holds one subclass.
    """

    facts: ClassVar[Facts]

    @property
    @abstractmethod
    def types(self) -> tuple[str, ...]:
        """Entity types, in the order of the tag set."""

    @abstractmethod
    def languages(self) -> tuple[str, ...]:
        """Codes of the languages for which at least one split exists."""

    @abstractmethod
    def read(self, language: str, split: Split) -> list[Sentence]:
        """The sentences of a split, [] if the corpus has none.

        `unlabelled` sentences may have spans: no method sees them, but pseudo-labels are measured against them.

        Raises:
            Unavailable: a file is not on this machine: its name, and how to get it.
            BadInput: an unknown language; a file is missing, malformed or not as published: with the file and line.
        """

    def pairs(self, source: str, target: str) -> list[Pair]:
        """Known translations of training sentences, with tags and links if the corpus has them; [] if none.

        `source` sentences carry the ids of `read(source, "train")`; into the language that a matrix trains on they may
        be the test's (`read(source, "test")`), for test-time translation: such text never reaches a training.

        Raises as `read`, and BadInput if a sentence cannot be joined with its translation.
        """
        return []

    def provenance(self, target: str) -> str:
        """Who or what translated `pairs` into a language, such as "facebook/nllb-200-…@<revision>"; "" if unknown."""
        return ""

    def parallel(self, source: str, target: str) -> list[Pair]:
        """Unlabelled human parallel text, no part of `pairs`, with ids of its own; [] if none.

        Links if the corpus has them. Both sides of a pair have its group.
        """
        return []

    def files(self) -> Sequence[Path] | None:
        """Every file, existing or not, on which `read`, `pairs` and `parallel` depend beside code and parameters.

        None if they are not known: every plan then reads the corpus.
        """
        return None

    def hub_names(self, languages: Sequence[str]) -> tuple[HubName, ...]:
        """What reading these languages needs from the hub; the parameter `revision` then gets the commits."""
        return ()

    def tokenisation(self, language: str) -> str:
        """How the corpus splits words: ud, moses or characters."""
        return "ud"

    def check(self) -> list[str]:
        """Read everything; a line for each finding that a user should know about (not an error)."""
        return []


class Consumed(NamedTuple):
    """What translations or links were made with beside the sentences themselves; a record counts it as a resource."""

    parallel: int = 0  # lines of human parallel text that nobody labelled
    dictionary: bool = False

    def __or__(self, other: Consumed) -> Consumed:
        """Both, where they are of the same two languages, whose text is counted once."""
        return Consumed(max(self.parallel, other.parallel), self.dictionary or other.dictionary)


@dataclass(frozen=True)
class Translated:
    """Translations in the order of the sentences; None where the translator failed (counted, never hidden)."""

    targets: tuple[Sentence | None, ...]
    links: tuple[tuple[Link, ...] | None, ...]
    provenance: str  # e.g. "human", "facebook/nllb-200-distilled-600M@<revision>"
    counts: dict[str, int] = field(default_factory=dict)


class Translator(Recipe):
    """Turns labelled source sentences into sentences of another language.

    One module `data_recipes/translators/<name>.py` (or an entry point of group `xner.translators`) holds one subclass.
    """

    licence: ClassVar[str] = ""  # of the model or program, as users must know it
    human: ClassVar[bool] = False
    marks: ClassVar[bool] = True  # whether it translates any sentence, so also one with marks or placeholders

    def __init__(self, params: Any = None, *, tokenisation: str = "corpus", device: str = "auto") -> None:
        """`tokenisation`: of [labels], "corpus" (the corpus's own) or a scheme. `device`: auto, cpu or cuda."""
        super().__init__(params)
        self.tokenisation, self.device = tokenisation, device

    @classmethod
    def missing(cls) -> str:
        """What to install before it can run at all, such as a command; "" if it can."""
        return ""

    def identity(self, source: str, target: str) -> Mapping[str, object]:
        """For the key: what the output depends on beside code and parameters (weights, a dictionary), hash or commit.

        A value named as a parameter takes its place, so that no path is part of a key.

        Raises:
            Unavailable: the language pair is not supported.
        """
        return {}

    def hub_names(self, source: str, target: str) -> tuple[HubName, ...]:
        """As `Corpus.hub_names`, for this pair of languages; () if it is not supported."""
        return ()

    def consumed(self, source: str, target: str) -> Consumed:
        """The resources of translating from one language into the other."""
        return Consumed()

    @abstractmethod
    def translate(self, sentences: Sequence[Sentence], target: str, corpus: Corpus) -> Translated:
        """Translations of the sentences (all of one language) into `target`, tokenised as `corpus` does; without tags.

        Raises:
            Unavailable: the language pair is not covered, or a model or program is not on this machine.
            BadInput: it cannot be loaded or run; or the sentences are of several languages.
        """


class Embedded(NamedTuple):
    """A sentence's sub-word vectors, float32 (pieces, H), and the word of each piece (pieces,), never descending."""

    vectors: npt.NDArray[np.float32]
    words: npt.NDArray[np.int64]


class Embedder(Protocol):
    """The encoder that the harness lends an aligner: the same for a whole matrix, never the cell's own."""

    @property
    def layers(self) -> int:
        """Its depth: `embed` takes layers 0 (the input embeddings) to this one."""

    @property
    def align_layer(self) -> int | None:
        """The layer that aligns best, if its recipe says so."""

    def embed(self, sentences: Sequence[tuple[str, ...]], layer: int) -> list[Embedded]:
        """Vectors of sentences (as words), in their order; a word that the tokenizer drops has no piece."""


class Aligner(Recipe):
    """Links words of translation pairs. A module `data_recipes/aligners/<name>.py` (or an entry point) holds one."""

    embeds: ClassVar[bool] = False  # whether `align` needs an embedder
    streams: ClassVar[bool] = False  # whether a pair's links depend on no other pair, so that text may come in parts
    looks_up: ClassVar[bool] = False  # whether it only gives the links that pairs have

    def __init__(self, params: Any = None, *, embedder: Embedder | None = None) -> None:
        super().__init__(params)
        self.embedder = embedder

    def layer(self, embedder: Embedder) -> int:
        """The layer that `align` will ask for, so that the source is embedded once for all languages.

        Default: as the encoder's recipe advises, else two thirds of the depth (8 of mBERT's 12).
        """
        return round(2 * embedder.layers / 3) if embedder.align_layer is None else embedder.align_layer

    def identity(self, source: str, target: str) -> Mapping[str, object]:
        """As `Translator.identity`: what links depend on beside pairs, code, parameters and embedder."""
        return {}

    def consumed(self, source: str, target: str) -> Consumed:
        """As `Translator.consumed`: what linking two languages learns from beside the pairs."""
        return Consumed()

    @abstractmethod
    def align(self, pairs: Sequence[Pair]) -> list[tuple[Link, ...]]:
        """Links of each pair, sorted.

        Raises:
            BadInput: this aligner cannot link these pairs (the gold aligner without gold links).
        """


Progress = Callable[[int, int, str], None]  # done, total, what


class EncoderRecipe(Recipe):
    """An encoder that we make ourselves: trained, or read from a package that carries it.

    `data_recipes/encoders/<name>/encoder.py` holds one subclass; a dash of the name is an underscore of the folder's.
    """

    what: ClassVar[str] = ""  # origin and licence of weights that are not ours
    version: ClassVar[int] = 1  # raised when the same `sources` give other weights or another tokenizer
    align_layer: ClassVar[int | None] = None  # hidden layer whose word vectors align best; None: no advice
    shipped: ClassVar[Path | None] = None  # a folder of the package with the output of `make`; None: made when used
    defaults: ClassVar[Mapping[str, Any]] = {}  # of its training: keys of [encoder."x"] that a matrix may override

    @abstractmethod
    def texts(self) -> Iterable[str]:
        """Every sentence that pre-training reads, for the leakage guard; none if they are not known.

        Raises:
            Unavailable: the training text of a shipped encoder is not on this machine.
        """

    def sources(self) -> Mapping[str, str]:
        """The sha256 of each file, by name, that `make` reads from another package; none if it trains.

        If there are any, they and `version` are the encoder's key, whatever else in the recipe changes.

        Raises:
            Unavailable: the package is not installed.
            BadInput: a file is not as published.
        """
        return {}

    @abstractmethod
    def make(self, folder: Path, progress: Progress) -> None:
        """Write a transformers folder (config, fast tokenizer, safetensors) that AutoModel loads."""


# --- checks of a corpus -----------------------------------------------------------------------------------------------

LONG = 250  # words of a sentence that may be a whole file


def normalised(text: str) -> str:
    """The text compatibility-composed, case-folded, with white space collapsed, to compare sentences by."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def shared(test: Iterable[Sentence], training: Iterable[Sentence]) -> int:
    """How many test sentences are also in the training sentences."""
    known = {normalised(sentence.text) for sentence in training}
    return sum(normalised(sentence.text) in known for sentence in test)


def suspicions(sentences: Sequence[Sentence], repeated: float = 0.0) -> list[str]:
    """Signs that a file was misread, in words; repetition counts above the share `repeated`."""
    signs = []
    words = {word for sentence in sentences for word in sentence.words}
    for affix, verb in ((_start(words), "begins"), (_start({word[::-1] for word in words})[::-1], "ends")):
        if len(words) > 4 and (len(affix) > 1 or (affix and not affix.isalnum())):
            signs.append(f"every word {verb} with {affix!r}: is that part of the words?")
    longest = max(sentences, key=lambda sentence: len(sentence.words), default=None)
    if longest is not None and len(longest.words) > LONG:
        long = f"sentence '{longest.id}' has {len(longest.words)} words"
        signs.append(f"{long}: are empty lines between sentences missing?")
    repeats = len(sentences) - len({sentence.words for sentence in sentences})
    if repeats > repeated * len(sentences):
        signs.append(f"{repeats} of {len(sentences)} sentences repeat another word for word")
    labelled = [sentence for sentence in sentences if sentence.spans is not None]
    if labelled and not any(sentence.spans for sentence in labelled):
        signs.append(f"none of {len(labelled)} labelled sentences has an entity")
    return signs


def _start(words: Iterable[str]) -> str:
    """The beginning that all words share: that of the first and the last in alphabetical order."""
    first, last = min(words, default=""), max(words, default="")
    return first[: next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))]


def overlap_findings(corpus: Corpus, language: str) -> list[str]:
    """Lines on the splits of one language: sizes, sentences that two share, and suspicions. Raises as `Corpus.read`."""
    train, dev, test = (corpus.read(language, split) for split in ("train", "dev", "test"))
    lines = [f"{language}: train {len(train)}, dev {len(dev)}, test {len(test)} sentences"]
    compared = (("test", test, "train", train), ("dev", dev, "train", train), ("test", test, "dev", dev))
    for name, held_out, other, training in compared:
        if count := shared(held_out, training):
            lines.append(f"{language}: {count} of {len(held_out)} {name} sentences are also in {other}")
    for name, sentences in (("train", train), ("dev", dev), ("test", test)):
        lines.extend(f"{language} {name}: {line}" for line in suspicions(sentences))
    return lines
