"""The network of Programming 2: shapes, whitening, costs, and files that are refused in one sentence."""

import io
import os
import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from helpers.core import cnn


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


def images(n=8, size=32):
    """Smooth random images, uint8: neighbouring pixels are alike, as in photographs."""
    coarse = torch.randint(0, 256, (n, 3, size // 4, size // 4)).float()
    return torch.nn.functional.interpolate(coarse, (size, size), mode="bilinear").byte()


def small(widths=(8, 12, 16), depth=2, fitted_to=None):
    network = cnn.CNN(widths, depth)
    network.fit_input(images(64) if fitted_to is None else fitted_to)
    return network


@pytest.mark.parametrize("size", [16, 20, 24, 28, 32, 33])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_ten_logits_at_every_size_and_depth(size, depth):
    logits = small(depth=depth)(images(4, 32)[:, :, :size, :size] if size <= 32 else torch.rand(4, 3, size, size))
    assert logits.shape == (4, 10) and logits.isfinite().all()


def test_bytes_and_fractions_are_the_same_image():
    network, x = small().eval(), images()
    torch.testing.assert_close(network(x), network(x.float() / 255), rtol=1e-4, atol=1e-5)


def test_whitening_makes_patches_uncorrelated():
    x = images(64)
    network = small(fitted_to=x)
    half = network.whitening.out_channels // 2
    out = network.whitening(network.normalise(x))[:, :half].transpose(0, 1).reshape(half, -1)
    covariance = (out @ out.T / out.shape[1]).detach()
    off = covariance - torch.diag(covariance.diagonal())
    assert off.abs().max() < 1e-3
    # The two largest directions have variance 1; the smallest are held below it by the regulariser.
    assert covariance.diagonal()[-2:].sub(1).abs().max() < 0.05
    torch.testing.assert_close(network.whitening.weight[:half], -network.whitening.weight[half:])


def test_channel_statistics_agree_with_numpy():
    x = images(64)
    network = small(fitted_to=x)
    expected = x.numpy().transpose(1, 0, 2, 3).reshape(3, -1) / 255
    np.testing.assert_allclose(network.mean, expected.mean(1), atol=1e-5)
    np.testing.assert_allclose(network.std, expected.std(1), atol=1e-5)


def test_initial_convolutions_hand_their_input_on():
    convolution = small().groups[0].convolutions[1]
    x = torch.rand(2, 8, 5, 5)
    torch.testing.assert_close(convolution(x), x)


@pytest.mark.parametrize("size", [24, 32])
@pytest.mark.parametrize("bias_trained", [True, False])
def test_flops_agree_with_the_counter_of_pytorch(size, bias_trained):
    network, x = small(), torch.rand(1, 3, size, size)
    network.whitening.bias.requires_grad = bias_trained
    with FlopCounterMode(display=False) as counter:
        network.train()(x.expand(2, -1, -1, -1))
    assert cnn.forward_flops(network, size) == counter.get_total_flops() // 2
    with FlopCounterMode(display=False) as counter:
        network(x.expand(2, -1, -1, -1)).sum().backward()
    # PyTorch does not count what whitening's fixed weights leave out differently: forward, and both gradients.
    assert cnn.training_flops(network, size) == pytest.approx(counter.get_total_flops() / 2, rel=1e-6)


def test_layer_table_adds_up():
    network = cnn.CNN()
    table = cnn.layer_table(network)
    assert [row[1] for row in table[:3]] == [(24, 31, 31), (64, 31, 31), (64, 15, 15)]
    filters = sum(row[2] for row in table)
    biases = 24 + 2 * (64 + 128 + 128)
    assert cnn.parameter_count(network) == filters + biases
    assert table[1][3] == 2 * 64 * 24 * 9 * 31 * 31


def test_saved_model_is_a_bare_state_dict_and_comes_back(tmp_path):
    network, x = small(depth=3).eval(), images()
    cnn.save_model(tmp_path / "p2_model.pkl", network)
    state = torch.load(tmp_path / "p2_model.pkl", weights_only=True)
    assert list(state) == list(network.state_dict())
    again = cnn.load_model(tmp_path / "p2_model.pkl")
    assert (again.widths, again.depth, again.training) == ((8, 12, 16), 3, False)
    torch.testing.assert_close(again(x), network(x), rtol=0, atol=0)


def test_half_precision_halves_the_file_and_keeps_the_answers(tmp_path):
    network, x = small((32, 64, 64)).eval(), images()
    cnn.save_model(tmp_path / "whole", network)
    cnn.save_model(tmp_path / "half", network, half=True)
    assert os.path.getsize(tmp_path / "half") < 0.6 * os.path.getsize(tmp_path / "whole")
    torch.testing.assert_close(cnn.load_model(tmp_path / "half")(x), network(x), rtol=0.02, atol=0.02)


class Trap:
    def __reduce__(self):
        return os.mkdir, (os.environ.get("CNN_TRAP", ""),)


def damaged_files():
    """A name, a file content, and a word that the sentence must have."""
    buffer, network = io.BytesIO(), small()
    torch.save(network.state_dict(), buffer)
    whole = buffer.getvalue()
    flipped = bytearray(whole)
    flipped[whole.index(network.head.weight.detach().numpy().tobytes()) + 5] ^= 1  # PyTorch alone reads on and is wrong
    objects, other, list_ = io.BytesIO(), io.BytesIO(), io.BytesIO()
    torch.save({"network": Trap()}, objects)
    torch.save({"layer1.weight": torch.zeros(3)}, other)
    torch.save([1, 2], list_)
    return {
        "cut short": (whole[: len(whole) // 2], "damaged or cut short"),
        "one bit": (bytes(flipped), "damaged"),
        "empty": (b"", "damaged or cut short"),
        "objects": (objects.getvalue(), "could run code"),
        "pickle": (pickle.dumps(Trap()), "not a file of PyTorch"),
        "noise": (bytes(range(256)) * 40, "not a file of PyTorch"),
        "other architecture": (other.getvalue(), "another architecture"),
        "a list": (list_.getvalue(), "no named weights"),
    }


KINDS = ("cut short", "one bit", "empty", "objects", "pickle", "noise", "other architecture", "a list")


@pytest.mark.parametrize("kind", KINDS)
def test_files_that_are_no_model_are_refused(tmp_path, monkeypatch, kind):
    monkeypatch.setenv("CNN_TRAP", str(tmp_path / "sprung"))
    content, words = damaged_files()[kind]
    path = tmp_path / "p2_model.pkl"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=words) as caught:
        cnn.load_model(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "sprung").exists()


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match="There is no file"):
        cnn.load_model(tmp_path / "none.pkl")


def test_weights_of_other_sizes_are_refused(tmp_path):
    state = small().state_dict()
    state["groups.1.convolutions.1.weight"] = torch.zeros(5, 5, 3, 3)
    torch.save(state, tmp_path / "odd.pkl")
    with pytest.raises(ValueError, match="another architecture"):
        cnn.load_model(tmp_path / "odd.pkl")


@pytest.mark.parametrize("shape", [(2, 32, 32, 3), (3, 32, 32), (1, 3, 15, 16)])
def test_images_of_a_wrong_shape_are_refused(shape):
    with pytest.raises(ValueError, match="give \\(n, 3, height, width\\)"):
        small()(torch.rand(shape))


@pytest.mark.parametrize("widths,depth", [((8, 0, 8), 2), ((8, 8, 8), 0), ((8.0, 8, 8), 2)])
def test_senseless_sizes_are_refused(widths, depth):
    with pytest.raises(ValueError, match="give whole numbers"):
        cnn.CNN(widths, depth)


def test_a_image_is_read_and_what_happened_is_said(tmp_path):
    exact = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(exact).save(tmp_path / "exact.png")
    image, sentence = cnn.read_image(tmp_path / "exact.png")
    assert (image[0].permute(1, 2, 0).numpy() == exact).all() and "kept as it is" in sentence
    Image.new("L", (200, 100), 77).save(tmp_path / "wide.png")
    image, sentence = cnn.read_image(tmp_path / "wide.png")
    assert image.shape == (1, 3, 32, 32) and (image == 77).all() and "200×100" in sentence and "middle" in sentence


def test_what_is_no_image_is_refused(tmp_path):
    (tmp_path / "text.png").write_text("not an image")
    with pytest.raises(ValueError, match="text.png is not an image"):
        cnn.read_image(tmp_path / "text.png")
    with pytest.raises(ValueError, match="There is no image"):
        cnn.read_image(tmp_path / "none.png")
    with pytest.raises(ValueError, match="The file is not an image"):
        cnn.read_image(io.BytesIO(b"GIF89a"))


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "model"
    cnn.write_file(path, {"epoch": 1})

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device.*untouched"):
        cnn.write_file(path, {"epoch": 2})
    assert cnn.read_file(path) == {"epoch": 1} and os.listdir(tmp_path) == ["model"]
