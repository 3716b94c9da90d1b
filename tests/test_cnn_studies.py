"""What is said about a trained network: grades, confusions, the record of a training, and the report."""

import io
import itertools
import json
import shutil
import subprocess
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from helpers import datasets, p2, p2_report
from helpers.core import cnn, cnn_studies, training


@pytest.mark.parametrize(
    ("accuracy", "points"), [(0.9, 10), (0.9001, 15), (1, 15), (0.85, 5), (0.81, 5), (0.8, 3), (0.75, 0), (0, 0)]
)
def test_grade_bands_are_the_assignments(accuracy, points):
    assert cnn_studies.grade(accuracy)[0] == points and f"{points} points" in cnn_studies.grade(accuracy)[1]


def test_a_percentage_is_no_accuracy():
    with pytest.raises(ValueError, match="give a fraction"):
        cnn_studies.grade(93)


def test_confusions_are_counted():
    rng = np.random.default_rng(0)
    labels, predicted = rng.integers(0, 10, 500), rng.integers(0, 10, 500)
    matrix = cnn_studies.confusion(labels, predicted)
    assert matrix[3, 7] == sum(1 for a, b in zip(labels, predicted, strict=True) if (a, b) == (3, 7))
    recall, precision = cnn_studies.per_class(matrix)
    assert recall[4] == pytest.approx(np.mean(predicted[labels == 4] == 4))
    assert precision[4] == pytest.approx(np.mean(labels[predicted == 4] == 4))
    (i, j, n), *_ = cnn_studies.worst_confusions(matrix)
    assert i != j and n == max(matrix[a, b] for a in range(10) for b in range(10) if a != b)


def test_sure_and_doubtful_answers():
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]])
    labels = np.array([0, 0, 0, 1])
    assert cnn_studies.surest(probabilities, labels, True, 2).tolist() == [0, 3]
    assert cnn_studies.surest(probabilities, labels, False, 2).tolist() == [1]
    assert cnn_studies.doubtful(probabilities, labels, 1).tolist() == [2]


@pytest.fixture
def small():
    """A small network, fitted to smooth images, and those images."""
    torch.manual_seed(0)
    network = cnn.CNN((8, 12, 16)).eval()
    coarse = torch.randint(0, 256, (24, 3, 8, 8)).float()
    images = torch.nn.functional.interpolate(coarse, (32, 32), mode="bilinear").byte()
    network.fit_input(images)
    return network, images


def test_images_have_one_order_whatever_the_copy():
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (40, 32, 32, 3), dtype=np.uint8), np.arange(40) % 10
    parts = {key: value for part in ("train", "test")
             for key, value in ((f"{part}_images", images), (f"{part}_labels", labels))}  # fmt: skip
    facts = {"name": "noise", "class_names": cnn.CLASSES, "fingerprint": "", "source": "", "is_stand_in": False}
    other = rng.permutation(40)
    one = cnn_studies.in_one_order(datasets.Dataset(**parts, **facts))
    two = cnn_studies.in_one_order(datasets.Dataset(**{key: value[other] for key, value in parts.items()}, **facts))
    for key in parts:
        assert np.array_equal(getattr(one, key), getattr(two, key))
    place = [int(np.flatnonzero((images == image).all((1, 2, 3)))[0]) for image in one.train_images]
    assert sorted(place) == list(range(40)) and place != list(range(40))
    assert np.array_equal(one.train_labels, labels[place])


