"""Builds the hand-in, artifacts/submission/ and submission.zip, after trying every file of it as a stranger would.

    python -m helpers.submission                              # from artifacts/p1 and artifacts/p2
    python -m helpers.submission --p1 FOLDER --p2 FOLDER      # from your own folders
    python -m helpers.submission --check submission.zip       # only try what a zip holds

It holds exactly p1_report.pdf, p1.py, p1_model.npz, p2_report.pdf, p2.py with the modules that it imports from beside
it, and p2_model.pkl. The zip is unpacked into an empty folder and tried there, without this repository:

- p1.py imports os, numpy and matplotlib alone; alone in a folder it trains a little, saves, and reloads;
- p1_model.npz loads without pickle into p1.py's own MLP and is measured on MNIST's test images;
- p2_model.pkl loads with weights_only=True, and p2.py --evaluate measures the accuracy that p2_report.pdf states;
- both reports say what they have to.

The folder and the zip appear only if all is well; what is missing or wrong is said in one sentence each.
"""

import argparse
import ast
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tokenize
import zipfile
from pathlib import Path

import numpy as np
from pypdf import PdfReader
from pypdf.errors import PyPdfError

from helpers import datasets, files

ROOT = Path(__file__).resolve().parents[1]
SUBMISSION = ROOT / "artifacts" / "submission"
REMEDIES = {
    "p1.py": "python -m helpers.train_mlp --report writes it",
    "p1_model.npz": "make mlp trains it and python -m helpers.train_mlp --report writes it",
    "p1_report.pdf": "make mlp trains and python -m helpers.train_mlp --report writes it",
    "p2.py": "python -m helpers.p2_report writes it",
    "p2_model.pkl": "make cnn trains it and python -m helpers.p2_report build/p2/fast_seed0 writes it",
    "p2_report.pdf": "make cnn trains and python -m helpers.p2_report build/p2/fast_seed0 writes it",
}
FILES = tuple(REMEDIES)
ALLOWED = {"os", "numpy", "matplotlib"}
LONGEST = 600  # seconds that a handed-in program may run
JUNK = ("__MACOSX", ".DS_Store", "Thumbs.db")  # what systems add to a zip by themselves
SECTIONS = {
    "p1_report.pdf": {
        "the final test error": r"test error",
        "the architecture": r"architecture|hidden (layers|neurons)",
        "the settings (learning rate, batch size, epochs)": r"(?=.*learning rate)(?=.*batch)(?=.*epochs)",
        "loss and error over the epochs": r"(?=.*loss)(?=.*error)(?=.*epoch)",
        "training and validation curves": r"(?=.*training)(?=.*validation)",
    },
    "p2_report.pdf": {
        "the test accuracy": r"test accuracy",
        "the architecture": r"architecture|convolution",
        "the settings (epochs, batch size, learning rate)": r"(?=.*epochs)(?=.*batch)(?=.*(learning.rate|_lr))",
        "loss and accuracy over the epochs": r"(?=.*loss)(?=.*accuracy)(?=.*epoch)",
    },
}
# Everything below runs with p1.py alone.
_NETWORK = """
import numpy as np
import p1

np.random.seed(0)  # the handout's initialisers draw from numpy's global generator

def network(sizes, activations):
    return p1.MLP(sizes[0], sizes[-1], list(sizes[1:-1]), [activation() for activation in activations],
                  p1.random_normal_weight_init, p1.zeros_bias_init, p1.SoftmaxCrossEntropy(), 0.05)

def take(made, file):
    for i in range(len(made.W)):
        made.W[i], made.b[i] = file[f"W{i}"], file[f"b{i}"]
    made.eval()
    return made
"""
# The four blobs are easy; a network that learns at all tells them apart.
_TRIAL = """
rng = np.random.default_rng(0)
centres = rng.normal(size=(4, 784))
labels = rng.integers(0, 4, 240)
x, y = centres[labels] + rng.normal(size=(240, 784)), np.eye(10)[labels]
made = network((784, 16, 10), [p1.Sigmoid])
curves = p1.get_training_stats(made, [(x[:160], y[:160]), (x[160:200], y[160:200]), (x[200:], y[200:])], 8, 20)
assert len(curves) == 4 and all(len(curve) == 8 for curve in curves), "get_training_stats returns four curves"
known = all(abs(40 * error - round(40 * error)) < 1e-3 and error <= 1 for error in curves[3])
assert known, "the last list of get_training_stats is to hold validation errors, as rates between 0 and 1"
assert curves[0][-1] < 0.9 * curves[0][0], f"the training loss did not fall ({curves[0][0]:.3f} to {curves[0][-1]:.3f})"
made.eval()
made.save_model("trial.npz")
with np.load("trial.npz", allow_pickle=False) as file:
    again = take(network((784, 16, 10), [p1.Sigmoid]), file)
assert np.array_equal(again.forward(x), made.forward(x)), "the reloaded network gives other logits"
missing = [name for name in ("Identity", "Tanh", "ReLU", "get_one_hot") if not hasattr(p1, name)]
assert not missing, f"p1.py offers no {', '.join(missing)}"
assert np.array_equal(p1.get_one_hot(np.array([1, 0]), 3), [[0, 1, 0], [1, 0, 0]]), "get_one_hot gives other rows"
"""
_MEASURE = """
from itertools import product

with np.load("p1_model.npz", allow_pickle=False) as file:
    count = sum(name.startswith("W") for name in file.files)
    sizes = [len(file["W0"]), *(file[f"W{i}"].shape[1] for i in range(count))]
    parameters = {name: np.asarray(file[name], dtype=float) for name in file.files}
with np.load("test.npz", allow_pickle=False) as test:
    images, labels = test["x"] / 255, test["labels"]

def error(activations, n):
    with np.errstate(all="ignore"):
        return np.mean(take(network(sizes, activations), parameters).forward(images[:n]).argmax(1) != labels[:n])

# The file does not say which they were; each layer may have had its own, but many layers have too many choices.
known, hidden = (p1.ReLU, p1.Sigmoid, p1.Tanh), len(sizes) - 2
choices = list(product(known, repeat=hidden)) if hidden <= 3 else [[one] * hidden for one in known]
glance = [error(activations, 500) for activations in choices]  # wrong ones are soon seen
likely = [activations for activations, seen in zip(choices, glance) if seen <= min(glance) + 0.05]
print("error", min(error(activations, len(images)) for activations in likely))
"""
_LOAD = """
import sys

import torch

remedy = "save the weights alone with torch.save(net.state_dict(), path)."
try:
    state = torch.load("p2_model.pkl", map_location="cpu", weights_only=True)
except Exception as error:  # whatever it is, the file holds something else than tensors, or is damaged
    said = str(error)
    try:
        said += str(torch.serialization.get_unsafe_globals_in_checkpoint("p2_model.pkl"))
    except Exception:  # it is no zip that can be read; what the first error says has to do
        pass
    whole = "torch.nn.modules." in said
    sys.exit(f"it {'is a whole network, pickled' if whole else 'holds more than tensors or is damaged'}; {remedy}")
if not isinstance(state, dict) or not state:
    sys.exit(f"it holds no named tensors; {remedy}")
odd = [name for name, value in state.items() if not isinstance(value, torch.Tensor)]
if odd:
    sys.exit(f"{odd[0]} in it is no tensor; {remedy}")
"""

