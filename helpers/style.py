"""One look for the whole workbook: colours, figure sizes, and the objects that a cell shows."""

import base64
import html
import io
import re
from collections.abc import Iterable, Sequence
from numbers import Integral

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from PIL import Image

# The Okabe-Ito colours, which stay apart under the three common colour-vision deficiencies.
BLUE, ORANGE, GREEN, PURPLE, SKY, AMBER = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00"
INK, GREY, FAINT, PAPER = "#1F2933", "#5B6572", "#D5DAE0", "#FFFFFF"
CYCLE = (BLUE, ORANGE, GREEN, PURPLE, SKY, AMBER)
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)))  # a second channel beside colour
MARKERS = ("o", "s", "^", "D", "v", "P")
DIVERGING = LinearSegmentedColormap.from_list("workbook", [BLUE, "#CFE3F0", PAPER, "#F8DCC8", ORANGE])

WIDTH = 8.4  # inches
DPI = 100
SHOWN = 800  # pixels on screen at most: what a notebook leaves free in a page of 1,000

_RC: dict = {
    "figure.facecolor": PAPER,  # opaque, so that a dark theme does not swallow black labels
    "axes.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "font.family": "DejaVu Sans",  # ships with matplotlib: the same glyphs on every machine
    "font.size": 10.5,
    "axes.titlesize": 11.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "text.color": INK,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "lines.linewidth": 2.0,
    "lines.markersize": 6,
    "legend.frameon": True,
    "legend.framealpha": 0.9,
    "legend.edgecolor": FAINT,
    "legend.fontsize": 9.5,
    "image.interpolation": "nearest",
    "mathtext.fontset": "dejavusans",
}


def context():
    """Return the context manager under which every figure of the workbook is made and drawn."""
    return matplotlib.rc_context(_RC)


def figure(height=3.6, width=WIDTH, **subplots):
    """Return a bare Figure and its axes in the workbook's style.

    `height` and `width` are inches; the remaining keywords are those of `Figure.subplots`. The figure belongs to no
    pyplot state, so nothing leaks between cells. The layout is computed once, not at every draw.
    """
    with context():
        layout = ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06, wspace=0.05, hspace=0.06)
        fig = Figure(figsize=(width, height), dpi=DPI, layout=layout)
        axes = fig.subplots(**subplots)
    return fig, axes


def png(fig, dpi=144, photographs=False):
    """Return `fig` as PNG bytes in at most 256 colours, which keeps a notebook small; `photographs` need more."""
    image = _drawn(fig, dpi)
    if not photographs:
        return small_png(image)
    whole = io.BytesIO()
    image.save(whole, format="png", optimize=True)
    return whole.getvalue()


def _drawn(fig, dpi):
    # What `savefig` draws, in less time: it draws once to lay the figure out and once more for the picture, and packs
    # that into a file, from which it would have to be read again. Like it, this draws what moves too.
    moving = fig.findobj(lambda artist: artist.get_animated())
    usual, canvas = fig.dpi, fig.canvas
    try:
        for artist in moving:
            artist.set_animated(False)
        fig.dpi = dpi
        sheet = FigureCanvasAgg(fig)
        with context():
            sheet.draw()
        return Image.fromarray(np.asarray(sheet.buffer_rgba())).convert("RGB")
    finally:
        for artist in moving:
            artist.set_animated(True)
        fig.dpi = usual
        fig.set_canvas(canvas)


def small_png(image):
    """Return a Pillow image as PNG bytes in at most 256 colours.

    They are chosen to leave no colour far away: chosen by how often they occur, a photograph would get nearly all of
    them, and a small mark beside it would turn grey.
    """
    small = io.BytesIO()
    few = image.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.save(small, format="png", optimize=True)
    return small.getvalue()


def with_minus_signs(sentence):
    """The sentence with a true minus sign, where a hyphen stood, in front of every negative number."""
    return re.sub(r"(?<![\w.])-(?=\d)", "−", sentence)


