"""What Programming 1 expects of a reader's own classes: they are run on small inputs, and so are the known slips.

Each question is a series of probes. A probe runs one thing that the contract asks for and compares what comes back
with the right values and with those of every slip, computed here by making the slip. The first probe that fails speaks.
"""

import contextlib
import io
import types
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from helpers import datasets
from helpers.checks import BandQuestion, Question, Slip, Verdict
from helpers.core import probes


@dataclass(frozen=True)
class Probe:
    """One thing to try: `run(*pieces)` returns an array that should be `right()`; `what` names it in a sentence.

    Every slip's `make()` returns the array that the mistake gives; `said` is for values that nothing explains;
    `same(value, other)` compares the reader's array with another.
    """

    what: str
    run: Callable
    right: Callable
    slips: Sequence[Slip] = ()
    said: str = "its values are not right."
    same: Callable | None = None  # `_same` when left out

    def trouble(self, pieces):
        """Return one sentence about what is wrong, an empty one if nothing is, or `...` if nothing is there yet."""
        value, error = _attempt(partial(self.run, *pieces))
        if error:
            return f"{self.what} {error}"
        if hasattr(value, "detach"):
            value = value.detach()
        try:
            array = np.asarray(value)
        except ValueError:  # so numpy refuses lists that make no array
            return f"{self.what} returned a {type(value).__name__} whose rows differ in length; give an array."
        if array.dtype == object and array.shape == ():
            return ... if value is ... or array.item() is ... else f"{self.what} returned nothing; end it with return."
        try:
            value = array.astype(float)
        except (TypeError, ValueError):
            return f"{self.what} returned a {type(value).__name__}; numbers are asked for."
        same = self.same if self.same is not None else _same
        right = np.asarray(self.right(), dtype=float)
        if same(value, right):
            return ""
        found = [slip.sentence for slip in self.slips if same(value, np.asarray(_silently(slip.make), dtype=float))]
        if found:
            return f"{self.what}: {' Or: '.join(dict.fromkeys(found))}"
        if value.shape != right.shape:
            return f"{self.what} has shape {value.shape}; {right.shape} is asked for."
        if not np.all(np.isfinite(value)):
            return f"{self.what} holds NaN or infinity; look for an overflow or the logarithm of 0."
        return f"{self.what}: {self.said}"


@dataclass(frozen=True)
class PieceQuestion(Question):
    """A question answered by classes or functions of the reader's own; `probes` try them in order.

    The pieces may be given one by one, or all at once as a dict or as a module that has them under their names.
    """

    probes: Sequence[Probe] = ()
    source: Callable = str

    def worked(self) -> str:
        """Return the worked answer: the source of our own pieces."""
        return self.source()

    def judge(self, *given) -> Verdict:
        """Return the verdict on the reader's pieces; never raises on what a reader can pass."""
        several = len(self.parts) > 1 or (len(given) == 1 and isinstance(given[0], dict | types.ModuleType))
        if len(given) == 1 and several and given[0] is not ...:
            given = self._by_name(given[0])
        if not given or any(piece is ... for piece in given):
            return self._unanswered()
        asked = f"give {', '.join(self.parts)}, "
        asked += "in this order and without calling them" if len(self.parts) > 1 else "the class itself"
        if len(given) != len(self.parts):
            return self._verdict("unreadable", f"{asked}; {len(given)} given.")
        for name, piece in zip(self.parts, given, strict=True):
            if not callable(piece):
                return self._verdict("unreadable", f"{asked}; {name} is a {type(piece).__name__}.")
        for probe in self.probes:
            trouble = probe.trouble(given)
            if trouble is ...:
                return self._verdict("unanswered", f"{probe.what} is not written yet.")
            if trouble:
                return self._verdict("wrong", " ".join(trouble.split()))
        return self._verdict("right", "right.", self.points)

    def _by_name(self, holder):
        if isinstance(holder, dict):
            named = {key.lower(): piece for key, piece in holder.items() if isinstance(key, str)}
            found = [named.get(name.lower()) for name in self.parts]
        else:
            found = [_attempt(partial(getattr, holder, name, None))[0] for name in self.parts]
        return (holder,) if any(piece is None for piece in found) else tuple(found)


def _attempt(run):
    """Return what `run()` returns and an empty string, or None and the rest of a sentence about what it raised."""
    try:
        return _silently(run), ""
    except NotImplementedError:
        return ..., ""
    except TypeError as error:
        if "must derive from BaseException" in str(error):  # raise NotImplemented, a stub with a slip of its own
            return ..., ""
        return None, f"raised TypeError ({str(error)[:200]})."
    except (Exception, SystemExit) as error:
        return None, f"raised {type(error).__name__} ({str(error)[:200]})."


def _silently(run):
    with np.errstate(all="ignore"), warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        return run()


def _same(value, right):
    """Tell whether two arrays agree to five digits of the largest entry, so that float32 will do; NaN equals NaN."""
    if value.shape != right.shape:
        return False
    largest = max(1.0, float(np.max(np.abs(right), initial=0.0, where=np.isfinite(right))))
    return bool(np.allclose(value, right, rtol=0, atol=1e-5 * largest, equal_nan=True))


# --------------------------------------------------------------------------------------------------- a: activations

_POINTS = np.array([[-2.5, -0.8, -0.1], [0.3, 1.2, 3.1]])
_FAR = np.array([[-800.0, 800.0]])


def _sigmoid(x):
    return 0.5 + 0.5 * np.tanh(0.5 * x)


def _relu(x):
    return np.maximum(x, 0.0)


