"""A digit drawn by hand, brought into the form of MNIST's images."""

import numpy as np

SIZE, BOX = 28, 20  # MNIST: digits fitted into 20 by 20, then centred by mass in 28 by 28
PEN = 1.25  # radius of the pen in MNIST's pixels, as thick as most of its digits are written
_PAD = 100  # a drawing is written down on a grid of 100 by 100
MOST_POINTS = 5_000  # minutes of drawing; every pixel is held against every point, so there has to be an end


def parse_strokes(text):
    """Return the strokes that `text` describes, a list of arrays (points, 2), x to the right and y down, in [0, 99].

    Strokes are separated by ";", points by spaces, as in "10,20 30,25; 50,50". Raises ValueError for anything else,
    and for more than MOST_POINTS points.
    """
    if text.count(",") > MOST_POINTS:  # each point has one comma
        raise ValueError(f"the drawing has more than {MOST_POINTS:,} points; clear the pad and draw with fewer")
    strokes = []
    for words in filter(None, (stroke.split() for stroke in text.split(";"))):
        try:
            points = np.array([[int(number) for number in word.split(",")] for word in words], dtype=float)
        except ValueError:
            points = np.empty(0)
        if points.ndim != 2 or points.shape[1] != 2 or points.min() < 0 or points.max() >= _PAD:
            shown = " ".join(words)[:40]
            raise ValueError(f"{shown!r} is no stroke; write points such as 10,20 with numbers from 0 to 99")
        strokes.append(points)
    return strokes


def as_mnist(strokes):
    """Return the strokes as an image (28, 28) in [0, 1], ink 1, made the way MNIST's images were.

    The drawing keeps its proportions and is scaled until its longer side fills 20 pixels; then it is moved until its
    centre of mass is the centre of the image (LeCun, Cortes and Burges, The MNIST database), but not out of the image.
    Nothing drawn gives zeros.
    """
    if not strokes:
        return np.zeros((SIZE, SIZE))
    points = np.concatenate(strokes)
    low, high = points.min(axis=0), points.max(axis=0)
    scale = (BOX - 2 * PEN) / max(*(high - low), 1.0)
    middle = (SIZE - 1) / 2
    placed = [(stroke - (low + high) / 2) * scale + middle for stroke in strokes]
    margin = (SIZE - 2 * PEN - (high - low) * scale) / 2  # to the left and right, above and below
    move = np.clip(middle - np.array(_centre(_inked(placed))), -margin, margin)
    return _inked([stroke + move for stroke in placed])


def _inked(strokes):
    """How much of each pixel the pen covers: 1 within its radius, fading to 0 over one pixel."""
    starts = np.concatenate([stroke[:-1] if len(stroke) > 1 else stroke for stroke in strokes])
    ends = np.concatenate([stroke[1:] if len(stroke) > 1 else stroke for stroke in strokes])
    (x, y), (along_x, along_y) = starts.T, (ends - starts).T
    length = np.maximum(along_x**2 + along_y**2, 1e-12)
    # From each start to each column and to each row, (28, segments): x and y meet only where they must, in the grid.
    right, down = (np.arange(SIZE)[:, None] - from_ for from_ in (x, y))
    part = (right * along_x / length)[None] + (down * along_y / length)[:, None]  # (rows, columns, segments)
    np.clip(part, 0, 1, out=part)
    distance = (part * along_x - right[None]) ** 2
    distance += (part * along_y - down[:, None]) ** 2
    return np.clip(PEN + 0.5 - np.sqrt(distance.min(axis=2)), 0, 1)


def _centre(image):
    rows, columns = np.indices(image.shape)
    return (columns * image).sum() / image.sum(), (rows * image).sum() / image.sum()


def answer(network, image):
    """Return the probabilities (classes,) that an MLP gives one image in [0, 1], as its `forward` and softmax would.

    A drawing is mostly paper, and ReLU leaves most of a layer at 0: adding up the rows of the weights that meet a
    number other than 0 takes a fraction of the whole product, and leaves the other processors to the page.
    """
    h = np.ravel(image)
    for W, b, activation in zip(network.W, network.b, network.activations, strict=True):
        met = np.flatnonzero(h)
        h = activation(np.einsum("i,ij->j", h[met], W[met]) + b)
    exponentials = np.exp(h - h.max())
    return exponentials / exponentials.sum()
