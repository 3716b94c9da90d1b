"""What the explorers show can be told apart by readers of every colour vision, and their texts can be read."""

import itertools
import re
from pathlib import Path

import numpy as np
import pytest
from explorers import made, pixels, stops
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from helpers import benchmarks, style

# How colours look with one kind of cone missing, in linear RGB: the matrices of full severity of Machado, Oliveira and
# Fernandes, A physiologically-based model for simulation of color vision deficiency (2009).
MISSING = {
    "red cones": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "green cones": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "blue cones": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear(colours):
    """Undo the gamma of sRGB colours (..., 3) in [0, 1]."""
    colours = np.asarray(colours, dtype=float)
    return np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)


def lab(light):
    """Return linear RGB colours (..., 3) in CIELAB, where a distance of about 2 is just seen."""
    x = light @ TO_XYZ.T / TO_XYZ.sum(axis=1)
    f = np.where(x > 216 / 24389, np.cbrt(x), (24389 / 27 * x + 16) / 116)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)


def seen(colours, missing):
    """Return what a reader without the cones `missing` sees of sRGB colours, in CIELAB."""
    return lab(np.clip(linear(colours) @ np.array(MISSING[missing]).T, 0, 1))


def counted(picture):
    """Return the colours of a picture (..., 3) in [0, 1], and how many pixels have each."""
    numbers = picture.reshape(-1, 3).astype(int) @ (65536, 256, 1)
    colours, counts = np.unique(numbers, return_counts=True)
    return np.stack([colours >> 16, colours >> 8 & 255, colours & 255], axis=-1) / 255, counts


def distance(one, other):
    return np.linalg.norm(np.asarray(one) - other, axis=-1)


def contrast(one, other):
    """Return the contrast of two sRGB colours as WCAG 2 defines it."""
    light = sorted((linear(one) @ TO_XYZ[1], linear(other) @ TO_XYZ[1]))
    return (light[1] + 0.05) / (light[0] + 0.05)


@pytest.mark.parametrize("missing", MISSING)
def test_the_simulation_leaves_greys_alone_and_confuses_what_is_known_to_be_confused(missing):
    greys = np.linspace(0, 1, 9)[:, None] * np.ones(3)
    assert distance(seen(greys, missing), lab(linear(greys))).max() < 0.1
    confused = {"red cones": ("#A03030", "#5A5A30"), "green cones": ("#B04040", "#7A7A40"),
                "blue cones": ("#6070C0", "#508888")}[missing]  # fmt: skip
    pair = np.array([to_rgb(colour) for colour in confused])
    assert distance(*seen(pair, missing)) < 0.5 * distance(*lab(linear(pair)))


@pytest.mark.parametrize("missing", MISSING)
def test_the_palette_stays_apart(missing):
    for one, other in itertools.combinations(style.CYCLE, 2):
        assert distance(seen(to_rgb(one), missing), seen(to_rgb(other), missing)) > 15, (one, other)


@pytest.mark.parametrize("missing", MISSING)
def test_signs_and_sizes_can_be_told_from_the_diverging_colours(missing):
    shades = seen(style.DIVERGING(np.linspace(0, 1, 21))[:, :3], missing)
    assert distance(shades, shades[::-1])[[0, 4]].min() > 30  # a negative number from its opposite
    assert np.all(np.diff(shades[:11, 0]) > 0) and np.all(np.diff(shades[10:, 0]) < 0)  # paler towards 0


def test_every_explorer_of_the_notebooks_is_looked_at():
    used = set()
    for path in (Path(__file__).parents[1] / "notebooks" / "text").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        room = re.search(r"from helpers\.explore import (\w+) as explore", text)
        used |= {f"{room[1]}.{name}" for name in re.findall(r"^explore\.(\w+)\(", text, re.MULTILINE)}
    assert used <= set(benchmarks.EXPLORERS) and len(used) >= 8


def states(explorer, most=5):
    """Take `explorer` through a few stops of every control."""
    for control in explorer.controls.values():
        explorer.reset()
        for value in stops(control, most):
            control.value = value
            yield explorer.as_code


def looked_at_together(explorer):
    """Yield the parts of the present picture within which colours are told from each other, white in photographs.

    First all but the maps in viridis, then each of those: nobody compares a value in a map with a line elsewhere.
    """
    picture = pixels(explorer).copy()
    height, width = picture.shape[:2]
    across, up = explorer.scene.figure.bbox.size
    maps = []
    for image in (image for axes in explorer.scene.figure.axes for image in axes.images):
        box = image.get_window_extent()
        rows = slice(int(height * (1 - box.y1 / up)), int(height * (1 - box.y0 / up)) + 1)
        part = picture[rows, int(width * box.x0 / across) : int(width * box.x1 / across) + 1]
        if np.ndim(image.get_array()) == 2 and image.cmap.name == "viridis":
            maps.append(part.copy())
            part[:] = 255
        elif np.ndim(image.get_array()) == 3:
            part[:] = 255
    yield picture
    yield from maps


@pytest.mark.parametrize("name", benchmarks.EXPLORERS)
def test_colours_in_a_picture_that_differ_for_some_differ_for_all(name):
    explorer = made(name)
    for line in states(explorer, 3):
        for picture in looked_at_together(explorer):
            colours, counts = counted(picture)
            large = colours[counts >= 200]
            apart = distance(lab(linear(large))[:, None], lab(linear(large)))
            for missing in MISSING:
                light = seen(large, missing)
                lost = (apart > 40) & (distance(light[:, None], light) < 12)
                assert not lost.any(), (line, missing, 255 * large[np.argwhere(lost)[0]])


@pytest.mark.parametrize("name", benchmarks.EXPLORERS)
def test_texts_in_a_picture_can_be_read(name):
    explorer = made(name)
    looked_at = 0
    for line in states(explorer):
        figure, picture = explorer.scene.figure, pixels(explorer)
        height, width, _ = picture.shape
        renderer = figure.canvas.get_renderer()
        for text in figure.findobj(Text):
            if not (text.get_visible() and text.get_text().strip()) or not all(shown(text)):
                continue
            x0, y0, x1, y1 = text.get_window_extent(renderer).extents.round().astype(int)
            behind = picture[max(0, height - y1) : height - y0, max(0, x0) : x1]
            if not (behind.size and 0 <= x0 < width and 0 <= y0 < height):
                continue
            colours, counts = counted(behind)
            ratio = contrast(to_rgb(text.get_color()), colours[counts.argmax()])
            looked_at += 1
            assert ratio >= 4.5, f"{ratio:.1f}:1 in {text.get_text()!r} of {line}"
    assert looked_at > 50


def shown(artist):
    """Tell of an artist and of its axes whether they are drawn."""
    yield artist.get_visible()
    if artist.axes is not None:
        yield artist.axes.get_visible()
