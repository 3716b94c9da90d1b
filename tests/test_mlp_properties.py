"""Laws of the network of Programming 1, its files and its probes, for sizes and numbers that hypothesis draws."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.core import mlp, probes
from helpers.core import mlp_studies as studies

few = settings(max_examples=12, deadline=None)
seeds = st.integers(0, 2**20)
widths = st.lists(st.integers(1, 7), min_size=2, max_size=4)
kinds = st.sampled_from([mlp.Identity, mlp.Sigmoid, mlp.Tanh, mlp.ReLU])
PLAIN = {
    mlp.Identity: lambda x: x,
    mlp.Sigmoid: lambda x: 1 / (1 + np.exp(-x)),
    mlp.Tanh: lambda x: (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x)),
    mlp.ReLU: lambda x: np.where(x > 0, x, 0),
}
PIECES = (mlp.MLP, mlp.Sigmoid, mlp.SoftmaxCrossEntropy)


def network_of(seed, sizes, kind=mlp.Tanh, **more):
    """A network in double precision with random weights and biases."""
    rng = np.random.default_rng(seed)
    settings_ = {"lr": 0.1} | more
    return mlp.MLP(
        sizes[0], sizes[-1], sizes[1:-1], [kind() for _ in sizes[1:-1]], lambda a, b: rng.normal(size=(a, b)),
        lambda d: rng.normal(size=d), mlp.SoftmaxCrossEntropy(), **settings_,
    )  # fmt: skip


def samples_for(seed, sizes, n=5):
    rng = np.random.default_rng(seed + 1)
    return rng.normal(size=(n, sizes[0])), np.eye(sizes[-1])[rng.integers(0, sizes[-1], n)]


def plain_softmax(x):
    e = np.exp(x)
    return e / e.sum(axis=1, keepdims=True)


# --------------------------------------------------------------------------------------------------- pieces


@few
@given(seeds, kinds, st.floats(0.1, 8))
def test_activations_are_their_formulas(seed, kind, scale):
    x = scale * np.random.default_rng(seed).normal(size=(4, 3))
    activation = kind()
    assert isinstance(activation, mlp.Activation)
    np.testing.assert_allclose(activation.forward(x), PLAIN[kind](x), rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(kind()(x), activation.forward(x))
    step = 1e-6
    slope = (PLAIN[kind](x + step) - PLAIN[kind](x - step)) / (2 * step)
    np.testing.assert_allclose(activation.derivative(), slope, rtol=1e-4, atol=1e-6)
    assert studies.activation_check(kind.__name__ if kind is mlp.ReLU else kind.__name__.lower(), x[0]) < 1e-4
    for method in (mlp.Activation().forward, mlp.Criterion().forward):
        with pytest.raises(NotImplementedError):
            method(*[x] * (2 if method.__qualname__.startswith("Criterion") else 1))


@few
@given(seeds, st.integers(2, 6), st.floats(-50, 50), st.floats(0, 0.9))
def test_the_loss_sees_differences_of_logits_alone(seed, classes, shift, smoothing):
    x, y = samples_for(seed, [classes, classes])
    criterion = mlp.SoftmaxCrossEntropy(smoothing)
    losses = criterion.forward(x, y)
    targets = (1 - smoothing) * y + smoothing / classes
    np.testing.assert_allclose(losses, -(targets * np.log(plain_softmax(x))).sum(axis=1), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(criterion.derivative().sum(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(criterion.forward(x + shift, y), losses, rtol=1e-7, atol=1e-9)


@few
@given(st.floats(0.6, 8))
def test_blurred_noise_keeps_its_size(width):
    K = mlp.gaussian_blur_matrix(width)
    np.testing.assert_allclose(K, K.T, rtol=1e-5)
    assert np.linalg.norm(K[14]) == pytest.approx(1, rel=1e-5)
    assert (np.diff(K[14, 14:]) <= 0).all() and (K >= 0).all()


# --------------------------------------------------------------------------------------------------- the network


@few
@given(seeds, widths, kinds)
def test_forward_is_one_matrix_product_after_another(seed, sizes, kind):
    network, (x, y) = network_of(seed, sizes, kind), samples_for(seed, sizes)
    h = x
    for i, (W, b) in enumerate(zip(network.W, network.b, strict=True)):
        h = h @ W + b
        h = PLAIN[kind](h) if i < len(sizes) - 2 else h
    network.eval()
    assert network.train_mode is False
    np.testing.assert_allclose(network.forward(x), h, rtol=1e-7, atol=1e-9)
    assert network.get_loss(y) == pytest.approx(-np.log(np.maximum(plain_softmax(h), 1e-300))[y == 1].sum(), rel=1e-6)
    assert network.get_error(y) == (h.argmax(axis=1) != y.argmax(axis=1)).sum()
    network.train()
    assert network.train_mode is True
    np.testing.assert_allclose(network.forward(x), h, rtol=1e-7, atol=1e-9)
    assert max(error for _, _, error in studies.gradient_check(network_of(seed, sizes), x, y)) < 1e-4


@few
@given(seeds, widths, st.floats(0, 0.95), st.floats(0, 1), st.floats(0, 0.1))
def test_two_steps_by_the_rule_of_momentum(seed, sizes, momentum, lr, decay):
    network = network_of(seed, sizes, momentum=momentum, lr=lr, weight_decay=decay)
    rng, velocity = np.random.default_rng(seed), [0] * len(sizes[1:])
    expected = [W.copy() for W in network.W]
    for _ in range(2):
        for gradient in network.dW:
            gradient[...] = rng.normal(size=gradient.shape)
        network.step()
        velocity = [momentum * v + g + decay * W for v, g, W in zip(velocity, network.dW, expected, strict=True)]
        expected = [W - lr * v for W, v in zip(expected, velocity, strict=True)]
    for W, wanted in zip(network.W, expected, strict=True):
        np.testing.assert_allclose(W, wanted, rtol=1e-9, atol=1e-12)
    network.zero_grads()
    assert not any(g.any() for g in network.dW + network.db)


@few
@given(seeds, widths)
def test_a_model_comes_back_from_its_file(tmp_path_factory, seed, sizes):
    path = str(tmp_path_factory.mktemp("model") / "model.npz")
    network, other = network_of(seed, sizes), network_of(seed + 1, sizes)
    network.save_model(path)
    weights, biases = mlp.read_model(path)
    other.load_model(path)
    for mine, stored, taken in zip(network.W + network.b, weights + biases, other.W + other.b, strict=True):
        assert np.array_equal(mine, stored) and np.array_equal(mine, taken)
    grown = network_of(seed, [sizes[0] + 1, *sizes[1:]])
    with pytest.raises(ValueError, match="build the MLP with the file's sizes"):
        grown.load_model(path)


@few
@given(seeds, st.integers(1, 5), st.integers(1, 5), st.integers(1, 5))
def test_arrays_and_tables_come_back_from_their_files(tmp_path_factory, seed, train, validation, test):
    """save_npz and the course's CSV hold the same numbers; load_mnist finds both, in the same three parts."""
    folder, rng = tmp_path_factory.mktemp("arrays"), np.random.default_rng(seed)
    images = rng.integers(0, 256, (3, 28, 28)).astype(np.uint8)
    labels = rng.integers(0, 10, 3).astype(np.uint8)
    for part in ("train", "test"):
        rows = [[label, *image.ravel()] for label, image in zip(labels, images, strict=True)]
        (folder / f"mnist_{part}.csv").write_text("\n".join(",".join(map(str, row)) for row in rows) + "\n")
    read, told = mlp.read_csv(folder / "mnist_train.csv")
    assert np.array_equal(read.reshape(images.shape), images) and np.array_equal(told, labels)
    tables = mlp.load_mnist(str(folder))
    parts = {f"{part}_{name}": a for part in ("train", "test") for name, a in (("images", images), ("labels", labels))}
    mlp.save_npz(str(folder / "mnist.npz"), parts)
    for (x, y), (other_x, other_y) in zip(tables, mlp.load_mnist(str(folder)), strict=True):
        assert np.array_equal(x, other_x) and np.array_equal(y, other_y)
    assert np.array_equal(tables[0][0], images.reshape(3, 784).astype(np.float32) / 255)
    assert [len(x) for x, _ in tables] == [3, 0, 3]


