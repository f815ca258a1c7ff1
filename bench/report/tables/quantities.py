"""Tables of quantities other than scores: cost and resources, label projection, errors, the encoder's space."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from bench.report.contrasts import BASELINE, FLOOR, baseline_of, cost_of, cost_ratio
from bench.report.errors import KINDS, samples_by_seed
from bench.report.frame import Group, Stored
from bench.report.notes import source_notes
from bench.report.scores import average_over, diagnostic, scores_of
from bench.report.tables.model import Entry, Table, TableDraft
from bench.store.record import Cost, Record

QUANTITIES: dict[str, tuple[Callable[[Record], float | None], int]] = {  # by column: the quantity and its decimals
    "seconds": (lambda r: r.cost.seconds, 1),
    "of them inference": (lambda r: r.cost.inference, 1),
    "steps": (lambda r: r.cost.steps, 0),
    "batch": (lambda r: r.cost.batch, 0),
    "sentences": (lambda r: r.cost.sentences, 0),
    "tokens": (lambda r: r.cost.tokens, 0),
    "forward passes": (lambda r: r.cost.forward_passes, 0),
    "TFLOP": (lambda r: None if r.cost.flops is None else r.cost.flops / 1e12, 2),
    "labelled": (lambda r: r.resources.labelled, 0),
    "dev": (lambda r: r.resources.dev, 0),
    "translated": (lambda r: r.resources.translated, 0),
    "unlabelled": (lambda r: r.resources.unlabelled, 0),
    "parallel": (lambda r: r.resources.parallel, 0),
    "target gold": (lambda r: r.resources.target_gold, 0),
}
FACTS: dict[str, Callable[[Record], str]] = {
    "translation": lambda r: r.resources.translation,
    "test translation": lambda r: r.resources.test_translation,
    "dictionary": lambda r: "yes" if r.resources.dictionary else "no",
}
CAUSES = ("entities", "projected", "unaligned", "conflicting", "filtered", "pairs", "pairs_filtered")  # come first
MEASURES = {
    "retrieval_forward": "retrieval, source to target",
    "retrieval_backward": "retrieval, target to source",
    "same_label": "cosine, same label",
    "other_label": "cosine, other label",
}


def cost_table(group: Group, name: str = "cost") -> Table:
    """Cold cost and resources by method: means over its finished cells (languages, seeds); unknown is n/a, never 0."""
    draft, ratios = TableDraft(group), set[str]()
    for row in group.rows:
        done = [run for run in group.stored if run.row == row and run.record.status == "ok"]
        line = draft.add(row, oracle=any(run.oracle for run in done))
        for title, (quantity, digits) in QUANTITIES.items():
            # a record without any cost (imported predictions) has zeros that mean unknown
            values = [None if run.record.cost == Cost() else quantity(run.record) for run in done]
            line[title] = _mean(draft, values, digits)
        base = baseline_of(row, group.rows) or row
        common = [t for t in group.targets if group.cells[base, t] and any(run.target == t for run in done)]
        sides = [cost_of(run for t in common for run in group.cells[side, t]) for side in (row, base)]
        ratio = cost_ratio(*sides)
        ratios |= {ratio[1]} if ratio else set()
        line["ratio"] = draft.gap("n/a") if ratio is None else Entry(ratio[0], digits=2)
        known = [run.record for run in done if run.record.cost != Cost()]
        for title, fact in FACTS.items():
            line[title] = Entry(text=" / ".join(sorted(set(map(fact, known)))) or "n/a")
        line["cells"] = Entry(float(len(done)), digits=0)
    notes = [
        "Means over a method's finished cells. Cold: what a cell and all that it rests on take when nothing "
        "is cached; what cells share is counted in each. Human translation is not counted.",
        f"ratio: {' or '.join(sorted(ratios)) or 'cost'} in the languages that both have, over that of {BASELINE} with "
        f"the same translations, else of {FLOOR}.",
        "labelled, dev, translated, unlabelled, parallel (human parallel text without labels), target gold: sentences.",
        *source_notes(group),
    ]
    return draft.table(
        name, "Cost and resources by method", ["ratio", *QUANTITIES, *FACTS, "cells"], notes, of="quantity"
    )


def _mean(draft: TableDraft, values: Sequence[float | None], digits: int) -> Entry:
    """Mean over the cells; n/a if a value is unknown, since the mean of the others could look too cheap."""
    known = [value for value in values if value is not None]
    if known and len(known) == len(values):
        return Entry(sum(known) / len(known), digits=digits, seeds=len(known))
    some = f"unknown for {len(values) - len(known)} of {len(values)} cells" if known else "unknown"
    return draft.gap("n/a", notes=draft.notes(some if values else "no finished cell"))


def projection_table(group: Group, name: str = "projection") -> Table | None:
    """Entities by outcome of label projection, means over seeds; None without projection."""
    every = sorted({cause for run in group.stored for cause in run.record.projection})
    causes = sorted(every, key=lambda cause: CAUSES.index(cause) if cause in CAUSES else len(CAUSES))
    draft = TableDraft(group, heads=("method", "language"))
    for (row, target), stored in group.cells.items():
        if any(run.record.projection for run in stored):
            draft.add(row, {"language": target}).update({cause: _cause(stored, cause) for cause in causes})
    notes = [
        "Counts, mean over seeds; – where a cause was not counted.",
        "Entities = projected + unaligned (no link, or rejected by the matcher) + conflicting (the words went to "
        "another entity) + filtered (in a sentence that a filter refused); pairs: sentences kept.",
    ]
    if "marked" in causes:
        notes.append(
            "Labels carried by marks: sentences marked = marked_read + those that fall back by cause: marks_clash (the "
            "sentence holds such marks itself), _untranslated, _unreadable (marks lost or damaged), _nameless (an "
            "entity without a translation of its own); fallback_drop are among filtered."
        )
    return draft.table(name, "Label projection by cause", causes, notes, of="cause") if draft.lines else None


def _cause(stored: Sequence[Stored], cause: str) -> Entry:
    values = [run.record.projection[cause] for run in stored if cause in run.record.projection]
    if not values:
        return TableDraft.gap()
    mean = sum(values) / len(values)
    return Entry(mean, digits=0 if mean == round(mean) else 1, seeds=len(values))


def errors_table(group: Group, name: str = "errors") -> Table | None:
    """Gold entities by kind of error, and spurious ones, in percent of the gold; means over seeds.

    Computed from the stored predictions; None if there are none.
    """
    draft, every = TableDraft(group, heads=("method", "language")), samples_by_seed(group)
    by_cell = {cell: [shares for sample in read if (shares := _shares(sample.kinds))] for cell, read in every.items()}
    draft.notes(*(f"{row[1]}, {t}: {sample.why}" for (row, t), read in every.items() for sample in read if sample.why))
    kinds = [kind for kind in KINDS if any(shares[kind] for seeds in by_cell.values() for shares in seeds)]
    languages = average_over(scores_of(group, group.main_rule), group.rows, group.targets)
    for row in group.rows:
        means = {target: _mean_shares(seeds) for target in group.targets if (seeds := by_cell[row, target])}
        if len(languages) > 1 and means.keys() >= {*languages}:
            means["mean"] = _mean_shares([means[target] for target in languages])
        for target, shares in means.items():
            line = draft.add(row, {"language": target})
            line |= {kind: Entry(shares[kind], seeds=len(by_cell.get((row, target), ())) or None) for kind in kinds}
    notes = [
        f"Percent of the gold entities, mean over seeds. Checkpoint: {group.main_rule or 'n/a'}.",
        *([f"mean: over {', '.join(languages)}, each the same, where a method has them all."] * (len(languages) > 1)),
        *(f"{kind}: {KINDS[kind]}." for kind in kinds),
        "A spurious entity is predicted; the others are gold entities. One of the gold counts once.",
    ]
    return draft.table(name, "Entities by kind of error", kinds, notes, of="kind") if draft.lines else None


Shares = Mapping[str, float]  # by kind of error, percent of the gold entities


def _shares(kinds: Mapping[str, int]) -> Shares:
    """Shares by kind; empty if there is no gold entity."""
    gold = sum(count for kind, count in kinds.items() if kind != "spurious")
    return {kind: 100 * kinds.get(kind, 0) / gold for kind in KINDS} if gold else {}


def _mean_shares(every: Sequence[Shares]) -> Shares:
    return {kind: sum(shares[kind] for shares in every) / len(every) for kind in KINDS}


def space_table(group: Group, name: str = "space") -> Table | None:
    """Retrieval and cosines before and after training, percent, mean over seeds; None where nothing was measured."""
    draft = TableDraft(group, heads=("method", "measure", "when"))
    for row in group.rows:
        cells = {target: group.cells[row, target] for target in group.targets}
        names = {name for stored in cells.values() for run in stored for name in run.record.diagnostics}
        if any(name.startswith("after_") for name in names):  # a method may note other things
            for measure, text in MEASURES.items():
                for when in ("before", "after"):
                    line = draft.add(row, {"measure": text, "when": when})
                    line |= {target: _diagnostic(stored, f"{when}_{measure}") for target, stored in cells.items()}
    note = (
        "Of training pairs, with the last round before distillation; percent (cosines x 100). Retrieval: share of "
        "sentences whose translation is nearest. Label: entity words of one type, and of another type or outside."
    )
    subject = "The encoder's space before and after training"
    return draft.table(name, subject, group.targets, [note]) if draft.lines else None


def _diagnostic(stored: Sequence[Stored], name: str) -> Entry:
    seeds = sum(name in run.record.diagnostics for run in stored)
    return Entry(diagnostic(stored, name), seeds=seeds) if seeds else TableDraft.gap()
