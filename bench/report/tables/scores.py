"""Tables of scores: main table, contrasts, groups of languages, entity types, seen entities, rules, gap closed."""

from __future__ import annotations

import csv
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

from bench.report.contrasts import contrasts_of, ratio_of
from bench.report.frame import Group, Row
from bench.report.notes import interval_note
from bench.report.scores import LEVEL, Scores, average_over, marks_of, mean_of, oracle_rows, partial_rows, scores_of
from bench.report.tables.model import TEXTS, Entry, Table, TableDraft, macro_note
from bench.report.verdicts import OUTCOMES, family_note, outcomes, sentence
from bench.store.record import RuleScores
from bench.store.sidecars import GOLD, Damaged, read_sidecar

_HERE = Path(__file__).parent
UNKNOWN = "unknown"
_SCRIPTS = {"Cjk": "Han", "Hiragana": "Kana", "Katakana": "Kana"}
ENOUGH = 20_000  # letters that suffice to tell the script of a text
Part = Callable[[RuleScores], float | None]
NO_RECALL = "unknown, or no such entity"
F1_NOTE = "F1: entities, strict IOB2, micro-averaged, percent, mean over seeds."
MARKS = (
    f"Bold (* in plain text): the column's highest; °: not significantly different from it (paired test, "
    f"p ≥ {LEVEL:g}, Holm as for all pairs of the column)."
)


def main_table(group: Group, name: str = "main") -> Table:
    """F1 (percent, mean over seeds) ± half the 95 % interval, by method and target language, with the macro average.

    The rule is the main one; the column `last` gives the macro average of the last checkpoint. The contrasts come
    first; methods that lack a language of the average are in a separate block.
    """
    rule = group.main_rule
    scores, last = scores_of(group, rule), scores_of(group, "last")
    languages = average_over(scores, group.rows, group.targets)
    partly = partial_rows(scores, group.rows, group.targets)
    marks = {target: marks_of({row: scores[row, target] for row in group.rows}) for target in group.targets}
    with_last = rule != "last" and any(score.mean is not None for score in last.values())
    oracles = [row for row in group.rows if row in oracle_rows(scores)]
    full = [row for row in group.rows if row not in partly and row not in oracles]
    blocks = {len(full): "not in every language", len(full) + len(partly): "oracles"} if partly and full else {}
    draft = TableDraft(group, scores)
    for row in (*full, *partly, *oracles):
        line = draft.add(row)
        for target in group.targets:
            marked, score = marks[target].best, scores[row, target]
            top = bool(marked) and score.mean == scores[marked[0], target].mean and row in marked
            line[target] = replace(draft.score(score), bold=top, near=row in marked and not top)
        line["macro"] = draft.macro(scores, row, languages)
        if with_last:
            line["last"] = replace(draft.macro(last, row, languages), limits=None)
    unmarked = ", ".join(target for target, mark in marks.items() if mark.untested and not mark.best)
    in_part = ", ".join(target for target, mark in marks.items() if mark.untested and mark.best)
    comparisons = contrasts_of(group)
    notes = [
        family_note(comparisons) if comparisons else "",
        F1_NOTE,
        f"Checkpoint: {rule or 'n/a'}.",
        "last: the macro average when the last checkpoint is taken instead." if with_last else "",
        interval_note(score.what for score in scores.values()),
        macro_note(languages),
        "Rows with different seeds are compared over common ones, so contrasts need not be differences of these means."
        if len({frozenset(score.seeds) for score in scores.values() if score.mean is not None}) > 1
        else "",
        MARKS if any(mark.best for mark in marks.values()) else "",
        f"No marks in {unmarked}: the test needs at least 3 seeds and counts of the same test." if unmarked else "",
        f"In {in_part} bold is the highest of the tested rows; rows with fewer than 3 seeds, or with counts of another "
        "test, are neither tested nor marked."
        if in_part
        else "",
    ]
    columns = [*group.targets, "macro", *(["last"] if with_last else [])]
    table = draft.table(name, "F1 by method and target language", columns, notes)
    return replace(
        table, lead=tuple(map(sentence, comparisons)), blocks={k: v for k, v in blocks.items() if k < len(draft.lines)}
    )


