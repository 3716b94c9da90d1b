"""The explorer of Programming 1: learning rate against momentum on a small real training set."""

from helpers.core import mlp_studies as studies
from helpers.explore.explorer import Explorer, pick
from helpers.figures.mlp import KnobScene


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
