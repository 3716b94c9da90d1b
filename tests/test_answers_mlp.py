"""The checks of Programming 1: right classes pass however they are written, and every slip, really made, is named."""

import types

import numpy as np
import pytest
import torch

from helpers import datasets
from helpers.answers import check, find
from helpers.answers import mlp as room
from helpers.core import mlp as p1


class Function:
    """An activation made of two formulas: f(x), and its slope from x and f(x)."""

    def __init__(self, f, slope):
        self.f, self.slope = f, slope

    def __call__(self, x):
        return self.forward(x)

    def forward(self, x):
        self.x, self.state = x, self.f(x)
        return self.state

    def derivative(self):
        return self.slope(self.x, self.state)


def activation(f, slope):
    return lambda: Function(f, slope)


def make_type(factory):
    """Turn a factory into a class, since readers pass classes."""
    return type("Made", (), {"__new__": lambda cls, *a: factory()})


SIGMOID = activation(lambda x: 1 / (1 + np.exp(-x)), lambda x, s: s * (1 - s))
TANH = activation(np.tanh, lambda x, t: 1 - t**2)
RELU = activation(lambda x: x * (x > 0), lambda x, r: np.where(x > 0, 1.0, 0.0))
RIGHT = {"Sigmoid": SIGMOID, "Tanh": TANH, "ReLU": RELU}


def with_one(name, f=None, slope=None):
    """Return all three activations, the one called `name` with a formula exchanged."""
    made = RIGHT[name]()
    return [make_type(activation(f or made.f, slope or made.slope) if n == name else RIGHT[n]) for n in RIGHT]


class Criterion:
    """A right criterion; the slips below exchange one method."""

    def __call__(self, x, y):
        return self.forward(x, y)

    def softmax(self, x):
        e = np.exp(x - np.max(x, axis=1, keepdims=True))
        return e / np.sum(e, axis=1, keepdims=True)

    def losses(self, x, y):
        top = np.max(x, axis=1)
        return top + np.log(np.sum(np.exp(x - top[:, None]), axis=1)) - np.sum(x * y, axis=1)

    def forward(self, x, y):
        self.x, self.y, self.o = x, y, self.softmax(x)
        return self.losses(x, y)

    def derivative(self):
        return self.o - self.y


def criterion(**methods):
    return type("Changed", (Criterion,), methods)


class MLP:
    """A right network in the plainest words; the slips below exchange one method or one constant."""

    weight_share = bias_share = 1.0

    def __init__(self, input_size, output_size, hiddens, activations, weight_init_fn, bias_init_fn, criterion, lr):
        self.nn_dim = [input_size, *hiddens, output_size]
        self.activations, self.criterion, self.lr, self.train_mode = activations, criterion, lr, True
        pairs = list(zip(self.nn_dim[:-1], self.nn_dim[1:], strict=True))
        self.W, self.b = [weight_init_fn(*pair) for pair in pairs], [bias_init_fn(d) for _, d in pairs]
        self.dW, self.db = [0 * W for W in self.W], [0 * b for b in self.b]

    def __call__(self, x):
        return self.forward(x)

    def layer(self, h, i):
        return h @ self.W[i] + self.b[i]

    def activate(self, z, i):
        return self.activations[i](z) if i < len(self.activations) else z

    def forward(self, x):
        self.inputs = [x]
        for i in range(len(self.W)):
            self.inputs.append(self.activate(self.layer(self.inputs[-1], i), i))
        self.output = self.inputs[-1]
        return self.output

    def slope(self, i):
        return self.activations[i].derivative() if i < len(self.activations) else 1.0

    def start(self):
        return self.criterion.derivative() / len(self.output)

    def back(self, delta, W):
        return delta @ W.T

    def product(self, h, delta):
        return h.T @ delta

    def keep(self, i, dW, db):
        self.dW[i], self.db[i] = dW, db

    def backward(self, labels):
        self.criterion(self.output, labels)
        delta = self.start()
        for i in reversed(range(len(self.W))):
            delta = delta * self.slope(i)
            dW = self.weight_share * self.product(self.inputs[i], delta)
            self.keep(i, dW, self.bias_share * delta.sum(axis=0))
            delta = self.back(delta, self.W[i])

    def move(self, parameter, gradient):
        return parameter - self.lr * gradient

    def step(self):
        for i in range(len(self.W)):
            self.W[i] = self.move(self.W[i], self.dW[i])
            self.b[i] = self.move(self.b[i], self.db[i])

    def zero_grads(self):
        self.dW, self.db = [0 * W for W in self.W], [0 * b for b in self.b]

    def train(self):
        self.train_mode = True

    def eval(self):
        self.train_mode = False

    def get_loss(self, labels):
        return self.criterion(self.output, labels).sum()

    def wrong(self, labels):
        return np.argmax(self.output, axis=1) != np.argmax(labels, axis=1)

    def get_error(self, labels):
        return self.wrong(labels).sum()


