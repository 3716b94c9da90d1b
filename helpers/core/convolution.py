"""Convolution and pooling: pad a map, slide a window over it, multiply and add, or take the mean or maximum.

A map is a 2-D array (rows, columns). Functions that say "(..., rows, columns)" treat every leading axis as a
stack of maps that all meet the same kernel. Rows and columns count from 0, as in Python.

Options, the same everywhere, one number for both axes or a pair (rows, columns):
    stride     steps of the window, at least 1;
    padding    cells added on each side, at least 0; ((top, bottom), (left, right)) names every side;
    dilation   distance between neighbouring cells of the window, 1 for a solid one;
    floor      False: a window that does not come out even at the far edge is an error, with its arithmetic;
               True: the cells left over there are never read. That is PyTorch's silent rule.
"""

from dataclasses import dataclass
from fractions import Fraction
from numbers import Integral

import numpy as np

KERNELS = {
    "identity": [[0, 0, 0], [0, 1, 0], [0, 0, 0]],
    "blur": [[1 / 9] * 3] * 3,
    "sharpen": [[0, -1, 0], [-1, 5, -1], [0, -1, 0]],
    "vertical edges": [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]],
    "horizontal edges": [[-1, -2, -1], [0, 0, 0], [1, 2, 1]],
}
"""A few kernels worth knowing, by name; the two for edges are Sobel's."""


# --- sizes ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SizeArithmetic:
    """The size formula (n + p - e)/s + 1 for one axis, with its numbers filled in.

    n is the input size, p the padding of both sides together, e the span of the kernel, s the stride.
    """

    input_size: int
    total_padding: int
    span: int
    stride: int

    @property
    def exact(self) -> Fraction:
        """The value of the formula, before anyone asks whether it is a whole number."""
        return Fraction(self.input_size + self.total_padding - self.span, self.stride) + 1

    @property
    def expression(self) -> str:
        """The formula as one would write it by hand, for example (4 + 2 - 2)/3 + 1."""
        return f"({self.input_size} + {self.total_padding} - {self.span})/{self.stride} + 1"

    @property
    def fits(self) -> bool:
        """Whether the window fits into the padded input at all."""
        return self.span <= self.input_size + self.total_padding

    @property
    def size(self) -> int | None:
        """The output size, or None where the formula gives none."""
        return int(self.exact) if self.fits and self.exact.denominator == 1 else None

    @property
    def floored(self) -> int | None:
        """The output size when cells left over at the far edge are ignored, or None where no window fits."""
        return int(self.exact) if self.fits else None

    @property
    def reason(self) -> str:
        """One sentence: the size, or why there is none."""
        if not self.fits:
            padded = self.input_size + self.total_padding
            return f"a window that spans {self.span} cells does not fit into {padded} cell{'s' * (padded != 1)}"
        if self.size is None:
            return f"{self.expression} is not a whole number"
        return f"{self.expression} = {self.size}"


def size_arithmetic(
    input_size: int, kernel_size: int, stride: int = 1, padding: int | tuple = 0, dilation: int = 1
) -> SizeArithmetic:
    """Fill the size formula with the numbers of one axis, whether or not they give a size.

    All arguments are whole numbers for one axis; padding may be a pair (before, after).
    Raises ValueError for a number out of range. Formula: Dumoulin & Visin, "A guide to convolution arithmetic
    for deep learning", 2016, without its rounding down.
    """
    _whole("input_size", input_size, 1)
    _whole("kernel_size", kernel_size, 1)
    _whole("stride", stride, 1)
    _whole("dilation", dilation, 1)
    sides = padding if isinstance(padding, tuple | list) else (padding, padding)
    if len(sides) != 2:
        raise ValueError(f"padding {padding!r} is not a number or a pair (before, after)")
    for side in sides:
        _whole("padding", side, 0)
    return SizeArithmetic(int(input_size), int(sum(sides)), int(dilation * (kernel_size - 1) + 1), int(stride))


def output_size(
    input_size: int,
    kernel_size: int,
    stride: int = 1,
    padding: int | tuple = 0,
    dilation: int = 1,
    floor: bool = False,
) -> int:
    """Count the positions of a window along one axis.

    Raises ValueError with the arithmetic where no size exists; floor=True ignores a remainder, as PyTorch
    does.
    """
    arithmetic = size_arithmetic(input_size, kernel_size, stride, padding, dilation)
    size = arithmetic.floored if floor else arithmetic.size
    if size is None:
        if arithmetic.fits:
            remedy = "change stride or padding, or pass floor=True to leave the last cells unread"
        else:
            remedy = "pad more or take a smaller kernel"
        raise ValueError(f"{arithmetic.reason}; {remedy}")
    return size


