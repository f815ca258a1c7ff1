"""The plug-in interfaces of data recipes: corpora, translators, aligners, encoders. Plain Python, light to import."""

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
    """What a reader of a table must know of a corpus."""

    title: str
    licence: str
    url: str = ""
    synthetic: bool = False  # such numbers are labelled "synthetic: no evidence about languages"
    human_translations: bool = False
    notes: tuple[str, ...] = ()


class Corpus(ABC):
    """Where sentences come from. Reading is lazy and validated; the same bytes give the same sentences, in order.

    A folder `data_recipes/corpora/<name>/corpus.py` (or an entry point of group `xner.corpora`) holds one subclass.
    """

    name: ClassVar[str]
    cites: ClassVar[tuple[str, ...]] = ()  # entries of the nearest references.bib
    Params: ClassVar[type] = NoParams
    facts: ClassVar[Facts]

    def __init__(self, params: Any = None) -> None:
        self.params = self.Params() if params is None else params

    @property
    @abstractmethod
    def types(self) -> tuple[str, ...]:
        """Entity types, in the order of the tag set."""

    @abstractmethod
    def languages(self) -> tuple[str, ...]:
        """Codes of the languages for which at least one split exists."""

    @abstractmethod
    def read(self, language: str, split: Split) -> list[Sentence]:
        """The sentences of a split, [] where the corpus has none.

        `unlabelled` sentences may have spans: no method sees them, pseudo-labels are measured against them afterwards.

        Raises:
            Unavailable: a file is not here: its name, and what brings it.
            BadInput: an unknown language; a file is missing, malformed or not as published: with the file and line.
        """

    def pairs(self, source: str, target: str) -> list[Pair]:
        """Known translations of training sentences, with tags and links where the corpus has them; [] if none.

        `source` sentences carry the ids of `read(source, "train")`; into the language that a matrix trains on they may
        be the test's (`read(source, "test")`), for test-time translation: such text never reaches a training.

        Raises as `read`, and BadInput where a sentence cannot be joined with its translation.
        """
        return []

    def parallel(self, source: str, target: str) -> list[Pair]:
        """Human parallel text that nobody labelled, no part of `pairs`, with ids of its own; [] if none.

        Links where the corpus has them. Both sides of a pair have its group.
        """
        return []

    def files(self) -> Sequence[Path] | None:
        """Every file that decides, beside code and parameters, what `read`, `pairs` and `parallel` give, here or not.

        None where that is not known: a plan then reads the corpus each time it is made.
        """
        return None

    def hub_names(self, languages: Sequence[str]) -> tuple[HubName, ...]:
        """What reading these languages takes from the hub; the parameter `revision` then gets the commits."""
        return ()

    def tokenisation(self, language: str) -> str:
        """How the corpus splits words: ud, moses or characters."""
        return "ud"

    def check(self) -> list[str]:
        """Read everything; one line a finding that a user should know of (not an error)."""
        return []


@dataclass(frozen=True)
class Translated:
    """Translations in the order asked for; None where the translator failed (counted, never hidden)."""

    targets: tuple[Sentence | None, ...]
    links: tuple[tuple[Link, ...] | None, ...]
    provenance: str  # e.g. "human", "facebook/nllb-200-distilled-600M@<revision>"
    counts: dict[str, int] = field(default_factory=dict)