def network(base=MLP, **methods):
    return type("Changed", (base,), methods)


class Momentum(MLP):
    """The same with heavy ball, or any other rule that `velocity` and `along` say."""

    def __init__(self, *arguments, momentum=0.0):
        super().__init__(*arguments)
        self.momentum, self.v = momentum, {}

    def velocity(self, v, g):
        return self.momentum * v + g

    def along(self, old, new):
        return -self.lr * new

    def step(self):
        for key, values, gradients in (("W", self.W, self.dW), ("b", self.b, self.db)):
            for i, g in enumerate(gradients):
                old = self.v.get((key, i), 0 * g)
                self.v[key, i] = self.velocity(old, g)
                values[i] = values[i] + self.along(old, self.v[key, i])


def pieces(**methods):
    return [network(**methods), make_type(SIGMOID), Criterion]


def rule(velocity, along=Momentum.along):
    return [network(Momentum, velocity=velocity, along=along), make_type(SIGMOID), Criterion]


def own_default(m, weight=1.0):
    """A network whose momentum is not 0 unless asked."""

    def start(self, *arguments):
        Momentum.__init__(self, *arguments, momentum=m)

    return [network(Momentum, __init__=start, velocity=lambda self, v, g: m * v + weight * g), make_type(SIGMOID),
            Criterion]  # fmt: skip


RNG = np.random.default_rng(5)


def normal(d0, d1):
    return RNG.normal(size=(d0, d1))


def log_softmax_with_floor(floor):
    return lambda self, x, y: -np.sum(y * np.log(np.maximum(self.softmax(x), floor)), axis=1)


def log_softmax_with_addend(addend):
    return lambda self, x, y: -np.sum(y * np.log(self.softmax(x) + addend), axis=1)


def asking_for_biases(arguments):
    """A network that calls bias_init_fn with `arguments(d)`."""

    def start(self, i, o, h, a, weights, biases, *more):
        MLP.__init__(self, i, o, h, a, weights, lambda d: biases(*arguments(d)), *more)

    return pieces(__init__=start)


def keep_rows(self, i, dW, db):
    MLP.keep(self, i, dW, db[None, :])


def in_place(self):
    for i in range(len(self.W)):
        self.W[i] -= self.lr * self.dW[i]
        self.b[i] -= self.lr * self.db[i]


def in_place_loop(self):
    for W, dW in zip(self.W, self.dW, strict=True):
        W = W - self.lr * dW


def accumulate(self, i, dW, db):
    self.dW[i], self.db[i] = self.dW[i] + dW, self.db[i] + db


def summed(self, x, y):
    return -np.sum(y * np.log(self.softmax(x)), axis=1)


def naive(self, x):
    return np.exp(x) / np.sum(np.exp(x), axis=1, keepdims=True)


def global_shift(self, x):
    e = np.exp(x - x.max())
    return e / e.sum(axis=1, keepdims=True)


def by_axis(axis):
    def forward(self, x, y):
        o = np.exp(x) / np.sum(np.exp(x), axis=axis, keepdims=True)
        return -np.sum(y * np.log(o), axis=1)

    return forward


