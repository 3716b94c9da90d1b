"""The explorer of Theory 3: a forward and a backward pass, node by node."""

from helpers.explore.explorer import Explorer, choice, slider, whole
from helpers.figures.backprop import STEPS, BackpropScene

_CLASSES = (1, 2, 3)


def backpropagation(label=2, hidden=1.0, logits=1.0, step=STEPS):
    """Return the explorer of the worked 3-4-3 network, shown at `step` of 10: 0 to 5 go forward, 6 to 10 backward.

    `label` is 1, 2 or 3; `hidden` and `logits`, in [0.25, 10], multiply f1 and f2 through their weights and biases.
    Numbers beyond a range move to its nearest end; another label raises ValueError.
    """
    if label not in _CLASSES:
        raise ValueError(f"label is {label!r}; choose 1, 2 or 3")
    controls = {
        "label": choice("label", [(f"class {k}", k) for k in _CLASSES], label),
        "hidden": slider("factor on W₁, b₁", hidden, 0.25, 10.0, 0.25),
        "logits": slider("factor on W₂, b₂", logits, 0.25, 10.0, 0.25),
        "step": whole("step", step, 0, STEPS),
    }
    return Explorer(BackpropScene(), controls, call="explore.backpropagation", steps="step")