class Translator(ABC):
    """Turns labelled source sentences into sentences of another language.

    One module `data_recipes/translators/<name>.py` (or an entry point of group `xner.translators`) holds one subclass.
    """

    name: ClassVar[str]
    cites: ClassVar[tuple[str, ...]] = ()  # entries of the nearest references.bib
    Params: ClassVar[type] = NoParams
    licence: ClassVar[str] = ""  # of what translates, as users must know it
    human: ClassVar[bool] = False
    marks: ClassVar[bool] = True  # whether it translates any sentence, so also one with marks or placeholders put in

    def __init__(self, params: Any = None, *, tokenisation: str = "corpus", device: str = "auto") -> None:
        """`tokenisation`: of [labels], "corpus" (as it says) or a scheme. `device`: auto, cpu or cuda, no parameter."""
        self.params = self.Params() if params is None else params
        self.tokenisation, self.device = tokenisation, device

    @classmethod
    def missing(cls) -> str:
        """What to install before it can run at all, such as a command; "" where it can."""
        return ""

    def identity(self, source: str, target: str) -> Mapping[str, object]:
        """What the output depends on beside code and parameters, by hash or commit: weights, a dictionary; for the key.

        A value named as a parameter takes its place, so that no path is part of a key.

        Raises:
            Unavailable: the language pair is not supported.
        """
        return {}

    def hub_names(self, source: str, target: str) -> tuple[HubName, ...]:
        """As `Corpus.hub_names`: what translating this pair takes from the hub, () where it is not supported."""
        return ()

    @abstractmethod
    def translate(self, sentences: Sequence[Sentence], target: str, corpus: Corpus) -> Translated:
        """Translations of the sentences (all of one language) into `target`, tokenised as `corpus` does; without tags.

        Raises:
            Unavailable: the language pair is not covered, or what translates is not here.
            BadInput: what translates cannot be loaded or run; or the sentences are of several languages.
        """


class Embedded(NamedTuple):
    """A sentence's sub-word vectors, float32 (pieces, H), and the word of each piece (pieces,), never descending."""

    vectors: npt.NDArray[np.float32]
    words: npt.NDArray[np.int64]


class Embedder(Protocol):
    """The encoder that the harness lends an aligner: one choice for a matrix, never the cell's own."""

    @property
    def layers(self) -> int:
        """Its depth: `embed` takes layers 0 (the input embeddings) to this one."""

    @property
    def align_layer(self) -> int | None:
        """The layer that aligns best, where its recipe says so."""

    def embed(self, sentences: Sequence[tuple[str, ...]], layer: int) -> list[Embedded]:
        """Vectors of sentences (as words), in their order; a word that the tokenizer drops has no piece."""


class Aligner(ABC):
    """Links words of translation pairs. A module `data_recipes/aligners/<name>.py` (or an entry point) holds one."""

    name: ClassVar[str]
    cites: ClassVar[tuple[str, ...]] = ()  # entries of the nearest references.bib
    Params: ClassVar[type] = NoParams
    embeds: ClassVar[bool] = False  # whether `align` needs an embedder
    streams: ClassVar[bool] = False  # whether a pair's links are its own, so that text may come a part at a time

    def __init__(self, params: Any = None, *, embedder: Embedder | None = None) -> None:
        self.params = self.Params() if params is None else params
        self.embedder = embedder

    def layer(self, embedder: Embedder) -> int:
        """The layer that `align` will ask for, which lets the harness embed the source once for all languages.

        What the recipe advises, else two thirds of the depth (8 of mBERT's 12).
        """
        return round(2 * embedder.layers / 3) if embedder.align_layer is None else embedder.align_layer

    def identity(self, source: str, target: str) -> Mapping[str, object]:
        """As `Translator.identity`: what links depend on beside pairs, code, parameters and embedder, for the key."""
        return {}

    @abstractmethod
    def align(self, pairs: Sequence[Pair]) -> list[tuple[Link, ...]]:
        """Links of each pair, sorted.

        Raises:
            BadInput: this aligner cannot link these pairs (the gold aligner without gold links).
        """


Progress = Callable[[int, int, str], None]  # done, total, what


