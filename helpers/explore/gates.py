"""The explorers of Theory 2: one neuron and its line, and a 2-2-1 network with its hidden plane."""

from helpers.core.gates import TRUTH
from helpers.explore.explorer import Explorer, choice, slider
from helpers.figures.gates import HiddenPlaneScene, NeuronScene


def neuron(gate="AND", w1=1.0, w2=1.0, b=-2.5):
    """Return the explorer of one neuron, z = w1 A + w2 B + b, judged against the truth table of `gate`.

    The weights are in [-3, 3], the bias in [-4, 4]; values beyond move to the nearest end.
    """
    controls = {
        "gate": choice("gate", list(TRUTH), gate),
        "w1": slider("weight w₁ of A", w1, -3.0, 3.0, 0.1),
        "w2": slider("weight w₂ of B", w2, -3.0, 3.0, 0.1),
        "b": slider("bias b", b, -4.0, 4.0, 0.1),
    }
    return Explorer(NeuronScene(), controls, call="explore.neuron")


def hidden_plane(gate="XOR", sharpness=4.0, line1=0.5, line2=1.5, v1=2.0, v2=-2.0, c=-1.0):
    """Return the explorer of a 2-2-1 network with h = sigmoid(sharpness (A + B - line)) and z = v1 h1 + v2 h2 + c.

    `sharpness` is in [0.5, 12], the lines in [-0.5, 2.5], the output weights in [-4, 4], `c` in [-4, 4]; values beyond
    move to the nearest end.
    """
    controls = {
        "gate": choice("gate", [name for name in TRUTH if name != "NOT"], gate),
        "sharpness": slider("sharpness k", sharpness, 0.5, 12.0, 0.5),
        "line1": slider("line of h₁", line1, -0.5, 2.5, 0.1),
        "line2": slider("line of h₂", line2, -0.5, 2.5, 0.1),
        "v1": slider("weight v₁ of h₁", v1, -4.0, 4.0, 0.1),
        "v2": slider("weight v₂ of h₂", v2, -4.0, 4.0, 0.1),
        "c": slider("output bias c", c, -4.0, 4.0, 0.05),
    }
    return Explorer(HiddenPlaneScene(), controls, call="explore.hidden_plane")
