"""The tables of a matrix file as typed sections. Defaults are fixed here and are part of every key."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from bench.core.errors import require
from bench.plan.schema import Place
from bench.store.record import Contrast

Precision = Literal["fp32", "bf16"]
Rule = Literal["source-dev", "last", "target-dev"]


def _above_zero(section: Any, *names: str) -> None:
    for name in names:
        value = getattr(section, name)
        require(value is None or value > 0, f"{name} must be above 0, not {value}")


def _within(section: Any, name: str, low: float, high: float) -> None:
    value = getattr(section, name)
    require(low <= value < high, f"{name} must be at least {low:g} and below {high:g}, not {value}")


@dataclass(frozen=True)
class DataSpec:
    """[data]: the corpus and how much of it is used."""

    corpus: str  # of those that `xner data list` names
    n_source: int = 1000  # labelled source sentences; nested subsets of one permutation a seed
    n_dev: int = 500  # source sentences that choose a checkpoint, the same for all
    overlap: Literal["refuse", "drop-from-train"] = "refuse"  # action of the leakage guard
    n_unlabelled: int = 2000  # target sentences without labels, for the methods that ask for them

    def __post_init__(self) -> None:
        _above_zero(self, "n_source", "n_dev")
        require(self.n_unlabelled >= 0, "n_unlabelled must not be below 0")


@dataclass(frozen=True)
class LabelsSpec:
    """[labels]: how labelled translations are made; one artefact, the same for every method."""

    translator: str = "files"  # who translates the source sentences
    tokenisation: Literal["corpus", "moses"] = "corpus"  # of machine translations
    transfer: str = "align"  # how labels get to the translations: over links, or by a plug-in that marks entities
    fallback: Literal["align", "drop"] = "align"  # of a sentence whose placeholders or markers are damaged
    aligner: str = "gold"  # who links the words of a pair
    aligner_encoder: str = ""  # of the aligners that embed; fixed for the matrix, not the cell's own
    matcher: str = "min-max"  # which target words carry the label of linked source words
    filters: tuple[str, ...] = ()  # which translated sentences are left out

    def __post_init__(self) -> None:
        require(len(set(self.filters)) == len(self.filters), "filters must not repeat a filter")


@dataclass(frozen=True)
class TrainSpec:
    """[train]: the budget and the selection, equal for every method of the matrix."""

    steps: int = 500  # of the optimiser, in every training
    batch: int = 32  # labelled sentences a step
    evals: int = 10  # evaluations a training, evenly spaced, the last at its end
    budget: Literal["steps", "epochs"] = "steps"  # which of the two decides; only steps are equal for all methods
    epochs: int = 10  # with budget = "epochs"
    precision: Precision = "fp32"  # bf16: autocast, where the device has it
    rules: tuple[Rule, ...] = ("source-dev", "last")  # selection; the first is the main one
    decoding: Literal["greedy", "viterbi"] = "greedy"  # viterbi: the most probable well-formed sequence of tags
    threads: int = 2  # CPU threads of one training; another number may give other rounding, so it is in the key
    compile: bool = False  # torch.compile

    def __post_init__(self) -> None:
        _above_zero(self, "steps", "batch", "evals", "epochs", "threads")
        require(self.budget != "steps" or self.evals <= self.steps, f"evals must not exceed the {self.steps} steps")
        require(0 < len(self.rules) == len(set(self.rules)), "rules must name at least one rule, and none twice")


@dataclass(frozen=True)
class EncoderSpec:
    """[encoder."<id>"]: the recipe. It belongs to the encoder, never to a method."""

    revision: str = ""  # of a Hub model; a commit, to be pinned
    lr: float = 2e-5  # highest learning rate of the encoder
    head_lr: float | None = None  # of all that is not the encoder; None: the same as its
    warmup: float = 0.1  # share of the steps
    weight_decay: float = 0.01  # word embeddings are not decayed
    clip: float = 1.0  # norm of the gradient
    dropout: float = 0.1  # before the classifier
    layers: int | None = None  # only so many of the lowest layers are read and trained; None: all
    freeze: int = 0  # lowest layers that keep their pre-trained weights, and with them the embeddings
    max_length: int = 128  # sub-words with specials; longer sentences are windowed
    align_layer: int | None = None  # layer whose states align words; None: the aligner's default
    steps: int | None = None  # steps, batch and precision override [train] for all methods alike
    batch: int | None = None
    precision: Precision | None = None

    def __post_init__(self) -> None:
        _above_zero(self, "lr", "head_lr", "clip", "layers", "steps", "batch")
        _within(self, "warmup", 0, 1)
        _within(self, "dropout", 0, 1)
        for name in ("weight_decay", "freeze", "align_layer"):
            require((getattr(self, name) or 0) >= 0, f"{name} must not be below 0")
        require(self.max_length >= 8, "max_length must be at least 8")


@dataclass(frozen=True)
class SearchSpec:
    """[search]: how `xner search` chooses settings (`bench.plan.search`), with the same trials for every method."""

    trials: int = 0  # the first is the recipe as given; 0: there is no search
    seeds: tuple[int, ...] = ()  # none of them is reported
    target: str = ""  # the language on whose translations methods train during the search
    lr: tuple[float, ...] = ()  # multiples of the recipe's, as those of head_lr and steps
    head_lr: tuple[float, ...] = ()
    steps: tuple[float, ...] = ()
    dropout: tuple[float, ...] = ()
    same_as: dict[str, str] = field(default_factory=dict)  # a row, and the one whose settings it takes unsearched
    run: bool = False  # this is the search itself, not the matrix

    def __post_init__(self) -> None:
        require(self.trials >= 0, "trials must not be below 0")
        require(all(0 <= value < 1 for value in self.dropout), "dropout must hold numbers from 0 to below 1")
        for name in ("lr", "head_lr", "steps"):
            require(all(value > 0 for value in getattr(self, name)), f"{name} must hold numbers above 0")
        given = not self.trials or (self.seeds and self.target)
        require(bool(given), "seeds and target must be given: a search has its own")
        most = math.prod(map(len, self.shared().values()))
        require(self.trials <= 1 + most, f"trials must be at most 1 + {most}: the recipe as given and each combination")

    def shared(self) -> dict[str, tuple[float, ...]]:
        """The space that all methods share, by name."""
        space = {name: getattr(self, name) for name in ("lr", "head_lr", "steps", "dropout")}
        return {name: values for name, values in space.items() if values}


@dataclass(frozen=True)
class Settings:
    """[chosen.ENCODER.ROW], as `xner search` writes it: the settings of a row; None: the matrix's."""

    trial: int = 0
    dev_f1: float | None = None  # on source dev, the mean over the seeds of the search
    lr: float | None = None
    head_lr: float | None = None
    dropout: float | None = None
    steps: int | None = None
    params: dict[str, Any] = field(default_factory=dict)  # of the method
    labels: dict[str, Any] = field(default_factory=dict)  # of [labels]: matcher, filters

    def plain(self) -> dict[str, Any]:
        """What differs from the matrix, and the trial; {} where nothing was searched."""
        known = {field.name: getattr(self, field.name) for field in fields(self)}
        return {} if self == Settings() else {name: v for name, v in known.items() if v not in (None, {})}