class EncoderRecipe(ABC):
    """An encoder that we make ourselves: trained, or read from a package that carries it.

    `data_recipes/encoders/<name>/encoder.py` holds one subclass; a dash of the name is an underscore of the folder's.
    """

    name: ClassVar[str]
    cites: ClassVar[tuple[str, ...]] = ()  # entries of the nearest references.bib
    Params: ClassVar[type] = NoParams
    what: ClassVar[str] = ""  # whose weights they are and under which licence, where they are not ours
    version: ClassVar[int] = 1  # raised when other weights or another tokenizer come of the same `sources`
    align_layer: ClassVar[int | None] = None  # hidden layer whose word vectors align best; None: no advice
    shipped: ClassVar[Path | None] = None  # a folder of the package that holds what `make` made; None: made when used
    defaults: ClassVar[Mapping[str, Any]] = {}  # of its training: keys of [encoder."x"], each of which a matrix may set

    def __init__(self, params: Any = None) -> None:
        self.params = self.Params() if params is None else params

    @abstractmethod
    def texts(self) -> Iterable[str]:
        """Every sentence that pre-training reads, for the leakage guard; none where it is not known.

        Raises:
            Unavailable: what a shipped encoder was trained on is not here.
        """

    def sources(self) -> Mapping[str, str]:
        """The sha256 of each file, by name, that `make` reads from another package; none where it trains.

        Where there are some, they and `version` are the encoder's key, whatever else in the recipe changes.

        Raises:
            Unavailable: the package is not installed.
            BadInput: a file is not as published.
        """
        return {}

    @abstractmethod
    def make(self, folder: Path, progress: Progress) -> None:
        """Write a transformers folder (config, fast tokenizer, safetensors) that AutoModel loads."""


# --- what a user should know of a corpus ------------------------------------------------------------------------------

LONG = 250  # words of a sentence that may be a whole file


def normalised(text: str) -> str:
    """Compatibility-composed, case-folded, white space collapsed: what counts as the same sentence."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def shared(test: Iterable[Sentence], training: Iterable[Sentence]) -> int:
    """How many test sentences have their text in the training sentences too."""
    known = {normalised(sentence.text) for sentence in training}
    return sum(normalised(sentence.text) in known for sentence in test)


def suspicions(sentences: Sequence[Sentence], repeated: float = 0.0) -> list[str]:
    """Signs that a file was read as something else, in words; `repeated` is the share above which repetition is one."""
    found = []
    words = {word for sentence in sentences for word in sentence.words}
    for affix, what in ((_start(words), "begins"), (_start({word[::-1] for word in words})[::-1], "ends")):
        if len(words) > 4 and (len(affix) > 1 or (affix and not affix.isalnum())):
            found.append(f"every word {what} with {affix!r}: is that part of the words?")
    longest = max(sentences, key=lambda sentence: len(sentence.words), default=None)
    if longest is not None and len(longest.words) > LONG:
        long = f"sentence '{longest.id}' has {len(longest.words)} words"
        found.append(f"{long}: are empty lines between sentences missing?")
    again = len(sentences) - len({sentence.words for sentence in sentences})
    if again > repeated * len(sentences):
        found.append(f"{again} of {len(sentences)} sentences repeat another word for word")
    labelled = [sentence for sentence in sentences if sentence.spans is not None]
    if labelled and not any(sentence.spans for sentence in labelled):
        found.append(f"none of {len(labelled)} labelled sentences has an entity")
    return found


def _start(words: Iterable[str]) -> str:
    """What all words begin with: that of the first and the last in their order."""
    first, last = min(words, default=""), max(words, default="")
    return first[: next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))]


def overlap_findings(corpus: Corpus, language: str) -> list[str]:
    """Sizes of the splits of one language, a line for each pair of splits that share sentences, and suspicions.

    BadInput as `Corpus.read`.
    """
    train, dev, test = (corpus.read(language, split) for split in ("train", "dev", "test"))
    lines = [f"{language}: train {len(train)}, dev {len(dev)}, test {len(test)} sentences"]
    compared = (("test", test, "train", train), ("dev", dev, "train", train), ("test", test, "dev", dev))
    for name, held_out, other, training in compared:
        if count := shared(held_out, training):
            lines.append(f"{language}: {count} of {len(held_out)} {name} sentences are also in {other}")
    for name, sentences in (("train", train), ("dev", dev), ("test", test)):
        lines.extend(f"{language} {name}: {line}" for line in suspicions(sentences))
    return lines
