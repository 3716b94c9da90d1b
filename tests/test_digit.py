"""The drawing pad: drawings become images of MNIST's kind, and the network's answer is what is shown."""

import itertools
import re

import numpy as np
import pytest
from explorers import pixels
from hypothesis import example, given, settings
from hypothesis import strategies as st

from helpers.core import digit
from helpers.core import mlp as p1
from helpers.core import mlp_studies as studies
from helpers.explore import mlp as explore

POINTS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=12)


def centre_of_mass(image):
    x = np.arange(digit.SIZE)
    return (image.sum(axis=0) * x).sum() / image.sum(), (image.sum(axis=1) * x).sum() / image.sum()


def test_strokes_are_read_as_written():
    first, second = digit.parse_strokes(" 10,20 30,25;50,50 ; ")
    assert first.tolist() == [[10, 20], [30, 25]] and second.tolist() == [[50, 50]]
    assert digit.parse_strokes("") == []


@pytest.mark.parametrize("text", ["10", "10,20,30", "a,b", "10,20 30", "100,3", "-1,4", "1.5,2"])
def test_what_is_no_stroke_is_named(text):
    with pytest.raises(ValueError, match=re.escape(f"{text!r} is no stroke; write points such as 10,20")):
        digit.parse_strokes(text)


@settings(deadline=None, max_examples=40)
@given(st.lists(POINTS, min_size=1, max_size=3), st.integers(0, 50), st.integers(1, 2))
@example([[(0, 0)], [(0, 4), (3, 4)]], 0, 1)  # its dot would leave the image
@example([[(0, 0)], [(4, 0), (4, 5)]], 0, 1)  # its dot would not, as it is narrow
def test_a_drawing_fills_the_box_wherever_and_however_large_it_was_drawn(strokes, shift, scale):
    strokes = [np.array(points, dtype=float) for points in strokes]
    image = digit.as_mnist(strokes)
    assert image.shape == (28, 28) and 0 <= image.min() and image.max() <= 1
    spread = np.ptp(np.concatenate(strokes), axis=0).max()
    edge = image[[0, -1]].sum() + image[:, [0, -1]].sum()
    if spread >= 4:  # a point is not enlarged
        inked = [np.ptp(np.flatnonzero(image.sum(axis=axis) > 0.3)) + 1 for axis in (0, 1)]
        assert 19 <= max(inked) <= 22
    if spread >= 4 and not edge:  # a very lopsided drawing is moved to the edge, no farther
        assert centre_of_mass(image) == pytest.approx((13.5, 13.5), abs=0.4)  # the pen's edge falls between pixels
    again = digit.as_mnist([scale * stroke + shift for stroke in strokes])
    if spread >= 1:
        np.testing.assert_allclose(again, image, atol=1e-9)


def test_a_line_has_the_ink_of_a_pen_drawn_along_it():
    image = digit.as_mnist([np.array([[50.0, 10.0], [50.0, 90.0]])])
    length, width = digit.BOX - 2 * digit.PEN, 2 * digit.PEN
    assert image.sum() == pytest.approx(length * width + np.pi * digit.PEN**2, rel=0.05)
    assert np.allclose(image, image[:, ::-1]) and np.allclose(image, image[::-1])


def test_ink_is_as_far_from_the_pen_as_said():
    """Every pixel against points laid closely along the strokes."""
    strokes = digit.parse_strokes("10,20 40,25 30,70; 60,60; 5,5 5,40")
    placed = [stroke * 0.25 + 1.3 for stroke in strokes]
    image = digit._inked(placed)
    for row, column in itertools.product(range(0, 28, 3), range(0, 28, 3)):
        near = min(
            np.hypot(*(a + t * (b - a) - (column, row)))
            for stroke in placed for a, b in zip(stroke, [*stroke[1:], stroke[-1]], strict=True)
            for t in np.linspace(0, 1, 201)
        )  # fmt: skip
        assert image[row, column] == pytest.approx(np.clip(digit.PEN + 0.5 - near, 0, 1), abs=1e-3)


