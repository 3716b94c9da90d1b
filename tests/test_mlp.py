"""The numpy MLP: its contract, its gradients by two independent routes, its files and its refusals."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.core import mlp as p1

ACTIVATIONS = [p1.Identity, p1.Sigmoid, p1.Tanh, p1.ReLU]
TORCH = {p1.Identity: lambda z: z, p1.Sigmoid: torch.sigmoid, p1.Tanh: torch.tanh, p1.ReLU: torch.relu}


def small_net(activation=p1.Tanh, hiddens=(7, 6), seed=0, **options):
    rng = np.random.default_rng(seed)
    return p1.MLP(
        5,
        4,
        list(hiddens),
        [activation() for _ in hiddens],
        lambda d0, d1: rng.standard_normal((d0, d1)) / np.sqrt(d0),
        lambda d: rng.standard_normal(d),
        p1.SoftmaxCrossEntropy(),
        **{"lr": 0.1} | options,
    )


def small_batch(n=9, d=5, k=4, seed=1):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), np.eye(k)[rng.integers(0, k, n)]


def relative_error(a, b):
    return np.abs(a - b).max() / max(np.abs(a).max(), np.abs(b).max())


# -- the submission -----------------------------------------------------------------------------------------------


def test_imports_only_os_numpy_and_matplotlib():
    tree = ast.parse(Path(p1.__file__).read_text())
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0
            names.add(node.module.split(".")[0])
    assert names == {"os", "numpy", "matplotlib"}
    assert "__import__" not in {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


# -- gradients ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hiddens", [(), (7,), (7, 6), (7, 6, 5)])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradients_agree_with_autograd(activation, hiddens):
    net = small_net(activation, hiddens)
    x, y = small_batch()
    logits = net(x)
    net.backward(y)

    weights = [torch.tensor(W, requires_grad=True) for W in net.W]
    biases = [torch.tensor(b, requires_grad=True) for b in net.b]
    h = torch.tensor(x)
    for i, (W, b) in enumerate(zip(weights, biases, strict=True)):
        h = h @ W + b
        if i < len(hiddens):
            h = TORCH[activation](h)
    loss = torch.nn.functional.cross_entropy(h, torch.tensor(y.argmax(1)), reduction="mean")
    loss.backward()

    assert relative_error(logits, h.detach().numpy()) < 1e-12
    assert net.get_loss(y) / len(x) == pytest.approx(loss.item(), rel=1e-12)
    for mine, theirs in zip(net.dW + net.db, weights + biases, strict=True):
        assert relative_error(mine, theirs.grad.numpy()) < 1e-10


@pytest.mark.parametrize("hiddens", [(), (7,), (7, 6), (7, 6, 5)])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradients_agree_with_central_differences(activation, hiddens):
    net = small_net(activation, hiddens)
    x, y = small_batch()
    net(x)
    net.backward(y)

    def mean_loss():
        net(x)
        return net.get_loss(y) / len(x)

    for parameter, gradient in zip(net.W + net.b, net.dW + net.db, strict=True):
        numeric = np.zeros_like(gradient)
        for at in np.ndindex(parameter.shape):
            kept = parameter[at]
            values = []
            for shift in (-2e-4, -1e-4, 1e-4, 2e-4):  # fourth order, so that truncation stays below 1e-7
                parameter[at] = kept + shift
                values.append(mean_loss())
            parameter[at] = kept
            numeric[at] = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / 12e-4
        assert relative_error(gradient, numeric) < 1e-7


FIELDS = [[4, 0], [1, 2], [3, 1]]  # three groups of two neurons, which see two of five inputs each


@pytest.mark.parametrize("hiddens", [(6,), (6, 4)])
def test_with_fields_the_network_and_its_gradients_are_those_of_full_matrices_with_zeros(hiddens):
    """By autograd through the full matrix times a mask that is written out here."""
    net = small_net(p1.Tanh, hiddens, fields=FIELDS, momentum=0.9, weight_decay=0.01)
    mask = np.zeros((5, 6))
    for neuron in range(6):
        mask[FIELDS[neuron // 2], neuron] = 1
    x, y = small_batch()
    for _ in range(3):
        assert np.array_equal(net.W[0] != 0, mask == 1)
        logits = net(x)
        net.backward(y)
        weights = [torch.tensor(W, requires_grad=True) for W in net.W]
        biases = [torch.tensor(b, requires_grad=True) for b in net.b]
        h = torch.tensor(x) @ (weights[0] * torch.tensor(mask)) + biases[0]
        for W, b in zip(weights[1:], biases[1:], strict=True):
            h = torch.tanh(h) @ W + b
        torch.nn.functional.cross_entropy(h, torch.tensor(y.argmax(1))).backward()
        assert relative_error(logits, h.detach().numpy()) < 1e-12
        for mine, theirs in zip(net.dW + net.db, weights + biases, strict=True):
            assert relative_error(mine, theirs.grad.numpy()) < 1e-10
        net.step()


def test_receptive_fields_are_square_windows_that_cover_the_ink():
    fields = p1.receptive_fields()
    assert fields.shape == (25, 121)
    seen = np.zeros((28, 28), dtype=int)
    for field in fields:
        rows, columns = np.divmod(field, 28)
        assert np.ptp(rows) == np.ptp(columns) == 10 and len(set(field.tolist())) == 121
        seen[rows, columns] += 1
    assert (seen > 0).all()
    np.testing.assert_array_equal(p1.receptive_fields(2, (0, 26))[1], [26, 27, 54, 55])


@given(st.lists(st.floats(-700, 700), min_size=1, max_size=8))
@settings(deadline=None, max_examples=50)
def test_activations_agree_with_torch(values):
    x = np.array(values)
    for activation in ACTIVATIONS:
        f, z = activation(), torch.tensor(x, requires_grad=True)
        y = TORCH[activation](z)
        y.sum().backward()
        np.testing.assert_allclose(f(x), y.detach().numpy(), rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(f.derivative(), z.grad.numpy(), rtol=1e-12, atol=1e-15)


def test_softmax_cross_entropy_survives_huge_logits_and_gives_one_loss_a_sample():
    logits = np.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4], [3.0, 2.0, 1.0]])
    labels = np.eye(3)[[1, 1, 0]]
    criterion = p1.SoftmaxCrossEntropy()
    with np.errstate(all="raise", under="ignore"):
        loss = criterion(logits, labels)
    expected = torch.nn.functional.cross_entropy(torch.tensor(logits), torch.tensor([1, 1, 0]), reduction="none")
    np.testing.assert_allclose(loss, expected.numpy(), rtol=1e-13)
    assert loss.shape == (3,) and loss[0] == 2e4
    assert criterion.logits is logits and criterion.labels is labels and criterion.loss is loss
    np.testing.assert_allclose(criterion.derivative().sum(axis=1), 0, atol=1e-15)


def test_label_smoothing_agrees_with_torch():
    x, y = small_batch(d=4)
    criterion = p1.SoftmaxCrossEntropy(label_smoothing=0.1)
    z = torch.tensor(x, requires_grad=True)
    loss = torch.nn.functional.cross_entropy(z, torch.tensor(y.argmax(1)), label_smoothing=0.1, reduction="sum")
    loss.backward()
    assert criterion(x, y).sum() == pytest.approx(loss.item(), rel=1e-12)
    np.testing.assert_allclose(criterion.derivative(), z.grad.numpy(), atol=1e-14)


# -- the template's contract --------------------------------------------------------------------------------------


def test_attributes_and_shapes():
    net = small_net()
    assert (net.nlayers, net.nn_dim, net.train_mode) == (3, [5, 7, 6, 4], True)
    for i in range(net.nlayers):
        assert net.W[i].shape == net.dW[i].shape == (net.nn_dim[i], net.nn_dim[i + 1])
        assert net.b[i].shape == net.db[i].shape == (net.nn_dim[i + 1],)
    net.eval()
    assert not net.train_mode
    net.train()
    assert net.train_mode


def test_both_lengths_of_activations_are_accepted():
    x, y = small_batch()
    one = small_net()
    other = p1.MLP(
        5,
        4,
        [7, 6],
        [p1.Tanh(), p1.Tanh(), p1.Identity()],
        p1.random_normal_weight_init,
        p1.zeros_bias_init,
        p1.SoftmaxCrossEntropy(),
        0.1,
    )
    other.W, other.b = [W.copy() for W in one.W], [b.copy() for b in one.b]
    np.testing.assert_array_equal(one(x), other(x))


def test_loss_is_a_sum_and_error_a_count_without_backward_in_both_modes():
    net = small_net()
    x, y = small_batch()
    for mode in (net.train, net.eval):
        mode()
        logits = net(x)
        log_probabilities = torch.log_softmax(torch.tensor(logits), dim=1).numpy()
        assert net.get_loss(y) == pytest.approx(-(y * log_probabilities).sum(), rel=1e-13)
        assert net.get_error(y) == sum(logits[i].argmax() != y[i].argmax() for i in range(len(x)))
        assert isinstance(net.get_error(y), int)


def test_backward_assigns_and_zero_grads_clears():
    net = small_net()
    x, y = small_batch()
    net(x)
    net.backward(y)
    once = [gradient.copy() for gradient in net.dW + net.db]
    net(x)
    net.backward(y)
    for first, second in zip(once, net.dW + net.db, strict=True):
        np.testing.assert_array_equal(first, second)
    net.zero_grads()
    assert all((gradient == 0).all() for gradient in net.dW + net.db)


def test_gradients_are_the_mean_over_the_batch():
    net = small_net()
    x, y = small_batch()
    net(x)
    net.backward(y)
    once = net.dW[0].copy()
    net(np.vstack([x, x]))
    net.backward(np.vstack([y, y]))
    np.testing.assert_allclose(net.dW[0], once, rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("weight_decay", [0.0, 0.02])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_step_agrees_with_torch_sgd(momentum, weight_decay):
    net = small_net(momentum=momentum, weight_decay=weight_decay)
    x, y = small_batch()
    parameters = [torch.tensor(p.copy(), requires_grad=True) for p in net.W + net.b]
    weights, biases = parameters[: net.nlayers], parameters[net.nlayers :]
    groups = [{"params": weights, "weight_decay": weight_decay}, {"params": biases, "weight_decay": 0.0}]
    optimizer = torch.optim.SGD(groups, lr=0.1, momentum=momentum)
    for _ in range(5):
        net(x)
        net.backward(y)
        for parameter, gradient in zip(parameters, net.dW + net.db, strict=True):
            parameter.grad = torch.tensor(gradient.copy())
        net.step()
        optimizer.step()
        for mine, theirs in zip(net.W + net.b, parameters, strict=True):
            np.testing.assert_allclose(mine, theirs.detach().numpy(), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("order", ["C", "F"])
def test_weights_replaced_from_outside_train_the_same_in_either_memory_order(order):
    x, y = small_batch()
    results = []
    for replace in (False, True):
        net = small_net(momentum=0.9)
        if replace:
            net.W = [np.array(W, order=order) for W in net.W]
        for _ in range(3):
            net(x)
            net.backward(y)
            net.step()
        results.append(net.W[0].copy())
    np.testing.assert_allclose(*results, rtol=1e-12, atol=1e-15)


def test_inputs_and_earlier_outputs_are_never_overwritten():
    for activation in ACTIVATIONS:
        net = small_net(activation, momentum=0.9)
        x, y = small_batch()
        kept_x, kept_y = x.copy(), y.copy()
        first = net(x)
        kept = first.copy()
        net.backward(y)
        net.step()
        net(x + 1)
        net.backward(y)
        np.testing.assert_array_equal(x, kept_x)
        np.testing.assert_array_equal(y, kept_y)
        np.testing.assert_array_equal(first, kept)
        for f in (activation(),):
            f(x)
            f.derivative()
            np.testing.assert_array_equal(x, kept_x)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_computes_in_the_dtype_of_its_weights(dtype):
    net = small_net(dtype=dtype, momentum=0.9)
    net.lr = np.float64(0.1)
    x, y = small_batch()
    for labels in (y, y.astype(dtype)):
        assert net(x).dtype == dtype
        net.backward(labels)
        net.step()
        assert {array.dtype for array in net.W + net.b + net.dW + net.db} == {np.dtype(dtype)}


def test_the_templates_own_training_loop_runs():
    """The loop as the template writes it: no zero_grads, loss after step, evaluation without backward."""
    net = small_net(lr=0.5)
    x, y = small_batch(n=40)
    losses = []
    for _ in range(30):
        net.train()
        total = 0.0
        for start in range(0, 40, 10):
            net.forward(x[start : start + 10])
            net.backward(y[start : start + 10])
            net.step()
            total += net.get_loss(y[start : start + 10])
        losses.append(total / 40)
        net.eval()
        net(x)
        assert np.isfinite(net.get_loss(y)) and 0 <= net.get_error(y) <= 40
    assert losses[-1] < 0.7 * losses[0]


def test_initial_parameters():
    W = p1.random_normal_weight_init(300, 400)
    assert W.shape == (300, 400) and abs(W.mean()) < 0.02 and abs(W.std() - 1) < 0.02
    scaled = p1.scaled_normal_weight_init(300, 400, np.random.default_rng(0))
    assert abs(scaled.std() - np.sqrt(2 / 300)) < 0.002
    np.testing.assert_array_equal(p1.zeros_bias_init(3), [0, 0, 0])


def test_local_weights_look_at_one_place_each():
    W = p1.local_weight_init(784, 300, np.random.default_rng(0))
    assert W.shape == (784, 300)
    for neuron in range(300):
        assert set(np.flatnonzero(W[:, neuron])) == set(p1.receptive_fields()[neuron // 12])
    np.testing.assert_allclose(np.linalg.norm(W, axis=0), 1, rtol=1e-5)
    images, grid = W.T.reshape(300, 28, 28) ** 2, np.arange(28)
    row, column = (images.sum(axis) @ grid for axis in (2, 1))  # the middle of each pattern's weight
    spread = (images * (grid[:, None] - row[:, None, None]) ** 2).sum(axis=(1, 2)) ** 0.5
    assert np.median(spread) < 4 and row.std() > 3 and column.std() > 3  # white noise: spread 8, std 0.3
    assert p1.local_weight_init(300, 10, np.random.default_rng(0)).std() == pytest.approx(np.sqrt(2 / 300), rel=0.05)


def test_one_hot():
    np.testing.assert_array_equal(p1.get_one_hot([2, 0], 3), [[0, 0, 1], [1, 0, 0]])
    assert p1.get_one_hot(np.array([[3], [1]], dtype=np.uint8), 10).shape == (2, 10)


# -- training -----------------------------------------------------------------------------------------------------


def blobs(n=300, seed=0):
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((4, 5)) * 3
    label = rng.integers(0, 4, n)
    return centres[label] + rng.standard_normal((n, 5)), np.eye(4)[label]


def test_get_training_stats_learns_and_is_reproducible():
    runs = []
    for _ in range(2):
        net = small_net(lr=0.05, momentum=0.9)
        seen = []
        stats = p1.get_training_stats(
            net,
            [blobs(), blobs(100, 1), blobs(100, 2)],
            8,
            32,
            np.random.default_rng(3),
            lambda epoch, curves, seen=seen: seen.append((epoch, len(curves[0]))),
        )
        runs.append((stats, net.W[0].copy()))
    (stats, W), (again, W_again) = runs
    assert [len(curve) for curve in stats] == [8] * 4
    assert seen == [(epoch, epoch + 1) for epoch in range(8)]
    assert stats[0][-1] < 0.3 * stats[0][0] and stats[3][-1] < 0.1
    assert stats == again and (W == W_again).all()
    net.eval()
    x, y = blobs(100, 1)
    net(x)
    assert stats[2][-1] == pytest.approx(net.get_loss(y) / 100, rel=1e-12)
    assert stats[3][-1] == net.get_error(y) / 100


def test_a_small_net_can_learn_20_images_by_heart():
    rng = np.random.default_rng(0)
    x, y = rng.random((20, 784)), np.eye(10)[rng.integers(0, 10, 20)]
    net = p1.MLP(
        784,
        10,
        [32],
        [p1.ReLU()],
        lambda a, b: p1.scaled_normal_weight_init(a, b, rng),
        p1.zeros_bias_init,
        p1.SoftmaxCrossEntropy(),
        0.1,
        momentum=0.9,
    )
    stats = p1.get_training_stats(net, [(x, y), (x, y)], 60, 20, rng)
    assert stats[3][-1] == 0 and stats[2][-1] < 0.05


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_divergence_stops_with_a_sentence_and_keeps_the_last_good_weights(dtype):
    net = small_net(p1.Identity, lr=0.05, dtype=dtype)
    data = [blobs(), blobs(100, 1)]
    good = p1.get_training_stats(net, data, 1, 32, np.random.default_rng(0))
    kept = [parameter.copy() for parameter in net.W + net.b]
    net.lr = 1e30
    with pytest.raises(p1.TrainingDiverged, match=r"learning rate 1e\+30.*try a learning rate"):
        p1.get_training_stats(net, data, 3, 32, np.random.default_rng(0))
    for now, before in zip(net.W + net.b, kept, strict=True):
        np.testing.assert_array_equal(now, before)
    assert np.isfinite(good[0][0])


def test_weights_that_its_fields_hide_are_not_loaded(tmp_path):
    fields = {"hiddens": [6], "fields": [[0, 1, 2], [2, 3, 4]]}
    narrow, wide = small_net(seed=1, **fields), small_net(hiddens=[6], seed=2)
    kept, path = narrow.W[0].copy(), tmp_path / "model.npz"
    wide.save_model(path)
    with pytest.raises(ValueError, match="outside the fields of this network; build the MLP without fields"):
        narrow.load_model(path)
    np.testing.assert_array_equal(narrow.W[0], kept)
    narrow.save_model(path)
    other = small_net(seed=3, **fields)
    other.load_model(path)
    wide.load_model(path)  # which knows no fields, and finds zeros outside them
    x = small_batch()[0]
    np.testing.assert_array_equal(other(x), narrow(x))
    np.testing.assert_allclose(wide(x), narrow(x), rtol=1e-12)


@pytest.mark.parametrize("held_out", ["other", "same"])
def test_a_last_step_that_spoils_the_weights_is_taken_back_too(held_out):
    """With one batch an epoch its loss is read before the step, so only what is computed after it tells."""
    rng = np.random.default_rng(0)
    data = [blobs(50), blobs(100, 1) if held_out == "other" else blobs(50)]
    net = small_net(p1.ReLU, lr=1e10, momentum=0.9, dtype=np.float32)
    with pytest.raises(p1.TrainingDiverged) as told:
        p1.get_training_stats(net, data, 50, 50, rng, schedule=lambda progress: 1 - progress / 2)
    assert np.isfinite(told.value.history).all() and net.lr == 1e10
    assert np.isfinite(p1.evaluate(net, *data[1])).all()


# -- distortions and schedules ------------------------------------------------------------------------------------


def bilinear_by_hand(image, row, column):
    """One pixel at (row, column) of an image (28, 28), straight from the definition."""
    row, column = min(max(row, 0), 26.999), min(max(column, 0), 26.999)
    top, left = int(row), int(column)
    down, right = row - top, column - left
    return (
        image[top, left] * (1 - down) * (1 - right)
        + image[top, left + 1] * (1 - down) * right
        + image[top + 1, left] * down * (1 - right)
        + image[top + 1, left + 1] * down * right
    )


def test_distort_is_bilinear_interpolation_with_one_warp_a_group():
    x = np.random.default_rng(0).random((10, 784), dtype=np.float32)
    kept = x.copy()
    warped = p1.distort(x, np.random.default_rng(5), group=4)
    rows, columns = p1.random_warps(3, np.random.default_rng(5))
    assert warped.shape == x.shape and warped.dtype == np.float32
    np.testing.assert_array_equal(x, kept)
    for i, pixel in ((0, 400), (3, 5), (4, 333), (7, 783), (8, 0), (9, 600)):
        expected = bilinear_by_hand(x[i].reshape(28, 28), rows[i // 4, pixel], columns[i // 4, pixel])
        assert warped[i, pixel] == pytest.approx(expected, abs=1e-4)


def test_without_strength_nothing_is_distorted():
    x = np.zeros((3, 28, 28), np.float32)
    x[:, 4:24, 4:24] = np.random.default_rng(0).random((3, 20, 20))
    still = p1.distort(x.reshape(3, -1), np.random.default_rng(1), rotation=0, scale=0, shear=0, shift=0, bend=0)
    np.testing.assert_allclose(still.reshape(x.shape), x, atol=1e-5)


def test_each_strength_does_what_its_name_says():
    off = dict(rotation=0, scale=0, shear=0, shift=0, bend=0)
    grid = np.mgrid[:28, :28].reshape(2, -1)
    rng = np.random.default_rng(0)

    def moved(**strength):
        warp = np.stack(p1.random_warps(2000, rng, **off | strength))  # (2, n, 784)
        return warp - grid[:, None], warp

    shift, _ = moved(shift=2.0)
    assert np.ptp(shift, axis=2).max() < 1e-4 and 1.9 < abs(shift).max() <= 2.0001
    _, turned = moved(rotation=30.0)
    np.testing.assert_allclose(np.hypot(*(turned - 13.5)), np.hypot(*(grid - 13.5))[None].repeat(2000, 0), rtol=1e-4)
    bend, _ = moved(bend=1.3)
    middle = bend.reshape(2, 2000, 28, 28)[:, :, 14, 14]
    assert middle.std() == pytest.approx(1.3, rel=0.05)
    neighbours = np.corrcoef(bend.reshape(2, 2000, 28, 28)[0, :, 14, 14], bend.reshape(2, 2000, 28, 28)[0, :, 14, 15])
    assert neighbours[0, 1] > 0.97  # smooth: next-door pixels move together
    slant, _ = moved(shear=0.2)
    assert abs(slant[0]).max() < 1e-4 and abs(slant[1]).max() > 2.4
    size, _ = moved(scale=0.2)
    assert abs(size.reshape(2, 2000, 28, 28)[:, :, 13:15, 13:15]).max() < 0.25 and abs(size).max() > 2.5


def test_learning_rates_of_the_epochs_join_into_one_schedule():
    rates = np.concatenate([p1.learning_rates(0.2, p1.linear_to_zero, epoch, 40, 50) for epoch in range(40)])
    progress = np.arange(2000) / 2000
    np.testing.assert_allclose(rates[20:], 0.2 * (1 - progress[20:]), rtol=1e-12)
    assert rates[0] == pytest.approx(0.002) and rates.max() < 0.2 and 0 < rates[-1] < 2e-4
    assert set(p1.learning_rates(0.2, None, 3, 40, 5)) == {0.2}


def test_without_a_schedule_the_learning_rate_belongs_to_the_caller():
    """A callback may set mlp.lr between epochs; nothing puts it back."""
    net, seen = small_net(lr=0.1), []

    def halve(epoch, curves):
        net.lr /= 2
        seen.append(net.lr)

    p1.get_training_stats(net, [blobs(), blobs(100, 1)], 3, 32, np.random.default_rng(0), halve)
    assert seen == [0.05, 0.025, 0.0125] and net.lr == 0.0125


def test_hard_images_come_in_proportion_to_their_loss_up_to_the_cap():
    hardness = np.repeat([0.0, 0.9, 2.0, 50.0], 100)
    order = p1.hard_order(hardness, np.random.default_rng(0))
    shares = np.array([0.1, 1.0, 2.1, 2.1])
    expected = 400 * shares / shares.sum()
    counts = np.bincount(order, minlength=400)
    np.testing.assert_allclose(counts.reshape(4, 100).sum(axis=1), expected, atol=1)
    assert all(np.ptp(counts.reshape(4, 100), axis=1) <= 1) and len(order) == 400
    assert sorted(p1.hard_order(np.ones(50), np.random.default_rng(0))) == list(range(50))
    assert (np.diff(order) < 0).any()  # shuffled


def test_focus_remembers_the_latest_loss_of_each_image():
    net, (x, y) = small_net(lr=0.0), blobs()
    hardness = np.ones(len(x))
    p1.train_epoch(net, x, y, 32, np.random.default_rng(0), hardness=hardness)
    net(x)
    np.testing.assert_allclose(hardness, net.criterion(net.output, y), rtol=1e-12)


def test_training_with_distortions_and_a_schedule_is_the_same_as_by_hand():
    rng = np.random.default_rng(0)
    x, y = rng.random((40, 784), dtype=np.float32), np.eye(10, dtype=np.float32)[rng.integers(0, 10, 40)]
    recipe = p1.RECIPES["best"] | {"hiddens": [25], "batch_size": 16}
    nets = [p1.build_mlp(recipe, np.random.default_rng(1)) for _ in range(2)]
    p1.get_training_stats(
        nets[0],
        [(x, y), (x, y)],
        2,
        16,
        np.random.default_rng(2),
        distort=p1.distort,
        schedule=p1.linear_to_zero,
        focus=True,
    )
    by_hand, step, hardness = np.random.default_rng(2), 0, np.ones(40)
    for _ in range(2):
        order = p1.hard_order(hardness, by_hand)
        for start in (0, 16, 32):
            batch = order[start : start + 16]
            nets[1](p1.distort(x[batch], by_hand))
            nets[1].backward(y[batch])
            nets[1].lr = recipe["lr"] * min(100 * step / 6 + 0.01, 1 - step / 6)
            nets[1].step()
            hardness[batch] = nets[1].criterion.loss
            step += 1
    np.testing.assert_allclose(nets[0].W[0], nets[1].W[0], rtol=1e-5, atol=1e-7)
    assert nets[0].lr == recipe["lr"]


# -- files --------------------------------------------------------------------------------------------------------


def test_save_and_load_round_trip(tmp_path):
    net, x = small_net(), small_batch()[0]
    path = tmp_path / "p1_model.npz"
    net.save_model(path)
    with np.load(path, allow_pickle=False) as file:
        assert sorted(file.files) == ["W0", "W1", "W2", "b0", "b1", "b2"]
        np.testing.assert_array_equal(file["W1"], net.W[1])
    other = small_net(seed=5)
    other.load_model(path)
    np.testing.assert_array_equal(other(x), net(x))
    loaded = p1.load_mlp(path, p1.Tanh, dtype=np.float64)
    assert loaded.nn_dim == [5, 7, 6, 4] and not loaded.train_mode
    np.testing.assert_array_equal(loaded(x), net(x))
    assert os.listdir(tmp_path) == ["p1_model.npz"]


def test_an_interrupted_save_leaves_the_old_file(tmp_path, monkeypatch):
    net, path = small_net(), tmp_path / "p1_model.npz"
    net.save_model(path)
    before = path.read_bytes()

    def stops_half_way(file, **arrays):
        file.write(b"half a file")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", stops_half_way)
    with pytest.raises(KeyboardInterrupt):
        small_net(seed=9).save_model(path)
    assert path.read_bytes() == before


def write(path, **arrays):
    np.savez(path, **arrays)
    return path


W, B = np.ones((5, 4)), np.ones(4)
BROKEN = {
    "missing file": (lambda p: p, "There is no model file"),
    "missing key": (lambda p: write(p, W0=W, b0=B, W1=W), "lacks b1"),
    "misnamed key": (lambda p: write(p, W0=W, c0=B), "lacks b0"),
    "empty": (lambda p: write(p), "lacks W0, b0"),
    "pickled": (lambda p: write(p, W0=np.array([{"a": 1}], dtype=object), b0=B), "cannot be read as a model"),
    "not an npz": (lambda p: p.write_bytes(b"hello") and p, "cannot be read as a model"),
    "other sizes": (lambda p: write(p, W0=W, b0=np.ones(3)), "do not fit"),
    "NaN": (lambda p: write(p, W0=W * np.nan, b0=B), "finite"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_model_files_are_refused_in_a_sentence(tmp_path, case):
    make, sentence = BROKEN[case]
    path = make(tmp_path / "model.npz")
    with pytest.raises(ValueError, match=sentence):
        p1.load_mlp(path)
    with pytest.raises(ValueError, match=sentence):
        small_net().load_model(path)


def test_a_model_of_another_shape_is_refused(tmp_path):
    small_net(hiddens=(3,)).save_model(tmp_path / "m.npz")
    with pytest.raises(ValueError, match="build the MLP with the file's sizes"):
        small_net().load_model(tmp_path / "m.npz")


# -- bad input ----------------------------------------------------------------------------------------------------


def build(**changes):
    arguments = dict(
        input_size=5,
        output_size=4,
        hiddens=[3],
        activations=[p1.ReLU()],
        weight_init_fn=p1.random_normal_weight_init,
        bias_init_fn=p1.zeros_bias_init,
        criterion=p1.SoftmaxCrossEntropy(),
        lr=0.1,
    )
    return p1.MLP(**arguments | changes)


def train_with(x=None, y=None, nepochs=1, batch_size=8):
    good_x, good_y = small_batch(20)
    data = (good_x if x is None else x, good_y if y is None else y)
    return p1.get_training_stats(small_net(), [data, (good_x, good_y)], nepochs, batch_size)


def with_nan():
    x = small_batch(20)[0]
    x[3, 2] = np.nan
    return x


BAD = {
    "negative learning rate": (lambda: build(lr=-1.0), "learning rate is -1.0"),
    "NaN learning rate": (lambda: build(lr=float("nan")), "learning rate is nan"),
    "momentum of 1": (lambda: build(momentum=1.0), r"momentum is 1.0; choose it in \[0, 1\)"),
    "negative weight decay": (lambda: build(weight_decay=-0.1), "weight decay is -0.1"),
    "unknown activation": (lambda: build(activations=["swish"]), "Unknown activation 'swish'"),
    "class, not instance": (lambda: build(activations=[p1.ReLU]), "give instances"),
    "one activation twice": (lambda: build(hiddens=[3, 3], activations=[p1.ReLU()] * 2), "give each its own"),
    "too many activations": (lambda: build(activations=[p1.ReLU()] * 3), "3 activations were given for 1 hid"),
    "empty layer": (lambda: build(hiddens=[0]), r"\[5, 0, 4\]; each must be a whole number"),
    "half a neuron": (lambda: build(hiddens=[2.5]), "whole number"),
    "fields that do not divide the layer": (lambda: build(fields=[[0], [1]]), "fields have shape .2, 1.; give rows"),
    "a field beyond the inputs": (lambda: build(fields=[[0, 5]]), "input numbers from 0 to 4"),
    "a field with an input twice": (lambda: build(fields=[[1, 1]]), "different input numbers"),
    "fields of fractions": (lambda: build(fields=[[0.5]]), "different input numbers"),
    "fields of different sizes": (lambda: build(fields=[[0], [1, 2]]), r"shape \(2,\); give rows"),
    "one field without its list": (lambda: build(fields=[0, 1, 2]), r"shape \(3,\)"),
    "weights of a wrong shape": (lambda: build(weight_init_fn=lambda a, b: np.ones((b, a))), "must be"),
    "x of a wrong width": (lambda: small_net()(np.ones((2, 6))), r"\(2, 6\).*row of 5 numbers"),
    "one image without its batch": (lambda: small_net()(np.ones(5)), r"\(5,\)"),
    "empty batch": (lambda: small_net()(np.ones((0, 5))), "at least one row"),
    "loss before forward": (lambda: small_net().get_loss(np.ones((1, 4))), "call forward"),
    "label 10": (lambda: p1.get_one_hot([3, 10], 10), r"from 0 to 9.*\[3, 10\]"),
    "label -1": (lambda: p1.get_one_hot([-1], 10), r"\[-1\]"),
    "half a label": (lambda: p1.get_one_hot([0.5], 10), "whole numbers"),
    "no labels": (lambda: p1.get_one_hot([], 10), "at least one"),
    "word as label": (lambda: p1.get_one_hot(["seven"], 10), "whole numbers"),
    "NaN pixels": (lambda: train_with(x=with_nan()), "NaN"),
    "integer labels": (lambda: train_with(y=np.arange(20) % 4), "get_one_hot"),
    "two ones in a row": (lambda: train_with(y=np.ones((20, 4))), "not one-hot"),
    "too few labels": (lambda: train_with(y=small_batch(19)[1]), r"\(19, 4\)"),
    "no samples": (lambda: train_with(x=np.ones((0, 5)), y=np.ones((0, 4))), "at least one row"),
    "batch size 0": (lambda: train_with(batch_size=0), "batch_size is 0"),
    "half an epoch": (lambda: train_with(nepochs=0.5), "nepochs is 0.5"),
    "views of no image": (lambda: p1.five_views(small_net()), "sees 5 inputs; views have 784 pixels"),
    "views of probabilities": (
        lambda: p1.five_views(build(input_size=784, activations=[p1.ReLU(), p1.Sigmoid()])),
        "output layer has the activation Sigmoid; a mean of logits needs Identity",
    ),
    "label smoothing of 1": (lambda: p1.SoftmaxCrossEntropy(1.0), "label_smoothing is 1.0"),
    "labels of another shape": (lambda: p1.SoftmaxCrossEntropy()(np.ones((2, 3)), np.ones(2)), "one-hot"),
    "no data": (lambda: p1.load_mnist("nowhere"), "MNIST is in none of nowhere"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_in_one_sentence(case):
    call, sentence = BAD[case]
    with pytest.raises(ValueError, match=sentence) as caught:
        call()
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")


def test_integer_labels_at_backward_are_refused():
    net = small_net()
    net(small_batch()[0])
    with pytest.raises(ValueError, match="labels have shape .*one-hot"):
        net.backward(np.zeros(9, dtype=int))


# -- data and the program itself ----------------------------------------------------------------------------------


def make_mnist(folder, n=60100, m=200):
    """A drop of random digits in MNIST's own shapes."""
    rng = np.random.default_rng(0)
    arrays = {
        "train_images": rng.integers(0, 256, (n, 28, 28), dtype=np.uint8),
        "train_labels": (np.arange(n) % 10).astype(np.uint8),
        "test_images": rng.integers(0, 256, (m, 28, 28), dtype=np.uint8),
        "test_labels": (np.arange(m) % 10).astype(np.uint8),
    }
    np.savez(folder / "mnist.npz", **arrays)
    return arrays


