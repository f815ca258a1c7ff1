"""Which type gold entities were taken for, by method and language."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.core.sentences import Span
from bench.report.canvas import figure, finish, looks, plain
from bench.report.errors import middle
from bench.report.frame import Group, Stored, is_oracle, test_of
from bench.report.head import setting_notes, title_of
from bench.report.scores import Row, cells_of, rows_of
from bench.store.sidecars import GOLD, Damaged, Sidecar, predictions_name, read_sidecar

NONE = "none"
MOST_METHODS, MOST_LANGUAGES = 6, 12  # panels beyond are too small to read


def confusion(gold: Iterable[Sequence[Span]], found: Iterable[Sequence[Span]], types: Sequence[str]) -> np.ndarray:
    """Counts (types + 1, types + 1): gold type by predicted type, the last row and column for none.

    A gold entity is taken for the type of the predicted one that shares most words with it (the same span before
    others, then its own type, then the first); a predicted entity that shares no word with any gold one stands in the
    last row.
    """
    place = {type_: i for i, type_ in enumerate(types)}
    counts = np.zeros((len(types) + 1, len(types) + 1), dtype=np.int64)
    for golds, founds in zip(gold, found, strict=True):
        for span in golds:
            near = [other for other in founds if other.start < span.end and span.start < other.end]
            best = max(near, key=lambda other: _closeness(span, other), default=None)
            counts[place[span.type], place[best.type] if best else -1] += 1
        for span in founds:
            if not any(other.start < span.end and span.start < other.end for other in golds):
                counts[-1, place[span.type]] += 1
    return counts


def _closeness(span: Span, other: Span) -> tuple[bool, int, bool]:
    shared = min(span.end, other.end) - max(span.start, other.start)
    return (span.start, span.end) == (other.start, other.end), shared, span.type == other.type


def confusion_figure(group: Group) -> Figure | None:
    """A panel a method and language, of the middle seed; None where no gold and predictions are stored."""
    rows, golds = _rows(group), dict[str, Sidecar]()
    panels: dict[tuple[Row, str], np.ndarray] = {}
    types = sorted({str(t) for one in group.stored for t in one.record.corpus.get("types") or ()})
    cells = cells_of(group)
    for row in rows:
        for target in group.targets[:MOST_LANGUAGES]:
            stored = middle(cells.get((row, target), []), group.main_rule)
            if stored is not None and (counts := _counts(stored, group.main_rule, types, golds)) is not None:
                panels[row, target] = counts
    if not types or not panels:
        return None
    rows = [row for row in rows if any(one == row for one, _ in panels)]
    targets = [target for target in group.targets if any(one == target for _, one in panels)]
    fig = figure(1.6 + 1.35 * len(targets), 1.5 + 1.35 * len(rows))
    axes = fig.subplots(len(rows), len(targets), squeeze=False)
    shown = looks(group, rows, frozenset())
    for y, row in enumerate(rows):
        for x, target in enumerate(targets):
            _panel(axes[y, x], panels.get((row, target)), types)
            if y == 0:
                axes[y, x].set_title(plain(target), fontsize=9)
        axes[y, 0].set_ylabel(f"{textwrap.fill(shown[row].label, 22)}\ngold", fontsize=7)
    left_out = "".join(
        f" {more} further {what} are not drawn."
        for what, more in (
            ("languages", len(group.targets) - MOST_LANGUAGES),
            ("methods", len(rows_of(group)) - len(rows)),
        )
        if more > 0
    )
    note = (
        "Rows: gold type; columns: type of the predicted entity that shares most words. Percent of the gold entities "
        f"of a type; the last row counts predicted entities without any gold one. Middle seed by F1.{left_out}"
    )
    finish(fig, title_of(group, "Types confused"), " ".join([note, *setting_notes(group)]))
    return fig


def _rows(group: Group) -> list[Row]:
    """The first `MOST_METHODS` of the table that are no oracles: a matrix names first what it is about."""
    oracles = {(one.suite, one.label) for one in group.stored if is_oracle(one.record)}
    return [row for row in rows_of(group) if row not in oracles][:MOST_METHODS]


def _counts(stored: Stored, rule: str, types: Sequence[str], golds: dict[str, Sidecar]) -> np.ndarray | None:
    key, test = stored.record.key, test_of(stored.record)
    try:
        if test not in golds:
            golds[test] = read_sidecar(stored.store.sidecar(key, GOLD))
        found = read_sidecar(stored.store.sidecar(key, predictions_name(rule)))
    except Damaged:
        return None  # `xner verify` says more
    if golds[test].words != found.words or not {
        s.type for spans in (*golds[test].spans, *found.spans) for s in spans
    } <= {*types}:
        return None
    return confusion(golds[test].spans, found.spans, types)


def _panel(axis: Axes, counts: np.ndarray | None, types: Sequence[str]) -> None:
    if counts is None:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)  # the panel's label stays
        return
    total = counts.sum(axis=1, keepdims=True)
    share = np.divide(100 * counts, total, out=np.full(counts.shape, np.nan), where=total > 0)
    share[-1] = np.nan
    axis.imshow(share, cmap="Greys", vmin=0, vmax=130)
    for (y, x), count in np.ndenumerate(counts):
        text = (
            f"{count}" if y == len(types) and x < len(types) else "" if np.isnan(share[y, x]) else f"{share[y, x]:.0f}"
        )
        axis.text(x, y, text, ha="center", va="center", fontsize=6.5, color="white" if share[y, x] > 60 else "black")
    names = [plain(name) for name in (*types, NONE)]
    axis.set_xticks(range(len(names)), names, fontsize=6, rotation=90)
    axis.set_yticks(range(len(names)), names, fontsize=6)
    axis.tick_params(length=0)
