"""A report's pages: A4, with headings, paragraphs that end at the margin, and tables."""

import io
import itertools
import re

from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.textpath import TextToPath

from helpers import style

WIDTH, HEIGHT = 8.27, 11.69  # A4 in inches
LEFT, RIGHT = 0.09, 0.91  # the margins, in page widths
MONO = "DejaVu Sans Mono"
_measure = TextToPath()


def new_page(title, footer):
    """Return an empty page with its title at the head and `footer` at the foot."""
    page = Figure(figsize=(WIDTH, HEIGHT))
    page.text(LEFT, 0.945, title, fontsize=18, weight="bold", color=style.INK)
    page.add_artist(_rule(page, 0.932))
    page.text(RIGHT, 0.030, footer, fontsize=8.5, color=style.GREY, ha="right")
    return page


def _rule(page, y, right=RIGHT):
    return Line2D([LEFT, right], [y, y], color=style.FAINT, linewidth=1.2, transform=page.transFigure)


def heading(page, y, text):
    """Write a heading below height `y`; return the height below it."""
    page.text(LEFT, y, text, fontsize=13, weight="bold", color=style.BLUE, va="top")
    return y - 0.030


def wrapped(text, size, width, family="DejaVu Sans"):
    """Return the lines of `text` in letters of `size` points, none wider than `width` points unless a word is.

    A ± stays with both of its numbers, a % with its one.
    """
    font = FontProperties(family=family, size=size)
    lines = [""]
    for word in re.split(r"(?<!±) (?![±%])", text):
        longer = f"{lines[-1]} {word}".lstrip()
        if not lines[-1] or _measure.get_text_width_height_descent(longer, font, ismath=False)[0] <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def write(page, y, text, size=10.5, x=LEFT, right=RIGHT, family="DejaVu Sans", **options):
    """Write a paragraph with its first line below height `y`; return the height below it."""
    lines = wrapped(text, size, (right - x) * WIDTH * 72, family)
    page.text(x, y, "\n".join(lines), fontsize=size, va="top", linespacing=1.45, family=family, **options)
    return y - len(lines) * size * 1.45 / 72 / HEIGHT - 0.012


def table(page, y, rows, columns, size=9.6, align="", head=True, right=RIGHT):
    """Write rows of text at the given edges (in page widths); the first row is the heading if `head`.

    `align` has a letter for each column: l where its edge is the left one, r the right one; missing letters are l.
    Cells are broken at the next column. Returns the height below the table.
    """
    align = align.ljust(len(columns), "l")
    for i, row in enumerate(rows):
        most = 1
        for k, (edge, cell) in enumerate(zip(columns, row, strict=True)):
            if align[k] == "l":
                until = next(itertools.chain(columns[k + 1 :], [right]))
                broken = [wrapped(line, size, (until - edge) * WIDTH * 72) for line in cell.split("\n")]
                cell = "\n".join(itertools.chain(*broken))
            most = max(most, cell.count("\n") + 1)
            weight = "bold" if head and i == 0 else "normal"
            page.text(edge, y, cell, fontsize=size, va="top", ha={"l": "left", "r": "right"}[align[k]], weight=weight)
        y -= 0.0205 if most == 1 else 0.0185 * most + 0.002
        if head and i == 0:
            page.add_artist(_rule(page, y + 0.004, right))
            y -= 0.004
    return y - 0.010


def chain(page, box, blocks):
    """Draw blocks joined by arrows into `box` (left, bottom, width, height, in page sizes), from left to right.

    A block is (height in 0 to 1, the word in it, the words below it, the words over the arrow that leads to it); the
    first and the last are grey.
    """
    axes = page.add_axes(box)
    axes.set(xlim=(0, 10), ylim=(-1.2, 1.2))
    axes.set_axis_off()
    step = 10 / len(blocks)
    half = min(0.6, 0.36 * step)
    for i, (height, word, caption, link) in enumerate(blocks):
        middle = step * (i + 0.5)
        colour = style.SKY if 0 < i < len(blocks) - 1 else style.FAINT
        axes.add_patch(FancyBboxPatch((middle - half, -height), 2 * half, 2 * height, alpha=0.55, facecolor=colour,
                                      boxstyle="round,pad=0,rounding_size=0.08", edgecolor=style.GREY))  # fmt: skip
        axes.text(middle, 0, word, ha="center", va="center", fontsize=13, weight="bold")
        axes.text(middle, -1.2, caption, ha="center", va="top", fontsize=9.5, linespacing=1.4)
        if i:
            ends = (middle - step + half + 0.06, 0), (middle - half - 0.06, 0)
            axes.add_patch(FancyArrowPatch(*ends, arrowstyle="-|>", mutation_scale=13, shrinkA=0, shrinkB=0,
                                           color=style.INK))  # fmt: skip
            axes.text(middle - step / 2, 0.1, link, ha="center", fontsize=9)


def pdf(pages, metadata):
    """Return the bytes of a PDF of the pages; no date is in it, so equal pages make equal files."""
    written = io.BytesIO()  # matplotlib, writing on a full disk, ends in an error of zlib
    with style.context(), PdfPages(written, metadata=metadata | {"CreationDate": None}) as file:
        for page in pages:
            file.savefig(page)
    return written.getvalue()