def size_keeping_stride(input_size: int, kernel_size: int, padding: int | tuple = 0) -> Fraction:
    """Solve (n + p - k)/s + 1 = n for the stride s: the only stride that could keep the size, whole or not.

    Raises ValueError for an input of one cell, which every stride keeps.
    """
    arithmetic = size_arithmetic(input_size, kernel_size, 1, padding)
    if input_size == 1:
        raise ValueError("input_size 1 gives no equation for the stride; take at least 2 cells")
    return (arithmetic.exact - 1) / (input_size - 1)


# --- padding and windows --------------------------------------------------------------------------


def pad(feature_map, padding=0, value: float = 0.0) -> np.ndarray:
    """Surround maps (..., rows, columns) with a border of one value, 0 unless told otherwise."""
    maps = _numbers("feature_map", feature_map, at_least=2)
    sides = _sides(padding)
    return np.pad(maps, [(0, 0)] * (maps.ndim - 2) + sides, constant_values=value)


def windows(
    feature_map, kernel_shape, stride=1, padding=0, dilation=1, floor: bool = False, value: float = 0.0
) -> np.ndarray:
    """Cut out what the window sees at every position.

    (..., rows, columns) gives (..., output rows, output columns, kernel rows, kernel columns), read-only.
    Raises ValueError where the positions do not come out even (see output_size).
    """
    maps = _numbers("feature_map", feature_map, at_least=2)
    kernel_shape, stride = _pair("kernel_shape", kernel_shape, 1), _pair("stride", stride, 1)
    dilation, sides = _pair("dilation", dilation, 1), _sides(padding)
    shape = [
        output_size(*axis, floor) for axis in zip(maps.shape[-2:], kernel_shape, stride, sides, dilation, strict=True)
    ]
    span = [d * (k - 1) + 1 for d, k in zip(dilation, kernel_shape, strict=True)]
    view = np.lib.stride_tricks.sliding_window_view(pad(maps, sides, value), span, axis=(-2, -1))
    view = view[..., :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]
    return view[..., : shape[0], : shape[1], :, :]


# --- convolution ----------------------------------------------------------------------------------


def correlate(feature_map, kernel, stride=1, padding=0, dilation=1, floor: bool = False) -> np.ndarray:
    """Slide a kernel over maps, multiply cell by cell and add up: what deep learning calls convolution.

    (..., rows, columns) and (kernel rows, kernel columns) give (..., output rows, output columns), float64.
    Raises ValueError for maps that are not rectangles of finite numbers, or a size that does not exist.
    """
    kernel = _numbers("kernel", kernel, exactly=2)
    view = windows(feature_map, kernel.shape, stride, padding, dilation, floor)
    return np.einsum("...hw,hw->...", view, kernel)


def convolve(feature_map, kernel, stride=1, padding=0, dilation=1, floor: bool = False) -> np.ndarray:
    """Correlate with the kernel turned by 180 degrees: convolution as mathematics defines it."""
    return correlate(feature_map, flip(kernel), stride, padding, dilation, floor)


def flip(kernel) -> np.ndarray:
    """Turn a kernel by 180 degrees."""
    return _numbers("kernel", kernel, exactly=2)[::-1, ::-1]


