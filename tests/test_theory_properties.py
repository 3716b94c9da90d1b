"""Laws of the smaller rooms of the core, for the inputs that hypothesis draws: theory, drawn digits, CNN studies."""

import dataclasses
import io
import json
import math
import re
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from helpers import p2
from helpers.core import backprop, cnn, cnn_studies, convolution, descent, digit, gates, mlp_studies, training
from helpers.datasets import Dataset

few = settings(max_examples=10, deadline=None)
seeds = st.integers(0, 2**20)


# --------------------------------------------------------------------------------------------------- descent, gates


@few
@given(st.floats(-800, 800))
def test_the_sigmoid_mirrors_itself(x):
    assert descent.sigmoid(x) + descent.sigmoid(-x) == pytest.approx(1, rel=1e-15)
    assert descent.sigmoid(x) == pytest.approx(0.5 + math.tanh(x / 2) / 2, rel=1e-9, abs=1e-15)


@few
@given(seeds, st.integers(1, 4), st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1))
def test_a_gate_network_is_sigmoids_and_a_sum(seed, neurons, corners):
    rng, x = np.random.default_rng(seed), np.array(corners, dtype=float)
    W, b, V, c = rng.normal(size=(2, neurons)), rng.normal(size=neurons), rng.normal(size=(neurons, 1)), rng.normal()
    network = gates.GateNetwork(((W, b), (V, [c])))
    assert network.sizes == (2, neurons, 1)
    hidden = network.hidden(x)
    np.testing.assert_allclose(hidden, 1 / (1 + np.exp(-(x @ W + b))), rtol=1e-9)


@few
@given(st.sampled_from(sorted(gates.SMALLEST)))
def test_the_smallest_networks_are_right_in_every_row(gate):
    rows = gates.truth_table(gates.smallest_network(gate), gate)
    assert all(isinstance(row, gates.Row) and row.right for row in rows)
    assert not any(gates.Row(row.inputs, 1 - row.wanted, row.z, row.predicted).right for row in rows)


@few
@given(st.integers(0, 15), seeds)
def test_two_of_sixteen_functions_have_no_line(number, seed):
    name, outputs, separation = gates.all_two_input_functions()[number]
    assert outputs == tuple(int(bit) for bit in f"{number:04b}")
    # A line through the plane exists unless the two diagonals disagree: XOR and its opposite.
    assert separation.separable == (number not in (0b0110, 0b1001))
    found = gates.random_search((2, 1), 200, seed=seed)
    assert sum(found.values()) == 200 and not {(0, 1, 1, 0), (1, 0, 0, 1)} & set(found)


# --------------------------------------------------------------------------------------------------- backprop