def contrasts_table(group: Group, name: str = "contrasts") -> Table | None:
    """The contrasts by language and on average: intervals at Holm's level, p and cost ratio; None without contrasts."""
    comparisons = contrasts_of(group)
    if not comparisons:
        return None
    some = {name for comparison in comparisons for name in outcomes(comparison)}
    shown = [name for name in OUTCOMES if name in some or name not in ("equivalent", "not tested")]
    draft, named = TableDraft(group, heads=("contrast",)), ", ".join(shown)
    for comparison in comparisons:
        line = draft.add(("", ""), {"contrast": comparison.title}, False)
        by_name = {x.name: x for x in (comparison.macro, *comparison.lines)}
        for title, target in (("average", "macro"), *((target, target) for target in group.targets)):
            compared = by_name.get(target)
            if compared is None or compared.difference is None:
                line[title] = draft.gap(notes=draft.notes(compared.note) if compared and compared.note else ())
                continue
            sure, seeds = compared.verdict in ("better", "worse"), len(compared.seeds)
            line[title] = Entry(compared.difference, compared.together, bold=sure, signed=True, seeds=seeds)
        counts, ratio = outcomes(comparison), ratio_of(comparison)
        line[named] = Entry(text=", ".join(str(counts[name]) for name in shown))
        p = comparison.macro.p_holm
        line["p"] = draft.gap("n/a") if p is None else Entry(p, digits=3)
        unit = () if ratio is None or ratio[1] == "compute" else draft.notes(f"ratio of {ratio[1]}")
        line["cost"] = draft.gap("n/a") if ratio is None else Entry(ratio[0], notes=unit)
    columns = ["average", *group.targets, named, "p", "cost"]
    notes = ["Difference of F1 in points. Bold: significant.", family_note(comparisons)]
    return draft.table(name, "Contrasts by target language", columns, notes, of="quantity")


# --- groups of languages ----------------------------------------------------------------------------------------------


def groups_table(group: Group, name: str = "groups") -> Table | None:
    """Means over the languages by script, by family, and by whether the encoder saw them in pre-training.

    Covers the languages of the main table's average; None if every grouping puts them in one group.
    """
    scores = scores_of(group, group.main_rule)
    members = _members(group, average_over(scores, group.rows, group.targets))
    if not members:
        return None
    draft = TableDraft(group, scores)
    for row in group.rows:
        draft.add(row).update({title: draft.macro(scores, row, targets) for title, targets in members.items()})
    notes = [
        f"F1: strict IOB2, percent, mean over the languages of a group and over seeds. Checkpoint: {group.main_rule}.",
        *(f"{title}: {', '.join(targets)}." for title, targets in members.items()),
        "Script: of most letters of the test. Languages differ in more than their group: no evidence of its effect.",
        interval_note((s.what for s in scores.values()), "±: mean of the languages' half-widths (a bound) of the"),
    ]
    return draft.table(name, "F1 by groups of languages", list(members), notes, of="quantity")