@dataclass(frozen=True)
class AxesSpec:
    """[axes]: the axes whose product gives the cells."""

    methods: tuple[str, ...]  # of methods or of variants
    targets: tuple[str, ...]  # languages, each tested on its own
    seeds: tuple[int, ...]  # of initialisation, order and subset
    encoders: tuple[str, ...] = ("none",)  # hub ids, folders or our own; none: enough where nothing is trained
    extra: dict[str, tuple[Any, ...]] = field(default_factory=dict)  # by dotted key, e.g. "data.n_source"


@dataclass(frozen=True)
class VariantSpec:
    """[[variant]]: a method under another name with other parameters."""

    name: str  # its row in tables
    use: str  # the method
    params: dict[str, Any] = field(default_factory=dict)
    display: str = ""  # what a paper's tables call it


@dataclass(frozen=True)
class TablesSpec:
    """[tables], and the options of `xner tables`: what a paper's tables show, and how. It is in no key."""

    rows: tuple[str, ...] = ()  # rows or patterns such as "gold_projection (*, longest)", in order; "ROW=what to print"
    columns: tuple[str, ...] = ()  # of the table, in order; languages that are left out are in no average either
    order: Literal["matrix", "score", "name"] = "matrix"  # of the rows
    rule: str = ""  # selection rule of the scores; "": the main one
    decimals: int = 1  # of F1
    intervals: Literal["pm", "paren", "none"] = "pm"  # 61.2 ± 1.3, 61.2 (±1.3), 61.2
    layout: Literal["wide", "tall", "by-family"] = "wide"  # languages in columns, or in rows; rows in blocks
    caption: str = ""  # of the first table
    label: str = ""  # of the first table; names the files, too
    notes: Literal["none", "short", "full"] = "short"  # short: without corpus and settings
    only: tuple[str, ...] = ("main",)  # which tables
    names: dict[str, str] = field(default_factory=dict)  # by method or variant what is printed

    def __post_init__(self) -> None:
        _within(self, "decimals", 0, 7)
        require(bool(self.only), "only must name at least one table")
        label = re.fullmatch(r"|([\w.-]+:)*[\w-][\w.-]*", self.label, re.ASCII)
        require(bool(label), "label must be letters, digits, '-', '_' and '.', such as tab:main")


@dataclass(frozen=True)
class MatrixSpec:
    """A matrix file, checked. `data`, `labels` and `train` hold the first value of each extra axis."""

    name: str
    source: str
    axes: AxesSpec
    data: DataSpec
    labels: LabelsSpec
    train: TrainSpec
    search: SearchSpec = field(default_factory=SearchSpec)
    chosen: Mapping[str, Mapping[str, Settings]] = field(default_factory=dict)  # by encoder and row
    variants: tuple[VariantSpec, ...] = ()
    excludes: tuple[dict[str, tuple[Any, ...]], ...] = ()  # by axis the values; all keys of an entry must hold
    contrasts: tuple[Contrast, ...] = ()  # as written; `bench.plan.contrasts.declared` gives them row by row
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)  # the tables as given, --set applied
    where: Place = field(default_factory=lambda: Place("matrix"), repr=False, compare=False)

    def variant(self, label: str) -> VariantSpec | None:
        """The variant of that name, or None where the label is a method's."""
        return next((variant for variant in self.variants if variant.name == label), None)
