"""The look: tables, pictures, colours."""

import base64
import io
import re

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from helpers import style


def test_a_table_lines_up_and_rounds_without_a_negative_zero():
    table = style.Table(("name", "value"), [("a", -0.00001), ("long name", -12.5)], ("", ".2f"), caption="two rows")
    assert repr(table).splitlines() == [
        "two rows",
        "name        value",
        "-----------------",
        "a            0.00",
        "long name  −12.50",
    ]
    assert "<caption" in table._repr_html_() and "−12.50" in table._repr_html_()


def test_a_table_from_columns_chooses_formats():
    table = style.Table.columns({"n": range(2), "x": [0.5, 1], "word": ["never", "<b>"]}, ".3f")
    assert repr(table).splitlines()[2:] == ["0  0.500  never", "1  1.000  <b>"]
    assert "&lt;b&gt;" in table._repr_html_()


def test_tables_name_what_does_not_fit():
    with pytest.raises(ValueError, match="3 entries but there are 2 headers"):
        style.Table(("a", "b"), [(1, 2, 3)])
    with pytest.raises(ValueError, match=r"differ in length \(a: 1, b: 2\)"):
        style.Table.columns({"a": [1], "b": [1, 2]})


def test_a_picture_is_a_png_with_its_sentence_as_alternative_text():
    fig, ax = style.figure(height=2)
    ax.plot([0, 1], [0, 1])
    data, metadata = style.Picture(fig, "A line.")._repr_mimebundle_()
    image = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
    assert image.size == (int(8.4 * 144), 288) and data["text/plain"] == "A line."
    assert metadata["image/png"] == {"alt": "A line.", "width": 800}


def test_a_picture_shows_what_matplotlib_would_save_and_all_that_moves():
    fig, (left, right) = style.figure(height=2.5, ncols=2)
    left.plot([0, 1], [0, 1e5], label="a line")
    left.legend()
    right.set(title="a title", xlabel="a label")
    dot, word = right.plot(0.5, 0.5, "o")[0], fig.text(0.5, 0.5, "a word")
    saved = io.BytesIO()
    with style.context():
        fig.savefig(saved, format="png", dpi=144)
    wanted = np.asarray(Image.open(saved).convert("RGB"))
    for artist in (dot, word):
        artist.set_animated(True)  # matplotlib would leave the word out, for it belongs to no axes
    canvas = fig.canvas
    shown = np.asarray(Image.open(io.BytesIO(style.png(fig, photographs=True))))
    assert np.array_equal(shown, wanted)
    assert dot.get_animated() and word.get_animated() and fig.dpi == style.DPI and fig.canvas is canvas


def luminance(colour):
    channels = [int(c, 16) / 255 for c in re.findall("..", colour[1:])]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


@pytest.mark.parametrize("colour", [style.INK, style.GREY, style.BLUE])
def test_colours_used_for_text_have_the_contrast_that_reading_needs(colour):
    assert (luminance(style.PAPER) + 0.05) / (luminance(colour) + 0.05) >= 4.5


def test_a_small_mark_beside_a_photograph_keeps_its_colour():
    rows, columns = np.indices((300, 300))
    pixels = np.stack([columns / 2, rows / 2, 40 + (rows + columns) / 4], axis=-1).astype(np.uint8)
    mark = np.array(to_rgb(style.ORANGE)) * 255
    pixels[10:16, 10:16] = mark.round()
    kept = np.asarray(Image.open(io.BytesIO(style.small_png(Image.fromarray(pixels)))).convert("RGB")).astype(int)
    assert np.abs(kept[10:16, 10:16] - mark).max() < 12


@pytest.mark.parametrize(
    ("hyphens", "said"),
    (
        ("x = -2.6420, (-1, -0.5)", "x = −2.6420, (−1, −0.5)"),
        ("leave-one-out, 2-3, p1-4, 1e-05, --", "leave-one-out, 2-3, p1-4, 1e-05, --"),
    ),
)
def test_negative_numbers_have_a_minus_sign(hyphens, said):
    assert style.with_minus_signs(hyphens) == said
    assert style.Picture(None, hyphens).sentence == said
