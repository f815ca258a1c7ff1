"""Common parts of all figures. Look and bytes do not depend on the user's matplotlib settings."""

from __future__ import annotations

import io
import sys
import textwrap
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import matplotlib
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.report.frame import METHOD_FAMILIES, Group, Row
from bench.report.notes import setting_notes, title_of
from bench.report.scores import Limits

FORMATS = ("png", "svg", "pdf")
GREY = "0.35"
PANELS = 4  # at most, side by side
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_COLOURS = ("#555555", "#0072B2", "#D55E00", "#009E73", "#B5598F", "#999999")
FAMILIES = dict(
    zip(METHOD_FAMILIES, _COLOURS, strict=True)
)  # after Okabe and Ito, which colour-blind readers tell apart
_METADATA: dict[str, dict[str, str | None]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "ModDate": None, "Creator": None, "Producer": None},
}
_CANVASES: dict[str, type[FigureCanvasBase]] = dict(
    zip(FORMATS, (FigureCanvasAgg, FigureCanvasSVG, FigureCanvasPdf), strict=True)
)
_SETTINGS: Any = {  # matplotlib types the keys one by one
    "svg.hashsalt": "xner-bench",
    "svg.fonttype": "path",  # the reader's machine may lack the font
    "pdf.fonttype": 42,
    "font.family": ["DejaVu Sans"],  # comes with matplotlib
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.parse_math": False,  # names may contain $
}


@contextmanager
def settings() -> Iterator[None]:
    """Use matplotlib's defaults and ours inside the block instead of the user's matplotlibrc."""
    defaults: Any = {k: v for k, v in matplotlib.rcParamsDefault.items() if k not in ("backend", "backend_fallback")}
    with matplotlib.rc_context({**defaults, **_SETTINGS}):
        yield


def figure(width: float, height: float) -> Figure:
    """A figure of this size in inches with constrained layout."""
    return Figure(figsize=(width, height), layout="constrained")


def saved(fig: Figure, format_: str) -> bytes:
    """The figure's bytes, without dates; call inside `settings`."""
    # instead of savefig, which would draw everything twice for a layout that `finish` has already computed
    buffer, canvas = io.BytesIO(), _CANVASES[format_](fig)
    fig.set_dpi(150)
    getattr(canvas, f"print_{format_}")(buffer, metadata=_METADATA[format_])
    return buffer.getvalue()


def plain(text: str) -> str:
    """The text; characters that no installed font has become escapes; call inside `settings`."""
    text = "".join(c if c.isprintable() else " " for c in text).replace("±", "+/-").replace("–", "-")
    return "".join(c if c.isascii() or _has_glyph(c) else c.encode("ascii", "backslashreplace").decode() for c in text)


def _has_glyph(character: str) -> bool:
    """Whether an installed font has the character; such a font is added to the figure's fonts."""
    families: list[str] = matplotlib.rcParams["font.family"]
    family = _family_with(character)
    if family and family not in families:
        matplotlib.rcParams["font.family"] = [*families, family]
    return bool(family)


@lru_cache(maxsize=4096)
def _family_with(character: str) -> str:
    """The font for a character: matplotlib's own, else the first by name that has it; else "" and a warning."""
    own = str(_SETTINGS["font.family"][0])
    fonts = [font for font in font_manager.fontManager.ttflist if font.style == "normal"]
    others = sorted({(font.name, font.fname) for font in fonts if not font.name.startswith("Last Resort")})  # boxes
    for name, path in [(own, str(font_manager.findfont(own))), *others]:
        if ord(character) in _characters_of(path):
            return name
    _say_missing(unicodedata.name(character, "?").partition(" ")[0])
    return ""


@lru_cache(maxsize=64)
def _characters_of(path: str) -> frozenset[int]:
    return frozenset(font_manager.get_font(path).get_charmap())


@lru_cache(maxsize=64)  # warns once for each script
def _say_missing(script: str) -> None:
    print(
        f"warning: no font here has {script} letters, so figures show escapes for them; install a font that has them "
        "(in Debian, fonts-noto-core or fonts-noto-cjk)",
        file=sys.stderr,
    )


def wrapped(text: str, width: float, size: float = 8.0) -> str:
    """The text in lines that fit into a figure of that width in inches."""
    return "\n".join(textwrap.wrap(plain(text), max(30, int(width * 125 / size))))


def finish(fig: Figure, title: str, note: str) -> Figure:
    """Add the title above and the note below, and compute the layout once for all formats."""
    width = float(fig.get_figwidth())
    fig.suptitle(wrapped(title, width * (0.62 if fig.legends else 1), 11), fontsize=10, x=0.01, ha="left")
    fig.supxlabel(wrapped(note, width), fontsize=7.5, color=GREY, x=0.01, ha="left")
    return _laid_out(fig)


def without_words(fig: Figure) -> Figure:
    """A finished figure without its title and note, and without their room: a page has them in its own letters."""
    words = ((fig.get_suptitle(), 10), (fig.get_supxlabel(), 7.5))
    inches = sum((1 + text.count("\n")) * size * 1.25 / 72 for text, size in words)
    fig.suptitle("")
    fig.supxlabel("")
    fig.set_figheight(fig.get_figheight() - inches)
    fig.set_layout_engine("constrained")
    return _laid_out(fig)


