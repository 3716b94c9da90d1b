"""What every explorer's test does: move each control to every stop and look at picture and sentence."""

import numpy as np
import pytest

from helpers import benchmarks


def made(name):
    """Return the explorer `name` of benchmarks.EXPLORERS; without the trained network that it shows, skip the test."""
    try:
        return benchmarks.make_explorer(name)
    except (OSError, ValueError) as reason:
        if "no file" not in str(reason).lower():
            raise
        pytest.skip(str(reason))


def stops(control, most=60):
    """Return the values that a reader can give `control`, thinned out evenly to at most `most`, both ends kept."""
    values = control.stops()
    chosen = np.unique(np.linspace(0, len(values) - 1, min(most, len(values))).round().astype(int))
    return [values[i] for i in chosen]


def pixels(explorer):
    """Return the present picture as an array (height, width, 3)."""
    return explorer.pixels[..., :3]


def sweep(explorer, most=60):
    """Move every control of `explorer` through its stops, each from the initial state; return what was said.

    The result maps each control's name to a list of (value, sentence). Every picture must have the size of the first
    one, and nothing may fail.
    """
    size = pixels(explorer).shape
    said = {}
    for name, control in explorer.controls.items():
        explorer.reset()
        said[name] = []
        for value in stops(control, most):
            control.value = value
            assert explorer.sentence and not explorer.problem
            said[name].append((value, explorer.sentence))
        assert pixels(explorer).shape == size
    explorer.reset()
    return said