def correlate_channels(
    feature_maps, kernels, stride=1, padding=0, dilation=1, groups: int = 1, floor: bool = False
) -> np.ndarray:
    """Correlate a stack of channels with a bank of kernels, as a convolution layer does.

    feature_maps is (channels, rows, columns), kernels is (outputs, channels / groups, kernel rows, kernel
    columns); the result is (outputs, output rows, output columns). With groups=1 every output adds up all
    channels; with groups=channels each output sees one channel only: the depthwise form.
    Raises ValueError where channels, outputs and groups do not divide.
    """
    maps = _numbers("feature_maps", feature_maps, exactly=3)
    kernels = _numbers("kernels", kernels, exactly=4)
    _whole("groups", groups, 1)
    channels, outputs = len(maps), len(kernels)
    if channels % groups or outputs % groups or kernels.shape[1] * groups != channels:
        raise ValueError(
            f"{outputs} kernels of {kernels.shape[1]} channels do not suit {channels} channels in {groups} "
            "groups; kernels need channels / groups channels, and groups must divide both counts"
        )
    view = windows(maps, kernels.shape[2:], stride, padding, dilation, floor)
    view = view.reshape(groups, channels // groups, *view.shape[1:])
    kernels = kernels.reshape(groups, outputs // groups, *kernels.shape[1:])
    result = np.einsum("gcijhw,gohwc->goij", view, np.moveaxis(kernels, 2, -1), optimize=True)
    return result.reshape(outputs, *view.shape[2:4])


def as_matrix(kernel, map_shape, stride=1, padding=0, dilation=1, floor: bool = False) -> np.ndarray:
    """Write correlation with a kernel as one matrix M: output.ravel() = M @ feature_map.ravel().

    map_shape is (rows, columns); M is (output cells, input cells). A dense layer has a free weight in every
    entry of M; here most are 0 and the same few kernel weights repeat in each row.
    """
    kernel = _numbers("kernel", kernel, exactly=2)
    map_shape = _pair("map_shape", map_shape, 1)
    # Every cell carries its own number, 1, 2, ...; cells of the padding carry 0.
    numbered = np.arange(1, map_shape[0] * map_shape[1] + 1).reshape(map_shape)
    seen = windows(numbered, kernel.shape, stride, padding, dilation, floor).reshape(-1, kernel.size)
    seen = seen.astype(int)
    matrix = np.zeros((len(seen), numbered.size + 1))
    np.add.at(matrix, (np.arange(len(seen))[:, None], seen), kernel.ravel())
    return matrix[:, 1:]


def edge_strength(feature_map) -> np.ndarray:
    """Measure how steep maps (..., rows, columns) are: the length of Sobel's two answers, without padding."""
    sideways = correlate(feature_map, KERNELS["vertical edges"])
    downwards = correlate(feature_map, KERNELS["horizontal edges"])
    return np.hypot(sideways, downwards)


@dataclass(frozen=True)
class Cell:
    """One output cell and everything that went into it.

    row, column    its place in the output;
    top, left      the place of the window's first cell in the padded map;
    window         what the window covers, (kernel rows, kernel columns);
    kernel         the weights as they lie on the window (turned already, if flipped);
    products       window * kernel;
    total          the sum of the products.
    """

    row: int
    column: int
    top: int
    left: int
    window: np.ndarray
    kernel: np.ndarray
    products: np.ndarray
    total: float


def trace(
    feature_map, kernel, stride=1, padding=0, dilation=1, flipped: bool = False, floor: bool = False
) -> list[Cell]:
    """Follow the window over one map (rows, columns) and keep what happens at every position, row by row."""
    feature_map = _numbers("feature_map", feature_map, exactly=2)
    kernel = flip(kernel) if flipped else _numbers("kernel", kernel, exactly=2)
    step_down, step_right = _pair("stride", stride, 1)
    view = windows(feature_map, kernel.shape, stride, padding, dilation, floor)
    cells = []
    for row, column in np.ndindex(view.shape[:2]):
        products = view[row, column] * kernel
        place = (row, column, row * step_down, column * step_right)
        cells.append(Cell(*place, view[row, column], kernel, products, float(products.sum())))
    return cells


# --- pooling --------------------------------------------------------------------------------------


def average_pool(feature_map, size=2, stride=None, padding=0, floor: bool = False) -> np.ndarray:
    """Replace every window by its mean; the stride is the window's size unless told otherwise.

    (..., rows, columns) gives (..., output rows, output columns). Zeros of the padding count as cells.
    Raises ValueError where a window would see nothing but padding, or a size does not exist.
    """
    return _pooling_windows(feature_map, size, stride, padding, floor, 0.0).mean((-2, -1))


def max_pool(feature_map, size=2, stride=None, padding=0, floor: bool = False) -> np.ndarray:
    """Replace every window by its largest cell; shapes and errors as for average_pool. Padding never wins."""
    return _pooling_windows(feature_map, size, stride, padding, floor, -np.inf).max((-2, -1))


def averaging_kernel(size=2) -> np.ndarray:
    """Give the kernel whose correlation is the mean of a window: ones divided by their number."""
    rows, columns = _pair("size", size, 1)
    return np.full((rows, columns), 1 / (rows * columns))


def depthwise_averaging_kernels(channels: int, size=2) -> np.ndarray:
    """Give the bank (channels, 1, rows, columns) that pools each channel by itself with groups=channels."""
    _whole("channels", channels, 1)
    return np.tile(averaging_kernel(size), (channels, 1, 1, 1))


def dense_averaging_kernels(channels: int, size=2) -> np.ndarray:
    """Give the bank (channels, channels, rows, columns) that pools with groups=1: zero where channels mix."""
    _whole("channels", channels, 1)
    return np.einsum("oc,hw->ochw", np.eye(channels), averaging_kernel(size))


def _pooling_windows(feature_map, size, stride, padding, floor, value) -> np.ndarray:
    size, sides = _pair("size", size, 1), _sides(padding)
    for extent, axis_sides in zip(size, sides, strict=True):
        if max(axis_sides) >= extent:
            raise ValueError(
                f"padding {max(axis_sides)} would let a window of {extent} see padding alone; "
                "pad by less than the window's size"
            )
    return windows(feature_map, size, size if stride is None else stride, sides, 1, floor, value)


# --- text -----------------------------------------------------------------------------------------


def parse_grid(text: str, name: str = "the grid") -> np.ndarray:
    """Read a rectangle of numbers from text.

    Rows stand on lines of their own or after ";", numbers apart by blanks or commas; 1/4 is a number too.
    Raises ValueError that names the row that does not fit.
    """
    rows = [line.replace(",", " ").split() for line in text.replace(";", "\n").splitlines()]
    rows = [row for row in rows if row]
    if not rows:
        raise ValueError(f"{name} is empty; write rows of numbers such as 1 0 2")
    for number, row in enumerate(rows, 1):
        if len(row) != len(rows[0]):
            raise ValueError(
                f"row {number} of {name} has {len(row)} number{'s' * (len(row) != 1)}, "
                f"row 1 has {len(rows[0])}; give every row the same length"
            )
    return _numbers(name, [[_number(word, name, i) for word in row] for i, row in enumerate(rows, 1)])


def format_grid(grid) -> str:
    """Write a 2-D array as text that parse_grid reads back."""
    return "\n".join(" ".join(_word(value) for value in row) for row in _numbers("grid", grid, exactly=2))


def _word(value: float) -> str:
    """The shortest of decimal and fraction that means exactly this number."""
    fraction = Fraction(value).limit_denominator(1000)
    if float(f"{value:g}") == value or float(fraction) != value:
        return f"{value:g}" if float(f"{value:g}") == value else repr(float(value))
    return str(fraction)


def _number(word: str, name: str, row: int) -> float:
    try:
        return float(Fraction(word))
    except (ValueError, ZeroDivisionError, OverflowError):
        raise ValueError(f"{word!r} in row {row} of {name} is not a number; write it as 2, -0.5 or 1/4") from None


# --- what the functions above accept --------------------------------------------------------------


def _numbers(name: str, given, at_least: int = 1, exactly: int | None = None) -> np.ndarray:
    """Turn the input into float64 with the dimensions asked for, or say in one sentence why that fails."""
    try:
        array = np.asarray(given, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"{name} is not a rectangle of numbers; give rows of equal length") from None
    wrong = array.ndim != exactly if exactly else array.ndim < at_least
    if wrong or array.size == 0:
        asked = f"{exactly}" if exactly else f"at least {at_least}"
        raise ValueError(f"{name} has shape {array.shape}; give an array of {asked} dimensions, none of them empty")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds NaN or infinity; give finite numbers")
    return array


def _whole(name: str, given, smallest: int) -> None:
    if not isinstance(given, Integral) or isinstance(given, bool) or given < smallest:
        raise ValueError(f"{name} {given!r} is not a whole number of at least {smallest}")


def _pair(name: str, given, smallest: int) -> tuple[int, int]:
    """One number stands for both axes; a pair is (rows, columns)."""
    pair = tuple(given) if isinstance(given, tuple | list) else (given, given)
    if len(pair) != 2:
        raise ValueError(f"{name} {given!r} is not a number or a pair (rows, columns)")
    for value in pair:
        _whole(name, value, smallest)
    return pair


def _sides(padding) -> list[tuple[int, int]]:
    """Spell padding out as [(top, bottom), (left, right)]."""
    axes = tuple(padding) if isinstance(padding, tuple | list) else (padding, padding)
    if len(axes) != 2:
        raise ValueError(f"padding {padding!r} is not a number, (rows, columns) or ((top, bottom), (left, right))")
    return [_pair("padding", axis, 0) for axis in axes]
