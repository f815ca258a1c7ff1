"""Candidate matching: train on translations whose labels are matched to ranges, with the help of a tagger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np

from bench.api.batch import Floats, TrainingSet, pooled, singles
from bench.api.candidates import (
    MAX_LENGTH,
    alignment_scores,
    fused_scores,
    greedy,
    ilp,
    linked_window,
    ngrams,
    ranges_of,
    tagger_scores,
)
from bench.api.method import Ask, Factors, Method, MethodParams, Need, Round, SearchSpace, Second
from bench.core.errors import require
from bench.core.sentences import Pair, Span


@dataclass(frozen=True)
class CandidateMatchingParams(MethodParams):
    """Where candidates come from, how they are scored and chosen; see the README."""

    candidates: Literal["ngram", "tagger"] = "ngram"  # tagger: the spans that the teacher finds, whatever their type
    score: Literal["align", "tagger", "fused"] = "fused"  # fused: the weighted sum of the two
    solver: Literal["greedy", "ilp"] = "greedy"
    weights: tuple[float, float] = (0.5, 0.5)  # of alignment and tagger in the fused score
    max_length: int = MAX_LENGTH  # words of an n-gram
    refine: Literal["none", "back-translation"] = "none"  # of the links between entities and translation
    english: bool = False  # English too, drawn as pairs with the translations

    def __post_init__(self) -> None:
        require(min(self.weights) >= 0 and max(self.weights) > 0, "weights must not be below 0, and one must be above")
        require(self.max_length >= 1, "max_length must be at least 1")


class CandidateMatching(Method):
    """Translations (or with English), labelled by matching the source entities with candidate ranges."""

    name = "candidate_matching"
    version = 2
    display = "Candidate matching"
    cites = ("politov2025revisiting",)
    paper = "Politov, Shkalikov, Jäkel, Färber 2025, arXiv 2501.18750"
    Params: ClassVar[type[MethodParams]] = CandidateMatchingParams
    needs = frozenset({Need.TRANSLATION})
    declared = Factors(data="translations", labels_from="candidate matching", teacher="zero_shot")
    search_space: ClassVar[SearchSpace] = {
        "candidates": ("ngram", "tagger"),
        "score": ("align", "tagger", "fused"),
        "solver": ("greedy", "ilp"),
        "weights": ((0.5, 0.5), (0.8, 0.2), (0.2, 0.8)),
    }
    params: CandidateMatchingParams

    def __init__(self, params: MethodParams | None = None) -> None:
        super().__init__(params)
        if self.params.refine != "none":
            self.needs |= {Need.SECOND_TRANSLATION}

    @property
    def taught(self) -> bool:
        """Whether candidates or scores come from a tagger: one trained on English alone."""
        return self.params.candidates == "tagger" or self.params.score != "align"

    def rounds(self) -> tuple[Round, ...]:
        if not self.taught:
            return (Round("main"),)
        return (Round("teacher", method="zero_shot"), Round("main", teachers=("teacher",)))

    def prepare(self, round: Round, ask: Ask) -> TrainingSet:
        """All translations, labelled; the outcomes of the source entities go into the record."""
        translated = ask.translations()
        tagged: list[tuple[Floats | None, Sequence[Span]]] = [(None, ())] * len(translated)
        if self.taught:
            seen = ask.model("teacher").predict([pair.target for pair in translated])
            tagged = list(zip(seen.probabilities, seen.spans, strict=True))
        counts, labelled = Counter({"pairs": len(translated)}), []
        seconds = ask.second_translations() if self.params.refine != "none" else [None] * len(translated)
        for pair, second, (probabilities, spans) in zip(translated, seconds, tagged, strict=True):
            labels, outcomes = self._labelled(_refined(pair, second), ask.tags, probabilities, spans)
            counts.update(outcomes)
            counts["entities"] += len(outcomes)
            labelled.append(replace(pair, target=replace(pair.target, spans=labels)))
        ask.count_labels(counts)
        if self.params.english:
            return TrainingSet(labelled=pooled(labelled, ask.source()))
        return TrainingSet(labelled=singles([pair.target for pair in labelled]))

    def _labelled(
        self, pair: Pair, tags: Sequence[str], probabilities: Floats | None, spans: Sequence[Span]
    ) -> tuple[tuple[Span, ...], list[str]]:
        """The target's spans, and the outcome of each source entity."""
        p, links, entities = self.params, pair.links or (), sorted(pair.source.spans or ())
        if p.candidates == "tagger":
            candidates = ranges_of(spans)
        else:  # only an alignment score is 0 outside of the linked words
            window = linked_window(entities, links) if p.score == "align" else None
            candidates = ngrams(pair.target.words, window, p.max_length)
        scores = alignment_scores(entities, links, candidates)
        if p.score != "align":
            assert probabilities is not None
            of_tagger = tagger_scores(entities, probabilities, tags, candidates)
            scores = of_tagger if p.score == "tagger" else fused_scores((scores, of_tagger), p.weights)
        chosen = (greedy if p.solver == "greedy" else ilp)(candidates, scores)
        labels, outcomes = [], []
        for entity, range_, possible in zip(entities, chosen, np.any(scores > 0, axis=1), strict=True):
            if range_ is not None:
                labels.append(Span(*range_, entity.type))
            outcomes.append("projected" if range_ is not None else "conflicting" if possible else "unaligned")
        return tuple(sorted(labels)), outcomes

    def factors(self) -> Factors:
        p = self.params
        refined = "" if p.refine == "none" else f", {p.refine}"
        labels = f"candidate matching ({p.candidates} candidates, {p.score} score, {p.solver}{refined})"
        data = "both" if p.english else self.declared.data
        return replace(self.declared, data=data, labels_from=labels, teacher="zero_shot" if self.taught else "none")


def _refined(pair: Pair, second: Second | None) -> Pair:
    """The pair with the second translation's words and links appended to the source, and its entities moved there.

    An entity whose marks were lost keeps its words and links.
    """
    if second is None:
        return pair
    start, entities = len(pair.source.words), pair.source.spans or ()
    moved = [
        entity if range_ is None else Span(start + range_[0], start + range_[1], entity.type)
        for entity, range_ in zip(entities, second.ranges, strict=True)
    ]
    source = replace(pair.source, words=pair.source.words + second.words, spans=tuple(moved))
    links = (pair.links or ()) + tuple((start + word, target_word) for word, target_word in second.links)
    return replace(pair, source=source, links=links)