def write_csv(path, images, labels):
    np.savetxt(path, np.column_stack([labels, images.reshape(len(images), -1)]), "%d", ",")


def test_csv_files_give_the_same_pixels_and_labels(tmp_path):
    arrays = make_mnist(tmp_path, 30, 20)
    write_csv(tmp_path / "mnist_train.csv", arrays["train_images"], arrays["train_labels"])
    images, labels = p1.read_csv(tmp_path / "mnist_train.csv")
    np.testing.assert_array_equal(images, arrays["train_images"].reshape(30, 784))
    np.testing.assert_array_equal(labels, arrays["train_labels"])


def test_a_short_csv_row_is_refused(tmp_path):
    arrays = make_mnist(tmp_path, 5, 5)
    path = tmp_path / "mnist_train.csv"
    write_csv(path, arrays["train_images"], arrays["train_labels"])
    path.write_text(path.read_text() + "3,0,0\n")
    with pytest.raises(ValueError, match="785 in each row"):
        p1.read_csv(path)


def test_load_mnist_splits_50000_10000_and_scales(tmp_path):
    arrays = make_mnist(tmp_path, 60000, 100)
    (x, y), (validation_x, validation_y), (test_x, test_y) = p1.load_mnist(tmp_path)
    assert (x.shape, validation_x.shape, test_x.shape) == ((50000, 784), (10000, 784), (100, 784))
    assert x.dtype == np.float32 and x.max() == 1.0 and x.min() == 0.0
    np.testing.assert_allclose(x[7], arrays["train_images"][7].reshape(-1) / 255, rtol=1e-7)
    np.testing.assert_array_equal(validation_y.argmax(1), arrays["train_labels"][50000:])


