"""Small experiments around the MLP of Programming 1: what the notebook shows beside the training itself."""

import argparse
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from helpers.core import mlp as p1
from helpers.core.backprop import central_difference, difference_resolution, relative_error

ARTIFACTS = Path(__file__).parents[2] / "artifacts" / "p1"
ACTIVATIONS = {"sigmoid": p1.Sigmoid, "tanh": p1.Tanh, "ReLU": p1.ReLU, "identity": p1.Identity}
INITS = {"N(0, 1)": p1.random_normal_weight_init, "scaled": p1.scaled_normal_weight_init}

LEARNING_RATES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
MOMENTA = (0.0, 0.5, 0.8, 0.9, 0.95)

# One knob at a time, away from a common setting: what the reader sees, and the settings of `short_run`.
COMMON = {"lr": 0.1, "momentum": 0.9}
VARIANTS: tuple[tuple[str, dict], ...] = (
    ("the common setting: ReLU, 784-32-10, scaled init, rate 0.1, momentum 0.9, batch 50", {}),
    ("8 hidden neurons", {"hiddens": (8,)}),
    ("128 hidden neurons", {"hiddens": (128,)}),
    ("two hidden layers of 32", {"hiddens": (32, 32)}),
    ("sigmoid", {"activation": "sigmoid"}),
    ("tanh", {"activation": "tanh"}),
    ("weights N(0, 1)", {"init": "N(0, 1)"}),
    ("weights N(0, 1), sigmoid", {"init": "N(0, 1)", "activation": "sigmoid"}),
    ("weights N(0, 1), sigmoid, rate 1", {"init": "N(0, 1)", "activation": "sigmoid", "lr": 1.0}),
    ("no momentum", {"momentum": 0.0}),
    ("rate 0.01", {"lr": 0.01}),
    ("rate 1", {"lr": 1.0}),
    ("batch 10", {"batch_size": 10}),
    ("batch 250", {"batch_size": 250}),
    ("30 epochs", {"epochs": 30}),
)


def build(hiddens, activation="ReLU", init="scaled", lr=0.1, momentum=0.0, seed=0, dtype=np.float64, inputs=784):
    """Return an MLP from `inputs` pixels to ten digits, all layers of one activation, and the generator it used.

    Raises ValueError for an activation or an init that does not exist.
    """
    if activation not in ACTIVATIONS:
        raise ValueError(f"there is no activation {activation!r}; choose one of {', '.join(ACTIVATIONS)}")
    if init not in INITS:
        raise ValueError(f"there is no init {init!r}; choose one of {', '.join(INITS)}")
    rng = np.random.default_rng(seed)
    network = p1.MLP(
        inputs,
        10,
        list(hiddens),
        [ACTIVATIONS[activation]() for _ in hiddens],
        lambda d0, d1: INITS[init](d0, d1, rng),
        p1.zeros_bias_init,
        p1.SoftmaxCrossEntropy(),
        lr=lr,
        momentum=momentum,
        dtype=dtype,
    )
    return network, rng


def as_samples(images, labels):
    """Return images (n, 28, 28) in 0..255 as x (n, 784) in [0, 1], float32, and labels (n,) as one-hot (n, 10)."""
    return images.reshape(len(images), -1).astype(np.float32) / 255, p1.get_one_hot(labels, 10)


def gradient_check(network, x, y):
    """Return, for every weight and bias of `network`, its name, its shape and the relative error of its gradient.

    The gradient of the mean loss on the batch x (n, d), y (n, K) is compared with central differences.
    """
    network.train()
    network.forward(x)
    network.backward(y)
    gradients = {f"W{i}": g.copy() for i, g in enumerate(network.dW)} | {
        f"b{i}": g.copy() for i, g in enumerate(network.db)
    }
    parameters = {f"W{i}": p for i, p in enumerate(network.W)} | {f"b{i}": p for i, p in enumerate(network.b)}
    rows = []
    for name in sorted(parameters, key=lambda n: (n[1:], n[0])):
        parameter, kept = parameters[name], parameters[name].copy()

        def loss(value, parameter=parameter):
            parameter[...] = value
            network.forward(x)
            return network.get_loss(y) / len(x)

        numeric = central_difference(loss, kept)
        parameter[...] = kept
        network.forward(x)
        noise = difference_resolution(network.get_loss(y) / len(x))
        rows.append((name, str(kept.shape), relative_error(gradients[name], numeric, noise)))
    return rows


def activation_check(name, x):
    """Return the relative error of an activation's derivative() at the points x (n,), against central differences."""
    activation = ACTIVATIONS[name]()
    activation.forward(np.array([x]))
    formula = activation.derivative()[0]
    step = 1e-5
    numeric = (activation.forward(np.array([x + step])) - activation.forward(np.array([x - step])))[0] / (2 * step)
    return relative_error(formula, numeric)


def layer_inputs(hiddens, x, init, activation="ReLU", seed=0):
    """Return what each layer of a fresh network adds up, xW + b, for the batch x (n, 784): one array (n, d) a layer."""
    network, _ = build(hiddens, activation, init, seed=seed)
    network.eval()
    network.forward(x)
    return [h @ W + b for h, W, b in zip(network.inputs, network.W, network.b, strict=True)]


def probabilities(network, x, batch_size=1000):
    """Return softmax(logits) of x (n, d) as (n, 10); each row sums to one."""
    network.eval()
    rows = []
    for start in range(0, len(x), batch_size):
        logits = network.forward(x[start : start + batch_size])
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        rows.append(exponentials / exponentials.sum(axis=1, keepdims=True))
    return np.concatenate(rows)