def _central(f, x, step=1e-6):
    return (f(x + step) - f(x - step)) / (2 * step)


_ACTIVATIONS: dict[str, tuple] = {  # the function, then the slips of forward and of derivative
    "Sigmoid": (
        _sigmoid,
        (
            ("the sign of the exponent is turned: σ(x) = 1 / (1 + e⁻ˣ).", lambda x: _sigmoid(-x)),
            ("this is tanh; the sigmoid lies between 0 and 1.", np.tanh),
            ("this is e⁻ˣ; the rest of 1 / (1 + e⁻ˣ) is missing.", lambda x: np.exp(-x)),
            ("the brackets are missing: 1 / 1 + e⁻ˣ adds e⁻ˣ to 1.", lambda x: 1 + np.exp(-x)),
            ("eˣ overflowed: use 1 / (1 + e⁻ˣ), which only ever tends to 0.", lambda x: np.exp(x) / (1 + np.exp(x))),
        ),
        (
            ("the input stands where the stored output belongs: σ′ = σ (1 - σ), not x (1 - x).", lambda x: x * (1 - x)),
            ("the factor 1 - σ is missing: σ′ = σ (1 - σ).", _sigmoid),
            ("the factor σ is missing: σ′ = σ (1 - σ).", lambda x: 1 - _sigmoid(x)),
            ("σ was applied twice: the stored output already is σ(x).", lambda x: _slope(_sigmoid(_sigmoid(x)))),
            ("1 - σ² is the form of tanh; the sigmoid's is σ (1 - σ).", lambda x: 1 - _sigmoid(x) ** 2),
            ("the sign is turned: the sigmoid rises, so its slope is positive.", lambda x: -_slope(_sigmoid(x))),
        ),
    ),
    "Tanh": (
        np.tanh,
        (
            ("the sign of x is turned: tanh rises.", lambda x: -np.tanh(x)),
            ("this is the sigmoid; tanh lies between -1 and 1.", _sigmoid),
            ("this is tanh(x/2): a sigmoid stretched to (-1, 1) needs 2x inside.", lambda x: np.tanh(x / 2)),
            ("this is tan, not tanh.", np.tan),
            ("eˣ overflowed: np.tanh is safe for any x.",
             lambda x: (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x))),
        ),
        (
            ("the input stands where the stored output belongs: tanh′ = 1 - tanh², not 1 - x².", lambda x: 1 - x**2),
            ("the square is missing: tanh′ = 1 - tanh².", lambda x: 1 - np.tanh(x)),
            ("tanh was applied twice: the stored output already is tanh(x).", lambda x: 1 - np.tanh(np.tanh(x)) ** 2),
            ("t (1 - t) is the form of the sigmoid; tanh′ = 1 - tanh².", lambda x: np.tanh(x) * (1 - np.tanh(x))),
            ("this is tanh²; 1 - tanh² is asked for.", lambda x: np.tanh(x) ** 2),
            ("this is tanh itself.", np.tanh),
        ),
    ),
    "ReLU": (
        _relu,
        (
            ("the negative values were kept: ReLU is max(0, x), not min(0, x).", lambda x: np.minimum(x, 0)),
            ("this is |x|; ReLU gives 0 for negative x.", np.abs),
            ("this is a leaky ReLU; the assignment's gives 0 for negative x.", lambda x: np.where(x > 0, x, 0.01 * x)),
            ("this is 0 or 1; ReLU gives x where x is positive.", lambda x: (x > 0).astype(float)),
            ("x came back as it was.", lambda x: x),
            ("one number came back: np.max is the largest entry, np.maximum compares entry by entry.",
             lambda x: np.max(x)),
        ),
        (
            ("this is ReLU itself; its slope is 1 where x > 0, and 0 elsewhere.", _relu),
            ("the slope is 1 everywhere; it is 0 for negative x.", np.ones_like),
            ("the two sides are exchanged: the slope is 0 for negative x.", lambda x: (x < 0).astype(float)),
            ("the slope for negative x is 0, not -1.", np.sign),
            ("the slope for negative x is 0, not 0.01; that is a leaky ReLU.", lambda x: np.where(x > 0, 1, 0.01)),
            ("the slope is 0 everywhere; it is 1 for positive x.", np.zeros_like),
        ),
    ),
}  # fmt: skip


def _slope(stored):
    return stored * (1 - stored)


def _activation_probes(number, name):
    f, forward, derivative = _ACTIVATIONS[name]

    def at(x, slips):
        return tuple(Slip(sentence, partial(make, x)) for sentence, make in slips)

    return (
        Probe(
            f"{name}, forward", partial(probes.activated, number, _POINTS), partial(f, _POINTS), at(_POINTS, forward)
        ),
        Probe(f"{name} at ±800", partial(probes.activated, number, _FAR), partial(f, _FAR), at(_FAR, forward)),
        Probe(
            f"{name}, forward", partial(probes.overwritten, number, _POINTS), lambda: _POINTS,
            said="it writes into the array that it is given; compute a new one.",
        ),
        Probe(
            f"{name}, derivative", partial(probes.derived, number, _POINTS), partial(_central, f, _POINTS),
            at(_POINTS, derivative), said="it does not agree with a central difference.",
        ),
        Probe(
            f"{name}, derivative", partial(probes.derived_again, number, _POINTS), partial(_central, f, _POINTS),
            said="a second call gives something else than the first; leave in place what forward has stored.",
        ),
    )  # fmt: skip


# --------------------------------------------------------------------------------------------------- b: criterion