@few
@given(seeds, st.floats(-3, 3), st.floats(-3, 3))
def test_scaling_a_network_scales_what_it_adds_up(seed, hidden, logits):
    rng = np.random.default_rng(seed)
    net = backprop.TwoLayerNet(*(rng.normal(size=shape) for shape in ((3, 4), 4, (4, 2), 2)))
    x, y = rng.normal(size=(1, 3)), np.eye(2)[[1]]
    assert net.sizes == (3, 4, 2)
    plain, scaled = net.forward(x, y), net.scaled(hidden, logits).forward(x, y)
    np.testing.assert_allclose(scaled.f1, hidden * plain.f1, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(net.scaled(1, logits).forward(x, y).f2, logits * plain.f2, rtol=1e-9, atol=1e-12)
    (norm,) = backprop.input_gradient_norms(net, x, y, [hidden], logits)
    changed = net.scaled(hidden, logits)
    step, differences = 1e-6, []
    for direction in np.eye(3):
        losses = [np.sum(changed.forward(x + sign * step * direction, y).E) for sign in (1, -1)]
        differences.append((losses[0] - losses[1]) / (2 * step))
    assert norm == pytest.approx(np.linalg.norm(differences), rel=1e-4, abs=1e-7)


@few
@given(st.floats(-5, 5))
def test_the_worked_example_can_be_done_by_head(scale):
    net, x, y = backprop.worked_example()
    np.testing.assert_allclose(net.forward(x, y).f1, [[-1, -1.5, 1, 1.5]])
    np.testing.assert_allclose(net.scaled(scale).forward(x, y).f1, scale * np.array([[-1, -1.5, 1, 1.5]]), atol=1e-12)


# --------------------------------------------------------------------------------------------------- convolution


@few
@given(st.integers(1, 12), st.integers(0, 6), st.integers(1, 9), st.integers(1, 4))
def test_the_size_formula_counts_positions(n, p, span, stride):
    sizes = convolution.SizeArithmetic(n, p, span, stride)
    positions = [start for start in range(0, n + p, stride) if start + span <= n + p]
    assert sizes.fits == bool(positions)
    assert sizes.floored == (len(positions) if positions else None)
    even = bool(positions) and positions[-1] + span == n + p
    assert sizes.size == (len(positions) if even else None)
    assert sizes.exact == Fraction(n + p - span + stride, stride)
    numbers = [int(digits) for digits in re.findall(r"\d+", sizes.expression)]
    assert numbers == [n, p, span, stride, 1]
    assert (str(sizes.size) in sizes.reason) if even else ("not" in sizes.reason)


@few
@given(seeds, st.integers(1, 4), st.integers(1, 4), st.integers(0, 2), st.integers(1, 3))
def test_windows_are_slices_of_the_padded_map(seed, rows, columns, border, stride):
    x = np.random.default_rng(seed).integers(-9, 10, (6, 7)).astype(float)
    padded = convolution.pad(x, border, 5.0)
    assert padded.shape == (6 + 2 * border, 7 + 2 * border)
    assert np.array_equal(padded[border : border + 6, border : border + 7], x)
    assert padded.sum() == x.sum() + 5 * (padded.size - x.size)
    cut = convolution.windows(x, (rows, columns), stride, border, floor=True, value=5.0)
    for i, j in np.ndindex(cut.shape[:2]):
        at = padded[i * stride : i * stride + rows, j * stride : j * stride + columns]
        assert np.array_equal(cut[i, j], at)
    kernel = x[:rows, :columns]
    assert np.array_equal(convolution.flip(kernel), np.rot90(kernel, 2))


# --------------------------------------------------------------------------------------------------- a drawn digit

points = st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99)), min_size=1, max_size=6)


@few
@given(st.lists(points, max_size=4))
def test_strokes_come_back_from_their_text(strokes):
    text = "; ".join(" ".join(f"{x},{y}" for x, y in stroke) for stroke in strokes)
    assert [stroke.tolist() for stroke in digit.parse_strokes(text)] == [[list(p) for p in s] for s in strokes]


@few
@given(seeds, st.floats(0, 1))
def test_the_answer_to_a_drawing_is_that_of_the_whole_product(seed, paper):
    rng = np.random.default_rng(seed)
    network, _ = mlp_studies.build([6], seed=seed)
    image = rng.random((28, 28)) * (rng.random((28, 28)) > paper)
    expected = np.exp(network.forward(image.reshape(1, -1))[0])
    np.testing.assert_allclose(digit.answer(network, image), expected / expected.sum(), rtol=1e-9)


# --------------------------------------------------------------------------------------------------- CNN studies


def images_of(seed, n=6, size=32):
    return np.random.default_rng(seed).integers(0, 256, (n, size, size, 3)).astype(np.uint8)


def network_of(seed, sizes=(3, 4, 5)):
    torch.manual_seed(seed)
    network = cnn.CNN(sizes, 2)
    network.fit_input(training.to_tensor(images_of(seed, 20)))
    return network.eval()


@few
@given(seeds)
def test_the_order_of_a_copy_does_not_matter(seed):
    images, labels = images_of(seed), np.arange(6)
    shuffled = np.random.default_rng(seed).permutation(6)
    made = [
        cnn_studies.in_one_order(Dataset("some", i, l, i, l, tuple("abcdef"), "", "", True))
        for i, l in ((images, labels), (images[shuffled], labels[shuffled]))
    ]
    assert np.array_equal(made[0].train_images, made[1].train_images)
    assert np.array_equal(made[0].test_labels, made[1].test_labels)
    mean, std = cnn_studies.channel_statistics(images)
    np.testing.assert_allclose(mean, (images / 255).mean((0, 1, 2)), rtol=1e-9)
    np.testing.assert_allclose(std, (images / 255).std((0, 1, 2)), rtol=1e-9)


