"""F1 by language: a bar a method, with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.report.canvas import GREY, Look, figure, finish, legend, looks, plain
from bench.report.frame import Group
from bench.report.head import interval_note, setting_notes, title_of
from bench.report.scores import Row, Score, rows_of, scores_of

BARS_A_LINE = 64  # beyond, languages go on in a further panel


def bars_figure(group: Group) -> Figure | None:
    """Languages in groups of bars, gaps named; None where no cell has a number."""
    scores, rows = scores_of(group, group.main_rule), rows_of(group)
    if all(score.mean is None for score in scores.values()):
        return None
    oracles = frozenset(row for row in rows if any(scores[row, target].oracle for target in group.targets))
    shown = looks(group, rows, oracles)
    a_line = max(1, min(len(group.targets), BARS_A_LINE // len(rows)))
    lines = [group.targets[i : i + a_line] for i in range(0, len(group.targets), a_line)]
    width = min(16.0, max(6.5, 3.0 + 0.16 * a_line * (len(rows) + 1.5)))
    fig = figure(width, 1.2 + 2.4 * len(lines))
    axes = fig.subplots(len(lines), 1, squeeze=False, sharey=True)[:, 0]
    top = max(score.high or score.mean or 0.0 for score in scores.values())
    for axis, targets in zip(axes, lines, strict=True):
        _draw(axis, targets, shown, scores)
        axis.set_xlim(-0.5, a_line - 0.5)
        axis.set_ylim(0, min(100.0, 10 * (int(top / 10) + 1)))
    legend(fig, list(shown.values()))
    note = interval_note((score.what for score in scores.values()), "Whiskers show the")
    finish(fig, title_of(group, "F1 by target language"), " ".join([note, *setting_notes(group)]))
    return fig


def _draw(
    axis: Axes, targets: Sequence[str], shown: Mapping[Row, Look], scores: Mapping[tuple[Row, str], Score]
) -> None:
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
            xs, means = zip(*bars, strict=True)
            style: Any = {"color": look.face, "edgecolor": look.edge, "hatch": look.hatch, "lw": 0.5}
            axis.bar(xs, means, width * 0.94, **style)
    _whiskers(axis, whiskers, 0.3 * width)
    axis.set_xticks(range(len(targets)), [plain(target) for target in targets])
    axis.tick_params(axis="x", length=0)
    axis.set_ylabel("F1 (strict, %)")
    axis.set_axisbelow(True)
    axis.grid(axis="y", color="0.88", linewidth=0.6)


def _whiskers(axis: Axes, whiskers: Sequence[tuple[float, float, float]], cap: float) -> None:
    """From low to high at x, with caps to both sides; three collections, since artists are what drawing costs."""
    if not whiskers:
        return
    xs, lows, highs = (np.asarray(part) for part in zip(*whiskers, strict=True))
    ends = np.concatenate([lows, highs])
    left, right = np.tile(xs - cap, 2), np.tile(xs + cap, 2)
    axis.vlines(xs, lows, highs, colors="white", linewidth=2.2)  # below, for dark bars
    axis.vlines(xs, lows, highs, colors="black", linewidth=0.9)
    axis.hlines(ends, left, right, colors="black", linewidth=0.9)