_LOGITS = np.array([[1.0, -0.5, 2.0], [0.3, 0.1, -1.2], [-2.0, 1.5, 0.4], [0.0, 3.0, 1.0]])
_LABELS = np.eye(3)[[0, 2, 1, 0]]
_HUGE = np.array([[1e4, 9.99e3, -1e4], [0.0, -1e4, 1e4]])
_HUGE_LABELS = np.eye(3)[[1, 0]]
_UNEVEN = np.array([[800.0, 799.0, 798.0], [1.0, 2.0, 0.5]])  # rows of very different size


def _softmax(x, axis=1, most=None):
    e = np.exp(x - (x.max(axis=1, keepdims=True) if most is None else most))
    return e / e.sum(axis=axis, keepdims=True)


def _losses(x, y):
    most = x.max(axis=1, keepdims=True)
    return np.log(np.exp(x - most).sum(axis=1)) - (y * (x - most)).sum(axis=1)


def _cross(o, y):
    return -(y * np.log(o)).sum(axis=1)


def _per_sample(change):
    return lambda x, y: change(_losses(x, y))


_UNDERFLOW = (
    "the logarithm met a 0: a probability underflowed. Never form o to take its logarithm; write "
    "log o_k = x_k - log Σ exp x_j with the largest logit taken out first."
)
_UNDERFLOW_SLIPS = (
    *(
        Slip(
            f"a small number was added or a floor set inside the logarithm ({floor:g}), which caps the loss; write "
            "log o_k = x_k - log Σ exp x_j with the largest logit taken out first.",
            lambda floor=floor, put_in=put_in: _cross(put_in(_softmax(_HUGE), floor), _HUGE_LABELS),
        )
        for floor in (1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12, 1e-15, 2**-52, 1e-16, 1e-20, 1e-300)
        for put_in in (np.maximum, np.add)
    ),
    Slip(_UNDERFLOW, lambda: _cross(_softmax(_HUGE), _HUGE_LABELS)),
    Slip(_UNDERFLOW, lambda: -np.log((_HUGE_LABELS * _softmax(_HUGE)).sum(axis=1))),
)
_LOSS_SLIPS = (
    ("the losses were summed; forward gives one for each sample, and get_loss of the MLP adds them up.",
     _per_sample(np.sum)),
    ("the losses were averaged; forward gives one for each sample.", _per_sample(np.mean)),
    ("the losses stand in a column; one number for each sample, shape (n,), is asked for.",
     _per_sample(lambda losses: losses[:, None])),
    ("the sign is turned: the logarithm of a probability is negative, the loss positive.", _per_sample(np.negative)),
    ("the losses were divided by the number of classes; they are sums over the classes.",
     lambda x, y: _losses(x, y) / x.shape[1]),
    ("softmax was applied twice.", lambda x, y: _losses(_softmax(x), y)),
    ("the logarithm is missing.", lambda x, y: -(y * _softmax(x)).sum(axis=1)),
    ("softmax is missing: this is minus the right logit.", lambda x, y: -(y * x).sum(axis=1)),
    ("softmax ran down the columns; each row is one sample, so it sums over axis 1.",
     lambda x, y: _cross(_softmax(x, axis=0, most=0), y)),
    ("softmax ran over the whole batch; each row is one sample, so it sums over axis 1.",
     lambda x, y: _cross(np.exp(x) / np.exp(x).sum(), y)),
    ("the terms with 1 - y belong to ten separate yes-or-no questions; here it is -Σ y log o.",
     lambda x, y: _cross(_softmax(x), y) - ((1 - y) * np.log(1 - _softmax(x))).sum(axis=1)),
    ("the logarithm is that of base 2; the natural one is meant.", _per_sample(lambda losses: losses / np.log(2))),
    ("the logarithm is that of base 10; the natural one is meant.", _per_sample(lambda losses: losses / np.log(10))),
    ("this is the squared error.", lambda x, y: ((_softmax(x) - y) ** 2).sum(axis=1)),
    ("the entries were not summed over the classes.", lambda x, y: -y * np.log(_softmax(x))),
)  # fmt: skip
_GRADIENT_SLIPS = (
    ("the sign is turned: it is o - y.", lambda o, y: y - o),
    ("it is already divided by the batch size; o - y is asked for, and the MLP takes the mean.",
     lambda o, y: (o - y) / len(y)),
    ("the label is missing: it is o - y.", lambda o, y: o),
    ("this is -y/o, the gradient at o; with softmax it becomes o - y.", lambda o, y: -y / o),
    ("a factor o (1 - o) is too much: with cross-entropy it cancels.", lambda o, y: (o - y) * o * (1 - o)),
    ("it was summed over the batch; each sample keeps its own row.", lambda o, y: (o - y).sum(axis=0)),
    ("it was averaged over the batch; each sample keeps its own row.", lambda o, y: (o - y).mean(axis=0)),
    ("it was divided by the number of classes.", lambda o, y: (o - y) / y.shape[1]),
    ("only the entry of the right class is there; every logit has a slope.", lambda o, y: (o - y) * y),
    ("the logits stand where the probabilities belong: it is softmax(x) - y.", lambda o, y: _LOGITS - y),
)  # fmt: skip