@pytest.mark.parametrize("activation", [p1.ReLU, p1.Sigmoid, p1.Tanh])
def test_the_answer_to_one_image_is_that_of_the_network(activation):
    hiddens = (30, 20)
    network = p1.MLP(784, 10, hiddens, [activation() for _ in hiddens], p1.random_normal_weight_init,
                     p1.zeros_bias_init, p1.SoftmaxCrossEntropy(), lr=0.0, dtype=np.float64)  # fmt: skip
    for image in (digit.as_mnist(digit.parse_strokes("10,20 40,25 30,70")), np.zeros((28, 28)), np.ones((28, 28))):
        expected = studies.probabilities(network, image.reshape(1, -1))[0]
        np.testing.assert_allclose(digit.answer(network, image), expected, atol=1e-12)


def test_nothing_drawn_is_said():
    explorer = explore.draw("your own", network=studies.build((4,))[0])
    assert explorer.sentence.startswith("Nothing is drawn yet.")


def test_the_sentence_says_the_two_likeliest_digits():
    network = studies.build((8,), seed=3)[0]
    explorer = explore.draw(network=network)
    for name, strokes in explore.EXAMPLES.items():
        explorer.controls["example"].value = name
        assert explorer.state["strokes"] == strokes
        logits = network.forward(digit.as_mnist(digit.parse_strokes(strokes)).reshape(1, -1))[0]
        chances = np.exp(logits) / np.exp(logits).sum()
        first, second = np.argsort(-chances)[:2]
        said = re.findall(r"an? (\d) with ([\d.]+) %", explorer.sentence)
        assert said == [(str(k), f"{100 * chances[k]:.1f}") for k in (first, second)]
        assert ("hesitates" in explorer.sentence) == (chances[first] < 0.7)
        assert [bar.get_width() for bar in explorer.scene.bars] == pytest.approx(100 * chances)
        shown = [text.get_text() for text in explorer.scene.percents]
        assert shown == [f"{chance:.0%}".replace("%", " %") for chance in chances]


def test_drawing_over_an_example_makes_it_your_own_and_the_code_keeps_it():
    network = studies.build((8,))[0]
    explorer = explore.draw("7", network=network)
    explorer.controls["strokes"].value += "; 40,52 60,52"
    assert explorer.state["example"] == explore.OWN
    again = eval(explorer.as_code[:-1] + ", network=network)", {"explore": explore, "network": network})
    assert again.state == explorer.state and np.array_equal(pixels(again), pixels(explorer))


def test_a_picture_does_not_depend_on_what_was_drawn_before():
    network = studies.build((8,), seed=3)[0]
    explorer = explore.draw("a smile", network=network)
    for strokes in explorer.controls["strokes"].stops()[::2]:
        explorer.controls["strokes"].value = strokes
        fresh = explore.draw(explorer.state["example"], strokes, network)
        assert np.array_equal(pixels(explorer), pixels(fresh)), strokes


def test_equal_percentages_are_set_once():
    explorer = explore.draw("a smile", network=studies.build((8,), seed=3)[0])
    for name in "0123456789":
        explorer.controls["example"].value = name
    shown = {key[0] for key in explorer.scene._lettering._known}
    assert len(explorer.scene._lettering._known) == len(shown) > 5


def test_an_unknown_example_is_named():
    with pytest.raises(ValueError, match="there is no example 'eleven'; there are 0, 1, "):
        explore.draw("eleven")


@pytest.mark.skipif(not (studies.ARTIFACTS / "p1_model.npz").exists(), reason="no network is shipped; run make mlp")
def test_the_shipped_network_reads_the_ten_examples():
    explorer = explore.draw()
    for name in "0123456789":
        explorer.controls["example"].value = name
        assert re.match(rf"The network reads an? {name} with ", explorer.sentence)
