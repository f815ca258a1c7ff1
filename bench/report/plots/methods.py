"""Plots that compare methods: F1 by language, gain over the baseline, average ranks, F1 and cost, types confused."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from bench.measure.statistics import holm
from bench.report.errors import SidecarPairs, confusion, middle
from bench.report.frame import Group, Row, Stored
from bench.report.notes import interval_note
from bench.report.plots.canvas import GREY, Look, figure, finished, legend, light_grid, looks, plain
from bench.report.scores import LEVEL, Scores, average_over, macro, oracle_rows, p_value, ranking, scores_of
from bench.store.record import Cost
from bench.store.sidecars import Damaged

BASELINE = "en_trans"
MOST_METHODS, MOST_LANGUAGES = 6, 12  # of types confused: panels beyond are too small to read
LARGEST = 30.0  # inches of those panels
BARS_A_LINE = 64  # beyond, languages go on in a further panel


def bars_figure(group: Group) -> Figure | None:
    """Languages in groups of bars with intervals, gaps named; None where no cell has a number."""
    scores = scores_of(group, group.main_rule)
    if all(score.mean is None for score in scores.values()):
        return None
    shown = looks(group, group.rows, oracle_rows(scores))
    a_line = max(1, min(len(group.targets), BARS_A_LINE // len(shown)))
    lines = [group.targets[i : i + a_line] for i in range(0, len(group.targets), a_line)]
    width = min(16.0, max(6.5, 3.0 + 0.16 * a_line * (len(shown) + 1.5)))
    fig = figure(width, 1.2 + 2.4 * len(lines))
    axes = fig.subplots(len(lines), 1, squeeze=False, sharey=True)[:, 0]
    top = max(score.high or score.mean or 0.0 for score in scores.values())
    for axis, targets in zip(axes, lines, strict=True):
        _bars(axis, targets, shown, scores)
        axis.set(xlim=(-0.5, a_line - 0.5), ylim=(0, min(100.0, 10 * (int(top / 10) + 1))), ylabel="F1 (strict, %)")
    legend(fig, list(shown.values()))
    note = interval_note((score.what for score in scores.values()), "Whiskers show the")
    return finished(fig, group, "F1 by target language", note)


def _bars(axis: Axes, targets: Sequence[str], shown: Mapping[Row, Look], scores: Scores) -> None:
    """One panel."""
    width = 0.84 / len(shown)
    whiskers = []
    for place, (row, look) in enumerate(shown.items()):
        bars = []
        for x, target in enumerate(targets):
            score, middle = scores[row, target], x - 0.42 + (place + 0.5) * width
            if score.mean is None:
                text = score.status if score.status in ("failed", "skipped") else "no result"
                axis.text(middle, 0.8, text, rotation=90, ha="center", va="bottom", fontsize=6, color=GREY)
                continue
            bars.append((middle, score.mean))
            if score.low is not None and score.high is not None:
                whiskers.append((middle, score.low, score.high))
        if bars:
            style: Any = {"color": look.face, "edgecolor": look.edge, "hatch": look.hatch, "lw": 0.5}
            axis.bar([x for x, _ in bars], [mean for _, mean in bars], width * 0.94, **style)
    if whiskers:  # as collections, since artists are what drawing costs
        xs, lows, highs = (np.asarray(part) for part in zip(*whiskers, strict=True))
        axis.vlines(xs, lows, highs, colors="white", linewidth=2.2)  # below, for dark bars
        axis.vlines(xs, lows, highs, colors="black", linewidth=0.9)
        for ends in (lows, highs):
            axis.hlines(ends, xs - 0.3 * width, xs + 0.3 * width, colors="black", linewidth=0.9)
    axis.set_xticks(range(len(targets)), [plain(target) for target in targets])
    axis.tick_params(axis="x", length=0)
    light_grid(axis, "y")


def gain_figure(group: Group) -> Figure | None:
    """F1 minus that of en_trans, methods × languages; None where en_trans or anything to compare it with is missing."""
    scores = scores_of(group, group.main_rule)
    bases = {row: base for row in group.rows if (base := baseline_of(row, group.rows)) is not None and base != row}
    gains, stars = _gains(scores, bases, group.targets)
    if not bases or np.isnan(gains).all():
        return None
    fig = figure(min(16.0, max(6.5, 3.2 + 0.55 * len(group.targets))), 1.7 + 0.34 * len(bases))
    axis = fig.subplots()
    limit = max(1.0, float(np.nanmax(np.abs(gains))))
    image = axis.imshow(gains, cmap="RdBu", vmin=-limit, vmax=limit, aspect="auto")
    for (y, x), gain in np.ndenumerate(gains):
        text = "-" if np.isnan(gain) else f"{gain:+.1f}{'*' if stars[y, x] else ''}"
        color = "white" if abs(gain) > 0.55 * limit else "black"
        axis.text(x, y, text, ha="center", va="center", fontsize=7.5, color=color, in_layout=False)  # they are inside
    axis.set_xticks(range(len(group.targets)), [plain(target) for target in group.targets])
    axis.set_yticks(range(len(bases)), [look.label for look in looks(group, list(bases), oracle_rows(scores)).values()])
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    fig.colorbar(image, ax=axis, label="F1 points", shrink=0.9, pad=0.01)
    note = (
        f"Mean over seeds minus that of {BASELINE}. * significantly different from 0 (paired over seeds and test "
        f"sentences, at least 3 seeds, p < {LEVEL}, Holm over all cells shown). - : no number on one side. Exploratory "
        "unless declared."
    )
    return finished(fig, group, f"Gain over {BASELINE}", note)


def baseline_of(row: Row, rows: Sequence[Row]) -> Row | None:
    """The baseline of a row: made of the same translations and links, else the first one of its suite."""
    name, _, chosen = row[1].partition(" (")
    same = (row[0], f"{BASELINE} ({chosen}" if chosen else BASELINE)
    if same in rows or name == BASELINE:
        return same
    return next((other for other in rows if other[0] == row[0] and other[1].partition(" (")[0] == BASELINE), None)


def _gains(scores: Scores, bases: Mapping[Row, Row], targets: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Gains (rows, targets), NaN for gaps, and whether each differs significantly from 0."""
    pairs = [(scores[row, target], scores[base, target]) for row, base in bases.items() for target in targets]
    means = [[np.nan if score.mean is None else score.mean for score in pair] for pair in pairs]
    stars = np.array([p is not None and p < LEVEL for p in holm([p_value(*pair) for pair in pairs])], dtype=bool)
    gains = -np.diff(np.array(means).reshape(-1, 2), axis=1)
    return gains.reshape(len(bases), len(targets)), stars.reshape(len(bases), len(targets))