_CRITERION_PROBES = (
    Probe("the loss", partial(probes.loss_of, _LOGITS, _LABELS), lambda: _losses(_LOGITS, _LABELS),
          tuple(Slip(sentence, partial(make, _LOGITS, _LABELS)) for sentence, make in _LOSS_SLIPS)),
    Probe("the loss of rows of very different size", partial(probes.loss_of, _UNEVEN, _HUGE_LABELS),
          lambda: _losses(_UNEVEN, _HUGE_LABELS),
          (
              Slip("the largest logit of the whole batch was subtracted; take each row's own (axis=1, keepdims=True).",
                   lambda: _cross(_softmax(_UNEVEN, most=_UNEVEN.max()), _HUGE_LABELS)),
              Slip("the exponentials overflowed: subtract each row's largest logit before np.exp.",
                   lambda: _cross(_softmax(_UNEVEN, most=0), _HUGE_LABELS)),
          )),
    Probe("the loss of logits of ±10,000", partial(probes.loss_of, _HUGE, _HUGE_LABELS),
          lambda: _losses(_HUGE, _HUGE_LABELS), _UNDERFLOW_SLIPS),
    Probe("the gradient", partial(probes.gradient_of, _LOGITS, _LABELS), lambda: _softmax(_LOGITS) - _LABELS,
          tuple(Slip(sentence, lambda make=make: make(_softmax(_LOGITS), _LABELS))
                for sentence, make in _GRADIENT_SLIPS)),
    Probe("the gradient at logits of ±10,000", partial(probes.gradient_of, _HUGE, _HUGE_LABELS),
          lambda: _softmax(_HUGE) - _HUGE_LABELS,
          (Slip("the exponentials overflowed here, though not in the loss: use the same shifted logits.",
                lambda: _softmax(_HUGE, most=0) - _HUGE_LABELS),)),
    Probe("the gradient", partial(probes.gradient_again, _LOGITS, _LABELS), lambda: _softmax(_LOGITS) - _LABELS,
          said="a second call of derivative gives something else than the first; leave in place what forward stored."),
    Probe("the criterion", partial(probes.given_back, _LOGITS, _LABELS), lambda: np.concatenate([_LOGITS, _LABELS]),
          said="it writes into the logits or the labels that it is given; compute new arrays."),
)  # fmt: skip


# --------------------------------------------------------------------------------------------------- c: first values

_SHAPE = (300, 250)  # 1/√300 is no round number: N(0, 1/d0) is not mistaken for weights times 0.05


def _like(value, sample):
    """Tell whether an array of weights looks drawn as `sample` was: same shape, mean, spread and tails."""
    if value.shape != sample.shape or not np.all(np.isfinite(value)):
        return False
    if sample.ndim < 2:
        return True
    spread = sample.std()
    near = abs(value.mean() - sample.mean()) <= 0.03 * spread and abs(value.std() - spread) <= 0.02 * spread
    tails = [np.mean(np.abs(w - w.mean()) > 2 * w.std()) for w in (value, sample)]
    return bool(near and abs(tails[0] - tails[1]) <= 0.007)


def _drawn(make):
    return lambda: make(np.random.default_rng(0))


_WEIGHT_SLIPS = tuple(
    Slip(sentence, _drawn(make))
    for sentence, make in (
        ("the shape is turned: d0 inputs are the rows, d1 neurons the columns.",
         lambda rng: rng.standard_normal(_SHAPE[::-1])),
        ("the numbers are uniform between 0 and 1 (np.random.rand); N(0, 1) is np.random.randn.",
         lambda rng: rng.uniform(0, 1, _SHAPE)),
        ("the numbers are uniform between -1 and 1; N(0, 1) is asked for.", lambda rng: rng.uniform(-1, 1, _SHAPE)),
        ("the spread is 1, but the numbers are uniform; N(0, 1) is asked for.",
         lambda rng: rng.uniform(-(3**0.5), 3**0.5, _SHAPE)),
        ("this is N(0, 2/d0), the scaled init of He; a fine idea, but N(0, 1) is asked for.",
         lambda rng: rng.standard_normal(_SHAPE) * (2 / _SHAPE[0]) ** 0.5),
        ("this is N(0, 1/d0); N(0, 1) is asked for.", lambda rng: rng.standard_normal(_SHAPE) / _SHAPE[0] ** 0.5),
        *(
            (f"the numbers were multiplied by {factor:g}; N(0, 1) is asked for.",
             lambda rng, factor=factor: rng.standard_normal(_SHAPE) * factor)
            for factor in (0.01, 0.02, 0.05, 0.1)
        ),
        ("the mean is 1; that of N(0, 1) is 0.", lambda rng: rng.normal(1, 1, _SHAPE)),
        ("these are absolute values; half of the numbers of N(0, 1) are negative.",
         lambda rng: np.abs(rng.standard_normal(_SHAPE))),
        ("all weights are 0: then all neurons of a layer stay alike for ever.", lambda rng: np.zeros(_SHAPE)),
        ("all weights are 1: then all neurons of a layer stay alike for ever.", lambda rng: np.ones(_SHAPE)),
        ("one number for each neuron came back; each of its d0 inputs needs its own.",
         lambda rng: rng.standard_normal(_SHAPE[1])),
    )
)  # fmt: skip
_BIAS_SLIPS = (
    Slip("the shape is (1, d); (d,) is asked for.", lambda: np.zeros((1, 7))),
    Slip("the shape is (d, 1); (d,) is asked for.", lambda: np.zeros((7, 1))),
    Slip("these are ones.", lambda: np.ones(7)),
    Slip("the shape is (d, d); a layer has one bias for each neuron.", lambda: np.zeros((7, 7))),
    Slip("one number came back; a layer has one bias for each neuron.", lambda: 0.0),
)


def _alike(value, right):
    return value.shape == right.shape and bool(np.all(value == right))


