"""The mechanism of the explorers, without a browser."""

import asyncio
import base64
import io
import os

import numpy as np
import pytest
from explorers import pixels, sweep
from PIL import Image

from helpers import style
from helpers.explore import descent as explore
from helpers.explore.explorer import Explorer, slider, text, whole
from helpers.figures.scene import Scene


class Dot(Scene):
    def __init__(self):
        fig, ax = style.figure(height=2)
        super().__init__(fig)
        ax.set(xlim=(0, 10), ylim=(0, 10))
        self.dot = self.moving(ax.plot([], [], "o")[0])
        self.title = self.moving(fig.text(0.5, 0.5, ""))

    def update(self, x, n, word=""):
        if word == "bad":
            raise ValueError("the word is bad; type another")
        if word == "worse":
            raise KeyError("deep")
        self.dot.set_data([x], [n])
        return f"A dot at {x:g}, {n}."


@pytest.fixture
def dot():
    controls = {"x": slider("x", 1.0, 0.0, 10.0, 0.5), "n": whole("n", 2, 0, 5), "word": text("word", "")}
    return Explorer(Dot(), controls, call="explore.dot", steps="n")


def test_a_slider_moves_the_picture_and_the_sentence(dot):
    before = pixels(dot)
    dot.controls["x"].value = 7.5
    assert dot.sentence == "A dot at 7.5, 2." == dot.picture.tooltip
    assert np.any(pixels(dot) != before)
    assert "A dot at 7.5, 2." in dot.caption.value


def test_a_redraw_over_the_cached_background_equals_a_fresh_drawing(dot):
    for x in (3.0, 9.0, 4.5):
        dot.controls["x"].value = x
    fresh = Explorer(Dot(), {"x": slider("x", 4.5, 0.0, 10.0, 0.5), "n": whole("n", 2, 0, 5)}, call="")
    assert np.array_equal(pixels(dot), pixels(fresh))


def test_buttons_step_within_the_range_and_reset(dot):
    for _ in range(9):
        dot.buttons["next"].click()
    assert dot.state["n"] == 5
    dot.buttons["previous"].click()
    dot.controls["x"].value = 8.0
    assert (dot.state["n"], dot.state["x"]) == (4, 8.0)
    dot.buttons["reset"].click()
    assert dot.state == dot.initial and dot.sentence == "A dot at 1, 2."


def test_play_steps_to_the_end_and_starts_over_from_there(dot):
    dot.pause = 0.001
    asyncio.run(dot.play())
    assert dot.state["n"] == 5

    async def twice():
        dot.buttons["play"].click()
        assert dot.buttons["play"].description == "Pause"
        await dot._playing

    asyncio.run(twice())
    assert dot.state["n"] == 5 and dot.buttons["play"].description == "Play"

    async def interrupted():
        dot.pause = 10
        dot.controls["n"].value = 0
        dot.buttons["play"].click()
        await asyncio.sleep(0)
        dot.buttons["play"].click()
        await asyncio.sleep(0)

    asyncio.run(interrupted())
    assert dot.state["n"] == 1 and dot.buttons["play"].description == "Play"


def test_several_controls_change_with_one_redraw(dot, monkeypatch):
    drawn = []
    monkeypatch.setattr(dot.scene, "draw", lambda **state: drawn.append(state) or (b"", "drawn"))
    dot.set(x=2.0, n=4)
    assert drawn == [{"x": 2.0, "n": 4, "word": ""}]


def test_an_exception_is_shown_in_the_explorer_and_not_lost(dot, monkeypatch):
    with pytest.raises(ValueError, match="the word is bad"):
        dot.controls["word"].value = "bad"
    monkeypatch.setattr(Explorer, "raise_errors", False)
    dot.controls["word"].value = "worse"
    assert "Not drawn." in dot.caption.value and "KeyError" in dot.caption.value
    dot.controls["word"].value = "bad"
    assert "the word is bad; type another" in dot.caption.value and "ValueError" not in dot.caption.value
    dot.controls["word"].value = "good"
    assert "A dot at" in dot.caption.value


def test_the_line_as_code_reproduces_the_state():
    one = explore.descend()
    one.set(method="heavy ball", x0=-1.5, learning_rate=0.35, n=7)
    assert one.as_code in one.code.value.replace("&#x27;", "'")
    other = eval(one.as_code, {"explore": explore})
    assert other.state == one.state and np.array_equal(pixels(other), pixels(one))


def test_the_bundle_holds_a_live_view_a_picture_and_a_sentence(dot):
    data, metadata = dot._repr_mimebundle_()
    assert set(data) == {"application/vnd.jupyter.widget-view+json", "image/png", "text/plain"}
    assert data["text/plain"] == dot.sentence == metadata["image/png"]["alt"]
    assert Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).size == (840, 200)


def test_the_descent_explorer_answers_at_every_stop():
    from helpers.core import descent

    said = sweep(explore.descend())
    for x0, sentence in said["x0"]:
        assert f"from x₀ = {x0:.2f}" in sentence
    for n, sentence in said["n"]:
        walk = descent.descend("gradient descent", -3.0, 1.0, 60)
        assert f"step {n}: x = {walk.x[n]:.4f}, GELU = {walk.value[n]:.4f}" in sentence
    assert any(
        "has left the picture" in sentence for _, sentence in sweep(explore.descend("heavy ball", x0=3.0, n=40))["learning_rate"]
    )


@pytest.mark.skipif(os.name != "posix", reason="reads the loaded modules of a POSIX child process")
def test_an_explorer_needs_no_browser_and_no_pyplot():
    import subprocess
    import sys

    code = (
        "import sys\nfrom helpers.explore import descent\ndescent.descend()\n"
        "assert 'matplotlib.pyplot' not in sys.modules and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
