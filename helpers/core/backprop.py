"""A two-layer network, its cross-entropy, and every gradient of it by the chain rule: forward beside backward.

The letters are the handout's. Vectors are rows: x is (1, N), a is (1, M), o and y are (1, K); W1 is (N, M) and W2 is
(M, K), b1 is (1, M) and b2 is (1, K). Several rows are several examples: their losses add up, and so do the gradients
of the weights.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from helpers.core.descent import sigmoid

EPSILON = float(np.finfo(float).eps)  # the gap between 1 and the next double, 2.2e-16
PARAMETERS = ("W1", "b1", "W2", "b2")


# --- softmax and cross-entropy ---------------------------------------------------------------------------------


def log_sum_exp(f2):
    """Return log(sum_k e^f2_k) of each row, (rows, 1), without overflow: the largest entry is taken out first.

    Source: Blanchard, Higham and Higham, "Accurately computing the log-sum-exp and softmax functions", 2021, Eq. 1.4.
    """
    f2 = _rows("f2", f2)
    largest = f2.max(axis=1, keepdims=True)
    return largest + np.log(np.exp(f2 - largest).sum(axis=1, keepdims=True))


def softmax(f2):
    """Return e^f2_k / sum_j e^f2_j of each row, same shape as f2, without overflow.

    Adding one number to every logit changes nothing, so the largest logit is moved to 0.
    """
    f2 = _rows("f2", f2)
    powers = np.exp(f2 - f2.max(axis=1, keepdims=True))  # none above 1, and at least one of them 1
    return powers / powers.sum(axis=1, keepdims=True)


def naive_softmax(f2):
    """Return softmax exactly as its formula is written: it overflows to NaN from logits of about 710 on."""
    f2 = _rows("f2", f2)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        powers = np.exp(f2)
        return powers / powers.sum(axis=1, keepdims=True)


def cross_entropy(f2, y):
    """Return E = -sum_k y_k log o_k with o = softmax(f2), a float, computed without forming o.

    log o_k = f2_k - log_sum_exp(f2), so that nothing overflows and no logarithm meets a zero.
    """
    f2 = _rows("f2", f2)
    y = _rows("y", y, shape=f2.shape)
    return float(-(y * (f2 - log_sum_exp(f2))).sum())


def naive_cross_entropy(f2, y):
    """Return -sum_k y_k log o_k from the naive softmax: infinite or NaN once an o_k is 0 or an e^f2_k overflows.

    Even a class with y_k = 0 spoils the sum then, since 0 times log 0 is NaN in floating point.
    """
    f2 = _rows("f2", f2)
    y = _rows("y", y, shape=f2.shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(-(y * np.log(naive_softmax(f2))).sum())


def softmax_jacobian(o):
    """Return the (K, K) matrix of the derivatives d o_k / d f2_j = o_k (1[k = j] - o_j); o is one row, (1, K).

    It is symmetric, and each of its rows adds up to zero because the entries of o always add up to one.
    """
    o = _rows("o", o)
    if len(o) != 1:
        raise ValueError(f"o has {len(o)} rows; give one row, such as o[:1], since each has a Jacobian of its own")
    return np.diag(o[0]) - o.T @ o


def one_hot(label, classes):
    """Return the (1, classes) row that is 1 at `label` and 0 elsewhere; labels count from 1, like k in the sum."""
    if isinstance(label, bool) or int(label) != label or not 1 <= label <= classes:
        raise ValueError(f"label is {label!r}; give a whole number from 1 to {classes}")
    return (np.arange(1, classes + 1) == label).astype(float)[None, :]


# --- the network -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Forward:
    """Everything that a forward pass computes, by name; E is a float, the rest are arrays with one row an example."""

    x: np.ndarray
    f1: np.ndarray
    a: np.ndarray
    f2: np.ndarray
    o: np.ndarray
    y: np.ndarray
    E: float


@dataclass(frozen=True, eq=False)
class Gradients:
    """The derivative of E with respect to every quantity, by the quantity's name and in its shape."""

    o: np.ndarray
    f2: np.ndarray
    a: np.ndarray
    f1: np.ndarray
    x: np.ndarray
    W1: np.ndarray
    b1: np.ndarray
    W2: np.ndarray
    b2: np.ndarray


