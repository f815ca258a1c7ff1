"""Figures without global state: the same look and the same bytes whatever the user's matplotlib settings are."""

from __future__ import annotations

import io
import sys
import textwrap
import unicodedata
from collections.abc import Iterator, Sequence
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
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from bench.report.frame import Group, Row
from bench.report.notes import setting_notes, title_of

FORMATS = ("png", "svg", "pdf")
GREY = "0.35"
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_HATCHES = ("", "..", "++", "oo")  # when there are more methods than lightness can tell apart
_ORACLE_HATCHES = ("////", "\\\\\\\\", "xxxx", "----")
_SHADES = 8
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
    "svg.fonttype": "path",  # a reader's machine may lack the font
    "pdf.fonttype": 42,
    "font.family": ["DejaVu Sans"],  # comes with matplotlib
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "hatch.linewidth": 0.6,
    "text.parse_math": False,  # a name with $ is a name
}


@contextmanager
def settings() -> Iterator[None]:
    """matplotlib's own defaults and ours inside the block, not those of a user's matplotlibrc; restored after it."""
    defaults: Any = {k: v for k, v in matplotlib.rcParamsDefault.items() if k not in ("backend", "backend_fallback")}
    with matplotlib.rc_context({**defaults, **_SETTINGS}):
        yield


def figure(width: float, height: float) -> Figure:
    """A figure in inches that lays itself out."""
    return Figure(figsize=(width, height), layout="constrained")


def saved(fig: Figure, format_: str) -> bytes:
    """The figure's bytes, without dates; call inside `settings`."""
    # what savefig ends in; it would draw everything once before, for a layout that `finish` has computed
    buffer, canvas = io.BytesIO(), _CANVASES[format_](fig)
    fig.set_dpi(150)
    getattr(canvas, f"print_{format_}")(buffer, metadata=_METADATA[format_])
    return buffer.getvalue()


def plain(text: str) -> str:
    """The text with a glyph for every character: what no font here has is written as an escape. Inside `settings`."""
    text = "".join(c if c.isprintable() else " " for c in text).replace("±", "+/-").replace("–", "-")
    return "".join(c if c.isascii() or _has_glyph(c) else c.encode("ascii", "backslashreplace").decode() for c in text)


def _has_glyph(character: str) -> bool:
    """Whether a font of the figure has it; a font of this machine that does joins the figure's."""
    families: list[str] = matplotlib.rcParams["font.family"]
    family = _family_with(character)
    if family and family not in families:
        matplotlib.rcParams["font.family"] = [*families, family]
    return bool(family)


@lru_cache(maxsize=4096)
def _family_with(character: str) -> str:
    """The font that draws a character: matplotlib's own, else the first by name that has it; "" and a word if none."""
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


@lru_cache(maxsize=64)  # once a script
def _say_missing(script: str) -> None:
    print(
        f"warning: no font here has {script} letters, so figures show escapes for them; a package with such a font "
        "(in Debian fonts-noto-core or fonts-noto-cjk) brings them",
        file=sys.stderr,
    )


def wrapped(text: str, width: float, size: float = 8.0) -> str:
    """The text in lines that fit into a figure of that width in inches."""
    return "\n".join(textwrap.wrap(plain(text), max(30, int(width * 125 / size))))


def finish(fig: Figure, title: str, note: str) -> Figure:
    """Title above, note below, both inside the layout; which is computed here, once for all formats."""
    width = float(fig.get_figwidth())
    fig.suptitle(wrapped(title, width * (0.62 if fig.legends else 1), 11), fontsize=10, x=0.01, ha="left")
    fig.supxlabel(wrapped(note, width), fontsize=7.5, color=GREY, x=0.01, ha="left")
    engine = fig.get_layout_engine()
    assert engine is not None
    engine.execute(fig)
    fig.set_layout_engine("none")
    return fig


def finished(fig: Figure, group: Group, what: str, note: str, settings_of: Group | None = None) -> Figure:
    """`finish` with the group's title and, after the note, the settings of `settings_of` (the group's by default)."""
    return finish(fig, title_of(group, what), " ".join([note, *setting_notes(settings_of or group)]))


@dataclass(frozen=True)
class Look:
    """How a method is drawn: told apart by lightness, and by hatches where that is not enough."""

    label: str
    face: str
    edge: str
    hatch: str
    oracle: bool


def looks(group: Group, rows: Sequence[Row], oracles: frozenset[Row] = frozenset()) -> dict[Row, Look]:
    """Viridis, dark to light in the order of the rows; oracles light grey and hatched."""
    methods = [row for row in rows if row not in oracles]
    shades = min(_SHADES, len(methods))
    found: dict[Row, Look] = {}
    for row in rows:
        label = plain(group.name_of(row))[:60]
        if row in oracles:
            hatch = _ORACLE_HATCHES[sum(look.oracle for look in found.values()) % len(_ORACLE_HATCHES)]
            found[row] = Look(f"{label} (oracle)", "0.93", "0.4", hatch, True)
            continue
        place = methods.index(row)
        shade = 0.12 + 0.83 * (place % shades) / max(shades - 1, 1)
        hatch = _HATCHES[place // shades % len(_HATCHES)]
        edge = "white" if hatch and shade < 0.6 else "0.2"  # the edge's colour is the hatch's
        found[row] = Look(label, to_hex(matplotlib.colormaps["viridis"](shade)), edge, hatch, False)
    return found


def line_style(look: Look, place: int) -> dict[str, Any]:
    """How a method is drawn as a line: by colour, marker and dashes. A leading blank, as in `legend`."""
    style = {"color": "0.55" if look.oracle else look.face, "ls": "--" if look.oracle else "-"}
    return {**style, "marker": MARKERS[place % len(MARKERS)], "label": f" {look.label}", "linewidth": 1.3}


def light_grid(axis: Axes, which: Literal["both", "x", "y"] = "both") -> None:
    """Lines behind the data."""
    axis.set_axisbelow(True)
    axis.grid(axis=which, color="0.9", linewidth=0.6)


def legend(fig: Figure, shown: Sequence[Look]) -> None:
    """The legend, right of the axes. A leading blank, since matplotlib hides labels that begin with an underscore."""
    patches = [Patch(facecolor=x.face, edgecolor=x.edge, hatch=x.hatch, linewidth=0.6) for x in shown]
    style: dict[str, Any] = {"loc": "outside right upper", "frameon": False, "fontsize": 8, "handleheight": 1.1}
    fig.legend(patches, [f" {look.label}" for look in shown], **style)
