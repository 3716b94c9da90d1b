"""Convolution and pooling against torch, scipy and plain loops."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import signal
from torch.nn import functional

from helpers.core import convolution as room

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


@given(sizes, st.integers(1, 5), st.integers(1, 3))
@settings(deadline=None, max_examples=50)
def test_same_padding_keeps_the_size(size, kernel_size, dilation):
    before, after = room.same_padding(kernel_size, dilation)
    assert room.output_size(size, kernel_size, 1, (before, after), dilation) == size
    assert (before == after) == (dilation * (kernel_size - 1) % 2 == 0)


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


def test_the_matrix_of_4a_repeats_eight_weights():
    matrix = room.as_matrix(FILTER_1, (4, 4), padding=1)
    assert matrix.shape == (16, 16)
    assert set(np.unique(matrix)) == set(np.unique(FILTER_1))
    # A 3 x 3 window over a 4 x 4 map keeps 4 * 4 * 9 weights less those on padding: (3 * 4 - 2)^2 = 100 remain,
    # and those that meet one of the two zeros of the filter, in its centre and its lower left corner, show as 0.
    ones = room.as_matrix(np.ones((3, 3)), (4, 4), padding=1)
    assert ones.sum() == 100
    assert np.count_nonzero(matrix) == 100 - 16 - 9


# --- text ---


@given(small, small, st.integers(0, 99))
@settings(deadline=None, max_examples=30)
def test_a_grid_survives_being_written_and_read(rows, columns, seed):
    grid = np.random.default_rng(seed).integers(-20, 20, (rows, columns)) / 4
    np.testing.assert_array_equal(room.parse_grid(room.format_grid(grid)), grid)


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
    ],
)
def test_bad_input_gets_one_sentence(call, words):
    with pytest.raises(ValueError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)
