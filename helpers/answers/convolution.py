"""What Theory 4 expects, and the slips that lead elsewhere; every value is computed by making the slip."""

import numpy as np

from helpers import assignment as given
from helpers.checks import Question, Slip
from helpers.core import convolution as core

F, FILTER_1 = given.FEATURE_MAP, given.FILTER_1


def _mapped(feature_map=F, kernel=FILTER_1, padding=1):
    return core.correlate(feature_map, kernel, padding=padding)


def _rim(mode):
    """Correlate after padding with something other than 0."""
    return core.correlate(np.pad(F, 1, mode=mode), FILTER_1)


def _without_last(kernel):
    """The kernel as a loop that stops one row and one column early sees it."""
    short = np.array(kernel)
    short[-1], short[:, -1] = 0, 0
    return short


def _rounded_away(right):
    """The slips that leave whole numbers of `right()`: Python's rounding, the school's, and both ways to cut off."""
    said = "the cells were made whole numbers; give them as they are, with their fractions."
    ways = (np.round, lambda x: np.sign(x) * np.floor(np.abs(x) + 0.5), np.trunc, np.floor)
    return tuple(Slip(said, lambda way=way: (*right()[:-1], way(right()[-1]))) for way in ways)


_4A = Question(
    id="4a", points=4, parts=("padding", "F′"), expected=lambda: (1, _mapped()),
    answer="(4 + 2p - 3)/1 + 1 = 4 gives p = 1; then each cell is the sum of window times filter, as printed:",
    slips=(
        Slip(
            "these are the numbers of true convolution, which turns the kernel by 180° first. We read the question as "
            "deep learning does: the kernel lies on the map as printed.",
            lambda: (1, core.convolve(F, FILTER_1, padding=1)),
        ),
        Slip(
            "this is the map without padding: it has fewer cells than F. Solve the size formula for the padding that "
            "keeps 4 cells.",
            lambda: (0, _mapped(padding=0)),
        ),
        Slip(
            "with padding 2 the output grows to 6 by 6: the window finds six positions in eight cells.",
            lambda: (2, _mapped(padding=2)),
        ),
        Slip(
            "the map is right, the padding is not: it counts the cells on each side, not on both together.",
            lambda: (2, _mapped()),
        ),
        Slip("the map is right, the padding is not: without padding it would have 2 by 2 cells.",
             lambda: (0, _mapped())),
        Slip("the padding is right, but the map is that without padding: it has fewer cells than F.",
             lambda: (1, _mapped(padding=0))),
        Slip(
            "the border repeats the cells at the edge; zero padding fills it with 0.",
            lambda: (1, _rim("edge")),
        ),
        Slip("the border mirrors the map; zero padding fills it with 0.", lambda: (1, _rim("reflect"))),
        Slip("the border wraps around to the far side; zero padding fills it with 0.", lambda: (1, _rim("wrap"))),
        Slip("the border is filled with 1; zero padding fills it with 0.",
             lambda: (1, core.correlate(core.pad(F, 1, 1.0), FILTER_1))),
        Slip("F′ is transposed: rows and columns have changed places.", lambda: (1, _mapped().T)),
        Slip("the kernel is transposed: read it row by row.", lambda: (1, _mapped(kernel=FILTER_1.T))),
        Slip(
            "the kernel is mirrored left to right; lay it on the map as printed.",
            lambda: (1, _mapped(kernel=np.fliplr(FILTER_1))),
        ),
        Slip(
            "the kernel is mirrored top to bottom; lay it on the map as printed.",
            lambda: (1, _mapped(kernel=np.flipud(FILTER_1))),
        ),
        Slip(
            "every window is one cell too far to the lower right: two cells of padding lie below and to the right, "
            "none above and to the left. The kernel's centre belongs on the cell that is computed.",
            lambda: (1, _mapped(padding=((0, 2), (0, 2)))),
        ),
        Slip(
            "every window is one cell too far to the upper left: two cells of padding lie above and to the left. The "
            "kernel's centre belongs on the cell that is computed.",
            lambda: (1, _mapped(padding=((2, 0), (2, 0)))),
        ),
        Slip(
            "the last row and the last column of the kernel are missing in the sums: nine products make a cell.",
            lambda: (1, _mapped(kernel=_without_last(FILTER_1))),
        ),
        Slip("the minus signs of the kernel are lost.", lambda: (1, _mapped(kernel=np.abs(FILTER_1)))),
        Slip("the sums are divided by 9: a convolution adds up and takes no mean.", lambda: (1, _mapped() / 9)),
        *_rounded_away(lambda: (1, _mapped())),
    ),
    hints=(
        "The size formula is (n + 2p - k)/s + 1. Set it to n with n = 4, k = 3, s = 1, and solve for p.",
        "Draw F with a border of zeros, 6 by 6 in all. The first window covers its upper left 3 by 3 cells.",
        "F′(1, 1) = 5·1 + 9·1 + 1·1.5, as all other products hold a zero. Move one cell to the right and do it again.",
    ),
    decimals=2,
)  # fmt: skip

_STRIDE = core.size_keeping_stride(4, 2, 1)


def _size_sentence(stride):
    """Say what size a stride gives in place of 4, or why none."""
    if core.size_arithmetic(4, 2, stride, 1).size is None:
        return f"with stride {stride} there is no size at all: {core.size_arithmetic(4, 2, stride, 1).reason}."
    return f"with stride {stride} the size is {core.size_arithmetic(4, 2, stride, 1).reason}; F has 4."


