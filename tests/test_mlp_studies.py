"""The experiments around the MLP, its pictures and its explorer."""

import json
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from explorers import sweep
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import style
from helpers.core import mlp as p1
from helpers.core import mlp_studies as studies
from helpers.explore import mlp as explore
from helpers.figures import mlp as figures

KNOBS = studies.ARTIFACTS / "p1_knobs.json"


@pytest.fixture(scope="module")
def blobs():
    """Ten well separated clouds of points in ten dimensions, forty of each: something a small network can learn."""
    rng = np.random.default_rng(0)
    labels = np.tile(np.arange(10), 40)
    return 3 * np.eye(10)[labels] + 0.3 * rng.standard_normal((400, 10)), p1.get_one_hot(labels, 10)


@pytest.mark.parametrize("activation", studies.ACTIVATIONS)
def test_the_gradient_check_passes_and_would_notice_a_wrong_gradient(activation, monkeypatch):
    network, rng = studies.build((5, 4), activation, inputs=6)
    x, y = rng.normal(size=(7, 6)), p1.get_one_hot(range(7), 10)
    rows = studies.gradient_check(network, x, y)
    assert [name for name, _, _ in rows] == ["W0", "b0", "W1", "b1", "W2", "b2"]
    assert max(error for _, _, error in rows) < 1e-7
    backward = network.backward
    monkeypatch.setattr(network, "backward", lambda y: (backward(y), network.dW[1].__imul__(1.001)))
    assert dict((name, error) for name, _, error in studies.gradient_check(network, x, y))["W1"] > 1e-4


def test_the_gradient_check_leaves_the_network_as_it_was():
    network, rng = studies.build((3,), inputs=4)
    before = [p.copy() for p in network.W + network.b]
    studies.gradient_check(network, rng.normal(size=(5, 4)), p1.get_one_hot(range(5), 10))
    assert all(np.array_equal(a, b) for a, b in zip(before, network.W + network.b, strict=True))


def test_the_activation_check_would_notice_a_wrong_derivative(monkeypatch):
    x = np.array([-2.0, 0.5, 3.0])
    assert all(studies.activation_check(name, x) < 1e-8 for name in studies.ACTIVATIONS)
    monkeypatch.setattr(p1.Sigmoid, "derivative", lambda self: self.state * (1 + self.state))
    assert studies.activation_check("sigmoid", x) > 0.01


def test_layer_inputs_are_what_each_layer_adds_up():
    x = np.random.default_rng(1).random((6, 784))
    network, _ = studies.build((5, 4))
    first, second, third = studies.layer_inputs((5, 4), x, "scaled")
    np.testing.assert_allclose(first, x @ network.W[0] + network.b[0])
    np.testing.assert_allclose(second, np.maximum(first, 0) @ network.W[1], atol=1e-12)
    np.testing.assert_allclose(third, np.maximum(second, 0) @ network.W[2], atol=1e-12)


def test_probabilities_agree_with_torch():
    import torch

    network, rng = studies.build((8,), inputs=5, init="N(0, 1)")
    x = 100 * rng.normal(size=(2500, 5))
    network.eval()
    reference = torch.softmax(torch.tensor(network.forward(x)), dim=1).numpy()
    np.testing.assert_allclose(studies.probabilities(network, x), reference, atol=1e-12)


def test_confusion_matrix_counts_each_pair():
    rng = np.random.default_rng(2)
    truth, read = rng.integers(0, 10, (2, 500))
    brute = [
        [sum(1 for t, r in zip(truth, read, strict=True) if (t, r) == (i, j)) for j in range(10)] for i in range(10)
    ]
    assert studies.confusion_matrix(truth, read).tolist() == brute


@pytest.mark.parametrize(
    ("rate", "points"), [(0.0, 10), (0.0499, 10), (0.05, 5), (0.0999, 5), (0.1, 3), (0.1999, 3), (0.2, 0), (1, 0)]
)
def test_grade_points_follow_the_bands(rate, points):
    assert studies.grade_points(rate) == points


@pytest.mark.parametrize("rate", [-0.1, 1.5, 43, float("nan")])
def test_a_percentage_is_not_a_rate(rate):
    with pytest.raises(ValueError, match="a hundred times the rate"):
        studies.grade_points(rate)


def test_short_runs_learn_and_repeat_and_say_when_they_diverge(blobs):
    good = studies.short_run(blobs, blobs, 0.1, 0.9, epochs=5)
    again = studies.short_run(blobs, blobs, 0.1, 0.9, epochs=5)
    assert good.error < 0.05 and len(good.losses) == 40 and np.array_equal(good.losses, again.losses)
    bad = studies.short_run(blobs, blobs, 1e6, 0.9, epochs=5)
    assert bad.error >= 0.5
    infinite = studies.short_run((blobs[0] * 1e200, blobs[1]), blobs, 1.0, 0.0, epochs=2)
    assert infinite.diverged and infinite.error == 0.9 and np.isfinite(infinite.losses).all()


