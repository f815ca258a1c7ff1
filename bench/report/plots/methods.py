"""Plots that compare methods: F1 by language, contrasts, pairwise differences, ranks, F1 and cost, types confused."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from scipy.stats import studentized_range

from bench.measure.statistics import MIN_SEEDS
from bench.report.compare import MARGIN
from bench.report.contrasts import baseline_of, contrasts_of, cost_of
from bench.report.errors import confused, samples
from bench.report.frame import Group, Row
from bench.report.notes import interval_note
from bench.report.plots.canvas import (
    GREY,
    PANELS,
    Look,
    dots,
    figure,
    finished,
    legend,
    light_grid,
    looks,
    marked,
    panels,
    plain,
    rows_axis,
)
from bench.report.scores import (
    LEVEL,
    Limits,
    Scores,
    average_gap,
    average_over,
    macro,
    oracle_rows,
    ranking,
    scores_of,
)
from bench.report.verdicts import exploratory_note, signed, status_note, untested_note

MOST_NUMBERS = 20  # methods up to which the cells of the heat map have room for a number


def f1_figure(group: Group) -> Figure | None:
    """F1 with its interval by method, one panel for each language and the average; None if no cell has a number."""
    scores = scores_of(group, group.main_rule)
    if all(score.mean is None for score in scores.values()):
        return None
    shown = looks(group, group.rows, oracle_rows(scores))
    languages = average_over(scores, group.rows, group.targets)
    average = ["average"] if len(languages) > 1 else []
    longest = max(len(look.label) for look in shown.values())
    fig, axes = panels(len(shown), [*average, *group.targets], 0.4 + 0.065 * longest)
    for axis, target in zip(axes, [*average, *group.targets], strict=True):
        places: list[tuple[float, Look, float, Limits | None]] = []
        for y, (row, look) in enumerate(shown.items()):
            mean, half = macro(scores, row, languages)
            if target not in group.targets:
                limits = None if mean is None or half is None else (mean - half, mean + half)
                places += [] if mean is None else [(y, look, mean, limits)]
            elif (score := scores[row, target]).mean is not None:
                places.append((y, look, score.mean, score.limits))
            else:
                text = score.status if score.status in ("failed", "skipped") else "no result"
                at = axis.get_yaxis_transform()
                axis.text(0.02, y, text, va="center", fontsize=6.5, color=GREY, transform=at)
        dots(axis, places)
        rows_axis(axis, [look.label for look in shown.values()])
    over = f" Average over {', '.join(languages)}, its interval a bound." if average else ""
    note = f"F1 (strict, %). {interval_note((score.what for score in scores.values()), 'Lines show the')}{over}"
    return finished(fig, group, "F1 by target language", note)


def forest_figure(group: Group) -> Figure | None:
    """The contrasts by language and on average with intervals at Holm's level; None without contrasts.

    One panel for each contrast if there are few, else one for each language.
    """
    comparisons = [c for c in contrasts_of(group) if c.macro.difference is not None]
    if not comparisons:
        return None
    names = [target for target in group.targets if any(target in c.languages for c in comparisons)]
    names = ["average", *names] if len(names) > 1 else names
    shown = looks(group, [(group.suites[0], c.a) for c in comparisons])
    if not any(c.declared for c in comparisons):
        order = [label for _, label in shown]
        comparisons.sort(key=lambda comparison: order.index(comparison.a))
    few = len(comparisons) <= PANELS
    bases = {c.b for c in comparisons}
    alike = len(bases) == 1 and not few and not any(c.declared for c in comparisons)
    titles = [c.a if alike else c.title for c in comparisons]
    heads, rows = (titles, names) if few else (names, titles)
    fig, axes = panels(len(rows), heads, 0.5 + 0.065 * min(40, max(map(len, rows))))
    drawn: list[tuple[Axes, float, Limits]] = []
    for place, axis in enumerate(axes):
        axis.axvspan(-MARGIN, MARGIN, color="0.9", linewidth=0, zorder=0)
        axis.axvline(0, color="0.4", linewidth=0.8, zorder=1)
        places = []
        for y in range(len(rows)):
            comparison, name = (comparisons[place], names[y]) if few else (comparisons[y], names[place])
            line = {"average": comparison.macro, **{x.name: x for x in comparison.lines}}.get(name)
            if line is not None and line.difference is not None:
                limits = line.together or line.interval
                places.append((y, shown[group.suites[0], comparison.a], line.difference, limits))
                drawn += [(axis, y, limits)] if limits else []
        dots(axis, places)
        rows_axis(axis, [plain(row) for row in rows])
    cut = _cut(drawn)
    direction = f"minus {bases.pop()}" if alike else "of the first named minus the second"
    note = (
        f"F1 {direction}, in points; shaded: ±{MARGIN:g} F1. {status_note(comparisons)} Lines: intervals at the "
        f"level at which Holm tests, which leave out 0 exactly where p < {LEVEL:g}{cut}.{untested_note(comparisons)}"
    )
    compared = group.only({label for comparison in comparisons for label in (comparison.a, comparison.b)})
    return finished(fig, group, "Contrasts by target language", note, settings_of=compared)


def _cut(drawn: Sequence[tuple[Axes, float, Limits]]) -> str:
    """Cut intervals so wide that the others could not be read, with an arrow where one goes on; "" if none is."""
    if not drawn:
        return ""
    usual = 3 * float(np.median([high - low for _, _, (low, high) in drawn]))
    narrow = [abs(x) for _, _, (low, high) in drawn if high - low <= usual for x in (low, high)]
    edge = 1.05 * max(*narrow, *(abs(low + high) / 2 for _, _, (low, high) in drawn))
    sides = [(axis, y, -1, -low) for axis, y, (low, _) in drawn] + [(axis, y, 1, high) for axis, y, (_, high) in drawn]
    beyond = [(axis, y, side) for axis, y, side, reach in sides if reach > edge]
    for axis, y, side in beyond:
        axis.plot(0.97 * side * edge, y, marker="<" if side < 0 else ">", color=GREY, markersize=4, zorder=4)
        axis.set_xlim(-edge, edge)  # of all, as the panels share it
    return "; where an arrow ends a line, the interval goes on" if beyond else ""


def pairs_figure(group: Group) -> Figure | None:
    """Heat map of the average differences of all pairs; None with fewer than three competing methods."""
    ranked = ranking(group)
    rows = ranked.competing
    if len(rows) < 3:
        return None
    shown = looks(group, rows)
    gaps = np.array([[average_gap(group, ranked.languages, a, b) for b in rows] for a in rows])
    limit = max(1.0, float(np.abs(gaps).max()))
    fig = figure(2.6 + 0.36 * len(rows), 1.9 + 0.3 * len(rows))
    axis = fig.subplots()
    image = axis.imshow(gaps, cmap="PuOr_r", vmin=-limit, vmax=limit, aspect="auto")
    for (y, x), gap in np.ndenumerate(gaps):
        if x != y and len(rows) <= MOST_NUMBERS:
            weight = "bold" if ranked.differ(rows[y], rows[x]) else "normal"
            color = "white" if abs(gap) > 0.45 * limit else "black" if weight == "bold" else GREY
            text = f"{gap:+.0f}" if abs(gap) >= 9.95 else signed(gap)
            axis.text(x, y, text, ha="center", va="center", fontsize=6.5, weight=weight, color=color, in_layout=False)
    labels = [f"{place}  {shown[row].label}" for place, row in enumerate(rows, 1)]
    axis.set_yticks(range(len(rows)), labels, fontsize=8)
    axis.set_xticks(range(len(rows)), [str(place) for place in range(1, len(rows) + 1)], fontsize=8)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    fig.colorbar(image, ax=axis, label="row minus column, F1 points", shrink=0.9, pad=0.01)
    tested = (
        f"Bold: significant (p < {LEVEL}, Holm over {ranked.pairs} pairs).{exploratory_note(group)}"
        if ranked.pairs
        else "No pair is tested."
    )
    over = f"Average over {', '.join(ranked.languages)}, of two rows over the seeds that both have; the highest first"
    note = f"{over}; without oracles and methods that lack a language. {tested}"
    return finished(fig, group, "Pairwise differences", note)


def ranks_figure(group: Group) -> Figure | None:
    """Average ranks over languages with critical-difference bars (after Demšar, J. Machine Learning Research 7, 2006).

    Bars join methods that our test does not tell apart; above them is Nemenyi's critical difference, which uses ranks
    only. None with fewer than three methods or fewer than two common languages.
    """
    ranked = ranking(group)
    ranks = ranked.average_ranks(scores_of(group, group.main_rule))
    if len(ranks) < 3 or len(ranked.languages) < 2:
        return None
    shown = looks(group, list(ranks))
    bars = ranked.ties(list(ranks))
    fig = figure(7.0, 1.7 + 0.2 * len(ranks) + 0.1 * len(bars))
    axis = fig.subplots()
    for place, (row, rank) in enumerate(ranks.items()):
        axis.plot([1, rank], [place, place], color="0.88", linewidth=0.8, zorder=1)
        axis.plot(rank, place, ls="", markersize=6, **marked(shown[row]))
    for place, run in enumerate(bars, 1):
        ends = [ranks[run[0]] - 0.04, ranks[run[-1]] + 0.04]
        axis.plot(ends, [-0.45 * place - 0.3] * 2, color="black", linewidth=2.5, solid_capstyle="butt")
    critical = critical_difference(len(ranks), len(ranked.languages))
    top = -0.45 * len(bars) - 1.3
    axis.errorbar(1 + critical / 2, top, xerr=critical / 2, color=GREY, capsize=3, linewidth=1)
    axis.text(1 + critical, top, f"  Nemenyi {critical:.1f}", va="center", fontsize=7, color=GREY)
    rows_axis(axis, [f"{shown[row].label}  {rank:.1f}" for row, rank in ranks.items()])
    axis.set(xlim=(0.8, max(len(ranks), 1 + critical) + 0.2), ylim=(len(ranks) - 0.5, top - 0.6))
    axis.set_xlabel("average rank (1 is best)")
    bars_note = (
        "Bars join neighbours of which no two differ significantly on average (paired, seeds and sentences crossed, "
        f"p < {LEVEL}, Holm over {ranked.pairs} pairs); others need not differ.{exploratory_note(group)}"
        if ranked.pairs
        else "No pair could be tested (fewer than 3 seeds, or no counts by sentence): no bars."
    )
    note = (
        f"Rank by mean F1 in each of {', '.join(ranked.languages)}, equals sharing theirs; without oracles and "
        f"methods that lack a language. {bars_note}"
    )
    return finished(fig, group, "Average ranks", note)


def critical_difference(methods: int, languages: int) -> float:
    """Nemenyi's critical difference of average ranks at 5 % (Demšar 2006, section 3.2.2)."""
    q = float(studentized_range.ppf(1 - LEVEL, methods, np.inf)) / np.sqrt(2)
    return float(q * np.sqrt(methods * (methods + 1) / (6 * languages)))


