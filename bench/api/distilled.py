"""Distillation: a last round for any method, in which a student learns the method's own probabilities."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, fields, make_dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, cast

from bench.api.method import (
    Ask,
    CellLike,
    Diagnostics,
    Example,
    Factors,
    Losses,
    Method,
    MethodParams,
    Model,
    Need,
    Predictions,
    Round,
    Skip,
    Step,
    Tagger,
    Term,
    TrainingSet,
)
from bench.core.sentences import Sentence

ROUND = "distil"


@dataclass(frozen=True, kw_only=True)
class Distillation(MethodParams):
    """The keys of [method.x] and [[variant]] beside the method's own parameters; defaults are fixed in advance.

    A student learns probability vectors on unlabelled target text (TSL, Wu et al. 2020; ConCNER).
    """

    distil: bool = False
    distil_loss: Literal["mse", "kl", "hard"] = "mse"  # distance between the probabilities of teacher and student
    distil_start: Literal["teacher", "fresh"] = "teacher"  # the student's weights at first
    distil_outside: bool = True  # words that the teacher calls O count too


class Student(Method):
    """Training on the probabilities of a round's one teacher on unlabelled target text."""

    name = ROUND
    paper = "Wu et al. 2020 (TSL), section 3.2; ConCNER's use of it is described in its abstract"
    needs = frozenset({Need.TARGET_UNLABELLED})
    params: Distillation

    def __init__(self, params: Distillation) -> None:
        super().__init__(params)
        self.additive = params.distil_outside  # else its mean is over fewer words than the runner weighs parts by

    def prepare(self, round: Round, ask: Ask) -> TrainingSet:
        """Unlabelled text with the teacher's probabilities as soft labels."""
        sentences = ask.unlabelled()
        soft = ask.model(round.teachers[0]).predict(sentences).probabilities
        return TrainingSet(unlabelled=tuple((Example(s, soft=p),) for s, p in zip(sentences, soft, strict=True)))

    def loss(self, tagger: Tagger, step: Step) -> Losses:
        """Distance to the teacher's probabilities, mean over words."""
        from bench.api.objectives import soft_labels

        assert step.unlabelled is not None
        value = soft_labels(step.unlabelled, self.params.distil_loss, outside=self.params.distil_outside)
        return (Term(ROUND, value),)


class Distilled(Method):
    """A method with one more round, whose student predicts in place of the method's last model."""

    name = "distilled"
    params: Distillation

    def __init__(self, method: Method, params: Distillation) -> None:
        super().__init__(params)
        self.method, self.student = method, Student(params)
        self.needs = method.needs | Student.needs

    def applies(self, cell: CellLike) -> Skip | None:
        return self.method.applies(cell)

    def rounds(self) -> tuple[Round, ...]:
        """The method's own rounds, the same as without distillation, then the student's."""
        method, own = self.method, list(self.method.rounds())
        for number, round_ in enumerate(own):
            if round_.method is None:  # the method itself, with its needs unless the round says otherwise
                needs = method.needs if round_.needs is None else round_.needs
                own[number] = replace(round_, method=method, needs=needs)
        last = own[-1].name
        start = last if self.params.distil_start == "teacher" else "fresh"
        return (*own, Round(ROUND, self.student, start, teachers=(last,), needs=Student.needs))

    def predict(self, ask: Ask, models: Mapping[str, Model], sentences: Sequence[Sentence]) -> Predictions:
        """As the method does, with the student in place of its last model."""
        last = self.method.rounds()[-1].name
        own = cast("MutableMapping[str, Model]", models)  # to look up alone, as a model is loaded when it is asked for
        return self.method.predict(ask, ChainMap({last: models[ROUND]}, own), sentences)

    def files(self) -> dict[str, Path]:
        return self.method.files()

    def diagnostics(self) -> Diagnostics:
        return self.method.diagnostics()

    def factors(self) -> Factors:
        """The method's factors, changed as by distillation."""
        own = self.method.factors()
        terms = f"{own.loss_terms}; distillation ({self.params.distil_loss})"
        teacher = "own model" if own.teacher == "none" else f"{own.teacher}; own model"
        return replace(own, unlabelled_text="yes", teacher=teacher, loss_terms=terms)


@lru_cache(maxsize=256)
def params_type(cls: type[Method]) -> type[Any]:
    """The class of all parameters that a table of a method may hold: its own and those of distillation."""

    def check(self: Any) -> None:
        if hasattr(cls.Params, "__post_init__"):
            cls.Params.__post_init__(self)
        if self.distil and cls.intrinsic:
            raise ValueError("distil must be false: nothing is trained")

    name = f"{cls.Params.__name__}WithDistillation"
    return make_dataclass(name, [], bases=(Distillation, cls.Params), namespace={"__post_init__": check}, frozen=True)


def method_with(cls: type[Method], params: Any) -> Method:
    """The method with parameters of `params_type`, wrapped if they say `distil`."""

    def part(kind: type[Any]) -> Any:
        return kind(**{field.name: getattr(params, field.name) for field in fields(kind) if field.init})

    method = cls(part(cls.Params))
    return Distilled(method, part(Distillation)) if params.distil else method
