"""The long commands, made small, each acted in a process of its own that can be killed.

A process is forked from a server that has the imports done, so that a kill falls into the work and not into importing
PyTorch. What is shortened: the data, the sizes of the networks, and the measurement of the machine's peak speed.
"""

import json
import multiprocessing
import os
import resource
import sys
import tempfile
import traceback
import warnings
from functools import partial
from pathlib import Path

import nbformat
import numpy as np

ROOT = Path(__file__).parents[2]
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "helpers.p2",
        "helpers.train_mlp",
        "helpers.p1_report",
        "helpers.p2_report",
        "helpers.theory_report",
        "helpers.build_notebooks",
        "helpers.progress",
        "tqdm",
        "torch._dynamo",
    ]
)
CNN = ["--batch-size", "60", "--precision", "float32", "--set", "widths=[8,12,16]", "--set", "sizes=[16]"]
NOTEBOOK = """# %% [markdown]
# # A small notebook

# %%
print("ready", 6 * 7)
"""


# ---------------------------------------------------------------------------------------------------- inputs


def noise(count, shape, seed):
    """Ten kinds of coloured noise, told apart by their mean: (images uint8, labels)."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.uint8) % 10
    means = np.random.default_rng(1).integers(40, 216, (10, *shape[2:]))
    images = means[labels].reshape(count, 1, 1, *shape[2:]) + rng.integers(-40, 41, (count, *shape))
    return images.clip(0, 255).astype(np.uint8), labels


def prepare(folder):
    """Write small data sets, trainings of the MLP and the CNN, and notebooks into `folder`; return it."""
    for name, shape in (("mnist", (28, 28)), ("cifar10", (32, 32, 3))):
        arrays = {}
        for part, count in (("train", 300), ("test", 100)):
            arrays[f"{part}_images"], arrays[f"{part}_labels"] = noise(count, shape, len(part))
        np.savez(folder / f"{name}.npz", **arrays)
    (folder / "notebooks" / "text").mkdir(parents=True)
    (folder / "notebooks" / "text" / "01_small.py").write_text(NOTEBOOK)
    for recipe in ("handout", "best", "final"):
        code, said = perform("mlp", folder, folder / "trained", recipe)
        assert code == 0, said
    code, said = perform("cnn", folder, folder / "cnn")
    assert code == 0, said
    theory = folder / "theory"
    theory.mkdir()
    for number in range(1, 5):
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(f"# Small {number}\n\n$x^{number}$")])
        nbformat.write(notebook, theory / f"0{number}_small.ipynb")
    return folder


# ---------------------------------------------------------------------------------------------------- what is acted


def small_mnist(inputs):
    """Let the commands find the small MNIST and train small networks."""
    from helpers import datasets
    from helpers.core import mlp as p1

    with np.load(inputs / "mnist.npz", allow_pickle=False) as file:
        arrays = {key: file[key] for key in datasets.KEYS}
    facts = {"class_names": tuple("0123456789"), "fingerprint": "", "source": "", "is_stand_in": False}
    found = datasets.Dataset("MNIST", **arrays, **facts)
    datasets.mnist = lambda *_, **__: found
    for recipe in p1.RECIPES.values():
        recipe |= {"hiddens": [75, 32], "batch_size": 50}


def download(specification, folder):
    from helpers import datasets

    datasets.MNIST = specification
    return datasets.main(["--mnist", "--folder", str(folder)])


def mlp(inputs, folder, recipe="best", *more):
    from helpers import train_mlp

    small_mnist(inputs)
    return train_mlp.main(["--recipe", recipe, "--epochs", "6", "--output", str(folder), *more])


def cnn(inputs, folder, *more):
    from helpers import p2
    from helpers.core import training

    training.matrix_peak = lambda *_, **__: 1.0
    resume = ["--resume"] if (folder / "p2_checkpoint.pt").exists() and not more else []
    where = ["--data", str(inputs), "--output", str(folder), "--epochs", "4"]
    return p2.main([*CNN, *where, *resume, *more])


def report(inputs, folder):
    from helpers import p1_report, train_mlp

    small_mnist(inputs)
    p1_report.publish = partial(p1_report.publish, artifacts=folder)
    return train_mlp.main(["--report", "--output", str(inputs / "trained")])


def cnn_report(inputs, folder):
    from helpers import p2_report

    training = str(inputs / "cnn")
    return p2_report.main([training, "--seeds", training, "--data", str(inputs), "--folder", str(folder)])


def theory_report(inputs, folder):
    from helpers import theory_report

    theory_report.NOTEBOOKS = inputs / "theory"
    return theory_report.main(["--output", str(folder / "theory_report.pdf")])


def notebook(inputs, folder):
    from helpers import build_notebooks

    build_notebooks.NOTEBOOKS = folder
    (folder / "text").mkdir(exist_ok=True)
    (folder / "text" / "01_small.py").write_text((inputs / "notebooks/text/01_small.py").read_text())
    return build_notebooks.main(["01"])


def notebook_as_it_is(folder):
    from helpers import build_notebooks

    build_notebooks.NOTEBOOKS = folder
    return build_notebooks.main(["01"])


def progress(folder, questions):
    from helpers import progress as store

    os.environ["WORKBOOK_PROGRESS"] = str(folder / "progress.json")
    for question in questions:
        store.record(question, 1)


# ---------------------------------------------------------------------------------------------------- processes


def _act(log, limit, name, arguments):
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    sys.stdout = open(1, "w", buffering=1, closefd=False)
    sys.stderr = open(2, "w", buffering=1, closefd=False)
    warnings.simplefilter("default")
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        code = globals()[name](*arguments)
    except SystemExit as leave:
        if isinstance(leave.code, str):
            print(leave.code, file=sys.stderr)
        code = leave.code if isinstance(leave.code, int | None) else 1
    except BaseException:
        traceback.print_exc()
        code = 70
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


def start(log, name, *arguments, limit=None):
    """Start one of the commands above; what it says goes into the file `log`."""
    process = CONTEXT.Process(target=_act, args=(str(log), limit, name, arguments))
    process.start()
    return process


def perform(name, *arguments, limit=None, log=None):
    """Let one of the commands above run to its end; return its exit status and what it said."""
    log = Path(log or f"{tempfile.gettempdir()}/faults.{os.getpid()}.log")
    process = start(log, name, *arguments, limit=limit)
    process.join(120)
    if process.is_alive():
        process.kill()
        raise AssertionError(f"{name} hangs: {log.read_text()}")
    said = log.read_text(errors="replace")
    log.unlink()
    return process.exitcode, said


def sentence(said):
    """Return the last line of what was said, which is one sentence; no traceback leads through this project."""
    assert "/helpers/" not in said and "/tests/" not in said, said  # a kernel may trip over a port that is taken
    return said.strip().splitlines()[-1]


def contents(folder):
    """Return {relative name: bytes} of the files in a folder that have their final names."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith((".part", ".lock")) and path.name != "filler"
    }


def arrays(path):
    """Return the arrays of an .npz file, read whole."""
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def same(one, other):
    """Whether two mappings of arrays are equal to the last bit."""
    return list(one) == list(other) and all(
        one[k].dtype == other[k].dtype and np.array_equal(one[k], other[k]) for k in one
    )


def weights(path):
    """Return what p2.py has saved, as arrays."""
    from helpers.core import cnn

    return {name: tensor.numpy() for name, tensor in cnn.read_file(path).items()}


def untimed(path):
    """Return a history without what differs between two equal trainings: times, memory and the command line."""
    left_out = {"seconds", "processor_seconds", "command", "machine", "gflops", "peak_gflops", "budget_tflop"}

    def without(value):
        if isinstance(value, dict):
            return {k: without(v) for k, v in value.items() if k not in left_out | {"peak_memory_gb"}}
        return [without(v) for v in value] if isinstance(value, list) else value

    return without(json.loads(Path(path).read_text()))
