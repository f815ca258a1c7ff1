"""En+Trans: English and its translations pooled, labels projected in the plainest way."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from bench.api.method import Ask, Factors, Method, MethodParams, Need, Round, SearchSpace, TrainingSet, pooled
from bench.core.errors import require


@dataclass(frozen=True)
class EnTransParams(MethodParams):
    """`english_weight`: of an English sentence in the loss, beside 1 of a translation."""

    english_weight: float = 1.0

    def __post_init__(self) -> None:
        require(self.english_weight >= 0, "english_weight must not be below 0")


class EnTrans(Method):
    """English ∪ translations, drawn as pairs; min…max projection, no filter, every sentence kept, translated or not."""

    name = "en_trans"
    version = 2
    display = "En + Trans"
    cites = ("fu2022concner",)
    paper = "Fu et al. 2022 (ConCNER, arXiv 2204.00796) names it as the baseline whose gain is limited"
    Params: ClassVar[type[MethodParams]] = EnTransParams
    needs = frozenset({Need.PLAIN_TRANSLATION})
    declared = Factors(data="both", labels_from="projection (plain)")
    search_space: ClassVar[SearchSpace] = {"english_weight": (0.25, 0.5, 1.0, 2.0)}
    params: EnTransParams

    def prepare(self, round: Round, ask: Ask) -> TrainingSet:
        groups = pooled(ask.labelled_translations(plain=True), ask.source())
        weight = self.params.english_weight
        return TrainingSet(labelled=tuple((replace(source, weight=weight), *target) for source, *target in groups))