# Each line is a slip as a reader would make it, and words of the sentence that names it.
S, T, R = "Sigmoid", "Tanh", "ReLU"
SLIPS = [
    ("P1a", with_one(S, f=lambda x: 1 / (1 + np.exp(x))), "sign of the exponent"),
    ("P1a", with_one(S, f=np.tanh), "this is tanh"),
    ("P1a", with_one(S, f=lambda x: np.exp(-x)), "this is e⁻ˣ"),
    ("P1a", with_one(S, f=lambda x: 1 / 1 + np.exp(-x)), "brackets are missing"),
    ("P1a", with_one(S, f=lambda x: np.exp(x) / (1 + np.exp(x))), "eˣ overflowed: use 1 / (1"),
    ("P1a", with_one(S, slope=lambda x, s: x * (1 - x)), "not x (1 - x)"),
    ("P1a", with_one(S, slope=lambda x, s: s), "factor 1 - σ is missing: σ′"),
    ("P1a", with_one(S, slope=lambda x, s: 1 - s), "factor σ is missing: σ′"),
    ("P1a", with_one(S, slope=lambda x, s: SIGMOID().f(s) * (1 - SIGMOID().f(s))), "σ was applied twice"),
    ("P1a", with_one(S, slope=lambda x, s: 1 - s**2), "form of tanh"),
    ("P1a", with_one(S, slope=lambda x, s: s * (s - 1)), "the sigmoid rises"),
    ("P1a", with_one(T, f=lambda x: np.tanh(-x)), "tanh rises"),
    ("P1a", with_one(T, f=SIGMOID().f), "this is the sigmoid"),
    ("P1a", with_one(T, f=lambda x: 2 / (1 + np.exp(-x)) - 1), "tanh(x/2)"),
    ("P1a", with_one(T, f=np.tan), "this is tan"),
    ("P1a", with_one(T, f=lambda x: np.sinh(x) / np.cosh(x)), "np.tanh is safe"),
    ("P1a", with_one(T, slope=lambda x, t: 1 - x**2), "not 1 - x²"),
    ("P1a", with_one(T, slope=lambda x, t: 1 - t), "the square is missing"),
    ("P1a", with_one(T, slope=lambda x, t: 1 - np.tanh(t) ** 2), "tanh was applied twice"),
    ("P1a", with_one(T, slope=lambda x, t: t * (1 - t)), "form of the sigmoid"),
    ("P1a", with_one(T, slope=lambda x, t: t**2), "this is tanh²"),
    ("P1a", with_one(T, slope=lambda x, t: t), "this is tanh itself"),
    ("P1a", with_one(R, f=lambda x: np.minimum(0, x)), "not min(0, x)"),
    ("P1a", with_one(R, f=np.abs), "this is |x|"),
    ("P1a", with_one(R, f=lambda x: np.maximum(0.01 * x, x)), "leaky ReLU; the assignment"),
    ("P1a", with_one(R, f=lambda x: 1.0 * (x > 0)), "this is 0 or 1"),
    ("P1a", with_one(R, f=lambda x: x + 0), "came back as it was"),
    ("P1a", with_one(R, f=lambda x: np.max([x.max(), 0])), "np.max is the largest"),
    ("P1a", with_one(R, slope=lambda x, r: r), "this is ReLU itself"),
    ("P1a", with_one(R, slope=lambda x, r: np.ones(x.shape)), "slope is 1 everywhere"),
    ("P1a", with_one(R, slope=lambda x, r: 1.0 * (x < 0)), "two sides are exchanged"),
    ("P1a", with_one(R, slope=lambda x, r: np.where(x > 0, 1, -1)), "is 0, not -1"),
    ("P1a", with_one(R, slope=lambda x, r: np.where(x > 0, 1, 0.01)), "is 0, not 0.01"),
    ("P1a", with_one(R, slope=lambda x, r: 0 * x), "slope is 0 everywhere"),
    ("P1b", [criterion(losses=lambda s, x, y: summed(s, x, y).sum())], "losses were summed"),
    ("P1b", [criterion(losses=lambda s, x, y: summed(s, x, y).mean())], "losses were averaged"),
    ("P1b", [criterion(losses=lambda s, x, y: summed(s, x, y).reshape(-1, 1))], "stand in a column"),
    ("P1b", [criterion(losses=lambda s, x, y: -summed(s, x, y))], "logarithm of a probability is negative"),
    ("P1b", [criterion(losses=lambda s, x, y: -np.mean(y * np.log(s.softmax(x)), 1))], "divided by the number of cla"),
    ("P1b", [criterion(losses=lambda s, x, y: summed(s, s.softmax(x), y))], "softmax was applied twice"),
    ("P1b", [criterion(losses=lambda s, x, y: -np.sum(y * s.softmax(x), 1))], "the logarithm is missing"),
    ("P1b", [criterion(losses=lambda s, x, y: -np.sum(y * x, 1))], "softmax is missing"),
    ("P1b", [criterion(losses=by_axis(0))], "down the columns"),
    ("P1b", [criterion(losses=by_axis(None))], "over the whole batch"),
    ("P1b", [criterion(losses=lambda s, x, y: -np.sum(np.log(np.where(y == 1, s.softmax(x), 1 - s.softmax(x))), 1))],
     "yes-or-no"),
    ("P1b", [criterion(losses=lambda s, x, y: -np.sum(y * np.log2(s.softmax(x)), 1))], "base 2"),
    ("P1b", [criterion(losses=lambda s, x, y: -np.sum(y * np.log10(s.softmax(x)), 1))], "base 10"),
    ("P1b", [criterion(losses=lambda s, x, y: np.sum((s.softmax(x) - y) ** 2, 1))], "squared error"),
    ("P1b", [criterion(losses=lambda s, x, y: -y * np.log(s.softmax(x)))], "not summed over the classes"),
    ("P1b", [criterion(softmax=naive, losses=summed)], "each row's largest logit before np.exp."),
    ("P1b", [criterion(softmax=global_shift, losses=summed)], "largest logit of the whole batch"),
    *(("P1b", [criterion(losses=put_in(floor))], f"({floor:g})")
      for floor in (1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12, 1e-15, 2**-52, 1e-16, 1e-20, 1e-300)
      for put_in in (log_softmax_with_floor, log_softmax_with_addend)),
    ("P1b", [criterion(losses=summed)], "met a 0"),
    ("P1b", [criterion(losses=lambda s, x, y: -np.log(s.softmax(x)[range(len(x)), y.argmax(1)]))], "met a 0"),
    ("P1b", [criterion(derivative=lambda s: s.y - s.o)], "the sign is turned: it is o - y"),
    ("P1b", [criterion(derivative=lambda s: (s.o - s.y) / len(s.y))], "already divided by the batch size"),
    ("P1b", [criterion(derivative=lambda s: s.o)], "the label is missing: it is o - y"),
    ("P1b", [criterion(derivative=lambda s: -s.y / s.o)], "this is -y/o"),
    ("P1b", [criterion(derivative=lambda s: (s.o - s.y) * s.o * (1 - s.o))], "too much"),
    ("P1b", [criterion(derivative=lambda s: np.sum(s.o - s.y, 0))], "it was summed over the batch"),
    ("P1b", [criterion(derivative=lambda s: np.mean(s.o - s.y, 0))], "it was averaged over the batch"),
    ("P1b", [criterion(derivative=lambda s: (s.o - s.y) / s.y.shape[1])], "it was divided by the number of classes"),
    ("P1b", [criterion(derivative=lambda s: np.where(s.y == 1, s.o - 1, 0))], "only the entry of the right class"),
    ("P1b", [criterion(derivative=lambda s: s.x - s.y)], "logits stand where"),
    ("P1b", [criterion(derivative=lambda s: naive(s, s.x) - s.y)], "though not in the loss"),
    ("P1c", [lambda a, b: RNG.normal(size=(b, a)), np.zeros], "the shape is turned"),
    ("P1c", [lambda a, b: RNG.random((a, b)), np.zeros], "between 0 and 1"),
    ("P1c", [lambda a, b: 2 * RNG.random((a, b)) - 1, np.zeros], "between -1 and 1"),
    ("P1c", [lambda a, b: 12**0.5 * (RNG.random((a, b)) - 0.5), np.zeros], "the spread is 1, but"),
    ("P1c", [lambda a, b: normal(a, b) * np.sqrt(2 / a), np.zeros], "N(0, 2/d0)"),
    ("P1c", [lambda a, b: normal(a, b) / np.sqrt(a), np.zeros], "N(0, 1/d0)"),
    ("P1c", [lambda a, b: normal(a, b) / 100, np.zeros], "by 0.01"),
    ("P1c", [lambda a, b: normal(a, b) * 0.02, np.zeros], "by 0.02"),
    ("P1c", [lambda a, b: normal(a, b) * 0.05, np.zeros], "by 0.05"),
    ("P1c", [lambda a, b: normal(a, b) / 10, np.zeros], "by 0.1;"),
    ("P1c", [lambda a, b: normal(a, b) + 1, np.zeros], "the mean is 1"),
    ("P1c", [lambda a, b: np.abs(normal(a, b)), np.zeros], "absolute values"),
    ("P1c", [lambda a, b: np.zeros((a, b)), np.zeros], "all weights are 0"),
    ("P1c", [lambda a, b: np.ones((a, b)), np.zeros], "all weights are 1"),
    ("P1c", [lambda a, b: RNG.normal(size=b), np.zeros], "one number for each neuron"),
    ("P1c", [lambda a, b: np.random.default_rng(1).normal(size=(a, b)), np.zeros], "two calls gave the same"),
    ("P1c", [normal, lambda d: np.zeros((1, d))], "shape is (1, d)"),
    ("P1c", [normal, lambda d: np.zeros((d, 1))], "shape is (d, 1)"),
    ("P1c", [normal, np.ones], "these are ones"),
    ("P1c", [normal, lambda d: np.zeros((d, d))], "shape is (d, d)"),
    ("P1c", [normal, lambda d: 0], "one number came back"),
    ("P1d", pieces(__init__=lambda s, i, o, h, a, w, *more: MLP.__init__(s, i, o, h, a, lambda p, q: w(q, p), *more)),
     "they are turned"),
    ("P1d", asking_for_biases(lambda d: (1, d)), "bias_init_fn was called with 1, 5; give it the number of neurons"),
    ("P1d", asking_for_biases(lambda d: ()), "bias_init_fn was called with nothing"),
    ("P1d", asking_for_biases(lambda d: (d, (1, d))), "bias_init_fn was called with 5, (1, 5)"),
    ("P1d", asking_for_biases(lambda d: ((1, d),)), "bias_init_fn was called with (1, 5); give it the number"),
    ("P1d", pieces(layer=lambda s, h, i: h @ s.W[i]), "biases are not added"),
    ("P1d", pieces(layer=lambda s, h, i: h @ s.W[i] - s.b[i]), "biases are subtracted"),
    ("P1d", pieces(activate=lambda s, z, i: z), "no activation: f(x W + b)"),
    ("P1d", pieces(activate=lambda s, z, i: s.activations[0](z)), "the output layer passed through"),
    ("P1d", pieces(forward=lambda s, x: Criterion().softmax(MLP.forward(s, x))), "forward returned probabilities"),
    ("P1d", pieces(activate=lambda s, z, i: s.activations[i](z) if i < 2 else z), "last activation was ignored"),
    ("P1d", pieces(get_loss=lambda s, y: MLP.get_loss(s, y) / len(y)), "it is the mean over the batch"),
    ("P1d", pieces(get_loss=lambda s, y: s.criterion(s.output, y)), "one loss for each sample; give"),
    ("P1d", pieces(get_loss=lambda s, y: -MLP.get_loss(s, y)), "get_loss in train mode, without backward: the sign"),
    ("P1d", pieces(get_loss=lambda s, y: s.criterion(s.criterion.softmax(s.output), y).sum()), "softmax was applied b"),
    ("P1d", pieces(get_loss=lambda s, y: MLP.get_loss(s, y) / 3), "losses were divided by the number of classes"),
    ("P1d", pieces(get_error=lambda s, y: s.wrong(y).mean()), "it is a rate"),
    ("P1d", pieces(get_error=lambda s, y: (~s.wrong(y)).sum()), "counts the right predictions"),
    ("P1d", pieces(get_error=lambda s, y: 100 * s.wrong(y).mean()), "it is a percentage"),
    ("P1d", pieces(get_error=lambda s, y: (~s.wrong(y)).mean()), "share of right"),
    ("P1d", pieces(get_error=lambda s, y: (s.output != y).sum()), "entry by entry"),
    ("P1d", pieces(get_error=lambda s, y: (s.output.argmax(0) != y.argmax(0)).sum()), "down the columns; argmax"),
    ("P1d", pieces(start=lambda s: s.criterion.derivative()), "it is the sum over the batch; divide"),
    ("P1d", pieces(start=lambda s: MLP.start(s) / len(s.output)), "divided by the batch size twice"),
    ("P1d", pieces(start=lambda s: s.criterion.derivative() / s.output.shape[1]), "sum over the batch, divided by the"),
    ("P1d", pieces(bias_share=5), "the biases' are sums"),
    ("P1d", pieces(weight_share=5), "the weights' are sums"),
    ("P1d", pieces(bias_share=1 / 5), "the biases' are divided by the batch size twice"),
    ("P1d", pieces(start=lambda s: -MLP.start(s)), "begin with o - y, and let step subtract"),
    ("P1d", pieces(slope=lambda s, i: 1.0), "derivative is missing on the way back"),
    ("P1d", pieces(slope=lambda s, i: s.inputs[i + 1] if i < 2 else 1), "factor 1 - σ is missing in"),
    ("P1d", pieces(slope=lambda s, i: 1 - s.inputs[i + 1] if i < 2 else 1), "factor σ is missing in"),
    ("P1d", pieces(slope=lambda s, i: SIGMOID().f(s.inputs[i + 1]) * (1 - SIGMOID().f(s.inputs[i + 1]))
                   if i < 2 else 1), "taken at its output"),
    ("P1d", pieces(start=lambda s: s.criterion.o / len(s.output)), "the label is missing: begin"),
    ("P1d", pieces(back=lambda s, d, W: d @ W if W.shape[1] == d.shape[1] == len(W) else d @ W.T), "a transpose is mi"),
    ("P1d", pieces(product=lambda s, h, d: d.T @ h), "dW is transposed"),
    ("P1d", pieces(back=lambda s, d, W: d @ W), "a transpose is missing"),
    ("P1d", pieces(keep=accumulate), "backward must assign"),
    ("P1d", pieces(slope=lambda s, i: MLP.slope(s, i) if i < 2 else 1.0), "through the output's activation"),
    ("P1d", pieces(move=lambda s, p, g: p + s.lr * g), "descent subtracts lr times"),
    ("P1d", pieces(move=lambda s, p, g: p - g), "the learning rate is missing"),
    ("P1d", pieces(move=lambda s, p, g: p - s.lr * g / len(s.output)), "divides by the batch size once more"),
    ("P1d", pieces(move=lambda s, p, g: p - s.lr * g * len(s.output)), "multiplies by the batch size"),
    ("P1d", pieces(move=lambda s, p, g: p - s.lr * g if p.ndim == 2 else p), "the biases did not move"),
    ("P1d", pieces(move=lambda s, p, g: p - s.lr * g if p.ndim == 1 else p), "the weights did not move"),
    ("P1d", pieces(step=in_place_loop), "nothing moved"),
    ("P1d", pieces(keep=keep_rows, step=in_place), "b[0] has shape (5,) and db[0] (1, 5); give both the shape (d,)"),
    ("P1d", pieces(step=lambda s: s.W[0].reshape(7)), "step raised ValueError (cannot reshape"),
    *(("P1d", own_default(m, weight), f"momentum {m} is at work")
      for m in (0.9, 0.5, 0.8, 0.95, 0.99) for weight in (1.0, 1 - m)),
    ("P1d", own_default(1.0), "gradients are added up instead"),
    ("P1d", pieces(zero_grads=lambda s: None), "every dW and db to 0"),
    ("P1d", pieces(eval=lambda s: None), "not False and True"),
    ("P1d", rule(lambda s, v, g: s.momentum * v + (s.lr if s.momentum else 1) * g), "learning rate enters twice"),
    ("P1d", rule(Momentum.velocity, lambda s, old, new: s.lr * new * (1 if s.momentum else -1)), "velocity was added"),
    ("P1d", rule(lambda s, v, g: g - s.momentum * v), "with the wrong sign: v = m v + g"),
    ("P1d", rule(lambda s, v, g: (1 - s.momentum) * v + s.momentum * g if s.momentum else g), "changed places"),
    ("P1d", rule(Momentum.velocity, lambda s, old, new: -s.lr * (old if s.momentum else new)), "old velocity is used"),
    ("P1d", rule(lambda s, v, g: v + g if s.momentum else g), "not damped"),
    ("P1e", [-0.1], "cannot be negative"),
    ("P1e", [183], "looks like a count"),
    ("P1e", [1.83], "looks like a percentage"),
    ("P1e", [0.981], "guessing errs on 90 %"),
    ("P1e", [0.6], "If this is the accuracy"),
    ("P1e", [0.0], "not one of 10,000"),
    ("P1e", [0.0005], "beyond all that was ever published"),
]  # fmt: skip


