"""Data, models and checkpoints, cut short or with one flipped byte at random places: each is told in one sentence."""

import io
import shutil
from types import SimpleNamespace

import acts
import numpy as np
import pytest

from helpers import datasets, grade, p2, train_mlp
from helpers.core import cnn, cnn_studies
from helpers.core import mlp as p1

P1, P2 = (acts.ROOT / "artifacts" / part for part in ("p1", "p2"))


def small_data(name, compressed):
    """The bytes of a small mnist.npz or cifar10.npz, and what reads and verifies it."""
    from test_datasets import small, small_arrays

    kind = {"mnist": datasets.MNIST, "cifar10": datasets.CIFAR10}[name]
    arrays = small_arrays(kind, train=400, test=100)
    specification, buffer = small(kind, arrays), io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(buffer, **arrays)

    def read(path):
        dataset = datasets.read_npz(path, specification)
        return {key: getattr(dataset, key) for key in datasets.KEYS}

    return buffer.getvalue(), read


def real_data(name, _):
    """The real file, where there is one."""
    places = [folder / f"{name}.npz" for folder in (*datasets.search_folders(), acts.ROOT / "data")]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        pytest.skip(f"there is no {name}.npz: make data")

    def read(file):
        dataset = getattr(datasets, name)(file.parent)
        return {key: getattr(dataset, key) for key in datasets.KEYS}

    return path.read_bytes(), read


def mlp_checkpoint(inputs):
    """A checkpoint of train_mlp."""
    run = train_mlp.Training("handout", 0, 2, {"hiddens": [16]})
    run.history |= {"data": "MNIST"}
    run.save_checkpoint(inputs / "checkpoint.npz")

    def read(path):
        again = train_mlp.Training("handout", 1, 2, {"hiddens": [16]})
        again.history["seed"] = 0
        again.load_checkpoint(path)
        return {str(i): array for i, array in enumerate(again.mlp.W + again.mlp.b + again.mlp.velocity)}

    return (inputs / "checkpoint.npz").read_bytes(), read


def cnn_checkpoint(inputs):
    """A checkpoint of p2.py."""
    folder = inputs / "for_a_checkpoint"
    folder.mkdir(exist_ok=True)
    assert acts.perform("cnn", inputs, folder)[0] == 0

    def read(path):
        state = cnn.read_file(path)
        return {name: tensor.numpy() for name, tensor in state["network"].items()} | {"history": [state["history"]]}

    return (folder / "p2_checkpoint.pt").read_bytes(), read


def tensors(path):
    return {name: tensor.numpy() for name, tensor in cnn.load_model(path).state_dict().items()}


def layers(read):
    """A reader of W0, b0, ... that gives a mapping."""

    def mapping(path):
        weights, biases = read(path)
        return {str(i): array for i, array in enumerate([*weights, *biases])}

    return mapping


def graded(path):
    try:
        network = grade.read_network(path)
    except ValueError as error:
        raise ValueError(f"p1_model.npz: {error}.") from None  # as the grader goes on
    return network.weights, network.biases


def as_p1_reads(path):
    shutil.copyfile(path, path.with_name("mnist.npz"))
    return {f"{i}{j}": array for i, part in enumerate(p1.load_mnist(path.parent)) for j, array in enumerate(part)}


def as_p2_reads(path):
    return {str(i): array.numpy() for i, array in enumerate(p2.load_data(path)[1:])}


def answers_of(images):
    return lambda path: {"probabilities": cnn_studies.read_answers(path, images)}


def answered(inputs):
    """The answers of a network, as p2_test.npz holds them."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (60, 32, 32, 3), dtype=np.uint8)
    cnn_studies.write_answers(inputs / "answers.npz", images, rng.random((60, 10)))
    return (inputs / "answers.npz").read_bytes(), answers_of(images)


KINDS = {
    "mnist.npz, small, stored": lambda inputs: small_data("mnist", False),
    "mnist.npz, small, compressed": lambda inputs: small_data("mnist", True),
    "cifar10.npz, small, stored": lambda inputs: small_data("cifar10", False),
    "cifar10.npz, small, compressed": lambda inputs: small_data("cifar10", True),
    "mnist.npz, the real one": lambda inputs: real_data("mnist", True),
    "mnist.npz, as p1.py reads it": lambda inputs: ((inputs / "mnist.npz").read_bytes(), as_p1_reads),
    "cifar10.npz, as p2.py reads it": lambda inputs: ((inputs / "cifar10.npz").read_bytes(), as_p2_reads),
    "p1_model.npz": lambda inputs: ((P1 / "p1_model.npz").read_bytes(), layers(p1.read_model)),
    "p1_model.npz, as the grader reads it": lambda inputs: ((P1 / "p1_model.npz").read_bytes(), layers(graded)),
    "checkpoint of train_mlp": mlp_checkpoint,
    "p2_model.pkl": lambda inputs: ((P2 / "p2_model.pkl").read_bytes(), tensors),
    "p2_checkpoint.pt": cnn_checkpoint,
    "p2_test.npz": answered,
}


def equal(one, other):
    return list(one) == list(other) and all(np.array_equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_noticed(kind, inputs, tmp_path, rng, tally):
    whole, read = KINDS[kind](inputs)
    path = tmp_path / ("mnist.npz" if "mnist" in kind and "p1.py" not in kind else "file.npz")
    path.write_bytes(whole)
    right = read(path)
    tried = SimpleNamespace(cut=20, flipped=20, harmless=0)

    def refused():
        try:
            found = read(path)
        except ValueError as error:
            said = str(error)
            assert "\n" not in said and said.endswith((".", ")")) and len(said) > 20, said
            return True
        assert equal(found, right), f"{kind}: damage at {place} went unnoticed"
        return False

    for _ in range(tried.cut):
        place = rng.randrange(len(whole))
        path.write_bytes(whole[:place])
        assert refused(), f"{kind}: cut at {place}"
    for _ in range(tried.flipped):
        place = rng.randrange(len(whole))
        path.write_bytes(whole[:place] + bytes([whole[place] ^ rng.randrange(1, 256)]) + whole[place + 1 :])
        if not refused():
            tried.harmless += (
                1  # a byte that nobody reads, such as the time of a file in an archive: every value is right
            )
    found = f"all noticed but {tried.harmless} in bytes that nobody reads" if tried.harmless else "all noticed"
    tally(f"20 cuts, 20 flips: {kind}", 40, found)
