"""Draws and writes all plots of a results folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from bench.core.files import write_bytes
from bench.report.frame import Group, groups, read, suffixes
from bench.report.plots import across, methods, training
from bench.report.plots.canvas import FORMATS, saved, settings
from bench.report.tables import checked_formats

MAKERS: dict[str, Callable[[Group], Figure | None]] = {
    "forest": methods.forest_figure,
    "f1": methods.f1_figure,
    "translations": across.translations_figure,
    "sweep": across.sweep_figure,
    "pairs": methods.pairs_figure,
    "ranks": methods.ranks_figure,
    "f1-cost": methods.cost_figure,
    "confusion": methods.confusion_figure,
    "curves": training.curves_figure,
    "loss": training.loss_figure,
    "space": training.space_figure,
}
ACROSS: dict[str, tuple[str, Callable[[Sequence[Group]], Figure | None]]] = {  # with the prefix of the axes that vary
    "quality": (across.TRANSLATOR, across.quality_figure),
    "sources": (across.N_SOURCE, across.sources_figure),
}


def write_plots(out: Path, formats: Sequence[str] = FORMATS, all_groups: Sequence[Group] | None = None) -> list[Path]:
    """Write out/figures/<name>.{png,svg,pdf} for every plot that the records have data for; the paths, sorted.

    `all_groups` defaults to the records of `out`.

    Raises:
        BadInput: a format is unknown or none is given, or the folder has no records.
    """
    formats = checked_formats(formats, FORMATS)
    all_groups = groups(read([out])) if all_groups is None else all_groups
    written = []
    with settings():
        named = [
            (f"{name}{suffix}", figure)
            for group, suffix in zip(all_groups, suffixes(all_groups), strict=True)
            for name, figure in figures_of(group)
        ]
        for name, figure in [*named, *figures_across(all_groups)]:
            for format_ in formats:
                written.append(out / "figures" / f"{name}.{format_}")
                write_bytes(written[-1], saved(figure, format_))
    return sorted(written)


def figures_of(group: Group) -> Iterator[tuple[str, Figure]]:
    """Name and figure of each plot that the group has data for; call inside `settings`."""
    for name, make in MAKERS.items():
        if (figure := make(group)) is not None:
            yield name, figure


def figures_across(all_groups: Sequence[Group]) -> Iterator[tuple[str, Figure]]:
    """Name and figure of each plot across several groups that has data; call inside `settings`."""
    for name, (varied, draw) in ACROSS.items():
        sets = across.sets_along(all_groups, varied)
        for several, suffix in zip(sets, suffixes([several[0] for several in sets]), strict=True):
            if (figure := draw(several)) is not None:
                yield f"{name}{suffix}", figure
