"""Which type gold entities were taken for, by method and language."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.report.errors import SidecarPairs, confusion, middle
from bench.report.frame import Group, Row, Stored
from bench.report.plots.canvas import figure, finished, looks, plain
from bench.store.sidecars import Damaged

MOST_METHODS, MOST_LANGUAGES = 6, 12  # panels beyond are too small to read


def confusion_figure(group: Group) -> Figure | None:
    """A panel a method and language, of the middle seed; None where no gold and predictions are stored.

    Of the methods the first that are no oracles: a matrix names first what it is about.
    """
    types = sorted({str(type_) for run in group.stored for type_ in run.record.corpus.get("types") or ()})
    pairs, panels = SidecarPairs(), dict[tuple[Row, str], np.ndarray]()
    for row in [row for row in group.rows if row not in group.oracles][:MOST_METHODS]:
        for target in group.targets[:MOST_LANGUAGES]:
            stored = middle(group.cells[row, target], group.main_rule)
            if stored is not None and (counts := _counts(stored, group.main_rule, types, pairs)) is not None:
                panels[row, target] = counts
    if not types or not panels:
        return None
    rows = list(dict.fromkeys(row for row, _ in panels))
    targets = [target for target in group.targets if any(target == other for _, other in panels)]
    fig = figure(1.6 + 1.35 * len(targets), 1.5 + 1.35 * len(rows))
    axes = fig.subplots(len(rows), len(targets), squeeze=False)
    shown = looks(group, rows)
    for y, row in enumerate(rows):
        for x, target in enumerate(targets):
            _panel(axes[y, x], panels.get((row, target)), types)
            if y == 0:
                axes[y, x].set_title(plain(target), fontsize=9)
        axes[y, 0].set_ylabel(f"{textwrap.fill(shown[row].label, 22)}\ngold", fontsize=7)
    rest = {"languages": len(group.targets) - MOST_LANGUAGES, "methods": len(group.rows) - len(rows)}
    left_out = "".join(f" {more} further {what} are not drawn." for what, more in rest.items() if more > 0)
    note = (
        "Rows: gold type; columns: type of the predicted entity that shares most words. Percent of the gold entities "
        f"of a type; the last row counts predicted entities without any gold one. Middle seed by F1.{left_out}"
    )
    return finished(fig, group, "Types confused", note)


def _counts(stored: Stored, rule: str, types: Sequence[str], pairs: SidecarPairs) -> np.ndarray | None:
    try:
        gold, predicted = (sidecar.spans for sidecar in pairs.read(stored, rule))
    except Damaged:
        return None  # `xner verify` says more
    known = {span.type for spans in (*gold, *predicted) for span in spans} <= set(types)
    return confusion(gold, predicted, types) if known else None


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
        spurious = y == len(types) and x < len(types)
        text = f"{count}" if spurious else "" if np.isnan(share[y, x]) else f"{share[y, x]:.0f}"
        axis.text(x, y, text, ha="center", va="center", fontsize=6.5, color="white" if share[y, x] > 60 else "black")
    names = [plain(name) for name in (*types, "none")]
    axis.set_xticks(range(len(names)), names, fontsize=6, rotation=90)
    axis.set_yticks(range(len(names)), names, fontsize=6)
    axis.tick_params(length=0)