_INIT_PROBES = (
    Probe("random_normal_weight_init", partial(probes.weights_drawn, _SHAPE),
          _drawn(lambda rng: rng.standard_normal(_SHAPE)), _WEIGHT_SLIPS,
          said="the numbers do not look like draws from N(0, 1), mean 0 and standard deviation 1.", same=_like),
    Probe("random_normal_weight_init", partial(probes.weights_repeat, (3, 4)),
          lambda: False, said="two calls gave the same numbers: do not seed the generator inside the function."),
    Probe("zeros_bias_init", partial(probes.biases_made, 7), lambda: np.zeros(7), _BIAS_SLIPS, same=_alike),
)  # fmt: skip


# --------------------------------------------------------------------------------------------------- d: the network

_RATE, _BATCH, _M = probes.RATE, probes.BATCH, probes.MOMENTUM
_BATCHES = (3, 4, 5)  # seeds of further batches: in a single one a wrong count may be right by chance
_SIZES, _SQUARE = probes.SIZES, probes.SQUARE


def _forward(W, b, x, output=lambda z: z, hidden=_sigmoid, sign=1):
    """Return the logits of the example's network, and the input of each layer."""
    inputs = [x]
    for i, (weights, bias) in enumerate(zip(W, b, strict=True)):
        z = inputs[-1] @ weights + sign * bias
        inputs.append(output(z) if i == len(W) - 1 else hidden(z))
    return inputs[-1], inputs[:-1]


def _backward(sizes=_SIZES, slope=_slope, back=lambda d, W: d @ W.T, product=lambda h, d: h.T @ d, W_factor=1.0,
              b_factor=1.0, start=lambda o, y: o - y, late=False):  # fmt: skip
    """Return the gradients of the example's mean loss in one row, with one line exchanged: the reader's slip."""
    W, b, x, y = probes.example(sizes)
    logits, inputs = _forward(W, b, x)
    delta = start(_softmax(logits), y) / len(x)
    dW: list[np.ndarray] = []
    db: list[np.ndarray] = []
    for i in reversed(range(len(W))):
        dW.insert(0, W_factor * product(inputs[i], delta))
        db.insert(0, b_factor * delta.sum(axis=0))
        if i:
            delta = back(delta, W[i]) * slope(inputs[i])
    return probes.row(dW + db)


def _numeric(sizes=_SIZES, output=lambda z: z, step=1e-5):
    """Return the same gradients by central differences of the mean loss, which know nothing of backpropagation."""
    W, b, x, y = probes.example(sizes)
    slopes = []
    for parameter in W + b:
        for place in np.ndindex(parameter.shape):
            kept, values = parameter[place], []
            for value in (kept + step, kept - step):
                parameter[place] = value
                values.append(_losses(_forward(W, b, x, output)[0], y).mean())
            parameter[place] = kept
            slopes.append((values[0] - values[1]) / (2 * step))
    return np.array(slopes)


def _steps(update=lambda g: -_RATE * g, twice=None):
    """Return how far the parameters are from the start after one step and after two with the same gradient."""
    one = update(_backward())
    return np.array([one, 2 * one if twice is None else twice(_backward())])


def _only(weights):
    count = probes.row(probes.example()[0]).size
    return lambda g: -_RATE * np.where((np.arange(g.size) < count) == weights, g, 0)


def _case_loss():
    W, b, x, y = probes.example()
    return _losses(_forward(W, b, x)[0], y)


def _case_errors(seed=1):
    (W, b), (x, y) = probes.example()[:2], probes.example(seed=seed)[2:]
    return int((_forward(W, b, x)[0].argmax(axis=1) != y.argmax(axis=1)).sum())


def _case_logits(**change):
    W, b, x, _ = probes.example()
    return _forward(W, b, x, **change)[0]


_FORWARD_SLIPS = (
    Slip("the biases are not added: z = x W + b.", lambda: _case_logits(sign=0)),
    Slip("the biases are subtracted: z = x W + b.", lambda: _case_logits(sign=-1)),
    Slip("the hidden layers have no activation: f(x W + b).", lambda: _case_logits(hidden=lambda z: z)),
    Slip("the output layer passed through an activation; with len(hiddens) activations it has none.",
         lambda: _case_logits(output=_sigmoid)),
    Slip("forward returned probabilities; softmax belongs to the criterion, forward returns the logits.",
         lambda: _softmax(_case_logits())),
)  # fmt: skip
_GET_LOSS_SLIPS = (
    Slip("it is the mean over the batch; get_training_stats divides by the number of samples, so give the sum.",
         lambda: _case_loss().mean()),
    Slip("it is one loss for each sample; give their sum.", _case_loss),
    Slip("the sign is turned.", lambda: -_case_loss().sum()),
    Slip("softmax was applied before the criterion, which applies it too.",
         lambda: _losses(_softmax(_case_logits()), probes.example()[3]).sum()),
    Slip("the losses were divided by the number of classes.", lambda: _case_loss().sum() / _SIZES[-1]),
)  # fmt: skip
_GET_ERROR_SLIPS = (
    Slip("it is a rate; get_training_stats divides by the number of samples, so give the count.",
         lambda: _case_errors() / _BATCH),
    Slip("it counts the right predictions; count the wrong ones.", lambda: _BATCH - _case_errors()),
    Slip("it is a percentage; give the count.", lambda: 100 * _case_errors() / _BATCH),
    Slip("it is the share of right predictions; count the wrong ones.", lambda: 1 - _case_errors() / _BATCH),
    Slip("predictions were compared entry by entry, over all classes; compare the positions of the largest (argmax).",
         lambda: (_case_logits() != probes.example()[3]).sum()),
    Slip("the largest entry was looked for down the columns; argmax needs axis=1.",
         lambda: (_case_logits().argmax(axis=0) != probes.example()[3].argmax(axis=0)).sum()),
)  # fmt: skip