@few
@given(seeds, st.integers(1, 4), st.integers(16, 32))
def test_feature_maps_are_the_stages_of_the_forward_pass(seed, first, size):
    network = network_of(seed, (first, 4, 5))
    image = training.to_tensor(images_of(seed, 1, size))[0]
    maps = cnn_studies.feature_maps(network, image)
    assert {name: len(m) for name, m in maps.items()} == cnn_studies.stages(network)
    with torch.no_grad():
        logits = network(image[None])
        x = torch.from_numpy(maps["group 3"])[None].amax((2, 3)) @ network.head.weight.T / 5
    torch.testing.assert_close(x, logits, rtol=1e-3, atol=1e-4)
    before = torch.get_num_threads()
    with cnn_studies.one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
    np.testing.assert_allclose(cnn_studies.answer(network, image[None]), logits.softmax(1)[0], rtol=1e-3, atol=1e-5)
    columns = cnn_studies.layers(network)
    assert columns["weights"][-1] == sum(columns["weights"][:-1]) and len({len(c) for c in columns.values()}) == 1


@few
@given(seeds, st.integers(1, 60), st.integers(1, 60), st.text("ab./<\n", max_size=8))
def test_a_picture_comes_back_from_its_line_of_text(seed, width, height, name):
    file = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(file, format="png")
    text = cnn_studies.pack_image(name, file.getvalue())
    tensor, said = cnn_studies.own_image(text)
    assert torch.equal(tensor, cnn.read_image(io.BytesIO(file.getvalue()))[0])
    assert f"{width}×{height} pixels" in said and "\n" not in text


@few
@given(seeds)
def test_whitened_patches_are_uncorrelated_and_patterns_sorted(seed):
    network, images = network_of(seed), training.to_tensor(images_of(seed, 20))
    patterns = cnn_studies.common_patterns(network)
    lengths = np.sqrt((patterns**2).sum((1, 2, 3)))
    assert len(patterns) == 12 and (np.diff(lengths) >= 0).all()
    _, channels = cnn_studies.patch_correlations(network, images)
    assert np.abs(channels - np.eye(12)).max() < 1e-2
    # The linear part of a filter: half of what it gives to an image minus what it gives to its negative.
    found = torch.from_numpy(cnn_studies.first_patterns(network))
    x = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        bare = [torch.nn.functional.conv2d(s * x, network.whitening.weight) for s in (1, -1)]
        gelu = [torch.nn.functional.gelu(z) for z in bare]
        convolution_ = network.groups[0].convolutions[0].weight
        difference = torch.nn.functional.conv2d(gelu[0], convolution_) - torch.nn.functional.conv2d(
            gelu[1], convolution_
        )
    torch.testing.assert_close(2 * torch.nn.functional.conv2d(x, found), difference, rtol=1e-3, atol=1e-3)


@settings(max_examples=2, deadline=None)
@given(seeds)
def test_gradients_of_a_small_network_are_right(seed):
    rows = cnn_studies.gradient_check(training.to_tensor(images_of(seed, 4, 16)), torch.arange(4))
    assert max(error for _, _, error in rows) < 1e-3


@few
@given(seeds, st.integers(0, 2), st.booleans())
def test_every_view_is_the_image_shifted_or_mirrored(seed, shift, flip):
    image = training.to_tensor(images_of(seed, 1))[0]
    views = cnn_studies.augmented(p2.FAST | {"translate": shift, "flip": flip, "cutout": 0}, image, 3)
    padded = np.pad(image.permute(1, 2, 0).numpy(), [(shift, shift), (shift, shift), (0, 0)], mode="reflect")
    possible = [padded[i : i + 32, j : j + 32] for i in range(2 * shift + 1) for j in range(2 * shift + 1)]
    possible += [p[:, ::-1] for p in possible] if flip else []
    assert len(views) == 3
    assert all(any(np.array_equal(view, p) for p in possible) for view in views)


