"""Sentences, spans and tags, and the plug-in interfaces of what supplies them.

Everything here is plain Python: no torch, no pandas, so that names, help and plans stay fast.
"""

from __future__ import annotations

import difflib
import hashlib
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol

if TYPE_CHECKING:  # this module stays light
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

Split = Literal["train", "dev", "test", "unlabelled"]
Link = tuple[int, int]  # (source word, target word), both from 0
LONGEST_MESSAGE = 1000  # characters


class BadInput(ValueError):
    """Something a user gave is wrong: one message, exit code 2.

    As text it quotes what was given, which may be anything: what is no printable character (a terminal may obey it; a
    line end makes two messages of one) is escaped, what is long is cut.
    """

    def __str__(self) -> str:
        text = super().__str__()
        if not text.isprintable():
            text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
        return text if len(text) <= LONGEST_MESSAGE else f"{text[: LONGEST_MESSAGE - 1]}…"


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or the known names when none is near, to end a BadInput message with."""
    known = sorted(known)
    alike = [one for one in known if unicodedata.normalize("NFKC", one) == unicodedata.normalize("NFKC", name)]
    close = alike or difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        return f"; did you mean '{close[0]}'?{lookalike(name, close[0])}"
    return f"; known: {', '.join(known)}" if known else ""


def lookalike(one: str, other: str) -> str:
    """Why two different words may look the same, with the code points in which they differ, to end a message with.

    "" where they differ in ASCII only, or in too much to be taken for each other.
    """
    if one == other or (one + other).isascii():
        return ""
    forms = {form: [unicodedata.normalize(form, word) for word in (one, other)] for form in ("NFC", "NFKC")}
    seen = [
        "".join(" " if c.isspace() else c for c in word if unicodedata.category(c) not in ("Cf", "Mn"))
        for word in forms["NFKC"]
    ]
    matcher = difflib.SequenceMatcher(None, one, other, autojunk=False)
    odd = [op for op in matcher.get_opcodes() if op[0] != "equal"]
    parts = [one[odd[0][1] : odd[-1][2]], other[odd[0][3] : odd[-1][4]]]
    if forms["NFC"][0] == forms["NFC"][1]:
        why = "the same letters in two normal forms: --normalise NFC"
    elif forms["NFKC"][0] == forms["NFKC"][1]:
        why = "compatible characters, such as another kind of space or width: --normalise NFKC"
    elif seen[0] == seen[1]:
        why = "a mark, or a character without width"
    elif len(one) == len(other) and not any(a == b for a, b in zip(*map(_scripts, parts), strict=False)):
        why = " and ".join(dict.fromkeys(unicodedata.name(part[0], "?") for part in parts))
    else:
        return ""
    points = [" ".join(f"U+{ord(c):04X}" for c in part) or "nothing" for part in parts]
    return f" ({points[0]} and {points[1]}: {why})"


def _scripts(text: str) -> list[str]:
    return [unicodedata.name(character, "?").split(" ")[0] for character in text]


class Unavailable(BadInput):
    """What a cell needs does not exist here: the cell is skipped with this reason, the others go on."""


class Span(NamedTuple):
    """An entity: words `start` to `end` (exclusive) of its sentence, and its type."""

    start: int
    end: int
    type: str


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of a corpus.

    `spans` is None where the sentence has no labels, () where it is labelled and has no entity; spans are sorted and
    never overlap. `group` is the same for all sides of a parallel corpus; the leakage guard compares it.
    """

    id: str
    language: str
    words: tuple[str, ...]
    spans: tuple[Span, ...] | None = None
    group: str = ""

    @property
    def text(self) -> str:
        """The words joined by single spaces."""
        return " ".join(self.words)


def letters_of(text: str) -> str:
    """Case-folded, compatibility-normalised, without white space and punctuation: what counts as the same sentence."""
    return unicodedata.normalize("NFKC", text).casefold().translate(_LETTERS)


class _Letters(dict[int, str | None]):
    """For `str.translate`: each character as it is, None for white space and punctuation; looked up once a process."""

    def __missing__(self, code: int) -> str | None:
        character = chr(code)
        self[code] = None if unicodedata.category(character)[0] in "ZPC" else character
        return self[code]


