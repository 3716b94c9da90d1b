"""The speed comparison: its contenders do the same work, so that their times can be compared."""

import json
import statistics

import numpy as np
import pytest

from helpers import benchmarks
from helpers.core import mlp_studies as studies


def test_numpy_and_torch_train_the_same_network():
    rng = np.random.default_rng(0)
    x = rng.random((300, 20), dtype=np.float32)
    y = np.eye(5, dtype=np.float32)[rng.integers(0, 5, 300)]
    weights = [rng.standard_normal((a, b)).astype(np.float32) / 4 for a, b in ((20, 16), (16, 8), (8, 5))]
    ours, theirs = (make((20, 16, 8, 5), weights, x, y) for make in (benchmarks.numpy_epoch, benchmarks.torch_epoch))
    for _ in range(3):
        assert ours[0]() == pytest.approx(theirs[0](), rel=1e-4)
    for a, b, before in zip(ours[1](), theirs[1](), weights, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
        assert np.abs(a - before).max() > 1e-3


def test_the_table_names_every_contender_and_its_ratio(monkeypatch, capsys):
    seconds = {"numpy": [1.0, 2.0, 4.0], "torch eager": [2.0, 2.0, 2.0], "torch compiled": [0.5, 1.0, 2.0]}
    monkeypatch.setattr(benchmarks, "measure_mlp", lambda *_: (seconds, 2, 1e-7, {}))
    benchmarks.main(["mlp", "--quick"])
    lines = capsys.readouterr().out.splitlines()
    assert sum("784-800-400-10" in line for line in lines) == 1
    eager = next(line for line in lines if "torch eager" in line)
    assert "2.000 [2.000, 2.000]" in eager and "1.00 [0.50, 2.00]" in eager
    compiled = next(line for line in lines if "torch compiled" in line)
    assert "0.50 [0.50, 0.50]" in compiled


def test_what_is_recorded_is_what_was_printed(monkeypatch, capsys, tmp_path):
    seconds = {"numpy": [1.0, 2.0, 4.0], "torch eager": [2.0, 2.0, 20.0]}
    monkeypatch.setattr(benchmarks, "measure_mlp", lambda *_: (seconds, 2, 1e-7, {}))
    monkeypatch.setattr(benchmarks, "SPEED", tmp_path / "p1_speed.json")
    benchmarks.main(["mlp", "--quick"])
    assert not list(tmp_path.iterdir())
    capsys.readouterr()
    benchmarks.main(["mlp", "--quick", "--record"])
    eager = next(line for line in capsys.readouterr().out.splitlines() if "torch eager" in line)
    assert "2.00 [1.00, 5.00]" in eager
    assert studies.speed(tmp_path) == [(name, 2.0, {"torch eager": 2.0}) for name in
                                       ("784-256-128-10", "784-800-400-10")]  # fmt: skip
    (tmp_path / "p1_speed.json").write_text("{")
    with pytest.raises(ValueError, match="benchmarks mlp --record"):
        studies.speed(tmp_path)


@pytest.mark.skipif(not benchmarks.SPEED.exists(), reason="no speed is recorded yet")
def test_the_recorded_speed_keeps_its_promise():
    """At least 1.5 times as fast as eager PyTorch, never slower than compiled; the ratios taken another way."""
    networks = json.loads(benchmarks.SPEED.read_text())["networks"]
    assert list(networks) == ["784-256-128-10", "784-800-400-10"]
    for measured in networks.values():
        ours, *others = (statistics.median(values) for values in measured["seconds"].values())
        assert len(others) == 2 and others[0] >= 1.5 * ours and others[1] >= ours


def test_an_unknown_section_is_named(capsys):
    with pytest.raises(SystemExit):
        benchmarks.main(["cooking"])
    assert "no section 'cooking'; choose of mlp" in capsys.readouterr().err
