"""Logic gates as the smallest networks of sigmoid neurons, with proofs that nothing smaller will do.

A network here is a list of layers (W, b) in the row-vector form of the handout: z = x W + b. Hidden layers pass
z through the sigmoid; the output stays a pre-activation. The class is 1 where that pre-activation is >= 0, else 0.
"""

import math
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.optimize import linprog

from helpers.core.descent import sigmoid

TRUTH = {
    "NOT": (1, 0),
    "AND": (0, 0, 0, 1),
    "NAND": (1, 1, 1, 0),
    "OR": (0, 1, 1, 1),
    "NOR": (1, 0, 0, 0),
    "XOR": (0, 1, 1, 0),
    "XNOR": (1, 0, 0, 1),
}

FUNCTION_NAMES = {
    (0, 0, 0, 0): "always 0",
    (0, 0, 0, 1): "AND",
    (0, 0, 1, 0): "A and not B",
    (0, 0, 1, 1): "A",
    (0, 1, 0, 0): "B and not A",
    (0, 1, 0, 1): "B",
    (0, 1, 1, 0): "XOR",
    (0, 1, 1, 1): "OR",
    (1, 0, 0, 0): "NOR",
    (1, 0, 0, 1): "XNOR",
    (1, 0, 1, 0): "not B",
    (1, 0, 1, 1): "A or not B",
    (1, 1, 0, 0): "not A",
    (1, 1, 0, 1): "B or not A",
    (1, 1, 1, 0): "NAND",
    (1, 1, 1, 1): "always 1",
}


def corners(n_inputs=2):
    """Return all 0/1 inputs in counting order, 00, 01, 10, 11 for two inputs: shape (2**n_inputs, n_inputs)."""
    if n_inputs not in (1, 2):
        raise ValueError(f"A gate here has 1 or 2 inputs, not {n_inputs!r}; ask for corners(1) or corners(2).")
    return np.array(list(product((0.0, 1.0), repeat=n_inputs)))


def truth_of(gate):
    """Return the wanted outputs of a gate in counting order of its inputs.

    gate: one of the names in TRUTH, or a tuple of 2 or 4 zeros and ones. Returns an integer array (2,) or (4,).
    Raises ValueError for any other name or tuple.
    """
    if isinstance(gate, str):
        if gate not in TRUTH:
            raise ValueError(f"There is no gate {gate!r}; choose one of {', '.join(TRUTH)}.")
        return np.array(TRUTH[gate])
    outputs = np.asarray(gate)
    if outputs.shape not in ((2,), (4,)) or not np.isin(outputs, (0, 1)).all():
        raise ValueError(f"A truth table is 2 or 4 outputs, each 0 or 1, not {gate!r}; list them in counting order.")
    return outputs.astype(int)


@dataclass(frozen=True, eq=False)
class GateNetwork:
    """A multilayer perceptron with one output: sigmoid hidden layers, the output a pre-activation.

    layers: sequence of (W, b), W of shape (n_in, n_out) and b of shape (n_out,), for row vectors z = x W + b.
    Every layer sees only the layer before it: a multilayer perceptron has no connections that skip a layer.
    Raises ValueError when shapes do not chain, a value is not finite, or the output is not a single neuron.
    """

    layers: tuple

    def __post_init__(self):
        if len(self.layers) == 0:
            raise ValueError("A network needs at least one layer (W, b), but none was given.")
        checked, width = [], None
        for number, (W, b) in enumerate(self.layers, start=1):
            W, b = np.array(W, dtype=float), np.array(b, dtype=float)
            if W.ndim != 2 or b.shape != W.shape[1:]:
                raise ValueError(
                    f"Layer {number} has W of shape {W.shape} and b of shape {b.shape}; "
                    "give W as (inputs, neurons) and b as (neurons,)."
                )
            if width is not None and W.shape[0] != width:
                raise ValueError(
                    f"Layer {number} takes {W.shape[0]} inputs but layer {number - 1} has {width} neurons; "
                    "W must have one row per neuron before it."
                )
            if not (np.isfinite(W).all() and np.isfinite(b).all()):
                raise ValueError(f"Layer {number} holds a value that is not finite; give plain numbers.")
            W.setflags(write=False)
            b.setflags(write=False)
            checked.append((W, b))
            width = W.shape[1]
        if width != 1:
            raise ValueError(f"The last layer has {width} neurons; a gate has one output, so give it one neuron.")
        object.__setattr__(self, "layers", tuple(checked))

    @property
    def sizes(self):
        """The widths from input to output, such as (2, 2, 1)."""
        return (self.layers[0][0].shape[0], *(W.shape[1] for W, _ in self.layers))

    def hidden(self, inputs):
        """Return the activations of the last hidden layer, or the inputs themselves when there is none.

        inputs: (rows, n_inputs). Returns (rows, width).
        """
        a = self._rows(inputs)
        for W, b in self.layers[:-1]:
            a = sigmoid(a @ W + b)
        return a

    def output(self, inputs):
        """Return the output's pre-activation z for each row of inputs (rows, n_inputs): shape (rows,).

        What is left of z = 0 by rounding, such as 0.3 + 0.6 - 0.9, is 0, for at 0 the class turns.
        """
        W, b = self.layers[-1]
        h = self.hidden(inputs)
        z, size = (h @ W + b)[:, 0], (np.abs(h) @ np.abs(W) + np.abs(b))[:, 0]
        return np.where(np.abs(z) <= 8 * np.finfo(float).eps * size, 0.0, z)

    def classify(self, inputs):
        """Return the class of each row of inputs (rows, n_inputs): 1 where z >= 0, else 0, shape (rows,)."""
        return (self.output(inputs) >= 0).astype(int)

    def _rows(self, inputs):
        rows = np.asarray(inputs, dtype=float)
        if rows.ndim != 2 or rows.shape[1] != self.sizes[0]:
            raise ValueError(
                f"The inputs have shape {rows.shape}; this network takes (rows, {self.sizes[0]}), one row per case."
            )
        return rows