def ranks_figure(group: Group) -> Figure | None:
    """Average ranks over languages, with bars over methods that do not differ significantly (after Demšar 2006).

    None with fewer than two methods, or fewer than two languages that all of them have.
    """
    ranked = ranking(group)
    ranks = ranked.average_ranks(scores_of(group, group.main_rule))
    if len(ranks) < 2 or len(ranked.languages) < 2:
        return None
    shown = looks(group, [row for row in group.rows if row in ranks])
    bars = ranked.ties(list(ranks))
    fig = figure(7.0, 1.5 + 0.24 * len(ranks) + 0.1 * len(bars))
    axis = fig.subplots()
    for place, (row, rank) in enumerate(ranks.items()):
        axis.plot([1, rank], [place, place], color="0.88", linewidth=0.8, zorder=1)
        axis.plot(rank, place, "o", color=shown[row].face, markeredgecolor="0.2", markersize=6, zorder=2)
    for place, run in enumerate(bars, 1):
        ends = [ranks[run[0]] - 0.04, ranks[run[-1]] + 0.04]
        axis.plot(ends, [-0.45 * place - 0.3] * 2, color="black", linewidth=2.5, solid_capstyle="butt")
    axis.set_yticks(range(len(ranks)), [f"{shown[row].label}  {rank:.1f}" for row, rank in ranks.items()], fontsize=8)
    axis.set(xlim=(0.8, len(ranks) + 0.2), ylim=(len(ranks) - 0.5, -0.45 * len(bars) - 0.9))
    axis.tick_params(axis="y", length=0)
    axis.set_xlabel("average rank (1 is best)")
    light_grid(axis, "x")
    what = (
        "Bars join neighbours of which no two differ significantly on average (paired, seeds and sentences crossed, "
        f"p < {LEVEL}, Holm over {ranked.pairs} pairs)."
        if ranked.pairs
        else "No pair could be tested (fewer than 3 seeds, or no counts by sentence): no bars."
    )
    note = f"Rank by mean F1 in each of {', '.join(ranked.languages)}, equals sharing theirs; oracles left out. {what}"
    return finished(fig, group, "Average ranks", note)


