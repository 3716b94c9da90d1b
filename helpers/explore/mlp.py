"""The explorers of Programming 1: learning rate against momentum, and a pad whose drawings the network reads."""

import functools

import numpy as np

from helpers.core import mlp as p1
from helpers.core import mlp_studies as studies
from helpers.core.digit import parse_strokes
from helpers.explore.explorer import Explorer, choice, pad, pick
from helpers.figures.digit import DigitScene
from helpers.figures.mlp import KnobScene

OWN = "your own"
EXAMPLES = {
    "0": "50,14 36,20 28,36 27,56 33,76 48,86 63,80 72,62 72,42 66,24 52,14",
    "1": "42,26 54,14 52,40 51,64 50,88",
    "2": "30,32 34,20 48,13 62,18 68,32 62,48 46,66 30,84 50,82 74,84",
    "3": "32,22 46,14 62,20 64,34 52,45 44,47; 44,47 60,52 68,66 60,82 44,87 30,80",
    "4": "40,14 34,34 30,54 50,54 74,52; 64,30 62,56 60,88",
    "5": "70,16 38,16 36,44 52,42 68,52 70,70 58,84 40,86 28,78",
    "6": "62,14 46,26 34,48 32,68 42,84 58,84 68,72 64,58 50,54 36,64",
    "7": "28,18 50,17 72,16 62,40 52,64 46,88",
    "8": "62,24 48,15 36,24 42,40 58,54 66,70 56,85 42,84 35,70 44,54 60,38 63,25",
    "9": "66,26 52,15 38,22 36,38 48,46 62,38 66,26 65,50 60,72 54,88",
    "a seven with a bar": "28,18 50,17 72,16 62,40 52,64 46,88; 40,52 68,50",
    "a letter A": "28,86 50,14 72,86; 37,58 63,58",
    "a smile": "36,26 36,27; 64,26 64,27; 22,56 34,74 50,80 66,74 78,56",
}


def knobs(learning_rate=0.1, momentum=0.9):
    """Return the explorer of 40 short trainings over learning rate and momentum, computed beforehand.

    Raises ValueError for a learning rate or a momentum that is not among the forty.
    """
    for name, value, known in (
        ("learning_rate", learning_rate, studies.LEARNING_RATES),
        ("momentum", momentum, studies.MOMENTA),
    ):
        if value not in known:
            raise ValueError(f"{name} = {value} was not trained; choose one of {', '.join(f'{k:g}' for k in known)}")
    controls = {
        "learning_rate": pick("learning rate", studies.LEARNING_RATES, learning_rate),
        "momentum": pick("momentum", studies.MOMENTA, momentum),
    }
    return Explorer(
        KnobScene(studies.read_knobs(studies.ARTIFACTS / "p1_knobs.json")[0], "MNIST"), controls, call="explore.knobs"
    )


@functools.cache
def _network():
    return p1.load_mlp(str(studies.ARTIFACTS / "p1_model.npz"), dtype=np.float64)


def draw(example="3", strokes=None, network=None):
    """Return the explorer of a digit drawn by hand, read by the shipped network or by `network`.

    `example` is a name in EXAMPLES, or "your own" to use `strokes`, written as `helpers.core.digit.parse_strokes` says.
    Raises ValueError for an example or strokes that are not understood.
    """
    if example not in (*EXAMPLES, OWN):
        raise ValueError(f"there is no example {example!r}; there are {', '.join(EXAMPLES)} and {OWN!r}")
    strokes = EXAMPLES.get(example, strokes or "")
    parse_strokes(strokes)
    controls = {"example": choice("an example", [OWN, *EXAMPLES], example), "strokes": pad("draw here", strokes)}

    def example_chosen(change):
        if change["new"] != OWN:
            controls["strokes"].value = EXAMPLES[change["new"]]

    def strokes_drawn(change):
        if change["new"] != EXAMPLES.get(controls["example"].value):
            controls["example"].value = OWN

    controls["example"].observe(example_chosen, "value")
    controls["strokes"].observe(strokes_drawn, "value")
    return Explorer(DigitScene(network or _network()), controls, call="explore.draw", rows=[["example"], ["strokes"]])
