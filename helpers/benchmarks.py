"""Measure how fast the workbook is, every section with a question of its own.

    python -m helpers.benchmarks                  # every section, under ten minutes on two cores: make bench
    python -m helpers.benchmarks mlp cnn          # some of them: make bench SECTIONS="mlp cnn"
    python -m helpers.benchmarks --quick          # fewer and shorter rounds, to try things out; kept in build/ alone
    python -m helpers.benchmarks setup --install  # also time a set-up: a second environment is made, and removed
    python -m helpers.benchmarks --readme         # measure nothing; draw and write anew what was measured

Results are kept in artifacts/benchmarks.json, drawn in artifacts/benchmarks.png and printed in README.md. A section
that is not measured keeps the results it had, with their own date. What cannot be measured here is said in a sentence,
and the other sections go on. Contenders take turns in one process, so that whatever else the machine does falls on all
of them alike; numbers are medians with [lowest, highest].
"""

import argparse
import functools
import importlib
import importlib.metadata
import json
import math
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from datetime import datetime
from pathlib import Path

import numpy as np
import psutil

from helpers import benchmarks_report as report
from helpers import datasets
from helpers.core import convolution as maps
from helpers.core import mlp as p1
from helpers.files import write_json
from helpers.train_mlp import machine

ROOT = Path(__file__).parents[1]
ARTIFACTS, README = ROOT / "artifacts", ROOT / "README.md"
LATENCY = ROOT / "build" / "latency.json"  # written by the tests in tests/browser
TWINS = ROOT / "notebooks" / "text"
NETWORKS = ((784, 256, 128, 10), (784, 800, 400, 10))
EXPLORERS = ("descent.descend", "descent.race", "gates.neuron", "gates.hidden_plane", "backprop.backpropagation",
             "convolution.window", "mlp.knobs", "mlp.draw", "cnn.feature_maps", "cnn.answers")  # fmt: skip
BATCH_SIZE, LEARNING_RATE, MOMENTUM = 128, 0.05, 0.9
STOPPED = "stopped before"
GOAL = 0.70  # the accuracy to which the CNN is timed


# ---------------------------------------------------------------------------------------------------------------
# The MLP: numpy, PyTorch and scikit-learn train the same network
# ---------------------------------------------------------------------------------------------------------------


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

    linears = [torch.nn.Linear(d0, d1) for d0, d1 in zip(sizes[:-1], sizes[1:], strict=True)]
    layers = [layer for linear in linears for layer in (linear, torch.nn.ReLU())]
    model = torch.nn.Sequential(*layers[:-1])
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


def sklearn_epoch(sizes, weights, x, y):
    """Return the same training by scikit-learn's MLPClassifier, whose `partial_fit` makes one epoch."""
    try:
        neural_network = importlib.import_module("sklearn.neural_network")  # it brings no types
    except ImportError:
        raise RuntimeError("scikit-learn is missing; run python -m pip install scikit-learn") from None
    model = neural_network.MLPClassifier(
        sizes[1:-1], activation="relu", solver="sgd", alpha=0.0, batch_size=BATCH_SIZE, shuffle=False,
        learning_rate_init=LEARNING_RATE, momentum=MOMENTUM, nesterovs_momentum=False, random_state=0,
    )  # fmt: skip
    labels = y.argmax(axis=1)
    model.partial_fit(x[:BATCH_SIZE], labels[:BATCH_SIZE], classes=np.arange(sizes[-1]))  # makes its arrays
    for mine, given in zip(model.coefs_, weights, strict=True):
        mine[...] = given
    for array in [*model.intercepts_, *model._optimizer.velocities]:  # and this forgets that first step
        array[...] = 0

    def epoch():
        model.partial_fit(x, labels)
        return model.loss_

    return epoch, lambda: model.coefs_


