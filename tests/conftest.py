import pytest

from helpers.explore.explorer import Explorer


@pytest.fixture(autouse=True)
def explorers_raise(monkeypatch):
    """In JupyterLab an explorer shows a failed redraw as a sentence; in a test it must fail."""
    monkeypatch.setattr(Explorer, "raise_errors", True)