# As the grader asks it, in another process than p2.py's own measurement.
_ASK = """
import importlib.util

import numpy as np
import torch

import p2

place = p2
if not hasattr(p2, "load_model") and importlib.util.find_spec("cnn"):
    import cnn as place
assert hasattr(place, "load_model"), "p2.py offers no load_model(path)"
network = place.load_model("p2_model.pkl").eval()
with np.load("some.npz", allow_pickle=False) as some, torch.no_grad():
    x = torch.from_numpy(some["images"]).permute(0, 3, 1, 2).float() / 255
    right = network(x).argmax(1).numpy() == some["labels"]
print("right", 100 * right.mean())
"""


def find(p1, p2):
    """Return {name: path} of the files to hand in, with the modules that p2.py imports from beside it.

    Raises ValueError that names every missing file and what makes it.
    """
    folders = {"p1": Path(p1), "p2": Path(p2)}
    found = {name: folders[name[:2]] / name for name in FILES}
    missing = [name for name, path in found.items() if not path.is_file()]
    if missing:
        raise ValueError("\n".join(f"{found[name]} is missing; {remedy(found[name])}." for name in missing))
    for name in modules(found["p2.py"]):
        found[name] = folders["p2"] / name
    return found


def remedy(path):
    """Return what makes a missing file: a command where it is one of the worked edition's, else its reader."""
    part = path.name[:2]
    ours = (ROOT / "Makefile").is_file() and path.resolve() == (ROOT / "artifacts" / part / path.name).resolve()
    return REMEDIES[path.name] if ours else f"it is yours to make; name the folder that holds it with --{part}"


