"""The moving picture behind an explorer: still parts drawn once, moving parts drawn over them."""

import io
import math
import re
import textwrap

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.text import Text
from matplotlib.transforms import Affine2D, Bbox
from PIL import Image

from helpers import style


class Scene:
    """A figure whose moving artists are redrawn over a cached background.

    A subclass makes its figure in `__init__`, registers what moves with `moving(...)`, and implements
    `update(**state)`, which moves the artists and returns the sentence that describes the picture. Where an update
    changes something still (axis limits, a title, a label), it calls `still_changed()` and the whole is drawn anew.
    A scene that can be dragged implements `pointed` too.
    """

    _MOST_KEPT = 100  # still parts kept, a megabyte or two each

    def __init__(self, fig):
        self.figure = fig
        self._canvas = FigureCanvasAgg(fig)
        self._moving = []
        self._background = None
        self._backgrounds = {}
        self._key = None
        self._laid_out = False
        self._lettering = _Lettering()

    @property
    def size(self):
        """Width and height of the picture in pixels."""
        return self._canvas.get_width_height()

    def moving(self, artist):
        """Register `artist` as one that moves and return it."""
        artist.set_animated(True)
        artist.set_in_layout(False)  # else the first state drawn would decide where the axes stand
        self._moving.append(artist)
        return artist

    def in_step(self, texts):
        """Move texts by less than a pixel to the same height within one, so that equal ones are set only once."""
        self._lay_out()
        for text in texts:
            place = text.get_transform()
            x, y = place.transform(text.get_position())
            text.set_y(place.inverted().transform((x, round(y) + 0.25))[1])

    def still_changed(self, key=None):
        """Have the still parts drawn again at the next picture.

        With a `key`, which must say all that they depend on, their drawing is kept and comes back when the key does.
        """
        self._key = key
        self._background = self._backgrounds.get(key)

    def update(self, *args, **state) -> str:
        """Move the artists to `state` and return one sentence that describes the picture; each scene names its own."""
        raise NotImplementedError

    def pointed(self, x, y) -> dict:
        """Return what changes in the state when the reader points at (x, y), fractions from the lower left corner."""
        raise NotImplementedError

    def draw(self, **state):
        """Return the picture of `state`, RGBA, uint8 (height, width, 4), and its sentence."""
        with style.context():
            sentence = self.update(**state)
            if self._background is None:
                self._lay_out()
                self._canvas.draw()
                self._background = self._canvas.copy_from_bbox(self.figure.bbox)
                if self._key is not None:
                    if len(self._backgrounds) >= self._MOST_KEPT:
                        self._backgrounds.clear()
                    self._backgrounds[self._key] = self._background
            self._canvas.restore_region(self._background)
            renderer = self._canvas.get_renderer()
            for artist in sorted(self._moving, key=lambda a: a.get_zorder()):
                if type(artist) is Text:  # an Annotation has an arrow too
                    self._lettering.draw(artist, renderer)
                elif type(artist) is AxesImage:
                    _tile(artist, renderer)
                else:
                    artist.draw(renderer)
        return np.array(self._canvas.buffer_rgba()), sentence  # a copy, for the next picture is drawn in its place

    def still(self, sentence):
        """Return the present picture with `sentence` written below it, as PNG bytes for a reader without a kernel."""
        self._background = None  # the sharper drawing leaves another canvas behind
        self._backgrounds.clear()
        parts = [style.png(self.figure), style.png(_caption(sentence, self.figure.get_figwidth()))]
        above, below = (Image.open(io.BytesIO(part)).convert("RGB") for part in parts)
        both = Image.new("RGB", (above.width, above.height + below.height), style.PAPER)
        both.paste(above, (0, 0))
        both.paste(below, (0, above.height))
        return style.small_png(both)

    def _lay_out(self):
        # Constrained layout doubles the time of a draw; once it has placed the axes it is switched off. A placeholder
        # stays behind, so the engine itself cannot tell whether that has happened.
        if not self._laid_out:
            self.figure.get_layout_engine().execute(self.figure)
            self.figure.set_layout_engine("none")
            self._laid_out = True


