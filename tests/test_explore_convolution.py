"""The explorer of Theory 4, moved without a browser."""

import itertools
import re

import numpy as np
import pytest
from explorers import pixels, sweep
from scipy import signal

from helpers.assignment import FEATURE_MAP, FILTER_1, FILTER_2
from helpers.explore import convolution as explore
from helpers.explore.explorer import Explorer


def number(text):
    return float(text.replace("−", "-"))


def total(sentence):
    """The sum that the sentence ends with."""
    return number(re.search(r"([−\d.]+)\.$", sentence).group(1))


def test_every_position_says_its_products_and_their_sum():
    explorer = explore.window()
    expected = signal.correlate2d(FEATURE_MAP, FILTER_1, "same").ravel()
    seen = set()
    for position, value in enumerate(expected, 1):
        explorer.controls["position"].value = position
        row, column = divmod(position - 1, 4)
        assert explorer.sentence.startswith(f"Window {position} of 16 of the correlation, output row {row + 1}, ")
        assert f"column {column + 1}: " in explorer.sentence
        terms = explorer.sentence.split(": ")[1].split(" = ")[0].replace("− ", "+ −").split(" + ")
        assert sum(number(term) for term in terms) == total(explorer.sentence) == value
        seen.add(pixels(explorer).tobytes())
    assert len(seen) == 16


def test_turned_it_is_a_convolution():
    explorer = explore.window(position=6, flipped=True)
    assert "of the convolution" in explorer.sentence
    assert total(explorer.sentence) == signal.convolve2d(FEATURE_MAP, FILTER_1, "same")[1, 1]


@pytest.mark.parametrize(("name", "size"), [("Filter1", 3), ("Filter2", 2)])
def test_an_illegal_combination_is_explained(name, size):
    explorer = explore.window(filter=name)
    for padding, stride in itertools.product((0, 1, 2, 3), (1, 2, 3, 4)):
        explorer.set(padding=padding, stride=stride, floor=False, position=1)
        steps, rest = divmod(4 + 2 * padding - size, stride)
        if rest:
            says = f"No output map: (4 + {2 * padding} - {size})/{stride} + 1 is not a whole number."
            assert explorer.sentence == says
            explorer.controls["floor"].value = True
        assert explorer.sentence.startswith(f"Window 1 of {(steps + 1) ** 2} ")
        assert explorer.controls["position"].max == (steps + 1) ** 2


def test_every_control_at_every_stop():
    said = sweep(explore.window(position=6), most=20)
    assert len({sentence for _, sentence in said["position"]}) == 16
    assert len({sentence for _, sentence in said["filter"]}) >= 6
    assert [sentence.startswith("No output") for _, sentence in said["stride"]] == [False, True, False, True]
    assert said["flipped"][0][1] != said["flipped"][1][1]


def test_the_position_follows_the_number_of_windows():
    explorer = explore.window(position=16)
    explorer.controls["stride"].value = 3
    assert (explorer.controls["position"].max, explorer.state["position"]) == (4, 4)
    explorer.reset()
    assert explorer.state == explorer.initial and explorer.state["position"] == 16
    for _ in range(3):
        explorer.controls["position"].value += 1
    assert explorer.state["position"] == 16


def test_a_filter_can_be_chosen_or_typed():
    explorer = explore.window(position=1)
    explorer.controls["filter"].value = "Filter2"
    assert explorer.state["kernel"] == "-1 0.5\n2 0"
    explorer.controls["kernel"].value = "1 0; 0 1"
    assert explorer.state["filter"] == explore.TYPED
    explorer.controls["position"].value = 7
    assert total(explorer.sentence) == FEATURE_MAP[0, 0] + FEATURE_MAP[1, 1]
    explorer.controls["filter"].value = "blur"
    assert explorer.state["kernel"].startswith("1/9 1/9 1/9")


