"""The interface of methods: a method defines only what differs; the runner owns data, loop, decoding and scoring."""

from __future__ import annotations

import sys
from abc import ABC
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import Enum, EnumMeta
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from bench.api.batch import Batch as Batch  # part of the interface
from bench.api.batch import EpochState as EpochState
from bench.api.batch import Example as Example
from bench.api.batch import Floats as Floats
from bench.api.batch import Group as Group
from bench.api.batch import Inputs as Inputs
from bench.api.batch import Ints as Ints
from bench.api.batch import Losses as Losses
from bench.api.batch import Predictions as Predictions
from bench.api.batch import Step as Step
from bench.api.batch import Term as Term
from bench.api.batch import TrainingSet as TrainingSet
from bench.api.batch import pairs as pairs
from bench.api.batch import pooled as pooled
from bench.api.batch import singles as singles
from bench.core.errors import BadInput, nearest
from bench.core.sentences import Link, Pair, Sentence, Span

if TYPE_CHECKING:
    import numpy as np


class _Named(EnumMeta):
    """An enumeration that answers an unknown member with the nearest one."""

    def __getattr__(cls, name: str) -> Any:
        member = cls._member_map_.get(name)
        if member is None:
            hint = "" if name.startswith("_") else nearest(name, cls._member_map_)
            raise AttributeError(f"{cls.__name__} has no '{name}'{hint}")
        return member


class Need(Enum, metaclass=_Named):
    """What a method may ask for beyond the labelled source sentences. Asking for more raises UndeclaredNeed."""

    TRANSLATION = "translations of the source sentences"
    PLAIN_TRANSLATION = "translations with plainly projected labels (min…max, no filter)"
    LABELLED_TRANSLATION = "translations labelled by the matrix's matcher and filters"
    SECOND_TRANSLATION = "second translations of the source sentences, made with their entities marked"
    TARGET_UNLABELLED = "unlabelled target text"
    PARALLEL_TEXT = "human parallel text that nobody labelled"
    TEST_TRANSLATION = "test-time translation"  # in `predict` only, never while a round prepares
    TARGET_GOLD = "gold labels in the target language"
    ALL_TARGETS = "the matrix's other targets"  # their translations too: one training then serves them all


LINKED = frozenset({Need.TRANSLATION, Need.PLAIN_TRANSLATION, Need.LABELLED_TRANSLATION})  # all read [labels]' links


class UndeclaredNeed(RuntimeError):
    """A method reached for something that it did not declare."""


@dataclass(frozen=True)
class Skip:
    """Why a method does not run in a cell; tables print the reason in place of a number."""

    reason: str


class DataFile(str):
    """The type of a parameter that names a data file of the method; "" is none.

    Relative paths are looked up in the method's folder, then in the working directory. Keys hold the file's hash.
    """


@dataclass(frozen=True)
class MethodParams:
    """The base of methods' parameters: frozen, typed, with defaults fixed in advance; part of the key."""


class Model(Protocol):
    """A trained tagger at the checkpoint that a round passes on."""

    def predict(self, sentences: Sequence[Sentence]) -> Predictions: ...


class Tagger(Protocol):
    """Encoder and head: a torch module that decodes, too. The default is `bench.train.tagger.LinearTagger`."""

    tags: tuple[str, ...]
    pooling: Literal["mean", "cls"]  # what a batch's sentence vectors are
    pooled_layer: Literal["last", "first"]

    def read(self, inputs: Inputs) -> Batch:
        """Run encoder and head. The runner calls it once a stream; a method may call it again for a second view."""

    def decode(self, batch: Batch) -> Predictions: ...

    def parameters(self, recurse: bool = True) -> object: ...


class CellLike(Protocol):
    """The part of a cell that a method may know."""

    @property
    def source(self) -> str: ...
    @property
    def target(self) -> str: ...
    @property
    def encoder(self) -> str: ...
    @property
    def seed(self) -> int: ...


@dataclass(frozen=True)
class Second:
    """A second translation of a source sentence, made with its entities marked and matched to the first one.

    `ranges`: by source entity its words, None if the marks lost it. `links`: from its words to those of the first.
    """

    words: tuple[str, ...]
    ranges: tuple[tuple[int, int] | None, ...]
    links: tuple[Link, ...]


