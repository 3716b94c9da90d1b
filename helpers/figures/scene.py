"""The moving picture behind an explorer: still parts drawn once, moving parts drawn over them."""

import io

from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from helpers import style


class Scene:
    """A figure whose moving artists are redrawn over a cached background.

    A subclass makes its figure in `__init__`, registers what moves with `moving(...)`, and implements
    `update(**state)`, which moves the artists and returns the sentence that describes the picture. Where an update
    changes something still (axis limits, a title, a label), it calls `still_changed()` and the whole is drawn anew.
    """

    def __init__(self, fig):
        self.figure = fig
        self._canvas = FigureCanvasAgg(fig)
        self._moving = []
        self._background = None
        self._laid_out = False

    def moving(self, artist):
        """Register `artist` as one that moves and return it."""
        artist.set_animated(True)
        self._moving.append(artist)
        return artist

    def still_changed(self):
        """Have the still parts drawn again at the next picture."""
        self._background = None

    def update(self, **state) -> str:
        """Move the artists to `state` and return one sentence that describes the picture."""
        raise NotImplementedError

    def draw(self, **state):
        """Return the picture of `state` as PNG bytes, and its sentence."""
        with style.context():
            sentence = self.update(**state)
            if self._background is None:
                self._lay_out()
                self._canvas.draw()
                self._background = self._canvas.copy_from_bbox(self.figure.bbox)
            self._canvas.restore_region(self._background)
            for artist in sorted(self._moving, key=lambda a: a.get_zorder()):
                if artist.axes is not None and artist.axes is not artist:
                    artist.axes.draw_artist(artist)
                else:
                    self.figure.draw_artist(artist)
        pixels = Image.frombuffer("RGBA", self._canvas.get_width_height(), self._canvas.buffer_rgba())
        encoded = io.BytesIO()
        # Light compression: the picture travels a few centimetres, the reader waits for the encoder.
        pixels.convert("RGB").save(encoded, format="png", compress_level=1)
        return encoded.getvalue(), sentence

    def _lay_out(self):
        # Constrained layout doubles the time of a draw; once it has placed the axes it is switched off. A placeholder
        # stays behind, so the engine itself cannot tell whether that has happened.
        if not self._laid_out:
            self._canvas.draw()
            self.figure.set_layout_engine("none")
            self._laid_out = True
