"""Intrinsic: gold source labels projected to the parallel test. Nothing is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bench.api.method import Ask, Factors, Method, Model, Need, Predictions, Round
from bench.core.errors import Unavailable
from bench.core.sentences import Sentence, tags_of


class GoldProjection(Method):
    """The quality of projected labels: links, matcher and filters against the target side's gold."""

    name = "gold_projection"
    version = 1
    display = "Gold projection"
    cites = ("garciaferrero2022model", "politov2025revisiting")
    paper = "the intrinsic evaluation of Easy-Label-Projection (García-Ferrero et al. 2022) and of Politov et al. 2025"
    needs = frozenset({Need.LABELLED_TRANSLATION})
    intrinsic = True
    declared = Factors(data="translations", labels_from="projection (matcher and filters)", loss_terms="none")

    def rounds(self) -> tuple[Round, ...]:
        return ()

    def predict(self, ask: Ask, models: Mapping[str, Model], sentences: Sequence[Sentence]) -> Predictions:
        """The projected labels of the test's sentences; none where a filter or the translator left a sentence out.

        Raises:
            Unavailable: the test is not a translation of the source sentences, or of more of them than were read.
        """
        projected = {pair.target.group: pair.target for pair in ask.labelled_translations()}
        known = {pair.group for pair in sentences} & projected.keys()
        if not known - {""}:
            raise Unavailable(
                "the test is not a translation of the source sentences, so nothing can be projected onto it"
            )
        read = {sentence.group for sentence in ask.source()}
        if absent := sum(pair.group not in read for pair in sentences):
            raise Unavailable(
                f"{absent} of the test's {len(sentences)} sentences translate none of the {len(read)} source sentences "
                "that were read, so they would count as missed; raise data.n_source"
            )
        tags = {tag: number for number, tag in enumerate(ask.tags)}
        spans, probabilities = [], []
        for sentence in sentences:
            translation = projected.get(sentence.group)
            if translation is not None and translation.words != sentence.words:
                raise Unavailable(f"{sentence.id}: its translation has other words than the test")
            spans.append((translation.spans or ()) if translation is not None else ())
            hard = [tags[tag] for tag in tags_of(spans[-1], len(sentence.words))]
            probabilities.append(np.eye(len(tags), dtype=np.float32)[hard])
        return Predictions(tuple(spans), tuple(probabilities))