@pytest.mark.parametrize(("question", "given", "words"), SLIPS, ids=[f"{q} {w}" for q, _, w in SLIPS])
def test_every_slip_is_named_when_it_is_made(question, given, words):
    verdict = check(question, *given)
    assert verdict.status == "wrong" and words in verdict.sentence, verdict
    assert verdict.earned == 0 and "\n" not in verdict.sentence


@pytest.mark.parametrize("question", room.QUESTIONS)
def test_no_slip_is_listed_that_nobody_makes_here(question):
    slips = {slip.sentence for slip in find(question).slips}
    said = " ".join(check(q, *given).sentence for q, given, _ in SLIPS if q == question)
    assert len(slips) >= 5
    assert [sentence for sentence in slips if sentence not in said] == []


def test_a_gradient_list_may_be_empty_until_the_first_backward():
    class Late(MLP):
        def __init__(self, *arguments, **more):
            super().__init__(*arguments, **more)
            self.dW = [None] * len(self.W)

    assert check("P1d", Late, make_type(SIGMOID), Criterion).status == "right"
    assert check("P1d", MLP, make_type(SIGMOID)(), Criterion()).status == "right"  # instances are copied


def test_a_stub_is_not_a_mistake():
    def stub(*_):
        raise NotImplemented  # noqa: F901

    assert check("P1b", criterion(losses=stub)).status == "unanswered"


