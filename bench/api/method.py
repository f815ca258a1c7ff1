"""The plug-in interface: a method says only what differs; the runner owns data, loop, decoding and scoring."""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import numpy as np

from bench.api.training_set import Example as Example  # part of the interface
from bench.api.training_set import Floats as Floats
from bench.api.training_set import Group as Group
from bench.api.training_set import Ints as Ints
from bench.api.training_set import TrainingSet as TrainingSet
from bench.api.training_set import pairs as pairs
from bench.api.training_set import singles as singles
from bench.core.sentences import Link, Pair, Sentence, Span

if TYPE_CHECKING:
    from torch import Tensor


class Need(Enum):
    """What a method may ask for beyond the labelled source sentences. Asking for more raises UndeclaredNeed."""

    TRANSLATION = "translations of the source sentences"
    PLAIN_TRANSLATION = "translations with plainly projected labels (min…max, no filter)"
    LABELLED_TRANSLATION = "translations labelled by the matrix's matcher and filters"
    SECOND_TRANSLATION = "second translations of the source sentences, made with their entities marked"
    TARGET_UNLABELLED = "unlabelled target text"
    TEST_TRANSLATION = "test-time translation"  # in `predict` only: no round may ask for it while it prepares
    TARGET_GOLD = "gold labels in the target language"
    ALL_TARGETS = "the matrix's other targets"  # their translations too: one training then serves them all


LINKED = frozenset({Need.TRANSLATION, Need.PLAIN_TRANSLATION, Need.LABELLED_TRANSLATION})  # all read [labels]' links


class UndeclaredNeed(RuntimeError):
    """A method reached for something that its `needs` do not list."""


@dataclass(frozen=True)
class Skip:
    """Why a method does not run in a cell; the table prints the reason in place of a number."""

    reason: str


@dataclass(frozen=True)
class MethodParams:
    """Parameters that every method has. Fixed in advance and part of the key.

    `distil` adds a last round (ConCNER; TSL, Wu et al. 2020): a student learns the method's probabilities on unlabelled
    target text. The loss on probability vectors is the mean squared error by default.
    """

    distil: bool = False
    distil_loss: Literal["mse", "kl", "hard"] = "mse"
    distil_start: Literal["teacher", "fresh"] = "teacher"
    distil_outside: bool = True  # words that the teacher calls O count too


# --- what a step sees ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """A batch on the device before the encoder has read it (see bench.core.subwords.Layout for the windows).

    Shapes, S sentences of at most N words, W windows of length L, C tags: `ids`, `mask`, `real` (W, L);
    `sentence` (W,); `words`, `word_mask`, `labels` (S, N), −100 where there is no label; `soft` (S, N, C) and
    `soft_mask` (S, N) or None; `weights`, `groups` (S,).
    """

    ids: Tensor
    mask: Tensor
    real: Tensor
    sentence: Tensor
    words: Tensor
    word_mask: Tensor
    labels: Tensor
    soft: Tensor | None
    soft_mask: Tensor | None
    weights: Tensor
    groups: Tensor
    sentences: tuple[Sentence, ...]
    tokens: int  # real sub-words

    @property
    def languages(self) -> tuple[str, ...]:
        return tuple(sentence.language for sentence in self.sentences)


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """A batch that the encoder has read: windows are stitched, so every word has its state whatever the length.

    Shapes: `states` (S, N, H) last-layer state of each word's first sub-word; `vectors` (S, H) mean of the last layer
    over real sub-words; `logits` (S, N, C).
    """

    inputs: Inputs
    states: Tensor
    pooled: Tensor | Callable[[], Tensor]  # the vectors, or what makes them when they are asked for
    logits: Tensor

    @property
    def vectors(self) -> Tensor:
        return self.pooled() if callable(self.pooled) else self.pooled


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One optimiser step: a batch of each stream that the training set has."""

    labelled: Batch | None
    paired: Batch | None
    unlabelled: Batch | None
    number: int  # from 0
    total: int


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """A named scalar of the loss and its weight; the runner weighs, sums and logs each."""

    name: str
    value: Tensor
    weight: float = 1.0


