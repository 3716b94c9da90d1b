"""The explorers of Theory 1: a descent on GELU, step by step, and a race of the four rules."""

from helpers.core.descent import METHODS
from helpers.explore.explorer import Explorer, choice, slider, whole
from helpers.figures.descent import DescentScene, RaceScene

STEPS, RACE = 60, 100


def descend(method="gradient descent", x0=-3.0, learning_rate=1.0, momentum=0.9, n=12):
    """Return the explorer of one descent on GELU, shown at step `n` of 60.

    `x0` is in [-4, 3], `learning_rate` in [0.05, 8], `momentum` in [0, 0.99]; values beyond move to the nearest end.
    """
    controls = {
        "method": choice("rule", METHODS, method),
        "x0": slider("start x₀", x0, -4.0, 3.0, 0.05),
        "learning_rate": slider("step size η", learning_rate, 0.05, 8.0, 0.05),
        "momentum": slider("momentum β", momentum, 0.0, 0.99, 0.01),
        "n": whole("step t", n, 0, STEPS),
    }
    return Explorer(DescentScene(STEPS), controls, call="explore.descend", steps="n")


def race(x0=-3.0, learning_rate=1.0, momentum=0.9, n=0):
    """Return the explorer of the four rules released together on GELU, shown at step `n` of 100.

    `x0` is in [-4, 3], `learning_rate` in [0.05, 8], `momentum` in [0, 0.99]; values beyond move to the nearest end.
    """
    low, high = -4.0, 3.0
    controls = {
        "x0": slider("start x₀", x0, low, high, 0.05),
        "learning_rate": slider("step size η", learning_rate, 0.05, 8.0, 0.05),
        "momentum": slider("momentum β", momentum, 0.0, 0.99, 0.01),
        "n": whole("step t", n, 0, RACE),
    }
    return Explorer(
        RaceScene(RACE, low, high), controls, call="explore.race", steps="n", pause=0.12,
        drag="Drag on the left to set the start, on the right to set the step",
    )  # fmt: skip
