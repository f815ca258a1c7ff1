"""Translate-train-all: English and its translations into every target of the matrix, one training for all of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from bench.api.method import Ask, Factors, Method, MethodParams, Need, Round, SearchSpace, TrainingSet, pooled, singles
from bench.core.errors import Unavailable
from bench.core.sentences import Pair


@dataclass(frozen=True)
class TranslateTrainAllParams(MethodParams):
    """How sentences are drawn, and the source of labels; the defaults are ours, fixed in advance."""

    drawn: Literal["singly", "pairs"] = "singly"  # pairs: each translation with its English sentence, as en_trans draws
    labels: Literal["plain", "matrix"] = "plain"  # plain: en_trans's projection; matrix: its matcher and filters


class TranslateTrainAll(Method):
    """English ∪ the translations into all targets, pooled; evaluated on each target."""

    name = "translate_train_all"
    version = 2
    display = "Translate-train-all"
    cites = ("hu2020xtreme",)
    paper = "Hu et al. 2020 (XTREME, arXiv 2003.11080), translate-train-all"
    Params: ClassVar[type[MethodParams]] = TranslateTrainAllParams
    needs = frozenset({Need.PLAIN_TRANSLATION, Need.ALL_TARGETS})
    declared = Factors(data="both", labels_from="projection (plain), into all targets")
    search_space: ClassVar[SearchSpace] = {
        "drawn": ("singly", "pairs"),
        "labels": ("plain", "matrix"),
    }
    params: TranslateTrainAllParams

    def __init__(self, params: MethodParams | None = None) -> None:
        super().__init__(params)
        if self.params.labels == "matrix":
            self.needs = frozenset({Need.LABELLED_TRANSLATION, Need.ALL_TARGETS})

    def prepare(self, round: Round, ask: Ask) -> TrainingSet:
        """The pooled sentences; the number of translations into each target is noted.

        Raises:
            Unavailable: no target has a translation.
        """
        translated: list[Pair] = []
        missing = Unavailable("no target of the matrix has a translation")
        for target in ask.targets():
            of_target: list[Pair] = []
            try:
                of_target = ask.labelled_translations(plain=self.params.labels == "plain", target=target)
            except Unavailable as error:
                missing = error
            ask.note(f"translations into {target}", len(of_target))
            translated += of_target
        if not translated:
            raise missing
        if self.params.drawn == "pairs":
            return TrainingSet(labelled=pooled(translated, ask.source()))
        return TrainingSet(labelled=singles([*ask.source(), *(pair.target for pair in translated)]))

    def factors(self) -> Factors:
        labels = "plain" if self.params.labels == "plain" else "matcher and filters"
        return replace(self.declared, labels_from=f"projection ({labels}), into all targets")