def _slips_of_backward(sizes):
    n, k = _BATCH, sizes[-1]

    def made(sentence, **change):
        return Slip(sentence, partial(_backward, sizes, **change))

    common = (
        made("it is the sum over the batch; divide by the number of samples.", W_factor=n, b_factor=n),
        made("it is divided by the batch size twice.", W_factor=1 / n, b_factor=1 / n),
        made("it is the sum over the batch, divided by the number of classes.", W_factor=n / k, b_factor=n / k),
        made("the weights' are means, the biases' are sums: divide both by the batch size.", b_factor=n),
        made("the biases' are means, the weights' are sums: divide both by the batch size.", W_factor=n),
        made("the biases' are divided by the batch size twice: delta already is the mean's, so sum it.",
             b_factor=1 / n),
        made("the sign is turned: begin with o - y, and let step subtract.", start=lambda o, y: y - o),
        made("the activation's derivative is missing on the way back.", slope=np.ones_like),
        made("the factor 1 - σ is missing in the activation's derivative.", slope=lambda s: s),
        made("the factor σ is missing in the activation's derivative.", slope=lambda s: 1 - s),
        made("the activation's derivative was taken at its output; use the stored state.",
             slope=lambda s: _slope(_sigmoid(s))),
        made("the label is missing: begin with o - y.", start=lambda o, y: o),
    )  # fmt: skip
    if sizes == _SIZES:
        return common
    return (
        *common,
        made("a transpose is missing: a gradient goes back through W.T.", back=lambda d, W: d @ W),
        made("dW is transposed: it is inputs.T @ delta, with the shape of W.", product=lambda h, d: d.T @ h),
    )


_STEP_SLIPS = (
    Slip("the sign is turned: descent subtracts lr times the gradient.", lambda: _steps(lambda g: _RATE * g)),
    Slip("the learning rate is missing.", lambda: _steps(lambda g: -g)),
    Slip("it divides by the batch size once more; the gradients already are means.",
         lambda: _steps(lambda g: -_RATE * g / _BATCH)),
    Slip("it multiplies by the batch size; the gradients are means.", lambda: _steps(lambda g: -_RATE * g * _BATCH)),
    Slip("the biases did not move.", lambda: _steps(_only(True))),
    Slip("the weights did not move.", lambda: _steps(_only(False))),
    Slip("nothing moved: step changes no W and no b. (In a loop, W = W - lr * dW only names a new array; write "
         "self.W[i] -= ...)",
         lambda: _steps(np.zeros_like)),
    *(
        Slip(f"momentum {m} is at work; without being asked for it is 0.",
             lambda m=m: _steps(twice=lambda g: -(2 + m) * _RATE * g))
        for m in (0.9, 0.5, 0.8, 0.95, 0.99)
    ),
    *(
        Slip(f"momentum {m} is at work; without being asked for it is 0.",
             lambda m=m: _steps(lambda g: -_RATE * (1 - m) * g, lambda g: -_RATE * (1 - m) * (2 + m) * g))
        for m in (0.9, 0.5, 0.8, 0.95, 0.99)
    ),
    Slip("the second step is longer than the first: gradients are added up instead of used.",
         lambda: _steps(twice=lambda g: -3 * _RATE * g)),
)  # fmt: skip


def _without_momentum_or(value, right):
    """Compare two momentum walks; a constructor without the keyword gives an empty array, which is as right."""
    return value.size == 0 or any(_same(value, walk) for walk in (right, *_fair_walks()))


def _fair_walks():
    """The walks of other rules that are as good as heavy ball.

    The averages v = m v + (1 - m) g, begun at 0 or at the first gradient, of which the latter may also step along the
    old v (readings B and A of Eq. 5); Nesterov's; and none at all, for the contract asks for no momentum.
    """

    def average(v, g):
        return _M * v + (1 - _M) * g

    first, second = probes.momentum_gradients()
    return [
        _walk(average), _walk(average, begin=1.0), np.cumsum([-_RATE * first, -_RATE * first], axis=0),
        np.cumsum([-_RATE * (1 + _M) * first, -_RATE * ((1 + _M) * second + _M**2 * first)], axis=0),
        _walk(lambda v, g: g),
    ]  # fmt: skip


def _walk(velocity, begin=0.0, move=lambda p, v: -_RATE * v):
    """Return the places after one and two steps, counted from the start, with gradients that differ."""
    place, places = np.zeros_like(_backward()), []
    v = begin * probes.momentum_gradients()[0]
    for g in probes.momentum_gradients():
        v = velocity(v, g)
        place = place + move(place, v)
        places.append(place)
    return np.array(places)


_MOMENTUM_SLIPS = (
    Slip("the learning rate enters twice, in the velocity and in the step.",
         lambda: _walk(lambda v, g: _M * v + _RATE * g)),
    Slip("the velocity was added; descent subtracts it.",
         lambda: _walk(lambda v, g: _M * v + g, move=lambda p, v: _RATE * v)),
    Slip("the old velocity enters with the wrong sign: v = m v + g.", lambda: _walk(lambda v, g: -_M * v + g)),
    Slip("m and 1 - m have changed places: v = m v + (1 - m) g.", lambda: _walk(lambda v, g: (1 - _M) * v + _M * g)),
    Slip("the old velocity is used for the step, the new one only in the next.",
         lambda: np.outer([0, -_RATE], probes.momentum_gradients()[0])),
    Slip("the velocity is not damped: v = m v + g, not v + g.", lambda: _walk(lambda v, g: v + g)),
)  # fmt: skip

