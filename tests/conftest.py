import os
import warnings

import numpy as np
import pytest

from helpers import datasets
from helpers.core import mlp as p1
from helpers.explore.explorer import Explorer

os.environ["WORKBOOK_DEVICE"] = "cpu"  # equal bits are promised there; a GPU's sums come in any order
os.environ["WORKBOOK_PROGRESS"] = ""  # tests, and the kernels they start, leave a reader's progress alone


def pytest_configure(config):
    """With several processes each gets its share of threads; the processes, started later, inherit this."""
    processes = config.getoption("tx", None)  # one entry each; empty without pytest-xdist, and in its processes
    if processes:
        share = max(1, (os.cpu_count() or 1) // len(processes))
        os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(share))


def pytest_xdist_auto_num_workers():
    """One process more than there are cores, for some tests spend their time waiting."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture(autouse=True)
def explorers_raise(monkeypatch):
    """In JupyterLab an explorer shows a failed redraw as a sentence; in a test it must fail."""
    monkeypatch.setattr(Explorer, "raise_errors", True)


@pytest.fixture
def two_kinds(tmp_path):
    """Returns a function: train a small MLP whose hidden layers differ; give its file and its test error in percent."""

    def trained(*activations):
        (x, y), _, test = p1.load_mnist()
        rng = np.random.default_rng(0)
        made = p1.MLP(784, 10, [24, 16], list(activations), lambda *shape: p1.scaled_normal_weight_init(*shape, rng),
                      p1.zeros_bias_init, p1.SoftmaxCrossEntropy(), 0.1)  # fmt: skip
        p1.train_epoch(made, x[:5000], y[:5000], 50, rng)
        made.save_model(str(tmp_path / "two_kinds.npz"))
        return tmp_path / "two_kinds.npz", 100 * p1.evaluate(made, *test)[1]

    return trained


LONGEST = (
    "test_submission", "test_grade", "06_pytorch_cnn_on_cifar10", "test_training", "test_student",
    "05_numpy_mlp_on_mnist",
)  # fmt: skip


def pytest_collection_modifyitems(items):
    """Put the longest files first, so that no process ends long after the others; skip what lacks its data.

    That is a notebook whose stored numbers come from real data, where there is none.
    """
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))
    for name, load in (
        ("05_numpy_mlp_on_mnist.ipynb", datasets.mnist),
        ("06_pytorch_cnn_on_cifar10.ipynb", datasets.cifar10),
    ):
        needing = [item for item in items if item.path.name == name]
        if not needing:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", datasets.StandInWarning)
            data = load(part="test")
        reason = f"the outputs are those of real images, and here is a {data.name}: make data"
        for item in needing if data.is_stand_in else ():
            item.add_marker(pytest.mark.skip(reason=reason))
