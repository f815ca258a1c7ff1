"""Plots of training, from the records' sidecars: learning curves, loss terms, the encoder's space."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.core.errors import BadInput
from bench.report.contrasts import contrasts_of
from bench.report.frame import Group, Row, Stored, once_a_group
from bench.report.plots.canvas import GREY, figure, finished, light_grid, line_style, looks, plain
from bench.report.scores import oracle_rows, scores_of
from bench.store.sidecars import Damaged, read_arrays

Points = dict[float, list[float]]  # values by step, over seeds and languages
DASHES = ("-", "--", ":", "-.")
SIDES = ("o", "^")  # markers of source and target
MOST = 4  # rows and columns of panels in the plot of the space, to keep it legible


@once_a_group
def _curves(group: Group) -> dict[Row, list[Mapping[str, Any]]]:
    """The curves.json of the records that have one, by row."""
    by_row: dict[Row, list[Mapping[str, Any]]] = {row: [] for row in group.rows}
    for run in group.stored:
        path = run.store.sidecar(run.record.key, "curves.json")
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            continue
        except ValueError as error:
            raise BadInput(f"{path}: not JSON: {error}") from error
        if isinstance(value, dict):
            by_row[run.row].append(value)
    return by_row


def _points(series: Iterable[tuple[Sequence[float], Sequence[float | None]]]) -> Points:
    points: Points = {}
    for steps, values in series:
        for step, value in zip(steps, values, strict=False):  # an interrupted run may lack its last value
            if value is not None:
                points.setdefault(step, []).append(float(value))
    return dict(sorted(points.items()))


def _means(points: Points, scale: float = 1.0) -> tuple[list[float], list[float]]:
    return list(points), [scale * sum(values) / len(values) for values in points.values()]


def curves_figure(group: Group) -> Figure | None:
    """F1 on source dev against steps; None if no method has two points."""
    drawn: dict[Row, Points] = {}
    for row, curves in _curves(group).items():
        points = _points((curve.get("eval_step", ()), curve.get("source-dev", ())) for curve in curves)
        if len(points) > 1:
            drawn[row] = points
    if not drawn:
        return None
    shown = looks(group, list(drawn), oracle_rows(scores_of(group, group.main_rule)))
    fig = figure(7.0, 3.6)
    axis = fig.subplots()
    for row, look in shown.items():
        points, style = drawn[row], line_style(look)
        axis.plot(*_means(points, 100.0), markersize=3.5, **style)
        low, high = ([100 * pick(values) for values in points.values()] for pick in (min, max))
        axis.fill_between(list(points), low, high, color=style["color"], alpha=0.12, linewidth=0)
    axis.set(xlabel="optimiser steps", ylabel="F1 on source dev (strict, %)")
    light_grid(axis)
    fig.legend(loc="outside right upper", frameon=False, fontsize=8)
    note = "Mean over languages and seeds; the band spans the lowest to the highest run."
    return finished(fig, group, "Learning curves", note)


def loss_figure(group: Group) -> Figure | None:
    """Loss terms against steps, one panel for each method with several terms; None if there is no such method."""
    panels: dict[Row, dict[str, Points]] = {}
    for row, curves in _curves(group).items():
        names = dict.fromkeys(name for curve in curves for name in curve.get("loss", {}))
        terms = {name: _points((curve["step"], curve["loss"].get(name, ())) for curve in curves) for name in names}
        if sum(len(points) > 1 for points in terms.values()) > 1:
            panels[row] = terms
    if not panels:
        return None
    columns = min(3, len(panels))
    lines = -(-len(panels) // columns)
    fig = figure(2.0 + 2.6 * columns, 1.1 + 2.0 * lines)
    axes = fig.subplots(lines, columns, squeeze=False, sharex=True).ravel()
    shown = looks(group, list(panels))
    for axis, (row, terms) in zip(axes, panels.items(), strict=False):
        for place, (name, points) in enumerate(terms.items()):
            style: dict[str, Any] = {"color": f"{0.15 * place % 0.7:.2f}", "ls": DASHES[place % len(DASHES)]}
            axis.plot(*_means(points), label=f" {name}", linewidth=1.3, **style)
        axis.tick_params(labelbottom=True)
        axis.set_title(shown[row].label, fontsize=8)
        axis.legend(frameon=False, fontsize=6.5)
        axis.set_xlabel("optimiser step", fontsize=7)
        light_grid(axis)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    fig.supylabel("loss term (as weighted by the method)", fontsize=8)
    note = "Mean over languages and seeds, each panel on its own scale. Terms of different methods are not comparable."
    return finished(fig, group, "Loss terms", note)


def space_figure(group: Group) -> Figure | None:
    """Principal components of words before and after training, target × method, first seed; None without records."""
    drawn = {cell: points for cell, stored in group.cells.items() if (points := _space(stored))}
    asked = {label for comparison in contrasts_of(group) for label in (comparison.a, comparison.b)}  # these come first
    students = {run.row for run in group.stored if (run.record.cell.get("params") or {}).get("distil")}
    rows = [row for row in group.rows if any(row == other for other, _ in drawn)]
    rows = [row for row in rows if row not in students] or rows  # what is measured of them is their teacher
    rows = sorted(rows, key=lambda row: row[1] not in asked)[:MOST]
    targets = [target for target in group.targets if any(target == other for _, other in drawn)][:MOST]
    if not drawn:
        return None
    fig = figure(2.2 + 2.1 * (1 + len(rows)), 1.4 + 2.0 * len(targets))
    panels = fig.subplots(len(targets), 1 + len(rows), squeeze=False)
    types = sorted({str(type_) for points in drawn.values() for type_ in points["label"]} - {"O"})
    shades = matplotlib.colormaps["viridis"](np.linspace(0.05, 0.9, max(len(types), 1)))
    colors: dict[str, Any] = {"O": "0.8", **dict(zip(types, shades, strict=False))}
    for line, target in zip(panels, targets, strict=True):
        first = next((drawn[row, target] for row in rows if (row, target) in drawn), None)
        _words(line[0], first, "before", colors, group.source)
        line[0].set_ylabel(plain(target))
        for axis, row in zip(line[1:], rows, strict=True):
            _words(axis, drawn.get((row, target)), "after", colors, group.source)
    for axis, name in zip(panels[0], ["before", *(plain(row[1]) for row in rows)], strict=True):
        axis.set_title(name, fontsize=8)
    entries = [(type_, colors[type_], "o") for type_ in (*types, "O")]
    entries += [(name, GREY, marker) for name, marker in zip((group.source or "source", "target"), SIDES, strict=True)]
    handles = [Line2D([], [], color=color, marker=marker, ls="", label=f" {name}") for name, color, marker in entries]
    fig.legend(handles=handles, loc="outside right upper", frameon=False, fontsize=8)
    note = "Two principal components of the last layer's word states (unit length), of training pairs; first seed. "
    note += f"Before: the encoder as it was loaded. At most {MOST} methods and languages that have them."
    return finished(fig, group, "Words by label and language", note)


def _space(stored: Sequence[Stored]) -> dict[str, Any]:
    """The first readable space.npz over the seeds; {} if there is none."""
    for run in stored:
        try:
            return read_arrays(run.store.sidecar(run.record.key, "space.npz"))
        except Damaged:
            continue
    return {}


def _words(axis: Axes, points: Mapping[str, Any] | None, when: str, colors: Mapping[str, Any], source: str) -> None:
    axis.set(xticks=[], yticks=[])
    if points is None:
        axis.text(0.5, 0.5, "no result", ha="center", va="center", fontsize=7, color=GREY, transform=axis.transAxes)
        return
    in_source = points["language"] == source
    for type_ in sorted(set(points["label"].tolist()), key=lambda type_: (type_ != "O", type_)):  # O below the others
        for side, marker in zip((in_source, ~in_source), SIDES, strict=True):
            x, y = points[when][side & (points["label"] == type_)].T
            axis.scatter(x, y, s=9, marker=marker, color=colors[str(type_)], edgecolor="0.3", linewidth=0.2)
    share = points["explained"][0 if when == "before" else 1]
    axis.set_xlabel(f"{100 * float(share):.0f} % of variance", fontsize=7)
