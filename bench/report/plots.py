"""All plots of a results folder, from its records only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from bench.core.errors import BadInput, nearest
from bench.core.files import write_bytes
from bench.report.bars import bars_figure
from bench.report.canvas import FORMATS, saved, settings
from bench.report.confusion import confusion_figure
from bench.report.curves import curves_figure, loss_figure
from bench.report.frame import Group, groups, read
from bench.report.quality import quality_figure, quality_sets
from bench.report.ranks import ranks_figure
from bench.report.scatter import cost_figure, gain_figure
from bench.report.sources import source_sets, sources_figure
from bench.report.space import space_figure
from bench.report.tables import names_of

MAKERS: tuple[tuple[str, Callable[[Group], Figure | None]], ...] = (
    ("f1", bars_figure),
    ("gain", gain_figure),
    ("ranks", ranks_figure),
    ("f1-cost", cost_figure),
    ("confusion", confusion_figure),
    ("curves", curves_figure),
    ("loss", loss_figure),
    ("space", space_figure),
)
ACROSS: tuple[
    tuple[str, Callable[[Sequence[Group]], list[tuple[Group, ...]]], Callable[[Sequence[Group]], Figure | None]], ...
] = (("quality", quality_sets, quality_figure), ("sources", source_sets, sources_figure))


def write_plots(out: Path, formats: Sequence[str] = FORMATS, found: Sequence[Group] | None = None) -> list[Path]:
    """Write out/figures/<name>.{png,svg,pdf} for everything that the records have; the paths, sorted.

    `found`: what to draw, the records of `out` by default.

    Raises:
        BadInput: a format is unknown or none is given, or the folder has no records.
    """
    for name in formats:
        if name not in FORMATS:
            raise BadInput(f"--format: unknown format {name!r}{nearest(name, FORMATS)}")
    if not formats:
        raise BadInput(f"--format: no format given; known: {', '.join(FORMATS)}")
    found = groups(read([out])) if found is None else found
    written = []
    with settings():
        for name, figure in _figures(found):
            for format_ in dict.fromkeys(formats):
                path = out / "figures" / f"{name}.{format_}"
                write_bytes(path, saved(figure, format_))
                written.append(path)
    return sorted(written)


def _figures(found: Sequence[Group]) -> Iterator[tuple[str, Figure]]:
    """Name and figure of all that the groups have something for: those of each, and those across several."""
    for group, suffix in zip(found, names_of(found), strict=True):
        for name, make in MAKERS:
            if (figure := make(group)) is not None:
                yield f"{name}{suffix}", figure
    for name, sets_of, draw in ACROSS:
        sets = sets_of(found)
        for several, suffix in zip(sets, names_of([one[0] for one in sets]), strict=True):
            if (figure := draw(several)) is not None:
                yield f"{name}{suffix}", figure