def cost_figure(group: Group) -> Figure | None:
    """F1 against the cost of a cell, with the Pareto front; None if fewer than three methods have both.

    Cost is in operations, or in seconds if more methods have those.
    """
    scores = scores_of(group, group.main_rule)
    languages = average_over(scores, group.rows, group.targets)
    shown = looks(group, group.rows, oracle_rows(scores))
    known = {unit: _cost_points(group, scores, languages, unit) for unit in ("tflop", "seconds")}
    unit = max(known, key=lambda unit: len(known[unit][0]))
    points, placed = known[unit]
    if len(points) < 3:
        return None
    fig = figure(7.5, max(3.4, 1.2 + 0.19 * len(points)))
    axis = fig.subplots()
    shown |= {row: replace(shown[row], oracle=True) for row in placed}  # hollow
    for row, (x, mean, half) in points.items():
        if half:
            axis.plot([x, x], [mean - half, mean + half], color=shown[row].face, linewidth=0.8, alpha=0.45, zorder=1)
        axis.plot(x, mean, ls="", markersize=7, **marked(shown[row]))
    apart = {row for row in shown if shown[row].oracle} | set(placed)
    front = pareto({row: (x, mean) for row, (x, mean, _) in points.items() if row not in apart})
    axis.step([points[row][0] for row in front], [points[row][1] for row in front], where="post", color="0.6", lw=1.0)
    every = [x for x, _, _ in points.values()]
    wide = max(every) > 8 * min(every)
    for row in front:  # most points lie to the right of the front, so names go to the left where there is room
        at, side = points[row][:2], -1 if not wide and points[row][0] > max(every) / 3 else 1
        place: dict[str, Any] = {"xytext": (5 * side, 5), "ha": "right" if side < 0 else "left"}
        axis.annotate(shown[row].label, at, textcoords="offset points", fontsize=7, **place)
    if wide:
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter("{x:g}")  # the default one needs mathtext, which names must not trigger
        axis.xaxis.set_minor_formatter(NullFormatter())
    else:
        axis.set_xlim(0, 1.06 * max(every))
    axis.set_xlabel("seconds of a cell" if unit == "seconds" else "10¹² operations of a cell (training and inference)")
    axis.set_ylabel("macro F1 (strict, %)")
    light_grid(axis)
    legend(fig, (shown[row] for row in points))
    moved = (
        f" Hollow, on no front, and placed by the difference from their baseline, as they lack a language: "
        f"{', '.join(group.name_of(row) for row in placed)}."
        if placed
        else ""
    )
    if absent := [look.label for row, look in shown.items() if row not in points]:
        moved += f" No cost or no average is known of {', '.join(absent)}."
    note = (
        f"Macro over {', '.join(languages)}; lines: mean of the languages' half-widths, a bound. Cost: mean of a "
        "method's cells with all that they rest on, human translation not counted. Grey: the Pareto front, whose "
        f"methods (named) none beats at the same cost or less.{moved}"
    )
    return finished(fig, group, "F1 against cost", note)