class _Lettering:
    """Draws texts from memory: setting the letters takes several times as long as copying them once they are set."""

    _MOST = 1500  # texts kept, some kilobytes each

    def __init__(self):
        self._known = {}
        self._sheet = None

    def draw(self, text, renderer):
        """Draw `text` as its own `draw` would, from memory if it was drawn with the same look before."""
        if not (text.get_visible() and text.get_text()):
            return
        plain = not (text.get_path_effects() or text.get_clip_on() or text.get_usetex())
        x, y = text.get_transform().transform(text.get_unitless_position())
        if not (plain and 0 <= x < renderer.width and 0 <= y < renderer.height):
            text.draw(renderer)
            return
        left, bottom = int(x), int(y)
        across, up = round(8 * (x - left)) / 8, round(8 * (y - bottom)) / 8  # letters are set to an eighth of a pixel
        look = (text.get_color(), text.get_alpha(), hash(text.get_fontproperties()), text.get_rotation())
        place = (text.get_ha(), text.get_va(), across, up, renderer.dpi)
        box = text.get_bbox_patch()
        frame = box and (box, box.get_facecolor(), box.get_edgecolor(), box.get_linewidth())
        key = (text.get_text(), *look, *place, frame)
        if key not in self._known:
            if len(self._known) >= self._MOST:
                self._known.clear()
            moved = Affine2D().translate(left + across - x, bottom + up - y)
            self._known[key] = self._set(text, renderer, left, bottom, moved)
        letters, dx, dy = self._known[key]
        gc = renderer.new_gc()
        renderer.draw_image(gc, left + dx, bottom + dy, letters)
        gc.restore()

    def _set(self, text, renderer, left, bottom, moved):
        """Set `text` on an empty sheet; return its pixels and where their lower left corner is from (left, bottom)."""
        transform = text.get_transform()
        text.set_transform(transform + moved)
        try:
            return self._set_here(text, renderer, left, bottom)
        finally:
            text.set_transform(transform)

    def _set_here(self, text, renderer, left, bottom):
        if self._sheet is None:
            self._sheet = _Sheet(renderer.width, renderer.height, renderer.dpi)
        self._sheet.clear()
        text.draw(self._sheet)
        around = [text.get_window_extent(self._sheet)]
        if text.get_bbox_patch():
            around.append(text.get_bbox_patch().get_window_extent())
        x0, y0, x1, y1 = Bbox.union(around).padded(3).extents
        return _cut(self._sheet, max(0, int(x0)), max(0, int(y0)), int(x1), int(y1), left, bottom)