class Ask(Protocol):
    """Typed, lazy access to a method's training data. Each access becomes a parent of the result's key.

    Everything beyond `source` needs a declared Need, else UndeclaredNeed. Target dev and test cannot be reached.
    """

    @property
    def cell(self) -> CellLike: ...

    @property
    def tags(self) -> tuple[str, ...]: ...

    def source(self) -> list[Sentence]:
        """The labelled source sentences of this seed's nested subset."""

    def translations(self) -> list[Pair]:
        """Pairs without target labels. TRANSLATION."""

    def targets(self) -> tuple[str, ...]:
        """All targets of this method in the matrix, sorted, the cell's own included. ALL_TARGETS."""

    def labelled_translations(self, *, plain: bool = False, target: str | None = None) -> list[Pair]:
        """Pairs with projected labels. LABELLED_TRANSLATION.

        `plain`: min…max, no filter, every sentence kept. PLAIN_TRANSLATION. `target`: another of `targets()` than the
        cell's. ALL_TARGETS. Unavailable if there are none.
        """

    def second_translations(self) -> list[Second | None]:
        """For each pair of `translations()` a translation of its marked entities, too. SECOND_TRANSLATION.

        None if the sentence has no entity or its marks could not be read. Unavailable if the translator can only look
        translations up.
        """

    def unlabelled(self) -> list[Sentence]:
        """Unlabelled target text, the same for every method. TARGET_UNLABELLED."""

    def parallel_text(self) -> list[Pair]:
        """Unlabelled human parallel text, its words linked as [labels] says. PARALLEL_TEXT.

        Unavailable if the corpus has none in the target language.
        """

    def gold_translations(self) -> list[Pair]:
        """Translations with gold labels: an oracle. TARGET_GOLD."""

    def target_gold(self) -> list[Sentence]:
        """Gold-labelled target training sentences: an oracle. TARGET_GOLD."""

    def test_translations(self, sentences: Sequence[Sentence]) -> list[Pair]:
        """Linked pairs of (source-language translation, target sentence), where there are any. TEST_TRANSLATION.

        In `predict` only. Unavailable if no sentence has a translation.
        """

    def project(self, pairs: Sequence[Pair]) -> list[tuple[Span | None, ...]]:
        """By pair the target span of each source entity, None if it gets none. TEST_TRANSLATION or PARALLEL_TEXT.

        By the matrix's matcher, over the pair's links; filters apply to translated training text only. The outcomes of
        the entities are counted for the record.
        """

    def file(self, name: DataFile) -> Path:
        """The path of a data file that a parameter of the method names; no other file may be read."""

    def model(self, round_name: str) -> Model:
        """An earlier round's model; the round must be among the teachers of this one."""

    def count_labels(self, counts: Mapping[str, int]) -> None:
        """Note for the record the outcomes of the source entities in labels that the method projected itself.

        `entities` = `projected` + `unaligned` + `conflicting` (+ `filtered`), of `pairs` sentences.
        """

    def note(self, name: str, value: float) -> None:
        """Note a number for the record's diagnostics, such as how many sentences were chosen."""

    def rng(self, name: str) -> np.random.Generator:
        """A generator of this seed and stream, the same in every process."""

    def new_tagger(self) -> Tagger:
        """The default tagger: the cell's encoder and a linear head, freshly initialised."""


@dataclass(frozen=True)
class Round:
    """One training. `method` names another method whose training this is, None is the method itself.

    The named one has its default parameters and the recipe of this row; with equal ones it is shared with its own row.
    `start` is "fresh" or an earlier round whose weights it starts from. `needs` narrows the method's (None: all of
    them), which decides whether one training serves all targets.
    """

    name: str
    method: str | Method | None = None
    start: str = "fresh"
    teachers: tuple[str, ...] = ()
    needs: frozenset[Need] | None = None


@dataclass(frozen=True)
class Factors:
    """The factors in which methods differ; `xner compare` prints the differing ones."""

    data: str = "en"  # en | translations | both | target
    labels_from: str = "source gold"
    loss_terms: str = "cross-entropy"
    unlabelled_text: str = "no"
    teacher: str = "none"
    test_time_translation: str = "no"
    target_gold: str = "no"