def best_thread_count(epoch):
    """Set and return the number of threads with which this PyTorch epoch is fastest."""
    import torch

    seconds = {}
    for threads in sorted({1, torch.get_num_threads()}):
        torch.set_num_threads(threads)
        epoch()
        seconds[threads] = min(timed(epoch)[0] for _ in range(3))
    best = min(seconds, key=seconds.__getitem__)
    torch.set_num_threads(best)
    return best


def timed(call):
    """(seconds, result) of one call."""
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def in_turns(calls, rounds, pause=0.0):
    """Return {name: seconds of each round} of calls by name, one after the other in every round."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            time.sleep(pause)
            seconds[name].append(timed(call)[0])
    return seconds


def measure_mlp(sizes, rounds, samples, left_out, seed=0):
    """Return seconds per epoch of each contender, one value a round, PyTorch's threads, and how far the weights differ.

    A contender that does not work here joins the sentences in `left_out`.
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
        torch_epoch(sizes, weights, x, y, compiled=True)[0]()  # compiles
        contenders["torch compiled"] = torch_epoch(sizes, weights, x, y, compiled=True)
    except Exception as reason:  # no C++ compiler, an unsupported platform: many kinds of error
        left_out.append(f"PyTorch compiled: torch.compile does not work here ({sentence(reason)})")
    try:
        contenders["scikit-learn"] = sklearn_epoch(sizes, weights, x, y)
    except RuntimeError as reason:
        left_out.append(str(reason))
    for epoch, _ in contenders.values():  # warm-up, and the check that all agree
        epoch()
    reference = contenders["numpy"][1]()
    difference = max(
        float(np.abs(a - b).max()) for name in contenders for a, b in zip(reference, contenders[name][1](), strict=True)
    )
    calls = {name: epoch for name, (epoch, _) in contenders.items()}
    return (
        in_turns(calls, rounds, pause=0.02),
        threads,
        difference,
    )  # the pause lets another's worker threads fall asleep


def mlp(quick, left_out):
    """How fast is numpy beside PyTorch and scikit-learn, on the same network?"""
    import torch

    rounds, samples = (3, 6_400) if quick else (7, 51_200)
    print(f"One epoch = {samples:,} images, batch size {BATCH_SIZE}, float32, ReLU, SGD with momentum {MOMENTUM}; "
          f"{rounds} rounds. PyTorch: fused SGD, set_to_none, no DataLoader.")  # fmt: skip
    measured, before = {}, torch.get_num_threads()
    try:
        for sizes in NETWORKS:
            notes: list[str] = []
            seconds, threads, difference = measure_mlp(sizes, rounds, samples, notes)
            left_out += [note for note in notes if note not in left_out]
            network = "-".join(map(str, sizes))
            measured[network] = {"torch_threads": threads, "weights_differ": difference, "seconds": rounded(seconds)}
            print(f"\n{network}, PyTorch on {threads} threads; "
                  f"after an epoch the weights of all agree to {difference:.0e}")  # fmt: skip
            print(f"  {'':16}{'seconds per epoch':>24}{'times numpy':>24}")
            for name, values in seconds.items():
                print(f"  {name:16}{spread(values, 3):>24}{spread(report.ratios(seconds, name, 'numpy')):>24}")
    finally:
        torch.set_num_threads(before)
    return {"samples": samples, "batch_size": BATCH_SIZE, "networks": measured}


# ---------------------------------------------------------------------------------------------------------------
# The CNN
# ---------------------------------------------------------------------------------------------------------------