def _members(group: Group, languages: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Languages by group, for each grouping that has several groups."""
    ways: dict[str, Callable[[str], str]] = {
        "script": partial(_script, group),
        "family": family_of,
        "pre-training": partial(pretrained_on, group.encoder),
    }
    members: dict[str, tuple[str, ...]] = {}
    for way, group_of in ways.items():
        together: dict[str, tuple[str, ...]] = {}
        for target, title in ((target, f"{way}: {group_of(target)}") for target in languages):
            together[title] = (*together.get(title, ()), target)
        if len(together) > 1:
            members |= {title: targets for title, targets in together.items() if targets not in members.values()}
    return members


def _script(group: Group, target: str) -> str:
    """The script of a target language, from the gold of its first finished record."""
    for run in group.stored:
        if run.target == target and run.record.status == "ok":
            try:
                gold = read_sidecar(run.store.sidecar(run.record.key, GOLD))
            except Damaged:
                continue
            return script_of(word for words in gold.words for word in words)
    return UNKNOWN


def script_of(words: Iterable[str]) -> str:
    """The script of most letters of the first words, by Unicode names; language codes do not tell (Serbian has two)."""
    seen: Counter[str] = Counter()
    for word in words:
        seen.update(c for c in word if c.isalpha())
        if seen.total() > ENOUGH:
            break
    scripts: Counter[str] = Counter()
    for letter, count in seen.items():
        first = unicodedata.name(letter, UNKNOWN).split()[0].title()
        scripts[_SCRIPTS.get(first, first)] += count
    return scripts.most_common(1)[0][0] if scripts else UNKNOWN


def family_of(language: str) -> str:
    """The language family, or the branch for Indo-European and Afro-Asiatic (families.csv)."""
    return _families().get(language, UNKNOWN)


def pretrained_on(encoder: str, language: str) -> str:
    """'seen' or 'not seen' in the encoder's pre-training (pretraining.csv, which cites its sources)."""
    known = _pretraining().get(encoder.rsplit("/", 1)[-1])
    return UNKNOWN if known is None else "seen" if language in known else "not seen"


@lru_cache(maxsize=1)
def _families() -> dict[str, str]:
    return {code: row["family"] for row in _rows("families.csv") for code in row["languages"].split()}


@lru_cache(maxsize=1)
def _pretraining() -> dict[str, frozenset[str]]:
    languages: dict[str, frozenset[str]] = {}
    for row in _rows("pretraining.csv"):
        same = row["source"].removeprefix("as ")
        languages[row["encoder"]] = languages.get(same, frozenset()) | set(row["languages"].split())
    return languages


def _rows(name: str) -> list[dict[str, str]]:
    with (_HERE / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# --- parts of the scores ----------------------------------------------------------------------------------------------


def types_table(group: Group, name: str = "types") -> Table | None:
    """F1 by entity type, method and language, in percent, mean over seeds."""
    types = {t for run in group.stored for score in run.record.scores.values() for t in score.types}
    if not types:
        return None
    parts: dict[str, Part] = {type_: partial(_type_f1, type_) for type_ in sorted(types)}
    notes = ["F1: strict IOB2, percent, mean over seeds; no intervals.", f"Checkpoint: {group.main_rule or 'n/a'}."]
    draft = _parts(group, "type", parts, "no gold entity of the type")
    return draft.table(name, "F1 by entity type", group.targets, notes)


def _type_f1(type_: str, score: RuleScores) -> float | None:
    """F1 of a type; None if the test has no gold entity of it."""
    counts = score.types.get(type_)
    if counts is None or counts.tp + counts.fn == 0:
        return None
    return 2 * counts.tp / (2 * counts.tp + counts.fp + counts.fn)


def seen_table(group: Group, name: str = "seen") -> Table | None:
    """Recall of entities that occur in the training labels (same words and type), and of those that do not."""
    parts: dict[str, Part] = {"seen": lambda s: s.recall_seen, "unseen": lambda s: s.recall_unseen}
    scores = [score for run in group.stored for score in run.record.scores.values()]
    if all(part(score) is None for score in scores for part in parts.values()):
        return None
    note = "Recall in percent, mean over seeds. Seen: surface and type stand in that method's training labels."
    notes, draft = [note, f"Checkpoint: {group.main_rule or 'n/a'}."], _parts(group, "entities", parts, NO_RECALL)
    return draft.table(name, "Recall of entities seen and unseen in training", group.targets, notes)


def _parts(group: Group, head: str, parts: Mapping[str, Part], none: str) -> TableDraft:
    """Rows (method, part) × languages, from the main rule's scores; `none` is the footnote of missing values."""
    rule, scores = group.main_rule, scores_of(group, group.main_rule)
    draft = TableDraft(group, scores, ("method", head))
    for row in group.rows:
        for title, part in parts.items():
            line = draft.add(row, {head: title})
            for target in group.targets:
                score, value = scores[row, target], mean_of(group.cells[row, target], rule, part)
                if score.mean is None:
                    line[target] = draft.score(score)
                elif value is None:
                    line[target] = draft.gap("n/a", "no score", draft.notes(none))
                else:
                    line[target] = Entry(value, seeds=len(score.seeds), n=score.sentences)
    return draft


# --- rules, gap -------------------------------------------------------------------------------------------------------


def rules_table(group: Group, name: str = "rules") -> Table | None:
    """F1 by selection rule; rules that look at target labels are oracles. None if there is only one rule."""
    rules = list(dict.fromkeys(rule for run in group.stored for rule in run.record.rules))
    if len(rules) < 2:
        return None
    draft, notes = TableDraft(group, heads=("method", "rule")), {}
    variances: set[str] = set()
    for rule in rules:
        scores = scores_of(group, rule)
        languages = average_over(scores, group.rows, group.targets)
        notes[rule] = macro_note(languages)
        variances |= {score.what for score in scores.values()}
        peeks = any(run.record.scores[rule].oracle for run in group.stored if rule in run.record.scores)
        for row in group.rows:
            marked = row in oracle_rows(scores) and not peeks
            line = draft.add(row, {"rule": Entry(text=rule, oracle=peeks)}, marked)
            line |= {target: draft.score(scores[row, target]) for target in group.targets}
            line["macro"] = draft.macro(scores, row, languages)
    same = len(set(notes.values())) == 1
    macro_notes = [notes[rules[0]]] if same else [f"{rule}: {note}" for rule, note in notes.items()]
    what = [F1_NOTE, interval_note(variances)]
    return draft.table(name, "F1 by selection rule", [*group.targets, "macro"], [*what, *macro_notes])


def gap_table(group: Group, name: str = "gap") -> Table | None:
    """Share of the gap from zero_shot to target_supervised that a method closes, in percent.

    None if the matrix lacks either method; no share is given for a gap below 1 point.
    """
    scores = scores_of(group, group.main_rule)
    draft = TableDraft(group, scores)
    for row in group.rows:
        floor, ceiling = (row[0], "zero_shot"), (row[0], "target_supervised")
        if row not in (floor, ceiling) and floor in group.rows and ceiling in group.rows:
            line = draft.add(row)
            line |= {target: _share(draft, scores, target, (floor, row, ceiling)) for target in group.targets}
    note = "100 x (F1 - zero_shot) / (target_supervised - zero_shot), from the means over seeds; no intervals."
    return draft.table(name, "Share of the gap closed", group.targets, [note]) if draft.lines else None


def _share(draft: TableDraft, scores: Scores, target: str, rows: Sequence[Row]) -> Entry:
    low, value, high = (scores[row, target].mean for row in rows)
    if low is None or value is None or high is None:
        return draft.gap(TEXTS["missing"])
    if high - low < 1:
        return draft.gap("n/a", "no score", draft.notes("the gap is below 1 point: no share"))
    return Entry(100 * (value - low) / (high - low))