@pytest.mark.skipif("WORKBOOK_DATA" not in os.environ, reason="needs the real MNIST in $WORKBOOK_DATA")
def test_runs_as_a_program_in_an_empty_folder(tmp_path):
    """`python p1.py` with the real data, one epoch instead of all, writes the model and the two panels."""
    (tmp_path / "p1.py").write_text(Path(p1.__file__).read_text())
    program = "import p1; p1.main(epochs=1)"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    last = done.stdout.strip().splitlines()[-1]
    assert last.startswith("test error ") and float(last.split()[-1].rstrip("%")) < 10
    assert (tmp_path / "p1_model.npz").exists()
    assert (tmp_path / "p1_curves.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


QUICK = settings(max_examples=20, deadline=None)
SEEDS = st.integers(0, 2**32 - 1)


@QUICK
@given(st.floats(-30, 30), st.sampled_from([p1.Identity, p1.Sigmoid, p1.Tanh, p1.ReLU]))
def test_an_activation_keeps_the_derivative_of_its_latest_input(x, kind):
    f, h = kind(), 1e-6
    if kind is p1.ReLU and abs(x) < 1e-5:
        return  # the kink
    slope = (f(np.array([x + h])) - f(np.array([x - h]))) / (2 * h)
    f(np.array([x]))
    np.testing.assert_allclose(f.derivative(), slope, atol=1e-8)


@QUICK
@given(SEEDS, st.floats(0, 0.9), st.floats(-1e4, 1e4))
def test_softmax_cross_entropy_knows_no_common_shift_and_its_gradient_sums_to_zero(seed, smoothing, shift):
    rng = np.random.default_rng(seed)
    x, y = 5 * rng.standard_normal((4, 6)), p1.get_one_hot(rng.integers(0, 6, 4), 6)
    assert (y.sum(axis=1) == 1).all()
    criterion = p1.SoftmaxCrossEntropy(smoothing)
    loss = criterion(x, y).copy()
    np.testing.assert_allclose(criterion.derivative().sum(axis=1), 0, atol=1e-12)
    assert (loss >= 0).all()
    np.testing.assert_allclose(criterion(x + shift, y), loss, atol=1e-9)


@QUICK
@given(st.integers(1, 40), st.integers(1, 40), SEEDS)
def test_initial_weights_have_their_shape_and_their_seed_decides(d0, d1, seed):
    for make in (p1.random_normal_weight_init, p1.scaled_normal_weight_init, p1.local_weight_init):
        one, two, other = (make(d0, d1, np.random.default_rng(s)) for s in (seed, seed, seed + 1))
        assert one.shape == (d0, d1) and np.array_equal(one, two) and not np.array_equal(one, other)
    assert p1.zeros_bias_init(d1).shape == (d1,)


@QUICK
@given(SEEDS, st.integers(1, 60))
def test_hard_images_come_as_often_as_their_share_says(seed, n):
    rng = np.random.default_rng(seed)
    hardness = rng.exponential(1, n)
    share = 0.1 + np.minimum(hardness, 2)
    order = p1.hard_order(hardness, rng)
    assert len(order) == n
    assert (np.abs(np.bincount(order, minlength=n) - n * share / share.sum()) < 1 + 1e-9).all()


@QUICK
@given(st.integers(1, 50), st.integers(1, 50), st.floats(1e-4, 10))
def test_learning_rates_rise_and_fall_within_the_given_one(epochs, batches, lr):
    rates = np.concatenate([p1.learning_rates(lr, p1.linear_to_zero, e, epochs, batches) for e in range(epochs)])
    assert len(rates) == epochs * batches and (rates > 0).all() and (rates <= lr).all()
    peak = rates.argmax()
    assert (np.diff(rates[: peak + 1]) > 0).all() and (np.diff(rates[peak:]) < 0).all()
    assert (p1.learning_rates(lr, None, 0, epochs, batches) == lr).all()


@settings(max_examples=10, deadline=None)
@given(SEEDS, st.integers(1, 20))
def test_a_distorted_image_has_no_pixel_outside_the_range_of_the_original(seed, n):
    rng = np.random.default_rng(seed)
    x = rng.random((n, 784), dtype=np.float32)
    distorted = p1.distort(x, rng)
    assert distorted.shape == x.shape and distorted.dtype == np.float32
    assert (distorted >= -1e-6).all() and (distorted.max(axis=1) <= x.max(axis=1) + 1e-6).all()
    rows, columns = p1.random_warps(n, rng)
    assert rows.shape == columns.shape == (n, 784) and np.isfinite(rows).all() and np.isfinite(columns).all()


@settings(max_examples=10, deadline=None)
@given(SEEDS, st.lists(st.integers(1, 9), max_size=3))
def test_a_saved_network_comes_back_whatever_its_sizes(tmp_path_factory, seed, hiddens):
    rng = np.random.default_rng(seed)
    activations = [p1.Tanh() for _ in hiddens]
    net = p1.MLP(5, 3, hiddens, activations, lambda a, b: rng.standard_normal((a, b)), p1.zeros_bias_init,
                 p1.SoftmaxCrossEntropy(), 0.1)  # fmt: skip
    path = tmp_path_factory.mktemp("saved") / "net.npz"
    net.save_model(path)
    x, again = rng.standard_normal((4, 5)), p1.load_mlp(path, p1.Tanh, np.float64)
    assert np.array_equal(again(x), net(x))
    with pytest.raises(ValueError, match="one-hot"):
        p1.check_samples(net, x, np.full((4, 3), 0.5))
    loss, error = p1.evaluate(net, x, p1.get_one_hot(rng.integers(0, 3, 4), 3))
    assert loss > 0 and error in (0, 0.25, 0.5, 0.75, 1)
