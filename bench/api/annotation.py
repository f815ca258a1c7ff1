"""Annotation projection: a teacher tags the source side of parallel text, and its labels are carried over word links.

Yarowsky and Ngai 2001; Ehrmann, Turchi and Steinberger 2011; Ni, Dinu and Florian 2017, who keep the sentences that a
measure of quality prefers. None of these papers could be consulted: the measures are ours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from bench.api.method import Ask, MethodParams
from bench.core.sentences import Pair


@dataclass(frozen=True)
class Annotation(MethodParams):
    """Which sentences are kept; the defaults are ours, fixed in advance."""

    share: float = 0.5  # of the lines with entities, and of those without: the surest, by mean top probability
    projected: float = 1.0  # the least share of a sentence's entities that get a span
    empty: bool = False  # sentences in which the teacher finds no entity; their sureness is that of all words

    def __post_init__(self) -> None:
        for name in ("share", "projected"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be from 0 to 1")


def annotated(ask: Ask, teacher: str, rules: Annotation) -> list[Pair]:
    """The pairs of the parallel text that `rules` keep, in its order: labelled by the teacher, and by projection.

    A share and no threshold, since taggers over different encoders are differently sure. The record's diagnostics hold
    the number of kept pairs, 0 if the teacher finds nothing. Needs PARALLEL_TEXT.

    Raises:
        Unavailable: there is no parallel text.
    """
    text = ask.parallel_text()
    seen = ask.model(teacher).predict([pair.source for pair in text])
    tagged = [replace(p, source=replace(p.source, spans=tuple(s))) for p, s in zip(text, seen.spans, strict=True)]
    able: list[tuple[float, Pair]] = []
    for pair, probabilities, spans in zip(tagged, seen.probabilities, ask.project(tagged), strict=True):
        entities = pair.source.spans or ()
        inside = [word for span in entities for word in range(span.start, span.end)] or slice(None)
        reached = [span for span in spans if span is not None]
        if len(reached) >= rules.projected * len(entities) if entities else rules.empty:
            labelled = replace(pair, target=replace(pair.target, spans=tuple(sorted(reached))))
            able.append((float(probabilities[inside].max(-1).mean()), labelled))
    surest: list[int] = []
    for kind in (True, False):  # each by itself: taggers are surest of sentences without an entity
        lines = [line for line, (_, pair) in enumerate(able) if bool(pair.source.spans) is kind]
        surest += sorted(lines, key=lambda line: -able[line][0])[: math.ceil(rules.share * len(lines))]
    ask.note("parallel_kept", len(surest))
    return [able[line][1] for line in sorted(surest)]
