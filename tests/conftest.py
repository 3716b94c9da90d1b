import os
import warnings

import pytest

from helpers import datasets
from helpers.explore.explorer import Explorer

os.environ["WORKBOOK_PROGRESS"] = ""  # tests, and the kernels they start, leave a reader's progress alone


@pytest.fixture(autouse=True)
def explorers_raise(monkeypatch):
    """In JupyterLab an explorer shows a failed redraw as a sentence; in a test it must fail."""
    monkeypatch.setattr(Explorer, "raise_errors", True)


def pytest_collection_modifyitems(items):
    """Skip, with the remedy, the notebook whose stored numbers come from real MNIST where there is none."""
    needing = [item for item in items if item.path.name == "05_numpy_mlp_on_mnist.ipynb"]
    if not needing:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", datasets.StandInWarning)
        missing = datasets.mnist().is_stand_in
    for item in needing if missing else ():
        item.add_marker(pytest.mark.skip(reason="needs MNIST, which is neither here nor to be fetched: make data"))