def neuron(weights, bias):
    """Return a network of a single neuron, z = weights . x + bias.

    weights: (n_inputs,); bias: number.
    """
    weights = np.asarray(weights, dtype=float)
    if weights.ndim != 1 or weights.size == 0 or np.ndim(bias) != 0:
        raise ValueError(
            f"A neuron takes a flat list of weights and one bias, not shapes {weights.shape} and {np.shape(bias)}; "
            "give for example neuron([1, 1], 0.5)."
        )
    return GateNetwork(((weights[:, None], np.array([bias], dtype=float)),))


_STRIP = (np.full((2, 2), 4.0), np.array([-2.0, -6.0]))  # a soft OR and a soft AND, both along A + B

SMALLEST = {
    "NOT": neuron([-1], 0.5),
    "AND": neuron([1, 1], -1.5),
    "NAND": neuron([-1, -1], 1.5),
    "OR": neuron([1, 1], -0.5),
    "NOR": neuron([-1, -1], 0.5),
    "XOR": GateNetwork((_STRIP, ([[2], [-2]], [-1]))),
    "XNOR": GateNetwork((_STRIP, ([[-2], [2]], [1]))),
}

# XOR with every bias at zero: z = 4 sigmoid(4(A + B)) - 5 sigmoid(A + B). Six numbers, and no five will do.
XOR_WITHOUT_BIASES = GateNetwork((([[4, 1], [4, 1]], [0, 0]), ([[4], [-5]], [0])))


def smallest_network(gate):
    """Return a smallest network for a gate: fewest layers, then fewest neurons.

    gate: a name in TRUTH. The weights are ours; many others do as well.
    """
    if gate not in tuple(SMALLEST):
        raise ValueError(f"There is no smallest network stored for {gate!r}; choose one of {', '.join(SMALLEST)}.")
    return SMALLEST[gate]


def strip_network(sharpness):
    """Return a 2-2-1 network for XOR whose hidden neurons are OR and AND with weights of a chosen size k > 0.

    h1 = sigmoid(k(A + B - 1/2)), h2 = sigmoid(k(A + B - 3/2)), z = h1 - h2 - c, with c half-way between the values
    of h1 - h2 where XOR is 0 and where it is 1, so that all four rows have the same |z|: half of `strip_gap`.
    """
    k = _positive(sharpness)
    s = np.array([0.0, 1.0])
    difference = sigmoid(k * (s - 0.5)) - sigmoid(k * (s - 1.5))
    return GateNetwork(((np.full((2, 2), k), [-k / 2, -3 * k / 2]), ([[1], [-1]], [-difference.mean()])))