def imported(path):
    """Return the top names of all that a Python file imports; raises ValueError for one that Python does not read."""
    try:
        with tokenize.open(path) as file:  # a mark at its beginning and a declared encoding count, as when it runs
            source = file.read()
    except (SyntaxError, LookupError, ValueError):
        raise ValueError(f"{Path(path).name} is in an encoding that Python does not read; save it as UTF-8.") from None
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"{Path(path).name} is no Python that can be read: {error}") from None
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    return {name.split(".")[0] for name in names} - {"__future__"}  # which is no module but how the file is read


def modules(path):
    """Return the names of the files beside `path` that it needs, and those that they need."""
    found, todo = set(), [Path(path)]
    while todo:
        for name in sorted(imported(todo.pop())):
            beside = Path(path).with_name(f"{name}.py")
            if beside.is_file() and beside.name not in found and beside != Path(path):
                found.add(beside.name)
                todo.append(beside)
    return sorted(found)


# ---------------------------------------------------------------------------------------------------- trying


def try_all(folder, say=print):
    """Try every file of the hand-in in `folder`, and return a list of sentences about what is wrong."""
    trouble = []
    for attempt in (exactly, report_sections, p1_imports, p1_alone, p1_model, p2_model, p2_accuracy):
        try:
            done = attempt(Path(folder))
            if done:
                say(f"ok  {done}")
        except ValueError as error:
            trouble.append(str(error))
    return trouble


def exactly(folder):
    """Check that nothing is missing and nothing is too much."""
    there = {path.name for path in folder.iterdir()}
    missing = [name for name in FILES if name not in there]
    more = sorted(there - set(FILES) - set(modules(folder / "p2.py") if "p2.py" in there else ()))
    if missing or more:
        raise ValueError(" ".join(
            [f"{name} is missing from the hand-in; put it beside the others." for name in missing]
            + [f"{name} does not belong to the hand-in; leave it out." for name in more]
        ))  # fmt: skip
    return f"the hand-in holds {', '.join(sorted(there))}"


def report_sections(folder):
    """Check that both reports can be read and say what they have to."""
    lacking = []
    for name, sections in SECTIONS.items():
        text = pdf_text(folder / name)
        lacking += [
            f"{name} does not give {said}" for said, pattern in sections.items() if not re.search(pattern, text)
        ]
    if lacking:
        raise ValueError("; ".join(lacking) + ".")
    return "both reports give what is asked for"


def pdf_text(path):
    """Return the text of a PDF in small letters and one line; raises ValueError for a file that is none."""
    try:
        pages = [page.extract_text() for page in PdfReader(path).pages]
    except (PyPdfError, OSError, ValueError, KeyError, RecursionError) as error:
        raise ValueError(f"{Path(path).name} is no PDF that can be read ({error}).") from None
    return " ".join(" ".join(pages).split()).lower()


def p1_imports(folder):
    """Check that p1.py imports nothing but what the assignment allows."""
    more = sorted(imported(folder / "p1.py") - ALLOWED)
    if more:
        raise ValueError(f"p1.py imports {', '.join(more)}; only {', '.join(sorted(ALLOWED))} are allowed.")
    return f"p1.py imports nothing but {', '.join(sorted(ALLOWED))}"


def p1_alone(folder):
    """Check that p1.py, alone in an empty folder, trains, saves and reloads."""
    with alone_with(folder, "p1.py") as empty:
        run(empty, _NETWORK + _TRIAL, "p1.py alone in a folder does not train, save and reload")
    return "p1.py alone in an empty folder trains, saves and reloads the same network"


