"""Plots against a varied factor: source sentences, quality and kind of translations, method parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter

from bench.core.files import canonical_json
from bench.report.frame import Group, Row
from bench.report.notes import interval_note
from bench.report.plots.canvas import (
    MARKERS,
    dots,
    figure,
    finished,
    legend,
    light_grid,
    line_style,
    looks,
    panels,
    plain,
    rows_axis,
)
from bench.report.scores import average_over, diagnostic, macro, mean_or_none, oracle_rows, scores_of
from bench.store.record import row_name

TRANSLATOR = "translator."  # axes that vary the quality of translations
N_SOURCE = "data.n_source"
Point = tuple[float, float, float]  # translation accuracy, F1 of the labels, F1 of the tagger, all percent


def sets_along(every_group: Sequence[Group], varied: str) -> list[tuple[Group, ...]]:
    """Sets of two or more groups that differ only in axes whose names begin with `varied`."""
    sets: dict[tuple[object, ...], list[Group]] = {}
    for group in every_group:
        axes = group.stored[0].table_axes.items()
        other = [(name, repr(value)) for name, value in axes if not name.startswith(varied)]
        same = (group.suites, group.corpus, group.source, group.encoder, group.intrinsic, *sorted(other))
        sets.setdefault(same, []).append(group)
    return [tuple(several) for several in sets.values() if len(several) > 1]


def _common_languages(several: Sequence[Group]) -> tuple[str, ...]:
    """The languages that belong to the macro average of every group."""
    common = [average_over(scores_of(g, g.main_rule), g.rows, g.targets) for g in several]
    return tuple(target for target in common[0] if all(target in languages for languages in common))


def _lines(points: Iterator[tuple[Row, Any]]) -> dict[Row, list[Any]]:
    """The sorted points of each row that has at least two."""
    lines: dict[Row, list[Any]] = {}
    for row, point in points:
        lines.setdefault(row, []).append(point)
    return {row: sorted(set(row_points)) for row, row_points in lines.items() if len(set(row_points)) > 1}


def quality_figure(several: Sequence[Group]) -> Figure | None:
    """Two panels, one line for each method and one point for each translator; None if no method has two points."""
    languages = _common_languages(several)
    lines = _lines(_quality(several, languages))
    if not lines:
        return None
    shown = looks(several[0], list(lines))
    fig = figure(9.0, 3.8)
    panels = fig.subplots(1, 2, sharex=True, sharey=True)
    for axis, which, name in ((panels[0], 1, "projected labels"), (panels[1], 2, "tagger trained on them")):
        for row, look in shown.items():
            axis.plot([p[0] for p in lines[row]], [p[which] for p in lines[row]], markersize=6, **line_style(look))
        axis.set(xlabel="words right in translations (%)", ylim=(0, 100))
        axis.set_title(name, fontsize=9)
        light_grid(axis)
    panels[0].set_ylabel("F1 (%)")
    legend(fig, shown.values())
    note = (
        f"Points: {'; '.join(group.axes for group in several)}. Mean over {', '.join(languages)} and "
        "seeds, no intervals. Words right: 1 - word edits / words of the corpus's own translation, of the plain "
        "translations. Labels: entities of the same type and words as in that translation's gold, left-out sentences "
        "missed; the tagger: strict F1."
    )
    return finished(fig, several[0], "F1 against translation quality", note)


def _quality(several: Sequence[Group], languages: Sequence[str]) -> Iterator[tuple[Row, Point]]:
    """The row and point of each group, for rows whose labels were measured in all languages."""
    for group in several if languages else ():
        scores = scores_of(group, group.main_rule)
        for row in group.rows:
            cells = [group.cells[row, target] for target in languages]
            by_measure = [[diagnostic(s, name) for s in cells] for name in ("translation_accuracy", "projection_f1")]
            words, labels = ([value for value in values if value is not None] for values in by_measure)
            mean, _ = macro(scores, row, languages)
            if mean is not None and len(words) == len(labels) == len(languages):
                yield row, (mean_or_none(words) or 0.0, mean_or_none(labels) or 0.0, mean)


def sources_figure(several: Sequence[Group]) -> Figure | None:
    """Macro F1 over the common languages, a line with a band for each method; None if no method has two points."""
    languages = _common_languages(several)
    lines = _lines(_sizes(several, languages))
    if not lines:
        return None
    oracles = frozenset[Row]().union(*(oracle_rows(scores_of(group, group.main_rule)) for group in several))
    shown = looks(several[0], list(lines), oracles)
    fig = figure(7.0, 3.8)
    axis = fig.subplots()
    for row, look in shown.items():
        sizes, means, halves = zip(*lines[row], strict=True)
        style = line_style(look)
        axis.plot(sizes, means, **style)
        if all(half is not None for half in halves):
            low, high = ([m + sign * h for m, h in zip(means, halves, strict=True)] for sign in (-1, 1))
            axis.fill_between(sizes, low, high, color=style["color"], alpha=0.12, linewidth=0)
    axis.set_xscale("log")
    every = sorted({size for points in lines.values() for size, _, _ in points})
    axis.set_xticks(every, [f"{size:,}" for size in every])
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set(xlabel="labelled source sentences", ylabel="macro F1 (strict, %)")
    light_grid(axis)
    fig.legend(loc="outside right upper", frameon=False, fontsize=8)
    whole = replace(several[0], axes="", stored=tuple(run for group in several for run in group.stored))
    note = (
        f"Macro over {', '.join(languages)}, mean over seeds; bands: the languages' mean half-width (95 %), a bound."
        " The smaller sets are parts of the larger ones."
    )
    return finished(fig, several[0], "F1 against labelled sentences", note, whole)


def _sizes(several: Sequence[Group], languages: Sequence[str]) -> Iterator[tuple[Row, tuple[int, float, float | None]]]:
    """Row, number of source sentences (fewer than asked for if there are fewer), macro F1 and its half-width."""
    for group in several if languages else ():
        first = group.stored[0]
        size = min(int(first.table_axes[N_SOURCE]), int(first.record.cell["n_source"]))
        for row in group.rows:
            mean, half = macro(scores_of(group, group.main_rule), row, languages)
            if mean is not None:
                yield row, (size, mean, half)


# --- parameters -------------------------------------------------------------------------------------------------------


def sweep_figure(group: Group) -> Figure | None:
    """Macro F1 against each parameter that is an axis, one line for each row apart from it; None without such an axis.

    The languages are those that every row of a panel has.
    """
    panels_of = _swept(group)
    if not panels_of:
        return None
    scores, drawn = scores_of(group, group.main_rule), set[str]()
    shown = looks(group, [row for lines in panels_of.values() for points in lines.values() for _, row in points])
    fig = figure(max(5.0, 3.4 * len(panels_of)), 3.8)
    for axis, (name, lines) in zip(fig.subplots(1, len(panels_of), squeeze=False)[0], panels_of.items(), strict=True):
        rows = [row for points in lines.values() for _, row in points]
        languages = average_over(scores, rows, group.targets)
        ticks = sorted({value for points in lines.values() for value, _ in points})
        for label, points in lines.items():
            style = line_style(replace(shown[points[0][1]], label=plain(label)))
            values = [(ticks.index(value), macro(scores, row, languages)) for value, row in sorted(points)]
            known = [(place, mean, half) for place, (mean, half) in values if mean is not None]
            if not known:
                continue
            places, means, halves = zip(*known, strict=True)
            axis.plot(places, means, **style | ({"label": None} if label in drawn else {}))
            drawn.add(label)
            if all(half is not None for half in halves):
                low, high = ([m + sign * h for m, h in zip(means, halves, strict=True)] for sign in (-1, 1))
                axis.fill_between(places, low, high, color=style["color"], alpha=0.12, linewidth=0)
        axis.set_xticks(range(len(ticks)), [canonical_json(value).strip('"') for value in ticks])
        axis.set(xlabel=name, ylabel=f"macro F1 over {', '.join(languages)} (strict, %)")
        light_grid(axis)
    if not drawn:
        return None
    fig.legend(loc="outside right upper", frameon=False, fontsize=8)
    note = "Mean over seeds; bands: the languages' mean half-width (95 %), a bound. Evenly spaced values. "
    advice = "The value that looks best here would be chosen on the test: choose on source dev."
    return finished(fig, group, "F1 against parameters", note + advice)


def _swept(group: Group) -> dict[str, dict[str, list[tuple[Any, Row]]]]:
    """By parameter, and by row name without it, its values (at least two) with their rows."""
    panels_of: dict[str, dict[str, list[tuple[Any, Row]]]] = {}
    for run in {run.row: run for run in group.stored}.values():
        axes = run.record.cell.get("axes") or {}
        for name, value in axes.items():
            if name.startswith("method."):
                label = row_name(str(run.record.cell["label"]), {k: v for k, v in axes.items() if k != name})
                line = label if len(group.suites) == 1 else f"{run.suite}: {label}"
                panels_of.setdefault(name.removeprefix("method."), {}).setdefault(line, []).append((value, run.row))
    several = {name: {k: v for k, v in lines.items() if len(v) > 1} for name, lines in panels_of.items()}
    return {name: lines for name, lines in several.items() if lines}


# --- human and machine translation ------------------------------------------------------------------------------------


def translations_figure(group: Group) -> Figure | None:
    """F1 with human and with machine translations of the same method, one panel for each language.

    None if no method has both in a language.
    """
    variants = _by_translator(group)
    scores = scores_of(_common_seeds(group, variants), group.main_rule)
    shown = looks(group, [row for rows in variants.values() for row in rows.values()])
    markers = dict(zip(dict.fromkeys(name for rows in variants.values() for name in rows), MARKERS, strict=False))
    targets = [
        target
        for target in group.targets
        if any(sum(scores[row, target].mean is not None for row in rows.values()) > 1 for rows in variants.values())
    ]
    if not targets:
        return None
    fig, axes = panels(len(variants), targets, 0.5 + 0.065 * max(map(len, variants)))
    for axis, target in zip(axes, targets, strict=True):
        places = []
        for y, rows in enumerate(variants.values()):
            for place, (name, row) in enumerate(rows.items()):
                score, offset = scores[row, target], 0.22 * (place - (len(rows) - 1) / 2)
                if score.mean is not None:
                    places.append((y + offset, replace(shown[row], marker=markers[name]), score.mean, score.limits))
        dots(axis, places)
        rows_axis(axis, [plain(name) for name in variants])
    handles = [Line2D([], [], ls="", marker=m, color="0.3", label=f" {plain(n)}") for n, m in markers.items()]
    fig.legend(handles=handles, loc="outside right upper", frameon=False, fontsize=8)
    note = f"F1 (strict, %). {interval_note((score.what for score in scores.values()), 'Lines show the')}"
    alike = " Each method over the seeds that all of its rows in a language have."
    return finished(fig, group, "Human and machine translation", note + alike)


def _common_seeds(group: Group, variants: Mapping[str, Mapping[str, Row]]) -> Group:
    """The group reduced, by variant and language, to the seeds of all its rows that were run there."""
    seeds: dict[tuple[Row, str], set[int]] = {}
    for run in group.stored:
        if run.record.status == "ok":
            seeds.setdefault((run.row, run.target), set()).add(run.record.cell["seed"])
    common: dict[tuple[Row, str], set[int]] = {}
    for rows in variants.values():
        for target in group.targets:
            there = [(row, target) for row in rows.values() if (row, target) in seeds]
            common |= dict.fromkeys(there, set.intersection(*(seeds[cell] for cell in there)) if there else set())
    kept = (run for run in group.stored if run.record.cell.get("seed") in common.get((run.row, run.target), ()))
    return replace(group, stored=tuple(kept))


def _by_translator(group: Group) -> dict[str, dict[str, Row]]:
    """By method and other [labels] axes, its rows by translator; human translation comes first."""
    variants: dict[str, dict[str, Row]] = {}
    for run in group.stored:
        axes = run.record.cell.get("axes") or {}
        made = {run.record.resources.translation, run.record.resources.test_translation} - {"none"}
        if translator := axes.get("labels.translator"):
            other = [str(value) for name, value in sorted(axes.items()) if name.startswith("labels.")]
            other.remove(str(translator))
            name = str(run.record.cell["label"]) + (f" ({', '.join(other)})" if other else "")
            kind = "human" if "human" in made else f"machine: {translator}"
            variants.setdefault(name, {}).setdefault(kind, run.row)
    return {name: dict(sorted(rows.items())) for name, rows in variants.items() if "human" in rows and len(rows) > 1}
