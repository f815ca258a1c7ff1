"""Average ranks over languages, with bars over methods that cannot be told apart (after Demsar 2006)."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from bench.report.canvas import figure, finish, looks
from bench.report.frame import Group
from bench.report.head import setting_notes, title_of
from bench.report.scores import LEVEL, Row, rows_of, scores_of
from bench.report.standing import Standing, standing


def average_ranks(group: Group, found: Standing) -> dict[Row, float]:
    """Mean over the languages of each method's rank by F1 (1 is best; equal F1 share their mean rank), best first.

    Oracles are left out.
    """
    rows = [row for row in found.rows if row not in found.oracles]
    scores = scores_of(group, group.main_rule)
    sums = dict.fromkeys(rows, 0.0)
    for target in found.languages:
        ranks = pd.Series([-(scores[row, target].mean or 0.0) for row in rows]).rank()
        for row, rank in zip(rows, ranks, strict=True):
            sums[row] += float(rank) / len(found.languages)
    return dict(sorted(sums.items(), key=lambda item: item[1]))


def tied(rows: Sequence[Row], found: Standing) -> list[tuple[Row, ...]]:
    """The longest runs of neighbours in the order of ranks of which no two can be told apart; runs of one left out."""
    runs: list[tuple[Row, ...]] = []
    for start in range(len(rows)):
        end = start + 1
        while end < len(rows) and all(found.told(row, rows[end]) is False for row in rows[start:end]):
            end += 1
        run = tuple(rows[start:end])
        if len(run) > 1 and not (runs and set(run) <= set(runs[-1])):
            runs.append(run)
    return runs


def ranks_figure(group: Group) -> Figure | None:
    """None with fewer than two methods, or fewer than two languages that all of them have."""
    found = standing(group)
    ranks = average_ranks(group, found)
    if len(ranks) < 2 or len(found.languages) < 2:
        return None
    shown = looks(group, [row for row in rows_of(group) if row in ranks], frozenset())
    bars = tied(list(ranks), found)
    fig = figure(7.0, 1.5 + 0.24 * len(ranks) + 0.1 * len(bars))
    axis = fig.subplots()
    for place, (row, rank) in enumerate(ranks.items()):
        axis.plot([1, rank], [place, place], color="0.88", linewidth=0.8, zorder=1)
        axis.plot(rank, place, "o", color=shown[row].face, markeredgecolor="0.2", markersize=6, zorder=2)
    for place, run in enumerate(bars, 1):
        ends = [ranks[run[0]] - 0.04, ranks[run[-1]] + 0.04]
        axis.plot(ends, [-0.45 * place - 0.3] * 2, color="black", linewidth=2.5, solid_capstyle="butt")
    axis.set_yticks(range(len(ranks)), [f"{shown[row].label}  {rank:.1f}" for row, rank in ranks.items()], fontsize=8)
    axis.set_ylim(len(ranks) - 0.5, -0.45 * len(bars) - 0.9)
    axis.set_xlim(0.8, len(ranks) + 0.2)
    axis.tick_params(axis="y", length=0)
    axis.set_xlabel("average rank (1 is best)")
    axis.grid(axis="x", color="0.9", linewidth=0.6)
    what = (
        f"Bars join neighbours of which no two can be told apart on average (paired, seeds and sentences crossed, "
        f"Holm over {found.pairs} pairs, level {LEVEL})."
        if found.pairs
        else "No pair could be tested (fewer than 3 seeds, or no counts by sentence): no bars."
    )
    note = f"Rank by mean F1 in each of {', '.join(found.languages)}, equals sharing theirs; oracles left out. {what}"
    finish(fig, title_of(group, "Average ranks"), " ".join([note, *setting_notes(group)]))
    return fig