def test_the_stored_table_of_knobs_is_complete_and_true():
    grid, variants = studies.read_knobs(KNOBS)
    assert set(grid) == {(lr, m) for lr in studies.LEARNING_RATES for m in studies.MOMENTA}
    assert [told for told, _, _ in variants] == [told for told, _ in studies.VARIANTS]
    assert all(0 < run.error <= 1 for run in grid.values())


def test_two_stored_runs_come_out_the_same_when_repeated():
    from helpers import datasets

    try:
        data = datasets.obtain(datasets.MNIST, download=False)
    except datasets.DownloadError:
        pytest.skip("needs MNIST: make data")
    samples = studies.few_samples(data)
    grid, _ = studies.read_knobs(KNOBS)
    for lr, momentum in ((0.1, 0.9), (0.02, 0.5)):
        run = studies.short_run(*samples, lr, momentum)
        np.testing.assert_allclose(run.losses, grid[lr, momentum].losses, rtol=1e-3)
        assert run.error == pytest.approx(grid[lr, momentum].error, abs=0.002)


def test_knobs_are_written_and_read_back(tmp_path, blobs):
    path = tmp_path / "knobs.json"
    run = studies.short_run(blobs, blobs, 0.1, 0.0, epochs=1)
    studies.write_knobs(path, {(0.1, 0.0): run}, [("nothing", 0.5, 0.1)], "blobs")
    grid, variants = studies.read_knobs(path)
    np.testing.assert_allclose(grid[0.1, 0.0].losses, run.losses, rtol=1e-3)
    assert variants == [("nothing", 0.5, 0.1)] and [p.name for p in tmp_path.iterdir()] == ["knobs.json"]


@pytest.mark.parametrize("content", ["", "[]", '{"runs": 3}', '{"runs": [{"lr": 1}], "variants": []}'])
def test_a_broken_table_of_knobs_is_named(tmp_path, content):
    path = tmp_path / "knobs.json"
    with pytest.raises(ValueError, match="there is no file"):
        studies.read_knobs(path)
    path.write_text(content)
    with pytest.raises(ValueError, match="make it anew with python -m helpers.core.mlp_studies"):
        studies.read_knobs(path)


def test_the_shipped_model_needs_its_record(tmp_path):
    network, _ = studies.build((4,))
    network.save_model(str(tmp_path / "p1_model.npz"))
    with pytest.raises(ValueError, match="p1_history.json"):
        studies.shipped(tmp_path)
    (tmp_path / "p1_history.json").write_text(json.dumps({"best": 1}))
    loaded, record = studies.shipped(tmp_path)
    assert record == {"best": 1} and loaded.W[0].dtype == np.float64
    np.testing.assert_array_equal(loaded.W[0], network.W[0])


def test_unknown_parts_are_named():
    with pytest.raises(ValueError, match="there is no activation 'gelu'"):
        studies.build((4,), activation="gelu")
    with pytest.raises(ValueError, match="there is no init 'ones'"):
        studies.build((4,), init="ones")


def test_the_explorer_answers_at_every_stop():
    one = explore.knobs()
    grid, _ = studies.read_knobs(KNOBS)
    for name, said in sweep(one).items():
        for value, sentence in said:
            key = (value, 0.9) if name == "learning_rate" else (0.1, value)
            assert f"{grid[key].error:.1%}" in sentence or grid[key].diverged
    with pytest.raises(ValueError, match="learning_rate = 0.3 was not trained"):
        explore.knobs(learning_rate=0.3)


def test_every_figure_is_drawn_and_described():
    rng = np.random.default_rng(3)
    images = rng.integers(0, 256, (200, 28, 28)).astype(np.uint8)
    labels = np.repeat(np.arange(10), 20)
    chances = rng.dirichlet(np.ones(10), 200)
    read = chances.argmax(axis=1)
    counts = studies.confusion_matrix(labels, read)
    curve = [[3.0, 2.0], [0.5, 0.25], [2.5, 1.5], [0.4, 0.2]]
    pictures = [
        figures.gallery(images, labels, "noise"),
        figures.saturation({"N(0, 1)": rng.normal(size=(50, 9)), "scaled": rng.normal(size=(50, 9))}, "noise"),
        figures.curves(curve, "a network"),
        figures.curves(curve, "a network", said=False),
        figures.confusion(counts, "noise"),
        figures.mistakes(images, labels, chances, "noise"),
        figures.first_layer(rng.normal(size=(784, 12))),
        figures.distortions(images[0].ravel() / 255, images[:9].reshape(9, -1) / 255, "noise"),
    ]
    for picture in pictures:
        assert style.png(picture.figure, dpi=40).startswith(b"\x89PNG") and picture.sentence.endswith(".")
    assert "25.00 %" in pictures[2].sentence and "20.00 %" in pictures[2].sentence
    assert "%" not in pictures[3].sentence
    assert f"{np.sum(read != labels)} of 200" in pictures[4].sentence


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=50))
def test_confusions_add_up(pairs):
    truth, read = map(np.array, zip(*pairs, strict=True))
    counts = studies.confusion_matrix(truth, read)
    assert counts.sum() == len(pairs) and np.trace(counts) == (truth == read).sum()
    assert np.array_equal(counts.sum(axis=1), np.bincount(truth, minlength=10))
    assert np.array_equal(studies.confusion_matrix(read, truth), counts.T)