_LETTERS = _Letters()


def digest(sentences: Iterable[Sentence]) -> str:
    """sha256 of ids, languages, words, labels and groups, in order."""
    hasher = hashlib.sha256()
    for s in sentences:
        hasher.update(repr((s.id, s.language, s.words, s.spans, s.group)).encode())
    return hasher.hexdigest()


@dataclass(frozen=True, slots=True)
class Pair:
    """A source sentence and its translation; `links` where they are known, None where an aligner must find them."""

    source: Sentence
    target: Sentence
    links: tuple[Link, ...] | None = None


# --- tags -----------------------------------------------------------------------------------------------------------


def tag_set(types: Sequence[str]) -> tuple[str, ...]:
    """IOB2 tags of the entity types, O first: the order of a tagger's output layer."""
    return ("O", *(f"{prefix}-{type_}" for type_ in types for prefix in "BI"))


def tags_of(spans: Iterable[Span], length: int) -> tuple[str, ...]:
    """IOB2 tags, one a word.

    Raises:
        ValueError: a span is empty, leaves the sentence or overlaps another.
    """
    tags = ["O"] * length
    for start, end, type_ in spans:
        if not 0 <= start < end <= length or any(tag != "O" for tag in tags[start:end]):
            raise ValueError(f"span {start}-{end} {type_} is empty, outside {length} words, or overlaps another")
        tags[start:end] = [f"B-{type_}"] + [f"I-{type_}"] * (end - start - 1)
    return tuple(tags)


def spans_of(tags: Sequence[str]) -> tuple[Span, ...]:
    """Spans of IOB2 (or IOB1) tags; an I-X that continues no X opens a span (as conlleval), so any tagging decodes."""
    spans: list[Span] = []
    start, current = 0, ""
    for position, tag in enumerate([*tags, "O"]):
        prefix, _, type_ = tag.partition("-")
        if current and (prefix != "I" or type_ != current):
            spans.append(Span(start, position, current))
            current = ""
        if prefix in ("B", "I") and not current:
            start, current = position, type_
    return tuple(spans)


# --- plug-ins of data_recipes ----------------------------------------------------------------------------------------


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
            BadInput: a file is missing, malformed or not as published: with the file and line.
        """

    def pairs(self, source: str, target: str) -> list[Pair]:
        """Known translations of training sentences, with tags and links where the corpus has them; [] if none.

        `source` sentences carry the ids of `read(source, "train")`; into the language that a matrix trains on they may
        be the test's (`read(source, "test")`), for test-time translation: such text never reaches a training.
        """
        return []

    def files(self) -> Sequence[Path] | None:
        """Every file that decides, beside the code and the parameters, what `read` and `pairs` give, here or not.

        None where that is not known: a plan then reads the corpus each time it is made.
        """
        return None

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
    Params: ClassVar[type] = NoParams
    human: ClassVar[bool] = False
    marks: ClassVar[bool] = True  # whether it translates any sentence, so also one with marks or placeholders put in
    tokenisation: str = "corpus"  # [labels] tokenisation, set by the harness: "corpus" (as it says) or a scheme
    device: str = "auto"  # auto, cpu or cuda, set by the harness: where a model runs is no parameter

    def __init__(self, params: Any = None) -> None:
        self.params = self.Params() if params is None else params

    def identity(self, source: str, target: str) -> Mapping[str, object]:
        """What the output depends on beside code and parameters, by hash or commit: weights, a dictionary; for the key.

        A value named as a parameter takes its place, so that no path is part of a key.

        Raises:
            Unavailable: the language pair is not supported.
        """
        return {}

    @abstractmethod
    def translate(self, sentences: Sequence[Sentence], target: str, corpus: Corpus) -> Translated:
        """Translations of the sentences (all of one language) into `target`, tokenised as `corpus` does; without tags.

        Raises:
            BadInput: the language pair is not supported.
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
    Params: ClassVar[type] = NoParams
    embeds: ClassVar[bool] = False  # whether the harness must set `embedder` before `align`
    streams: ClassVar[bool] = False  # whether a pair's links are its own, so that text may come a part at a time
    embedder: Embedder | None = None

    def __init__(self, params: Any = None) -> None:
        self.params = self.Params() if params is None else params

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
