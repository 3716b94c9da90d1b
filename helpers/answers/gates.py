"""What Theory 2 expects: any network that computes the gate and is as small as one can be, whatever its weights."""

from dataclasses import dataclass

import numpy as np

from helpers.checks import Question, Slip, read_number
from helpers.core import gates


@dataclass(frozen=True)
class GateQuestion(Question):
    """A question answered by the weights and biases of a network, judged by its truth table and its size.

    One neuron is given as its weights and its bias, one number each; a network layer by layer as W, b, W, b, ... with
    one column of W a neuron. Every slip's `make(network)` returns the truth table that the network would have if the
    slip were no mistake: where that is the wanted one, the slip is recognised.
    """

    gate: str = "AND"

    def judge(self, *given):
        """Return the verdict on the reader's network; never raises on what a reader can type."""
        if not given or any(value is ... for value in given):
            return self._unanswered()
        network, trouble = self._read(given)
        if trouble:
            return self._verdict("unreadable", trouble)
        rows = gates.truth_table(network, self.gate)
        if all(row.right for row in rows):
            return self._judge_size(network)
        return self._verdict("wrong", self._name_the_mistake(network, rows))

    def _judge_size(self, network):
        smallest = gates.smallest_network(self.gate).sizes
        if len(network.sizes) > len(smallest):
            return self._verdict(
                "wrong",
                f"every row is right, but the network has {len(network.sizes) - 1} layers of neurons; "
                f"fewer will do, and fewest layers come first.",
            )
        if gates.neuron_count(network.sizes) > gates.neuron_count(smallest):
            return self._verdict(
                "wrong",
                f"every row is right, but the network has {gates.neuron_count(network.sizes)} neurons; fewer will do.",
            )
        margin = gates.margin(network, self.gate)
        tie = " A row lies exactly on the boundary and is right only because z = 0 counts as class 1."
        return self._verdict(
            "right",
            f"every row is right and nothing smaller would do; the margin is {margin:.4g}.{tie if margin == 0 else ''}",
            self.points,
        )

    def _name_the_mistake(self, network, rows):
        needs_two = gates.smallest_network(self.gate).sizes == (2, 2, 1)
        wrong = next(row for row in rows if not row.right)
        found = [slip.sentence for slip in self.slips if tuple(slip.make(network)) == gates.TRUTH[self.gate]]
        tied = [row for row in rows if row.z == 0 and not row.right]
        does = gates.computes(network)
        if needs_two and len(network.sizes) == 2:
            return (
                f"no single neuron computes {self.gate}: its boundary is one line. Yours fails at {_where(wrong)}; "
                "add a hidden layer."
            )
        if needs_two and set(network.sizes[1:]) == {1}:
            return (
                f"a network of width one rises or falls along one direction, so it computes no more than one neuron. "
                f"Yours fails at {_where(wrong)}; how many neurons must stand side by side?"
            )
        if tied:
            return f"z is exactly 0 at {_where(tied[0])}; a tie counts as class 1, and class 0 is wanted there."
        another = does in gates.TRUTH.values()
        if found and not (another and len(network.sizes) == 2):
            return found[0]
        if all(not row.right for row in rows):
            return _TURNED.sentence
        if set(does) == {0, 1} and len(does) == 4:
            return (
                f"your network computes {gates.FUNCTION_NAMES[does]}, not {self.gate}: z is {wrong.z:.4g} at "
                f"{_where(wrong)}, where class {wrong.wanted} is wanted."
            )
        here = f"z is {wrong.z:.4g} at {_where(wrong)}, where class {wrong.wanted} is wanted"
        return f"every input gets class {does[0]}: {here}."

    def _read(self, given):
        inputs = 1 if self.gate == "NOT" else 2
        arrays = []
        for position, value in enumerate(given, start=1):
            array, trouble = read_number(value)
            if trouble:
                return None, f"value {position} {trouble}"
            if np.any(np.abs(array) > 1e6):
                return None, f"value {position} holds a number beyond a million; weights of a few units are enough."
            arrays.append(array)
        if len(arrays) == inputs + 1 and all(a.size == 1 for a in arrays):
            arrays = [a.reshape(()) for a in arrays]
        if all(a.ndim == 0 for a in arrays):
            if len(arrays) != inputs + 1:
                names = "a weight and a bias" if inputs == 1 else "two weights and a bias"
                return None, (
                    f"numbers alone describe one neuron, {names}, but {len(arrays)} were given; "
                    "write a larger network as W1, b1, W2, b2."
                )
            return gates.neuron(arrays[:-1], float(arrays[-1])), ""
        if len(arrays) % 2:
            return None, f"give W and b of every layer, so an even number of arrays, not {len(arrays)}."
        try:
            network = gates.GateNetwork(tuple(_layers(arrays)))
        except ValueError as error:
            return None, str(error)
        if network.sizes[0] != inputs:
            return None, f"the first W has {network.sizes[0]} rows; give one row an input, so {inputs}."
        return network, ""


