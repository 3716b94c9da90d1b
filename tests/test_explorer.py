"""The mechanism of the explorers, without a browser."""

import base64
import io
import json
import os
import re

import numpy as np
import pytest
from explorers import made, pixels, stops, sweep
from matplotlib.image import AxesImage
from PIL import Image

from helpers import benchmarks, style
from helpers import pixels as encoded
from helpers.explore import descent as explore
from helpers.explore.explorer import Explorer, choice, pick, slider, switch, text, upload, whole
from helpers.figures import scene
from helpers.figures.scene import Scene

drawn = AxesImage.draw


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


def ask(explorer, pointer=None, have=0, **values):
    """Do what the page does when the reader acts and frame `have` is on its screen, and return the answer."""
    explorer._page._handle_custom_msg({"view": "a", "values": values, "pointer": pointer, "have": have}, [])
    assert explorer.frame["answers"] == "a"
    return explorer.frame


def test_a_slider_moves_the_picture_and_the_sentence(dot):
    before = pixels(dot)
    dot.controls["x"].value = 7.5
    assert dot.sentence == "A dot at 7.5, 2." == dot.frame["sentence"]
    assert np.any(pixels(dot) != before)


def test_a_redraw_over_the_cached_background_equals_a_fresh_drawing(dot):
    for x in (3.0, 9.0, 4.5):
        dot.controls["x"].value = x
    fresh = Explorer(Dot(), {"x": slider("x", 4.5, 0.0, 10.0, 0.5), "n": whole("n", 2, 0, 5)}, call="")
    assert np.array_equal(pixels(dot), pixels(fresh))


def test_a_request_of_the_page_is_answered_by_one_frame_that_agrees_with_itself(dot, monkeypatch):
    sent = []
    monkeypatch.setattr(dot._page, "send", sent.append)
    frame = ask(dot, x=7.5, n=4)
    assert sent == [frame]
    assert frame["values"] == {"x": 7.5, "n": 4, "word": ""}
    assert frame["sentence"] == "A dot at 7.5, 4." and frame["code"] == "explore.dot(x=7.5, n=4, word='')"
    assert base64.b64decode(frame["picture"].partition(",")[2]) == dot.picture
    again = ask(dot, x=7.5)  # nothing changes, but the page waits
    assert again["number"] == frame["number"] + 1
    dot.controls["x"].value = 1.0  # not asked for by the page
    assert dot.frame["answers"] == ""