class _Sheet(RendererAgg):
    """An empty sheet; on it a line of text is put together from digits, spaces and words that were set before."""

    _PIECES = re.compile(r"\d| +|[^\d ]+")  # between them no letter moves closer to the next

    def __init__(self, width, height, dpi):
        super().__init__(width, height, dpi)
        self._sizes, self._pieces = {}, {}

    def _size(self, piece, prop):
        key = (piece, hash(prop))
        if key not in self._sizes:
            self._sizes[key] = super().get_text_width_height_descent(piece, prop, False)
        return self._sizes[key]

    def get_text_width_height_descent(self, s, prop, ismath):
        """Return the size of a line as its pieces have it."""
        if ismath or not s:
            return super().get_text_width_height_descent(s, prop, ismath)
        widths, heights, descents = zip(*(self._size(piece, prop) for piece in self._PIECES.findall(s)), strict=True)
        descent = max(descents)
        return sum(widths), max(h - d for h, d in zip(heights, descents, strict=True)) + descent, descent

    def draw_text(self, gc, x, y, s, prop, angle, ismath=False, mtext=None):
        """Draw a line piece by piece; `y` counts from above."""
        if ismath or angle:
            super().draw_text(gc, x, y, s, prop, angle, ismath, mtext)
            return
        for piece in self._PIECES.findall(s):
            if piece[0] != " ":
                left, top = math.floor(x), math.floor(y)
                key = (piece, hash(prop), gc.get_rgb(), gc.get_alpha(), round(64 * (x - left)), round(64 * (y - top)))
                if key not in self._pieces:
                    if len(self._pieces) >= 4 * _Lettering._MOST:
                        self._pieces.clear()
                    self._pieces[key] = self._piece(gc, x - left, y - top, piece, prop, mtext)
                letters, dx, dy = self._pieces[key]
                self.draw_image(self.new_gc(), left + dx, self.height - top + dy, letters)
            x += self._size(piece, prop)[0]

    def _piece(self, gc, across, down, piece, prop, mtext):
        width, height, descent = self._size(piece, prop)
        edge = 4
        sheet = RendererAgg(math.ceil(width) + 2 * edge, math.ceil(height) + 2 * edge, self.dpi)
        bottom = math.ceil(descent) + edge
        sheet.draw_text(gc, edge + across, sheet.height - bottom + down, piece, prop, 0, False, mtext)
        return _cut(sheet, 0, 0, int(sheet.width), int(sheet.height), edge, bottom)


def _cut(sheet, x0, y0, x1, y1, left, bottom):
    """Return a part of a sheet, (x, y) counted from below, and where its corner is from (left, bottom)."""
    pixels = np.asarray(sheet.buffer_rgba())
    part = pixels[max(0, pixels.shape[0] - y1) : pixels.shape[0] - y0, x0 : max(x0 + 1, x1)]
    return np.ascontiguousarray(part[::-1]), x0 - left, y0 - bottom


def _tile(image, renderer):
    """Draw `image` as its own `draw` would: of a few large pixels, copying is several times as fast as resampling."""
    left, right, bottom, top = image.get_extent()
    (x0, y0), (x1, y1) = image.axes.transData.transform([(left, bottom), (right, top)])
    box = image.axes.bbox.padded(1)  # of what reaches further a part would have to be cut off
    whole = x0 < x1 and y0 < y1 and box.contains(x0, y0) and box.contains(x1, y1)
    if not (whole and image.get_visible() and image.get_alpha() is None and image.get_interpolation() == "nearest"):
        image.draw(renderer)
        return
    colours = image.to_rgba(image.get_array(), bytes=True)
    if image.origin == "upper":
        colours = colours[::-1]  # the renderer counts from below
    height, width = colours.shape[:2]
    across, up = (np.arange(round(low), round(high)) + 0.5 - low for low, high in ((x0, x1), (y0, y1)))
    columns = (across * width / (x1 - x0)).astype(int).clip(0, width - 1)
    rows = (up * height / (y1 - y0)).astype(int).clip(0, height - 1)
    gc = renderer.new_gc()
    renderer.draw_image(gc, round(x0), round(y0), np.take(np.take(colours, columns, axis=1), rows, axis=0))
    gc.restore()


def _caption(sentence, width):
    for letters in range(120, 60, -3):
        lines = textwrap.wrap(sentence, letters)
        height = 0.19 * (len(lines) + 1) + 0.22
        with style.context():
            fig = Figure(figsize=(width, height), dpi=style.DPI)
            said = fig.text(0.012, 1 - 0.08 / height, "\n".join(lines), va="top", linespacing=1.35)
            hint = "A still of an explorer. Run its cell to get the controls that move it."
            fig.text(0.012, 0.1 / height, hint, va="bottom", color=style.GREY, fontsize=9.5)
            if said.get_window_extent(FigureCanvasAgg(fig).get_renderer()).x1 <= 0.988 * fig.bbox.width:
                break
    return fig
