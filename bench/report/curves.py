"""Learning curves from the records' sidecars."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.core.errors import BadInput
from bench.report.canvas import figure, finish, looks
from bench.report.frame import Group, Stored
from bench.report.head import setting_notes, title_of
from bench.report.scores import Row, rows_of, scores_of

Points = dict[float, list[float]]  # values by step, over seeds and languages
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES = ("-", "--", ":", "-.")


def _curves(one: Stored) -> Mapping[str, Any]:
    """curves.json of a record, {} where there is none."""
    path = one.store.sidecar(one.record.key, "curves.json")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise BadInput(f"{path}: not JSON: {error}") from error
    return value if isinstance(value, dict) else {}


def _by_row(group: Group) -> dict[Row, list[Mapping[str, Any]]]:
    found: dict[Row, list[Mapping[str, Any]]] = {}
    for one in group.stored:
        if curves := _curves(one):
            found.setdefault((one.suite, one.label), []).append(curves)
    return found


def _points(series: Iterable[tuple[Sequence[float], Sequence[float | None]]]) -> Points:
    points: Points = {}
    for steps, values in series:
        for step, value in zip(steps, values, strict=False):  # a killed run may lack its last value
            if value is not None:
                points.setdefault(step, []).append(float(value))
    return dict(sorted(points.items()))


def _line(axis: Axes, points: Points, scale: float, style: Mapping[str, Any], band: bool) -> None:
    steps = list(points)
    axis.plot(steps, [scale * sum(v) / len(v) for v in points.values()], linewidth=1.3, markersize=3.5, **style)
    if band:
        low, high = ([scale * pick(v) for v in points.values()] for pick in (min, max))
        axis.fill_between(steps, low, high, color=style["color"], alpha=0.12, linewidth=0)


def curves_figure(group: Group) -> Figure | None:
    """F1 on source dev against steps; None where no record has the sidecar."""
    found = _by_row(group)
    drawn = {
        row: points
        for row in rows_of(group)
        if (points := _points((c.get("eval_step", ()), c.get("source-dev", ())) for c in found.get(row, ())))
    }
    if not drawn:
        return None
    scores = scores_of(group, group.main_rule)
    oracles = frozenset(row for row in drawn if any(scores[row, target].oracle for target in group.targets))
    shown = looks(group, list(drawn), oracles)
    fig = figure(7.0, 3.6)
    axis = fig.subplots()
    for place, (row, points) in enumerate(drawn.items()):
        color = "0.55" if row in oracles else shown[row].face
        style = {"color": color, "marker": MARKERS[place % len(MARKERS)], "ls": "--" if row in oracles else "-"}
        style["label"] = f" {shown[row].label}"
        _line(axis, points, 100.0, style, band=True)
    axis.set_xlabel("optimiser steps")
    axis.set_ylabel("F1 on source dev (strict, %)")
    axis.grid(color="0.9", linewidth=0.6)
    fig.legend(loc="outside right upper", frameon=False, fontsize=8)
    note = "Mean over languages and seeds; the band spans the lowest to the highest run."
    finish(fig, title_of(group, "Learning curves"), " ".join([note, *setting_notes(group)]))
    return fig


def loss_figure(group: Group) -> Figure | None:
    """Each term of each method's loss against steps, a panel a method; None where no record has the sidecar."""
    panels: dict[Row, dict[str, Points]] = {}
    found = _by_row(group)
    for row in rows_of(group):
        names = dict.fromkeys(name for c in found.get(row, ()) for name in c.get("loss", {}))
        terms = {name: _points((c["step"], c["loss"].get(name, ())) for c in found[row]) for name in names}
        if any(terms.values()):
            panels[row] = terms
    if not panels:
        return None
    columns = min(3, len(panels))
    lines = -(-len(panels) // columns)
    fig = figure(2.0 + 2.6 * columns, 1.1 + 2.0 * lines)
    axes = fig.subplots(lines, columns, squeeze=False, sharex=True).ravel()
    shown = looks(group, list(panels), frozenset())
    for axis, (row, terms) in zip(axes, panels.items(), strict=False):
        for place, (name, points) in enumerate(terms.items()):
            style = {"color": f"{0.15 * place % 0.7:.2f}", "ls": DASHES[place % len(DASHES)], "label": f" {name}"}
            _line(axis, points, 1.0, style, band=False)
        axis.tick_params(labelbottom=True)
        axis.set_title(shown[row].label, fontsize=8)
        axis.legend(frameon=False, fontsize=6.5)
        axis.grid(color="0.9", linewidth=0.6)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    fig.supylabel("loss term (as weighted by the method)", fontsize=8)
    note = "Against optimiser steps; mean over languages and seeds. Terms of different methods are not comparable."
    finish(fig, title_of(group, "Loss terms"), " ".join([note, *setting_notes(group)]))
    return fig
