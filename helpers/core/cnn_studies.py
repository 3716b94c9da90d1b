"""What a trained network of Programming 2 gets right and wrong, and what its layers show."""

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from helpers.core import cnn

BANDS = ((0.90, 15), (0.85, 10), (0.80, 5), (0.75, 3))  # accuracy above, points; from the assignment
VIEWS = ("whitening", "group 1", "group 2", "group 3")


def grade(accuracy):
    """Return (points, words) that the assignment gives for a test accuracy in 0..1.

    Raises ValueError for an accuracy outside 0..1.
    """
    if not 0 <= accuracy <= 1:
        raise ValueError(f"accuracy is {accuracy}; give a fraction from 0 to 1, such as 0.93.")
    for above, points in BANDS:
        if accuracy > above:
            return points, f"above {above:.0%}: {points} points"
    return 0, "75% or less: 0 points"


def confusion(labels, predicted, classes=10):
    """Return the matrix (classes, classes) that counts images by true class (row) and predicted class (column)."""
    matrix = np.zeros((classes, classes), dtype=int)
    np.add.at(matrix, (np.asarray(labels), np.asarray(predicted)), 1)
    return matrix


def per_class(matrix):
    """Return (recall, precision), each (classes,), of a confusion matrix; 0 where a class was never met.

    Recall: of the images of a class, the part that was recognised. Precision: of the answers that name a class, the
    part that was right.
    """
    right = np.diag(matrix)
    return right / np.maximum(matrix.sum(1), 1), right / np.maximum(matrix.sum(0), 1)


def worst_confusions(matrix, count=5):
    """Return the `count` most frequent mistakes as (true class, predicted class, number)."""
    off = matrix - np.diag(np.diag(matrix))
    order = np.argsort(-off, axis=None, kind="stable")[:count]
    return [(int(i), int(j), int(off[i, j])) for i, j in zip(*np.unravel_index(order, off.shape), strict=True)]


def surest(probabilities, labels, right, count):
    """Return the indices of the `count` images answered right (or wrong) with the largest probability."""
    probabilities, labels = np.asarray(probabilities), np.asarray(labels)
    chosen = np.flatnonzero((probabilities.argmax(1) == labels) == right)
    return chosen[np.argsort(-probabilities[chosen].max(1), kind="stable")[:count]]


def doubtful(probabilities, labels, count):
    """Return the indices of the `count` images answered right with the smallest probability."""
    return surest(probabilities, labels, True, len(labels))[::-1][:count]


@torch.no_grad()
def feature_maps(network, image):
    """Return what each stage makes of one image (3, height, width): name to array (channels, height, width).

    Each stage is shown after its GELU, as the next one sees it.
    """
    network.eval()
    x = F.gelu(network.whitening(network.normalise(image[None])))
    maps = {VIEWS[0]: x[0].numpy()}
    for name, group in zip(VIEWS[1:], network.groups, strict=True):
        x = group(x)
        maps[name] = x[0].numpy()
    return maps


def read_record(folder):
    """Return the record of what was shipped, artifacts/p2/p2_history.json, as a dictionary.

    Raises ValueError when it is missing or no such file.
    """
    path = Path(folder) / "p2_history.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        record["shipped"]["epochs"], record["seeds"], record["ablation"]
    except (OSError, ValueError, KeyError, TypeError):
        raise ValueError(
            f"{path} is missing or not the record of a training; run python -m helpers.p2_report."
        ) from None
    return record


def load_shipped(folder):
    """Return the shipped network and its record; raises ValueError when either is missing or damaged."""
    return cnn.load_model(Path(folder) / "p2_model.pkl"), read_record(folder)


def gradient_check(images, labels, step=1e-6):
    """Return the relative error of a small network's gradient along a random direction, in double precision.

    The directional derivative of automatic differentiation is held against a central difference of width 2 `step` in
    all weights at once. `images` uint8 (n, 3, 32, 32), `labels` (n,).
    """
    generator = torch.Generator().manual_seed(0)
    network = cnn.CNN((4, 6, 8))
    network.fit_input(images)
    network.double()
    x, weights = images.double() / 255, [p for p in network.parameters() if p.requires_grad]
    with torch.no_grad():
        for weight in weights:  # drawn here, so that the result does not depend on what was drawn before
            weight.copy_(0.3 * torch.randn(weight.shape, generator=generator, dtype=torch.float64))
    directions = [torch.randn(w.shape, generator=generator, dtype=torch.float64) for w in weights]

    def loss():
        features = network.groups(F.gelu(network.whitening(network.normalise(x)))).amax((2, 3))
        return F.cross_entropy(network.head(features), labels)  # without the network's rounding of logits to single

    gradients = torch.autograd.grad(loss(), weights)
    expected = sum((g * d).sum() for g, d in zip(gradients, directions, strict=True)).item()
    values = []
    for sign in (1, -2):  # forward by one step, then back by two
        with torch.no_grad():
            for weight, direction in zip(weights, directions, strict=True):
                weight.add_(sign * step * direction)
            values.append(loss().item())
    return abs((values[0] - values[1]) / (2 * step) - expected) / abs(expected)


def changes(configuration, base):
    """Return in words the settings in which a configuration differs from `base`."""
    differing = [f"{name} {json.dumps(configuration[name])}" for name in base if configuration.get(name) != base[name]]
    return ", ".join(differing) or "nothing: the preset itself"


def ablation(record):
    """Return the columns of the ablation table of a record: what was changed, and what came out on held-out images."""
    entries = record["ablation"]
    base = (record["seeds"] or [record["shipped"]])[0]["configuration"]
    return {
        "changed": [changes(entry["configuration"], base) for entry in entries],
        "validation accuracy (%)": [100 * entry["epochs"][-1]["validation_accuracy"] for entry in entries],
        "seconds": [round(entry["seconds"]) for entry in entries],
        "budget (TFLOP)": [round(entry["budget_tflop"]) for entry in entries],
    }


def seeds(record):
    """Return the columns of the table of seeds, with the mean and the standard deviation (n - 1) in the last rows."""
    entries = record["seeds"]
    columns = {
        "test accuracy (%)": [100 * entry["test"]["accuracy"] for entry in entries],
        "seconds": [entry["seconds"] for entry in entries],
        "budget (TFLOP)": [entry["budget_tflop"] for entry in entries],
    }
    for values in columns.values():
        values += [np.mean(values), np.std(values, ddof=1) if len(values) > 1 else float("nan")]
    return {"seed": [*(str(entry["seed"]) for entry in entries), "mean", "± std"]} | columns
