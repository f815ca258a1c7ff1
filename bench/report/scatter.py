"""Gain over the naive baseline by language, and F1 against cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from bench.measure.statistics import holm
from bench.report.canvas import figure, finish, looks, plain
from bench.report.frame import Group
from bench.report.head import setting_notes, title_of
from bench.report.scores import LEVEL, Row, Score, average_over, macro, p_value, rows_of, scores_of
from bench.store.record import Cost

BASELINE = "en_trans"


def gain_figure(group: Group) -> Figure | None:
    """F1 minus that of en_trans, methods × languages; None where en_trans or anything to compare it with is missing."""
    scores, rows = scores_of(group, group.main_rule), rows_of(group)
    bases = {row: base for row in rows if (base := baseline_of(row, rows)) not in (None, row)}
    rows = list(bases)
    gains, stars = _gains(scores, bases, group.targets)
    if not rows or np.isnan(gains).all():
        return None
    oracles = frozenset(row for row in rows if any(scores[row, target].oracle for target in group.targets))
    fig = figure(min(16.0, max(6.5, 3.2 + 0.55 * len(group.targets))), 1.7 + 0.34 * len(rows))
    axis = fig.subplots()
    limit = max(1.0, float(np.nanmax(np.abs(gains))))
    image = axis.imshow(gains, cmap="RdBu", vmin=-limit, vmax=limit, aspect="auto")
    for (y, x), gain in np.ndenumerate(gains):
        text = "-" if np.isnan(gain) else f"{gain:+.1f}{'*' if stars[y, x] else ''}"
        color = "white" if abs(gain) > 0.55 * limit else "black"
        axis.text(x, y, text, ha="center", va="center", fontsize=7.5, color=color, in_layout=False)  # they are inside
    axis.set_xticks(range(len(group.targets)), [plain(target) for target in group.targets])
    axis.set_yticks(range(len(rows)), [look.label for look in looks(group, rows, oracles).values()])
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    fig.colorbar(image, ax=axis, label="F1 points", shrink=0.9, pad=0.01)
    note = (
        f"Mean over seeds minus that of {BASELINE}. * differs from 0 (paired over seeds and test sentences, at least 3 "
        f"seeds, Holm over all cells shown, level {LEVEL}). - : no number on one side. Exploratory unless declared."
    )
    finish(fig, title_of(group, f"Gain over {BASELINE}"), " ".join([note, *setting_notes(group)]))
    return fig


def baseline_of(row: Row, rows: Sequence[Row]) -> Row | None:
    """The baseline of a row: made of the same translations and links, else the first one of its suite."""
    name, _, chosen = row[1].partition(" (")
    same = (row[0], f"{BASELINE} ({chosen}" if chosen else BASELINE)
    if same in rows or name == BASELINE:
        return same
    return next((one for one in rows if one[0] == row[0] and one[1].partition(" (")[0] == BASELINE), None)


def _gains(
    scores: Mapping[tuple[Row, str], Score], bases: Mapping[Row, Row | None], targets: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Gains (rows, targets), NaN for gaps, and whether each can be told from 0."""
    gains = np.full((len(bases), len(targets)), np.nan)
    p_values: list[float | None] = []
    for y, (row, baseline) in enumerate(bases.items()):
        assert baseline is not None
        for x, target in enumerate(targets):
            here, base = scores[row, target], scores[baseline, target]
            if here.mean is not None and base.mean is not None:
                gains[y, x] = here.mean - base.mean
            p_values.append(p_value(here, base))
    stars = np.array([p is not None and p < LEVEL for p in holm(p_values)], dtype=bool)
    return gains, stars.reshape(gains.shape)


def cost_figure(group: Group) -> Figure | None:
    """Macro F1 against the mean cold cost of a cell; None where fewer than two methods have both."""
    scores, rows = scores_of(group, group.main_rule), rows_of(group)
    languages = average_over(scores, rows, group.targets)
    points = {}
    for row in rows:
        mean, half = macro(scores, row, languages)
        seconds = _seconds(group, row, languages)
        if mean is not None and seconds:
            points[row] = (seconds, mean, half)
    if len(points) < 2:
        return None
    oracles = frozenset(row for row in rows if any(scores[row, target].oracle for target in group.targets))
    shown = {row: look for row, look in looks(group, rows, oracles).items() if row in points}
    fig = figure(6.5, 3.6)
    axis = fig.subplots()
    for row, (seconds, mean, half) in points.items():
        look, marker = shown[row], "D" if row in oracles else "o"
        axis.errorbar(seconds, mean, yerr=half, fmt="none", ecolor="0.5", elinewidth=0.8, capsize=2)
        axis.plot(seconds, mean, marker, color=look.face, markeredgecolor=look.edge, markersize=7)
        axis.annotate(look.label, (seconds, mean), xytext=(6, 4), textcoords="offset points", fontsize=7)
    seconds_of = [seconds for seconds, _, _ in points.values()]
    if max(seconds_of) > 20 * min(seconds_of):
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter("{x:g}")  # the default one needs mathtext, which names must not trigger
        axis.xaxis.set_minor_formatter(NullFormatter())
    else:
        axis.set_xlim(left=0)
    axis.set_xlabel("cold seconds of a cell (mean)")
    axis.set_ylabel("macro F1 (strict, %)")
    axis.grid(color="0.9", linewidth=0.6)
    note = (
        f"Macro over {', '.join(languages)}; whiskers: mean of the languages' half-widths (95 %), a bound. Cold: "
        "with all that a cell rests on; methods whose cost is not known in full (human translation) are left out."
    )
    finish(fig, title_of(group, "F1 against cost"), " ".join([note, *setting_notes(group)]))
    return fig


def _seconds(group: Group, row: Row, languages: Sequence[str]) -> float | None:
    """Mean cold seconds of the row's finished cells in these languages; None where one is unknown."""
    done = [one.record for one in group.stored if (one.suite, one.label) == row and one.target in languages]
    values = [r.cost.seconds for r in done if r.status == "ok" and r.cost != Cost()]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None