@dataclass(frozen=True, eq=False)
class TwoLayerNet:
    """The handout's network f1 = x W1 + b1, a = sigmoid(f1), f2 = a W2 + b2, o = softmax(f2).

    W1 is (N, M), b1 (1, M), W2 (M, K), b2 (1, K); a flat sequence is read as one row.
    Raises ValueError when the shapes do not fit together.
    """

    W1: np.ndarray
    b1: np.ndarray
    W2: np.ndarray
    b2: np.ndarray

    def __post_init__(self):
        W1, W2 = _rows("W1", self.W1), _rows("W2", self.W2)
        if W1.shape[1] != W2.shape[0]:
            raise ValueError(
                f"W1 has {W1.shape[1]} columns, W2 has {W2.shape[0]} rows; both must be the number M of hidden neurons"
            )
        b1 = _rows("b1", self.b1, shape=(1, W1.shape[1]))
        b2 = _rows("b2", self.b2, shape=(1, W2.shape[1]))
        for name, value in zip(PARAMETERS, (W1, b1, W2, b2), strict=True):
            object.__setattr__(self, name, value)

    @property
    def sizes(self):
        """The numbers of inputs, hidden neurons and outputs: N, M and K."""
        return self.W1.shape[0], self.W1.shape[1], self.W2.shape[1]

    def forward(self, x, y) -> Forward:
        """Return every intermediate value for the input x, (rows, N), and the labels y, (rows, K), and the loss E."""
        N, _, K = self.sizes
        x = _rows("x", x, width=N)
        y = _rows("y", y, shape=(len(x), K))
        f1 = x @ self.W1 + self.b1
        a = sigmoid(f1)
        f2 = a @ self.W2 + self.b2
        return Forward(x, f1, a, f2, softmax(f2), y, cross_entropy(f2, y))

    def scaled(self, hidden=1.0, logits=1.0):
        """Return the network with f1 multiplied by `hidden` and f2, for the same a, multiplied by `logits`."""
        for name, factor in (("hidden", hidden), ("logits", logits)):
            if not np.isfinite(factor):
                raise ValueError(f"the factor {name} is {factor}; give a finite number")
        return TwoLayerNet(hidden * self.W1, hidden * self.b1, logits * self.W2, logits * self.b2)


def backward(net: TwoLayerNet, values: Forward) -> Gradients:
    """Return the derivative of E with respect to every quantity of `values` and every parameter of `net`.

    The labels need not be one-hot: for a general y, dE/df2 = o sum(y) - y. Where y_k is 0, dE/do_k is 0 even if
    o_k has underflowed to 0.
    """
    x, a, o, y = values.x, values.a, values.o, values.y
    with np.errstate(divide="ignore"):
        dE_do = np.divide(-y, o, out=np.zeros_like(o), where=y != 0)
    dE_df2 = o * y.sum(axis=1, keepdims=True) - y
    dE_da = dE_df2 @ net.W2.T
    dE_df1 = dE_da * a * (1 - a)
    dE_dx = dE_df1 @ net.W1.T
    return Gradients(
        o=dE_do, f2=dE_df2, a=dE_da, f1=dE_df1, x=dE_dx,
        W1=x.T @ dE_df1, b1=dE_df1.sum(axis=0, keepdims=True),
        W2=a.T @ dE_df2, b2=dE_df2.sum(axis=0, keepdims=True),
    )  # fmt: skip


def worked_example():
    """Return the 3-4-3 network of the worked example with its input and label: (net, x, y).

    The weights are halves and whole numbers, so that f1 = (-1, -1.5, 1, 1.5) can be found by head.
    """
    net = TwoLayerNet(
        W1=np.array([[-1, 1, -0.5, -1], [1, 1, -0.5, -0.5], [0.5, -0.5, 0.5, 1]]),
        b1=np.array([0, -0.5, 0, 0]),
        W2=np.array([[-2.0, 2, -1], [1, 2, 0], [2, -1, -2], [-2, -1, 0]]),
        b2=np.array([-1.0, -1, 1]),
    )
    return net, np.array([[1.0, -1.0, 2.0]]), one_hot(2, 3)


def input_gradient_norms(net, x, y, hidden_scales, logits=1.0):
    """Return the Euclidean norm of dE/dx for each factor by which f1 is scaled, as an array; x and y are one row.

    What follows f1 is a network of its own, fed with one row for each factor s: its dE/d(s f1) times s W1^T is dE/dx.
    """
    f1 = net.forward(x, y).f1
    scales = np.asarray(hidden_scales, dtype=float)[:, None]
    rest = TwoLayerNet(np.eye(f1.shape[1]), np.zeros_like(f1), logits * net.W2, logits * net.b2)
    values = rest.forward(scales * f1, np.repeat(_rows("y", y), len(scales), axis=0))
    return np.linalg.norm(scales * backward(rest, values).x @ net.W1.T, axis=1)


# --- the gradient check ----------------------------------------------------------------------------------------


def _loss_with(net, values, parameter, value):
    return replace(net, **{parameter: value}).forward(values.x, values.y).E