def _laid_out(fig: Figure) -> Figure:
    engine = fig.get_layout_engine()
    assert engine is not None
    engine.execute(fig)
    fig.set_layout_engine("none")
    return fig


def finished(fig: Figure, group: Group, subject: str, note: str, settings_of: Group | None = None) -> Figure:
    """`finish` with the group's title and, after the note, the settings of `settings_of` (the group's by default)."""
    return finish(fig, title_of(group, subject), " ".join([note, *setting_notes(settings_of or group)]))


@dataclass(frozen=True)
class Look:
    """How a method is drawn in every figure of a suite: the hue of its family, and its own shade and marker."""

    label: str
    face: str
    marker: str
    family: str
    oracle: bool


def looks(group: Group, rows: Sequence[Row], oracles: frozenset[Row] = frozenset()) -> dict[Row, Look]:
    """The looks of these rows, ordered by family and then as given; they depend on the suite's methods alone."""
    kin = {run.row: run.family for run in (*group.methods, *group.stored)}
    by_row: dict[Row, Look] = {}
    for family, hue in FAMILIES.items():
        members = [row for row in kin if kin[row] == family]
        for row in (row for row in rows if kin[row] == family):
            place = members.index(row)
            shade = place / (len(members) - 1) - 0.5 if len(members) > 1 else 0.0
            oracle = row in oracles or family == "oracle"
            label = plain(group.name_of(row))[:60] + (" (oracle)" if oracle else "")
            by_row[row] = Look(label, _shaded(hue, shade), MARKERS[place % len(MARKERS)], family, oracle)
    return by_row


def _shaded(hue: str, shade: float) -> str:
    """The colour moved towards black (`shade` down to -0.5) or white (up to 0.5)."""
    end, share = (1.0, 0.8 * shade) if shade > 0 else (0.0, -shade)
    red, green, blue = (part + share * (end - part) for part in to_rgb(hue))
    return to_hex((red, green, blue))


def marked(look: Look) -> dict[str, Any]:
    """The marker of a method; hollow for oracles."""
    return {"marker": look.marker, "color": look.face, "mfc": "white" if look.oracle else look.face, "zorder": 3}


def line_style(look: Look) -> dict[str, Any]:
    """The line of a method. The label has a leading blank, as in `legend`."""
    return {**marked(look), "ls": "--" if look.oracle else "-", "label": f" {look.label}", "linewidth": 1.3}


def panels(rows: int, names: Sequence[str], label: float) -> tuple[Figure, list[Axes]]:
    """Panels with these titles and the same rows, with `label` inches for the row labels; unused axes are removed."""
    across = min(len(names), PANELS)
    lines = -(-len(names) // across)
    fig = figure(max(6.5, label + 2.0 * across), 1.3 + lines * (0.5 + 0.19 * rows))
    axes = fig.subplots(lines, across, squeeze=False, sharex=True, sharey=True).ravel()
    for axis in axes[len(names) :]:
        axis.remove()
    for axis, name in zip(axes, names, strict=False):
        axis.set_title("\n".join(textwrap.wrap(plain(name), 28)), fontsize=9)
        axis.tick_params(labelbottom=True)
    return fig, list(axes[: len(names)])


def dots(axis: Axes, places: Iterable[tuple[float, Look, float, Limits | None]]) -> None:
    """Values (y, look, value, interval) as markers with their intervals."""
    every = list(places)
    if drawn := [(y, *limits, look.face) for y, look, _, limits in every if limits is not None]:
        ys, lows, highs, colors = zip(*drawn, strict=True)
        axis.hlines(ys, lows, highs, colors=colors, linewidth=1.4, zorder=2)  # a single artist, since each is slow
    for y, look, value, _ in every:
        axis.plot(value, y, ls="", markersize=5, **marked(look))


def rows_axis(axis: Axes, labels: Sequence[str]) -> None:
    """Set up the y axis of a panel: one row for each label, from the top."""
    lines = ["\n".join(textwrap.wrap(label, 40)) for label in labels]
    size = 6.3 if any("\n" in label for label in lines) else 8  # two lines fit into one row's height
    axis.set_yticks(range(len(labels)), lines, fontsize=size, linespacing=1.0)
    axis.set_ylim(len(labels) - 0.4, -0.6)
    axis.tick_params(axis="y", length=0)
    light_grid(axis, "x")


def light_grid(axis: Axes, which: Literal["both", "x", "y"] = "both") -> None:
    """Light grid lines behind the data."""
    axis.set_axisbelow(True)
    axis.grid(axis=which, color="0.9", linewidth=0.6)


def legend(fig: Figure, shown: Iterable[Look]) -> None:
    """The legend, right of the axes. Labels get a blank in front, since matplotlib hides those that begin with _."""
    looks = list(shown)
    handles = [Line2D([], [], ls="", markersize=6, **marked(look)) for look in looks]
    fig.legend(handles, [f" {look.label}" for look in looks], loc="outside right upper", frameon=False, fontsize=8)