_NETWORK_PROBES = (
    Probe("the shape of each W, then of each dW,", probes.shapes,
          lambda: 2 * list(zip(_SIZES[:-1], _SIZES[1:], strict=True)),
          (Slip("they are turned: W[i] is (nn_dim[i], nn_dim[i+1]).",
                lambda: 2 * list(zip(_SIZES[1:], _SIZES[:-1], strict=True))),),
          said="W[i] and dW[i] are (nn_dim[i], nn_dim[i+1])."),
    Probe("forward", probes.logits, _case_logits, _FORWARD_SLIPS),
    Probe("forward, with an activation for the output layer too", partial(probes.logits, full=True),
          lambda: _case_logits(output=_sigmoid),
          (Slip("the last activation was ignored; where len(hiddens) + 1 are given, the output layer has one.",
                _case_logits),)),
    *(
        probe
        for mode in ("train", "eval")
        for probe in (
            Probe(f"get_loss in {mode} mode, without backward", partial(probes.read, "get_loss", mode),
                  lambda: _case_loss().sum(), _GET_LOSS_SLIPS),
            Probe(f"get_error in {mode} mode, without backward", partial(probes.read, "get_error", mode), _case_errors,
                  _GET_ERROR_SLIPS),
        )
    ),
    *(
        Probe("get_error, of another batch", partial(probes.read, "get_error", "eval", seed=seed),
              partial(_case_errors, seed), said="count the rows in which the largest logit is not at the label.")
        for seed in _BATCHES
    ),
    Probe("the gradient, all layers of one size", partial(probes.backpropagated, sizes=_SQUARE),
          partial(_numeric, _SQUARE), _slips_of_backward(_SQUARE),
          said="it does not agree with central differences of the mean loss."),
    Probe("the gradient", probes.backpropagated, _numeric, _slips_of_backward(_SIZES),
          said="it does not agree with central differences of the mean loss."),
    Probe("the gradient with an activation for the output layer too", partial(probes.backpropagated, full=True),
          partial(_numeric, output=_sigmoid), said="the path also leads through the output's activation."),
    Probe("the gradient, asked for twice", partial(probes.backpropagated, times=2), _numeric,
          (Slip("it is added to the old one; nobody calls zero_grads in between, so backward must assign.",
                lambda: 2 * _numeric()),)),
    Probe("zero_grads", probes.zeroed, lambda: np.zeros_like(_numeric()), said="it does not set every dW and db to 0."),
    Probe("step", probes.moved, _steps, _STEP_SLIPS, said="it is not W - lr * dW and b - lr * db."),
    Probe("step with momentum=0.9", probes.with_momentum, lambda: _walk(lambda v, g: _M * v + g), _MOMENTUM_SLIPS,
          same=_without_momentum_or, said="it is not v = m v + g, then W - lr * v."),
    Probe("train_mode after eval() and after train()", probes.modes, lambda: [False, True],
          said="it is not False and True."),
)  # fmt: skip


# --------------------------------------------------------------------------------------------------- e: the error

_BANDS = ((0.05, 10), (0.10, 5), (0.20, 3))


@dataclass(frozen=True)
class ErrorQuestion(BandQuestion, PieceQuestion):
    """A question answered by a test error rate, which is believed, or by a trained network, which is measured."""

    def judge(self, *given) -> Verdict:
        """Return the verdict with the points of the grade band; never raises on what a reader can pass."""
        if not given or given[0] is ...:
            return self._unanswered()
        if len(given) != 1:
            return self._verdict("unreadable", f"give one thing, the error rate or the network; {len(given)} given.")
        if isinstance(given[0], type):
            said = f"{given[0].__name__} is a class; make a network of it, train it, and give that."
            return self._verdict("unreadable", said)
        if hasattr(given[0], "forward"):
            return self._measure(given[0])
        return self._judge_rate(given[0], "error rate", "0.03")

    def _band(self, rate, source):
        earned = next((points for limit, points in _BANDS if rate < limit), 0)
        onward = {10: "", 5: " Below 5 % earns 10.", 3: " Below 10 % earns 5.", 0: " Below 20 % earns 3."}[earned]
        return self._graded(f"{100 * rate:.2f} % test error ({source})", earned, onward)

    def _measure(self, network):
        data = datasets.mnist(part="test")
        if data.is_stand_in:
            said = f"only MNIST counts, and here is a {data.name}; run python -m helpers.datasets."
            return self._verdict("unreadable", said)
        x = data.test_images.reshape(len(data.test_images), -1) / 255
        training = getattr(network, "train_mode", getattr(network, "training", False)) is True
        predicted, error = _attempt(lambda: [self._predict(network, x[i : i + 1000]) for i in range(0, len(x), 1000)])
        if training and hasattr(network, "train"):
            _attempt(network.train)  # as it was: the reader's training may go on
        if error:
            return self._verdict("wrong", " ".join(f"forward on (1000, 784) test pixels {error}".split()))
        if predicted is ... or any(logits is ... for logits in predicted):
            return self._unanswered()
        odd = next((np.shape(logits) for logits in predicted if np.shape(logits) != (1000, 10)), None)
        if odd is not None:
            said = f"forward on (1000, 784) test pixels returned shape {odd}; logits of shape (1000, 10) are asked for."
            return self._verdict("wrong", said)
        logits = np.concatenate(predicted)
        if not np.all(np.isfinite(logits)):
            said = "the logits hold NaN or infinity: training diverged; try a smaller learning rate."
            return self._verdict("wrong", said)
        found = logits.argmax(axis=1)
        if len(set(found.tolist())) == 1:
            said = f"the network says {found[0]} to every picture: it diverged, its units died, or it is untrained."
            return self._verdict("wrong", said)
        rate = float(np.mean(found != data.test_labels))
        if rate > 0.8:
            said = f"{100 * rate:.1f} % of the test pictures are misread, as by guessing: is the network trained, "
            return self._verdict("wrong", said + "and were its pixels divided by 255, its rows shuffled with labels?")
        return self._band(rate, f"measured on {len(x):,} pictures")

    @staticmethod
    def _predict(network, x):
        if hasattr(network, "eval"):
            network.eval()
        logits = network.forward(x)
        if logits is ...:
            return ...
        return np.asarray(logits.detach() if hasattr(logits, "detach") else logits, dtype=float)


