"""Trans only: translations of the source sentences alone, labels projected in the plainest way."""

from __future__ import annotations

from bench.api.method import Ask, Factors, Method, Need, Round, TrainingSet, singles


class TransOnly(Method):
    """en_trans's translations alone; min…max projection, no filter, every sentence kept."""

    name = "trans_only"
    version = 1
    display = "Trans"
    cites = ("wu2020unitrans",)
    paper = "a baseline of translate-train papers, e.g. Wu et al. 2020 (UniTrans, arXiv 2007.07683: M_trans)"
    needs = frozenset({Need.PLAIN_TRANSLATION})
    declared = Factors(data="translations", labels_from="projection (plain)")

    def prepare(self, round: Round, ask: Ask) -> TrainingSet:
        return TrainingSet(labelled=singles([pair.target for pair in ask.labelled_translations(plain=True)]))
