"""Tables of what methods took and what projection did: quantities, not scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.report.frame import Group, Stored, is_oracle
from bench.report.head import corpus_notes, oracle_note, setting_notes, title_of
from bench.report.main_table import head_cells, heads_of
from bench.report.model import Cell, Footnotes, Table, frame_of
from bench.report.scores import cells_of, rows_of
from bench.store.record import Cost, Record

Quantity = Callable[[Record], float | None]

COSTS: tuple[tuple[str, Quantity, int], ...] = (
    ("cold seconds", lambda r: r.cost.seconds, 1),
    ("steps", lambda r: r.cost.steps, 0),
    ("batch", lambda r: r.cost.batch, 0),
    ("sentences", lambda r: r.cost.sentences, 0),
    ("tokens", lambda r: r.cost.tokens, 0),
    ("forward passes", lambda r: r.cost.forward_passes, 0),
    ("TFLOP", lambda r: None if r.cost.flops is None else r.cost.flops / 1e12, 2),
)
RESOURCES: tuple[tuple[str, Quantity, int], ...] = (
    ("labelled", lambda r: r.resources.labelled, 0),
    ("dev", lambda r: r.resources.dev, 0),
    ("translated", lambda r: r.resources.translated, 0),
    ("unlabelled", lambda r: r.resources.unlabelled, 0),
    ("target gold", lambda r: r.resources.target_gold, 0),
)
FACTS = ("translation", "test translation", "dictionary")


def _mean(records: Sequence[Record], quantity: Quantity, digits: int, footnotes: Footnotes) -> Cell:
    """Mean over the cells; n/a where one of them does not know, since a mean of the rest would look too cheap."""
    values = [quantity(record) for record in records]
    known = [value for value in values if value is not None]
    if not records:
        return Cell(text="n/a", status="missing", notes=footnotes.add(["no finished cell"]))
    if len(known) < len(values):
        why = f"unknown for {len(values) - len(known)} of {len(values)} cells" if known else "unknown"
        return Cell(text="n/a", status="missing", notes=footnotes.add([why]))
    return Cell(sum(known) / len(known), digits=digits, seeds=len(records))


def _known(quantity: Quantity) -> Quantity:
    """The quantity, None for a record without any cost (imported predictions): its zeros mean unknown."""
    return lambda record: None if record.cost == Cost() else quantity(record)


def cost_table(group: Group, name: str = "cost") -> Table | None:
    """Cold cost and resources by method: means over its finished cells (languages, seeds); unknown is n/a, never 0."""
    footnotes, lines = Footnotes(), []
    for row in rows_of(group):
        done = [one.record for one in group.stored if (one.suite, one.label) == row and one.record.status == "ok"]
        line = head_cells(group, row, any(map(is_oracle, done)))
        for title, quantity, digits in COSTS:
            line[title] = _mean(done, _known(quantity), digits, footnotes)
        for title, quantity, digits in RESOURCES:
            line[title] = _mean(done, _known(quantity), digits, footnotes)
        known = [r.resources for r in done if r.cost != Cost()]
        line["translation"] = Cell(text=" / ".join(sorted({r.translation for r in known})) or "n/a")
        line["test translation"] = Cell(text=" / ".join(sorted({r.test_translation for r in known})) or "n/a")
        line["dictionary"] = Cell(text=" / ".join(sorted({"yes" if r.dictionary else "no" for r in known})) or "n/a")
        line["cells"] = Cell(float(len(done)), digits=0)
        lines.append(line)
    quantities = [title for title, _, _ in (*COSTS, *RESOURCES)]
    return Table(
        name=name,
        title=title_of(group, "Cost and resources by method"),
        heads=heads_of(group),
        frame=frame_of(lines, [*heads_of(group), *quantities, *FACTS, "cells"]),
        notes=(
            *corpus_notes(group),
            *setting_notes(group),
            "Means over a method's finished cells. Cold: what a cell and all that it rests on take when nothing "
            "is cached; what cells share is counted in each. Human translation has no known cost: n/a, never 0.",
            "labelled, dev, translated, unlabelled, target gold: sentences.",
            oracle_note(),
        ),
        footnotes=tuple(footnotes.texts),
    )


_ORDER = ("entities", "projected", "unaligned", "conflicting", "filtered", "pairs", "pairs_filtered")


MARKS = (
    "Labels carried by marks: sentences marked = marked_read + those that fall back by cause: marks_clash (the "
    "sentence holds such marks itself), _untranslated, _unreadable (marks lost or damaged), _nameless (an entity "
    "without a translation of its own); fallback_drop are among filtered."
)


def projection_table(group: Group, name: str = "projection") -> Table | None:
    """What label projection did to the entities, counted by cause: means over seeds. None without any."""
    causes = sorted({cause for one in group.stored for cause in one.record.projection})
    if not causes:
        return None
    causes.sort(key=lambda cause: _ORDER.index(cause) if cause in _ORDER else len(_ORDER))
    lines = []
    cells = cells_of(group)
    for row in rows_of(group):
        for target in group.targets:
            done = [one for one in cells.get((row, target), []) if one.record.projection]
            if done:
                line = head_cells(group, row, False) | {"language": Cell(text=target)}
                lines.append(line | {cause: _cause(done, cause) for cause in causes})
    heads = (*heads_of(group), "language")
    return Table(
        name=name,
        title=title_of(group, "Label projection by cause"),
        heads=heads,
        frame=frame_of(lines, [*heads, *causes]),
        columns_are="cause",
        notes=(
            *corpus_notes(group),
            *setting_notes(group),
            "Counts, mean over seeds; – where a cause was not counted.",
            "Entities = projected + unaligned (no link, or rejected by the matcher) + conflicting (the words went to "
            "another entity) + filtered (in a sentence that a filter refused); pairs: sentences kept.",
            *([MARKS] if "marked" in causes else ()),
        ),
    )


def _cause(done: Sequence[Stored], cause: str) -> Cell:
    values = [one.record.projection[cause] for one in done if cause in one.record.projection]
    if not values:
        return Cell(text="–", status="missing")
    mean = sum(values) / len(values)
    return Cell(mean, digits=0 if mean == round(mean) else 1, seeds=len(values))
