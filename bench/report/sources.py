"""F1 against the number of labelled source sentences: across the tables of a matrix with the axis `data.n_source`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from bench.report.canvas import figure, finish, looks
from bench.report.curves import MARKERS
from bench.report.frame import Group
from bench.report.head import setting_notes, title_of
from bench.report.quality import common_languages, sets_along
from bench.report.scores import Row, macro, rows_of, scores_of

AXIS = "data.n_source"


def source_sets(found: Sequence[Group]) -> list[tuple[Group, ...]]:
    """The groups that differ in the number of source sentences and in nothing else, two and more together."""
    return sets_along(found, AXIS)


def sources_figure(groups: Sequence[Group]) -> Figure | None:
    """A line a method with a band, macro F1 over the languages that all have; None where no method has two points."""
    languages = common_languages(groups)
    found: dict[Row, dict[int, tuple[int, float, float | None]]] = {}
    for group in groups if languages else ():
        scores = scores_of(group, group.main_rule)
        for row in rows_of(group):
            mean, half = macro(scores, row, languages)
            if mean is not None:
                found.setdefault(row, {})[_size(group)] = (_size(group), mean, half)
    lines = {row: sorted(points.values()) for row, points in found.items() if len(points) > 1}
    if not lines:
        return None
    oracles = frozenset(row for g in groups for (row, _), s in scores_of(g, g.main_rule).items() if s.oracle)
    shown = looks(groups[0], list(lines), oracles)
    fig = figure(7.0, 3.8)
    axis = fig.subplots()
    for place, (row, points) in enumerate(lines.items()):
        sizes, means, halves = zip(*points, strict=True)
        color = "0.55" if row in oracles else shown[row].face
        style: Mapping[str, Any] = {"color": color, "marker": MARKERS[place % len(MARKERS)], "markeredgecolor": "0.2"}
        axis.plot(
            sizes, means, ls="--" if row in oracles else "-", label=f" {shown[row].label}", linewidth=1.3, **style
        )
        if all(half is not None for half in halves):
            low, high = ([m + sign * h for m, h in zip(means, halves, strict=True)] for sign in (-1, 1))
            axis.fill_between(sizes, low, high, color=color, alpha=0.12, linewidth=0)
    axis.set_xscale("log")
    every = sorted({size for points in lines.values() for size, _, _ in points})
    axis.set_xticks(every, [f"{size:,}" for size in every])
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_xlabel("labelled source sentences")
    axis.set_ylabel("macro F1 (strict, %)")
    axis.grid(color="0.9", linewidth=0.6)
    fig.legend(loc="outside right upper", frameon=False, fontsize=8)
    whole = replace(groups[0], axes="", stored=tuple(one for group in groups for one in group.stored), memo={})
    note = (
        f"Macro over {', '.join(languages)}, mean over seeds; bands: the languages' mean half-width (95 %), a bound."
        " The smaller sets are parts of the larger ones."
    )
    finish(fig, title_of(groups[0], "F1 against labelled sentences"), " ".join([note, *setting_notes(whole)]))
    return fig


def _size(group: Group) -> int:
    """What was used, where the axis asks for more than there is."""
    cell = group.stored[0].record.cell
    return min(int(cell["axes"][AXIS]), int(cell["n_source"]))