def _layers(arrays):
    for number in range(0, len(arrays), 2):
        W, b = arrays[number], np.atleast_1d(arrays[number + 1])
        if W.ndim < 2:
            W = W.reshape(-1, 1)  # the weights of one neuron: the natural way to write the last layer
        yield W, (b.ravel() if b.size == W.shape[1] else b)


def _run(network, activation=gates.sigmoid, threshold=0.0, inputs=None, layers=None):
    """Return the truth table of `network` with one thing changed: the slip that a reader may have made."""
    a = gates.corners(network.sizes[0]) if inputs is None else inputs
    layers = network.layers if layers is None else layers
    for number, (W, b) in enumerate(layers, start=1):
        a = a @ W + b
        if number < len(layers):
            a = activation(a)
    return tuple((a[:, 0] >= threshold).astype(int).tolist())


def _step(z):
    return (z >= 0).astype(float)


def _bias_subtracted(network):
    return _run(network, layers=[(W, -b) for W, b in network.layers])


def _transposed(network):
    square = [(W.T if W.shape[0] == W.shape[1] > 1 else W, b) for W, b in network.layers]
    return _run(network, layers=square)


def _where(row):
    return f"A = {row.inputs[0]}" if len(row.inputs) == 1 else f"(A, B) = {row.inputs}"


def _ours(gate):
    """Return our network for `gate` in the form in which a reader gives one."""
    layers = gates.smallest_network(gate).layers
    if len(layers) == 1:
        return (*layers[0][0][:, 0], layers[0][1][0])
    return tuple(array for layer in layers for array in layer)


_BIAS = Slip(
    "the bias has the wrong sign: here it is added, z = w·x + b; a threshold θ would be b = -θ.", _bias_subtracted
)
_HALF = Slip(
    "this would be right if class 1 began at z ≥ ½; it begins at z ≥ 0, which after a sigmoid would read σ(z) ≥ ½.",
    lambda network: _run(network, threshold=0.5),
)
_BIPOLAR = Slip(
    "these weights fit inputs -1 and +1; the inputs here are 0 and 1.",
    lambda network: _run(network, inputs=2 * gates.corners(network.sizes[0]) - 1),
)
_TIE = Slip(
    "this would be right if class 1 began above 0; a row has z = 0, and a tie counts as class 1.",
    lambda network: _run(network, threshold=np.nextafter(0.0, 1.0)),
)
_TURNED = Slip(
    "every row is turned round: change the signs of the output's weights and of its bias.",
    lambda network: tuple(1 - output for output in gates.computes(network)),
)
_SOFT = Slip(
    "this would be right if the hidden neurons were hard steps; the sigmoid is soft, and h is not yet near 0 or 1. "
    "Make the hidden weights and biases larger, or move the output's bias.",
    lambda network: _run(network, activation=_step),
)
_LINEAR = Slip(
    "this would be right with hidden neurons that cut off at 0 (ReLU); the activation here is the sigmoid.",
    lambda network: _run(network, activation=lambda z: np.maximum(z, 0)),
)
_ROWS = Slip(
    "W of the hidden layer lies on its side: with z = x W + b, column j holds the weights of neuron j.", _transposed
)
_PRINTED = Slip(
    "this is NOT as printed: with bias -0.5, z is below 0 for both inputs. At A = 0 only the bias is left; which sign "
    "must it have?",
    lambda network: gates.TRUTH["NOT"] if _equal(network, [-1], -0.5) else gates.computes(network),
)


