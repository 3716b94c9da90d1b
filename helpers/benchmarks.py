"""Measure speed side by side, alternating, in one process: `python -m helpers.benchmarks [section ...] [--quick]`.

Sections: `mlp` trains the network of Programming 1 in numpy (helpers/core/mlp.py) and in PyTorch, eager and compiled.
There a ratio above 1 means that numpy is faster. `cnn` trains the network of Programming 2 at each image size and
holds its speed against that of a plain matrix product in the same minute. `explorers` draws every explorer at many
stops of every control, then measures what a reader waits for in JupyterLab. Numbers are medians with their spread.
"""

import argparse
import functools
import importlib
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from helpers.core import mlp as p1

NETWORKS = ((784, 256, 128, 10), (784, 800, 400, 10))
EXPLORERS = ("descent.descend", "descent.race", "gates.neuron", "gates.hidden_plane", "backprop.backpropagation",
             "convolution.window", "mlp.knobs", "mlp.draw", "cnn.feature_maps", "cnn.answers")  # fmt: skip
ROOT = Path(__file__).parents[1]
LATENCY = ROOT / "build" / "latency.txt"  # written by the tests in tests/browser
SPEED = Path(__file__).parents[1] / "artifacts" / "p1" / "p1_speed.json"
BATCH_SIZE, LEARNING_RATE, MOMENTUM = 128, 0.05, 0.9


def numpy_epoch(sizes, weights, x, y):
    """Return a function that trains one epoch in numpy, in place and in the order of the rows, and gives the loss."""
    mlp = p1.MLP(
        sizes[0],
        sizes[-1],
        list(sizes[1:-1]),
        [p1.ReLU() for _ in sizes[1:-1]],
        p1.random_normal_weight_init,
        p1.zeros_bias_init,
        p1.SoftmaxCrossEntropy(),
        LEARNING_RATE,
        momentum=MOMENTUM,
        dtype=np.float32,
    )
    for mine, given in zip(mlp.W, weights, strict=True):
        mine[...] = given

    def epoch():
        loss = 0.0
        for start in range(0, len(x), BATCH_SIZE):
            labels = y[start : start + BATCH_SIZE]
            mlp.forward(x[start : start + BATCH_SIZE])
            mlp.backward(labels)
            mlp.step()
            loss += mlp.get_loss(labels)
        return loss / len(x)

    return epoch, lambda: mlp.W


def torch_epoch(sizes, weights, x, y, compiled=False):
    """Return the same training in PyTorch, eager or compiled, at its fastest: fused SGD, set_to_none, no DataLoader."""
    import torch

    layers = []
    for d0, d1 in zip(sizes[:-1], sizes[1:], strict=True):
        layers += [torch.nn.Linear(d0, d1), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1])
    linears = layers[::2]
    with torch.no_grad():
        for linear, given in zip(linears, weights, strict=True):
            linear.weight.copy_(torch.from_numpy(given.T))
            linear.bias.zero_()
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM, fused=True)
    run = torch.compile(model) if compiled else model
    x, labels = torch.from_numpy(x), torch.from_numpy(y.argmax(axis=1))
    cross_entropy = torch.nn.functional.cross_entropy

    def epoch():
        total = torch.zeros(())
        for start in range(0, len(x), BATCH_SIZE):
            loss = cross_entropy(run(x[start : start + BATCH_SIZE]), labels[start : start + BATCH_SIZE])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            total += loss.detach() * len(x[start : start + BATCH_SIZE])
        return total.item() / len(x)

    return epoch, lambda: [linear.weight.detach().numpy().T for linear in linears]


def best_thread_count(epoch):
    """Set and return the number of threads with which this PyTorch epoch is fastest."""
    import torch

    seconds = {}
    for threads in sorted({1, torch.get_num_threads()}):
        torch.set_num_threads(threads)
        epoch()
        seconds[threads] = min(timed(epoch)[0] for _ in range(3))
    best = min(seconds, key=seconds.get)
    torch.set_num_threads(best)
    return best


