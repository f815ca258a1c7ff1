"""ContProto: self-training of a span classifier with contrast over spans and labels refined by class prototypes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from bench.api.batch import EpochState, Example, Losses, Step, Term, TrainingSet, singles
from bench.api.method import Ask, Diagnostics, Factors, Method, MethodParams, Need, Round, SearchSpace, Tagger
from bench.core.errors import require
from bench.core.sentences import Sentence

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class ContprotoParams(MethodParams):
    """The paper's values where it gives them; the others are ours (see the README)."""

    max_width: int = 0  # words of the widest span (paper: 4); 0: as many as cover `coverage` of the source entities
    coverage: float = 0.995
    outside_weight: float = 0.5  # of a span that is no entity, in the two classification losses
    target_weight: float = 1.0  # of the loss on the target's soft labels
    contrast_weight: float = 1.0
    temperature: float = 0.07  # of the contrast
    outside_most: int = 256  # O spans of each stream that the contrast sees in a step; 0: all (the paper)
    head: int = 128  # dimensions of q
    momentum: float = 0.99  # of the prototypes
    phi: tuple[float, float] = (
        0.95,
        0.8,
    )  # weight of the old label in a refined one: in the first epoch, with the last step

    def __post_init__(self) -> None:
        for name in ("max_width", "outside_weight", "target_weight", "contrast_weight", "outside_most"):
            require(getattr(self, name) >= 0, f"{name} must not be below 0")
        for name in ("temperature", "head"):
            require(getattr(self, name) > 0, f"{name} must be above 0")
        require(0 < self.coverage <= 1, "coverage must be above 0 and at most 1")
        require(0 <= self.momentum < 1, "momentum must be at least 0 and below 1")
        require(all(0 <= phi <= 1 for phi in self.phi), "phi must be two numbers from 0 to 1")