def cost_figure(group: Group) -> Figure | None:
    """Macro F1 against the mean cold cost of a cell; None where fewer than two methods have both."""
    scores = scores_of(group, group.main_rule)
    languages = average_over(scores, group.rows, group.targets)
    points = {}
    for row in group.rows:
        mean, half = macro(scores, row, languages)
        seconds = _seconds(group, row, languages)
        if mean is not None and seconds:
            points[row] = (seconds, mean, half)
    if len(points) < 2:
        return None
    shown = looks(group, group.rows, oracle_rows(scores))
    fig = figure(6.5, 3.6)
    axis = fig.subplots()
    for row, (seconds, mean, half) in points.items():
        look = shown[row]
        axis.errorbar(seconds, mean, yerr=half, fmt="none", ecolor="0.5", elinewidth=0.8, capsize=2)
        axis.plot(seconds, mean, "D" if look.oracle else "o", color=look.face, markeredgecolor=look.edge, markersize=7)
        axis.annotate(look.label, (seconds, mean), xytext=(6, 4), textcoords="offset points", fontsize=7)
    every = [seconds for seconds, _, _ in points.values()]
    if max(every) > 20 * min(every):
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter("{x:g}")  # the default one needs mathtext, which names must not trigger
        axis.xaxis.set_minor_formatter(NullFormatter())
    else:
        axis.set_xlim(left=0)
    axis.set(xlabel="cold seconds of a cell (mean)", ylabel="macro F1 (strict, %)")
    light_grid(axis)
    note = (
        f"Macro over {', '.join(languages)}; whiskers: mean of the languages' half-widths (95 %), a bound. Cold: "
        "with all that a cell rests on; methods whose cost is not known in full (human translation) are left out."
    )
    return finished(fig, group, "F1 against cost", note)


def _seconds(group: Group, row: Row, languages: Sequence[str]) -> float | None:
    """Mean cold seconds of the row's finished cells in these languages; None where one is unknown."""
    done = [run.record for target in languages for run in group.cells[row, target] if run.record.status == "ok"]
    values = [record.cost.seconds for record in done if record.cost != Cost()]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def confusion_figure(group: Group) -> Figure | None:
    """A panel a method and language, of the middle seed; None where no gold and predictions are stored.

    Of the methods the first that are no oracles: a matrix names first what it is about.
    """
    types = sorted({str(type_) for run in group.stored for type_ in run.record.corpus.get("types") or ()})
    pairs, panels = SidecarPairs(), dict[tuple[Row, str], np.ndarray]()
    for row in [row for row in group.rows if row not in group.oracles][:MOST_METHODS]:
        for target in group.targets[:MOST_LANGUAGES]:
            stored = middle(group.cells[row, target], group.main_rule)
            if stored is not None and (counts := _confused(stored, group.main_rule, types, pairs)) is not None:
                panels[row, target] = counts
    if not types or not panels:
        return None
    names = [textwrap.fill(plain(name), 14) for name in (*types, "none")]
    margin = 0.06 * max(len(line) for name in names for line in name.splitlines())
    side = max(1.35, 0.24 * len(names)) + margin  # inches: every percentage has room, and the names beside it
    rows = list(dict.fromkeys(row for row, _ in panels))[: max(1, int(LARGEST / side))]
    targets = [target for target in group.targets if any(target == other for _, other in panels)]
    targets = targets[: max(1, int(LARGEST / side))]
    fig = figure(1.6 + side * len(targets), 1.5 + side * len(rows))
    axes = fig.subplots(len(rows), len(targets), squeeze=False)
    shown = looks(group, rows)
    for y, row in enumerate(rows):
        for x, target in enumerate(targets):
            _confused_panel(axes[y, x], panels.get((row, target)), names)
            if y == 0:
                axes[y, x].set_title(plain(target), fontsize=9)
        axes[y, 0].set_ylabel(f"{textwrap.fill(shown[row].label, 22)}\ngold", fontsize=7)
    rest = {"languages": len(group.targets) - len(targets), "methods": len(group.rows) - len(rows)}
    left_out = "".join(f" {more} further {what} are not drawn." for what, more in rest.items() if more > 0)
    note = (
        "Rows: gold type; columns: type of the predicted entity that shares most words. Percent of the gold entities "
        f"of a type; the last row counts predicted entities without any gold one. Middle seed by F1.{left_out}"
    )
    return finished(fig, group, "Types confused", note)


def _confused(stored: Stored, rule: str, types: Sequence[str], pairs: SidecarPairs) -> np.ndarray | None:
    try:
        gold, predicted = (sidecar.spans for sidecar in pairs.read(stored, rule))
    except Damaged:
        return None  # `xner verify` says more
    known = {span.type for spans in (*gold, *predicted) for span in spans} <= set(types)
    return confusion(gold, predicted, types) if known else None


def _confused_panel(axis: Axes, counts: np.ndarray | None, names: Sequence[str]) -> None:
    """One panel; `names` are those of the types, and of none, as they are shown."""
    if counts is None:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)  # the panel's label stays
        return
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
