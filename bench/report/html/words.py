"""The result in words and in two grids: who is highest, who can be told from whom, what each declared contrast says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.report.compare import Comparison, compared
from bench.report.contrasts import DECLARED, declared, own_settings
from bench.report.frame import Group, Stored
from bench.report.html.tables import grid, notes_html
from bench.report.html.text import esc, fold, items, name
from bench.report.main_table import MARKS
from bench.report.scatter import baseline_of
from bench.report.scores import LEVEL, Row, best_of, rows_of, scores_of
from bench.report.standing import MOST_ROWS, Standing, standing
from bench.report.verdicts import HEADS, cells, conclusions

MOST_COMPARED = 40  # comparisons that are printed in full


def words_html(group: Group, prefix: str, caveats: str) -> Iterator[str]:
    """The summary of one table's methods, then the notes that hold for all of it."""
    rows = rows_of(group)
    if all(score.mean is None for score in scores_of(group, group.main_rule).values()):
        yield f"<p>No cell has a score, so nothing can be said.</p>{caveats}"
        return
    found = standing(group)
    yield items([*_average(found), *_pairs(found), *_oracles(found)])
    yield f"<h4>What to know before believing it</h4>{caveats}"
    yield _by_language(group)
    if found.pairs:
        yield _grid(found)
    pairs = _chosen(group, rows)
    comparisons = [compared(group, a, b, group.main_rule) for a, b in pairs[:MOST_COMPARED]]
    of_old = [one for one in comparisons if one.declared]
    others = [one for one in comparisons if not one.declared]
    if of_old:
        yield f'<h4 id="{prefix}-declared">Contrasts that were declared in advance</h4>'
        yield "".join(_comparison(one, " open") for one in of_old)
    if others:
        yield f'<h4 id="{prefix}-baseline">Each method against its baseline</h4>'
        yield (
            "<p>Exploratory, each by itself: with many comparisons one in twenty differs by chance alone. "
            "Any other pair: <code>xner compare OUT A B</code>.</p>"
        )
        yield "".join(_comparison(one) for one in others)
    if len(pairs) > MOST_COMPARED:
        yield f"<p>{len(pairs) - MOST_COMPARED} more are not printed; <code>xner compare</code> makes them.</p>"


# --- sentences --------------------------------------------------------------------------------------------------------


def _average(found: Standing) -> Iterator[str]:
    rows = [row for row in found.rows if row not in found.oracles]
    if not rows:
        yield "No language has a number from all compared methods: no average, no order."
        return
    best, over = rows[0], ", ".join(map(esc, found.languages))
    if len(rows) == 1:
        yield f"{name(best[1])} reaches {found.means[best]:.1f} F1 on average over {over}; nothing to compare it with."
        return
    yield (
        f"<b>Highest on average</b> over {over}: {name(best[1])} with {found.means[best]:.1f} F1, "
        f"then {name(rows[1][1])} with {found.means[rows[1]]:.1f}."
    )
    others = rows[1:]
    told = [row for row in others if found.told(best, row)]
    same = [row for row in others if found.told(best, row) is False]
    untested = len(others) - len(told) - len(same)
    if told or same:
        some = f"{len(told)} of {len(others)} others can be told apart from it" + (f" ({_names(told)})" if told else "")
        rest = f"{len(same)} cannot{f': {_names(same)}' if same and len(same) <= 8 else ''}"
        said = f"{some}; {rest}" if told else f"none of {len(others)} others can be told apart from it"
        if len(others) == 1:
            said = f"the only other one {'can' if told else 'cannot'} be told apart from it"
        yield f"<b>Against the highest</b>: {said}. That a method is highest does not make it best."
    if untested:
        yield f"{untested} could not be tested: fewer than 3 seeds in common, or no counts by sentence."


def _pairs(found: Standing) -> Iterator[str]:
    """Who is better than whom, methods that beat the same ones together."""
    if not found.pairs:
        return
    beaten: dict[tuple[Row, ...], list[Row]] = {}
    number = 0
    for row in found.rows:
        worse = tuple(o for o in found.rows if found.told(row, o) and found.differences[row, o] > 0)
        number += len(worse)
        if worse and row not in found.oracles:
            beaten.setdefault(worse, []).append(row)
    family = f"all {found.pairs} pairs" if len(found.rows) <= MOST_ROWS else f"the {found.pairs} pairs with the highest"
    yield (
        f"<b>Of {found.pairs} pairs {number} can be told apart</b> on average (paired over seeds and sentences, "
        f"Holm over {family}, level {LEVEL}); of the others either may be the better one."
    )
    for worse, better in beaten.items():
        verb = "is" if len(better) == 1 else "are"
        yield f"{_names(better)} {verb} <b>better</b> than {_names(worse)}."


def _oracles(found: Standing) -> Iterator[str]:
    if found.oracles:
        ours = [f"{name(row[1])} {found.means[row]:.1f}" for row in found.rows if row in found.oracles]
        yield f"Oracles, which use gold labels of the target language and compete with nobody: {', '.join(ours)}."


def _names(rows: Sequence[Row]) -> str:
    *first, last = [name(row[1]) for row in rows]
    return f"{', '.join(first)} and {last}" if first else last


# --- grids ------------------------------------------------------------------------------------------------------------


