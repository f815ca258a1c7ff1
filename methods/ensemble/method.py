"""Ensemble of translate-train and translate-test: the mean of their probabilities on the words of the test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np

from bench.api.method import Ask, Factors, Method, MethodParams, Model, Need, Predictions, Round, SearchSpace
from bench.api.translate_test import carried_back
from bench.core.sentences import Sentence, spans_of


@dataclass(frozen=True)
class EnsembleParams(MethodParams):
    """The translate-train method, and the treatment of words that no projected entity reached; see the README."""

    partner: Literal["label_projection", "en_trans"] = "label_projection"
    restrict: bool = True  # RSTR-TGT: a one-word entity gets one word
    unreached: Literal["partner", "outside"] = "partner"  # the partner's probabilities alone, or a vote for O


class Ensemble(Method):
    """Two taggers: one trained on English reads the translation, one trained on translations reads the sentence."""

    name = "ensemble"
    version = 1
    display = "Ensemble"
    cites = ("ebing2025devil",)
    paper = "Ebing and Glavaš 2025 (devil-in-details)"
    Params: ClassVar[type[MethodParams]] = EnsembleParams
    needs = frozenset({Need.TEST_TRANSLATION})
    declared = Factors(
        data="both",
        labels_from="projection (matcher and filters)",
        test_time_translation="yes, averaged with label_projection",
    )
    search_space: ClassVar[SearchSpace] = {
        "partner": ("label_projection", "en_trans"),
    }
    params: EnsembleParams

    def rounds(self) -> tuple[Round, ...]:
        """The trainings of zero_shot and the partner, shared with them; selection rules use the partner."""
        return (Round("tagger", method="zero_shot"), Round("main", method=self.params.partner))

    def predict(self, ask: Ask, models: Mapping[str, Model], sentences: Sequence[Sentence]) -> Predictions:
        """The mean of both, decoded word by word: an I-X that continues no X opens a span."""
        carried = carried_back(ask, models["tagger"], sentences, restrict=self.params.restrict)
        direct = models["main"].predict(sentences)
        means, spans = [], []
        for back, own in zip(carried, direct.probabilities, strict=True):
            whole = back.translated and self.params.unreached == "outside"
            means.append(np.where((back.reached | whole)[:, None], (back.probabilities + own) / 2, own))
            spans.append(spans_of([ask.tags[best] for best in means[-1].argmax(-1)]))
        return Predictions(tuple(spans), tuple(means))

    def factors(self) -> Factors:
        if self.params.partner == "label_projection":
            return self.declared
        averaged = f"yes, averaged with {self.params.partner}"
        return replace(self.declared, labels_from="projection (plain)", test_time_translation=averaged)
