"""Label projection: train on translations whose labels were projected through word alignment."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from bench.api.method import Ask, Factors, Method, MethodParams, Need, Round, SearchSpace, TrainingSet, pooled, singles


@dataclass(frozen=True)
class LabelProjectionParams(MethodParams):
    """`english` adds all English sentences, drawn as pairs with those translations that are kept."""

    english: bool = False


class LabelProjection(Method):
    """Translations only (or with English), labelled by the matrix's matcher and filters."""

    name = "label_projection"
    version = 2
    display = "Label projection"
    cites = ("ehrmann2011annotation", "ebing2025devil")
    paper = "Ehrmann et al. 2011; with filters Ebing and Glavaš 2025 (devil-in-details)"
    Params: ClassVar[type[MethodParams]] = LabelProjectionParams
    needs = frozenset({Need.LABELLED_TRANSLATION})
    declared = Factors(data="translations", labels_from="projection (matcher and filters)")
    search_space: ClassVar[SearchSpace] = {
        "labels.matcher": ("min-max", "merge-gap", "longest", "ngram-ilp"),
        "labels.filters": ((), ("comp-ins",), ("comp-src", "comp-ins")),
    }
    params: LabelProjectionParams

    def prepare(self, round: Round, ask: Ask) -> TrainingSet:
        """The translations that the filters keep; with English as pairs, as en_trans and concner draw them."""
        kept = ask.labelled_translations()
        english = self.params.english
        return TrainingSet(labelled=pooled(kept, ask.source()) if english else singles([p.target for p in kept]))

    def factors(self) -> Factors:
        return replace(self.declared, data="both") if self.params.english else self.declared
