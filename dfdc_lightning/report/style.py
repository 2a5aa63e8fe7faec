"""How figures look: phone width, colours for the colour-blind, line styles and hatches for grey print."""

import re
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font

# Okabe and Ito's palette (2008), darkest first; line style and marker repeat the distinction without colour.
COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (3, 2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
REAL_COLOUR, FAKE_COLOUR, GREY = "#56B4E9", "#D55E00", "#777777"

RC: Any = {
    "font.family": "DejaVu Sans",
    "text.parse_math": False,  # a name may hold $
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.6,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 200,
    "svg.hashsalt": "dfdc-lightning",  # the same figure gives the same bytes
}
WIDTH = 4.6  # inches: 9 pt stays readable when a figure fills a phone


class LineStyle(NamedTuple):
    """How one experiment is drawn in every figure."""

    color: str
    linestyle: Any
    marker: str


def line_style(i: int) -> LineStyle:
    """Choose how the i-th experiment is drawn; the first 49 differ."""
    n = len(COLOURS)
    return LineStyle(COLOURS[i % n], LINES[(i + i // n) % n], MARKERS[(i + i // n) % n])


class Picture(NamedTuple):
    """A figure, its file name, its title and a sentence on what is seen (caption and alternative text).

    A picture that another command made is the path of its PNG file.
    """

    name: str
    title: str
    caption: str
    figure: Figure | Path


def canvas(height: float) -> Figure:
    """Make an empty figure of the common width."""
    return Figure(figsize=(WIDTH, height))


T = TypeVar("T")
MOST_PANELS = 12  # experiments in a figure of small panels; the tables have all


def shown(items: Sequence[T], most: int = MOST_PANELS) -> tuple[list[T], str]:
    """Keep the first items that a figure has room for, and say so where there are others."""
    rest = len(items) - most
    return list(items[:most]), f" {rest} more are not drawn; the tables have all." if rest > 0 else ""


def panels(n: int, height: float, columns: int, each: int = 1) -> tuple[Figure, list[list[Axes]]]:
    """Make a figure of n items with `each` axes, `columns` axes beside each other; lists the axes by item."""
    rows = -(-n * each // columns)
    figure = canvas(0.9 + height * rows)
    grid = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for axes in grid[n * each :]:
        axes.set_axis_off()
    return figure, [grid[i * each : (i + 1) * each] for i in range(n)]


def short(name: str, most: int = 24) -> str:
    """Cut the middle out of a long name, so that it fits into a figure; captions and tables have it whole.

    A letter that the font lacks is written as its code point, or two names would be rows of equal boxes.
    """
    name = "".join(c if ord(c) in _glyphs() else f"U+{ord(c):04X}" for c in name)
    return name if len(name) <= most else f"{name[: most // 2]}…{name[-(most // 2 - 1) :]}"


def legend(figure: Figure, labels: Sequence[str]) -> None:
    """Put a legend of experiments below a figure, in two columns where their labels leave room for these."""
    figure.legend(loc="outside lower center", ncols=2 if max(map(len, labels)) <= 30 else 1, fontsize=8)


def slug(label: str) -> str:
    """Turn a label into a part of a file name; two labels never become one, whatever letters they lose."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", label)
    return plain if plain == label else f"{plain.strip('-')}-{sha256(label.encode()).hexdigest()[:8]}"


@cache
def _glyphs() -> frozenset[int]:
    """List the code points that the font of figures has."""
    return frozenset(get_font(findfont(RC["font.family"])).get_charmap())
