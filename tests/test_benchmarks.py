"""The speed comparison: its contenders do the same work, so that their times can be compared."""

import numpy as np
import pytest

from helpers import benchmarks


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


def test_an_unknown_section_is_named(capsys):
    with pytest.raises(SystemExit):
        benchmarks.main(["cooking"])
    assert "no section 'cooking'; choose of mlp" in capsys.readouterr().err