# --------------------------------------------------------------------------------------------------- training


@few
@given(seeds, st.integers(1, 7), st.booleans())
def test_an_epoch_shows_every_sample_once(seed, batch_size, moving):
    """At learning rate 0 the epoch's means are those of an evaluation, and nothing moves; else everything may."""
    sizes = [3, 4, 2]
    network, (x, y) = network_of(seed, sizes, lr=0.1 * moving), samples_for(seed, sizes, 11)
    before, shown = [W.copy() for W in network.W], []

    def note(images, rng):
        shown.extend(map(tuple, images))
        return images

    values = mlp.train_epoch(network, x, y, batch_size, np.random.default_rng(seed), distort=note)
    assert sorted(shown) == sorted(map(tuple, x))
    if not moving:
        assert values == pytest.approx(mlp.evaluate(network, x, y), rel=1e-9)
        assert all(np.array_equal(W, kept) for W, kept in zip(network.W, before, strict=True))
    else:
        assert any(not np.array_equal(W, kept) for W, kept in zip(network.W, before, strict=True))


@few
@given(seeds, st.integers(1, 4))
def test_views_are_moved_by_half_a_pixel(seed, n):
    """Between pixels the images are taken as straight lines, as numpy.interp does, and as empty outside."""
    images = np.random.default_rng(seed).random((n, mlp.SIDE, mlp.SIDE))
    seen = mlp.views(images.reshape(n, -1)).reshape(5, n, mlp.SIDE, mlp.SIDE)
    paper, at = np.pad(images, ((0, 0), (1, 1), (1, 1))), np.arange(-1, mlp.SIDE + 1)
    np.testing.assert_array_equal(seen[0], images)
    for view, down, right in ((1, 0.5, 0), (2, -0.5, 0), (3, 0, 0.5), (4, 0, -0.5)):
        for image, sheet in zip(seen[view], paper, strict=True):
            tall = np.stack([np.interp(at[1:-1] - down, at, column) for column in sheet.T], 1)
            moved = np.stack([np.interp(at[1:-1] - right, at, row) for row in tall])
            np.testing.assert_allclose(image, moved, atol=1e-12)


