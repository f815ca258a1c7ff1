"""Translate-test: train on English, tag the English translation of a test sentence, project its entities back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from bench.api.method import Ask, Factors, Method, MethodParams, Model, Need, Predictions, Round
from bench.api.translate_test import carried_back
from bench.core.sentences import Sentence


@dataclass(frozen=True)
class TranslateTestParams(MethodParams):
    """`restrict` is RSTR-TGT: a one-word entity gets one word."""

    restrict: bool = True


class TranslateTest(Method):
    """zero_shot's training (shared with it), used on translations of the test."""

    name = "translate_test"
    version = 1
    display = "Translate-test"
    cites = ("ebing2025devil",)
    paper = "Ebing and Glavaš 2025 (devil-in-details)"
    Params: ClassVar[type[MethodParams]] = TranslateTestParams
    needs = frozenset({Need.TEST_TRANSLATION})
    declared = Factors(test_time_translation="yes")
    params: TranslateTestParams

    def rounds(self) -> tuple[Round, ...]:
        return (Round("main", method="zero_shot"),)

    def predict(self, ask: Ask, models: Mapping[str, Model], sentences: Sequence[Sentence]) -> Predictions:
        """The tagger's entities in the translations, projected to the sentences; O where there is no translation."""
        carried = carried_back(ask, models["main"], sentences, restrict=self.params.restrict)
        return Predictions(tuple(back.spans for back in carried), tuple(back.probabilities for back in carried))