def loss_of(net, values, name):
    """Return E as a function of the one quantity `name`, with everything that does not follow from it held fixed.

    `name` is x, f1, a, f2, o, W1, b1, W2 or b2; `values` is a forward pass of `net`.
    """
    y = values.y
    loss: dict[str, Callable] = {
        "x": lambda x: net.forward(x, y).E,
        "f1": lambda f1: cross_entropy(sigmoid(f1) @ net.W2 + net.b2, y),
        "a": lambda a: cross_entropy(a @ net.W2 + net.b2, y),
        "f2": lambda f2: cross_entropy(f2, y),
        "o": lambda o: float(-(y * np.log(o)).sum()),
    }
    for parameter in PARAMETERS:
        loss[parameter] = partial(_loss_with, net, values, parameter)
    if name not in loss:
        raise ValueError(f"there is no quantity {name!r} in the network; choose from {', '.join(loss)}")
    return loss[name]


def forward_difference(function, at, step=1e-8):
    """Return (E(v + h) - E(v)) / h for every entry v of the array `at`, in its shape; the error is of order h."""
    return _difference_quotient(function, at, above=step, below=0.0)


def central_difference(function, at, step=None):
    """Return (E(v + h) - E(v - h)) / 2h for every entry v of the array `at`, in its shape; the error is of order h^2.

    `function` maps an array to a float. The default step, the cube root of the machine epsilon (6e-6), balances what is
    left out of Taylor's series (about h^2) with the rounding of E (about epsilon / h).
    Source: Press et al., "Numerical Recipes", 3rd ed. 2007, section 5.7.
    """
    step = np.cbrt(EPSILON) if step is None else step
    return _difference_quotient(function, at, above=step, below=step)


def difference_resolution(E, step=None):
    """Return the size below which a central difference of values near E is nothing but rounding: epsilon |E| / h."""
    step = np.cbrt(EPSILON) if step is None else step
    return EPSILON * abs(E) / step


def numerical_gradient(net, values, name):
    """Return dE/d`name` by central differences, in the shape of that quantity; no backward pass is involved.

    `name` and `values` are those of `loss_of`.
    """
    loss = loss_of(net, values, name)
    return central_difference(loss, getattr(net if name in PARAMETERS else values, name))


def relative_error(first, second, resolution=0.0):
    """Return the largest difference of two arrays, less `resolution`, over the largest entry of either.

    The whole array sets the scale, so that an entry which happens to be zero is not divided by itself. Differences up
    to `resolution` (see `difference_resolution`) count as none: no difference quotient can see them.
    Raises ValueError if the shapes differ or an entry is not finite.
    """
    first, second = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if first.shape != second.shape:
        raise ValueError(
            f"the shapes {first.shape} and {second.shape} differ; a gradient has the shape of its variable"
        )
    if not (np.all(np.isfinite(first)) and np.all(np.isfinite(second))):
        raise ValueError("a gradient holds NaN or infinity; look for an overflow before comparing")
    difference = max(0.0, float(np.max(np.abs(first - second), initial=0.0)) - resolution)
    scale = float(max(np.max(np.abs(first), initial=0.0), np.max(np.abs(second), initial=0.0)))
    return difference / scale if difference > 0 else 0.0


def _difference_quotient(function, at, above, below):
    at = np.array(at, dtype=float)
    if not (np.isfinite(above) and above > 0):
        raise ValueError(f"the step is {above}; give a positive number, such as 1e-5")
    result = np.empty_like(at)
    for index in np.ndindex(at.shape):
        up, down = at.copy(), at.copy()
        up[index] += above
        down[index] -= below
        gone = up[index] - down[index]  # v + h is itself rounded, so one divides by the distance really gone
        if gone == 0:
            raise ValueError(
                f"the step {above} is lost in the rounding of {at[index]}; give a larger one, such as 1e-5"
            )
        result[index] = (function(up) - function(down)) / gone
    return result


def _rows(name, value, width=None, shape=None):
    """Return `value` as a float array with two axes, or raise ValueError with one sentence that says what is wrong."""
    try:
        array = np.atleast_2d(np.asarray(value, dtype=float))
    except (TypeError, ValueError):
        raise ValueError(f"{name} is not an array of numbers; give rows of equal length, such as [[1, 2, 3]]") from None
    if array.ndim != 2 or array.size == 0:
        raise ValueError(f"{name} has shape {array.shape}; give an array with rows and columns, such as [[1, 2, 3]]")
    if not np.all(np.isfinite(array)):
        raise ValueError(f"{name} holds NaN or infinity; give finite numbers")
    if shape is not None and array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}; give one of shape {shape}")
    if width is not None and array.shape[1] != width:
        raise ValueError(f"{name} has {array.shape[1]} columns; give {width}, one for each row of the weights")
    return array