@few
@given(seeds, kinds, st.lists(st.integers(1, 6), max_size=3))
def test_five_views_are_one_network_that_answers_with_the_mean_of_their_logits(seed, kind, hiddens):
    sizes = [784, *hiddens, 4]
    network, (x, _) = network_of(seed, sizes, kind), samples_for(seed, sizes, 7)
    wide = mlp.five_views(network)
    expected = sum(network.forward(view) for view in mlp.views(x)) / 5
    np.testing.assert_allclose(wide.forward(x), expected, rtol=1e-9, atol=1e-9)
    assert wide.nn_dim == [784, *(5 * size for size in hiddens), 4] and not wide.train_mode
    assert network.nn_dim == sizes


@few
@given(seeds, st.integers(0, 3), st.integers(1, 12))
def test_the_curves_are_those_of_epoch_after_epoch(seed, epochs, batch_size):
    sizes = [3, 4, 2]
    train, held = samples_for(seed, sizes, 11), samples_for(seed + 5, sizes, 4)
    one, other = network_of(seed, sizes), network_of(seed, sizes)
    curves = mlp.get_training_stats(one, [train, held], epochs, batch_size, np.random.default_rng(seed))
    rng, expected = np.random.default_rng(seed), []
    for _ in range(epochs):
        expected.append(mlp.train_epoch(other, *train, batch_size, rng) + mlp.evaluate(other, *held))
    assert [list(curve) for curve in curves] == [list(c) for c in zip(*expected, strict=True)] or epochs == 0
    assert [len(curve) for curve in curves] == [epochs] * 4


