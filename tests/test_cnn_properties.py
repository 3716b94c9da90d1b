"""Laws of the network and of the training of Programming 2, for sizes, images and settings that hypothesis draws."""

import io
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import p2
from helpers.core import cnn, training

few = settings(max_examples=8, deadline=None)
seeds = st.integers(0, 2**20)
widths = st.tuples(*[st.integers(1, 9)] * 3)
CPU = torch.device("cpu")


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def pictures(seed, n=6, size=16):
    """Random images, uint8 (n, 3, size, size), half of them in dark colours."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (n, 3, size, size), generator=generator)
    images[::2] //= 3
    return images.byte()


def network_of(seed, sizes=(4, 6, 8), depth=2):
    """A network with random weights and input statistics, ready to predict."""
    torch.manual_seed(seed)
    network = cnn.CNN(sizes, depth)
    network.fit_input(pictures(seed, 20))
    for norm in (norm for group in network.groups for norm in group.norms):
        torch.nn.init.normal_(norm.bias)
        torch.nn.init.normal_(norm.running_mean)
        torch.nn.init.uniform_(norm.running_var, 0.5, 2)
    return network.eval()


# --------------------------------------------------------------------------------------------------- the network


def by_hand(network, images):
    """The logits of a network in evaluation mode, from plain convolutions in double precision."""
    get = {name: tensor.double() for name, tensor in network.state_dict().items()}

    def gelu(x):
        return x * (1 + torch.erf(x / math.sqrt(2))) / 2

    x = (images.double() / 255 - get["mean"].view(-1, 1, 1)) / get["std"].view(-1, 1, 1)
    x = gelu(torch.nn.functional.conv2d(x, get["whitening.weight"], get["whitening.bias"]))
    for g in range(3):
        for k in range(network.depth_of_groups):
            x_in = x
            x = torch.nn.functional.conv2d(x, get[f"groups.{g}.convolutions.{k}.weight"], padding=1)
            if k == 0:
                n, c, h, w = x.shape
                x = x[:, :, : h // 2 * 2, : w // 2 * 2].reshape(n, c, h // 2, 2, w // 2, 2).amax((3, 5))
            norm = {end: get[f"groups.{g}.norms.{k}.{end}"] for end in ("running_mean", "running_var", "bias")}
            scale = (norm["running_var"] + 1e-5).sqrt().view(-1, 1, 1)
            x = (x - norm["running_mean"].view(-1, 1, 1)) / scale + norm["bias"].view(-1, 1, 1)
            if k == 1:
                shortcut = x_in
            if network.depth_of_groups > 2 and k == network.depth_of_groups - 1:
                x = x + shortcut
            x = gelu(x)
    return x.amax((2, 3)) @ get["head.weight"].T / len(get["head.weight"][0])


@few
@given(seeds, widths, st.integers(1, 3), st.integers(cnn.SMALLEST, 24))
def test_the_network_is_what_its_description_says(seed, sizes, depth, size):
    network, images = network_of(seed, sizes, depth), pictures(seed, size=size)
    network.depth_of_groups = depth
    logits = network(images)
    torch.testing.assert_close(logits.double(), by_hand(network, images), rtol=1e-3, atol=1e-4)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(network(images[order]), logits[order], rtol=1e-4, atol=1e-5)  # each alone counts
    with torch.no_grad():
        stages = network.groups[0](torch.zeros(2, 24, size - 1, size - 1))
    assert stages.shape == (2, sizes[0], (size - 1) // 2, (size - 1) // 2)


@few
@given(seeds, widths, st.integers(1, 3))
def test_a_group_begins_by_handing_its_input_on(seed, sizes, depth):
    torch.manual_seed(seed)
    network = cnn.CNN(sizes, depth)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter)
    network.reset()
    assert not network.whitening.bias.any()
    for group in network.groups:
        assert isinstance(group, cnn.Group)
        for convolution in group.convolutions:
            shared = min(convolution.in_channels, convolution.out_channels)
            x = torch.randn(1, convolution.in_channels, 5, 5)
            torch.testing.assert_close(convolution(x)[:, :shared], x[:, :shared])


@few
@given(seeds, st.floats(0.1, 1), st.floats(0, 0.5))
def test_contrast_and_brightness_of_the_data_do_not_reach_the_network(seed, contrast, brightness):
    """Whatever the scale of all images together, they arrive with mean 0 and deviation 1 a channel."""
    images = (pictures(seed, 12) * (contrast * (1 - brightness)) + 255 * brightness).byte()
    network = cnn.CNN((2, 2, 2), 1)
    network.fit_input(images)
    x = network.normalise(images)
    torch.testing.assert_close(x.mean((0, 2, 3)), torch.zeros(3), rtol=0, atol=1e-3)
    torch.testing.assert_close(x.std((0, 2, 3)), torch.ones(3), rtol=1e-3, atol=0)
    torch.testing.assert_close(network.normalise(images.float() / 255), x, rtol=1e-4, atol=1e-4)


@few
@given(widths, st.integers(1, 3), st.integers(16, 33), st.booleans())
def test_costs_follow_from_the_sizes_alone(sizes, depth, size, bias_trained):
    network = cnn.CNN(sizes, depth)
    network.whitening.bias.requires_grad = bias_trained
    side, channels, forward, parameters = size - 1, 24, [2 * 12 * 24 * (size - 1) ** 2], 12 * 24 + 24 * bias_trained
    for width in sizes:
        for k in range(depth):
            forward.append(2 * 9 * channels * width * side**2)
            parameters += 9 * channels * width + width
            channels, side = width, side // 2 if k == 0 else side
    forward.append(2 * 10 * channels)
    parameters += 10 * channels
    assert [row[3] for row in cnn.layer_table(network, size)] == forward
    assert cnn.forward_flops(network, size) == sum(forward)
    assert cnn.parameter_count(network) == parameters
    # Trained layers cost three times their forward pass; without a trained bias below, the first one only twice.
    assert cnn.training_flops(network, size) == 3 * sum(forward[1:]) - (not bias_trained) * forward[1] + forward[0]


@few
@given(st.lists(st.integers(0, 40), min_size=0, max_size=5))
def test_only_images_are_let_through(shape):
    good = len(shape) == 4 and shape[1] == 3 and min(shape[2:]) >= cnn.SMALLEST
    if good:
        cnn.check_images(torch.empty(shape))
    else:
        with pytest.raises(ValueError, match="The images have shape"):
            cnn.check_images(torch.empty(shape))


# --------------------------------------------------------------------------------------------------- files


@few
@given(seeds, widths, st.integers(1, 3), st.booleans())
def test_a_model_comes_back_from_its_file(tmp_path_factory, seed, sizes, depth, half):
    network, path = network_of(seed, sizes, depth), tmp_path_factory.mktemp("model") / "model.pkl"
    cnn.save_model(path, network, half)
    loaded = cnn.load_model(path)
    assert (loaded.widths, loaded.depth if hasattr(loaded, "depth") else depth) == (sizes, depth)
    again = cnn.CNN.from_weights(network.state_dict())
    for name, tensor in network.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)
        torch.testing.assert_close(
            loaded.state_dict()[name], tensor, rtol=1e-3 if half else 0, atol=1e-6 if half else 0
        )


@few
@given(seeds, st.data())
def test_a_flipped_byte_in_the_weights_is_noticed(seed, data):
    buffer = io.BytesIO()
    values = torch.randn(200, generator=torch.Generator().manual_seed(seed))
    torch.save({"x": values}, buffer)
    content = bytearray(buffer.getvalue())
    assert not cnn.damaged(io.BytesIO(content))
    start = bytes(content).index(values.numpy().tobytes())
    at = start + data.draw(st.integers(0, 799))
    content[at] ^= data.draw(st.integers(1, 255))
    assert cnn.damaged(io.BytesIO(content))


# --------------------------------------------------------------------------------------------------- images


@few
@given(seeds, st.integers(1, 9), st.integers(1, 6))
def test_a_tensor_of_images_is_a_view(seed, height, width):
    images = np.random.default_rng(seed).integers(0, 256, (2, height, width, 3)).astype(np.uint8)
    tensor = training.to_tensor(images)
    assert np.array_equal(tensor.numpy(), np.moveaxis(images, -1, 1))
    images[0] = 7
    assert (tensor[0] == 7).all()


@few
@given(seeds, st.integers(0, 4), st.integers(0, 6))
def test_a_batch_is_cut_out_of_the_reflected_image(seed, shift, hole):
    images, rng = pictures(seed, 5, 32), np.random.default_rng(seed)
    sized = training.PaddedImages(images, 32, shift, CPU)
    indices, flips = rng.integers(0, 5, 4), rng.random(4) < 0.5
    shifts, holes = rng.integers(0, 2 * shift + 1, (4, 2)), rng.integers(0, 33 - hole, (4, 2))
    told = [torch.from_numpy(a) for a in (indices, flips, shifts, holes)]
    batch = sized.batch(*told, hole_size=hole).numpy()
    for k in range(4):
        padded = np.pad(images[indices[k]].numpy(), [(0, 0), (shift, shift), (shift, shift)], mode="reflect")
        cut = padded[:, shifts[k, 0] :, shifts[k, 1] :][:, :32, :32]
        cut = cut[:, :, ::-1].copy() if flips[k] else cut.copy()
        cut[:, holes[k, 0] : holes[k, 0] + hole, holes[k, 1] : holes[k, 1] + hole] = 120
        assert np.array_equal(batch[k], cut)


# --------------------------------------------------------------------------------------------------- optimizers


@few
@given(seeds, st.integers(1, 12), st.integers(1, 12), st.floats(1e-3, 1e3))
def test_orthogonalise_turns_with_its_matrix_and_forgets_its_scale(seed, rows, columns, scale):
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(rows, columns, generator=generator, dtype=torch.float64)
    turned = training.orthogonalise(matrix)
    Q = torch.linalg.qr(torch.randn(rows, rows, generator=generator, dtype=torch.float64)).Q
    torch.testing.assert_close(training.orthogonalise(Q @ matrix), Q @ turned, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(training.orthogonalise(scale * matrix), turned, rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(training.orthogonalise(matrix.T), turned.T, rtol=1e-4, atol=1e-4)
    assert torch.linalg.matrix_norm(turned, 2) < 1.3


@few
@given(seeds, st.floats(1e-3, 0.5), st.floats(0, 0.9), st.sampled_from([torch.float32, torch.bfloat16]))
def test_two_steps_of_muon_by_their_formula(seed, lr, momentum, dtype):
    torch.manual_seed(seed)
    weights = torch.nn.Parameter(torch.randn(4, 3, 3, 3))
    optimizer, expected, velocity = training.Muon([weights], lr, momentum, dtype), weights.detach().clone(), 0
    for _ in range(2):
        gradient = weights.grad = torch.randn(4, 3, 3, 3)
        optimizer.step()
        velocity = momentum * velocity + gradient
        ahead = (gradient + momentum * velocity).reshape(4, 27)
        turn = training.orthogonalise(ahead.to(dtype)).float()
        exact = training.orthogonalise(ahead.double())
        assert (turn - exact).norm() < (1e-4 if dtype == torch.float32 else 0.1) * exact.norm()
        expected = expected * 2 / expected.norm() - lr * turn.reshape(4, 3, 3, 3)
    torch.testing.assert_close(
        weights.detach(), expected, rtol=1e-4, atol=1e-5 if dtype == torch.float32 else 1e-2 * lr
    )


# --------------------------------------------------------------------------------------------------- the training


def tiny(seed, **changes):
    """A training of a very small network on 24 images of 16 x 16 pixels, and its images and labels."""
    configuration = p2.FAST | dict(widths=[2, 3, 4], depth=1, sizes=[16], batch_size=6, part=6, epochs=2, keep=[1.0])
    images, labels = pictures(seed, 24, 32), torch.arange(24) % 10
    return training.Training(configuration | changes, images, labels, seed), images, labels


@few
@given(seeds, st.integers(1, 24), st.floats(0.05, 1), st.integers(0, 1))
def test_an_epoch_shows_each_image_at_most_once_and_the_hardest_first(seed, batch_size, kept, epoch):
    run, _, labels = tiny(seed, batch_size=batch_size, keep=[1.0, kept])
    run.epoch, run.difficulty = epoch, torch.rand(24, generator=torch.Generator().manual_seed(seed))
    wanted = int((kept if epoch else 1) * 24 + 0.5) // batch_size
    assert run.steps(epoch) == max(1, wanted)
    order = run.order(run.steps(epoch))
    assert len(set(order.tolist())) == len(order) == run.steps(epoch) * batch_size
    if epoch and kept < 1:
        assert set(order.tolist()) == set(run.difficulty.argsort(descending=True)[: len(order)].tolist())


@few
@given(seeds, st.lists(st.integers(16, 32), min_size=1, max_size=4), st.integers(1, 9))
def test_sizes_are_stretched_over_the_epochs(seed, sizes, epochs):
    run, _, _ = tiny(seed, sizes=sizes, epochs=epochs)
    shown = [run.size(e) for e in range(epochs)]
    assert shown == [sizes[math.floor(e * len(sizes) / epochs)] for e in range(epochs)]


@few
@given(seeds, st.integers(1, 24))
def test_the_gradients_of_the_parts_are_those_of_the_whole(seed, part):
    """With fixed batch statistics; in training each part has its own."""
    run, images, labels = tiny(seed, part=part)
    run.network.eval()
    logits, losses = run.gradients(run.network, images, labels)
    mine = [p.grad.clone() for p in run.network.parameters() if p.grad is not None]
    run.network.zero_grad()
    whole = torch.nn.functional.cross_entropy(run.network(images), labels, label_smoothing=0.2, reduction="none")
    whole.sum().backward()
    torch.testing.assert_close(losses, whole.detach(), rtol=1e-4, atol=1e-5)
    assert logits.shape == (24, 10)
    for one, other in zip(mine, [p.grad for p in run.network.parameters() if p.grad is not None], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


@few
@given(seeds, st.floats(0, 1))
def test_one_factor_moves_every_learning_rate(seed, factor):
    run, _, _ = tiny(seed)
    run.set_learning_rates(factor)
    rates = [group["lr"] for optimizer in (run.muon, run.sgd) for group in optimizer.param_groups]
    assert rates == [factor * p2.FAST[name] for name in ("filter_lr", "bias_lr", "head_lr")]


@settings(max_examples=4, deadline=None)
@given(seeds, st.sampled_from(["float32", "bf16"]))
def test_a_restored_training_goes_on_as_if_nothing_had_happened(seed, precision):
    run, images, labels = tiny(seed)
    run.precision, run.muon.dtype = precision, training.DTYPES[precision]
    run.run_epoch()
    state = {name: value for name, value in run.state().items()}
    buffer = io.BytesIO()
    torch.save(state, buffer)
    expected = run.run_epoch()
    other = training.Training(run.configuration, images, labels, seed)
    other.restore(torch.load(io.BytesIO(buffer.getvalue()), weights_only=True))
    assert other.precision == precision and other.muon.dtype == training.DTYPES[precision]
    told = other.run_epoch()
    assert {k: told[k] for k in ("epoch", "loss", "accuracy", "images")} == {
        k: expected[k] for k in ("epoch", "loss", "accuracy", "images")
    }
    for mine, theirs in zip(run.network.parameters(), other.network.parameters(), strict=True):
        assert torch.equal(mine, theirs)


@few
@given(seeds, st.integers(0, 23), st.booleans())
def test_every_second_epoch_is_mirrored(seed, image, flip):
    run, _, _ = tiny(seed, translate=0, cutout=0, flip=flip)
    run.sized = training.PaddedImages(run.images, 16, 0, CPU)
    indices, views = torch.tensor([image]), []
    for epoch in (0, 1, 2):
        run.epoch = epoch
        chosen, shown = run.draw_batch(indices, 16)
        assert chosen.tolist() == [image]
        views.append(shown)
    assert torch.equal(views[0], views[2])
    assert torch.equal(views[1], views[0].flip(3) if flip else views[0])


@few
@given(st.sampled_from(["float32", "bf16"]), seeds)
def test_autocast_computes_in_the_chosen_precision(precision, seed):
    run, _, _ = tiny(seed)
    run.precision = precision
    with run.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == training.DTYPES[precision]
    assert training.choose_precision(CPU, precision) == (precision, f"{precision} as asked for")
    training.synchronise(CPU)  # has nothing to wait for


@few
@given(seeds, st.sampled_from(["cpu", "cuda", "mps"]))
def test_a_layout_changes_no_value(seed, kind):
    images = pictures(seed)
    assert torch.equal(images.contiguous(memory_format=training.memory_layout(torch.device(kind))), images)


@few
@given(st.text("abcmpu:01", max_size=6))
def test_what_is_no_device_does_not_work(name):
    if name.split(":")[0] not in ("cpu", "mps", "cuda"):
        assert not training.works(name)
    assert training.works("cpu")


@few
@given(st.text(max_size=6))
def test_there_are_three_devices(name):
    kind = name.split(":")[0]
    if kind not in ("auto", "cpu", "cuda", "mps"):
        with pytest.raises(ValueError, match="There is no device called"):
            training.choose_device(name)
    assert training.choose_device("cpu") == CPU
    assert 0 < training.matrix_peak(CPU, side=8, repeats=1) < math.inf


@few
@given(
    st.dictionaries(st.sampled_from("abc"), st.integers(0, 2)),
    st.dictionaries(st.sampled_from("abc"), st.integers(0, 2)),
)
def test_the_first_difference_is_named(theirs, mine):
    if theirs != mine:
        first = min(k for k in "abc" if theirs.get(k) != mine.get(k))
        told = training.difference("configuration", theirs, mine)
        assert told == f"its {first} is {theirs.get(first)}, not {mine.get(first)}"
    assert training.difference("seed", 1, 2) == "its seed is 1, not 2"


@few
@given(seeds, st.integers(1, 6), st.booleans())
def test_predictions_are_probabilities_of_each_image_alone(seed, batch_size, average):
    network, images = network_of(seed), pictures(seed)
    probabilities = training.predict(network, images, average, batch_size)
    torch.testing.assert_close(probabilities.sum(1), torch.ones(6))
    torch.testing.assert_close(probabilities, training.predict(network, images, average), rtol=1e-3, atol=1e-6)
    padded = np.pad(images.numpy(), [(0, 0), (0, 0), (1, 1), (1, 1)], mode="reflect")
    views = [images.numpy(), padded[:, :, :-2, :-2], padded[:, :, 2:, 2:]] if average else [images.numpy()]
    views += [view[..., ::-1] for view in views] if average else []
    with torch.no_grad():
        logits = sum(network(torch.from_numpy(view.copy())) for view in views) / len(views)
    torch.testing.assert_close(probabilities, logits.softmax(1), rtol=1e-3, atol=1e-6)
    labels = torch.arange(6)
    loss, accuracy, same = training.evaluate(network, images, labels, average)
    torch.testing.assert_close(same, probabilities, rtol=1e-3, atol=1e-6)
    assert accuracy == np.mean(probabilities.numpy().argmax(1) == labels.numpy())
    assert loss == pytest.approx(-np.log(probabilities.numpy()[range(6), labels]).mean(), rel=1e-3)