def test_pooling_by_convolution_on_a_typed_map():
    mapped = signal.correlate2d(FEATURE_MAP, FILTER_1, "same")
    text = "\n".join(" ".join(f"{value:g}" for value in row) for row in mapped)
    explorer = explore.window(filter="average 2 × 2", stride=2, padding=0, map=text)
    totals = []
    for position in (1, 2, 3, 4):
        explorer.controls["position"].value = position
        totals.append(total(explorer.sentence))
    assert totals == [17.75, 16.75, 2, 3.5]


@pytest.mark.parametrize(
    ("control", "typed", "sentence"),
    [
        ("map", "1 2 3\n4 5", "row 2 of the map has 2 numbers, row 1 has 3; give every row the same length"),
        ("kernel", "1 2\n3", "row 2 of the filter has 1 number, row 1 has 2; give every row the same length"),
        ("kernel", "one two", "'one' in row 1 of the filter is not a number"),
        ("map", "", "the map is empty"),
        ("map", "1 " * 9, "the map has 1 by 9 cells; at most 8 by 8 can be shown"),
        ("kernel", "1 " * 6, "the filter has 1 by 6 cells; at most 5 by 5 can be shown"),
    ],
)
def test_text_that_is_no_grid_gets_a_sentence_and_can_be_mended(monkeypatch, control, typed, sentence):
    monkeypatch.setattr(Explorer, "raise_errors", False)
    explorer = explore.window()
    explorer.controls[control].value = typed
    assert sentence in (explorer.problem or explorer.sentence)
    explorer.controls[control].value = "1 2\n3 4"
    assert explorer.sentence.startswith("Window 1 of") and not explorer.problem
    explorer.reset()
    assert explorer.sentence.startswith("Window 1 of 16") and not explorer.problem


def test_a_kernel_larger_than_the_padded_map_is_explained():
    explorer = explore.window(filter="Filter1", padding=0, map="1 2")
    assert "for the rows, a window that spans 3 cells does not fit into 1 cell" in explorer.sentence


@pytest.mark.parametrize("filter", ["Filter2", "blur", "horizontal edges"])
def test_the_line_as_code_makes_the_same_explorer(filter):
    one = explore.window(filter=filter, padding=2, floor=True)
    one.controls["position"].value = 5
    other = eval(one.as_code, {"explore": explore})
    assert other.state == one.state and other.sentence == one.sentence
    assert np.array_equal(pixels(other), pixels(one))


def test_the_line_as_code_keeps_typed_text():
    one = explore.window()
    one.set(kernel="1 -1; 1/3 2", map="1 2 3; 4 5 6; 7 8 9", padding=0, position=3)
    other = eval(one.as_code, {"explore": explore})
    assert other.sentence == one.sentence
    assert np.array_equal(pixels(other), pixels(one))


def test_a_redraw_over_the_cached_background_equals_a_fresh_drawing():
    explorer = explore.window()
    for values in (dict(stride=2), dict(stride=3, flipped=True), dict(filter="Filter2", stride=1), dict(position=13)):
        explorer.set(**values)
    fresh = explore.window(filter="Filter2", flipped=True, position=13)
    assert explorer.sentence == fresh.sentence
    assert total(fresh.sentence) == signal.convolve2d(FEATURE_MAP, FILTER_2)[2, 2]
    assert np.array_equal(pixels(explorer), pixels(fresh))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (dict(filter="Filter3"), "there is no filter 'Filter3'"),
        (dict(filter=explore.TYPED), "no kernel is given"),
        (dict(stride=0), "stride 0 is not a whole number from 1 to 4"),
        (dict(padding=9), "padding 9 is not a whole number from 0 to 3"),
        (dict(position=17), "position 17 is not a whole number from 1 to 16"),
        (dict(map="1 2\n3"), "row 2 of the map has 1 number"),
        (dict(map="1 " * 9), "at most 8 by 8 can be shown"),
    ],
)
def test_bad_starting_values_get_one_sentence(values, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        explore.window(**values)