@few
@given(seeds, st.floats(1e60, 1e150))
def test_a_training_that_diverges_keeps_the_last_good_weights(seed, lr):
    sizes = [3, 4, 2]
    network, (x, y) = network_of(seed, sizes, mlp.Identity, lr=lr), samples_for(seed, sizes, 11)
    kept = [W.copy() for W in network.W]
    with pytest.raises(mlp.TrainingDiverged, match="Training diverged") as told:
        mlp.get_training_stats(network, [(x, y), (x, y)], 3, 2, np.random.default_rng(seed))
    good = len(told.value.history[0])
    if good == 0:
        assert all(np.array_equal(W, before) for W, before in zip(network.W, kept, strict=True))
    assert all(np.isfinite(W).all() for W in network.W)


@settings(max_examples=3, deadline=None)
@given(seeds, st.lists(st.integers(1, 6), min_size=1, max_size=2))
def test_a_recipe_and_its_generator_fix_the_network(seed, hiddens):
    hiddens[0] *= 25  # as many groups has its first layer
    recipe = mlp.RECIPES["best"] | {"hiddens": hiddens}
    one, other = (mlp.build_mlp(recipe, np.random.default_rng(seed)) for _ in range(2))
    assert one.nn_dim == [784, *hiddens, 10] and one.lr == recipe["lr"]
    assert all(np.array_equal(a, b) for a, b in zip(one.W, other.W, strict=True))


@few
@given(st.integers(1, 28), st.lists(st.integers(0, 27), min_size=1, max_size=4, unique=True))
def test_receptive_fields_are_the_windows_at_the_corners_asked_for(side, corners):
    corners = [corner for corner in corners if corner + side <= 28]
    fields = mlp.receptive_fields(side, tuple(corners))
    grid = np.arange(784).reshape(28, 28)
    windows = [grid[row : row + side, column : column + side].ravel() for row in corners for column in corners]
    assert np.array_equal(fields, np.array(windows, dtype=int).reshape(-1, side * side))