def _cost_points(
    group: Group, scores: Scores, languages: Sequence[str], unit: str
) -> tuple[dict[Row, tuple[float, float, float]], list[Row]]:
    """Cost, macro F1 and its half-width (0 where unknown) by row, and the rows that lack a language.

    Such a row is placed relative to its baseline, by their difference in F1 and the ratio of their costs, unless it has
    fewer seeds than a test needs.
    """
    points, placed = dict[Row, tuple[float, float, float]](), list[Row]()

    def price(row: Row, targets: Sequence[str]) -> float | None:
        value: float | None = getattr(cost_of(run for t in targets for run in group.cells[row, t]), unit)
        return value

    for row in sorted(group.rows, key=lambda row: macro(scores, row, languages)[0] is None):
        (mean, half), cost = macro(scores, row, languages), price(row, languages)
        if mean is not None and cost:
            points[row] = (cost, mean, half or 0.0)
        elif mean is None and (base := baseline_of(row, group.rows)) in points and base is not None:
            if len({run.record.cell["seed"] for run in group.stored if run.row == row}) < MIN_SEEDS:
                continue
            common = [t for t in group.targets if scores[row, t].mean is not None and scores[base, t].mean is not None]
            means = [macro(scores, side, common)[0] for side in (row, base)]
            costs = [price(side, common) for side in (row, base)]
            if common and means[0] is not None and means[1] is not None and costs[0] and costs[1]:
                x, y, _ = points[base]
                points[row] = (x * costs[0] / costs[1], y + means[0] - means[1], 0.0)
                placed.append(row)
    return points, placed