def cnn(quick, left_out):
    """How fast does the CNN train, how much of the machine does it use, how long until 70 %?"""
    import torch

    from helpers import p2
    from helpers.core import training

    rounds, steps = (2, 2) if quick else (5, 5)
    device = training.choose_device()
    precision, reason = training.choose_precision(device)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    fast = p2.configuration_from("fast")
    images = torch.randint(0, 256, (steps * fast["batch_size"], 3, 32, 32), dtype=torch.uint8)
    labels = torch.randint(0, 10, (len(images),))
    print(f"Preset fast on {device}, {torch.get_num_threads()} threads, {reason}; "
          f"{rounds} rounds of {steps} steps, one epoch = 50,000 images.")  # fmt: skip
    print(f"  {'pixels':8}{'seconds per epoch':>24}{'GFLOP/s':>24}{'of matrix product':>24}")
    measured = {}
    for size in sorted(set(fast["sizes"])):
        settings = p2.configuration_from("fast", [f"sizes=[{size}]", "keep=[1.0]"], epochs=rounds + 1)
        run = training.Training(settings, images, labels, device=device, precision=precision)
        run.run_epoch()  # warm-up
        entries, peaks = [], []
        for _ in range(rounds):
            before = training.matrix_peak(device, dtype)
            entries.append(run.run_epoch())
            peaks.append((before + training.matrix_peak(device, dtype)) / 2)
        now = {
            "seconds_per_epoch": [50_000 * entry["seconds"] / entry["images"] for entry in entries],
            "gflops": [entry["gflops"] for entry in entries],
            "peak_gflops": peaks,
        }
        parts = [speed / peak for speed, peak in zip(now["gflops"], peaks, strict=True)]
        print(f"  {size:<8}{spread(now['seconds_per_epoch'], 1):>24}{spread(now['gflops'], 0):>24}{spread(parts):>24}")
        measured[str(size)] = rounded(now, 2)
    results = {"device": str(device), "precision": precision, "threads": torch.get_num_threads(), "sizes": measured}
    reached = train_to_goal(device, precision, quick, left_out)
    return results | ({"to_goal": reached} if reached else {})


