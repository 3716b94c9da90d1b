"""What Theory 3 expects, and the slips that lead elsewhere; every wrong value is computed by making the slip."""

from dataclasses import dataclass, replace

import numpy as np

from helpers.checks import FunctionQuestion, Slip
from helpers.core import backprop

_SIZES = ((4, 5, 3), (2, 6, 4), (5, 3, 2))  # N, M, K: all different, so that a product that does not fit shows


def _case(seed, sizes, general=False):
    """Make a random network and return what a forward pass of it knows: o, y, a, W1, W2."""
    rng = np.random.default_rng(seed)
    N, M, K = sizes
    net = backprop.TwoLayerNet(*(rng.normal(size=shape) for shape in ((N, M), (1, M), (M, K), (1, K))))
    y = rng.uniform(0.2, 1.5, (1, K)) if general else backprop.one_hot(int(rng.integers(1, K + 1)), K)
    values = net.forward(rng.normal(size=(1, N)), y)
    return values.o, values.y, values.a, net.W1, net.W2


@dataclass(frozen=True)
class GradientQuestion(FunctionQuestion):
    """A gradient asked for as a function of the first `takes` of o, y, a, W1, W2.

    It is judged first on networks with N = M = K, where a missing transpose still computes something and so can be
    named, then on networks of three different sizes, and at last on labels that do not add up to one.
    """

    takes: int = 2

    def judge(self, *given):
        """Return the verdict on the reader's function; never raises on what a reader can type."""
        square = self._judge_on([_case(seed, (4, 4, 4)) for seed in range(3)], given)
        if square.status != "right":
            return square
        verdict = self._judge_on([_case(seed, sizes) for seed, sizes in enumerate(_SIZES)], given)
        if verdict.status != "right":
            return verdict
        general = self._judge_on([_case(seed, sizes, general=True) for seed, sizes in enumerate(_SIZES)], given)
        if general.status == "right":
            return replace(verdict, sentence="right, and right too when the entries of y do not add up to 1.")
        return replace(verdict, sentence="right for one-hot labels, as asked; it uses that y adds up to 1.")

    def _judge_on(self, cases, given):
        asked = FunctionQuestion(
            id=self.id, points=self.points, parts=self.parts, expected=self.expected, slips=self.slips,
            hints=self.hints, cases=lambda: [case[: self.takes] for case in cases],
        )  # fmt: skip
        return asked.judge(*given)


def _softmax_gradient(o, y):
    return o * y.sum() - y


def _input_gradient(o, y, a, W1, W2):
    return (_softmax_gradient(o, y) @ W2.T * a * (1 - a)) @ W1.T


def _slope(a):
    return a * (1 - a)


def _slope_taken_twice(a):
    return _slope(backprop.sigmoid(a))


