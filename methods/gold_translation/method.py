"""Oracle: English and its translations with gold labels on both sides."""

from __future__ import annotations

from bench.api.method import Ask, Factors, Method, Need, Round, TrainingSet, pooled


class GoldTranslation(Method):
    """The upper bound of en_trans: the corpus's own translations, with gold labels."""

    name = "gold_translation"
    version = 2
    display = "Gold translation"
    needs = frozenset({Need.TARGET_GOLD})
    declared = Factors(data="both", labels_from="target gold", target_gold="yes")

    def prepare(self, round: Round, ask: Ask) -> TrainingSet:
        return TrainingSet(labelled=pooled(ask.gold_translations(), ask.source()))