class Picture:
    """A figure with the sentence that describes it: the sentence is its alternative text and what tests compare.

    A figure of `photographs` is stored in all its colours, any other in 256.
    """

    def __init__(self, fig, sentence, photographs=False):
        self.figure, self.sentence, self.photographs = fig, with_minus_signs(sentence), photographs

    def __repr__(self):
        return self.sentence

    def _repr_mimebundle_(self, include=None, exclude=None):
        image = png(self.figure, photographs=self.photographs)
        data = {"image/png": base64.b64encode(image).decode(), "text/plain": self.sentence}
        width = min(SHOWN, round(self.figure.get_figwidth() * DPI))
        return data, {"image/png": {"alt": self.sentence, "width": width}}


class Table:
    """A small table that reads well in a notebook, in plain text and to a screen reader.

    `headers` are strings; `rows` are sequences of the same length; `formats` gives one format specification a column
    ("" for text). Numbers are right-aligned. Raises ValueError if a row has another length than the headers.
    """

    def __init__(self, headers: Sequence[str], rows: Iterable[Sequence], formats: Sequence[str] = (), caption=""):
        self.headers, self.caption = list(headers), caption
        formats = list(formats) or [""] * len(self.headers)
        self.cells, self.numeric = [], [bool(f) for f in formats]
        for row in rows:
            row = list(row)
            if len(row) != len(self.headers):
                raise ValueError(f"a table row has {len(row)} entries but there are {len(self.headers)} headers")
            self.cells.append([_cell(value, spec) for value, spec in zip(row, formats, strict=True)])

    @classmethod
    def columns(cls, columns, number=".6f", caption=""):
        """Return a table from a dict of header to column; fractions are printed with the format `number`.

        Raises ValueError for columns of different lengths.
        """
        columns = {header: list(column) for header, column in columns.items()}
        if len({len(column) for column in columns.values()}) > 1:
            lengths = ", ".join(f"{header}: {len(column)}" for header, column in columns.items())
            raise ValueError(f"the columns differ in length ({lengths}); give each as many entries")
        formats = [_format_for(column, number) for column in columns.values()]
        return cls(list(columns), zip(*columns.values(), strict=True), formats, caption)

    def __repr__(self):
        lines = [self.headers, *self.cells]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.headers))]
        pad = [str.rjust if number else str.ljust for number in self.numeric]
        text = ["  ".join(p(c, w) for p, c, w in zip(pad, line, widths, strict=True)).rstrip() for line in lines]
        text.insert(1, "-" * (sum(widths) + 2 * (len(widths) - 1)))
        return "\n".join(([self.caption] if self.caption else []) + text)

    def _repr_html_(self):
        sides = ["right" if number else "left" for number in self.numeric]

        def row(tag, cells):
            return "".join(
                f'<{tag} style="text-align:{side};padding:2px 10px">{html.escape(cell)}</{tag}>'
                for side, cell in zip(sides, cells, strict=True)
            )

        caption = f'<caption style="caption-side:top;text-align:left">{html.escape(self.caption)}</caption>'
        head = f"<thead><tr>{row('th', self.headers)}</tr></thead>"
        body = "".join(f"<tr>{row('td', cells)}</tr>" for cells in self.cells)
        style = "font-variant-numeric:tabular-nums;border-collapse:collapse"
        return f'<table style="{style}">{caption if self.caption else ""}{head}<tbody>{body}</tbody></table>'


def _format_for(column, number):
    numbers = [value for value in column if not isinstance(value, str)]
    if not numbers:
        return ""
    return "d" if all(isinstance(value, Integral) for value in numbers) else number


def _cell(value, spec):
    if isinstance(value, str) or value is None:
        return value or ""
    text = format(value, spec)
    if text.startswith("-") and not text.strip("-0.e+"):
        text = text[1:]  # a rounded -0.0 is printed as 0
    return text.replace("-", "\N{MINUS SIGN}") if spec else text