def test_channel_statistics_are_those_of_numpy():
    images = np.random.default_rng(0).integers(0, 256, (1009, 4, 5, 3), dtype=np.uint8)
    images[..., 1] //= 3
    mean, std = cnn_studies.channel_statistics(images)
    np.testing.assert_allclose(mean, (images / 255).mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(std, (images / 255).std((0, 1, 2)), rtol=1e-12)


def test_each_stage_leads_to_the_next(small):
    network, images = small
    maps = cnn_studies.feature_maps(network, images[0])
    assert {name: len(m) for name, m in maps.items()} == cnn_studies.stages(network)
    # The first stage by a matrix product over the patches, the others each from the one before.
    patches = torch.nn.functional.unfold(network.normalise(images[:1]), network.whitening.kernel_size,
                                         stride=network.whitening.stride)[0]  # fmt: skip
    z = network.whitening.weight.flatten(1) @ patches + network.whitening.bias[:, None]
    whitened = (z * (1 + torch.erf(z / 2**0.5)) / 2).detach().view(maps["whitening"].shape)
    torch.testing.assert_close(whitened, torch.from_numpy(maps["whitening"]), rtol=1e-4, atol=1e-4)
    names = list(maps)
    for before, name, group in zip(names, names[1:], network.groups, strict=False):
        expected = group(torch.from_numpy(maps[before])[None])[0].detach()
        torch.testing.assert_close(expected, torch.from_numpy(maps[name]), rtol=1e-4, atol=1e-4)


def test_looking_at_maps_leaves_the_network_as_it_was(small):
    network, images = small
    before = network(images[:2])
    maps = cnn_studies.feature_maps(network, images[0])
    assert torch.equal(network(images[:2]), before)
    logits = network.head(torch.from_numpy(maps["group 3"]).amax((1, 2))) / network.head.in_features
    torch.testing.assert_close(logits, network(images[:1])[0], rtol=1e-5, atol=1e-6)


def test_the_network_runs_no_further_than_the_stage_that_is_looked_at(small, monkeypatch):
    network, images = small
    whole = cnn_studies.feature_maps(network, images[0])
    monkeypatch.setattr(network.groups[1], "forward", lambda _: pytest.fail("nobody asked for it"))
    part = cnn_studies.feature_maps(network, images[0], last="group 1")
    assert list(part) == ["whitening", "group 1"] and all(np.array_equal(part[name], whole[name]) for name in part)


def test_common_patterns_are_ordered_by_how_common_they_are(small):
    network, images = small
    patterns = cnn_studies.common_patterns(network)
    patches = torch.nn.functional.unfold(network.normalise(images), network.whitening.kernel_size)
    patches = patches.transpose(0, 1).flatten(1).numpy()
    directions = patterns.reshape(len(patterns), -1)
    spread = (directions / np.linalg.norm(directions, axis=1, keepdims=True) @ patches).std(1)
    assert len(patterns) == network.whitening.out_channels // 2 and (np.diff(spread) < 1e-6).all()


def test_correlations_are_gone_after_whitening(small):
    network, images = small
    before, after = cnn_studies.patch_correlations(network, images)
    patch = images[:, :, 10:12, 20:22].flatten(1).numpy()  # one place: the same picture, roughly
    assert np.abs(before - np.corrcoef(patch.T)).mean() < 0.3
    off = np.abs(after - np.diag(np.diag(after)))
    # Below the directions that the regulariser holds down, nothing is left.
    assert off.max() < 0.1 and np.abs(before - np.eye(len(before))).max() > 0.8


def test_first_patterns_are_what_the_first_convolution_does_to_z(small):
    """Where whitening has no bias, filter(x) - filter(-x) in the normalised pixels is twice the linear part."""
    network, images = small
    network.double()
    convolution = network.groups[0].convolutions[0]
    with torch.no_grad():
        convolution.weight.copy_(torch.randn(convolution.weight.shape))
    x = torch.randn(1, 3, 12, 12, dtype=torch.float64)

    def response(x):
        return convolution(torch.nn.functional.gelu(network.whitening(x)))[0, :, 2:5, 2:5]

    patterns = torch.from_numpy(cnn_studies.first_patterns(network))
    side, step = patterns.shape[-1], network.whitening.stride[0]
    inner = torch.nn.functional.conv2d(x, patterns, stride=step)[0]
    first = 2 - 1  # the convolution has padding 1, the pattern none
    odd = (response(x) - response(-x)) / 2
    torch.testing.assert_close(odd, inner[:, first : first + 3, first : first + 3], rtol=1e-6, atol=1e-6)
    assert side == network.whitening.kernel_size[0] + 2 * step


def test_first_patterns_with_biases_are_the_least_squares_line(small):
    """By a sum over half a million normal numbers, in place of the quadrature."""
    network, _ = small
    generator = torch.Generator().manual_seed(0)
    network.whitening.bias.data = 2 * torch.rand(24, generator=generator) - 1
    with_biases = torch.from_numpy(cnn_studies.first_patterns(network))
    weights, filters = network.groups[0].convolutions[0].weight.detach(), network.whitening.weight.detach()
    z = torch.randn(500_000, generator=generator)
    b = network.whitening.bias.detach()
    slopes = [torch.nn.functional.gelu(s * z + b[k]) @ z / (z @ z) for k, s in enumerate([1] * 12 + [-1] * 12)]
    weighted = torch.stack(slopes)[:, None, None] * weights
    on_z = weighted[:, :12] + weighted[:, 12:]
    expected = torch.nn.functional.conv_transpose2d(on_z, filters[:12], stride=network.whitening.stride)
    scale = expected.abs().max().item()
    torch.testing.assert_close(with_biases, expected, rtol=0, atol=0.01 * scale)
    network.whitening.bias.data.zero_()
    without = torch.from_numpy(cnn_studies.first_patterns(network))
    assert (with_biases - without).abs().max() > 0.1 * scale


def test_the_gradient_check_agrees_and_can_fail():
    images = torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    rows = cnn_studies.gradient_check(images, torch.arange(8))
    assert max(error for *_, error in rows) < 1e-6
    trained = [name for name, p in cnn.CNN((4, 6, 8)).named_parameters() if p.requires_grad]
    assert [name for name, *_ in rows] == trained
    rough = cnn_studies.gradient_check(images, torch.arange(8), 0.5)
    assert max(error for *_, error in rough) > 1e-2


def test_augmented_views_are_mirrored_in_turns_and_shifted():
    image = torch.arange(32).expand(3, 32, 32).to(torch.uint8)  # brightness rises to the right
    recipe = p2.configuration_from("fast", ["flip=true", "translate=2", "cutout=0"])
    views = cnn_studies.augmented(recipe, image, 12)
    assert {v.shape for v in views} == {(32, 32, 3)}
    rising = [bool(v[0, 20, 0] > v[0, 10, 0]) for v in views]
    assert rising in ([True, False] * 6, [False, True] * 6)
    centres = {int(v[0, 15, 0]) for v, up in zip(views, rising, strict=True) if up}
    assert len(centres) > 1 and centres <= set(range(13, 18))
    bright = torch.randint(200, 256, (3, 32, 32)).to(torch.uint8)
    holed = cnn_studies.augmented(recipe | {"cutout": 8}, bright, 2)
    assert [int((v[..., 0] == 120).sum()) for v in holed] == [64, 64]


def test_the_table_of_layers_adds_up(small):
    columns = cnn_studies.layers(small[0])
    assert columns["layer"][0] == "whitening" and columns["layer"][1] == "group 1, convolution 1"
    assert columns["weights"][-1] == sum(p.numel() for p in small[0].parameters() if p.dim() > 1)
    assert columns["MFLOP"][-1] == pytest.approx(cnn.forward_flops(small[0]) / 1e6)


def test_tables_say_what_differs():
    base = {"epochs": 4, "flip": True}
    run = {"configuration": base, "seed": 0, "test": {"accuracy": 0.91}, "seconds": 10.0, "budget_tflop": 5.0}
    run |= {"machine": {"threads": 1}, "preset": "fast", "test_six_views": {"accuracy": 0.92}}
    longer = run | {"preset": "thorough", "test": {"accuracy": 0.95}}
    other = run | {"seed": 1, "test": {"accuracy": 0.90}, "machine": {"threads": 2}}
    changed = run | {"configuration": {"epochs": 4, "flip": False}, "epochs": [{"validation_accuracy": 0.8}]}
    record = {"shipped": run, "seeds": [run, other, longer], "ablation": [changed]}
    assert cnn_studies.ablation(record)["changed"] == ["flip false"]
    plain = run | {"epochs": [{"validation_accuracy": 0.85}]}
    compared = cnn_studies.ablation(record | {"ablation": [plain, changed]})
    assert compared["changed"][0].startswith("nothing") and compared["difference"] == pytest.approx([0, -5])
    table = cnn_studies.seeds(record)
    assert table["seed"] == ["0, on 1 thread", "1, on 2 threads", "mean", "± std"]
    assert table["test accuracy (%)"] == pytest.approx([91, 90, 90.5, 1 / 2**0.5])
    assert table["mean over six views (%)"] == pytest.approx([92, 92, 92, 0])
    assert cnn_studies.seeds(record, "thorough")["test accuracy (%)"] == pytest.approx([95])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A tiny data set, and two finished trainings on it, one of them with held-out images."""
    folder = tmp_path_factory.mktemp("trained")
    rng = np.random.default_rng(0)
    arrays = {}
    for part, n in (("train", 200), ("test", 60)):
        arrays |= {f"{part}_images": rng.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)}
        arrays |= {f"{part}_labels": np.arange(n, dtype=np.uint8) % 10}
    np.savez(folder / "cifar10.npz", **arrays)
    common = ["--data", str(folder), "--epochs", "1", "--batch-size", "50", "--set", "widths=[8,8,8]"]
    assert p2.main([*common, "--output", str(folder / "one")]) == 0
    assert p2.main([*common, "--output", str(folder / "held"), "--validate", "--set", "flip=false"]) == 0
    return folder


def test_the_hand_in_is_collected_and_its_report_has_pages(trained, tmp_path, capsys):
    folders = [str(trained / name) for name in ("one", "one", "held")]
    arguments = [folders[0], "--seeds", folders[1], "--ablation", folders[2], "--data", str(trained)]
    assert p2_report.main([*arguments, "--folder", str(tmp_path)]) == 0
    network, record = cnn_studies.load_shipped(tmp_path)
    assert record["ablation"][0]["configuration"]["flip"] is False and network.widths == (8, 8, 8)
    assert f"{record['shipped']['test']['accuracy']:.2%} of the test images" in capsys.readouterr().out
    assert (tmp_path / "p2_report.pdf").read_bytes().startswith(b"%PDF")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        [*p2_report.CODE, "p2_model.pkl", "p2_history.json", "p2_test.npz", "p2_report.pdf"]
    )
    # The answers on file are those of the network, found again in another order of the images.
    _, _, _, images, labels = p2.load_data(trained)
    other = torch.randperm(len(labels))
    pixels = images[other].permute(0, 2, 3, 1).numpy()
    stored = cnn_studies.read_answers(tmp_path / "p2_test.npz", pixels)
    for k in range(0, len(other), 7):
        alone = torch.softmax(network(images[other[k] : other[k] + 1]), 1)[0]
        np.testing.assert_allclose(stored[k], alone.detach(), atol=1e-5)
    assert record["shipped"]["test"]["accuracy"] == pytest.approx(
        np.mean(stored.argmax(1) == labels[other].numpy()), abs=0.02
    )
    table = cnn_studies.facts(network, record)
    assert table["parameters"] == f"{cnn.parameter_count(network):,}" and "8, 8, 8" in table["widths, depth"]
    if shutil.which("pdftotext"):
        command = ["pdftotext", "-layout", tmp_path / "p2_report.pdf", "-"]
        said = subprocess.run(command, capture_output=True, text=True).stdout
        shipped = record["shipped"]
        for words in (
            f"{np.mean(stored.argmax(1) == labels[other].numpy()):.2%} of 60 test images",
            f"{shipped['test']['accuracy']:.2%}",
            f"{shipped['test_six_views']['accuracy']:.2%}",
            f"{cnn_studies.threads(shipped['machine'])}, {shipped['machine']['precision']}",
            cnn_studies.grade(shipped["test"]["accuracy"])[1],
            "each seed (%)",
            f"{100 * record['seeds'][0]['test']['accuracy']:.2f} %",
            "page 6 of 6",
            f"{cnn.parameter_count(network):,} parameters",
            f"{cnn.forward_flops(network) / 1e6:.1f}",
            *shipped["configuration"],
            shipped["machine"]["processor"],
            f"{shipped['seconds']:.0f} s",
            *shipped["command"].split(),
            "Confusion matrix",
            *(f"{name}  " for name in cnn.CLASSES),
            "Surest and right",
            "Surest and wrong",
            "flip false",
        ):
            assert words in said, words


def test_unfinished_trainings_are_refused(trained, tmp_path, capsys):
    shutil.copytree(trained / "one", tmp_path / "half")
    history = json.loads((tmp_path / "half" / "p2_history.json").read_text())
    del history["test"]
    (tmp_path / "half" / "p2_history.json").write_text(json.dumps(history))
    assert p2_report.main([str(tmp_path / "half"), "--data", str(trained), "--folder", str(tmp_path / "out")]) == 1
    assert "not finished" in capsys.readouterr().err
    assert p2_report.main([str(tmp_path / "none"), "--folder", str(tmp_path / "out")]) == 1
    assert "missing or damaged" in capsys.readouterr().err


def test_answers_on_file_belong_to_their_images(tmp_path):
    rng = np.random.default_rng(1)
    images, other = rng.integers(0, 256, (2, 5, 32, 32, 3), dtype=np.uint8)
    path = tmp_path / "p2_test.npz"
    with pytest.raises(ValueError, match="missing or damaged"):
        cnn_studies.read_answers(path, images)
    cnn_studies.write_answers(path, images, np.eye(5, 10))
    assert cnn_studies.read_answers(path, images[::-1]).argmax(1).tolist() == [4, 3, 2, 1, 0]
    with pytest.raises(ValueError, match="belongs to other images"):
        cnn_studies.read_answers(path, other)
    path.write_bytes(path.read_bytes()[:-90])
    with pytest.raises(ValueError, match="missing or damaged"):
        cnn_studies.read_answers(path, images)


def test_a_stand_in_is_answered_by_the_network(tmp_path):
    torch.manual_seed(0)
    network = cnn.CNN((4, 6, 8)).eval()
    images = np.random.default_rng(1).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    data = SimpleNamespace(test_images=images, is_stand_in=True)
    answers = cnn_studies.test_answers(network, data, tmp_path)
    expected = network(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).softmax(1).detach()
    np.testing.assert_allclose(answers, expected, atol=1e-5)


def test_a_missing_record_is_named(tmp_path):
    with pytest.raises(ValueError, match="run python -m helpers.p2_report"):
        cnn_studies.read_record(tmp_path)


SEEDS = st.integers(0, 2**32 - 1)


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.integers(1, 60))
def test_rows_columns_and_orders_of_random_answers(seed, n):
    rng = np.random.default_rng(seed)
    probabilities, labels = rng.dirichlet(np.ones(10), n), rng.integers(0, 10, n)
    read = probabilities.argmax(1)
    matrix = cnn_studies.confusion(labels, read)
    recall, precision = cnn_studies.per_class(matrix)
    assert matrix.sum() == n and np.array_equal(matrix.sum(1), np.bincount(labels, minlength=10))
    assert (recall @ matrix.sum(1)).round() == (precision @ matrix.sum(0)).round() == (labels == read).sum()
    mistakes = [count for *_, count in cnn_studies.worst_confusions(matrix, 100)]
    assert mistakes == sorted(mistakes, reverse=True) and sum(mistakes) == (labels != read).sum()
    for right in (True, False):
        chosen = cnn_studies.surest(probabilities, labels, right, n)
        assert ((read == labels)[chosen] == right).all() and (np.diff(probabilities[chosen].max(1)) <= 0).all()
    assert set(cnn_studies.doubtful(probabilities, labels, n)) == set(np.flatnonzero(read == labels))


@settings(max_examples=10, deadline=None)
@given(SEEDS, st.integers(1, 20))
def test_answers_are_found_again_in_any_order(tmp_path_factory, seed, n):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)
    probabilities = rng.dirichlet(np.ones(10), n).astype(np.float32)
    path, order = tmp_path_factory.mktemp("answers") / "a.npz", rng.permutation(n)
    cnn_studies.write_answers(path, images, probabilities)
    assert np.array_equal(cnn_studies.checksums(images)[order], cnn_studies.checksums(images[order]))
    assert np.array_equal(cnn_studies.read_answers(path, images[order]), probabilities[order])


@settings(max_examples=20, deadline=None)
@given(st.floats(0, 1), st.floats(0, 1))
def test_more_right_answers_never_earn_less(one, other):
    assert cnn_studies.grade(max(one, other))[0] >= cnn_studies.grade(min(one, other))[0]


@settings(max_examples=15, deadline=None)
@given(st.binary(max_size=2000), st.data())
def test_a_file_holds_the_old_or_the_new_and_notices_a_flipped_bit(tmp_path_factory, content, data):
    path = tmp_path_factory.mktemp("file") / "f"
    cnn.replace_file(path, content)
    assert path.read_bytes() == content and [p.name for p in path.parent.iterdir()] == ["f"]
    stored = {"numbers": torch.arange(300.0), "text": content.hex()}
    cnn.write_file(path, stored)
    assert torch.equal(cnn.read_file(path)["numbers"], stored["numbers"])
    whole = bytearray(path.read_bytes())
    begin = bytes(whole).index(stored["numbers"].numpy().tobytes())
    whole[begin + data.draw(st.integers(0, 1199))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(whole)
    with pytest.raises(ValueError, match="damaged"):
        cnn.read_file(path)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 70), st.integers(1, 70), st.sampled_from(["RGB", "L", "RGBA", "P", "1"]))
def test_a_picture_of_any_size_and_kind_is_read(width, height, mode):
    file = io.BytesIO()
    Image.new(mode, (width, height)).save(file, "PNG")
    file.seek(0)
    image, said = cnn.read_image(file)
    assert image.shape == (1, 3, 32, 32) and image.dtype == torch.uint8 and f"{width}×{height}" in said


@settings(max_examples=25, deadline=None)
@given(st.floats(0, 1), st.floats(0, 0.9), st.lists(st.integers(16, 32), min_size=1, max_size=6), st.integers(1, 40))
def test_plans_of_a_training_stay_in_their_range(progress, warmup, sizes, epochs):
    assert 0 <= training.learning_rate(progress, warmup) <= 1
    planned = [training.stretched(sizes, epoch, epochs) for epoch in range(epochs)]
    assert planned[0] == sizes[0] and set(planned) <= set(sizes)
    runs = [[size for size, _ in itertools.groupby(list_)] for list_ in (planned, sizes)]
    assert epochs < len(sizes) or runs[0] == runs[1]


@settings(max_examples=15, deadline=None)
@given(SEEDS, st.integers(1, 12), st.integers(1, 4))
def test_what_is_held_out_and_what_is_trained_on_are_all_images(seed, more, per_class):
    labels = torch.from_numpy(np.random.default_rng(seed).permutation(np.repeat(np.arange(3), per_class + more)))
    chosen, held = training.hold_out(labels, per_class)
    assert sorted([*chosen.tolist(), *held.tolist()]) == list(range(len(labels)))
    assert torch.bincount(labels[held]).tolist() == [per_class] * 3
