"""From a number to what it is made of: a method's factors, its seeds, its records, and sentences that it got wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from bench.core.sentences import Span
from bench.report.errors import KINDS, Sample, Wrong
from bench.report.frame import Group, Stored, error_line
from bench.report.html.facts import Facts, facts_html, seeds_html, shared
from bench.report.html.tables import boxed
from bench.report.html.text import esc, fold, items, language, name
from bench.report.scores import Row, Score, cells_of, rows_of, scores_of

Places = Mapping[tuple[Row, str], str]  # by row and target the id of its part of the page


def places_of(group: Group, prefix: str) -> dict[tuple[Row, str], str]:
    """Ids of the cells; that of a method as a whole has the target ""."""
    targets = ("", *group.targets)
    return {
        (row, target): f"{prefix}-m{place}" + (f"-{targets.index(target)}" if target else "")
        for place, row in enumerate(rows_of(group))
        for target in targets
    }


def cells_html(
    group: Group, places: Places, samples: Mapping[tuple[Row, str], Sample], facts: Mapping[str, Facts]
) -> Iterator[str]:
    """A section a method, in it a part a language that opens; `facts` by key of the record."""
    cells, scores = cells_of(group), scores_of(group, group.main_rule)
    everywhere = shared([facts[one.record.key] for one in group.stored])
    for row in rows_of(group):
        stored = [one for target in group.targets for one in cells.get((row, target), [])]
        common = shared([facts[one.record.key] for one in stored])
        own = {where: text for where, text in common.items() if where not in everywhere}
        yield f'<section id="{places[row, ""]}" class="method"><h4>{name(row[1])}</h4>'
        yield fold("What this method's records share", facts_html(own)) if own else ""
        for target in group.targets:
            ours, score = cells.get((row, target), []), scores[row, target]
            inner = f'<div id="{places[row, target]}" tabindex="-1">{_status(score)}'
            if ours:
                inner += _seeds(ours, group.main_rule)
                inner += _errors(samples.get((row, target)), target)
                inner += fold("Records: what they hold", seeds_html(ours, facts, {**everywhere, **common}))
            yield fold(f"{name(target)}: {_number(score)}", f"{inner}</div>", ' class="cell"')
        yield "</section>\n"


def _number(score: Score) -> str:
    if score.mean is None:
        return f'<span class="gap">{esc(score.status)}</span>'
    interval = "" if score.half is None else f" ± {score.half:.1f}"
    seeds = f"{len(score.seeds)} seed{'s' if len(score.seeds) != 1 else ''}"
    return f"<b>{score.mean:.1f}</b>{interval} <small>F1, {seeds}, {score.sentences:,} sentences</small>"


def _status(score: Score) -> str:
    lines = []
    if score.low is not None and score.high is not None:
        lines.append(f"95 % interval over {esc(score.what)}: {score.low:.1f} to {score.high:.1f}.")
    return "".join(f"<p>{line}</p>" for line in (*lines, *map(esc, score.notes)))


# --- seeds and records ------------------------------------------------------------------------------------------------


def _seeds(stored: Sequence[Stored], rule: str) -> str:
    numbers = "".join(f'<th scope=col class="n">{text}' for text in ("F1", "precision", "recall", "dev F1", "step"))
    head = f"<th scope=col>seed{numbers}<th scope=col>tp, fp, fn by type<th scope=col>record"
    rows = "".join(f"<tr>{_seed(one, rule)}" for one in stored)
    return boxed(f'<table class="seeds"><thead><tr>{head}</thead><tbody>{rows}</tbody></table>', "Seeds")


def _seed(one: Stored, rule: str) -> str:
    record, score = one.record, one.record.scores.get(rule)
    link = f'<td><a href="records/{esc(record.key)}.json">{esc(record.key[:12])}</a>'
    start = f"<th scope=row>{one.seed}"
    if record.status != "ok" or score is None:
        why = f"{record.status}: {record.reason or error_line(record) or 'no score under this rule'}"
        trace = (record.error or {}).get("traceback", "")
        more = fold("traceback", f"<pre>{esc_lines(trace)}</pre>") if trace else ""
        return f'{start}<td colspan=6 class="gap">{name(why)}{more}{link}'
    numbers = (score.f1, score.precision, score.recall, score.dev_f1)
    texts = "".join(f'<td class="n">{"–" if value is None else f"{100 * value:.2f}"}' for value in numbers)
    types = "; ".join(f"{type_} {c.tp}, {c.fp}, {c.fn}" for type_, c in sorted(score.types.items()))
    return f'{start}{texts}<td class="n">{score.step}<td>{name(types)}{link}'


def esc_lines(text: str) -> str:
    """Escaped, lines kept."""
    return "\n".join(map(esc, text.splitlines()))


# --- errors -----------------------------------------------------------------------------------------------------------


def _errors(sample: Sample | None, target: str) -> str:
    if sample is None:
        return ""
    if sample.why:
        return f"<p>No sample of errors: {esc(sample.why)}.</p>"
    counts = ", ".join(f"{kind} {sample.kinds[kind]}" for kind in KINDS if sample.kinds[kind])
    start = (
        f"<p>Seed {sample.stored.seed}: {sample.wrong:,} of {sample.sentences:,} sentences hold an error. "
        f"Entities by kind: {counts or 'none'}."
    )
    if not sample.shown:
        return f"{start}</p>"
    start += (
        f" Shown are {len(sample.shown)}, drawn by a hash of the sentence: the same ones for every method that errs."
    )
    pairs = items([_pair(one, target) for one in sample.shown], "ol")
    return f'{start}</p><div class="errors">{pairs}</div>'


def _pair(one: Wrong, target: str) -> str:
    sides = "".join(
        f'<p dir="auto"{language(target)}><span class="side" lang="en">{side}</span> {_marked(one, spans)}</p>'
        for side, spans in (("gold", one.gold), ("predicted", one.found))
    )
    return f'<div class="pair">{sides}</div><small>{name(one.id)}</small>'


def _marked(one: Wrong, spans: Sequence[tuple[Span, str]]) -> str:
    """The words with the entities of one side, each with its type and what is wrong with it."""
    first, last = one.window
    parts: list[str] = ["…"] if first else []
    place = first
    for span, kind in sorted(spans, key=lambda pair: (pair[0].start, pair[0].end)):
        if span.start < place or span.end > last:  # outside the part that is shown
            continue
        parts += map(esc, one.words[place : span.start])
        words = " ".join(map(esc, one.words[span.start : span.end]))
        sort, sign = ("ok", "✓") if kind == "correct" else ("no", f"✗ {kind}")
        parts.append(f"<mark class={sort}>{words} <i>{esc(span.type)} {sign}</i></mark>")
        place = span.end
    parts += map(esc, one.words[place:last])
    return " ".join([*parts, "…"] if last < len(one.words) else parts)