def timed(call):
    """(seconds, result) of one call."""
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def measure_mlp(sizes, rounds, samples, seed=0):
    """Return seconds per epoch of each contender, one value a round, and by how much the trained weights differ.

    In each round every contender trains one epoch, one after the other, so that whatever else the machine does falls on
    all of them alike.
    """
    rng = np.random.default_rng(seed)
    x = rng.random((samples, sizes[0]), dtype=np.float32) * (rng.random((samples, sizes[0])) < 0.2)
    x = x.astype(np.float32)
    y = p1.get_one_hot(rng.integers(0, sizes[-1], samples), sizes[-1]).astype(np.float32)
    weights = [
        p1.scaled_normal_weight_init(d0, d1, rng).astype(np.float32)
        for d0, d1 in zip(sizes[:-1], sizes[1:], strict=True)
    ]
    contenders = {"numpy": numpy_epoch(sizes, weights, x, y), "torch eager": torch_epoch(sizes, weights, x, y)}
    threads = best_thread_count(torch_epoch(sizes, weights, x, y)[0])
    try:
        compiled = torch_epoch(sizes, weights, x, y, compiled=True)
        compiled[0]()
        contenders["torch compiled"] = torch_epoch(sizes, weights, x, y, compiled=True)
    except Exception as reason:  # no C++ compiler, an unsupported platform: many kinds of error
        print(f"torch.compile does not work here ({str(reason).splitlines()[0][:90]}); it is left out.")
    losses = {name: epoch() for name, (epoch, _) in contenders.items()}  # warm-up, and the check that all agree
    reference = contenders["numpy"][1]()
    difference = max(
        float(np.abs(a - b).max()) for name in contenders for a, b in zip(reference, contenders[name][1](), strict=True)
    )
    seconds = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, (epoch, _) in contenders.items():
            time.sleep(0.02)  # lets the other library's worker threads fall asleep
            seconds[name].append(timed(epoch)[0])
    return seconds, threads, difference, losses


def spread(values, digits=2):
    """'median [lowest, highest]' of some numbers."""
    return f"{statistics.median(values):.{digits}f} [{min(values):.{digits}f}, {max(values):.{digits}f}]"


def mlp(quick=False, record=None):
    """Print the seconds per epoch of numpy and PyTorch, and their ratio round by round; store them in file `record`."""
    import torch

    from helpers.train_mlp import machine

    rounds, samples = (5, 12_800) if quick else (15, 51_200)
    print(f"One epoch = {samples:,} images, batch size {BATCH_SIZE}, float32, ReLU, SGD with momentum {MOMENTUM}; "
          f"{rounds} rounds, alternating.")  # fmt: skip
    print(f"numpy {np.__version__}, torch {torch.__version__} (fused SGD, set_to_none, no DataLoader), "
          f"Python {platform.python_version()}")  # fmt: skip
    measured = {}
    for sizes in NETWORKS:
        seconds, threads, difference, _ = measure_mlp(sizes, rounds, samples)
        measured["-".join(map(str, sizes))] = {"torch_threads": threads, "seconds": seconds}
        print(f"\n{'-'.join(map(str, sizes))}, torch on {threads} threads; "
              f"after an epoch the weights of all agree to {difference:.0e}")  # fmt: skip
        print(f"  {'':16}{'seconds per epoch':>24}{'times numpy':>24}")
        for name, values in seconds.items():
            ratios = [value / ours for value, ours in zip(values, seconds["numpy"], strict=True)]
            print(f"  {name:16}{spread(values, 3):>24}{spread(ratios):>24}")
    if record:
        content = {"samples": samples, "batch_size": BATCH_SIZE, "torch": torch.__version__, "machine": machine()}
        temporary = Path(f"{record}.part")
        temporary.write_text(json.dumps(content | {"networks": measured}, indent=1) + "\n", encoding="utf-8")
        os.replace(temporary, record)
        print(f"\nstored in {record}")


