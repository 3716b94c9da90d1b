"""What the checks of Programming 1 do with a reader's own classes. It knows no right value.

Each function takes the reader's pieces last, runs one thing that the contract asks for, and returns an array. So a
grader can let these run where the reader's code runs, and judge what comes back somewhere else.
"""

import contextlib
import copy

import numpy as np

RATE, BATCH, MOMENTUM = 0.3, 5, 0.9
SIZES, SQUARE = (6, 5, 4, 3), (4, 4, 4, 4)


def new(piece):
    """Return an instance of a class, or a copy of `piece` if it is one: two layers never share it."""
    return piece() if isinstance(piece, type) else copy.deepcopy(piece)


# --------------------------------------------------------------------------------------------------- a: activations


def activated(number, x, *pieces):
    """Return what activation `number` of the pieces gives at x."""
    return np.array(new(pieces[number])(x.copy()))


def derived(number, x, *pieces):
    """Return the derivative at x of activation `number` of the pieces."""
    activation = new(pieces[number])
    activation(x[::-1].copy())  # an earlier batch must leave nothing behind
    activation(x.copy())
    return np.array(activation.derivative())


def derived_again(number, x, *pieces):
    """Return the same as `derived`, asked for a second time."""
    activation = new(pieces[number])
    activation(x.copy())
    activation.derivative()
    return np.array(activation.derivative())


def overwritten(number, x, *pieces):
    """Return x as activation `number` of the pieces leaves it."""
    x = x.copy()
    new(pieces[number])(x)
    return x


# --------------------------------------------------------------------------------------------------- b: criterion


def loss_of(x, y, criterion):
    """Return the losses of logits x and labels y."""
    return np.array(new(criterion)(x.copy(), y.copy()))


def gradient_of(x, y, criterion):
    """Return the derivative of the losses of logits x and labels y."""
    made = new(criterion)
    made(x[::-1].copy(), y.copy())
    made(x.copy(), y.copy())
    return np.array(made.derivative())


def gradient_again(x, y, criterion):
    """Return the same as `gradient_of`, asked for a second time."""
    made = new(criterion)
    made(x.copy(), y.copy())
    made.derivative()
    return np.array(made.derivative())


def given_back(x, y, criterion):
    """Return logits and labels, one below the other, as the criterion leaves them."""
    x, y = x.copy(), y.copy()
    made = new(criterion)
    made(x, y)
    made.derivative()
    return np.concatenate([x, y])


# --------------------------------------------------------------------------------------------------- c: first values


def weights_drawn(shape, weights, biases):
    """Return weights of the given shape from the reader's init."""
    return weights(*shape)


def weights_repeat(shape, weights, biases):
    """Tell whether two calls give the same weights."""
    return np.array_equal(weights(*shape), weights(*shape))


def biases_made(size, weights, biases):
    """Return biases of the given size from the reader's init."""
    return biases(size)


# --------------------------------------------------------------------------------------------------- d: the network


def example(sizes=SIZES, batch=BATCH, seed=1):
    """Return the weights, biases, inputs and one-hot labels of a small case, always the same."""
    rng = np.random.default_rng(seed)
    W = [rng.normal(size=pair) for pair in zip(sizes[:-1], sizes[1:], strict=True)]
    b = [rng.normal(size=d) for d in sizes[1:]]
    return W, b, rng.normal(size=(batch, sizes[0])), np.eye(sizes[-1])[rng.integers(0, sizes[-1], batch)]


def build(pieces, sizes=SIZES, full=False, **more):
    """Return the reader's network with the example's weights; `full` gives the output layer an activation too."""
    MLP, Sigmoid, criterion = pieces
    W, b, _, _ = example(sizes)
    made = {"W": iter(W), "b": iter(b)}

    def init(name):
        def next_array(*shape):
            if name == "b" and (len(shape) != 1 or np.ndim(shape[0])):
                asked = ", ".join(map(str, shape)) or "nothing"
                raise TypeError(f"bias_init_fn was called with {asked}; give it the number of neurons alone")
            array = next(made[name], np.empty(0))
            return array if array.shape == shape else np.zeros(shape)  # so that a later probe can tell what is turned

        return next_array

    hiddens = list(sizes[1:-1])
    return MLP(
        sizes[0], sizes[-1], hiddens, [new(Sigmoid) for _ in range(len(hiddens) + full)],
        init("W"), init("b"), new(criterion), RATE, **more,
    )  # fmt: skip