@settings(max_examples=20, deadline=None)
@given(st.floats(0, 1), st.floats(0, 1))
def test_fewer_errors_never_earn_less(one, other):
    better, worse = sorted((one, other))
    assert studies.grade_points(better) >= studies.grade_points(worse) and studies.grade_points(one) in (0, 3, 5, 10)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 5))
def test_probabilities_do_not_depend_on_the_batch(seed, n, batch):
    rng = np.random.default_rng(seed)
    images, labels = rng.integers(0, 256, (n, 28, 28), dtype=np.uint8), rng.integers(0, 10, n)
    x, y = studies.as_samples(images, labels)
    assert x.shape == (n, 784) and 0 <= x.min() and x.max() <= 1 and np.array_equal(y.argmax(1), labels)
    net = p1.MLP(784, 10, [4], [p1.Tanh()], p1.scaled_normal_weight_init, p1.zeros_bias_init,
                 p1.SoftmaxCrossEntropy(), 0.1)  # fmt: skip
    probabilities = studies.probabilities(net, x, batch)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(probabilities, studies.probabilities(net, x), atol=1e-12)


def test_the_command_writes_every_knob_of_its_table(monkeypatch, tmp_path, capsys):
    """The real command, with two rates, two momenta and two settings, on sixty images of noise."""
    monkeypatch.setattr(studies, "ARTIFACTS", tmp_path / "p1")
    monkeypatch.setattr(studies, "LEARNING_RATES", (0.01, 0.1))
    monkeypatch.setattr(studies, "MOMENTA", (0.0, 0.9))
    monkeypatch.setattr(studies, "VARIANTS", (studies.VARIANTS[0], ("rate 0.01", {"lr": 0.01})))
    monkeypatch.setattr(studies, "short_run", partial(studies.short_run, epochs=1))
    rng = np.random.default_rng(0)
    parts = [(rng.integers(0, 256, (60, 28, 28), dtype=np.uint8), rng.integers(0, 10, 60)) for _ in range(3)]
    noise = SimpleNamespace(name="noise", split=lambda: parts)
    monkeypatch.setattr("helpers.datasets.mnist", lambda: noise)
    assert studies.main([]) == 0
    assert "p1_knobs.json: 4 runs on noise" in capsys.readouterr().out
    grid, variants = studies.read_knobs(tmp_path / "p1" / "p1_knobs.json")
    assert sorted(grid) == [(0.01, 0.0), (0.01, 0.9), (0.1, 0.0), (0.1, 0.9)]
    samples = studies.few_samples(noise)
    again = [studies.short_run(*samples, lr=0.01, momentum=0.9, seed=seed).error for seed in range(5)]
    assert variants[1] == ("rate 0.01", pytest.approx(np.mean(again)), pytest.approx(np.std(again, ddof=1)))


@pytest.mark.parametrize(("arguments", "code", "said"), [
    (["--help"], 0, "takes minutes, and write p1_knobs.json anew"),
    (["--epochs", "3"], 2, "unrecognized arguments: --epochs 3"),
])  # fmt: skip
def test_the_command_trains_only_when_it_is_called_without_arguments(monkeypatch, capsys, arguments, code, said):
    monkeypatch.setattr("helpers.datasets.mnist", lambda: pytest.fail("it began to work"))
    with pytest.raises(SystemExit) as left:
        studies.main(arguments)
    shown = " ".join("".join(capsys.readouterr()).split())
    assert left.value.code == code and said in shown


def test_the_command_tells_in_a_sentence_what_went_wrong(monkeypatch, capsys):
    def none():
        raise ValueError("MNIST is damaged; delete it.")

    monkeypatch.setattr("helpers.datasets.mnist", none)
    assert studies.main([]) == 1
    assert capsys.readouterr().err == "MNIST is damaged; delete it.\n"