def cnn(quick=False):
    """Print the seconds per epoch of the preset `fast` at each image size, and its speed against a matrix product's."""
    import torch

    from helpers import p2
    from helpers.core import training

    rounds, steps = (3, 2) if quick else (8, 6)
    device = training.choose_device()
    precision, reason = training.choose_precision(device)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    batch_size = p2.FAST["batch_size"]
    images = torch.randint(0, 256, (steps * batch_size, 3, 32, 32), dtype=torch.uint8)
    labels = torch.randint(0, 10, (len(images),))
    print(f"\nPreset fast on {device}, {torch.get_num_threads()} threads, {reason}; torch {torch.__version__}; "
          f"{rounds} rounds of {steps} steps, one epoch = 50,000 images.")  # fmt: skip
    print(f"  {'size':8}{'seconds per epoch':>24}{'GFLOP/s':>24}{'of matrix product':>24}")
    for size in sorted(set(p2.FAST["sizes"])):
        settings = p2.configuration_from("fast", [f"sizes=[{size}]"], epochs=rounds + 1)
        run = training.Training(settings, images, labels, device=device, precision=precision)
        run.run_epoch()  # warm-up
        entries, parts = [], []
        for _ in range(rounds):
            entries.append(run.run_epoch())
            parts.append(entries[-1]["gflops"] / training.matrix_peak(device, dtype))
        seconds = [50_000 * entry["seconds"] / entry["images"] for entry in entries]
        speeds = [entry["gflops"] for entry in entries]
        print(f"  {size:<8}{spread(seconds, 1):>24}{spread(speeds, 0):>24}{spread(parts):>24}")


def make_explorer(name):
    """Return the explorer of that name, one of EXPLORERS, as it is when nothing has been chosen yet."""
    module, function = name.split(".")
    return getattr(importlib.import_module(f"helpers.explore.{module}"), function)()


def explorers(quick=False):
    """Print how long each explorer takes to draw, control by control, and how long readers wait in JupyterLab."""
    most = 10 if quick else 40
    print(f"\nExplorers, from a changed control to an encoded picture, {most} stops of each control:")
    print(f"  {'explorer':28}{'control':16}{'pictures':>9}{'median ms':>11}{'p90 ms':>9}")
    for name in EXPLORERS:
        try:
            explorer = make_explorer(name)
        except (OSError, ValueError) as reason:  # nothing trained yet, or no data
            print(f"  {name:28}left out: {reason}")
            continue
        for control, chosen in explorer.controls.items():
            explorer.reset()
            stops = chosen.stops()
            stops = stops[:: max(1, len(stops) // most)]
            times = sorted(1000 * timed(functools.partial(explorer.set, **{control: value}))[0] for value in stops)
            if times:
                p90 = times[math.ceil(0.9 * len(times)) - 1]
                print(f"  {name:28}{control:16}{len(times):9}{statistics.median(times):11.1f}{p90:9.1f}")
    if not quick:
        command = [sys.executable, "-m", "pytest", "tests/browser", "-k", "by_key or backlog or drawn_on"]
        environment = os.environ | {"SKIP_TRAININGS": "1"}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        if done.returncode:
            print(f"\nNot measured in JupyterLab: `make test-browser` says why.\n{done.stdout[-600:]}")
    if LATENCY.exists():
        print(f"\nIn JupyterLab, from key or drag to the changed picture:\n{LATENCY.read_text()}")


SECTIONS = {"mlp": mlp, "cnn": cnn, "explorers": explorers}


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", metavar="section", help=f"of {', '.join(SECTIONS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--record", action="store_true", help=f"also store section mlp in {SPEED.name}, artifacts/p1/")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.sections if name not in SECTIONS]
    if unknown:
        parser.error(f"there is no section {unknown[0]!r}; choose of {', '.join(SECTIONS)}")
    for name in options.sections or SECTIONS:
        SECTIONS[name](options.quick, **({"record": SPEED} if options.record and name == "mlp" else {}))


if __name__ == "__main__":
    main()