def train_to_goal(device, precision, quick, left_out):
    """Train on real images until GOAL of the held-out ones are recognised; return how long it took, or None.

    The plan is a short one of its own, as learning rates have to fall to zero by the end of a training: one epoch at
    22 x 22 pixels, about the cheapest that gets there. The test set is not read.
    """
    from helpers import p2
    from helpers.core import training

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", datasets.StandInWarning)
        data = datasets.cifar10()
    if data.is_stand_in:
        left_out.append(f"time to {GOAL:.0%}: there is no CIFAR-10 here; run make data")
        return None
    images, labels, _, _ = p2.as_tensors([getattr(data, key) for key in datasets.KEYS])
    chosen, held = training.hold_out(labels, 500)
    if quick:
        chosen = chosen[:: max(1, len(chosen) // 5000)]
    settings = p2.configuration_from("fast", ["sizes=[22]", "keep=[1.0]"], epochs=1)
    run = training.Training(settings, images[chosen], labels[chosen], device=device, precision=precision)
    seconds = tflop = accuracy = 0.0
    print(f"\nA training on {data.name}, {len(chosen):,} images, planned to pass {GOAL:.0%}:")
    while run.epoch < settings["epochs"] and accuracy < GOAL:
        entry = run.run_epoch()
        seconds, tflop = seconds + entry["seconds"], tflop + entry["tflop"]
        accuracy = training.evaluate(run.network, images[held], labels[held], precision=precision)[1]
        print(
            f"  after epoch {run.epoch}: {accuracy:.1%} of {len(held):,} held-out images, {seconds:.1f} s of training"
        )
    reached = {"goal": GOAL, "accuracy": accuracy, "seconds": round(seconds, 1), "tflop": round(tflop, 2),
               "epochs": run.epoch, "sizes": settings["sizes"], "training_images": len(chosen),
               "held_out_images": len(held)}  # fmt: skip
    if accuracy < GOAL:
        print(f"  {GOAL:.0%} was not reached in {run.epoch} epochs on {len(chosen):,} images.")
    return reached


# ---------------------------------------------------------------------------------------------------------------
# Convolution
# ---------------------------------------------------------------------------------------------------------------


def convolution(quick, left_out):
    """How far is the convolution helper, written to be read, from scipy.signal?"""
    from scipy import signal

    rounds, least = (3, 0.002) if quick else (15, 0.01)
    rng = np.random.default_rng(0)
    print(f"One map in float64, no padding; {rounds} rounds.")
    print(f"  {'kernel':10}{'map':12}{'':16}{'milliseconds':>24}{'times correlate2d':>24}")
    cases = []
    for kernel_side, side in ((3, 28), (3, 512), (11, 256)):
        image, kernel = rng.standard_normal((side, side)), rng.standard_normal((kernel_side, kernel_side))
        calls = {
            "helper": functools.partial(maps.correlate, image, kernel),
            "correlate2d": functools.partial(signal.correlate2d, image, kernel, mode="valid"),
            "correlate": functools.partial(signal.correlate, image, kernel, mode="valid"),
        }
        answers = [call() for call in calls.values()]
        difference = max(float(np.abs(answer - answers[0]).max()) for answer in answers)
        counts = {name: max(1, math.ceil(least / timed(call)[0])) for name, call in calls.items()}
        seconds = in_turns({name: repeated(call, counts[name]) for name, call in calls.items()}, rounds)
        per_call = {name: [value / counts[name] for value in values] for name, values in seconds.items()}
        for name, values in per_call.items():
            milliseconds = spread([1000 * value for value in values], 3)
            print(f"  {f'{kernel_side}×{kernel_side}':10}{f'{side}×{side}':12}{name:16}{milliseconds:>24}"
                  f"{spread(report.ratios(per_call, name, 'correlate2d')):>24}")  # fmt: skip
        cases.append({"kernel": kernel_side, "map": side, "difference": difference, "seconds": rounded(per_call, 8)})
    print(f"  The answers of all agree to {max(case['difference'] for case in cases):.0e}.")
    return {"cases": cases}


def repeated(call, times):
    """Return a function that makes the same call so many times."""

    def calls():
        for _ in range(times):
            call()

    return calls


# ---------------------------------------------------------------------------------------------------------------
# Explorers, in the kernel and in JupyterLab
# ---------------------------------------------------------------------------------------------------------------


def make_explorer(name):
    """Return the explorer of that name, one of EXPLORERS, as it is when nothing has been chosen yet."""
    module, function = name.split(".")
    return getattr(importlib.import_module(f"helpers.explore.{module}"), function)()


def explorers(quick, left_out):
    """How long does an explorer compute, from a changed control to an encoded picture?"""
    most = 6 if quick else 30
    print(f"At most {most} stops of each control, in the kernel's process:")
    print(f"  {'explorer':28}{'control':16}{'pictures':>9}{'median ms':>11}{'p90 ms':>9}")
    measured, together = {}, {}
    for name in EXPLORERS:
        try:
            explorer = make_explorer(name)
        except (OSError, ValueError) as reason:  # nothing trained yet, or no data
            left_out.append(f"{name}: {sentence(reason)}")
            continue
        by_control, every = {}, []
        for control, chosen in explorer.controls.items():
            explorer.reset()
            stops = chosen.stops()
            stops = stops[:: math.ceil(len(stops) / most) or 1]
            times = [1000 * timed(functools.partial(explorer.set, **{control: value}))[0] for value in stops]
            if times:
                every += times
                by_control[control] = summary(times)
                print(f"  {name:28}{control:16}{line(by_control[control])}")
        measured[name], together[f"explore.{name.partition('.')[2]}"] = by_control, summary(every)
    return {"controls": measured, "all": together}


def browser(quick, left_out):
    """How long does a reader wait in JupyterLab, from key, drag or pen to the changed picture?"""
    LATENCY.unlink(missing_ok=True)
    tests = "by_key or backlog or drawn_on"
    command = [sys.executable, "-m", "pytest", "tests/browser", "-k", f"01_gelu and ({tests})" if quick else tests]
    environment = os.environ | {"SKIP_TRAININGS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    told = re.search(r"^E +(.+)", done.stdout + done.stderr, flags=re.M)
    reason = sentence(told[1].removeprefix("Failed: ")) if told else "make test-browser says more"
    if not LATENCY.exists():
        raise RuntimeError(reason)
    if done.returncode:
        left_out.append(f"what a failing test of tests/browser would have measured ({reason})")
    rows = json.loads(LATENCY.read_text(encoding="utf-8"))
    print(f"  {'explorer':28}{'control':16}{'by':6}{'events':>9}{'median ms':>11}{'p90 ms':>9}")
    together: dict[str, list[float]] = {}
    for row in rows:
        together.setdefault(row["explorer"], []).extend(row["milliseconds"])
        row |= summary(row.pop("milliseconds"))
        print(f"  {row['explorer']:28}{row['control']:16}{row['by']:6}{line(row)}")
    return {"rows": rows, "all": {name: summary(times) for name, times in together.items()}}


def summary(times):
    """How many milliseconds, their median and the one that nine in ten do not exceed."""
    times = sorted(times)
    p90 = times[math.ceil(0.9 * len(times)) - 1]
    return {"count": len(times), "median_ms": round(statistics.median(times), 1), "p90_ms": round(p90, 1)}


def line(row):
    return f"{row['count']:9}{row['median_ms']:11.1f}{row['p90_ms']:9.1f}"


# ---------------------------------------------------------------------------------------------------------------
# Notebooks, imports, set-up
# ---------------------------------------------------------------------------------------------------------------


def notebooks(quick, left_out):
    """How long does each notebook run, from starting its kernel to its last cell?"""
    from nbclient import NotebookClient

    from helpers import build_notebooks

    seconds = {}
    for twin in sorted(TWINS.glob("*.py"))[: 2 if quick else None]:
        notebook = build_notebooks.read_text(twin)
        place = {"metadata": {"path": str(build_notebooks.NOTEBOOKS)}}
        client = NotebookClient(notebook, timeout=240, kernel_name="python3", resources=place)
        environment = os.environ | {"WORKBOOK_PROGRESS": ""}
        try:
            taken, _ = timed(functools.partial(client.execute, env=environment, stderr=subprocess.DEVNULL))
        except Exception as reason:  # a cell that fails, a kernel that dies: the next notebook may run
            if getattr(client, "_async_cleanup_kernel_future", None):  # nbclient took Ctrl-C for itself
                raise KeyboardInterrupt from None
            left_out.append(f"notebook {twin.stem}: {sentence(reason)}")
            continue
        outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
        warned = " ".join(output["text"] for output in outputs if output.get("name") == "stderr")
        if "StandIn" in warned:
            left_out.append(f"notebook {twin.stem}: it ran on generated images; run make data")
            continue
        seconds[twin.stem] = round(taken, 2)
        print(f"  {twin.stem:36}{taken:8.1f} s")
    return {"seconds": seconds}


def imports(quick, left_out):
    """How long do the imports take, of `helpers` itself and at the top of each notebook?"""
    wanted = {"helpers": "import helpers"} | {twin.stem: opening(twin) for twin in sorted(TWINS.glob("*.py"))}
    rounds = 2 if quick else 5
    print(f"Each in a fresh process, without the start of Python; {rounds} rounds.")
    print(f"  {'':36}{'seconds':>24}")
    results: dict[str, dict] = {}
    for name, lines in wanted.items():
        code = f"import sys, time; start = time.perf_counter()\n{lines}\nprint(time.perf_counter() - start)"
        code += "\nprint(int('torch' in sys.modules))"
        answers = []
        for _ in range(rounds):
            done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
            if done.returncode:
                left_out.append(f"imports of {name}: {sentence(done.stderr.strip().rpartition(chr(10))[2])}")
                break
            answers.append(done.stdout.split())
        else:
            seconds = [float(answer[0]) for answer in answers]
            results[name] = {"seconds": [round(value, 5) for value in seconds], "torch": answers[0][1] == "1"}
            print(f"  {name:36}{spread(seconds, 3):>24}{'  with torch' * results[name]['torch']}")
    return {"imports": results}


def opening(twin):
    """The lines of the cell with which a notebook begins that import something."""
    from helpers import build_notebooks

    cells = [cell.source for cell in build_notebooks.read_text(twin).cells if cell.cell_type == "code"]
    first = next(source for source in cells if re.search(r"^from helpers", source, flags=re.M))
    return "\n".join(re.findall(r"^(?:from|import) .+", first, flags=re.M))


def setup(quick, left_out, install=False):
    """How large is the environment, and how long does it take to set up?"""
    if sys.prefix == sys.base_prefix:
        raise RuntimeError("this Python has no environment of its own whose size could be told; run make bench")
    size, files = size_of(sys.prefix)
    print(f"  {size / 1e9:.2f} GB in {files:,} files")
    results = {"bytes": size, "files": files}
    if install:
        (ROOT / "build").mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="setup-", dir=ROOT / "build") as folder:
            python = Path(folder) / ("Scripts" if os.name == "nt" else "bin") / "python"
            pip = [str(python), "-m", "pip", "install", "--quiet", "--no-cache-dir", "--no-compile"]
            (used,) = re.findall(r"^USED := (.+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
            start = time.perf_counter()
            for command in ([sys.executable, "-m", "venv", folder], [*pip, "--upgrade", "pip"],
                            [*pip, "-r", "requirements.txt"], [str(python), "-c", used]):  # fmt: skip
                done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
                if done.returncode:
                    left_out.append(f"time of a set-up: {sentence(done.stderr.strip() or 'pip failed')}")
                    break
            else:
                results["install"] = {"seconds": round(time.perf_counter() - start, 1), "date": today()}
                print(f"  {results['install']['seconds']:.0f} s to set up, with every package downloaded anew")
    return results


def size_of(folder):
    """(bytes on disk, number of files) of everything below a folder, links not followed."""
    size = files = 0
    for entry in os.scandir(folder):
        facts = entry.stat(follow_symlinks=False)
        size += 512 * facts.st_blocks if hasattr(facts, "st_blocks") else facts.st_size
        if entry.is_dir(follow_symlinks=False):
            below = size_of(entry.path)
            size, files = size + below[0], files + below[1]
        else:
            files += 1
    return size, files


# ---------------------------------------------------------------------------------------------------------------
# The run
# ---------------------------------------------------------------------------------------------------------------

SECTIONS = {f.__name__: f for f in (imports, setup, mlp, convolution, cnn, explorers, browser, notebooks)}


def question(name):
    """What a section answers: the first line of what it says of itself."""
    return (SECTIONS[name].__doc__ or name).splitlines()[0]


def spread(values, digits=2):
    """'median [lowest, highest]' of some numbers."""
    return f"{statistics.median(values):.{digits}f} [{min(values):.{digits}f}, {max(values):.{digits}f}]"


def rounded(lists, digits=5):
    """The same lists of numbers by name, rounded."""
    return {name: [round(value, digits) for value in values] for name, values in lists.items()}


def sentence(reason):
    """The first line of what went wrong, short enough to be read."""
    text = str(reason).strip() or f"a {type(reason).__name__}"
    return text.splitlines()[0][:200].rstrip(".")


def today():
    return datetime.now().date().isoformat()


def hardware():
    """What a time depends on beside the versions; `settings` are environment variables that steer matrix products."""
    facts = machine()
    return {
        "processor": facts["processor"],
        "cores": facts["cores"],
        "memory_gb": round(psutil.virtual_memory().total / 1e9),
        "system": f"{platform.system()} {platform.machine()}",
        "settings": {k: v for k, v in sorted(os.environ.items()) if re.match("(OPENBLAS|OMP|MKL)_", k)},
    }


def versions():
    """Of Python, numpy's BLAS and every package that is timed."""
    found = {"python": platform.python_version(), "blas": machine()["blas"]}
    for name in ("numpy", "scipy", "matplotlib", "torch", "scikit-learn", "jupyterlab", "ipywidgets", "anywidget"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            pass
    return found


def measure(names, quick, path, install=False):
    """Measure these sections one after the other, each kept in the file `path` as soon as it is done.

    Returns {name: reason} of those that could not be measured, or were not reached before Ctrl-C.
    """
    record = report.read(path) if path.exists() else {"sections": {}}
    failed: dict[str, str] = {}
    for name in names:
        section = SECTIONS[name]
        print(f"\n{question(name)}  [{name}]", flush=True)
        command = f"python -m helpers.benchmarks {name}" + " --quick" * quick
        entry = {"date": today(), "command": command, "busy": round(psutil.cpu_percent(interval=1.0) / 100, 2)}
        left_out: list[str] = []
        options = {"install": install} if name == "setup" else {}
        try:
            seconds, results = timed(functools.partial(section, quick, left_out, **options))
        except KeyboardInterrupt:
            failed |= dict.fromkeys(names[names.index(name) :], STOPPED)
            break
        except Exception as reason:  # whatever it is, the sections after this one are still wanted
            failed[name] = sentence(reason)
            print(f"  Not measured: {failed[name]}.")
            continue
        for note in left_out:
            print(f"  Left out: {note}.")
        before = record["sections"].get(name, {}).get("results", {})
        if name == "setup" and "install" in before and "install" not in results:
            results["install"] = before["install"]
            print(f"  {before['install']['seconds']:.0f} s to set up when last measured, {before['install']['date']}; "
                  "setup --install measures anew")  # fmt: skip
        entry |= {"took": round(seconds, 1), "hardware": hardware(), "versions": versions()}
        record["sections"][name] = entry | {"left_out": left_out, "results": results}
        record["sections"] = {n: record["sections"][n] for n in SECTIONS if n in record["sections"]}
        write_json(path, record)
    return failed


def main(arguments=None):
    questions = "\n".join(f"  {name:12} {question(name)}" for name in SECTIONS)
    parser = argparse.ArgumentParser(
        prog="python -m helpers.benchmarks", description=__doc__, epilog=f"sections\n{questions}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("sections", nargs="*", metavar="section", help=f"of {', '.join(SECTIONS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds, kept in build/ alone")
    parser.add_argument("--install", action="store_true", help="section setup also makes a second environment")
    parser.add_argument("--readme", action="store_true", help="measure nothing; picture and README from the results")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.sections if name not in SECTIONS]
    if unknown:
        parser.error(f"there is no section {unknown[0]!r}; choose of {', '.join(SECTIONS)}")
    folder = ROOT / "build" if options.quick else ARTIFACTS
    folder.mkdir(exist_ok=True)
    path, names, failed, start = folder / "benchmarks.json", options.sections or list(SECTIONS), {}, time.perf_counter()
    try:
        if not options.readme:
            failed = measure(names, options.quick, path, options.install)
        if path.exists():
            report.publish(path, None if options.quick else README)
        elif options.readme:
            sys.exit(f"There is no {path} yet; measure first with make bench.")
    except (OSError, ValueError) as reason:
        sys.exit(f"{reason}.")
    if not options.readme:
        shown = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
        print(f"\n{(time.perf_counter() - start) / 60:.1f} minutes. Kept in {shown} and drawn beside it"
              + ("." if options.quick else "; README's table is made of it."))  # fmt: skip
    for name, why in failed.items():
        print(f"Not measured: {name} ({why}).")
    return int(len(failed) == len(names) or STOPPED in failed.values())


if __name__ == "__main__":
    sys.exit(main())