def _by_language(group: Group) -> str:
    """By language the highest, and who can be told from it."""
    scores, rows = scores_of(group, group.main_rule), rows_of(group)
    lines = []
    for target in group.targets:
        column = {row: scores[row, target] for row in rows}
        able = {row: score.mean for row, score in column.items() if score.mean is not None and not score.oracle}
        if not able:
            lines.append(f"<tr><th scope=row>{name(target)}<td>–<td>–<td>no method has a number")
            continue
        top, marked = max(able, key=lambda row: able[row]), best_of(column)
        worse = [] if not marked else [row for row in able if row not in marked]
        said = (_names(worse) if worse else "") or ("no other method" if len(able) < 2 else "none")
        said = "no test: fewer than 3 seeds, or no counts by sentence" if marked is None else said
        lines.append(
            f'<tr><th scope=row>{name(target)}<td>{name(top[1])}<td class="n" data-v="{able[top]:.4f}">'
            f"{able[top]:.1f}<td>{said}"
        )
    head = "".join(
        f"<th scope=col{kind}>{text}"
        for text, kind in (("language", ""), ("highest", ""), ("F1", ' class="n"'), ("can be told from it, lower", ""))
    )
    note = notes_html([MARKS.replace("Marked (bold; * in plain text): not", "Not in the last column:")])
    return f"<h4>Language by language</h4>{grid(head, lines, 'Highest method by language')}{note}"


def _grid(found: Standing) -> str:
    """Differences of the average, row minus column."""
    numbers = {row: place for place, row in enumerate(found.rows, start=1)}
    head = '<th scope=col>method<th scope=col class="n">macro F1' + "".join(
        f'<th scope=col class="n"><abbr title="{esc(row[1])}">{number}</abbr>' for row, number in numbers.items()
    )
    lines = []
    for row, number in numbers.items():
        mark = " †" if row in found.oracles else ""
        line = f'<tr><th scope=row>{number} {name(row[1])}{mark}<td class="n" data-v="{found.means[row]:.4f}">'
        line += f"{found.means[row]:.1f}"
        lines.append(line + "".join(_pair(found, row, other) for other in found.rows))
    notes = [
        "Row minus column, in points of F1, average over the languages of the main table. ▲ row better, ▼ row worse: "
        f"told apart at level {LEVEL} after Holm over all pairs of the grid; without a sign: not told apart.",
        "A column's number is that of its row.",
    ]
    label = "Who can be told from whom, on average"
    return f"<h4>{label}</h4>{grid(head, lines, label, 'pairs')}{notes_html(notes)}"


def _pair(found: Standing, row: Row, other: Row) -> str:
    if row == other:
        return '<td class="n self">·'
    value, told = found.differences[row, other], found.told(row, other)
    sign, kind = ("▲ ", " up") if told and value > 0 else ("▼ ", " down") if told else ("", "")
    return f'<td class="n{kind}" data-v="{value:.4f}">{sign}{value:+.1f}'


# --- comparisons ------------------------------------------------------------------------------------------------------


def _chosen(group: Group, rows: Sequence[Row]) -> list[tuple[str, str]]:
    """Labels to compare: the declared contrasts, then each row with its baseline (en_trans, else zero_shot)."""
    first: dict[str, Stored] = {}
    for one in group.stored:
        first.setdefault(one.label, one)
    own = own_settings(first.values())
    methods = {method for contrast in DECLARED for method, _ in (contrast.better, contrast.other)}
    able = [label for label, one in first.items() if one.record.cell.get("method") in methods]
    pairs = [
        (a, b)
        for a in able
        for b in able
        if a != b and first[a].record.cell.get("method") == "concner" and _same_labels(a, b)
        if declared([first[a]], [first[b]], own)
    ]
    zero_shot = next((row for row in rows if row[1] == "zero_shot"), None)
    for row in rows:
        base = baseline_of(row, rows) or zero_shot
        if base not in (None, row) and base is not None and (row[1], base[1]) not in pairs:
            pairs.append((row[1], base[1]))
    return pairs


def _same_labels(a: str, b: str) -> bool:
    """Whether two rows rest on the same translations and links."""
    return a.partition(" (")[2] == b.partition(" (")[2]


def _comparison(found: Comparison, attributes: str = "") -> str:
    lines = [*found.lines, *([found.macro] if len(found.lines) > 1 else [])]
    heads = (HEADS[0], found.a, found.b, *HEADS[3:])
    head = "".join(
        f"<th scope=col{num if place else ''}>{name(text)}"
        for place, text in enumerate(heads)
        for num in (' class="n"',)
    )
    rows = [
        f"<tr><th scope=row>{name(first)}" + "".join(f'<td class="n">{esc(text)}' for text in rest)
        for first, *rest in map(cells, lines)
    ]
    notes = [f"{line.name}: {line.note}" for line in lines if line.note and line.verdict != "gap"]
    differing = [
        f"{esc(field.replace('_', ' '))}: {name(a)} | {name(b)}"
        for field, (a, b) in {**found.factors, **found.settings}.items()
    ]
    inner = items(list(map(esc, conclusions(found))))
    inner += grid(head, rows, f"{esc(found.a)} and {esc(found.b)}")
    inner += notes_html(notes) + fold("In what they differ", items(differing)) if differing else notes_html(notes)
    return fold(f"{name(found.a)} − {name(found.b)}: {_verdict(found)}", inner, attributes)


def _verdict(found: Comparison) -> str:
    line = found.macro if len(found.lines) > 1 else found.lines[0]
    if line.difference is None:
        return "nothing to compare"
    said = {
        "better": "▲ better",
        "worse": "▼ worse",
        "same": "the same",
        "equivalent": "equivalent within ±1",
        "undecided": "cannot be told apart",
        "no test": "not tested",
        "no interval": "not tested",
    }[line.verdict]
    span = "" if line.interval is None else f" ({line.interval[0]:+.1f} to {line.interval[1]:+.1f})"
    where = "on average" if len(found.lines) > 1 else f"in {name(line.name)}"
    return f"{said} {where}, {line.difference:+.1f}{span}"
