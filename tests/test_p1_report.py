"""What goes into artifacts/p1/: complete, consistent, and refused when it would mislead."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from helpers import datasets, p1_report, train_mlp
from helpers.core import mlp as p1

ARTIFACTS = Path(__file__).parents[1] / "artifacts" / "p1"
needs_mnist = pytest.mark.skipif("WORKBOOK_DATA" not in os.environ, reason="needs the real MNIST in $WORKBOOK_DATA")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The recipes, made tiny, after two epochs on a thousand digits."""
    folder = tmp_path_factory.mktemp("trained")
    dset = train_mlp.samples(datasets.mnist(), limit=1000)
    dset[2] = train_mlp.samples(datasets.mnist())[2]
    with pytest.MonkeyPatch.context() as patch:
        for name, recipe in p1.RECIPES.items():
            patch.setitem(p1.RECIPES, name, recipe | {"hiddens": [25, 12]})
        for recipe, seed in (("handout", 0), ("best", 0), ("final", 0), ("final", 1), ("final", 2)):
            train_mlp.train(recipe, seed, dset, folder, epochs=2, progress=False)
    return folder


@needs_mnist
def test_publish_fills_the_folder(trained, tmp_path):
    p1_report.publish(trained, tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["p1.py", "p1_history.json", "p1_model.npz", "p1_report.pdf"]
    assert (tmp_path / "p1.py").read_bytes() == Path(p1.__file__).read_bytes()
    assert (tmp_path / "p1_report.pdf").read_bytes().count(b"/Type /Page ") == 3
    history = json.loads((tmp_path / "p1_history.json").read_text())
    errors = [record["test_error"] for record in history["final"]["seeds"]]
    mean = sum(errors) / 3
    assert history["final"]["test_error_mean"] == pytest.approx(mean)
    assert history["final"]["test_error_std"] == pytest.approx((sum((e - mean) ** 2 for e in errors) / 2) ** 0.5)
    assert [record["seed"] for record in history["final"]["seeds"]] == [0, 1, 2]
    assert (tmp_path / "p1_model.npz").read_bytes() == (trained / "final_seed0.npz").read_bytes()


@needs_mnist
def test_a_history_that_does_not_fit_the_model_is_refused(trained, tmp_path):
    history = p1_report.collect(trained)
    history["final"]["seeds"][0]["test_error"] = 0.5
    with pytest.raises(ValueError, match="its history says 50.00 %"):
        p1_report.draw(history, trained / "final_seed0.npz", tmp_path / "report.pdf")


@needs_mnist
def test_a_missing_training_is_named(trained, tmp_path):
    (tmp_path / "final_seed0.json").write_bytes((trained / "final_seed0.json").read_bytes())
    with pytest.raises(ValueError, match="'handout' with seed 0; run `python -m helpers.train_mlp --recipe handout`"):
        p1_report.collect(tmp_path)


@needs_mnist
def test_a_training_on_the_stand_in_is_refused(trained, tmp_path):
    for path in trained.glob("*.json"):
        record = json.loads(path.read_text()) | {"data": "generated digits"}
        (tmp_path / path.name).write_text(json.dumps(record))
    with pytest.raises(ValueError, match="trained on 'generated digits', not MNIST"):
        p1_report.collect(tmp_path)


def test_training_times_say_what_was_measured():
    def record(seed, threads=None):
        machine = {"cores": 2} | ({"threads": threads} if threads else {})
        return {"seed": seed, "seconds": [1.0, 9.0 * seed], "processor_seconds": [2.0, 2.0], "machine": machine}

    assert p1_report.training_time([record(1), record(3)]) == "19 s by the clock, all cores"
    assert p1_report.training_time([record(1, 1), record(3, 1)]) == "4 s of one core"
    assert p1_report.training_time([record(1, 2), record(3, 1), record(5, 1)]) == (
        "10 s by the clock, all cores (seed 1)\n4 s of one core (seeds 3, 5)"
    )


# -- what is shipped ----------------------------------------------------------------------------------------------

shipped = pytest.mark.skipif(not (ARTIFACTS / "p1_model.npz").exists(), reason="nothing is shipped yet")


@shipped
def test_the_shipped_program_is_the_module():
    assert (ARTIFACTS / "p1.py").read_bytes() == Path(p1.__file__).read_bytes()


@shipped
def test_the_shipped_model_is_small_and_plain():
    path = ARTIFACTS / "p1_model.npz"
    assert path.stat().st_size < 8_000_000
    with np.load(path, allow_pickle=False) as file:
        assert set(file.files) == {f"{kind}{i}" for kind in "Wb" for i in range(len(file.files) // 2)}
        assert {file[key].dtype for key in file.files} == {np.dtype(np.float32)}


@shipped
@needs_mnist
def test_the_shipped_model_makes_the_stored_number_of_mistakes():
    """Evaluated without our MLP class: a few matrix products and maxima."""
    history = json.loads((ARTIFACTS / "p1_history.json").read_text())
    data = datasets.mnist(download=False)
    h = data.test_images.reshape(-1, 784).astype(np.float32) / 255
    with np.load(ARTIFACTS / "p1_model.npz", allow_pickle=False) as file:
        layers = len(file.files) // 2
        for i in range(layers):
            h = h @ file[f"W{i}"] + file[f"b{i}"]
            h = np.maximum(h, 0) if i < layers - 1 else h
    wrong = int((h.argmax(axis=1) != data.test_labels).sum())
    assert wrong == round(10_000 * history["final"]["seeds"][0]["test_error"])


@shipped
def test_the_shipped_history_holds_every_seed_and_its_means():
    history = json.loads((ARTIFACTS / "p1_history.json").read_text())
    for recipe in p1.RECIPES:
        seeds = history[recipe]["seeds"]
        assert [record["seed"] for record in seeds] == [0, 1, 2, 3, 4]
        assert history[recipe]["test_error_mean"] == pytest.approx(sum(r["test_error"] for r in seeds) / 5)
        for record in seeds:
            assert record["data"] == "MNIST" and record["machine"]["numpy"] and record["command"]
            assert len(record["seconds"]) == len(record["training_errors"]) == record["epochs"]
            assert len(record["validation_errors"]) == (0 if recipe == "final" else record["epochs"])