def _equal(network, weights, bias):
    return network.sizes == (len(weights), 1) and np.allclose(
        [*network.layers[0][0][:, 0], network.layers[0][1][0]], [*weights, bias]
    )


_ONE = ("w1", "w2", "b")
_TWO = ("W1", "b1", "W2", "b2")
_SINGLE_HINTS = (
    "At (0, 0) only the bias is left. Which sign must it have?",
    "Give A and B the same weight, 1 or -1: then z depends on A + B alone, which is 0, 1 or 2.",
    "Put the change of sign half-way between the two values of A + B that must be told apart.",
)
_STRIP_HINTS = (
    "Two lines cut out a diagonal strip. Which two gates that you know have these lines?",
    "h1 = OR and h2 = AND: XOR is the first without the second. What weights must z give them?",
    "The sigmoid is soft: with weights 4 and biases -2 and -6 the hidden neurons come near 0 and 1. For z, look at "
    "h1 - h2 in the three cases A + B = 0, 1, 2, and put the change of sign between.",
)
_OUTSIDE_HINTS = (
    "Two lines cut out a diagonal strip, and class 1 lies on both sides of it. Which two gates have these lines?",
    "h1 = OR and h2 = AND: XNOR is 1 where the first is off or the second is on. What weights must z give them?",
    "The sigmoid is soft: with weights 4 and biases -2 and -6 the hidden neurons come near 0 and 1. For z, look at "
    "h2 - h1 in the three cases A + B = 0, 1, 2: the bias must lift two of them to 0 or above, and leave one below.",
)


_WAYS = {
    1: "one neuron, z = weights · inputs + bias, with the change of sign half-way between the rows to tell apart:",
    2: "no line cuts out a diagonal strip, so two hidden neurons do, a soft OR and a soft AND (columns of W1):",
}


def _gate(gate, points, parts=_ONE, hints=_SINGLE_HINTS, slips=(_BIAS, _HALF, _BIPOLAR, _TIE, _TURNED)):
    return GateQuestion(
        id=f"2 {gate}", points=points, parts=parts, expected=lambda: _ours(gate), slips=slips, hints=hints, gate=gate,
        answer=_WAYS[len(gates.smallest_network(gate).layers)],
    )  # fmt: skip


def _strip(gate, hints):
    return _gate(gate, 3, _TWO, hints, (_ROWS, _SOFT, _BIAS, _HALF, _BIPOLAR, _LINEAR, _TIE, _TURNED))


def _printed():
    return (gates.computes(gates.neuron([-1], -0.5)),)


def _printed_z():
    return gates.neuron([-1], -0.5).output(gates.corners(1))


QUESTIONS = {
    question.id: question
    for question in (
        Question(
            id="2 printed", points=0, parts=("the row of classes",), expected=_printed, decimals=2,
            answer="z = -A - 0.5 is below 0 for both inputs:",
            slips=(
                Slip(
                    "class 1 twice comes from asking whether σ(z) is ≥ 0; it always is. The threshold is for z itself.",
                    lambda: ((gates.sigmoid(_printed_z()) >= 0).astype(float),),
                ),
                Slip("these are the z; the class is 1 where z is at least 0, and else 0.", lambda: (_printed_z(),)),
                Slip("these are σ(z); the class is 1 where z is at least 0, and else 0.",
                     lambda: (gates.sigmoid(_printed_z()),)),
                Slip("this is what NOT should do; what does z = -A - 0.5 do?", lambda: (gates.TRUTH["NOT"],)),
            ),
            hints=("z is -0.5 at A = 0 and -1.5 at A = 1; class 1 begins at 0.",),
        ),
        _gate("NOT", 0, ("w", "b"), slips=(_PRINTED, _BIAS, _HALF, _BIPOLAR, _TIE, _TURNED), hints=(
            "At A = 0 only the bias is left, and class 1 is wanted: b ≥ 0.",
            "At A = 1 class 0 is wanted: w + b < 0.",
        )),
        _gate("AND", 3),
        _gate("OR", 3),
        _gate("NAND", 0),
        _gate("NOR", 0),
        _strip("XOR", _STRIP_HINTS),
        _strip("XNOR", _OUTSIDE_HINTS),
    )
}  # fmt: skip