@settings(max_examples=2, deadline=None)
@given(st.lists(st.floats(1e-3, 3), min_size=1, max_size=4))
def test_the_curves_of_any_training_are_drawn(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("curves") / "curves.png"
    mlp.draw_curves([values] * 4, str(path))
    assert path.read_bytes().startswith(b"\x89PNG")


# --------------------------------------------------------------------------------------------------- probes


def torch_free_gradients(seed_sizes):
    """Gradients of the probes' example, by central differences of a network written out in one line."""
    W, b, x, y = probes.example(seed_sizes)
    flat = probes.row([*W, *b])

    def loss(values):
        at, h = 0, x
        arrays = []
        for a in (*W, *b):
            arrays.append(values[at : at + a.size].reshape(a.shape))
            at += a.size
        for i in range(len(W)):
            h = h @ arrays[i] + arrays[len(W) + i]
            h = 1 / (1 + np.exp(-h)) if i < len(W) - 1 else h
        return -np.log(plain_softmax(h))[y == 1].mean()

    step = 1e-6
    return np.array([(loss(flat + d) - loss(flat - d)) / (2 * step) for d in step * np.eye(len(flat))])


@few
@given(seeds, kinds)
def test_probes_of_activations_report_what_the_pieces_do(seed, kind):
    x = np.random.default_rng(seed).normal(size=(4, 3))

    class Careless(mlp.Activation):  # writes over what it was given
        def forward(self, x):
            x *= 2
            self.state = x
            return x

    for piece in (kind, kind()):  # a class or an instance
        assert isinstance(probes.new(piece), kind)
        np.testing.assert_allclose(probes.activated(0, x, piece), PLAIN[kind](x), rtol=1e-9, atol=1e-12)
        np.testing.assert_array_equal(probes.overwritten(0, x, piece), x)
        activation = kind()
        activation(x)
        for derived in (probes.derived, probes.derived_again):
            np.testing.assert_array_equal(derived(1, x, mlp.ReLU, piece), activation.derivative())
    np.testing.assert_array_equal(probes.overwritten(0, x, Careless), 2 * x)


@few
@given(seeds, st.integers(2, 5))
def test_probes_of_the_criterion_report_what_it_does(seed, classes):
    x, y = samples_for(seed, [classes, classes])
    criterion = mlp.SoftmaxCrossEntropy()
    np.testing.assert_array_equal(probes.loss_of(x, y, mlp.SoftmaxCrossEntropy), criterion(x, y))
    for gradient in (probes.gradient_of, probes.gradient_again):
        np.testing.assert_array_equal(gradient(x, y, criterion), criterion.derivative())
    np.testing.assert_array_equal(probes.given_back(x, y, mlp.SoftmaxCrossEntropy), np.concatenate([x, y]))


@few
@given(st.integers(1, 5), st.integers(1, 5), seeds)
def test_probes_of_first_values_report_shape_and_chance(rows, columns, seed):
    rng = np.random.default_rng(seed)

    def drawn(d0, d1):
        return mlp.random_normal_weight_init(d0, d1, rng)

    def same(d0, d1):
        return np.ones((d0, d1))

    assert probes.weights_drawn((rows, columns), drawn, mlp.zeros_bias_init).shape == (rows, columns)
    assert not probes.weights_repeat((rows, columns), drawn, None) and probes.weights_repeat(
        (rows, columns), same, None
    )
    assert np.array_equal(probes.biases_made(rows, drawn, mlp.zeros_bias_init), np.zeros(rows))


@few
@given(st.lists(st.integers(1, 5), min_size=2, max_size=4))
def test_probes_of_the_network_agree_with_differences(sizes):
    W, b, x, y = probes.example(tuple(sizes))
    network = probes.build(PIECES, tuple(sizes))
    assert all(np.array_equal(mine, theirs) for mine, theirs in zip(network.W + network.b, W + b, strict=True))
    found = probes.backpropagated(*PIECES, sizes=tuple(sizes), times=2)
    np.testing.assert_allclose(found, torch_free_gradients(tuple(sizes)), rtol=1e-4, atol=1e-7)


@few
@given(st.booleans())
def test_probes_of_the_small_case_hang_together(full):
    gradients = torch_free_gradients(probes.SIZES)
    np.testing.assert_allclose(probes.moved(*PIECES), -probes.RATE * np.outer([1, 2], gradients), atol=1e-7)
    assert not probes.zeroed(*PIECES).any() and len(probes.zeroed(*PIECES)) == len(gradients)
    assert probes.modes(*PIECES) == [False, True]
    pairs = list(zip(probes.SIZES[:-1], probes.SIZES[1:], strict=True))
    assert probes.shapes(*PIECES).tolist() == [list(p) for p in pairs + pairs]
    W, b, x, y = probes.example()
    h = x
    for i in range(3):
        h = h @ W[i] + b[i]
        h = 1 / (1 + np.exp(-h)) if i < 2 or full else h
    np.testing.assert_allclose(probes.logits(*PIECES, full=full), h, rtol=1e-9)
    if not full:
        for mode in ("train", "eval"):
            assert probes.read("get_loss", mode, *PIECES) == pytest.approx(-np.log(plain_softmax(h))[y == 1].sum())
            assert probes.read("get_error", mode, *PIECES) == (h.argmax(axis=1) != y.argmax(axis=1)).sum()
    first, second = probes.momentum_gradients()
    after = probes.with_momentum(*PIECES)
    np.testing.assert_allclose(after[0], -probes.RATE * first, atol=1e-12)
    np.testing.assert_allclose(after[1], -probes.RATE * (first + probes.MOMENTUM * first + second), atol=1e-12)


# --------------------------------------------------------------------------------------------------- studies


@few
@given(seeds, st.sampled_from(sorted(studies.INITS)), st.integers(1, 6))
def test_layer_inputs_are_what_each_layer_adds_up(seed, init, width):
    network, _ = studies.build([width], "sigmoid", init, seed=seed)
    x = np.random.default_rng(seed).random((3, 784))
    first, second = studies.layer_inputs([width], x, init, "sigmoid", seed)
    np.testing.assert_allclose(first, x @ network.W[0] + network.b[0], rtol=1e-9)
    np.testing.assert_allclose(second, PLAIN[mlp.Sigmoid](first) @ network.W[1] + network.b[1], rtol=1e-7, atol=1e-9)


@settings(max_examples=3, deadline=None)
@given(seeds, st.integers(1, 3))
def test_runs_come_back_from_their_file(tmp_path_factory, seed, epochs):
    train = samples_for(seed, [3, 10], 12)
    run = studies.short_run(train, train, 0.1, 0.5, hiddens=(3,), epochs=epochs, batch_size=5, seed=seed)
    assert isinstance(run, studies.Run) and len(run.losses) == 3 * epochs and not run.diverged
    again = studies.short_run(train, train, 0.1, 0.5, hiddens=(3,), epochs=epochs, batch_size=5, seed=seed)
    assert np.array_equal(run.losses, again.losses) and run.error == again.error
    path = tmp_path_factory.mktemp("knobs") / "knobs.json"
    studies.write_knobs(path, {(0.1, 0.5): run}, [("as it is", run.error, 0.0)], "some data")
    grid, variants = studies.read_knobs(path)
    read = grid[0.1, 0.5]
    np.testing.assert_allclose(read.losses, run.losses, rtol=1e-3)
    assert dataclasses.replace(read, losses=None) == dataclasses.replace(run, losses=None)
    assert variants == [("as it is", run.error, 0.0)]


@settings(max_examples=2, deadline=None)
@given(st.integers(1, 6))
def test_few_samples_are_the_first_ones(count):
    images = np.arange(20 * 784, dtype=np.uint32).reshape(20, 28, 28).astype(np.uint8)
    labels = np.arange(20) % 10

    class Data:
        def split(self):
            return (images, labels), (images[::-1], labels[::-1]), None

    (x, y), (held_x, held_y) = studies.few_samples(Data(), count)
    assert np.array_equal(x, images[:count].reshape(count, 784).astype(np.float32) / 255)
    assert np.array_equal(held_y.argmax(axis=1), labels[::-1][:count]) and x.dtype == held_x.dtype == float


@settings(max_examples=2, deadline=None)
@given(seeds, st.data())
def test_grids_and_variants_are_made_of_single_runs(seed, data):
    train = samples_for(seed, [3, 10], 12)
    small = {"hiddens": (2,), "epochs": 1, "batch_size": 6}
    grid = studies.knob_grid(train, train, **small)
    assert set(grid) == {(lr, m) for lr in studies.LEARNING_RATES for m in studies.MOMENTA}
    lr, momentum = data.draw(st.sampled_from(sorted(grid)))
    run = studies.short_run(train, train, lr, momentum, **small)
    assert np.array_equal(grid[lr, momentum].losses, run.losses)
    rows = studies.knob_variants(train, train, seeds=2)
    told, mean, spread = rows[data.draw(st.integers(0, len(rows) - 1))]
    changed = studies.COMMON | dict(studies.VARIANTS)[told]
    errors = [studies.short_run(train, train, **changed, seed=k).error for k in (0, 1)]
    assert mean == pytest.approx(np.mean(errors)) and spread == pytest.approx(abs(errors[0] - errors[1]) / 2**0.5)


@few
@given(seeds, widths)
def test_what_was_shipped_comes_back_in_double_precision(tmp_path_factory, seed, sizes):
    folder, network = tmp_path_factory.mktemp("shipped"), network_of(seed, sizes)
    network.save_model(str(folder / "p1_model.npz"))
    with pytest.raises(ValueError, match="p1_history.json"):
        studies.shipped(folder)
    (folder / "p1_history.json").write_text('{"epochs": 3}')
    loaded, record = studies.shipped(folder)
    assert record == {"epochs": 3} and loaded.nn_dim == sizes
    assert all(np.array_equal(mine, theirs) for mine, theirs in zip(loaded.W, network.W, strict=True))