def strip_gap(sharpness):
    """Return how much larger h1 - h2 of `strip_network` is where XOR is 1: (1 - u)^3 / (1 + u^3) with u = e^(-k/2).

    From h1 - h2 at A + B = 1 less that at 0, which is 3 sigmoid(k/2) - sigmoid(3k/2) - 1, with
    sigmoid(k/2) = 1 / (1 + u) and sigmoid(3k/2) = 1 / (1 + u^3). It is positive for every k > 0.
    """
    k = _positive(sharpness)
    return -(math.expm1(-k / 2) ** 3) / (1 + math.exp(-1.5 * k))


@dataclass(frozen=True)
class Row:
    """One line of a truth table as a network computes it."""

    inputs: tuple
    wanted: int
    z: float
    predicted: int

    @property
    def right(self):
        """Whether the predicted class is the wanted one."""
        return self.predicted == self.wanted


def truth_table(network, gate):
    """Return what a network makes of each line of a gate's truth table: a list of Row in counting order.

    Raises ValueError when the network takes another number of inputs than the gate has.
    """
    wanted = truth_of(gate)
    inputs = _corners_for(wanted)
    z, predicted = network.output(inputs), network.classify(inputs)
    return [
        Row(tuple(x.astype(int).tolist()), int(t), float(v), int(p))
        for x, t, v, p in zip(inputs, wanted, z, predicted, strict=True)
    ]


def margin(network, gate):
    """Return how far the closest line of the truth table is from changing class, in units of z.

    The smallest of z over the lines of class 1 and -z over those of class 0; negative when a line is wrong.
    """
    return min(row.z if row.wanted == 1 else -row.z for row in truth_table(network, gate))


def computes(network):
    """Return the truth table that a network computes at its corners, as a tuple of zeros and ones."""
    return tuple(network.classify(corners(network.sizes[0])).tolist())


def parameter_count(sizes):
    """Return the number of weights and biases of an MLP with the given widths, such as (2, 2, 1)."""
    sizes = tuple(sizes)
    if len(sizes) < 2 or any(int(n) != n or n < 1 for n in sizes):
        raise ValueError(f"Sizes run from input to output, whole numbers of at least 1, not {sizes!r}; try (2, 2, 1).")
    return sum((n_in + 1) * n_out for n_in, n_out in zip(sizes[:-1], sizes[1:], strict=True))


def neuron_count(sizes):
    """Return the number of neurons of an MLP with the given widths; inputs compute nothing and are not counted."""
    parameter_count(sizes)
    return sum(sizes[1:])


def collapse(network):
    """Return the single neuron that draws the same boundary as a network whose every layer has width one.

    The sigmoid rises all the way, so z >= 0 can be carried back through it one layer at a time:
    u h + d >= 0 is h >= -d/u (or <=, if u < 0), and h = sigmoid(z') >= r is z' >= log(r / (1 - r)) for 0 < r < 1; for
    other r it holds always or never. What remains is a condition on the first neuron's z: a half-plane.
    Raises ValueError where a layer is wider than one neuron.
    """
    if any(n != 1 for n in network.sizes[1:]):
        raise ValueError(
            f"A network of sizes {network.sizes} has a layer of several neurons; only width one collapses."
        )
    direction, threshold = 1.0, 0.0  # the condition is direction * (z - threshold) >= 0
    for W, b in network.layers[:0:-1]:
        u, d = float(W[0, 0]), float(b[0])
        if u == 0:
            return _constant(network, direction * (d - threshold) >= 0)
        direction, ratio = math.copysign(direction, direction * u), (threshold - d) / u
        if not 0 < ratio < 1:
            return _constant(network, (direction > 0) == (ratio <= 0))
        threshold = math.log(ratio) - math.log1p(-ratio)
    W, b = network.layers[0]
    return neuron(direction * W[:, 0], direction * (b[0] - threshold))


@dataclass(frozen=True)
class Separation:
    """The verdict on one truth table: a line that separates it, or a certificate that none exists.

    weights (n_inputs,) and bias: the neuron, or None. certificate: multipliers (rows,), none negative, that sum to 1,
    or None.
    """

    separable: bool
    weights: tuple | None
    bias: float | None
    certificate: tuple | None


def signed_rows(gate):
    """Return the rows t_i (x_i, 1), t = +1 for class 1 and -1 for class 0: shape (rows, n_inputs + 1).

    A neuron (w, b) computes the gate with room to spare exactly if every row's product with (w, b) is positive.
    """
    wanted = truth_of(gate)
    return np.where(wanted == 1, 1.0, -1.0)[:, None] * np.hstack([_corners_for(wanted), np.ones((len(wanted), 1))])