def test_a_list_that_makes_no_array_is_told_in_a_sentence():
    sentence = check("P1c", lambda d0, d1: [np.zeros(d1), 1.0], np.zeros).sentence
    assert "random_normal_weight_init returned a list whose rows differ in length; give an array." in sentence


def test_right_pieces_pass_however_they_are_written_and_given():
    plain = [MLP, make_type(SIGMOID), Criterion]
    ours = types.SimpleNamespace(**vars(p1))
    for question, *given in (
        ("P1a", *(make_type(f) for f in RIGHT.values())),
        ("P1a", *(f() for f in RIGHT.values())),
        ("P1a", {name.lower(): make_type(f) for name, f in RIGHT.items()}),
        ("P1a", p1),
        ("P1b", Criterion),
        ("P1b", p1.SoftmaxCrossEntropy()),
        ("P1c", p1),
        ("P1c", np.random.randn, np.zeros),
        ("P1d", *plain),
        ("P1d", p1),
        ("P1d", ours),
        ("P1d", Momentum, *plain[1:]),
    ):
        verdict = check(question, *given)
        assert verdict.status == "right" and verdict.earned == verdict.points, (question, verdict)


def test_averages_are_as_good_as_heavy_ball():
    def begun_at_the_gradient(self, v, g):
        return g if not self.momentum or not np.any(v) else self.momentum * v + (1 - self.momentum) * g

    assert check("P1d", *rule(lambda s, v, g: s.momentum * v + (1 - s.momentum) * g)).status == "right"
    assert check("P1d", *rule(begun_at_the_gradient)).status == "right"