_4B = Question(
    id="4b", points=4, parts=("possible", "stride"), expected=lambda: (False, float(_STRIDE)),
    answer="(4 + 2 - 2)/s + 1 = 4 gives 4/s = 3, and a window cannot move by a fraction of a cell:",
    slips=(
        Slip(
            "the stride does solve the equation, but can a window move by a fraction of a cell?",
            lambda: (True, float(_STRIDE)),
        ),
        *(Slip(_size_sentence(stride), lambda stride=stride: (True, stride)) for stride in (1, 2, 3, 4)),
        Slip(
            "the answer is right, the stride is upside down: in (4 + 2 - 2)/s + 1 = 4 it divides.",
            lambda: (False, 1 / float(_STRIDE)),
        ),
        Slip(
            "the answer is right, but the + 1 of the size formula is missing in the equation for the stride.",
            lambda: (False, 1),
        ),
        Slip(
            "without padding the equation is another one; here one cell is added on each side.",
            lambda: (False, core.size_keeping_stride(4, 2, 0)),
        ),
    ),
    hints=(
        "Put n = 4, k = 2, p = 1 into (n + 2p - k)/s + 1 and ask that it be 4.",
        "4/s + 1 = 4. Solve for s. Then ask what a stride may be.",
    ),
    decimals=2,
)  # fmt: skip

_4C = Question(
    id="4c", points=4, parts=("pooled",), expected=lambda: (core.average_pool(_mapped()),),
    answer="the mean of each of the four blocks of 2 by 2 cells:",
    slips=(
        Slip("F itself is pooled; the question asks for F′, the output of 4a.", lambda: (core.average_pool(F),)),
        Slip("these are the maxima; average pooling takes the mean of the four cells.",
             lambda: (core.max_pool(_mapped()),)),
        Slip("these are the sums of the blocks; divide by their four cells.",
             lambda: (4 * core.average_pool(_mapped()),)),
        Slip("the sums are divided by 2; a block of 2 by 2 has four cells.",
             lambda: (2 * core.average_pool(_mapped()),)),
        Slip("the window moved by one cell; stride 2 is asked for, so the blocks do not overlap.",
             lambda: (core.average_pool(_mapped(), stride=1),)),
        Slip("the pooled map is transposed: rows and columns have changed places.",
             lambda: (core.average_pool(_mapped()).T,)),
        Slip("F′ is that of true convolution, with the kernel turned by 180°; pool the map of 4a.",
             lambda: (core.average_pool(core.convolve(F, FILTER_1, padding=1)),)),
        Slip("F′ was computed without padding; it should be as large as F.",
             lambda: (core.average_pool(_mapped(padding=0)),)),
        Slip("this is the mean of each row in halves; a block has two rows and two columns.",
             lambda: (_mapped().reshape(4, 2, 2).mean(2),)),
        Slip("each cell is the mean of a whole row; a block has two rows and two columns.",
             lambda: (_mapped().mean(1).reshape(2, 2),)),
        Slip("these are the smallest cells; average pooling takes the mean of the four.",
             lambda: (-core.max_pool(-_mapped()),)),
        *_rounded_away(lambda: (core.average_pool(_mapped()),)),
    ),
    hints=(
        "Cut F′ into four blocks of 2 by 2 that do not overlap.",
        "The first block holds F′(1, 1), F′(1, 2), F′(2, 1) and F′(2, 2); its mean is their sum over 4.",
    ),
    decimals=3,
)  # fmt: skip

_MEAN = core.averaging_kernel(2)

_4D = Question(
    id="4d", points=4, parts=("kernel", "stride", "padding"), expected=lambda: (_MEAN, 2, 0),
    answer="four equal weights that add up to 1, moved from block to block:", shape_told=False,
    slips=(
        Slip("a filter of ones adds the four cells up; what turns a sum into a mean?", lambda: (4 * _MEAN, 2, 0)),
        Slip("the weights add up to 2; those of a mean add up to 1.", lambda: (2 * _MEAN, 2, 0)),
        Slip("the weights add up to less than 1, so the result is too small; four weights should make 1.",
             lambda: (_MEAN / 2, 2, 0)),
        Slip("with stride 1 the blocks overlap and the output is 3 by 3.", lambda: (_MEAN, 1, 0)),
        Slip("with padding the blocks begin outside the map, and the corner cells are averaged with zeros.",
             lambda: (_MEAN, 2, 1)),
        Slip("with a stride of 4 the window has one position only.", lambda: (_MEAN, 4, 0)),
        Slip("the filter is as large as the map; pooling looks at one block at a time.",
             lambda: (core.averaging_kernel(4), 2, 0)),
        Slip("a filter of 3 by 3 looks at nine cells; a block of 4c has fewer.",
             lambda: (core.averaging_kernel(3), 2, 0)),
        *(Slip("the weights lie in one line; how do the cells of a block of 4c lie?",
               lambda line=line: (np.full(line, 1 / 4), 2, 0)) for line in ((1, 4), (4, 1))),
        Slip("this filter keeps one cell of every block, unchanged; the mean needs all four.",
             lambda: (np.array([[1.0, 0], [0, 0]]), 2, 0)),
    ),
    hints=(
        "A convolution is a weighted sum. Which four weights make it the mean of four cells?",
        "The window has to land on the blocks of 4c: where does the first one begin, and how far is the second?",
    ),
)  # fmt: skip

QUESTIONS = {question.id: question for question in (_4A, _4B, _4C, _4D)}