_RECIPE = (
    "two hidden layers of ReLU, 256 and 128 wide, weights scaled to N(0, 2/d), momentum 0.9, batches of 128 and a "
    "learning rate that falls from 0.1 to 0 in eight epochs misread fewer than 2 % of the test pictures. With N(0, 1) "
    "weights as handed out, one hidden layer of 512 sigmoids and a learning rate of 1 stay below 5 %."
)
_ERROR_SLIPS = (
    Slip("a rate cannot be negative.", lambda rate: rate < 0),
    Slip("this looks like a count of wrong pictures; divide it by their number, 10,000.", lambda rate: rate > 100),
    Slip("this looks like a percentage; divide it by 100.", lambda rate: 1 < rate <= 100),
    Slip("more than half misread, where guessing errs on 90 %? If this is the accuracy, the error rate is 1 minus it; "
         "if it is a percentage, divide by 100.", lambda rate: 0.5 < rate <= 1),
    Slip("not one of 10,000 pictures misread? No network does that: was it trained on the test images, or was this "
         "the training error?", lambda rate: rate == 0),
    Slip("an error rate below 0.1 % on the test images is beyond all that was ever published; if this is a "
         "percentage, divide by 100, and check which images it was measured on.", lambda rate: 0 < rate < 0.001),
)  # fmt: skip


# --------------------------------------------------------------------------------------------------- the questions


def _our(*names):
    """Return a function that gives the source of our own pieces."""

    def source():
        import inspect

        from helpers.core import mlp

        return "\n\n".join(inspect.getsource(getattr(mlp, name)).rstrip() for name in names)

    return source


def _slips_of(probes):
    return tuple(slip for probe in probes for slip in probe.slips)


_A = tuple(probe for number, name in enumerate(_ACTIVATIONS) for probe in _activation_probes(number, name))
QUESTIONS = {
    question.id: question
    for question in (
        PieceQuestion(
            id="P1a", points=3, parts=tuple(_ACTIVATIONS), probes=_A, slips=_slips_of(_A),
            expected=tuple, source=_our("Sigmoid", "Tanh", "ReLU"),
            hints=(
                "forward(x) returns f(x) and keeps in self.state what derivative() will need.",
                "Keep the output: σ′ = σ (1 - σ) and tanh′ = 1 - tanh², each in terms of it.",
                "np.maximum(x, 0) compares entry by entry; the slope of ReLU is (state > 0).",
            ),
        ),
        PieceQuestion(
            id="P1b", points=5, parts=("SoftmaxCrossEntropy",), probes=_CRITERION_PROBES,
            slips=_slips_of(_CRITERION_PROBES), expected=tuple, source=_our("SoftmaxCrossEntropy"),
            hints=(
                "One loss for each row: -Σ y log o over axis 1, shape (n,). Keep what derivative() needs.",
                "log o_k = x_k - log Σ exp x_j. Subtract the row's largest logit (axis=1, keepdims=True) from x first.",
                "Notebook 03 derives the gradient: o - y, one row a sample, not yet divided by anything.",
            ),
        ),
        PieceQuestion(
            id="P1c", points=2, parts=("random_normal_weight_init", "zeros_bias_init"), probes=_INIT_PROBES,
            slips=_slips_of(_INIT_PROBES), expected=tuple, source=_our("random_normal_weight_init", "zeros_bias_init"),
            hints=(
                "N(0, 1) has mean 0 and standard deviation 1; np.random.randn draws from it.",
                "Weights are (d0, d1), inputs by neurons; biases are (d,).",
            ),
        ),
        PieceQuestion(
            id="P1d", points=10, parts=("MLP", "Sigmoid", "SoftmaxCrossEntropy"), probes=_NETWORK_PROBES,
            slips=_slips_of(_NETWORK_PROBES), expected=tuple, source=_our("MLP"),
            hints=(
                "forward keeps the input of each layer; nothing else is needed on the way back but the activations.",
                "delta begins as (o - y) / n. Layer by layer from the last: times the activation's derivative, then "
                "dW = inputs.T @ delta and db = delta.sum(axis=0), then delta @ W.T.",
                "get_training_stats divides by the number of samples and never calls zero_grads: get_loss is a sum, "
                "get_error a count, backward assigns.",
            ),
        ),
        ErrorQuestion(
            id="P1e", points=5, parts=("error rate or network",), expected=tuple, source=lambda: _RECIPE,
            slips=_ERROR_SLIPS,
            hints=(
                "Give the rate, such as 0.03, or the trained network itself, which is then measured.",
                "Stuck above 10 %? With N(0, 1) weights one hidden layer of sigmoids and a learning rate near 1 work; "
                "with ReLU, scale the weights and use 0.1.",
                "Momentum 0.9 and a learning rate that falls to zero bring two hidden layers below 2 %.",
            ),
        ),
    )
}  # fmt: skip
