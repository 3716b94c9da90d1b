"""What is said about a trained network: grades, confusions, the record of a training, and the report."""

import json
import shutil
import subprocess

import numpy as np
import pytest
import torch

from helpers import p2, p2_report
from helpers.core import cnn, cnn_studies


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


def test_feature_maps_lead_to_the_logits():
    torch.manual_seed(0)
    network = cnn.CNN((8, 12, 16)).eval()
    image = torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8)
    maps = cnn_studies.feature_maps(network, image)
    assert [m.shape for m in maps.values()] == [(24, 31, 31), (8, 15, 15), (12, 7, 7), (16, 3, 3)]
    largest = torch.from_numpy(maps["group 3"].max((1, 2)))
    logits = network.head.weight @ largest / 16
    torch.testing.assert_close(logits, network(image[None])[0], rtol=1e-4, atol=1e-5)


def test_the_gradient_check_agrees_and_can_fail():
    images = torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert cnn_studies.gradient_check(images, torch.arange(8)) < 1e-6
    assert cnn_studies.gradient_check(images, torch.arange(8), 0.5) > 1e-3


def test_tables_say_what_differs():
    base = {"epochs": 4, "flip": True}
    run = {"configuration": base, "seed": 0, "test": {"accuracy": 0.91}, "seconds": 10.0, "budget_tflop": 5.0}
    other = run | {"seed": 1, "test": {"accuracy": 0.90}}
    changed = run | {"configuration": {"epochs": 4, "flip": False}, "epochs": [{"validation_accuracy": 0.8}]}
    record = {"shipped": run, "seeds": [run, other], "ablation": [changed]}
    assert cnn_studies.ablation(record)["changed"] == ["flip false"]
    table = cnn_studies.seeds(record)
    assert table["seed"] == ["0", "1", "mean", "± std"]
    assert table["test accuracy (%)"] == pytest.approx([91, 90, 90.5, 1 / 2**0.5])


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
        [*p2_report.CODE, "p2_model.pkl", "p2_history.json", "p2_report.pdf"]
    )
    if shutil.which("pdftotext"):
        said = subprocess.run(["pdftotext", "-layout", tmp_path / "p2_report.pdf", "-"], capture_output=True, text=True)
        assert f"{record['shipped']['test']['accuracy']:.2%}" in said.stdout and "flip false" in said.stdout


def test_unfinished_trainings_are_refused(trained, tmp_path, capsys):
    shutil.copytree(trained / "one", tmp_path / "half")
    history = json.loads((tmp_path / "half" / "p2_history.json").read_text())
    del history["test"]
    (tmp_path / "half" / "p2_history.json").write_text(json.dumps(history))
    assert p2_report.main([str(tmp_path / "half"), "--data", str(trained), "--folder", str(tmp_path / "out")]) == 1
    assert "not finished" in capsys.readouterr().err
    assert p2_report.main([str(tmp_path / "none"), "--folder", str(tmp_path / "out")]) == 1
    assert "missing or damaged" in capsys.readouterr().err


def test_a_missing_record_is_named(tmp_path):
    with pytest.raises(ValueError, match="run python -m helpers.p2_report"):
        cnn_studies.read_record(tmp_path)
