"""Annotation projection: train on human parallel text that zero_shot's model has tagged on its English side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from bench.api.annotation import Annotation, annotated
from bench.api.method import Ask, Factors, Method, MethodParams, Need, Round, SearchSpace, TrainingSet, pairs, singles


@dataclass(frozen=True)
class AnnotationProjectionParams(Annotation):
    """`english`: gold English sentences too; pairs: those, and the English side beside each line of the text."""

    english: Literal["none", "gold", "pairs"] = "gold"


class AnnotationProjection(Method):
    """No translation of labelled sentences: what is translated is text that nobody labelled."""

    name = "annotation_projection"
    version = 2
    display = "Annotation projection"
    cites = ("yarowsky2001inducing", "ni2017weakly")
    paper = "Yarowsky and Ngai 2001; Ni, Dinu and Florian 2017"
    Params: ClassVar[type[MethodParams]] = AnnotationProjectionParams
    needs = frozenset({Need.PARALLEL_TEXT})
    declared = Factors(data="both", labels_from="projection of a teacher's (parallel text)", teacher="zero_shot")
    search_space: ClassVar[SearchSpace] = {
        "share": (0.25, 0.5, 0.75, 1.0),
        "projected": (0.5, 1.0),
        "empty": (True, False),
        "labels.matcher": ("min-max", "merge-gap", "longest", "ngram-ilp"),
    }
    params: AnnotationProjectionParams

    def rounds(self) -> tuple[Round, ...]:
        return (Round("teacher", method="zero_shot"), Round("main", teachers=("teacher",)))

    def prepare(self, round: Round, ask: Ask) -> TrainingSet:
        """The lines that are kept, and English as the parameters say."""
        kept = annotated(ask, "teacher", self.params)
        labelled = pairs(kept) if self.params.english == "pairs" else singles([pair.target for pair in kept])
        return TrainingSet(labelled=labelled if self.params.english == "none" else labelled + singles(ask.source()))

    def factors(self) -> Factors:
        if self.params.english != "none":
            return self.declared
        return Factors("translations", self.declared.labels_from, teacher=self.declared.teacher)
