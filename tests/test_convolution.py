"""Convolution and pooling against torch, scipy and plain loops; Theory 4's numbers, pictures and answers."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from matplotlib.colors import rgb_to_hsv
from scipy import signal
from torch.nn import functional

from helpers import assignment, style
from helpers.answers import check
from helpers.answers.convolution import QUESTIONS
from helpers.core import convolution as room
from helpers.figures import convolution as figures

# Fig. 5, typed a second time.
F = np.array([[3, 5, 2, 3], [9, 1, 8, 4], [6, 4, 3, 7], [7, 0, 2, 4]], dtype=float)
FILTER_1 = np.array([[-1, 0.5, -2], [2, 0, 1], [0, 1, 1.5]])
FILTER_2 = np.array([[-1, 0.5], [2, 0]])

EXACT = dict(rtol=0, atol=1e-12)
sizes = st.integers(1, 9)
small = st.integers(1, 4)
margins = st.tuples(st.tuples(st.integers(0, 3), st.integers(0, 3)), st.tuples(st.integers(0, 3), st.integers(0, 3)))
pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


def arrays(*shape_and_seed):
    *shape, seed = shape_and_seed
    return np.random.default_rng(seed).normal(size=shape)


# --- sizes ---


@given(sizes, small, st.integers(1, 4), st.tuples(st.integers(0, 4), st.integers(0, 4)), st.integers(1, 3))
@settings(deadline=None, max_examples=200)
def test_output_size_counts_window_positions(size, kernel_size, stride, padding, dilation):
    length = size + sum(padding)
    span = dilation * (kernel_size - 1) + 1
    starts = range(0, length - span + 1, stride)
    arithmetic = room.size_arithmetic(size, kernel_size, stride, padding, dilation)
    if not starts:
        assert arithmetic.size is None and arithmetic.floored is None
        return
    assert arithmetic.floored == len(starts)
    assert room.output_size(size, kernel_size, stride, padding, dilation, floor=True) == len(starts)
    comes_out_even = starts[-1] + span == length
    assert (arithmetic.size == len(starts)) if comes_out_even else (arithmetic.size is None)


def test_a_size_that_does_not_exist_comes_with_its_arithmetic():
    with pytest.raises(ValueError, match=r"^\(4 \+ 2 - 2\)/3 \+ 1 is not a whole number; "):
        room.output_size(4, 2, stride=3, padding=1)
    with pytest.raises(ValueError, match="spans 5 cells does not fit into 4 cells"):
        room.output_size(4, 3, dilation=2)
    assert room.size_arithmetic(4, 2, 3, 1).exact == Fraction(7, 3)
    assert room.size_arithmetic(4, 2, 2, 1).reason == "(4 + 2 - 2)/2 + 1 = 3"


@given(st.integers(2, 9), small, st.integers(0, 3))
@settings(deadline=None, max_examples=100)
def test_size_keeping_stride_solves_the_size_formula(size, kernel_size, padding):
    stride = room.size_keeping_stride(size, kernel_size, padding)
    assert stride * (size - 1) == size + 2 * padding - kernel_size
    if stride.denominator == 1 and stride > 0:
        assert room.output_size(size, kernel_size, int(stride), padding) == size


def test_question_4b_has_only_the_stride_four_thirds():
    assert room.size_keeping_stride(4, 2, 1) == Fraction(4, 3)
    assert [room.size_arithmetic(4, 2, s, 1).size for s in (1, 2, 3, 4)] == [5, 3, None, 2]


# --- convolution against torch and scipy ---


@given(sizes, sizes, small, small, pairs, margins, pairs, st.integers(0, 99))
@settings(deadline=None, max_examples=150)
def test_correlate_agrees_with_torch(rows, columns, height, width, stride, padding, dilation, seed):
    feature_map, kernel = arrays(rows, columns, seed), arrays(height, width, seed + 1)
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, (height, width), strict=True)]
    assume(all(n + sum(p) >= s for n, p, s in zip((rows, columns), padding, spans, strict=True)))
    (top, bottom), (left, right) = padding
    padded = functional.pad(torch.tensor(feature_map), (left, right, top, bottom))
    expected = functional.conv2d(
        padded[None, None], torch.tensor(kernel)[None, None], stride=stride, dilation=dilation
    )[0, 0].numpy()
    ours = room.correlate(feature_map, kernel, stride, padding, dilation, floor=True)
    np.testing.assert_allclose(ours, expected, **EXACT)
    matrix = room.as_matrix(kernel, feature_map.shape, stride, padding, dilation, floor=True)
    np.testing.assert_allclose(matrix @ feature_map.ravel(), expected.ravel(), **EXACT)


@given(sizes, sizes, small, small, st.integers(0, 99))
@settings(deadline=None, max_examples=100)
def test_correlate_and_convolve_agree_with_scipy(rows, columns, height, width, seed):
    feature_map, kernel = arrays(rows, columns, seed), arrays(height, width, seed + 1)
    full = (height - 1, width - 1)
    np.testing.assert_allclose(
        room.correlate(feature_map, kernel, padding=full), signal.correlate2d(feature_map, kernel), **EXACT
    )
    np.testing.assert_allclose(
        room.convolve(feature_map, kernel, padding=full), signal.convolve2d(feature_map, kernel), **EXACT
    )
    if height <= rows and width <= columns:
        np.testing.assert_allclose(
            room.convolve(feature_map, kernel), signal.convolve2d(feature_map, kernel, mode="valid"), **EXACT
        )


@given(st.integers(1, 3), small, small, sizes, sizes, pairs, st.integers(0, 2), st.integers(0, 99))
@settings(deadline=None, max_examples=100)
def test_correlate_channels_agrees_with_torch(groups, inputs, outputs, rows, columns, kernel_shape, padding, seed):
    assume(rows + 2 * padding >= kernel_shape[0] and columns + 2 * padding >= kernel_shape[1])
    maps = arrays(groups * inputs, rows, columns, seed)
    kernels = arrays(groups * outputs, inputs, *kernel_shape, seed + 1)
    expected = functional.conv2d(
        torch.tensor(maps)[None], torch.tensor(kernels), stride=2, padding=padding, groups=groups
    )[0].numpy()
    ours = room.correlate_channels(maps, kernels, 2, padding, groups=groups, floor=True)
    np.testing.assert_allclose(ours, expected, **EXACT)


def test_leading_axes_are_a_stack_of_maps():
    maps = arrays(2, 3, 6, 5, 7)
    stacked = room.correlate(maps, FILTER_1, padding=1)
    assert stacked.shape == maps.shape
    for place in np.ndindex(2, 3):
        np.testing.assert_array_equal(stacked[place], room.correlate(maps[place], FILTER_1, padding=1))


def test_strict_by_default_and_floored_on_request():
    with pytest.raises(ValueError, match=r"\(5 \+ 0 - 2\)/2 \+ 1 is not a whole number"):
        room.correlate(np.ones((5, 4)), FILTER_2, stride=2)
    with pytest.raises(ValueError, match=r"\(5 \+ 0 - 2\)/2 \+ 1 is not a whole number"):
        room.average_pool(np.ones((4, 5)))
    floored = room.correlate(np.ones((5, 4)), FILTER_2, stride=2, floor=True)
    assert floored.shape == functional.conv2d(torch.ones(1, 1, 5, 4), torch.ones(1, 1, 2, 2), stride=2).shape[2:]


# --- the trace ---


@given(sizes, sizes, pairs, pairs, st.integers(0, 2), st.booleans(), st.integers(0, 99))
@settings(deadline=None, max_examples=80)
def test_trace_adds_up_to_the_output(rows, columns, kernel_shape, stride, padding, flipped, seed):
    feature_map, kernel = arrays(rows, columns, seed), arrays(*kernel_shape, seed + 1)
    assume(rows + 2 * padding >= kernel_shape[0] and columns + 2 * padding >= kernel_shape[1])
    padded = np.pad(feature_map, padding)
    operation = room.convolve if flipped else room.correlate
    expected = operation(feature_map, kernel, stride, padding, floor=True)
    cells = room.trace(feature_map, kernel, stride, padding, flipped=flipped, floor=True)
    assert [(c.row, c.column) for c in cells] == list(np.ndindex(expected.shape))
    for cell in cells:
        height, width = kernel_shape
        place = padded[cell.top : cell.top + height, cell.left : cell.left + width]
        np.testing.assert_array_equal(cell.window, place)
        np.testing.assert_array_equal(cell.products, place * cell.kernel)
        assert abs(cell.total - expected[cell.row, cell.column]) < 1e-12


def test_the_first_cell_of_4a_by_hand():
    first = room.trace(F, FILTER_1, padding=1)[0]
    assert first.products.tolist() == [[0, 0, 0], [0, 0, 5], [0, 9, 1.5]]
    assert first.total == 0 + 0 + 0 + 0 + 3 * 0 + 5 * 1 + 0 + 9 * 1 + 1 * 1.5 == 15.5


# --- pooling ---


@given(sizes, sizes, small, small, pairs, st.integers(0, 2), st.integers(0, 99))
@settings(deadline=None, max_examples=120)
def test_pooling_agrees_with_torch(rows, columns, height, width, stride, padding, seed):
    assume(2 * padding <= min(height, width))  # torch's own limit
    assume(padding < min(height, width))
    assume(rows + 2 * padding >= height and columns + 2 * padding >= width)
    feature_map = arrays(rows, columns, seed)
    given_map = torch.tensor(feature_map)[None, None]
    for ours, theirs in ((room.average_pool, functional.avg_pool2d), (room.max_pool, functional.max_pool2d)):
        expected = theirs(given_map, (height, width), stride, padding)[0, 0].numpy()
        np.testing.assert_allclose(ours(feature_map, (height, width), stride, padding, floor=True), expected, **EXACT)


@given(small, small, small, pairs, st.integers(0, 99))
@settings(deadline=None, max_examples=60)
def test_average_pooling_is_a_convolution_for_one_channel_and_for_many(channels, rows, columns, size, seed):
    maps = arrays(channels, rows * size[0], columns * size[1], seed)
    pooled = room.average_pool(maps, size)
    by_hand = maps.reshape(channels, rows, size[0], columns, size[1]).mean((2, 4))
    np.testing.assert_allclose(pooled, by_hand, **EXACT)
    np.testing.assert_allclose(room.correlate(maps, room.averaging_kernel(size), stride=size), pooled, **EXACT)
    bank = room.depthwise_averaging_kernels(channels, size)
    np.testing.assert_allclose(room.correlate_channels(maps, bank, size, groups=channels), pooled, **EXACT)
    dense = room.dense_averaging_kernels(channels, size)
    np.testing.assert_allclose(room.correlate_channels(maps, dense, size), pooled, **EXACT)
    assert dense.size == channels * bank.size


def test_average_pooling_is_blur_then_every_second_cell():
    maps = arrays(3, 8, 6, 11)
    blurred = room.correlate(maps, room.averaging_kernel(2))
    np.testing.assert_allclose(blurred[..., ::2, ::2], room.average_pool(maps), **EXACT)


def test_no_kernel_gives_max_pooling():
    one, other = np.array([[1.0, 0], [0, 0]]), np.array([[0, 1.0], [0, 0]])
    assert room.max_pool(one) + room.max_pool(other) != room.max_pool(one + other)


def test_max_pool_never_returns_the_padding():
    assert (room.max_pool(-np.ones((2, 2)), 2, 2, 1) == -1).all()
    with pytest.raises(ValueError, match="would let a window of 2 see padding alone"):
        room.max_pool(F, 2, 2, padding=2)


# --- the handout's numbers ---


def test_question_4_against_torch():
    f, kernel = torch.tensor(F)[None, None], torch.tensor(FILTER_1)[None, None]
    torch_map = functional.conv2d(f, kernel, padding="same")
    np.testing.assert_array_equal(room.correlate(F, FILTER_1, padding=1), torch_map[0, 0].numpy())
    np.testing.assert_array_equal(
        room.correlate(F, FILTER_1, padding=1),
        [[15.5, 21, 27, 8], [4.5, 30, 9.5, 22.5], [13.5, -6.5, 18, 4], [-5, 6, -12.5, 4.5]],
    )
    np.testing.assert_array_equal(room.convolve(F, FILTER_1, padding=1), signal.convolve2d(F, FILTER_1, "same"))
    pooled = functional.avg_pool2d(torch_map, 2)[0, 0].numpy()
    np.testing.assert_array_equal(room.average_pool(room.correlate(F, FILTER_1, padding=1)), pooled)
    assert pooled.tolist() == [[17.75, 16.75], [2, 3.5]]


def test_the_constants_are_those_of_the_handout():
    np.testing.assert_array_equal(assignment.FEATURE_MAP, F)
    np.testing.assert_array_equal(assignment.FILTER_1, FILTER_1)
    np.testing.assert_array_equal(assignment.FILTER_2, FILTER_2)


def test_the_two_maps_that_4b_becomes_with_padding_on_one_side():
    before = signal.correlate2d(F, FILTER_2)[:4, :4]  # "full" pads one cell on every side of a 2 by 2 kernel
    after = signal.correlate2d(F, FILTER_2)[1:, 1:]
    np.testing.assert_array_equal(room.correlate(F, FILTER_2, padding=((1, 0), (1, 0))), before)
    np.testing.assert_array_equal(room.correlate(F, FILTER_2, padding=((0, 1), (0, 1))), after)
    np.testing.assert_array_equal(before[1:, 1:], after[:-1, :-1])  # the second is the first, moved by one cell
    assert room.correlate(F, FILTER_2, padding=1, dilation=2).shape == F.shape


def test_the_turned_kernel_changes_every_cell_of_4a():
    assert not np.isclose(room.correlate(F, FILTER_1, padding=1), signal.convolve2d(F, FILTER_1, "same")).any()


def test_what_the_notebook_says_about_padding_and_blocks():
    zeros = np.pad(np.zeros((4, 4)), 1, constant_values=1)
    assert (zeros.size, zeros.sum()) == (36, 20)
    touched = signal.correlate2d(zeros, np.ones((3, 3)), "valid") > 0
    assert touched.sum() == 12
    block = signal.correlate2d(F, FILTER_1, "same")[2:, 2:]
    assert (block.max(), block.min(), block.mean()) == (18, -12.5, 3.5)
    sums = [signal.correlate2d(F, FILTER_1, "same")[i : i + 2, j : j + 2].sum() for i in (0, 2) for j in (0, 2)]
    assert sums == [71, 67, 8, 14]


def test_the_matrix_of_4a_has_75_entries_of_6_values():
    matrix = room.as_matrix(FILTER_1, (4, 4), padding=1)
    columns = [signal.correlate2d(unit.reshape(4, 4), FILTER_1, "same").ravel() for unit in np.eye(16)]
    np.testing.assert_array_equal(matrix, np.transpose(columns))
    # A 3 x 3 window over a 4 x 4 map covers (3 * 4 - 2)^2 = 100 real cells in its 16 positions; 25 of them meet one of
    # the filter's zeros, 16 the one in its centre and 9 the one in its corner.
    assert np.count_nonzero(matrix) == 100 - 16 - 9 == 75
    assert set(matrix[matrix != 0]) == {-2, -1, 0.5, 1, 1.5, 2}


@given(st.integers(0, 99))
@settings(deadline=None, max_examples=10)
def test_edge_strength_is_the_length_of_a_gradient(seed):
    slope = np.random.default_rng(seed).normal(size=2)
    plane = slope @ np.indices((6, 7)).reshape(2, -1)
    expected = 8 * np.hypot(*slope)  # Sobel's weights measure 8 times the slope of a plane
    np.testing.assert_allclose(room.edge_strength(plane.reshape(6, 7)), np.full((4, 5), expected), rtol=1e-9)


# --- pictures ---


def texts(picture):
    return [text.get_text() for ax in picture.figure.axes for text in ax.texts]


def test_every_output_cell_shows_its_nine_products():
    shown = texts(figures.all_windows(F, FILTER_1, padding=1))
    titles = [text for text in shown if text.startswith("F′(")]
    assert len(titles) == 16 and len(shown) == 16 * (1 + 9 + 9)
    assert "F′(2, 2) = 30" in titles and "F′(4, 3) = −12.5" in titles
    assert shown.count("9 · 2") == 1  # the only 9 meets the only 2 in one window


def test_the_pictures_say_what_they_show():
    said = figures.window_tape(4, 2, 1, (1, 2, 3, 4)).sentence
    assert "stride 1 gives 5, stride 2 gives 3, stride 3 gives no size, stride 4 gives 2" in said
    assert "0 of the 16 output cells agree" in figures.both_conventions(F, FILTER_1, 1).sentence
    assert "17.75 16.75; 2 3.5" in figures.pooling_two_ways(room.correlate(F, FILTER_1, padding=1)).sentence
    assert "75 of its 256 entries" in figures.kernel_matrix(room.as_matrix(FILTER_1, (4, 4), padding=1)).sentence
    assert "F with 4 by 4 cells" in figures.given_maps(F, {"Filter1": FILTER_1}).sentence


def test_the_colours_that_are_named_are_those_drawn():
    picture = figures.given_maps(np.array([[-5.0, 5.0]]), {})
    assert "negative cells are blue, positive ones orange" in picture.sentence
    style.png(picture.figure)
    blue, orange = (hue for hue, _, _ in rgb_to_hsv(picture.figure.axes[0].collections[0].get_facecolors()[:, :3]))
    assert 190 < 360 * blue < 250 and 15 < 360 * orange < 45


def test_a_photograph_is_named_on_its_figures_and_described_without_its_name():
    photograph = np.random.default_rng(0).random((32, 32, 3))
    for draw in (figures.filtered_picture, figures.subsampling):
        picture = draw(photograph, "a generated stand-in")
        assert "a generated stand-in" in picture.figure.get_suptitle()
        assert "stand-in" not in picture.sentence
        assert style.png(picture.figure)[:4] == b"\x89PNG"


def test_a_flat_photograph_can_be_drawn():
    style.png(figures.filtered_picture(np.ones((32, 32, 3)), "white").figure)


# --- answers ---


RIGHT = {
    "4a": (1, [[15.5, 21, 27, 8], [4.5, 30, 9.5, 22.5], [13.5, -6.5, 18, 4], [-5, 6, -12.5, 4.5]]),
    "4b": (False, Fraction(4, 3)),
    "4c": ([[17.75, 16.75], [2, 3.5]],),
    "4d": ([[0.25, 0.25], [0.25, 0.25]], 2, 0),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_the_answers_by_hand_are_right(name):
    verdict = check(name, *RIGHT[name])
    assert (verdict.status, verdict.earned) == ("right", 4)
    tensors = [torch.tensor(np.asarray(value, dtype=float)) for value in RIGHT[name]]
    assert check(name, *tensors).status == "right"


@pytest.mark.parametrize("name", QUESTIONS)
def test_every_slip_is_named_whatever_its_shape_and_never_with_the_answer(name):
    question = QUESTIONS[name]
    assert len(question.slips) >= 5
    for slip in question.slips:
        verdict = check(name, *slip.make())
        assert (verdict.status, verdict.sentence) == ("wrong", slip.sentence)
    told = " ".join(slip.sentence for slip in question.slips)
    assert not any(secret in told for secret in ("17.75", "16.75", "4/3", "1.33", "¼", "1/4", "0.25"))


@pytest.mark.parametrize(
    ("name", "given_values", "words"),
    [
        ("4a", (1, signal.convolve2d(F, FILTER_1, "same")), "true convolution"),
        ("4a", (1, signal.correlate2d(F, FILTER_1, "valid")), "without padding"),
        ("4a", (2, signal.correlate2d(F, FILTER_1, "same")), "on each side, not on both"),
        ("4a", (1, signal.correlate2d(F, FILTER_1, "same", "symm")), "repeats the cells at the edge"),
        ("4a", (1, signal.correlate2d(F, FILTER_1, "same", "wrap")), "wraps around"),
        ("4a", (1, signal.correlate2d(F, FILTER_1, "same").T), "transposed"),
        ("4a", (1, np.round(signal.correlate2d(F, FILTER_1, "same"))), "made whole numbers"),
        ("4a", (1, signal.correlate2d(F, FILTER_1, "same").astype(int)), "made whole numbers"),
        ("4a", (1, np.zeros((4, 4))), "F′ is not right, padding is"),
        ("4a", (1, [[1, 2], [3, 4]]), "F′ has shape (2, 2)"),
        ("4a", (1, "F"), "is a text"),
        ("4a", (1,), "2 values are asked for"),
        ("4b", (True, 4 / 3), "fraction of a cell"),
        ("4b", (True, 1), "(4 + 2 - 2)/1 + 1 = 5"),
        ("4b", (True, 3), "not a whole number"),
        ("4b", (False, 0.75), "upside down"),
        ("4c", (F.reshape(2, 2, 2, 2).mean((1, 3)),), "F itself is pooled"),
        ("4c", ([[30, 27], [13.5, 18]],), "maxima"),
        ("4c", ([[71, 67], [8, 14]],), "sums"),
        ("4c", ([[17.75, 2], [16.75, 3.5]],), "transposed"),
        ("4c", ([[18, 17], [2, 4]],), "made whole numbers"),
        ("4c", ([[71 // 4, 67 // 4], [8 // 4, 14 // 4]],), "made whole numbers"),
        ("4d", (np.ones((2, 2)), 2, 0), "a sum into a mean"),
        ("4d", (np.ones((2, 2)) / 4, 1, 0), "blocks overlap"),
        ("4d", (np.ones((3, 3)) / 9, 2, 0), "nine cells"),
        ("4d", (np.ones((4, 4)) / 16, 2, 0), "as large as the map"),
        ("4d", (np.ones((1, 4)) / 4, 2, 0), "lie in one line"),
        ("4d", (np.ones((2, 2)) / 4, 3, 0), "stride is not right, kernel and padding are"),
    ],
)
def test_slips_made_by_another_route_are_recognised(name, given_values, words):
    verdict = check(name, *given_values)
    assert verdict.earned == 0 and words in verdict.sentence, verdict


@given(st.lists(st.integers(1, 5), max_size=3), st.integers(0, 2), st.integers(1, 4))
@settings(deadline=None, max_examples=60)
def test_what_is_said_of_a_filter_for_pooling_never_names_the_shape_wanted(shape, padding, stride):
    if shape != [2, 2]:
        verdict = check("4d", np.full(shape, 1 / max(1, np.prod(shape))), stride, padding)
        assert verdict.earned == 0
        assert not any(wanted in verdict.sentence for wanted in ("(2, 2)", "2 by 2", "two rows")), verdict


# --- text ---


@given(small, small, st.integers(0, 99))
@settings(deadline=None, max_examples=30)
def test_a_grid_survives_being_written_and_read(rows, columns, seed):
    grid = np.random.default_rng(seed).integers(-20, 20, (rows, columns)) / 4
    np.testing.assert_array_equal(room.parse_grid(room.format_grid(grid)), grid)


def test_a_third_is_written_as_a_fraction_and_read_back_exactly():
    for name, kernel in room.KERNELS.items():
        np.testing.assert_array_equal(room.parse_grid(room.format_grid(kernel), name), kernel)
    assert room.format_grid([[1 / 9, -0.5, 2]]) == "1/9 -0.5 2"
    awkward = np.array([[np.pi, 1e-9]])
    np.testing.assert_array_equal(room.parse_grid(room.format_grid(awkward)), awkward)


def test_a_grid_may_use_commas_semicolons_and_fractions():
    np.testing.assert_array_equal(room.parse_grid("1, 2; 1/4 -0.5\n\n"), [[1, 2], [0.25, -0.5]])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("1 2 3\n4 5", "row 2 of F has 2 numbers, row 1 has 3; give every row the same length"),
        ("1 2\n3", "row 2 of F has 1 number, row 1 has 2; give every row the same length"),
        ("1 x\n3 4", "'x' in row 1 of F is not a number; write it as 2, -0.5 or 1/4"),
        ("1 1/0", "'1/0' in row 1 of F is not a number; write it as 2, -0.5 or 1/4"),
        ("1 nan", "'nan' in row 1 of F is not a number; write it as 2, -0.5 or 1/4"),
        (" \n", "F is empty; write rows of numbers such as 1 0 2"),
    ],
)
def test_text_that_is_no_grid_gets_a_sentence(text, sentence):
    with pytest.raises(ValueError) as caught:
        room.parse_grid(text, "F")
    assert str(caught.value) == sentence


# --- bad input ---


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: room.correlate([[1, 2], [3]], FILTER_2), "feature_map is not a rectangle of numbers"),
        (lambda: room.correlate([1, 2], FILTER_2), r"feature_map has shape \(2,\)"),
        (lambda: room.correlate(F, [[[1]]]), r"kernel has shape \(1, 1, 1\)"),
        (lambda: room.correlate(F, np.empty((0, 2))), r"kernel has shape \(0, 2\)"),
        (lambda: room.correlate(F * np.nan, FILTER_2), "feature_map holds NaN or infinity"),
        (lambda: room.correlate(F, FILTER_2, stride=0), "stride 0 is not a whole number of at least 1"),
        (lambda: room.correlate(F, FILTER_2, stride=4 / 3), "stride 1.33.* is not a whole number of at least 1"),
        (lambda: room.correlate(F, FILTER_2, stride=(1, 2, 3)), "stride .* is not a number or a pair"),
        (lambda: room.correlate(F, FILTER_2, padding=-1), "padding -1 is not a whole number of at least 0"),
        (lambda: room.correlate(F, FILTER_2, padding=(1, 2, 3)), "padding .* is not a number"),
        (lambda: room.correlate(F, FILTER_2, dilation=0), "dilation 0 is not a whole number of at least 1"),
        (lambda: room.correlate(F, np.ones((5, 5))), "spans 5 cells does not fit into 4 cells"),
        (lambda: room.pad(F, "same"), "padding 'same' is not a whole number"),
        (lambda: room.average_pool(F, size=0), "size 0 is not a whole number of at least 1"),
        (lambda: room.averaging_kernel(0.5), "size 0.5 is not a whole number"),
        (lambda: room.depthwise_averaging_kernels(0), "channels 0 is not a whole number"),
        (lambda: room.correlate_channels(F[None], np.ones((3, 2, 2, 2))), "3 kernels of 2 channels do not suit"),
        (lambda: room.output_size(4, 2, padding=(1, 1, 1)), "padding .* is not a number or a pair"),
        (lambda: room.output_size(0, 2), "input_size 0 is not a whole number of at least 1"),
        (lambda: room.size_keeping_stride(1, 1), "input_size 1 gives no equation"),
        (lambda: room.trace(F[None], FILTER_2), r"feature_map has shape \(1, 4, 4\)"),
        (lambda: room.trace(F, FILTER_2, stride=3, padding=1), r"\(4 \+ 2 - 2\)/3 \+ 1 is not a whole number"),
        (lambda: room.output_size(4, 0), "kernel_size 0 is not a whole number"),
        (lambda: room.as_matrix(FILTER_1, (4,)), "map_shape .* is not a number or a pair"),
        (lambda: room.dense_averaging_kernels(1.5), "channels 1.5 is not a whole number"),
        (lambda: room.flip([1, 2]), r"kernel has shape \(2,\)"),
        (lambda: room.correlate_channels(F, FILTER_1), r"feature_maps has shape \(4, 4\)"),
        (lambda: room.format_grid([[np.inf]]), "grid holds NaN or infinity"),
    ],
)
def test_bad_input_gets_one_sentence(call, words):
    with pytest.raises(ValueError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)