def p1_model(folder):
    """Check that p1_model.npz loads into p1.py's own MLP, and measure it."""
    data = real(datasets.mnist(part="test"), "p1_model.npz", "MNIST")
    with alone_with(folder, "p1.py", "p1_model.npz") as empty:
        x = data.test_images.reshape(len(data.test_images), -1)
        np.savez(empty / "test.npz", x=x, labels=data.test_labels)
        told = run(empty, _NETWORK + _MEASURE, "p1_model.npz cannot be loaded into p1.py's MLP")
    error = 100 * float(told.split()[-1])
    if error >= 20:
        raise ValueError(f"p1_model.npz misreads {error:.2f} % of MNIST's test images, which earns nothing.")
    said = f"p1_model.npz misreads {error:.2f} % of the test images"
    return as_reported(folder / "p1_report.pdf", said, error, 0.015)


def p2_model(folder):
    """Check that p2_model.pkl holds tensors alone and loads without running code."""
    with alone_with(folder, "p2_model.pkl") as empty:
        run(empty, _LOAD, "p2_model.pkl is no state_dict that loads with weights_only=True")
    return "p2_model.pkl loads with weights_only=True"


def p2_accuracy(folder):
    """Check that p2.py --evaluate finds the accuracy that p2_report.pdf states."""
    data = real(datasets.cifar10(part="test"), "p2_model.pkl", "CIFAR-10")
    with alone_with(folder, "p2.py", "p2_model.pkl", *modules(folder / "p2.py")) as empty:
        source = Path(data.source)
        if not source.is_file():
            source = empty / "cifar10.npz"
            whole = datasets.cifar10()
            np.savez(source, **{key: getattr(whole, key) for key in datasets.KEYS})
        said = "p2.py --evaluate p2_model.pkl tells no accuracy"
        done = started(empty, ["p2.py", "--evaluate", "p2_model.pkl", "--data", str(source)], said)
        told = re.findall(r"(\d+(?:\.\d+)?) ?%", done.stdout)  # the last one: progress may have been printed before
        if done.returncode:
            raise ValueError(f"{said}: {last_line(done.stderr or done.stdout)}")
        if not told:
            raise ValueError(f"{said}: it printed {last_line(done.stdout)!r}; print it with its sign, such as 72.42 %.")
        accuracy = float(told[-1])
        np.savez(empty / "some.npz", images=data.test_images[:1000], labels=data.test_labels[:1000])
        asked = float(run(empty, _ASK, "the network of p2_model.pkl cannot be asked").split()[-1])
    if asked < accuracy - 8:  # a thousand images tell it to two or three
        raise ValueError(
            f"p2_model.pkl gets {accuracy:.2f} % of the test images right by p2.py, but {asked:.0f} % of a "
            "thousand where what load_model returns is given floats in 0..1; let forward take these."
        )
    said = f"p2_model.pkl gets {accuracy:.2f} % of the test images right"
    # Another processor rounds some images otherwise.
    return as_reported(folder / "p2_report.pdf", said, accuracy, 0.055)


def real(data, name, wanted):
    """Return a data set, or raise ValueError where it is a stand-in, on which `name` cannot be measured."""
    if data.is_stand_in:
        raise ValueError(f"{name} cannot be measured without {wanted}; run python -m helpers.datasets.")
    return data


@contextlib.contextmanager
def alone_with(folder, *names):
    """Yield an empty folder into which only these files of `folder` have been copied."""
    with tempfile.TemporaryDirectory() as empty:
        for name in names:
            shutil.copy(folder / name, empty)
        yield Path(empty)


def as_reported(report, said, percent, slack):
    """Return what is `said` of a percentage that is known up to `slack`.

    Raises ValueError where the PDF does not give it, to one decimal at least.
    """
    for number in re.findall(r"(\d+(?:\.\d+)?) ?%", pdf_text(report)):
        decimals = max(1, len(number.partition(".")[2]))
        if abs(float(number) - percent) < slack + 0.5 / 10**decimals:
            return f"{said}, as its report says"
    raise ValueError(f"{said}, a number that {report.name} does not give; state it there, to one decimal at least.")


def run(folder, code, said):
    """Run Python code in `folder`, with nothing of this repository in reach, and return what it printed."""
    (Path(folder) / "trial.py").write_text(code, encoding="utf-8")
    done = started(folder, ["trial.py"], said)
    if done.returncode:
        raise ValueError(f"{said}: {last_line(done.stderr)}")
    return done.stdout


def started(folder, command, said):
    """Run a Python program of `folder` and return how it ended; raises ValueError for one that does not end."""
    command = [sys.executable, *command]
    try:
        return subprocess.run(command, cwd=folder, env=alone(), stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, errors="replace", timeout=LONGEST)  # fmt: skip
    except subprocess.TimeoutExpired:
        told = f"it was stopped after {LONGEST} seconds; see what in it takes so long or never ends."
        raise ValueError(f"{said}: {told}") from None