def confusion_matrix(truth, predicted, classes=10):
    """Return counts (classes, classes): row = true class, column = predicted class, from two arrays (n,)."""
    counts = np.zeros((classes, classes), dtype=int)
    np.add.at(counts, (np.asarray(truth), np.asarray(predicted)), 1)
    return counts


def grade_points(error_rate):
    """Return the points that the assignment gives for a test error rate in [0, 1]: 10, 5, 3 or 0."""
    if not 0 <= error_rate <= 1:
        raise ValueError(f"the error rate {error_rate} is not in [0, 1]; a percentage is a hundred times the rate")
    return 10 if error_rate < 0.05 else 5 if error_rate < 0.10 else 3 if error_rate < 0.20 else 0


@dataclass(frozen=True)
class Run:
    """A short training: the loss of each step, and the validation error rate at the end; diverged runs are cut."""

    losses: np.ndarray
    error: float
    diverged: bool


def short_run(
    train, validation, lr, momentum, hiddens=(32,), epochs=10, batch_size=50, seed=0, activation="ReLU", init="scaled"
):  # fmt: skip
    """Train a small network on the few samples `train` = (x, y) and return what happened, step by step.

    float64 throughout, so that the same numbers come out on every processor as far as they are printed.
    """
    network, rng = build(hiddens, activation, init, lr, momentum, seed, inputs=train[0].shape[1])
    (x, y), losses = train, []
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(epochs):
            order = rng.permutation(len(x))
            for start in range(0, len(x), batch_size):
                batch = order[start : start + batch_size]
                network.train()
                network.forward(x[batch])
                network.backward(y[batch])
                losses.append(network.get_loss(y[batch]) / len(batch))
                if not np.isfinite(losses[-1]):
                    return Run(np.array(losses[:-1]), 0.9, True)
                network.step()
        _, error = p1.evaluate(network, *validation)
    return Run(np.array(losses), float(error), False)


def knob_grid(train, validation, **settings):
    """Return {(lr, momentum): Run} over LEARNING_RATES x MOMENTA."""
    return {(lr, m): short_run(train, validation, lr, m, **settings) for m in MOMENTA for lr in LEARNING_RATES}


def shipped(folder=ARTIFACTS):
    """Return the shipped network, in float64, and the record of every training behind it.

    float64 makes the count of its mistakes the same on every processor. Raises ValueError where `folder` lacks either.
    """
    network = p1.load_mlp(str(Path(folder) / "p1_model.npz"), dtype=np.float64)
    try:
        return network, json.loads((Path(folder) / "p1_history.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as reason:
        raise ValueError(f"p1_history.json in {folder} cannot be read ({reason}); run make mlp") from None


def few_samples(dataset, count=1000):
    """Return the first `count` training and validation samples of a data set, (x, y) each, in float64."""
    (images, labels), (validation_images, validation_labels), _ = dataset.split()
    pairs = ((images, labels), (validation_images, validation_labels))
    return [tuple(a.astype(float) for a in as_samples(i[:count], l[:count])) for i, l in pairs]


def knob_variants(train, validation, seeds=5):
    """Return [(what was changed, mean, standard deviation)] of the validation error over `seeds` runs, per VARIANT."""
    rows = []
    for told, changed in VARIANTS:
        settings = COMMON | changed
        errors = [short_run(train, validation, **settings, seed=seed).error for seed in range(seeds)]
        rows.append((told, float(np.mean(errors)), float(np.std(errors, ddof=1))))
    return rows


def write_knobs(path, grid, variants, name):
    """Write what `knob_grid` and `knob_variants` returned to the JSON file `path`, with the name of the data set."""
    runs = [
        {
            "lr": lr,
            "momentum": momentum,
            "error": run.error,
            "diverged": run.diverged,
            "losses": [float(f"{loss:.4g}") for loss in run.losses],
        }
        for (lr, momentum), run in grid.items()
    ]
    temporary = f"{path}.part"
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump({"data": name, "runs": runs, "variants": variants}, file)
    os.replace(temporary, path)


def read_knobs(path):
    """Return the grid, {(lr, momentum): Run}, and the variants of a file that `write_knobs` wrote.

    Raises ValueError if it is none.
    """
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
        grid = {
            (r["lr"], r["momentum"]): Run(np.array(r["losses"], dtype=float), float(r["error"]), bool(r["diverged"]))
            for r in content["runs"]
        }
        return grid, [(str(told), float(mean), float(std)) for told, mean, std in content["variants"]]
    except FileNotFoundError:
        raise ValueError(f"there is no file {path}; make it with python -m helpers.core.mlp_studies") from None
    except (KeyError, TypeError, ValueError) as reason:
        message = f"{path} is not a table of runs ({reason}); make it anew with python -m helpers.core.mlp_studies"
        raise ValueError(message) from None


def main(arguments=None):
    """Run the grid on the first thousand MNIST samples and write artifacts/p1/p1_knobs.json."""
    from helpers import datasets, files

    argparse.ArgumentParser(
        prog="python -m helpers.core.mlp_studies",
        description="Train the small networks of notebook 05, which takes minutes, and write p1_knobs.json anew.",
    ).parse_args(arguments)
    path = ARTIFACTS / "p1_knobs.json"

    def work():
        data = datasets.mnist()
        path.parent.mkdir(parents=True, exist_ok=True)
        samples = few_samples(data)
        write_knobs(path, knob_grid(*samples), knob_variants(*samples), data.name)
        return f"{path}: {len(LEARNING_RATES) * len(MOMENTA)} runs on {data.name}"

    return files.finish(work, path)


if __name__ == "__main__":
    sys.exit(main())
