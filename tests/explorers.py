"""What every explorer's test does: move each control to every stop and look at picture and sentence."""

import io

import ipywidgets as widgets
import numpy as np
from PIL import Image


def stops(control, most=60):
    """Return the values that a reader can give `control`, thinned out evenly to at most `most`, both ends kept."""
    if isinstance(control, widgets.Dropdown | widgets.SelectionSlider):
        return [value for _, value in control._options_full]
    if isinstance(control, widgets.Checkbox):
        return [not control.value, control.value]
    if isinstance(control, widgets.IntSlider):
        values = np.arange(control.min, control.max + 1, control.step)
    elif isinstance(control, widgets.FloatSlider):
        values = control.min + control.step * np.arange(round((control.max - control.min) / control.step) + 1)
    else:
        return []
    chosen = np.unique(np.linspace(0, len(values) - 1, min(most, len(values))).round().astype(int))
    return [values[i].item() for i in chosen]


def pixels(explorer):
    """Return the present picture as an array (height, width, 3)."""
    return np.asarray(Image.open(io.BytesIO(explorer.picture.value)).convert("RGB"))


def sweep(explorer, most=60):
    """Move every control of `explorer` through its stops, each from the initial state; return what was said.

    The result maps each control's name to a list of (value, sentence). Every picture must be a valid PNG of the first
    one's size, and the sentence must be the picture's accessible name.
    """
    size = pixels(explorer).shape
    said = {}
    for name, control in explorer.controls.items():
        explorer.reset()
        said[name] = []
        for value in stops(control, most):
            control.value = value
            assert explorer.picture.tooltip == explorer.sentence
            said[name].append((value, explorer.sentence))
        assert pixels(explorer).shape == size
    explorer.reset()
    return said
