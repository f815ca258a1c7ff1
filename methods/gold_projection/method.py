"""Intrinsic: gold source labels projected to the parallel test. Nothing is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from bench.api.method import Ask, Factors, Method, MethodParams, Model, Need, Predictions, Round
from bench.core.errors import Unavailable
from bench.core.sentences import Sentence, tags_of


@dataclass(frozen=True)
class GoldProjectionParams(MethodParams):
    """None of its own; there is no model to distil."""

    def __post_init__(self) -> None:
        if self.distil:
            raise ValueError("distil must be false: nothing is trained")


class GoldProjection(Method):
    """How good projected labels are by themselves: links, matcher and filters against the target side's gold."""

    name = "gold_projection"
    paper = "the intrinsic evaluation of Easy-Label-Projection (García-Ferrero et al. 2022) and of Politov et al. 2025"
    needs = frozenset({Need.LABELLED_TRANSLATION})
    Params: ClassVar[type[MethodParams]] = GoldProjectionParams
    intrinsic = True
    declared = Factors(data="translations", labels_from="projection (matcher and filters)", loss_terms="none")

    def rounds(self) -> tuple[Round, ...]:
        return ()

    def predict(self, ask: Ask, models: Mapping[str, Model], sentences: Sequence[Sentence]) -> Predictions:
        """The projected labels of the test's own sentences; none where a filter or the translator left one out.

        Raises:
            Unavailable: the test is no translation of the source sentences.
        """
        projected = {pair.target.group: pair.target for pair in ask.labelled_translations()}
        known = {pair.group for pair in sentences} & projected.keys()
        if not known - {""}:
            raise Unavailable("the test is no translation of the source sentences, so nothing can be projected on it")
        tags = {tag: number for number, tag in enumerate(ask.tags)}
        spans, probabilities = [], []
        for sentence in sentences:
            found = projected.get(sentence.group)
            if found is not None and found.words != sentence.words:
                raise Unavailable(f"{sentence.id}: its translation has other words than the test")
            spans.append((found.spans or ()) if found is not None else ())
            hard = [tags[tag] for tag in tags_of(spans[-1], len(sentence.words))]
            probabilities.append(np.eye(len(tags), dtype=np.float32)[hard])
        return Predictions(tuple(spans), tuple(probabilities))
