"""UniTrans: three teachers, of model and of data transfer, label target text softly and, where they agree, hard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np

from bench.api.batch import Example, Floats, Ints, Losses, Step, Term, TrainingSet, singles
from bench.api.method import Ask, Factors, Method, MethodParams, Need, Round, SearchSpace, Tagger
from bench.core.errors import require

TEACHERS = ("source", "translated", "tuned")
NO_LABEL = -100


@dataclass(frozen=True)
class UniTransParams(MethodParams):
    """The teacher of the soft labels, the rule of the vote, and the weight of voted labels."""

    soft: Literal["source", "translated", "tuned", "mean"] = "tuned"  # mean: of all three (ours)
    vote: Literal["unanimous", "majority"] = "unanimous"  # majority: two of the three (ours)
    hard_weight: float = 1.0  # of the cross-entropy with the voted labels; 0: soft labels alone

    def __post_init__(self) -> None:
        require(self.hard_weight >= 0, "hard_weight must not be below 0")


class Tuning(Method):
    """The third teacher's training: the first one, trained further on translations."""

    needs = frozenset({Need.PLAIN_TRANSLATION})

    def prepare(self, round: Round, ask: Ask) -> TrainingSet:
        return TrainingSet(labelled=singles([pair.target for pair in ask.labelled_translations(plain=True)]))


class UniTrans(Method):
    """A fresh student learns from zero_shot, trans_only and zero_shot fine-tuned on translations, on target text."""

    name = "unitrans"
    version = 1
    display = "UniTrans"
    cites = ("wu2020unitrans",)
    paper = "Wu, Lin, Karlsson, Huang, Lou 2020 (UniTrans), IJCAI 2020, arXiv 2007.07683"
    Params: ClassVar[type[MethodParams]] = UniTransParams
    needs = frozenset({Need.PLAIN_TRANSLATION, Need.TARGET_UNLABELLED})
    additive = False  # the two terms are means over different words
    declared = Factors(
        data="both",
        labels_from="source gold and projection (plain)",
        loss_terms="distillation (mse) + cross-entropy with voted labels",
        unlabelled_text="yes",
        teacher="zero_shot, trans_only, zero_shot fine-tuned",
    )
    search_space: ClassVar[SearchSpace] = {
        "soft": ("source", "translated", "tuned", "mean"),
        "vote": ("unanimous", "majority"),
        "hard_weight": (0.0, 0.5, 1.0),
    }
    params: UniTransParams

    def __init__(self, params: MethodParams | None = None) -> None:
        super().__init__(params)
        self.tuning = Tuning()

    def rounds(self) -> tuple[Round, ...]:
        """Three teachers, two of which are other methods' trainings (shared with them), then the student."""
        return (
            Round("source", method="zero_shot"),
            Round("translated", method="trans_only"),
            Round("tuned", self.tuning, start="source", needs=Tuning.needs),
            Round("student", teachers=TEACHERS, needs=frozenset({Need.TARGET_UNLABELLED})),
        )

    def prepare(self, round: Round, ask: Ask) -> TrainingSet:
        """The student's: unlabelled text with soft labels and votes; the share of words voted on is noted."""
        sentences = ask.unlabelled()
        taught = {name: ask.model(name).predict(sentences).probabilities for name in TEACHERS}
        examples, voted, words = [], 0, 0
        for number, sentence in enumerate(sentences):
            ballots = [taught[name][number] for name in TEACHERS]
            hard = votes(ballots, self.params.vote)
            voted, words = voted + int((hard != NO_LABEL).sum()), words + len(hard)
            chosen = ballots if self.params.soft == "mean" else [taught[self.params.soft][number]]
            examples.append((Example(sentence, soft=np.mean(chosen, axis=0, dtype=np.float32), hard=hard),))
        ask.note("words with a voted label", voted / max(1, words))
        return TrainingSet(unlabelled=tuple(examples))

    def loss(self, tagger: Tagger, step: Step) -> Losses:
        """Mean squared error to the soft labels, and cross-entropy over the words with a voted label."""
        from bench.api.objectives import cross_entropy, soft_labels

        assert step.unlabelled is not None
        soft = Term("soft", soft_labels(step.unlabelled))
        if not self.params.hard_weight:
            return (soft,)
        return (soft, Term("hard", cross_entropy(step.unlabelled), self.params.hard_weight))

    def factors(self) -> Factors:
        return self.declared if self.params.hard_weight else replace(self.declared, loss_terms="distillation (mse)")


def votes(every: Sequence[Floats], rule: Literal["unanimous", "majority"]) -> Ints:
    """Each word's tag (words,) on which all teachers, or more than half of them, agree; −100 where they do not.

    `every`: a teacher each, probabilities (words, tags); its vote is its most probable tag.
    """
    best = np.stack([probabilities.argmax(-1) for probabilities in every])
    ballots = np.stack([(best == tag).sum(0) for tag in range(every[0].shape[-1])], axis=-1)
    needed = len(every) if rule == "unanimous" else len(every) // 2 + 1
    return np.where(ballots.max(-1) >= needed, ballots.argmax(-1), NO_LABEL).astype(np.int64)