Losses = tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class EpochState:
    """Where training stands when `on_epoch` is called: after each pass over the labelled stream."""

    epoch: int
    step: int
    total: int


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """Spans of each sentence, and probabilities (words, tags) float32 of each."""

    spans: tuple[tuple[Span, ...], ...]
    probabilities: tuple[Floats, ...]


class Model(Protocol):
    """A trained tagger at the checkpoint that a round hands on."""

    def predict(self, sentences: Sequence[Sentence]) -> Predictions: ...


class Tagger(Protocol):
    """Encoder and head: a torch module. The default is `bench.train.tagger.LinearTagger`; decoding is its own."""

    tags: tuple[str, ...]
    pooling: Literal["mean", "cls"]  # what a batch's sentence vectors are
    pooled_layer: Literal["last", "first"]

    def read(self, inputs: Inputs) -> Batch:
        """Run the encoder and head. Called by the runner once a stream; again by a method that wants a second view."""
        ...

    def decode(self, batch: Batch) -> Predictions: ...

    def parameters(self, recurse: bool = True) -> object: ...


class CellLike(Protocol):
    """What a method may know of its cell."""

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

    `ranges`: by source entity its words, None where the marks lost it. `links`: from its words to those of the first.
    """

    words: tuple[str, ...]
    ranges: tuple[tuple[int, int] | None, ...]
    links: tuple[Link, ...]


class Ask(Protocol):
    """Typed, lazy access to what a method trains on. Each access becomes a parent of the result's key.

    Everything beyond `source` needs a declared Need, else UndeclaredNeed. Target dev and test cannot be reached.
    """

    @property
    def cell(self) -> CellLike: ...

    @property
    def tags(self) -> tuple[str, ...]: ...

    def source(self) -> list[Sentence]:
        """The labelled source sentences of this seed's nested subset."""
        ...

    def translations(self) -> list[Pair]:
        """Pairs without target labels. TRANSLATION."""
        ...

    def targets(self) -> tuple[str, ...]:
        """All targets for which the matrix holds this method, sorted: the cell's own among them. ALL_TARGETS."""
        ...

    def labelled_translations(self, *, plain: bool = False, target: str | None = None) -> list[Pair]:
        """Pairs with projected labels. LABELLED_TRANSLATION.

        `plain`: min…max, no filter, every sentence kept. PLAIN_TRANSLATION. `target`: another one than the cell's, of
        `targets()`. ALL_TARGETS. Unavailable where there are none.
        """
        ...

    def second_translations(self) -> list[Second | None]:
        """By pair of `translations()` another translation that marks carry the entities into. SECOND_TRANSLATION.

        None where the sentence has no entity or its marks could not be read. Unavailable where the translator can only
        look translations up.
        """
        ...

    def unlabelled(self) -> list[Sentence]:
        """Unlabelled target text, the same for every method. TARGET_UNLABELLED."""
        ...

    def gold_translations(self) -> list[Pair]:
        """Translations with gold labels: an oracle. TARGET_GOLD."""
        ...

    def target_gold(self) -> list[Sentence]:
        """Gold-labelled target training sentences: an oracle. TARGET_GOLD."""
        ...

    def test_translations(self, sentences: Sequence[Sentence]) -> list[Pair]:
        """(source-language translation, target sentence) pairs with links, where there are any. TEST_TRANSLATION.

        In `predict` only. Unavailable where not one sentence has a translation.
        """
        ...

    def project(self, pairs: Sequence[Pair]) -> list[tuple[Span | None, ...]]:
        """By pair the target span of each source entity, None where it gets none. TEST_TRANSLATION.

        By the matrix's matcher, over the pair's links; filters are for training text. What became of the entities is
        counted for the record.
        """
        ...

    def model(self, round_name: str) -> Model:
        """An earlier round's model; the round must be among the teachers of this one."""
        ...

    def count_labels(self, counts: Mapping[str, int]) -> None:
        """Note for the record what became of the source entities in labels that the method projected itself.

        `entities` = `projected` + `unaligned` + `conflicting` (+ `filtered`), of `pairs` sentences.
        """
        ...

    def note(self, name: str, value: float) -> None:
        """Note a number for the record's diagnostics, such as how many sentences were chosen."""

    def rng(self, name: str) -> np.random.Generator:
        """A generator of this seed and stream, the same in every process."""
        ...

    def new_tagger(self) -> Tagger:
        """The default tagger: the cell's encoder and a linear head, freshly initialised."""
        ...