def test_biases_may_be_rows():
    """The assignment says (d,) of what bias_init_fn returns, and nothing of what a network makes of it."""

    def start(self, i, o, h, a, weights, biases, *more):
        MLP.__init__(self, i, o, h, a, weights, lambda d: biases(d)[None, :], *more)

    assert check("P1d", *pieces(__init__=start, step=in_place)).status == "right"
    assert check("P1d", *pieces(__init__=start, keep=keep_rows, step=in_place)).status == "right"


def test_single_precision_will_do():
    def single(*arguments):
        return p1.MLP(*arguments, dtype=np.float32)

    assert check("P1d", single, p1.Sigmoid, p1.SoftmaxCrossEntropy).status == "right"


def clips(x):
    x[x < 0] = 0
    return x


def test_writing_into_what_is_given_is_seen():
    assert "writes into the array" in check("P1a", *with_one("ReLU", f=clips)).sentence

    def forward(self, x, y):
        loss = Criterion.forward(self, x.copy(), y)
        x -= x.max(axis=1, keepdims=True)
        return loss

    assert "writes into the logits" in check("P1b", criterion(forward=forward)).sentence


class Skeleton:
    def __init__(self, *arguments):
        pass

    def __call__(self, *arguments):
        return self.forward(*arguments)

    def forward(self, *arguments):
        return ...

    def derivative(self):
        raise NotImplementedError


