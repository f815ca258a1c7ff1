"""Oracle: full supervision in the target language."""

from __future__ import annotations

from bench.api.method import Ask, Factors, Method, Need, Round, TrainingSet, singles


class TargetSupervised(Method):
    """As many gold-labelled target sentences as the other methods have source sentences: the upper bound."""

    name = "target_supervised"
    version = 1
    display = "Target-supervised"
    needs = frozenset({Need.TARGET_GOLD})
    declared = Factors(data="target", labels_from="target gold", target_gold="yes")

    def prepare(self, round: Round, ask: Ask) -> TrainingSet:
        return TrainingSet(labelled=singles(ask.target_gold()))