QUESTIONS = {
    question.id: question
    for question in (
        GradientQuestion(
            id="3a", points=5, parts=("dE_df2",), expected=_softmax_gradient, takes=2,
            answer="∂E/∂o_k = -y_k/o_k and ∂o_k/∂f2_j = o_k ([k = j] - o_j). Multiplied and summed over k, the o_k "
            "cancel: ∂E/∂f2 = o Σy - y, and a one-hot label adds up to 1.\n    return o - y",
            hints=(
                "Two steps: E depends on o through the logarithms, and every o_k depends on every entry of f2.",
                "∂E/∂o_k = -y_k/o_k, and ∂o_k/∂f2_j = o_k (1[k = j] - o_j). Sum their products over k.",
                "The o_k cancel. What remains is -y_j plus o_j times a sum that a one-hot label makes 1.",
            ),
            slips=(
                Slip("the sign is turned: -log falls as o_k grows, so ∂E/∂f2_k is negative for the right class.",
                     lambda o, y: y - o),
                Slip("this is ∂E/∂o, the derivative of the logarithms; the softmax Jacobian is still to come.",
                     lambda o, y: -y / o),
                Slip("this is -∂E/∂o, and the softmax Jacobian is still to come.", lambda o, y: y / o),
                Slip("only the diagonal of the softmax Jacobian was used; every o_k depends on every entry of f2.",
                     lambda o, y: -y * (1 - o)),
                Slip("the off-diagonal terms of the softmax Jacobian are negative: ∂o_k/∂f2_j = -o_k o_j for k ≠ j.",
                     lambda o, y: -y / o @ (np.diag(o[0]) + o.T @ o)),
                Slip("the diagonal term of the softmax Jacobian, k = j, is missing.", lambda o, y: o * y.sum()),
                Slip("the term with o is missing: the off-diagonal entries of the Jacobian add o_j.", lambda o, y: -y),
                Slip("a factor o (1 - o) is too much: it belongs to a squared error behind sigmoids; here it cancels.",
                     lambda o, y: (o - y) * o * (1 - o)),
                Slip("the entries were summed; the gradient has one entry for each entry of f2.",
                     lambda o, y: np.sum(o - y)),
                Slip("the entries were summed; the gradient has one entry for each entry of f2.",
                     lambda o, y: np.sum(o - y, axis=1, keepdims=True)),
                Slip("the values were divided by K; E is a sum over the classes, not a mean.",
                     lambda o, y: (o - y) / y.size),
                Slip("this is a column; the gradient is a row, like f2.", lambda o, y: (o - y).T),
                Slip("this is the loss itself; its derivative is asked for.",
                     lambda o, y: -np.sum(y * np.log(o))),
            ),
        ),
        GradientQuestion(
            id="3b", points=5, parts=("dE_dx",), expected=_input_gradient, takes=5,
            answer="From ∂E/∂f2 = o - y back through W2, entry by entry through the sigmoid, then through W1.\n"
            "    return ((o - y) @ W2.T * a * (1 - a)) @ W1.T",
            hints=(
                "Walk backwards: from f2 through W2 to a, through the sigmoid to f1, through W1 to x.",
                "f2 = a W2 + b2 is linear in a, so ∂E/∂a = ∂E/∂f2 · W2ᵀ: (1×K)(K×M) = 1×M.",
                "The sigmoid acts on each entry alone, so a(1-a) multiplies entry by entry. W1ᵀ is last.",
            ),
            slips=(
                Slip("the sign is turned: either that of ∂E/∂f2_k, which is positive where o_k is too large, or that "
                     "of a (1 - a), which is never negative.",
                     lambda o, y, a, W1, W2: -_input_gradient(o, y, a, W1, W2)),
                Slip("the factor a (1 - a) is missing: the path leads through the sigmoid.",
                     lambda o, y, a, W1, W2: (o - y) @ W2.T @ W1.T),
                Slip("the sigmoid's derivative was taken at a; a is already σ(f1), so σ'(f1) is a (1 - a).",
                     lambda o, y, a, W1, W2: ((o - y) @ W2.T * _slope_taken_twice(a)) @ W1.T),
                Slip("the factor for the sigmoid is a; its derivative is a (1 - a).",
                     lambda o, y, a, W1, W2: ((o - y) @ W2.T * a) @ W1.T),
                Slip("the factor for the sigmoid is 1 - a; its derivative is a (1 - a).",
                     lambda o, y, a, W1, W2: ((o - y) @ W2.T * (1 - a)) @ W1.T),
                Slip("1 - a² is the derivative of tanh; the sigmoid's is a (1 - a).",
                     lambda o, y, a, W1, W2: ((o - y) @ W2.T * (1 - a**2)) @ W1.T),
                Slip("W2 is not transposed: a gradient goes back through the transpose, (1×K)(K×M).",
                     lambda o, y, a, W1, W2: ((o - y) @ W2 * _slope(a)) @ W1.T),
                Slip("W1 is not transposed: a gradient goes back through the transpose, (1×M)(M×N).",
                     lambda o, y, a, W1, W2: ((o - y) @ W2.T * _slope(a)) @ W1),
                Slip("neither W1 nor W2 is transposed: a gradient goes back through the transposes.",
                     lambda o, y, a, W1, W2: ((o - y) @ W2 * _slope(a)) @ W1),
                Slip("W2 is missing: 3a gives the gradient at f2, and f2 = a W2 + b2 lies between it and a.",
                     lambda o, y, a, W1, W2: ((o - y) * _slope(a)) @ W1.T),
                Slip("W2 and W1 have changed places: going back, W2 comes first.",
                     lambda o, y, a, W1, W2: ((o - y) @ W1.T * _slope(a)) @ W2.T),
                Slip("this is ∂E/∂f1; one step is left, through W1.",
                     lambda o, y, a, W1, W2: (o - y) @ W2.T * _slope(a)),
                Slip("this is ∂E/∂a; two steps are left, through the sigmoid and through W1.",
                     lambda o, y, a, W1, W2: (o - y) @ W2.T),
                Slip("this is ∂E/∂f2; three steps are left.", lambda o, y, a, W1, W2: o - y),
                Slip("a (1 - a) stands after W1; it belongs to f1, so it multiplies before W1.",
                     lambda o, y, a, W1, W2: (o - y) @ W2.T @ W1.T * _slope(a)),
                Slip("a matrix product stands where a (1 - a) must multiply entry by entry (⊙, in NumPy *).",
                     lambda o, y, a, W1, W2: ((o - y) @ W2.T @ _slope(a).T) * W1.T),
                Slip("a matrix product stands where a (1 - a) must multiply entry by entry (⊙, in NumPy *).",
                     lambda o, y, a, W1, W2: ((o - y) @ W2.T).T @ _slope(a) @ W1.T),
                Slip("a matrix product stands where a (1 - a) must multiply entry by entry (⊙, in NumPy *).",
                     lambda o, y, a, W1, W2: _slope(a).T @ ((o - y) @ W2.T) @ W1.T),
                Slip("1 - a was multiplied as a matrix; a (1 - a) is a product entry by entry (⊙, in NumPy *).",
                     lambda o, y, a, W1, W2: ((o - y) @ W2.T * (a @ (1 - a).T)) @ W1.T),
                Slip("the softmax Jacobian is forgotten: -y/o is ∂E/∂o; begin with ∂E/∂f2 of 3a.",
                     lambda o, y, a, W1, W2: ((-y / o) @ W2.T * _slope(a)) @ W1.T),
                Slip("the entries were summed; the gradient has one entry for each entry of x.",
                     lambda o, y, a, W1, W2: np.sum(_input_gradient(o, y, a, W1, W2))),
                Slip("this is a column; the gradient is a row, like x.",
                     lambda o, y, a, W1, W2: _input_gradient(o, y, a, W1, W2).T),
            ),
        ),
    )
}  # fmt: skip