def test_what_is_not_written_yet_is_unanswered_and_what_returns_nothing_is_told():
    empty = type("Empty", (Skeleton,), {"forward": lambda self, *arguments: None})
    half = type("Half", (Skeleton,), {"forward": lambda self, x: np.tanh(x)})
    assert check("P1b", Skeleton).status == "unanswered"
    assert "derivative is not written yet" in check("P1a", make_type(SIGMOID), half, half).sentence
    assert "returned nothing" in check("P1b", empty).sentence
    assert check("P1d", MLP, ..., Criterion).status == "unanswered"
    assert "(1 given)" not in check("P1d", MLP).sentence and check("P1d", MLP).status == "unreadable"


def test_errors_and_exits_are_told_not_raised():
    def leaves(*arguments):
        raise SystemExit("bye")

    assert "raised SystemExit (bye)" in check("P1b", leaves).sentence
    assert "raised ValueError" in check("P1d", *pieces(layer=lambda s, h, i: h @ s.W[i].T)).sentence
    assert "raised AttributeError" in check("P1d", *pieces(__init__=lambda s, *a: None)).sentence


def test_the_expected_values_agree_with_autograd():
    """PyTorch's own functions and autograd lead to the same numbers as the probes of the room."""
    x = torch.tensor(room._POINTS, requires_grad=True)
    for name, f in (("Sigmoid", torch.sigmoid), ("Tanh", torch.tanh), ("ReLU", torch.relu)):
        ours = room._ACTIVATIONS[name][0]
        (slope,) = torch.autograd.grad(f(x).sum(), x)
        np.testing.assert_allclose(ours(room._POINTS), f(x).detach(), atol=1e-12)
        np.testing.assert_allclose(room._central(ours, room._POINTS), slope, atol=1e-8)
    for logits, labels in ((room._LOGITS, room._LABELS), (room._HUGE, room._HUGE_LABELS)):
        theirs = torch.nn.functional.cross_entropy(torch.tensor(logits), torch.tensor(labels), reduction="none")
        np.testing.assert_allclose(room._losses(logits, labels), theirs, atol=1e-9)
    for sizes in (room._SIZES, room._SQUARE):
        W, b, x, y = room.probes.example(sizes)
        leaves = [torch.tensor(a, requires_grad=True) for a in W + b]
        h = torch.tensor(x)
        for i in range(3):
            h = h @ leaves[i] + leaves[3 + i]
            h = torch.sigmoid(h) if i < 2 else h
        loss = torch.nn.functional.cross_entropy(h, torch.tensor(y))
        found = torch.cat([g.ravel() for g in torch.autograd.grad(loss, leaves)])
        np.testing.assert_allclose(room._numeric(sizes), found, atol=1e-8)
        np.testing.assert_allclose(room._backward(sizes), found, atol=1e-12)


@pytest.mark.parametrize(("rate", "points"), [(0.0499, 10), (0.05, 5), (0.0999, 5), (0.1, 3), (0.1999, 3), (0.2, 0)])
def test_bands_of_the_error_rate(rate, points):
    assert check("P1e", rate).earned == points
    assert check("P1e", [torch.tensor(rate)][0]).earned == points


class Reader:
    """Knows the labels of the pictures it is shown, as trained networks do, but for a share that it misreads."""

    def __init__(self, labels, wrong=0.0, constant=False, value=1.0):
        self.labels, self.at, self.wrong, self.constant, self.value = labels, 0, wrong, constant, value

    def forward(self, x):
        shown = self.labels[self.at : self.at + len(x)].astype(int)
        self.at += len(x)
        shown = (shown + (np.arange(len(x)) < self.wrong * len(x))) % 10
        return self.value * np.eye(10)[shown * (not self.constant)]


