"""Self-training: English, and target sentences that an earlier model labelled with confidence."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import ClassVar, Literal

from bench.api.method import Ask, Factors, Floats, Method, MethodParams, Need, Round, SearchSpace, TrainingSet, singles
from bench.core.errors import require


@dataclass(frozen=True)
class SelfTrainingParams(MethodParams):
    """Which sentences are confident enough, and how often; the defaults are ours, fixed in advance."""

    rounds: int = 1  # students in a row, each taught by the one before
    threshold: float = 0.9  # a sentence is kept if its confidence is above
    confidence: Literal["mean", "least"] = "mean"  # of a sentence's words: each one's probability of its best tag

    def __post_init__(self) -> None:
        require(self.rounds >= 1, "rounds must be at least 1")
        require(0 <= self.threshold < 1, "threshold must be at least 0 and below 1")


class SelfTraining(Method):
    """zero_shot labels target text; a fresh student is trained on English and the confidently labelled sentences."""

    name = "self_training"
    version = 1
    display = "Self-training"
    cites = ("yarowsky1995unsupervised",)
    paper = "Yarowsky 1995, 'Unsupervised word sense disambiguation rivaling supervised methods', of pseudo-labels"
    Params: ClassVar[type[MethodParams]] = SelfTrainingParams
    needs = frozenset({Need.TARGET_UNLABELLED})
    declared = Factors(labels_from="source gold, pseudo-labels", unlabelled_text="yes", teacher="zero_shot")
    search_space: ClassVar[SearchSpace] = {
        "rounds": (1, 2),
        "threshold": (0.5, 0.7, 0.9, 0.95),
        "confidence": ("mean", "least"),
    }
    params: SelfTrainingParams

    def rounds(self) -> tuple[Round, ...]:
        names = ["teacher", *(f"student-{number}" for number in range(1, self.params.rounds + 1))]
        students = (Round(name, teachers=(before,)) for before, name in pairwise(names))
        return (Round("teacher", method="zero_shot"), *students)

    def prepare(self, round: Round, ask: Ask) -> TrainingSet:
        """English, and the pseudo-labelled sentences that are kept; their number is noted for the record."""
        sentences = ask.unlabelled()
        predicted = ask.model(round.teachers[0]).predict(sentences)
        labelled = zip(sentences, predicted.spans, predicted.probabilities, strict=True)
        kept = [replace(s, spans=spans) for s, spans, probabilities in labelled if self.keeps(probabilities)]
        ask.note(f"{round.name}: sentences kept", len(kept))
        ask.note(f"{round.name}: sentences", len(sentences))
        return TrainingSet(labelled=singles([*ask.source(), *kept]))

    def keeps(self, probabilities: Floats) -> bool:
        """Whether a sentence with these probabilities (words, tags) is confident enough."""
        best = probabilities.max(-1)
        sure = best.mean() if self.params.confidence == "mean" else best.min()
        return bool(sure > self.params.threshold)

    def factors(self) -> Factors:
        return replace(self.declared, teacher="zero_shot" if self.params.rounds == 1 else "zero_shot, own models")