def row(arrays):
    """Return all entries of some arrays in one row."""
    return np.concatenate([np.ravel(a) for a in arrays])


def _gradients(network):
    return row([*network.dW, *network.db])


def _parameters(network):
    return row([*network.W, *network.b])


def shapes(*pieces):
    """Return the shape of each W, then of each dW, which need not be there before the first gradient."""
    network = build(pieces)
    if not all(isinstance(dW, np.ndarray) for dW in network.dW) or len(network.dW) < len(network.W):
        with contextlib.suppress(Exception):  # a later probe says what is wrong with them
            _, _, x, y = example()
            network.forward(x)
            network.backward(y)
    lists = [getattr(network, name) for name in ("W", "dW")]
    return np.array([np.shape(a) for arrays in lists for a in arrays])


def logits(*pieces, full=False):
    """Return the logits of the example."""
    network = build(pieces, full=full)
    x = example()[2]
    network.forward(x[:2].copy())
    return np.array((network if callable(network) else network.forward)(x.copy()))


def read(name, mode, *pieces, seed=1):
    """Return get_loss or get_error after a forward pass alone, as the template's loop reads them.

    `seed`: that of the batch; the weights stay the same.
    """
    network = build(pieces)
    getattr(network, mode)()
    _, _, x, y = example(seed=seed)
    network.forward(x.copy())
    return np.array(getattr(network, name)(y.copy()))


def backpropagated(*pieces, sizes=SIZES, full=False, times=1):
    """Return all gradients after `times` passes forward and backward."""
    network = build(pieces, sizes, full)
    _, _, x, y = example(sizes)
    network.train()
    for _ in range(times):
        network.forward(x.copy())
        network.backward(y.copy())
    return _gradients(network)


def moved(*pieces):
    """Return how far the parameters are from their start after one step and after two, with one gradient."""
    network = build(pieces)
    _, _, x, y = example()
    network.train()
    network.forward(x.copy())
    network.backward(y.copy())
    places = [_parameters(network)]
    biases = [(np.shape(b), np.shape(db)) for b, db in zip(network.b, network.db, strict=False)]
    for _ in range(2):
        try:
            network.step()
        except ValueError as error:
            odd = [f"b[{i}] has shape {b} and db[{i}] {db}" for i, (b, db) in enumerate(biases) if b != db]
            raise ValueError(f"{odd[0]}; give both the shape (d,)" if odd else str(error)) from None
        places.append(_parameters(network))
    return np.array(places[1:]) - places[0]


def zeroed(*pieces):
    """Return all gradients after zero_grads."""
    network = build(pieces)
    _, _, x, y = example()
    network.forward(x.copy())
    network.backward(y.copy())
    network.zero_grads()
    return _gradients(network)


def modes(*pieces):
    """Return train_mode after eval() and after train()."""
    network = build(pieces)
    network.eval()
    off = network.train_mode
    network.train()
    return [bool(off), bool(network.train_mode)]


def momentum_gradients():
    """Return two gradients that have nothing to do with the example's."""
    size = row([*example()[0], *example()[1]]).size
    return np.random.default_rng(2).normal(size=(2, size))


def with_momentum(*pieces):
    """Set two different gradients by hand and step after each: what remains is the update rule alone."""
    try:
        network = build(pieces, momentum=MOMENTUM)
    except TypeError:  # the template knows no momentum
        return np.empty(0)
    network.train()
    _, _, x, y = example()
    network.forward(x.copy())
    network.backward(y.copy())
    start, places = _parameters(network), []
    for gradient in momentum_gradients():
        _assign(network, gradient)
        network.step()
        places.append(_parameters(network) - start)
    return np.array(places)


def _assign(network, gradient):
    at = 0
    for arrays in (network.dW, network.db):
        for i in range(len(arrays)):
            size = np.size(arrays[i])
            arrays[i] = gradient[at : at + size].reshape(np.shape(arrays[i])).copy()
            at += size
