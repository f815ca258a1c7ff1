"""Labels of linked translations by matcher and filters, and what became of every source entity and sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from bench.api.projection import OUTCOMES
from bench.core.errors import BadInput
from bench.core.sentences import Pair, Span
from bench.data.rules import FILTERED, Projected, load_filter, load_matcher, load_rules
from bench.data.transfer import Marked
from bench.plan.fingerprint import code_running
from bench.plan.keys import Key
from bench.plan.sections import LabelsSpec, MatrixSpec
from bench.plan.where import Where

PLAIN = LabelsSpec(matcher="min-max", filters=())  # of en_trans and concner: every sentence kept
NO_COUNTS: Mapping[str, int] = dict.fromkeys(("entities", *OUTCOMES, "pairs", "pairs_filtered"), 0)


def labelled(pairs: Sequence[Pair], matcher: str, filters: Sequence[str] = ()) -> tuple[list[Pair], Counter[str]]:
    """The pairs that the filters keep, with projected target labels, and the counts of all (see `counts_of`).

    Raises:
        BadInput: there is no such matcher or filter.
    """
    rules = load_rules(matcher, filters)
    done = [rules.apply(pair) for pair in pairs]
    return [one.pair for one in done if not one.refused_by], counts_of(done)


def carried(pairs: Sequence[Pair], matcher: str) -> tuple[list[tuple[Span | None, ...]], Counter[str]]:
    """By pair the target span of each source entity, None where it gets none; and the counts (see `counts_of`).

    Raises:
        BadInput: there is no such matcher.
    """
    rules, found, every = load_rules(matcher), [], []
    for pair in pairs:
        entities = pair.source.spans or ()
        numbered = tuple(entity._replace(type=str(number)) for number, entity in enumerate(entities))  # to tell whose
        done = rules.apply(replace(pair, source=replace(pair.source, spans=numbered)))
        by_number = {int(span.type): span for span in done.pair.target.spans or ()}
        spans = [(by_number.get(number), entity.type) for number, entity in enumerate(entities)]
        found.append(tuple(span and span._replace(type=type_) for span, type_ in spans))
        every.append(done)
    return found, counts_of(every)


def transferred(
    pairs: Sequence[Pair], marked: Mapping[str, Marked | None], labels: LabelsSpec
) -> tuple[list[Pair], Counter[str]]:
    """As `labelled`, with the labels and words of marked translations (by source id; None: the pair falls back).

    A pair that falls back is projected by the matcher, or left out. A sentence without entities needs no marks: it
    keeps its ordinary translation. The filters see links between entities and what the marks held (ours).

    Raises:
        BadInput: there is no such matcher or filter.
    """
    rules = load_rules(labels.matcher, labels.filters)
    done = []
    fallen = 0
    for pair in pairs:
        entities = pair.source.spans or ()
        found = marked[pair.source.id] if entities else None
        if found is not None:
            target = replace(pair.target, words=found.words)
            other = Pair(pair.source, target, found.links(entities))
            done.append(rules.judged(other, found.projection(entities)))
            continue
        fallen += bool(entities)
        if entities and labels.fallback == "drop":
            done.append(Projected(pair, (FILTERED,) * len(entities), labels.transfer))
        else:
            done.append(rules.apply(pair))
    counts = counts_of(done)
    counts[f"fallback_{labels.fallback}"] = fallen
    return [one.pair for one in done if not one.refused_by], counts


def counts_of(done: Sequence[Projected]) -> Counter[str]:
    """Entities of all source sentences by outcome; pairs kept, and those left out.

    `entities` = `projected` + `unaligned` + `conflicting` + `filtered`: in a sentence that a filter refuses all are
    filtered, whatever else would have become of them; so they are where a pair is left out for its damaged marks. The
    pairs given are `pairs` + `pairs_filtered`.
    """
    counts = Counter(NO_COUNTS)
    for one in done:
        counts.update(one.outcomes)
        counts["entities"] += len(one.outcomes)
        counts["pairs_filtered" if one.refused_by else "pairs"] += 1
    return counts


def rules_key(labels: LabelsSpec) -> list[Any]:
    """What projected labels depend on beside the links: the names, and the code that is loaded by them.

    Raises:
        BadInput: there is no such matcher or filter.
    """
    return [labels.matcher, list(labels.filters), _code_of_rules(labels.matcher, tuple(labels.filters))]


@lru_cache(maxsize=256)
def _code_of_rules(matcher: str, filters: tuple[str, ...]) -> Key:
    rules = (load_rules(matcher, filters), load_rules(PLAIN.matcher, PLAIN.filters))
    return code_running(*sorted({module for one in rules for module in one.modules}))


def check_rules(spec: MatrixSpec) -> None:
    """Refuse a matrix that names a matcher or filter that is not there, also one that no cell would use.

    Raises:
        BadInput: with the place and the nearest right name.
    """
    axes, where = spec.axes.extra, spec.where
    matchers = [(where.at("labels", "matcher"), spec.labels.matcher)]
    if "labels.matcher" in axes:
        place = where.at("axes", "labels.matcher")
        matchers = [(place.at(i), value) for i, value in enumerate(axes["labels.matcher"])]
    lists = [(where.at("labels", "filters"), spec.labels.filters)]
    if "labels.filters" in axes:
        place = where.at("axes", "labels.filters")
        lists = [(place.at(i), tuple(value)) for i, value in enumerate(axes["labels.filters"])]
    names: list[tuple[Callable[[str], object], Where, str]] = [(load_matcher, at, name) for at, name in matchers]
    names += [(load_filter, at.at(i), name) for at, listed in lists for i, name in enumerate(listed)]
    for load, place, name in names:
        try:
            load(name)
        except BadInput as error:
            raise place.error(str(error)) from error