@few
@given(
    st.sets(st.sampled_from(["epochs", "batch_size", "translate"])),
    st.lists(st.floats(0.5, 0.99), min_size=2, max_size=4),
)
def test_tables_of_a_record_say_what_it_holds(tmp_path_factory, changed, accuracies):
    base = p2.FAST
    other = base | {name: 1 for name in changed}
    told = cnn_studies.changes(other, base)
    assert all(f"{name} 1" in told for name in changed) and (bool(changed) or told.startswith("nothing"))
    machine = {"threads": 2}
    entry = {"configuration": base, "seconds": 60.4, "budget_tflop": 50.2, "machine": machine}
    tested = [{"test": {"accuracy": a}, "test_six_views": {"accuracy": a / 2}} for a in accuracies]
    seeds_ = [entry | {"seed": k, "preset": "fast"} | test for k, test in enumerate(tested)]
    longer = seeds_[0] | {"preset": "thorough"}
    runs = [entry | {"epochs": [{"validation_accuracy": a}]} for a in accuracies]
    runs[1] = runs[1] | {"configuration": other}
    record = {"shipped": entry | {"epochs": []}, "seeds": [longer, *seeds_], "ablation": runs}
    assert cnn_studies.of_preset(record, "fast") == seeds_ and cnn_studies.of_preset(record, "thorough") == [longer]
    assert cnn_studies.seeds(record, "thorough")["seed"] == ["0, on 2 threads"]
    columns = cnn_studies.seeds(record)
    assert columns["mean over six views (%)"][-2] == pytest.approx(50 * np.mean(accuracies))
    assert columns["test accuracy (%)"][-2] == pytest.approx(100 * np.mean(accuracies))
    assert columns["seed"][0] == f"0, on {cnn_studies.threads(machine)}" and cnn_studies.threads(machine) == "2 threads"
    table = cnn_studies.ablation(record)
    plain = [100 * a for k, a in enumerate(accuracies) if k != 1 or not changed]
    assert table["difference"] == pytest.approx([100 * a - np.mean(plain) for a in accuracies])
    folder = tmp_path_factory.mktemp("record")
    (folder / "p2_history.json").write_text(json.dumps(record))
    assert cnn_studies.read_record(folder) == record
    with pytest.raises(ValueError, match="p2_model.pkl"):
        cnn_studies.load_shipped(folder)
    network = network_of(len(accuracies))
    cnn.save_model(folder / "p2_model.pkl", network)
    loaded, again = cnn_studies.load_shipped(folder)
    assert again == record and torch.equal(loaded.head.weight, network.head.weight)


@few
@given(seeds, st.integers(1, 9), st.floats(0.1, 1))
def test_the_facts_are_those_of_network_and_record(seed, epochs, accuracy):
    network = network_of(seed)
    machine = {"processor": "some processor", "device": "cpu", "threads": 1, "precision": "float32"}
    shipped = {"machine": machine, "seconds": 120, "epochs": [{}] * epochs, "tflop": 1234.2, "seed": seed}
    shipped |= {"test": {"accuracy": accuracy}, "test_six_views": {"accuracy": accuracy / 2}}
    told = cnn_studies.facts(network, {"shipped": shipped, "seeds": []})
    assert told["parameters"].replace(",", "") == str(cnn.parameter_count(network))
    assert told["test accuracy"] == f"{accuracy:.2%}; {accuracy / 2:.2%} averaged over six views"
    assert told["training"].startswith(f"{epochs} epochs, 1,234 TFLOP, 2 minutes") and "1 thread," in told["on"]


@few
@given(seeds)
def test_answers_on_file_are_found_by_the_image(tmp_path_factory, seed):
    folder, network, images = tmp_path_factory.mktemp("answers"), network_of(seed), images_of(seed)
    data = Dataset("some", images, np.arange(6), images[::-1].copy(), np.arange(6), tuple("abcdef"), "", "", False)
    probabilities = np.random.default_rng(seed).random((6, 6)).astype(np.float32)
    cnn_studies.write_answers(folder / "p2_test.npz", images, probabilities)
    assert np.array_equal(cnn_studies.test_answers(network, data, folder), probabilities[::-1])
    generated = cnn_studies.test_answers(network, dataclasses.replace(data, is_stand_in=True), folder)
    with torch.no_grad():
        asked = network(training.to_tensor(images[::-1].copy())).softmax(1)
    np.testing.assert_allclose(generated, asked, rtol=1e-3, atol=1e-5)