SearchSpace = Mapping[str, tuple[Any, ...]]  # the values to draw from, by parameter, "labels.matcher", "labels.filters"
Labels = Mapping[tuple[str, ...], tuple[Span, ...]]  # the spans of sentences, by their words


@dataclass(frozen=True)
class Diagnostics:
    """What to record of trained taggers beside their scores; no training depends on it."""

    space: str = ""  # round after which the encoder's space is compared with the pre-trained one's (translation pairs)
    pseudo_labels: Callable[[Any], Sequence[Labels]] | None = None  # trained tagger → its pseudo-labels over time


class Method(ABC):
    """A way to tag the target language. A folder `methods/<name>/method.py` holds one subclass."""

    name: ClassVar[str]
    paper: ClassVar[str] = ""
    display: ClassVar[str] = ""  # what a paper's tables call it; "": its name
    cites: ClassVar[tuple[str, ...]] = ()  # entries of the nearest references.bib
    Params: ClassVar[type[MethodParams]] = MethodParams
    needs: frozenset[Need] = frozenset()  # of the class; parameters may change an instance's
    additive: bool = True  # the loss is a mean over sentences, so a batch may be split
    intrinsic: ClassVar[bool] = False  # scores projected labels and trains nothing: never in a table with taggers
    declared: ClassVar[Factors] = Factors()
    search_space: ClassVar[SearchSpace] = {}  # what `xner search` may choose beside the recipe

    def __init__(self, params: MethodParams | None = None) -> None:
        self.params = self.Params() if params is None else params

    def applies(self, cell: CellLike) -> Skip | None:
        """Why this method makes no sense in the cell; None if it does."""
        return None

    def rounds(self) -> tuple[Round, ...]:
        """The trainings, in order; the last one's model predicts. () trains nothing."""
        return (Round("main"),)

    def prepare(self, round: Round, ask: Ask) -> TrainingSet:
        """The training set, made from `ask` and its generators only. Default: the source sentences."""
        return TrainingSet(labelled=singles(ask.source()))

    def tagger(self, round: Round, ask: Ask) -> Tagger:
        """The tagger that a round trains: a torch module, freshly initialised. Default: `ask.new_tagger()`."""
        return ask.new_tagger()

    def loss(self, tagger: Tagger, step: Step) -> Losses:
        """The loss terms of a step. Default: cross-entropy over the labelled words."""
        from bench.api.objectives import cross_entropy  # here, so that a plan does not import torch

        assert step.labelled is not None
        return (Term("ce", cross_entropy(step.labelled)),)

    def on_epoch(self, tagger: Tagger, state: EpochState) -> None:  # noqa: B027 - a hook, nothing by default
        """Called after each pass over the labelled stream."""

    def carried(self, tagger: Tagger) -> dict[str, Any]:
        """What the hooks remember between steps outside the tagger's weights and buffers: tensors or JSON.

        A long training that was stopped resumes with it; conformance stops every method's.
        """
        return {}

    def carry_on(self, tagger: Tagger, carried: Mapping[str, Any]) -> None:  # noqa: B027 - nothing by default
        """Restore what `carried` returned in a fresh tagger."""

    def predict(self, ask: Ask, models: Mapping[str, Model], sentences: Sequence[Sentence]) -> Predictions:
        """Spans and probabilities of the test sentences. Default: the last round's model."""
        return models[self.rounds()[-1].name].predict(sentences)

    def diagnostics(self) -> Diagnostics:
        """What to measure of the trained taggers beside their scores. Default: nothing."""
        return Diagnostics()

    def factors(self) -> Factors:
        """The factors in which it differs from other methods; override if parameters change them."""
        return self.declared

    def files(self) -> dict[str, Path]:
        """By name the data files that the parameters name (see DataFile). Raises BadInput if there is no such file."""
        own = Path(str(sys.modules[type(self).__module__].__file__)).parent
        files: dict[str, Path] = {}
        for field in fields(self.params):
            name = getattr(self.params, field.name)
            if not isinstance(name, DataFile) or not name:
                continue
            path = next((path for path in (own / name, Path(name)) if path.is_file()), None)
            if path is None:
                place = f"neither in {own.name}/ nor in the working directory"
                raise BadInput(f"method '{self.name}': {field.name}: there is no file '{name}', {place}")
            files[name] = path
        return files
