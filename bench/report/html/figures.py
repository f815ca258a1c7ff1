"""The plots of a group inside the page: vector images that nothing is fetched for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from matplotlib.figure import Figure

from bench.report.canvas import saved, settings
from bench.report.frame import Group
from bench.report.html.tables import boxed
from bench.report.html.text import esc
from bench.report.plots import ACROSS, MAKERS

_EXTRA = re.compile(r"<metadata>.*?</metadata>|<!--.*?-->|<!DOCTYPE.*?>|(?<=<g) id=\"[^\"]*\"", re.DOTALL)
_PATH = re.compile(r'(?<= d=")[^"]*(?=")|(?<= [xy]=")[^"]*(?=")')
_FRACTION = re.compile(r"(\.\d\d)\d+")
_BLANKS = re.compile(r"\s+")
_UNSAFE = str.maketrans({"%": "%25", "#": "%23", '"': "%22", "<": "%3C", ">": "%3E", "&": "%26"})


def figures_html(group: Group, prefix: str) -> Iterator[str]:
    """Each plot that the group has something for, as a figure with its title and its note as text."""
    with settings():
        for label, make in MAKERS:
            figure = make(group)
            if figure is not None:
                yield _figure(figure, f"{prefix}-{label}")


def across_html(found: Sequence[Group], prefix: str) -> str:
    """The plots that several groups share."""
    with settings():
        drawn = [draw(several) for _, sets_of, draw in ACROSS for several in sets_of(found)]
        figures = [figure for figure in drawn if figure is not None]
        return "".join(_figure(figure, f"{prefix}-{place}") for place, figure in enumerate(figures))


def _figure(figure: Figure, anchor: str) -> str:
    title, note = (" ".join(text.split()) for text in (figure.get_suptitle(), figure.get_supxlabel()))
    data = compact(saved(figure, "svg").decode()).translate(_UNSAFE)
    width, height = (round(96 * float(inches)) for inches in figure.get_size_inches())
    image = (
        f'<img width="{width}" height="{height}" alt="{esc(f"{title}. Most of its numbers are in the tables above.")}" '
        f'src="data:image/svg+xml,{data}">'
    )
    caption = f"<figcaption><b>{esc(title)}.</b> {esc(note)}</figcaption>"
    return f'<figure id="{anchor}">{boxed(image, esc(title))}{caption}</figure>\n'


def compact(svg: str) -> str:
    """The drawing with less to store: positions to a hundredth of a point, no comments, no names of parts."""
    svg = _PATH.sub(lambda match: _FRACTION.sub(r"\1", match[0]), _EXTRA.sub("", svg))
    return _BLANKS.sub(" ", svg).replace("> <", "><").strip()
