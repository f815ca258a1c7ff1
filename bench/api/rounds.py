"""All rounds of a method: its own, and distillation, the round that any method can add."""

from __future__ import annotations

from bench.api.method import Ask, Example, Losses, Method, MethodParams, Need, Round, Step, Tagger, Term, TrainingSet


class Distil(Method):
    """The common last round: a student learns a teacher's probabilities on unlabelled target text."""

    name = "distil"
    paper = "Wu et al. 2020 (TSL), section 3.2; ConCNER's use of it is described in its abstract"
    needs = frozenset({Need.TARGET_UNLABELLED})

    def __init__(self, params: MethodParams, teacher: str) -> None:
        super().__init__(params)
        self.teacher = teacher

    def prepare(self, round: Round, ask: Ask) -> TrainingSet:
        sentences = ask.unlabelled()
        soft = ask.model(self.teacher).predict(sentences).probabilities
        return TrainingSet(
            unlabelled=tuple((Example(s, soft=p),) for s, p in zip(sentences, soft, strict=True)),
        )

    def loss(self, tagger: Tagger, step: Step) -> Losses:
        from bench.api.objectives import soft_labels

        assert step.unlabelled is not None
        value = soft_labels(step.unlabelled, self.params.distil_loss, outside=self.params.distil_outside)
        return (Term("distil", value),)


def all_rounds(method: Method) -> tuple[Round, ...]:
    """The method's rounds and, if its parameters say so, distillation."""
    rounds = method.rounds()
    if not method.params.distil:
        return rounds
    last = rounds[-1].name
    start = last if method.params.distil_start == "teacher" else "fresh"
    return (*rounds, Round("distil", Distil(method.params, last), start, teachers=(last,), needs=Distil.needs))


def all_needs(method: Method) -> frozenset[Need]:
    """The method's needs, and unlabelled text if it distils."""
    return method.needs | (Distil.needs if method.params.distil else frozenset())
