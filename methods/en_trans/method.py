"""En+Trans: English and its translations pooled, labels projected in the plainest way."""

from __future__ import annotations

from bench.api.method import Ask, Factors, Method, Need, Round, TrainingSet, pairs


class EnTrans(Method):
    """English ∪ translations, drawn as pairs; min…max projection, no filter, every sentence kept."""

    name = "en_trans"
    paper = "Fu et al. 2022 (ConCNER, arXiv 2204.00796) names it as the baseline whose gain is limited"
    needs = frozenset({Need.PLAIN_TRANSLATION})
    declared = Factors(data="both", labels_from="projection (plain)")

    def prepare(self, round: Round, ask: Ask) -> TrainingSet:
        return TrainingSet(labelled=pairs(ask.labelled_translations(plain=True)))