def separate(gate):
    """Decide by linear programming whether one neuron can compute a gate.

    gate: a name in TRUTH or a tuple of outputs. With t = +1 for class 1 and -1 for class 0, a neuron exists exactly if
    t_i (w . x_i + b) >= 1 has a solution; among all, |w1| + |w2| + |b| is made smallest. If it has none, a second
    program finds Farkas multipliers: lambda >= 0, sum lambda = 1, sum_i lambda_i t_i (x_i, 1) = 0.
    Source: Farkas' lemma, solved by scipy.optimize.linprog (HiGHS).
    """
    signed = signed_rows(gate)
    rows, unknowns = signed.shape
    # (w, b) = u - v with u, v >= 0, so that the sum of absolute values is linear.
    line = linprog(np.ones(2 * unknowns), A_ub=np.hstack([-signed, signed]), b_ub=-np.ones(rows))
    if line.status == 0:
        found = line.x[:unknowns] - line.x[unknowns:]
        return Separation(True, tuple(found[:-1].tolist()), float(found[-1]), None)
    balance = linprog(np.zeros(rows), A_eq=np.vstack([signed.T, np.ones(rows)]), b_eq=np.r_[np.zeros(unknowns), 1.0])
    if line.status != 2 or balance.status != 0:
        raise RuntimeError(f"The linear programs disagree: {line.message} / {balance.message}")
    return Separation(False, None, None, tuple(balance.x.tolist()))


def all_two_input_functions():
    """Return the 16 functions of two inputs: a list of (name, outputs, Separation), counted from 0000 to 1111."""
    return [(name, outputs, separate(outputs)) for outputs, name in FUNCTION_NAMES.items()]


def functions_found(sizes, parameters):
    """Count which two-input functions a batch of networks of one shape computes.

    sizes: widths, input 2, output 1. parameters: (networks, parameter_count(sizes)), for each layer W row by row, then
    b. Returns a dict from outputs (a tuple) to the number of networks. It illustrates; it proves nothing.
    """
    parameters = np.asarray(parameters, dtype=float)
    count = parameter_count(sizes)
    if sizes[0] != 2 or sizes[-1] != 1:
        raise ValueError(f"The search is for two inputs and one output, not for sizes {tuple(sizes)!r}.")
    if parameters.ndim != 2 or parameters.shape[1] != count:
        raise ValueError(
            f"Sizes {tuple(sizes)!r} have {count} parameters, but an array of shape {parameters.shape} was given; "
            "give one row per network."
        )
    a = np.broadcast_to(corners(2), (len(parameters), 4, 2))
    start = 0
    for layer, (n_in, n_out) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
        stop = start + n_in * n_out
        W = parameters[:, start:stop].reshape(-1, n_in, n_out)
        start = stop + n_out
        z = a @ W + parameters[:, None, stop:start]
        a = z if layer == len(sizes) - 2 else sigmoid(z)
    codes, counts = np.unique((a[:, :, 0] >= 0) @ (8, 4, 2, 1), return_counts=True)
    names = list(FUNCTION_NAMES)
    return {names[code]: int(n) for code, n in zip(codes, counts, strict=True)}


def parameter_grid(count, values):
    """Return every choice of `count` parameters from the given values: shape (len(values)**count, count)."""
    if len(values) ** count > 2_000_000:
        raise ValueError(f"{len(values)}^{count} choices are too many to try them all; use fewer values.")
    return np.stack(np.meshgrid(*[np.asarray(values, dtype=float)] * count, indexing="ij"), axis=-1).reshape(-1, count)


def random_search(sizes, networks, largest=8.0, seed=0):
    """Count which functions random networks of one shape compute, as `functions_found` does.

    Parameters are drawn evenly from [-largest, largest], `networks` times.
    """
    if networks < 1 or not largest > 0:
        raise ValueError(f"A search needs networks and a range, both positive, not {networks!r} and {largest!r}.")
    draws = np.random.default_rng(seed).uniform(-largest, largest, size=(networks, parameter_count(sizes)))
    return functions_found(sizes, draws)


def _positive(sharpness):
    k = float(sharpness)
    if not (math.isfinite(k) and k > 0):
        raise ValueError(f"The sharpness must be a positive number, not {sharpness!r}; try 4.")
    return k


def _constant(network, always):
    return neuron(np.zeros(network.sizes[0]), 1.0 if always else -1.0)


def _corners_for(outputs):
    return corners(1 if len(outputs) == 2 else 2)