class Contproto(Method):
    """A teacher's soft labels of target spans, refined while a fresh student learns from them and from the source."""

    name = "contproto"
    version = 1
    display = "ContProto"
    cites = ("zhou2023contproto",)
    paper = "Zhou, Li, Bing, Cambria, Miao 2023, arXiv 2305.13628"
    Params: ClassVar[type[MethodParams]] = ContprotoParams
    needs = frozenset({Need.TARGET_UNLABELLED})
    additive = False  # the contrast compares the spans of a batch: it cannot be split
    declared = Factors(
        data="both",
        labels_from="source gold; teacher, refined by prototypes",
        loss_terms="span cross-entropy + soft span cross-entropy + contrast",
        unlabelled_text="yes",
        teacher="own span classifier",
    )
    search_space: ClassVar[SearchSpace] = {
        "target_weight": (0.25, 0.5, 1.0),
        "contrast_weight": (0.1, 0.5, 1.0),
        "outside_weight": (0.25, 0.5, 1.0),
        "temperature": (0.07, 0.2, 0.5),
        "momentum": (0.9, 0.99),
    }
    params: ContprotoParams

    def __init__(self, params: MethodParams | None = None) -> None:
        super().__init__(params)
        self._noted: dict[tuple[str, ...], Tensor] | None = None  # while the teacher labels
        self._soft: dict[tuple[str, ...], Tensor] = {}  # the teacher's labels, by words

    def rounds(self) -> tuple[Round, ...]:
        """The teacher, the same for all targets; then the student, from a fresh encoder."""
        return (Round("teacher", needs=frozenset()), Round("main", teachers=("teacher",)))

    def prepare(self, round: Round, ask: Ask) -> TrainingSet:
        """The source; for the student also target text with the teacher's labels of words, and of spans beside it.

        Noted for the record: the widest span, and how many source entities are wider (they can never be found).
        """
        source = ask.source()
        width, widths = self._width(source), _widths(source)
        ask.note("span_width", width)
        ask.note("entities_wider_than_spans", sum(words > width for words in widths))
        labelled = singles(source)
        if round.name == "teacher":
            return TrainingSet(labelled=labelled)
        sentences = ask.unlabelled()
        self._soft = self._noted = {}
        try:
            predicted = ask.model("teacher").predict(sentences)
        finally:
            self._noted = None
        # the words' probabilities train nothing, but make the training's key depend on the teacher
        soft = zip(sentences, predicted.probabilities, strict=True)
        return TrainingSet(labelled=labelled, unlabelled=tuple((Example(s, soft=p),) for s, p in soft))

    def tagger(self, round: Round, ask: Ask) -> Tagger:
        """A span classifier over the cell's encoder; the student's with q and prototypes."""
        from methods.contproto.prototypes import Prototypes
        from methods.contproto.spans import SpanTagger

        width, p = self._width(ask.source()), self.params
        if round.name == "teacher":
            tagger = SpanTagger(ask.new_tagger(), width)
            tagger.watch = self._note
            return tagger
        tagger = SpanTagger(ask.new_tagger(), width, p.head)
        tagger.prototypes = Prototypes(tagger.types, width, self._soft, size=p.head, momentum=p.momentum, phi=p.phi)
        return tagger

    def _width(self, source: Sequence[Sentence]) -> int:
        """Words of the widest span: `max_width`, else the least that a share `coverage` of entities do not exceed."""
        widths, most = _widths(source), self.params.coverage
        return self.params.max_width or (widths[max(1, math.ceil(most * len(widths) - 1e-9)) - 1] if widths else 1)

    def _note(self, sentence: Sentence, probabilities: Tensor) -> None:
        """Keep a teacher's span probabilities (m, K), for which predictions have no field."""
        if self._noted is not None:
            self._noted[sentence.words] = probabilities

    def loss(self, tagger: Any, step: Step) -> Losses:
        """Cross-entropy on the source's spans; for a student also on the target's soft labels, and contrast."""
        import torch
        from torch.nn.functional import one_hot

        from bench.api.objectives import supervised_contrastive
        from methods.contproto.prototypes import some_outside, span_loss
        from methods.contproto.spans import gold_classes

        p = self.params
        source: Any = step.labelled
        target: Any = step.unlabelled
        classes = gold_classes(source, tagger.types, tagger.width)
        targets = one_hot(classes, 1 + len(tagger.types)).to(source.scores.dtype)
        value = span_loss(source.scores, targets, source.inputs.weights[source.rows], p.outside_weight)
        terms = [Term("ce", value)]
        if target is None:
            return tuple(terms)
        q = tagger.project(source), tagger.project(target)
        soft = tagger.prototypes.learn(step, (q[0].detach(), classes), q[1].detach())
        value = span_loss(target.scores, soft, target.inputs.weights[target.rows], p.outside_weight)
        terms.append(Term("soft", value, p.target_weight))
        if p.contrast_weight:  # a second look at both batches, with other dropout, is the other view
            again = [tagger.project(tagger.read(batch.inputs)) for batch in (source, target)]
            current = soft.argmax(-1)
            chosen = [some_outside(c, p.outside_most) for c in (classes, current)]
            views = [torch.cat([of[i][chosen[i]] for i in range(2)]) for of in (q, again)]
            labels = torch.cat([classes[chosen[0]], current[chosen[1]]])  # O is a class like any other
            value = supervised_contrastive(torch.cat(views), labels.repeat(2), p.temperature)
            terms.append(Term("contrast", value, p.contrast_weight))
        return tuple(terms)

    def on_epoch(self, tagger: Any, state: EpochState) -> None:
        """A student's margins and φ of the next epoch."""
        if tagger.prototypes is not None:
            tagger.prototypes.begin(state.step / state.total)

    def diagnostics(self) -> Diagnostics:
        """The labels that a student learned from, as entities: the teacher's, then those of each epoch."""
        return Diagnostics(pseudo_labels=lambda tagger: tagger.prototypes.labels if tagger.prototypes else ())

    def carried(self, tagger: Any) -> dict[str, Any]:
        """A student's soft labels as refined so far, and the progress of its epochs."""
        return {} if tagger.prototypes is None else dict(tagger.prototypes.carried())

    def carry_on(self, tagger: Any, carried: Mapping[str, Any]) -> None:
        if carried:
            tagger.prototypes.carry_on(carried)


def _widths(sentences: Sequence[Sentence]) -> list[int]:
    """The lengths of the entities in words, ascending."""
    return sorted(span.end - span.start for sentence in sentences for span in sentence.spans or ())
