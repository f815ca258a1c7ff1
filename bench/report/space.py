"""What training did to the encoder's space: a plot of words by label and language, and a table of measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.report.canvas import GREY, figure, finish, plain
from bench.report.frame import Group, Stored
from bench.report.head import corpus_notes, setting_notes, title_of
from bench.report.main_table import head_cells, heads_of
from bench.report.model import Cell, Table, frame_of
from bench.report.scores import cells_of, diagnostic, rows_of
from bench.store.sidecars import Damaged, read_arrays

MARKERS = ("o", "^")  # source, target
MOST = 4  # rows and columns of panels: a plot is to be read
MEASURES = {
    "retrieval_forward": "retrieval, source to target",
    "retrieval_backward": "retrieval, target to source",
    "same_label": "cosine, same label",
    "other_label": "cosine, other label",
}


def space_figure(group: Group) -> Figure | None:
    """Principal components of words before and after training, target × method, first seed; None without records."""
    found = {key: points for key, stored in cells_of(group).items() if (points := _points(stored))}
    rows = [row for row in rows_of(group) if any(row == other for other, _ in found)][:MOST]
    targets = [target for target in group.targets if any(target == other for _, other in found)][:MOST]
    if not found:
        return None
    fig = figure(2.2 + 2.1 * (1 + len(rows)), 1.4 + 2.0 * len(targets))
    panels = fig.subplots(len(targets), 1 + len(rows), squeeze=False)
    kinds = sorted({str(kind) for points in found.values() for kind in points["label"]} - {"O"})
    shades = matplotlib.colormaps["viridis"](np.linspace(0.05, 0.9, max(len(kinds), 1)))
    colors: dict[str, Any] = {"O": "0.8", **dict(zip(kinds, shades, strict=False))}
    for line, target in zip(panels, targets, strict=True):
        first = next((found[row, target] for row in rows if (row, target) in found), None)
        _panel(line[0], first, "before", colors, group.source)
        line[0].set_ylabel(plain(target))
        for axis, row in zip(line[1:], rows, strict=True):
            _panel(axis, found.get((row, target)), "after", colors, group.source)
    for axis, name in zip(panels[0], ["before", *(plain(row[1]) for row in rows)], strict=True):
        axis.set_title(name, fontsize=8)
    handles = [Line2D([], [], color=colors[kind], marker="o", ls="", label=f" {kind}") for kind in (*kinds, "O")]
    names = (group.source or "source", "target")
    for shown, marker in zip(names, MARKERS, strict=True):
        handles.append(Line2D([], [], color=GREY, marker=marker, ls="", label=f" {shown}"))
    fig.legend(handles=handles, loc="outside right upper", frameon=False, fontsize=8)
    note = "Two principal components of the last layer's word states (unit length), of training pairs; first seed."
    finish(fig, title_of(group, "Words by label and language"), " ".join([note, *setting_notes(group)]))
    return fig


def _points(stored: Sequence[Stored]) -> dict[str, Any]:
    """space.npz of the first seed that has one that can be read, {} where none has."""
    for one in stored:
        try:
            return read_arrays(one.store.sidecar(one.record.key, "space.npz"))
        except (FileNotFoundError, Damaged):
            continue
    return {}


def _panel(axis: Axes, points: Mapping[str, Any] | None, when: str, colors: Mapping[str, Any], source: str) -> None:
    axis.set_xticks([])
    axis.set_yticks([])
    if points is None:
        axis.text(0.5, 0.5, "no result", ha="center", va="center", fontsize=7, color=GREY, transform=axis.transAxes)
        return
    ours = points["language"] == source
    for kind in sorted(set(points["label"].tolist()), key=lambda kind: (kind != "O", kind)):  # O below the others
        for side, marker in ((ours, MARKERS[0]), (~ours, MARKERS[1])):
            chosen = side & (points["label"] == kind)
            x, y = points[when][chosen].T
            axis.scatter(x, y, s=9, marker=marker, color=colors[str(kind)], edgecolor="0.3", linewidth=0.2)
    share = points["explained"][0 if when == "before" else 1]
    axis.set_xlabel(f"{100 * float(share):.0f} % of variance", fontsize=7)


def space_table(group: Group, name: str = "space") -> Table | None:
    """Retrieval and cosines before and after training, percent, mean over seeds; None where nothing was measured."""
    lines: list[dict[str, Cell]] = []
    cells = cells_of(group)
    for row in rows_of(group):
        found = [one.record.diagnostics for target in group.targets for one in cells.get((row, target), [])]
        if not any(name.startswith("after_") for names in found for name in names):  # a method may note others
            continue
        for measure, text in MEASURES.items():
            for when in ("before", "after"):
                line = head_cells(group, row, False) | {"measure": Cell(text=text), "when": Cell(text=when)}
                keys = {target: cells.get((row, target), []) for target in group.targets}
                line |= {target: _mean(stored, f"{when}_{measure}") for target, stored in keys.items()}
                lines.append(line)
    if not lines:
        return None
    heads = (*heads_of(group), "measure", "when")
    note = (
        "Of training pairs, with the last round before distillation; percent (cosines x 100). Retrieval: share of "
        "sentences whose translation is nearest. Label: entity words of one type, and of another type or outside."
    )
    return Table(
        name=name,
        title=title_of(group, "The encoder's space before and after training"),
        heads=heads,
        frame=frame_of(lines, [*heads, *group.targets]),
        columns_are="language",
        notes=(*corpus_notes(group), *setting_notes(group), note),
    )


def _mean(stored: Sequence[Stored], name: str) -> Cell:
    seeds = sum(name in one.record.diagnostics for one in stored)
    return Cell(diagnostic(stored, name), seeds=seeds) if seeds else Cell(text="–", status="missing")
