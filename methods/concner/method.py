"""ConCNER: cross-entropy, label contrast over words and translation contrast over sentences, on En+Trans's pairs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from bench.api.annotation import Annotation, annotated
from bench.api.method import (
    Ask,
    Batch,
    Diagnostics,
    Factors,
    Losses,
    Method,
    MethodParams,
    Need,
    Round,
    SearchSpace,
    Step,
    Tagger,
    Term,
    TrainingSet,
    pooled,
)
from bench.core.errors import require

if TYPE_CHECKING:
    from torch import Tensor

NEEDS = {"plain": Need.PLAIN_TRANSLATION, "matrix": Need.LABELLED_TRANSLATION, "parallel": Need.PARALLEL_TEXT}


@dataclass(frozen=True)
class ConcnerParams(MethodParams):
    """Weights and options of the two contrastive terms; the defaults are ours, fixed in advance (see the README)."""

    alpha: float = 0.5  # weight of label contrast (LCL); 0: without
    beta: float = 0.5  # weight of translation contrast (TCL); 0: without
    temperature: float = 0.1  # of LCL
    translation_temperature: float = 0.05  # of TCL
    classes: Literal["type", "tag"] = "tag"  # with "type" B-X and I-X are one class, which blurs boundaries
    outside: Literal["negative", "class", "none"] = "negative"  # what O words are in LCL
    outside_share: float = 1.0  # share of the O words that LCL sees, drawn anew each step
    positives: Literal["any", "cross-language"] = "any"  # of LCL
    head: int = 0  # dimensions of a two-layer projection head before LCL; 0: the word states themselves
    pooling: Literal["mean", "cls"] = "mean"  # sentence vector of TCL
    pooled_layer: Literal["last", "first"] = "last"
    tcl_first: float = 0.0  # share of the steps that train TCL alone, before CE and LCL; 0: all terms together
    # plain: en_trans's sentences; matrix: its matcher and filters; parallel: annotation_projection's, English singly
    labels: Literal["plain", "matrix", "parallel"] = "plain"
    parallel: Annotation = field(default_factory=Annotation)  # which of the parallel text is kept

    def __post_init__(self) -> None:
        for name in ("alpha", "beta", "head"):
            require(getattr(self, name) >= 0, f"{name} must not be below 0")
        for name in ("temperature", "translation_temperature"):
            require(getattr(self, name) > 0, f"{name} must be above 0")
        require(0 < self.outside_share <= 1, "outside_share must be above 0 and at most 1")
        require(0 <= self.tcl_first < 1, "tcl_first must be at least 0 and below 1")
        require(not self.tcl_first or self.beta > 0, "tcl_first needs beta above 0")


class Concner(Method):
    """Dual-contrastive learning on translation pairs. `L = L_CE + α·L_LCL + β·L_TCL`."""

    name = "concner"
    version = 2
    display = "ConCNER"
    cites = ("fu2022concner",)
    paper = "Fu et al. 2022, arXiv 2204.00796"
    Params: ClassVar[type[MethodParams]] = ConcnerParams
    needs = frozenset({Need.PLAIN_TRANSLATION})
    additive = False  # a contrastive term compares the sentences of a batch: it cannot be split
    declared = Factors(data="both", labels_from="projection (plain)")
    search_space: ClassVar[SearchSpace] = {
        "alpha": (0.05, 0.1, 0.25, 0.5, 1.0),
        "beta": (0.05, 0.1, 0.25, 0.5, 1.0),
        "temperature": (0.05, 0.1, 0.2, 0.5),
        "translation_temperature": (0.05, 0.1),
        "outside": ("negative", "class", "none"),
        "outside_share": (0.1, 1.0),
        "head": (0, 128),
        "pooling": ("mean", "cls"),
        "tcl_first": (0.0, 0.2),
    }
    params: ConcnerParams

    def __init__(self, params: MethodParams | None = None) -> None:
        super().__init__(params)
        self.needs = frozenset({NEEDS[self.params.labels]})

    def rounds(self) -> tuple[Round, ...]:
        """One training, after zero_shot's where that tags parallel text; CE alone on en_trans's pairs *is* en_trans."""
        p = self.params
        if p.labels == "parallel":
            return (Round("teacher", method="zero_shot"), Round("main", teachers=("teacher",)))
        plain = p.alpha == 0 and p.beta == 0 and p.labels == "plain"
        return (Round("main", method="en_trans" if plain else None),)

    def prepare(self, round: Round, ask: Ask) -> TrainingSet:
        """En+Trans's sentences, or those of parallel text, as pairs."""
        if self.params.labels == "parallel":
            kept = annotated(ask, "teacher", self.params.parallel)
        else:
            kept = ask.labelled_translations(plain=self.params.labels == "plain")
        return TrainingSet(labelled=pooled(kept, ask.source()))

    def tagger(self, round: Round, ask: Ask) -> Tagger:
        """The default tagger with the sentence pooling of the parameters; LCL's projection head (H → H → `head`)."""
        tagger: Any = ask.new_tagger()
        tagger.pooling, tagger.pooled_layer = self.params.pooling, self.params.pooled_layer
        if self.params.beta and self.params.pooled_layer == "first" and tagger.encoder.freeze:
            raise ValueError(
                f"pooled_layer 'first' is frozen (freeze = {tagger.encoder.freeze}): TCL would train nothing"
            )
        if self.params.head:
            from torch import nn

            hidden = tagger.classifier.in_features
            tagger.label_head = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, self.params.head))
        return tagger  # type: ignore[no-any-return]

    def loss(self, tagger: Tagger, step: Step) -> Losses:
        """Cross-entropy, LCL and TCL; a term of weight 0 is left out."""
        from bench.api.objectives import cross_entropy, pair_contrastive

        batch, p = step.labelled, self.params
        assert batch is not None
        warm = step.number < round(p.tcl_first * step.total)
        terms = [Term("ce", cross_entropy(batch), 0.0 if warm else 1.0)]
        if p.alpha:
            terms.append(Term("lcl", self._label_contrast(tagger, batch), 0.0 if warm else p.alpha))
        if p.beta:
            value = pair_contrastive(batch.vectors, batch.inputs.groups, p.translation_temperature)
            terms.append(Term("tcl", value, p.beta))
        return tuple(terms)

    def _label_contrast(self, tagger: Any, batch: Batch) -> Tensor:
        """LCL over all labelled words of the bilingual batch, from their first sub-words' last-layer states."""
        import torch

        from bench.api.objectives import supervised_contrastive

        p, labels = self.params, batch.inputs.labels
        keep = labels != -100
        classes = labels[keep]
        if p.classes == "type":
            classes = (classes + 1) // 2  # O = 0, B-X and I-X of the n-th type = n
        outside = classes == 0
        chosen = torch.ones_like(outside)
        if p.outside == "none":
            chosen = ~outside
        elif p.outside_share < 1:
            chosen = ~outside | (torch.rand(outside.shape, device=outside.device) < p.outside_share)
        states = batch.states[keep][chosen]
        vectors = tagger.label_head(states) if p.head else states
        classes = classes[chosen]
        anchors = None if p.outside == "class" else classes != 0
        allowed = None
        if p.positives == "cross-language":
            names = sorted(set(batch.inputs.languages))
            rows = torch.tensor([names.index(name) for name in batch.inputs.languages], device=labels.device)
            language = rows[:, None].expand_as(labels)[keep][chosen]
            allowed = language[:, None] != language[None, :]
        return supervised_contrastive(vectors, classes, p.temperature, anchors=anchors, allowed=allowed)

    def diagnostics(self) -> Diagnostics:
        """What both contrasts are meant to change: how translations and labels lie in the encoder's space."""
        return Diagnostics(space="" if self.params.labels == "parallel" else "main")

    def factors(self) -> Factors:
        p = self.params
        terms = ["cross-entropy", *(["LCL"] if p.alpha else []), *(["TCL"] if p.beta else [])]
        labels = {"plain": "plain", "matrix": "matcher and filters", "parallel": "a teacher's, parallel text"}[p.labels]
        teacher = "zero_shot" if p.labels == "parallel" else "none"
        return replace(
            self.declared, loss_terms=" + ".join(terms), labels_from=f"projection ({labels})", teacher=teacher
        )
