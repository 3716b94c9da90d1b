"""The one practice question of the first notebook, which shows how a check answers."""

import numpy as np

from helpers.checks import Question, Slip

QUESTIONS = {
    "0": Question(
        id="0",
        points=0,
        parts=("σ(0)",),
        answer="1 / (1 + e⁰) = 1 / 2:",
        expected=lambda: (1 / (1 + np.exp(0.0)),),
        slips=(
            Slip("e⁰ is 1, not 0, so the denominator is 2.", lambda: (1.0,)),
            Slip("that is tanh(0); the sigmoid is 1 / (1 + e⁻ˣ).", lambda: (np.tanh(0.0),)),
            Slip("that is σ′(0), the slope; the value is asked for.", lambda: (0.25,)),
        ),
        hints=("σ(x) = 1 / (1 + e⁻ˣ). What is e⁰?", "The denominator is 1 + 1."),
    )
}