def test_a_network_is_measured_on_the_test_images(monkeypatch):
    real = datasets.generate(datasets.MNIST)
    monkeypatch.setattr(datasets, "mnist", lambda part: real)
    labels = real.test_labels
    assert "only MNIST counts" in check("P1e", Reader(labels)).sentence
    real = type("Real", (), {"test_images": real.test_images, "test_labels": labels, "is_stand_in": False})
    for wrong, points in ((0.03, 10), (0.07, 5), (0.15, 3), (0.5, 0)):
        verdict = check("P1e", Reader(labels, wrong))
        assert verdict.earned == points and "measured on" in verdict.sentence
        assert f"{100 * wrong:.2f} %" in verdict.sentence
    assert "says 0 to every picture" in check("P1e", Reader(labels, constant=True)).sentence
    assert "NaN" in check("P1e", Reader(labels, value=np.nan)).sentence
    assert "as by guessing" in check("P1e", Reader(labels, wrong=1)).sentence
    assert "raised" in check("P1e", MLP(9, 10, [], [], normal, np.zeros, Criterion(), 0.1)).sentence


# As the template's contract has it: only the methods that it names can be called.
Plain = type("Plain", (), {k: v for k, v in vars(MLP).items() if k not in ("__call__", "__dict__", "__weakref__")})


def with_rule(rule):
    """An MLP that takes a momentum and steps by `rule(network, old velocity, gradient)`, (step, new velocity)."""

    class Own(MLP):
        def __init__(self, *arguments, momentum=0.0):
            super().__init__(*arguments)
            self.momentum, self.v = momentum, {}

        def step(self):
            for name in ("W", "b"):
                for i, gradient in enumerate(getattr(self, f"d{name}")):
                    step, self.v[name, i] = rule(self, self.v.get((name, i)), gradient)
                    getattr(self, name)[i] = getattr(self, name)[i] - self.lr * step

    return Own


def nesterov(network, v, g):
    v = g if v is None else network.momentum * v + g
    return g + network.momentum * v, v


def reading_a(network, v, g):
    v = g if v is None else v
    return (v if network.momentum else g), network.momentum * v + (1 - network.momentum) * g


def test_no_rule_of_momentum_costs_points_that_the_assignment_does_not_ask_for():
    unused = type("Unused", (MLP,), {"__init__": lambda self, *arguments, **more: MLP.__init__(self, *arguments)})
    for network in (Plain, unused, with_rule(nesterov), with_rule(reading_a)):
        assert check("P1d", network, p1.Sigmoid, p1.SoftmaxCrossEntropy).earned == 10, network


@pytest.mark.parametrize("wrong", [
    lambda s, y: 3,
    lambda s, y: int((s.output.argmin(1) != y.argmax(1)).sum()),
    lambda s, y: int((np.abs(s.output).argmax(1) != y.argmax(1)).sum()),
])  # fmt: skip
def test_a_count_that_is_right_by_chance_is_found_out(wrong):
    network = type("Lucky", (MLP,), {"get_error": wrong})
    verdict = check("P1d", network, p1.Sigmoid, p1.SoftmaxCrossEntropy)
    assert verdict.status == "wrong" and "get_error" in verdict.sentence


def test_a_derivative_that_spoils_what_is_stored_is_told_so():
    def spoiling(self):
        self.o -= self.y
        return self.o

    assert "a second call of derivative" in check("P1b", criterion(derivative=spoiling)).sentence

    class Once(p1.Sigmoid):
        def derivative(self):
            self.state = self.state * (1 - self.state)
            return self.state

    assert "Sigmoid, derivative: a second call" in check("P1a", Once, p1.Tanh, p1.ReLU).sentence


def test_a_single_class_may_come_in_a_dict_or_module():
    assert check("P1b", p1).earned == check("P1b", {"softmaxcrossentropy": p1.SoftmaxCrossEntropy}).earned == 5
    assert "give SoftmaxCrossEntropy, the class itself; SoftmaxCrossEntropy is a dict" in check("P1b", {}).sentence


def test_a_measured_network_is_left_in_its_mode_and_told_what_it_returned():
    if datasets.mnist(part="test").is_stand_in:
        pytest.skip("no MNIST here")

    class Answers:
        train_mode = True

        def __init__(self, answer):
            self.forward = answer

        def train(self):
            self.train_mode = True

        def eval(self):
            self.train_mode = False

    labels = Answers(lambda x: np.zeros(len(x)))
    assert "returned shape (1000,); logits of shape (1000, 10)" in check("P1e", labels).sentence and labels.train_mode
    assert "NaN or infinity" in check("P1e", Answers(lambda x: np.full((len(x), 10), np.inf))).sentence
    assert check("P1e", Answers(lambda x: ...)).status == "unanswered"