def painted(screen, frame):
    """Return what the page shows once it has painted `frame` over `screen`, (height, width, 4)."""
    if not frame["picture"]:
        return screen
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(frame["picture"].partition(",")[2]))))
    if not frame["over"]:
        return sheet
    screen, (wide, high) = screen.copy(), frame["block"]
    rows, columns = range(0, sheet.shape[0], high), range(0, sheet.shape[1], wide)
    blocks = [sheet[y : y + high, x : x + wide] for y in rows for x in columns]
    numbers = [int(number) for number in frame["numbers"].split()]
    assert 0 <= len(blocks) - len(numbers) < len(columns)
    for block, number in zip(blocks, numbers, strict=False):
        top, left = (
            side * k for side, k in zip((high, wide), divmod(number, -(-screen.shape[1] // wide)), strict=True)
        )
        height, width = screen[top : top + high, left : left + wide].shape[:2]
        screen[top : top + high, left : left + wide] = block[:height, :width]
    return screen


@pytest.mark.parametrize("name", benchmarks.EXPLORERS)
def test_what_has_changed_painted_over_what_was_there_gives_the_picture(name):
    """Every explorer, to the last pixel; and only what has changed travels."""
    explorer = made(name)
    screen = painted(explorer.pixels, explorer.frame)
    whole = part = 0
    for control, chosen in explorer.controls.items():
        for value in stops(chosen, 6):
            chosen.value = value
            shown = chosen.shown()
            explorer.reset()
            screen = painted(screen, explorer.frame)
            frame = ask(explorer, have=explorer.frame["number"], **{control: shown})
            assert frame["over"] == frame["number"] - 1
            screen = painted(screen, frame)
            assert np.array_equal(screen, explorer.pixels), (control, value)
            whole, part = whole + len(explorer.picture), part + len(frame["picture"]) * 3 // 4
    assert part < 0.7 * whole


@pytest.mark.parametrize("shape", [(30, 40), (31, 47), (5, 3), (10, 20)])
def test_changes_in_pictures_of_any_size(shape):
    rng = np.random.default_rng(0)
    before = rng.integers(0, 256, (*shape, 4), dtype=np.uint8)
    for count in (0, 1, 2, 40, 2000):
        after = before.copy()
        for y, x in rng.integers(0, shape, (count, 2)):
            after[y, x] ^= 1
        sheet, numbers = encoded.changes(before, after)
        written = " ".join(map(str, numbers))
        frame = {"over": 1, "numbers": written, "block": (encoded.WIDE, encoded.HIGH), "picture": ""}
        if numbers:
            frame["picture"] = "," + base64.b64encode(encoded.png(sheet)).decode()
            assert sheet.shape[1] <= -(-shape[1] // encoded.WIDE) * encoded.WIDE
        assert np.array_equal(painted(before, frame), after) and bool(numbers) == np.any(before != after)


def test_a_page_that_shows_something_older_gets_the_whole_picture(dot):
    first = ask(dot, x=2.0)
    assert first["over"] == 0 and ask(dot, have=first["number"], x=3.0)["over"] == first["number"]
    dot.controls["x"].value = 4.0  # from a cell: every view can show it
    assert dot.frame["over"] == 0
    late = ask(dot, have=first["number"], x=5.0)
    assert late["over"] == 0 and late["numbers"] == ""
    assert base64.b64decode(late["picture"].partition(",")[2]) == dot.picture
    assert dot._page.frame["over"] == 0  # what a view opened later begins with
    same = ask(dot, have=late["number"])
    assert same["over"] == late["number"] and same["picture"] == ""


def test_reset_returns_every_control_to_where_it_began(dot):
    ask(dot, x=8.0, n=5, word="w")
    dot.reset()
    assert dot.state == dot.initial and dot.sentence == "A dot at 1, 2."


def test_the_picture_can_be_dragged(dot, monkeypatch):
    monkeypatch.setattr(dot.scene, "pointed", lambda x, y: {"x": 10 * x, "n": round(5 * y)}, raising=False)
    assert ask(dot, pointer=[0.25, 0.8])["values"] == {"x": 2.5, "n": 4, "word": ""}


@pytest.mark.parametrize(
    ("control", "given", "held", "shown"),
    [
        (slider("s", 0, -1.0, 1.0, 0.05), 3, 1.0, 1.0),
        (slider("s", 0, -1.0, 1.0, 0.05), 0.123, 0.123, 0.123),
        (whole("w", 0, 0, 9), np.int64(4), 4, 4),
        (whole("w", 0, 0, 9), -4, 0, 0),
        (choice("c", [("one", 1), ("two", 2)], 1), 2, 2, 1),
        (pick("p", (0.1, 0.01), 0.1), 0.01, 0.01, 1),
        (switch("b"), 1, True, True),
        (text("t", "a"), "b", "b", "b"),
    ],
)
def test_controls_hold_what_fits_and_the_page_can_send_it_back(control, given, held, shown):
    control.value = given
    assert control.value == held and type(control.value) is type(held)
    assert control.shown() == shown
    control.take(shown)
    assert control.value == held
    json.dumps(control.facts() | {"initial": control.shown()})


@pytest.mark.parametrize(
    ("control", "given", "complaint"),
    [
        (slider("start", 0, -1, 1, 0.5), float("nan"), "start is nan; give a number from -1 to 1"),
        (whole("step", 0, 0, 9), "3", "step is '3'; give a number from 0 to 9"),
        (choice("gate", ["AND", "OR"]), "XAND", "gate is 'XAND'; choose one of 'AND', 'OR'"),
        (text("word", ""), 3, "word is 3; give text in quotation marks"),
    ],
)
def test_controls_say_what_they_cannot_hold(control, given, complaint):
    with pytest.raises(ValueError, match=f"^{re.escape(complaint)}$"):
        control.value = given


def test_an_upload_is_turned_into_text_and_reset_brings_back_what_was_there():
    control = upload("u", "first.txt, 1", lambda name, content: f"{name}, {len(content)}", "text/plain")
    controls = {"x": slider("x", 1.0, 0.0, 10.0, 0.5), "n": whole("n", 2, 0, 5), "word": control}
    explorer = Explorer(Dot(), controls, call="dot")
    frame = ask(explorer, word={"name": "b.txt", "data": base64.b64encode(b"four").decode()})
    assert explorer.state["word"] == "b.txt, 4" and frame["values"]["word"] == {"name": "b.txt"}
    assert frame["code"] == "dot(x=1.0, n=2, word='b.txt, 4')"
    page = explorer._page.form["controls"]["word"]
    assert page["formats"] == "text/plain" and page["kind"] == "file"
    assert ask(explorer, word=page["initial"])["code"] == "dot(x=1.0, n=2, word='first.txt, 1')"
    assert control.stops() == []


def test_a_slider_lists_its_stops_and_moves_into_a_new_range():
    control = slider("s", 0.3, 0.0, 0.4, 0.1)
    assert control.stops() == [0.0, 0.1, 0.2, 0.3, 0.4]
    seen = []
    control.observe(lambda change: seen.append(change["new"]), "value")
    control.max = 0.2
    assert control.value == 0.2 and seen == [0.2]


def test_several_controls_change_with_one_redraw(dot, monkeypatch):
    drawn = []
    monkeypatch.setattr(dot.scene, "draw", lambda **state: drawn.append(state) or (dot.pixels, "drawn"))
    dot.set(x=2.0, n=4)
    assert drawn == [{"x": 2.0, "n": 4, "word": ""}]


def test_an_exception_is_shown_in_the_explorer_and_not_lost(dot, monkeypatch):
    with pytest.raises(ValueError, match="the word is bad"):
        dot.controls["word"].value = "bad"
    monkeypatch.setattr(Explorer, "raise_errors", False)
    before = dot.picture
    frame = ask(dot, word="worse")
    assert "KeyError" in frame["problem"] and dot.picture == before
    assert ask(dot, word="bad")["problem"] == "the word is bad; type another" == dot.problem
    assert ask(dot, word=5)["problem"] == "word is 5; give text in quotation marks"
    assert ask(dot, word="good")["problem"] == ""


def test_the_line_as_code_reproduces_the_state():
    one = explore.descend()
    one.set(method="heavy ball", x0=-1.5, learning_rate=0.35, n=7)
    assert one.as_code == one.frame["code"]
    other = eval(one.as_code, {"explore": explore})
    assert other.state == one.state and np.array_equal(pixels(other), pixels(one))


def test_the_bundle_holds_a_live_view_a_picture_and_a_sentence(dot):
    data, metadata = dot._repr_mimebundle_()
    assert set(data) == {"application/vnd.jupyter.widget-view+json", "image/png", "text/plain"}
    assert data["text/plain"] == dot.sentence == metadata["image/png"]["alt"]
    picture = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
    assert picture.width == int(8.4 * 144) and picture.height > 2 * 144  # the sentence stands below the figure
    assert metadata["image/png"]["width"] == 800


def test_the_still_picture_leaves_the_moving_one_as_it_was(dot):
    before = pixels(dot)
    dot.scene.still(dot.sentence)
    dot.redraw()
    assert np.array_equal(pixels(dot), before)


@pytest.mark.parametrize("sentence", ["Wide: " + "W" * 30 + " MMMM" * 30, "il " * 80, "Short."])
def test_the_sentence_below_a_still_is_not_cut_off(dot, sentence):
    still = np.asarray(Image.open(io.BytesIO(dot.scene.still(sentence))).convert("RGB"))
    below = still[round(dot.scene.size[1] * 1.44) :]
    inked = np.flatnonzero((below < 200).any(axis=(0, 2)))
    assert 8 < inked[0] and inked[-1] < still.shape[1] - 8


def test_the_descent_explorer_answers_at_every_stop():
    from helpers.core import descent

    said = sweep(explore.descend())
    for x0, sentence in said["x0"]:
        assert style.with_minus_signs(f"from x₀ = {x0:.2f}") in sentence
    for n, sentence in said["n"]:
        walk = descent.descend("gradient descent", -3.0, 1.0, 60)
        here = f"step {n}: x = {walk.x[n]:.4f}, GELU = {walk.value[n]:.4f}"
        assert style.with_minus_signs(here) in sentence
    assert any(
        "has left the picture" in sentence
        for _, sentence in sweep(explore.descend("heavy ball", x0=3.0, n=40))["learning_rate"]
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


class Words(Scene):
    def __init__(self):
        fig, ax = style.figure(height=2)
        super().__init__(fig)
        ax.set(xlim=(0, 10), ylim=(0, 10))
        self.words = [
            self.moving(ax.text(1, 2, "", rotation=r, ha=a, color=style.BLUE)) for r, a in ((0, "left"), (30, "center"))
        ]
        self.words.append(self.moving(fig.text(0.99, 0.98, "", va="top", ha="right", fontsize=14)))
        boxed = {"bbox": {"boxstyle": "round,pad=0.3", "facecolor": style.FAINT}, "family": "DejaVu Sans Mono"}
        self.words.append(self.moving(ax.text(5, 5, "", ha="center", **boxed)))

    def update(self, x, n):
        for k, word in enumerate(self.words[:2]):
            word.set(text=f"$x_{n}$ = {x:.2f}, gᵧ", x=x, y=3 + k)
        self.words[2].set_text(f"{n}\ntwo lines")
        self.words[3].set(text=f"AV. To, {x:+.3f} 1 in {n}", x=5 + x / 10)
        self.words[3].get_bbox_patch().set_edgecolor(style.CYCLE[n])
        return f"{n} at {x}."


class Maps(Scene):
    """Images as explorers show them: numbers and colours, upright and upside down, cut off, half transparent."""

    def __init__(self):
        fig, axes = style.figure(height=2, ncols=6)
        super().__init__(fig)
        rng = np.random.default_rng(0)
        numbers, colours = rng.random((7, 5)), rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)
        looks = {"cmap": "viridis"}, {"origin": "lower"}, {"extent": (0, 32, 32, 0)}, {"alpha": 0.5}, {"aspect": "auto"}
        with style.context():
            for ax, look in zip(axes, looks, strict=False):
                self.moving(ax.imshow(numbers, **look))
            self.photograph = self.moving(axes[5].imshow(colours))
        axes[1].set_xlim(1, 3)

    def update(self, shade):
        self.photograph.set_data(np.full((9, 9, 3), shade, dtype=np.uint8))
        return f"{shade}"


def test_images_copied_pixel_by_pixel_equal_those_that_are_resampled(monkeypatch):
    copied, fresh = Maps(), Maps()
    fallen_back = []
    monkeypatch.setattr(AxesImage, "draw", lambda self, *a: fallen_back.append(self) or drawn(self, *a))
    one = copied.draw(shade=90)[0]
    assert len(fallen_back) == 2  # what is cut off and what is half transparent
    monkeypatch.setattr(scene, "_tile", lambda image, renderer: image.draw(renderer))
    other = fresh.draw(shade=90)[0]
    assert np.array_equal(one, other)


def test_an_answer_fills_a_packet_of_the_computer_itself_even_if_nothing_was_drawn(dot):
    for word in ("fine", "bad"):
        assert (1 << 16) <= len(json.dumps(ask(dot, word=word))) < 70_000


def test_texts_from_memory_equal_texts_drawn_anew(monkeypatch):
    remembered, fresh = (Words() for _ in range(2))
    monkeypatch.setattr(fresh._lettering, "draw", lambda text, renderer: text.draw(renderer))
    for x, n in ((1.0, 2), (3.2, 2), (1.0, 2), (9.9, 3), (0.0, 2), (-4.0, 3)):
        pictures = [s.draw(x=x, n=n)[0].astype(int) for s in (remembered, fresh)]
        assert np.abs(pictures[0] - pictures[1]).max() <= 32, x  # letters may sit a sixteenth of a pixel apart
    assert len(remembered._lettering._known) > 3


def test_the_race_answers_at_every_stop():
    from helpers.core import descent

    said = sweep(explore.race(n=30), most=20)
    for name, told in said.items():
        for value, sentence in told:
            state = {"x0": -3.0, "learning_rate": 1.0, "momentum": 0.9, "n": 30} | {name: value}
            n = state.pop("n")
            runs = {m: descent.descend(m, steps=100, **state).distance[n] for m in descent.METHODS}
            spread = max(runs.values()) - min(runs.values())
            expected = "all four are " if spread < 1e-9 else f"nearest to the minimum is {min(runs, key=runs.get)}, "
            begun = style.with_minus_signs(f"Step {n} of 100 from x₀ = {state['x0']:.2f}")
            assert begun in sentence and expected in sentence
            away = min(runs.values())
            assert away < 0.001 or f"{away:.4f}" in sentence
    assert any("Out of the picture" in s for _, s in sweep(explore.race(x0=3.0, n=30), most=20)["learning_rate"])


def test_the_race_is_dragged_to_a_start_on_the_left_and_to_a_step_on_the_right():
    one = explore.race(n=20)
    width, height = one.scene.size
    x, y = one.scene.lanes.transData.transform((-1.33, 2)) / (width, height)
    values = ask(one, pointer=[x, y])["values"]
    assert values["x0"] == pytest.approx(-1.35) and values["n"] == 0
    x, y = one.scene.errors.transData.transform((37.2, 1e-3)) / (width, height)
    assert ask(one, pointer=[x, y])["values"]["n"] == 37
    assert ask(one, pointer=[0.001, 0.001])["values"] == values | {"n": 37}
    x, _ = one.scene.valley.transData.transform((-5.9, 0)) / (width, height)
    y = one.scene.valley.bbox.y0 / height + 0.05
    assert ask(one, pointer=[x, y])["values"]["x0"] == -4.0