def pareto(points: Mapping[Row, tuple[float, float]]) -> list[Row]:
    """The rows that no other surpasses in F1 at the same cost or less, cheapest first; `points` holds (cost, F1)."""
    front: list[Row] = []
    for row in sorted(points, key=lambda row: (points[row][0], -points[row][1])):
        if not front or points[row][1] > points[front[-1]][1]:
            front.append(row)
    return front


def confusion_figure(group: Group) -> Figure | None:
    """Confused types by method, of the middle seeds; None without stored gold and predictions.

    Over the languages of the macro average; rows that lack one are left out, as their panels would count another test.
    """
    types = sorted({str(type_) for run in group.stored for type_ in run.record.corpus.get("types") or ()})
    languages = average_over(scores_of(group, group.main_rule), group.rows, group.targets)
    by_row: dict[Row, list[np.ndarray]] = {}
    for (row, target), sample in samples(group).items():
        if row not in group.oracles and target in languages and (counts := confused(sample, types)) is not None:
            by_row.setdefault(row, []).append(counts)
    counted = {row: np.sum(counts, axis=0) for row, counts in by_row.items() if len(counts) == len(languages)}
    if not types or not counted:
        return None
    names = [textwrap.fill(plain(name), 14) for name in (*types, "none")]
    margin = 0.06 * max(len(line) for name in names for line in name.splitlines())
    side = max(1.35, 0.24 * len(names)) + margin  # inches, with room for the percentages and the names
    shown = looks(group, list(counted))
    across = max(1, min(PANELS + 2, len(shown), int(12 / side)))
    lines = -(-len(shown) // across)
    fig = figure(max(4.5, 0.6 + side * across), 1.3 + (side + 0.2) * lines)
    axes = fig.subplots(lines, across, squeeze=False).ravel()
    for axis, (row, look) in zip(axes, shown.items(), strict=False):
        _confused_panel(axis, counted[row], names)
        axis.set_title("\n".join(textwrap.wrap(look.label, 22)), fontsize=8)
    for axis in axes[len(shown) :]:
        axis.remove()
    note = (
        "Rows: gold type; columns: type of the predicted entity that shares most words. Percent of the gold entities "
        "of a type; the last row holds numbers of predicted entities without any gold one, no percentages. All of "
        f"{', '.join(languages)}, middle seed by F1; without oracles and methods that lack a language."
    )
    return finished(fig, group, "Types confused", note)


def _confused_panel(axis: Axes, counts: np.ndarray, names: Sequence[str]) -> None:
    """Draw one panel; `names` are the printed names of the types, then of none."""
    total = counts.sum(axis=1, keepdims=True)
    share = np.divide(100 * counts, total, out=np.full(counts.shape, np.nan), where=total > 0)
    share[-1] = np.nan
    axis.imshow(share, cmap="Greys", vmin=0, vmax=130)
    for (y, x), count in np.ndenumerate(counts):
        spurious = y == len(names) - 1 and x < y
        text = f"{count}" if spurious else "" if np.isnan(share[y, x]) else f"{share[y, x]:.0f}"
        axis.text(x, y, text, ha="center", va="center", fontsize=6.5, color="white" if share[y, x] > 60 else "black")
    axis.set_xticks(range(len(names)), names, fontsize=6, rotation=90)
    axis.set_yticks(range(len(names)), names, fontsize=6)
    axis.tick_params(length=0)