@dataclass(frozen=True)
class Round:
    """One training. `method` names another method whose training this is (shared with it), None is the method itself.

    `start` is "fresh" or an earlier round whose weights it starts from. `needs` narrows what it asks for (None: all of
    the method's), which decides whether one training serves all targets.
    """

    name: str
    method: str | Method | None = None
    start: str = "fresh"
    teachers: tuple[str, ...] = ()
    needs: frozenset[Need] | None = None


@dataclass(frozen=True)
class Factors:
    """In what methods differ; `xner compare` prints the differing ones."""

    data: str = "en"  # en | translations | both | target
    labels_from: str = "source gold"
    loss_terms: str = "cross-entropy"
    unlabelled_text: str = "no"
    teacher: str = "none"
    test_time_translation: str = "no"
    target_gold: str = "no"


class Method(ABC):
    """One way of reaching the target language. A folder `methods/<name>/method.py` holds one subclass."""

    name: ClassVar[str]
    paper: ClassVar[str] = ""
    Params: ClassVar[type[MethodParams]] = MethodParams
    needs: frozenset[Need] = frozenset()  # of the class; parameters may change an instance's
    additive: ClassVar[bool] = True  # the loss is a mean over sentences, so a batch may be split
    diagnosed: ClassVar[bool] = False  # record how the encoder's space looks before and after (translation pairs)
    intrinsic: ClassVar[bool] = False  # scores projected labels, not a tagger: never in a table with taggers
    declared: ClassVar[Factors] = Factors()

    def __init__(self, params: MethodParams | None = None) -> None:
        self.params = self.Params() if params is None else params

    def applies(self, cell: CellLike) -> Skip | None:
        """None, or why this method makes no sense in the cell."""
        return None

    def rounds(self) -> tuple[Round, ...]:
        """The trainings, in order; the last one's model predicts (`bench.api.rounds` adds distillation); () trains none."""
        return (Round("main"),)

    def prepare(self, round: Round, ask: Ask) -> TrainingSet:
        """The training set; pure: from `ask` and its generators only. Default: the source sentences."""
        return TrainingSet(labelled=singles(ask.source()))

    def tagger(self, round: Round, ask: Ask) -> Tagger:
        return ask.new_tagger()

    def loss(self, tagger: Tagger, step: Step) -> Losses:
        """Default: cross-entropy over the labelled words."""
        from bench.api.objectives import cross_entropy

        assert step.labelled is not None
        return (Term("ce", cross_entropy(step.labelled)),)

    def on_epoch(self, tagger: Tagger, state: EpochState) -> None:  # noqa: B027 - a hook, nothing by default
        """After each pass over the labelled stream."""

    def carried(self, tagger: Tagger) -> dict[str, Any]:
        """What its hooks remember from step to step outside the tagger's weights and buffers, tensors or JSON.

        A long training that was stopped goes on with it; conformance stops every method's.
        """
        return {}

    def carry_on(self, tagger: Tagger, carried: Mapping[str, Any]) -> None:  # noqa: B027 - nothing by default
        """Put into a fresh tagger what `carried` gave."""

    def predict(self, ask: Ask, models: Mapping[str, Model], sentences: Sequence[Sentence]) -> Predictions:
        """Spans and probabilities of the test sentences. Default: the last round's model."""
        from bench.api.rounds import all_rounds

        return models[all_rounds(self)[-1].name].predict(sentences)

    def own_factors(self) -> Factors:
        """The method's factors without distillation; override where parameters change them."""
        return self.declared

    def factors(self) -> Factors:
        """The method's factors, with those that distillation changes."""
        own = self.own_factors()
        if not self.params.distil:
            return own
        terms = f"{own.loss_terms}; distillation ({self.params.distil_loss})"
        return replace(own, unlabelled_text="yes", teacher="own model", loss_terms=terms)