def alone():
    """Return an environment in which no module of this repository is found by way of PYTHONPATH."""
    return {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")} | {"MPLBACKEND": "agg"}


def last_line(text):
    """Return the last line that is not empty."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "nothing was said."


# ---------------------------------------------------------------------------------------------------- building


def write_zip(found, path):
    """Write {name: path} into a zip; equal files make an equal zip."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(found):
            entry = zipfile.ZipInfo(name)  # dated 1980
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, Path(found[name]).read_bytes(), zipfile.ZIP_DEFLATED)


def unpack(path, folder):
    """Unpack a zip of plain files, perhaps all in one folder, into `folder`; raises ValueError for anything else."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [e for e in archive.infolist() if not e.is_dir() and not set(e.filename.split("/")) & set(JUNK)]
            tops = {entry.filename.rpartition("/")[0] for entry in entries}
            if len(tops) == 1 and re.fullmatch(r"[^./\\][^/\\]*", tops.pop()):
                for entry in entries:
                    entry.filename = entry.filename.rpartition("/")[2]
            names = [entry.filename for entry in entries]
            odd = [name for name in names if "/" in name or "\\" in name or name.startswith(".")]
            if odd:
                raise ValueError(f"{path} holds {odd[0]}; a hand-in has plain files and no folders but one around all.")
            archive.extractall(folder, entries)
    except ValueError:
        raise
    except Exception as error:  # zipfile raises a different kind of error for each way an archive can be broken
        raise ValueError(f"{path} is no zip that can be read ({error}).") from None


def tried(path):
    """Try what a zip holds; return a sentence, or raise ValueError with one a line for what is missing or wrong."""
    with tempfile.TemporaryDirectory() as folder:
        unpack(path, folder)
        trouble = try_all(folder)
    if trouble:
        raise ValueError("\n".join(trouble))
    return f"{path}: nothing is missing and nothing is wrong"


def build(p1=ROOT / "artifacts" / "p1", p2=ROOT / "artifacts" / "p2", folder=SUBMISSION, say=print):
    """Write the hand-in into `folder` and `folder`.zip once every file has been tried; return the zip's path.

    Raises ValueError with one sentence a line for what is missing or wrong, and for a folder that holds anything else
    than a hand-in; then what was there before stays.
    """
    found, folder = find(p1, p2), Path(folder)
    more = sorted(p.name for p in folder.iterdir() if p.name not in {*found, "__pycache__"}) if folder.exists() else []
    if more:
        raise ValueError(f"{folder} holds {more[0]}, which is no part of the hand-in; name an empty or a new folder.")
    if any(path.resolve().parent == folder.resolve() for path in found.values()):
        raise ValueError(f"{folder} holds what is to be handed in; name another folder for the hand-in with --folder.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".submission.") as beside:
        archive, unpacked = Path(beside) / "submission.zip", Path(beside) / "submission"
        write_zip(found, archive)
        unpack(archive, unpacked)
        trouble = try_all(unpacked, say)
        if trouble:
            raise ValueError("\n".join(trouble))
        if folder.exists():
            os.replace(folder, unpacked.with_name("old"))  # it leaves as a whole: half a hand-in is never there
        os.replace(unpacked, folder)
        os.replace(archive, folder.with_suffix(".zip"))
    return folder.with_suffix(".zip")


def main(arguments=None):
    """Build the hand-in, or try one that is there."""
    parser = argparse.ArgumentParser(prog="python -m helpers.submission", description=__doc__.splitlines()[0])
    for part in ("p1", "p2"):
        parser.add_argument(f"--{part}", default=ROOT / "artifacts" / part, help=f"the folder with {part}.py")
    parser.add_argument("--folder", type=Path, default=SUBMISSION, help="where to write (artifacts/submission)")
    parser.add_argument("--check", type=Path, metavar="ZIP", help="try the hand-in in this zip and write nothing")
    given = parser.parse_args(arguments)
    if given.check:
        return files.finish(lambda: tried(given.check), given.check)
    return files.finish(lambda: files.megabytes(build(given.p1, given.p2, given.folder)), given.folder)


if __name__ == "__main__":
    sys.exit(main())
