"""Projected labels and the tagger trained on them against translation quality: across tables of several translators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.report.canvas import figure, finish, legend, looks
from bench.report.frame import Group
from bench.report.head import setting_notes, title_of
from bench.report.scores import Row, average_over, cells_of, diagnostic, rows_of, scores_of

Point = tuple[float, float, float]  # translation accuracy, F1 of the labels, F1 of the tagger, all percent
VARIED = "translator."  # axes that make translations better and worse


def quality_sets(found: Sequence[Group]) -> list[tuple[Group, ...]]:
    """The groups that differ in an axis of the translator and in nothing else, two and more together."""
    return sets_along(found, VARIED)


def sets_along(found: Sequence[Group], varied: str) -> list[tuple[Group, ...]]:
    """The groups that differ in axes whose names begin with `varied` and in nothing else, two and more together."""
    sets: dict[tuple[object, ...], list[Group]] = {}
    for group in found:
        other = [(name, repr(value)) for name, value in _axes(group).items() if not name.startswith(varied)]
        same = (group.suites, group.corpus, group.source, group.encoder, group.intrinsic, *sorted(other))
        sets.setdefault(same, []).append(group)
    return [tuple(groups) for groups in sets.values() if len(groups) > 1]


def _axes(group: Group) -> Mapping[str, Any]:
    axes = group.stored[0].record.cell.get("axes") or {}
    return {name: value for name, value in axes.items() if not name.startswith("labels.")}


def quality_figure(groups: Sequence[Group]) -> Figure | None:
    """Two panels, a line a method: a point a translator; None where no two points of a method were measured."""
    lines = {row: sorted(points) for row, points in _points(groups).items() if len(points) > 1}
    if not lines:
        return None
    shown = looks(groups[0], list(lines), frozenset())
    fig = figure(9.0, 3.8)
    panels = fig.subplots(1, 2, sharex=True, sharey=True)
    for axis, which, name in ((panels[0], 1, "projected labels"), (panels[1], 2, "tagger trained on them")):
        _panel(axis, [(shown[row].face, [(one[0], one[which]) for one in points]) for row, points in lines.items()])
        axis.set_title(name, fontsize=9)
    panels[0].set_ylabel("F1 (%)")
    legend(fig, [shown[row] for row in lines])
    note = (
        f"Points: {'; '.join(group.axes for group in groups)}. Mean over {', '.join(common_languages(groups))} and "
        "seeds, no intervals. Words right: 1 - word edits / words of the corpus's own translation, of the plain "
        "translations. Labels: entities of the same type and words as in that translation's gold, left-out sentences "
        "missed; the tagger: strict F1."
    )
    finish(fig, title_of(groups[0], "F1 against translation quality"), " ".join([note, *setting_notes(groups[0])]))
    return fig


def _panel(axis: Axes, lines: Sequence[tuple[str, Sequence[tuple[float, float]]]]) -> None:
    for number, (color, points) in enumerate(lines):
        xs, ys = zip(*points, strict=True)
        axis.plot(xs, ys, "os^DvP*X"[number % 8], ls="-", color=color, markeredgecolor="0.2", markersize=6, linewidth=1)
    axis.set_xlabel("words right in translations (%)")
    axis.set_ylim(0, 100)
    axis.grid(color="0.9", linewidth=0.6)


def common_languages(groups: Sequence[Group]) -> tuple[str, ...]:
    """Where every row of every group that has any number has one."""
    common = [average_over(scores_of(g, g.main_rule), rows_of(g), g.targets) for g in groups]
    return tuple(target for target in common[0] if all(target in one for one in common))


def _points(groups: Sequence[Group]) -> dict[Row, list[Point]]:
    """By row a point a group, for the rows whose labels were measured in all of the languages."""
    languages = common_languages(groups)
    found: dict[Row, list[Point]] = {}
    for group in groups if languages else ():
        scores, cells = scores_of(group, group.main_rule), cells_of(group)
        for row in rows_of(group):
            means = [score.mean for t in languages if (score := scores[row, t]).mean is not None]
            labels, words = (
                [value for t in languages if (value := diagnostic(cells.get((row, t), []), name)) is not None]
                for name in ("projection_f1", "translation_accuracy")
            )
            if min(len(means), len(labels), len(words)) == len(languages):
                found.setdefault(row, []).append((_average(words), _average(labels), _average(means)))
    return found


def _average(values: Sequence[float]) -> float:
    return sum(values) / len(values)
