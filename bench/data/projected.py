"""Matchers and filters by name, the labels that they give to linked translations, and the outcome of every entity."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.api.projection import OUTCOMES, Filter, JointMatcher, Marked, Matcher, Outcome, Projection, project
from bench.core.sentences import Pair, Span
from bench.plan import registry
from bench.plan.fingerprint import code_of
from bench.plan.sections import LabelsSpec

FILTERED: Outcome = "filtered"
PLAIN = LabelsSpec(matcher="min-max", filters=())  # of en_trans and concner: every sentence kept
NO_COUNTS: Mapping[str, int] = dict.fromkeys(("entities", *OUTCOMES, "pairs", "pairs_filtered"), 0)


@dataclass(frozen=True)
class Projected:
    """A pair with a labelled target, the outcomes of the source entities (in order), and the filter that refused it."""

    pair: Pair
    outcomes: tuple[Outcome, ...]
    refused_by: str = ""


@dataclass(frozen=True)
class Rules:
    """A matcher and any number of filters, loaded."""

    matcher: Matcher | JointMatcher
    filters: tuple[tuple[str, Filter], ...] = ()

    def apply(self, pair: Pair) -> Projected:
        """Label the target of a pair; if a filter refuses the sentence, all of its entities are filtered.

        Raises:
            ValueError: a link points outside the target sentence.
            BadInput: a joint matcher's solver failed.
        """
        words = pair.target.words
        return self.judged(pair, project(pair.source.spans or (), pair.links or (), len(words), self.matcher, words))

    def judged(self, pair: Pair, done: Projection) -> Projected:
        """The same for known labels of the target."""
        labelled = replace(pair, target=replace(pair.target, spans=done.spans))
        for name, filter_ in self.filters:
            if not filter_.keep(pair, done):
                return Projected(labelled, (FILTERED,) * len(done.outcomes), name)
        return Projected(labelled, done.outcomes)


def load_rules(matcher: str, filters: Sequence[str] = ()) -> Rules:
    """The matcher and the filters of these names; a sentence must pass every filter.

    Raises:
        BadInput: one of them does not exist.
    """
    return Rules(registry.load("matcher", matcher), tuple((name, registry.load("filter", name)) for name in filters))


def rules_key(labels: LabelsSpec) -> dict[str, Any]:
    """What projected labels depend on beside the links: names of matchers and filters, and their code.

    The plain rules are always part of it, as pairs without a label may fall back on them.

    Raises:
        BadInput: there is no such matcher or filter.
    """
    named = [("matcher", labels.matcher), ("matcher", PLAIN.matcher), *(("filter", name) for name in labels.filters)]
    code = {f"{kind} {name}": code_of(registry.load(kind, name)) for kind, name in named}
    return {"matcher": labels.matcher, "filters": list(labels.filters), "code": code}


def labelled(pairs: Sequence[Pair], matcher: str, filters: Sequence[str] = ()) -> tuple[list[Pair], Counter[str]]:
    """The pairs that the filters keep, with projected target labels, and the counts of all (see `counts_of`).

    Raises:
        BadInput: there is no such matcher or filter.
    """
    rules = load_rules(matcher, filters)
    done = [rules.apply(pair) for pair in pairs]
    return [projected.pair for projected in done if not projected.refused_by], counts_of(done)


def carried(pairs: Sequence[Pair], matcher: str) -> tuple[list[tuple[Span | None, ...]], Counter[str]]:
    """By pair the target span of each source entity, None if it gets none; and the counts (see `counts_of`).

    Raises:
        BadInput: there is no such matcher.
    """
    rules, of_pairs, done = load_rules(matcher), [], []
    for pair in pairs:
        entities = pair.source.spans or ()
        numbered = tuple(e._replace(type=str(number)) for number, e in enumerate(entities))  # to tell spans apart
        done.append(rules.apply(replace(pair, source=replace(pair.source, spans=numbered))))
        by_number = {int(span.type): span for span in done[-1].pair.target.spans or ()}
        spans = [(by_number.get(number), entity.type) for number, entity in enumerate(entities)]
        of_pairs.append(tuple(span and span._replace(type=type_) for span, type_ in spans))
    return of_pairs, counts_of(done)


def transferred(
    pairs: Sequence[Pair], marked: Mapping[str, Marked | None], labels: LabelsSpec
) -> tuple[list[Pair], Counter[str]]:
    """As `labelled`, with the labels and words of marked translations (by source id; None: the pair falls back).

    A pair that falls back is projected by the matcher, or left out. A sentence without entities needs no marks and
    keeps its ordinary translation. The filters see links between entities and the content of their marks (ours).

    Raises:
        BadInput: there is no such matcher or filter.
    """
    rules = load_rules(labels.matcher, labels.filters)
    done = []
    fallen = 0
    for pair in pairs:
        entities = pair.source.spans or ()
        translation = marked[pair.source.id] if entities else None
        if translation is not None:
            target = replace(pair.target, words=translation.words)
            retranslated = Pair(pair.source, target, translation.links(entities))
            done.append(rules.judged(retranslated, translation.projection(entities)))
            continue
        fallen += bool(entities)
        if entities and labels.fallback == "drop":
            done.append(Projected(pair, (FILTERED,) * len(entities), labels.transfer))
        else:
            done.append(rules.apply(pair))
    counts = counts_of(done)
    counts[f"fallback_{labels.fallback}"] = fallen
    return [projected.pair for projected in done if not projected.refused_by], counts


def counts_of(done: Sequence[Projected]) -> Counter[str]:
    """Entities of all source sentences by outcome; pairs kept, and those left out.

    `entities` = `projected` + `unaligned` + `conflicting` + `filtered`: all entities of a sentence that a filter
    refuses, or that is left out for its damaged marks, are filtered. All pairs are `pairs` + `pairs_filtered`.
    """
    counts = Counter(NO_COUNTS)
    for projected in done:
        counts.update(projected.outcomes)
        counts["entities"] += len(projected.outcomes)
        counts["pairs_filtered" if projected.refused_by else "pairs"] += 1
    return counts
