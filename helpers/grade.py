"""Grades a folder of notebooks: each is run in a process of its own, shut in, and judged from outside.

    python -m helpers.grade FOLDER                  # prints a table and writes FOLDER-grades.csv beside the folder
    python -m helpers.grade FOLDER --of 1 2 3 P1    # where only these were to be handed in
    python -m helpers.grade FOLDER --jobs 4 --seconds 300 --memory 4000 --csv marks.csv

FOLDER holds notebooks, or one folder for each student, with notebooks and perhaps the hand-in: `p1.py` with
`p1_model.npz`, and `p2.py` with its modules and `p2_model.pkl`, where p2.py or its cnn.py offers `load_model(path)`.
A file is out of what it can earn, a submission (its file is "all") out of everything that can be handed in, or of the
parts and questions that `--of` names; no others count then.

What is trusted. A notebook's stored outputs, what it prints, its copy of the helpers and the student's progress file
count for nothing. The cells run against a fresh student edition without answers in it. Where one calls
`check("1a", ...)`, the values come out through a pipe as plain data (`helpers.grade_inside`), and this process judges
them with its own answers. Functions and classes stay inside and are asked for what they do on inputs that are sent in.
So code in a notebook can lie about what it computed, but a lie earns points only if it is the right answer. The last
check of a question counts, and the first TRIES of them are judged at all, so that trying out does not pay. Two things
cannot be told from outside: numbers that were computed from numbers that were copied, and a network of Programming 2
that has learned the test images from one that looks them up. That of Programming 1 is measured by its weights.

How strong the walls are. On Linux a notebook runs in its own user, mount, network and process namespaces, made by the
system's `unshare` and left without privileges by `setpriv`: there is no network, every file system is read-only but a
copy of the submission in memory, the folder of submissions and the workbook's answers are hidden, and no process
outlives it. Time, resident memory, processes and file sizes are limited. These are walls of the operating system's
kernel, no stronger than it. Other files that you can read, the notebook can read too, but it can send them nowhere.
Forty theory notebooks took 63 seconds of a processor, preparation included.

Where namespaces are not allowed nothing is graded, unless you say `--uncontained`: then only the limits, the copy and
a refusal of sockets in Python remain, which is enough against accidents and not against intent.
"""

import argparse
import compileall
import contextlib
import csv
import itertools
import multiprocessing
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import cast

import nbformat
import numpy as np
import psutil
from tqdm import tqdm

from helpers import answers, datasets, student
from helpers.checks import Verdict
from helpers.core import mlp as p1
from helpers.grade_inside import CLAIM, START, Broken, Channel, Hung, decode, encode

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 6  # seconds on the clock for each second of computing that is allowed
TRIES = 20  # checks of one question in one file that are judged
MOST_PROCESSES = 64
MOST_PRINTED = 20_000_000  # bytes; more is remarked
MOST_COPIED = 300_000_000  # bytes of one submission
HIDDEN = ("helpers", "notebooks", "artifacts", "build")  # of this repository, where answers are
_UNSHARE = "unshare --user --map-root-user --net --mount --ipc --uts --pid --fork --kill-child --mount-proc".split()
PARTS = ("1", "2", "3", "4", "P1", "P2")  # all that can be handed in
CODE = {"p1.py": ["P1a", "P1b", "P1c", "P1d", "P1e"], "p2.py": ["P2"]}  # what a handed-in file can answer
_P1_CHECKS = [
    'check("P1a", Sigmoid, Tanh, ReLU)',
    'check("P1b", SoftmaxCrossEntropy)',
    'check("P1c", random_normal_weight_init, zeros_bias_init)',
    'check("P1d", MLP, Sigmoid, SoftmaxCrossEntropy)',
]
_P2_CHECKS = [
    "import importlib.util\n"
    "if 'load_model' not in globals() and importlib.util.find_spec('cnn'):\n"
    "    from cnn import load_model\n"
    "if 'load_model' not in globals():\n"
    "    raise ImportError('p2.py offers no load_model(path) that returns the network of p2_model.pkl')\n"
    'check("P2", load_model("p2_model.pkl"))'
]
_RECORDER = """from grade_inside import check, silent

hint = answer = progress = silent
"""


@dataclass
class Report:
    """What became of one file: a verdict for each question, remarks, and seconds."""

    submission: str
    file: str
    verdicts: dict = field(default_factory=dict)
    remarks: list = field(default_factory=list)
    seconds: float = 0.0

    @property
    def earned(self):
        """Points of all questions together."""
        return sum(verdict.earned for verdict in self.verdicts.values())

    @property
    def possible(self):
        """Points that its questions can give, those for extra work not counted."""
        return sum(verdict.points for verdict in self.verdicts.values())


@dataclass(frozen=True)
class Limits:
    """How many seconds a notebook may compute, how much memory it may hold, and whether walls are wanted.

    Seconds are those of a processor, so that a busy machine takes nothing away; in all it gets PATIENCE times as long.
    """

    seconds: int = 120
    megabytes: int = 2000
    contained: bool = True


# ---------------------------------------------------------------------------------------------------- judging


class Stand:
    """Stands for a function or class that is still inside; called, it asks what the original returns."""

    def __init__(self, ask, number, data):
        self.ask, self.number = ask, number
        self.home, self.name = str(data.get("from", "")), str(data.get("name", ""))

    def __call__(self, *arguments):
        """Return what the original returns for these arguments, or raise what it raises."""
        return self.ask({"call": self.number, "arguments": [encode(a) for a in arguments]})


class Network:
    """The weights and biases that a notebook's network holds, as numbers; `forward` is ours."""

    KINDS = {kind.__name__: kind for kind in (p1.ReLU, p1.Sigmoid, p1.Tanh, p1.Identity)}

    def __init__(self, weights, biases, kinds=()):
        biases = [np.reshape(b, -1) if isinstance(b, np.ndarray) else b for b in biases]  # rows (1, d) are as good
        numbers = all(isinstance(a, np.ndarray) and a.dtype.kind == "f" for a in (*weights, *biases))
        sizes = [784, *map(np.size, biases)]
        wanted = list(zip(sizes, sizes[1:], strict=False))
        fits = [np.shape(W) for W in weights] == wanted and all(np.ndim(b) == 1 for b in biases)
        if not numbers or not fits or sizes[-1] != 10 or len(sizes) < 2:
            raise ValueError("its weights do not lead from 784 pixels to 10 digits")
        self.weights, self.biases, self.kinds = weights, biases, list(kinds)[: len(weights) - 1]
        self.activations: list[Callable] = []

    def forward(self, x):
        """Return the logits of x (n, 784)."""
        for W, b, activation in zip(self.weights[:-1], self.biases[:-1], self.activations, strict=True):
            x = activation(x @ W + b)
        return x @ self.weights[-1] + self.biases[-1]

    def readings(self):
        """Yield this network with the activations whose names it came with, or else with those that are asked for.

        All of one kind come first, then, in a network of two hidden layers, two kinds.
        """
        hidden = len(self.weights) - 1
        known = len(self.kinds) == hidden and set(self.kinds) <= set(self.KINDS)
        asked_for = ("ReLU", "Sigmoid", "Tanh")
        unknown = [[one] * hidden for one in asked_for]
        unknown += map(list, itertools.permutations(asked_for, 2)) if hidden == 2 else []
        for kinds in [self.kinds] if known else unknown:
            made = Network(self.weights, self.biases)
            made.activations = [self.KINDS[name]() for name in kinds]
            yield made


class Judge:
    """Judges what one notebook hands out; `channel` leads to it and must answer before `until`."""

    def __init__(self, channel, until):
        self.channel, self.until = channel, until
        self.verdicts, self.tries = {}, {}

    def judge(self, message):
        """Judge the answer in a message; raises Broken for one that is none, Hung where a function takes too long."""
        name = str(message.get("check"))
        self.tries[name] = self.tries.get(name, 0) + 1
        try:
            question = answers.find(name)
        except ValueError:
            return  # a check that the workbook does not know
        if self.tries[name] > TRIES:
            return
        self.verdicts[question.id] = Verdict(question.id, "wrong", "its check was not finished.", 0.0, question.points)
        try:
            values, most = message["values"], 5_000_000 if question.id == "P1e" else 10_000
            given = [decode(v, partial(self._stand, number), most) for number, v in enumerate(values)]
        except Exception as error:  # whoever writes into the pipe may write anything
            verdict = Verdict(question.id, "unreadable", f"what came out is no answer ({error}).", 0.0, question.points)
        else:
            verdict = self._verdict(question, given)
        self.verdicts[question.id] = replace(verdict, sentence=printable(verdict.sentence))

    def _verdict(self, question, given):
        borrowed = [stand.name for stand in given if isinstance(stand, Stand) and stand.home.startswith("helpers")]
        if borrowed:
            said = f"{borrowed[0]} comes from the workbook's helpers and is not the reader's own."
            return Verdict(question.id, "wrong", said, 0.0, question.points)
        if question.id == "P2" and given and given[0] is not ... and not isinstance(given[0], Stand):
            said = 'an accuracy is believed in the notebook only; give the trained network, check("P2", network).'
            return Verdict("P2", "unreadable", said, 0.0, question.points)
        if question.id == "P1e":
            return judge_network(given[0] if given else ...)
        if hasattr(question, "probes"):
            far = [replace(p, run=partial(self._probe, p.run, question.parts)) for p in question.probes]
            question = replace(question, probes=tuple(far))
            if len(given) == 1 and type(given[0]).__name__ in ("dict", "module"):
                given = [partial(str)] * len(question.parts)
        return question.judge(*given)

    def _stand(self, number, data):
        if "network" in data:
            weights, biases = ([decode(a, None, 5_000_000) for a in data["network"][name]] for name in ("W", "b"))
            return Network(weights, biases, [str(kind) for kind in data.get("activations", ())])
        return Stand(self._ask, number, data)

    def _probe(self, run, parts, *_):
        """Let one probe run inside, on the pieces that are there, and return what comes out."""
        probe = partial(run)  # one that is a partial already stays as it is
        return self._ask({
            "probe": probe.func.__name__, "parts": list(parts), "arguments": [encode(a) for a in probe.args],
            "settings": {name: encode(value) for name, value in probe.keywords.items()},
        })  # fmt: skip

    def _ask(self, wish):
        self.channel.send(wish)
        reply = self.channel.receive(self.until)
        if "raised" in reply:
            kinds = {"NotImplementedError": NotImplementedError}
            name = re.sub(r"\W", "", str(reply["raised"])) or "Exception"
            raise kinds.get(name, type(name, (Exception,), {}))(printable(str(reply.get("said", ""))))
        return decode(reply.get("value"), most=1_000_000)


def judge_network(network):
    """Return the verdict on P1e: the numbers of a network are measured, a typed rate is not believed."""
    question = answers.find("P1e")
    if network is ...:
        return question.judge(...)
    if not isinstance(network, Network):
        said = (
            'a rate is believed in the notebook only; give the trained network, check("P1e", network), or p1_model.npz.'
        )
        return Verdict("P1e", "unreadable", said, 0.0, question.points)
    verdicts = []
    with np.errstate(all="ignore"):
        for reading in network.readings():
            verdicts.append(question.judge(reading))
            if verdicts[-1].earned > question.points:
                break  # the wrong activations do not get there
    return max(verdicts, key=lambda v: (v.earned, -_rate(v)))


def _rate(verdict):
    stated = re.match(r"\d+(?:\.\d+)?", verdict.sentence)
    return float(stated[0]) if stated else 100.0


def read_network(path):
    """Return the Network in an .npz of W0, b0, W1, b1, ...; raises ValueError for a file that is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > 200_000_000:
                raise ValueError("it holds more than 200 MB")
            if archive.testzip() is not None:
                raise ValueError("it is damaged")
        with np.load(path, allow_pickle=False) as file:
            count = sum(re.fullmatch(r"W\d+", name) is not None for name in file.files)
            layers = [[np.asarray(file[f"{k}{i}"], dtype=float) for i in range(count)] for k in "Wb"]
        return Network(*layers)
    except ValueError:
        raise
    except Exception as error:  # a file can be broken in more ways than zipfile and numpy have one kind of error for
        raise ValueError(f"it is no file of W0, b0, W1, b1, ... ({type(error).__name__})") from None


def printable(text, most=300):
    """Return text from a notebook so that it can be shown: no control characters, and not long."""
    return "".join(c if c.isprintable() else " " for c in text[: 4 * most])[:most]


# ---------------------------------------------------------------------------------------------------- one file


class Inside:
    """A process that is shut in with one submission; `with` makes sure that nothing of it remains."""

    def __init__(self, base, hidden, limits):
        self.limits, self.printed, self.claims, self.killed = limits, 0, set(), ""
        ours, theirs = (s.detach() for s in socket.socketpair())
        self.channel = Channel(ours)
        part = "contain" if limits.contained else "guard"
        start = [sys.executable, "-I", "-B", "-c", START, f"{base}/edition"]
        start += [part, str(base), str(theirs), str(limits.seconds), str(limits.megabytes), *map(str, hidden)]
        self.process = subprocess.Popen(
            [*(_UNSHARE if limits.contained else ()), *start], env=environment(base), pass_fds=[theirs], cwd="/",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        self.output = cast(BufferedReader, self.process.stdout)
        self.over = threading.Event()
        self.threads = [threading.Thread(target=work, daemon=True) for work in (self._drain, self._watch)]
        for thread in self.threads:
            thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over.set()
        self.kill()
        for thread in self.threads:
            thread.join(5)
        os.close(self.channel.number)
        self.output.close()

    def kill(self, why=""):
        """End the process and all that it started."""
        self.killed = self.killed or why
        for process in self._family():
            with contextlib.suppress(psutil.Error):
                process.kill()
        with contextlib.suppress(OSError):
            os.killpg(self.process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)

    def _family(self):
        try:
            return psutil.Process(self.process.pid).children(recursive=True)
        except psutil.Error:
            return []

    def _drain(self):
        """Count what is printed, look for claims in the beginning of it, and throw it away."""
        with contextlib.suppress(ValueError, OSError):
            tail = ""
            while block := self.output.read1(1 << 16):
                if self.printed < 1_000_000:
                    tail = tail[-40:] + block.decode(errors="replace")
                    self.claims |= set(CLAIM.findall(tail))
                self.printed += len(block)

    def _watch(self):
        """End the process where its family together computes too long, holds too much memory or is too large."""
        while not self.over.wait(0.2):
            family, held, computed = self._family(), 0, 0.0
            for process in family:
                with contextlib.suppress(psutil.Error):
                    held += process.memory_info().rss
                    computed += sum(process.cpu_times()[:4])  # its own, and that of children that have ended
            if computed > self.limits.seconds:
                self.kill(f"it was stopped after {self.limits.seconds} s of computing; what it answered before counts")
            if len(family) > MOST_PROCESSES:
                self.kill(f"it was stopped with more than {MOST_PROCESSES} processes")
            if held > self.limits.megabytes << 20:
                self.kill(f"it was stopped with more than {self.limits.megabytes} MB of memory")


def environment(base):
    """Return the environment variables that a notebook sees."""
    data = os.environ.get("WORKBOOK_DATA") or str(ROOT / "data")
    kept = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", "MPLBACKEND": "agg", "OMP_NUM_THREADS": "1"}
    return kept | {
        "HOME": f"{base}/work", "MPLCONFIGDIR": f"{base}/edition/.fonts", "WORKBOOK_DATA": data,
        "WORKBOOK_PROGRESS": "",
    }  # fmt: skip


def grade_file(edition, asked, skip, folder, submission, files, name, limits, hidden):
    """Run and judge the file `name` of a submission, {relative name: path} in `files`, and return its Report."""
    report, begun = Report(submission, name), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="grade.", dir=folder) as place:
        base = Path(place)
        os.symlink(edition, base / "edition")  # becomes a mount inside
        work = base / ("copy" if limits.contained else "work")
        try:
            copy(files, work)
        except (OSError, ValueError) as error:
            report.remarks.append(printable(f"it cannot be copied: {error}"))
            return report
        _run(base, asked, skip, work, name, limits, hidden, report)
    report.seconds = time.monotonic() - begun
    return report


def _run(base, asked, skip, work, name, limits, hidden, report):
    until = time.monotonic() + PATIENCE * limits.seconds
    claims, found, ended = set(), [], False
    with Inside(base, hidden, limits) as inside:
        judge = Judge(inside.channel, until)
        try:
            inside.channel.send(
                {"file": name, "skip": sorted(skip), "checks": {"p1.py": _P1_CHECKS, "p2.py": _P2_CHECKS}}
            )
            while not ended:
                message = inside.channel.receive(until)
                if "check" in message:
                    judge.judge(message)
                    inside.channel.send({"done": True})
                elif "trouble" in message:
                    report.remarks.append(printable(str(message["trouble"])))
                    return
                elif "end" in message:
                    errors, ended = [printable(str(e)) for e in list(message["end"])[:5]], True
                    overwritten = "its check was overwritten; the answers were judged all the same"
                    report.remarks += [overwritten if e == "overwritten" else e for e in errors]
                elif "asked" in message:
                    found = [str(question) for question in list(message["asked"])[:200]]
                    claims |= {str(question) for question in list(message["claims"])[:50]}
        except Hung:
            waited = PATIENCE * limits.seconds
            report.remarks.append(f"it was stopped after {waited} s on the clock; what it answered before counts")
        except Broken as error:
            inside.over.wait(0.5)  # the watch may be about to say why
            said = printable(str(error))
            report.remarks.append(inside.killed or f"its process ended before its last cell ({said})")
        except Exception as error:  # whatever it was, the others are graded all the same
            report.remarks.append(printable(f"its process sent what is no message ({error})"))
    claims |= inside.claims
    if inside.printed > MOST_PRINTED:
        report.remarks.append(f"it printed {inside.printed / 1e6:.0f} MB, which nobody read")
    tried = [f"{question} {n} times" for question, n in judge.tries.items() if n > TRIES]
    report.remarks += [f"it checked {printable(', '.join(tried))}; the first {TRIES} were judged"] if tried else []
    verdicts = judge.verdicts
    model = (work / name).with_name("p1_model.npz")
    if Path(name).name == "p1.py" and model.is_file():
        try:
            verdicts["P1e"] = judge_network(read_network(model))
        except ValueError as error:
            verdicts["P1e"] = replace(judge_network(...), sentence=printable(f"p1_model.npz: {error}."))
    expected = CODE.get(Path(name).name) or list(asked.get(_which(name, found, asked), ()))
    if not expected and not verdicts:
        report.remarks.append("no check of the workbook is in it")
    for question in expected:
        if question not in verdicts:
            verdict = answers.find(question).judge(...)
            gone = "" if question in found else " its check is gone;"
            verdicts[question] = replace(verdict, sentence=f"{gone} {verdict.sentence}".strip())
    report.verdicts = {q: v for q, v in verdicts.items() if v.points or v.earned}
    false = sorted(q for q in claims if q in verdicts and verdicts[q].status != "right")
    if false:
        report.remarks.append(f"it shows {', '.join(false)} as right, which {'is' if len(false) == 1 else 'are'} not")


def _which(name, found, asked):
    """Return the name of the workbook's notebook that a file is: by its number, else by the checks in it."""
    stem = Path(name).name
    numbered = [own for own in asked if own[:2] == stem[:2]]
    shared = {own: len(set(found) & set(questions)) for own, questions in asked.items()}
    best = max(shared, key=lambda own: shared[own])
    return best if shared[best] and not (numbered and shared[numbered[0]]) else (numbered or [None])[0]


def copy(files, folder):
    """Copy regular files, {relative name: path}, into `folder`; links and devices are left out.

    Raises ValueError where there is too much.
    """
    total = 0
    for relative, path in files.items():
        facts = os.lstat(path)
        if not stat.S_ISREG(facts.st_mode):
            continue
        total += facts.st_size
        if total > MOST_COPIED:
            raise ValueError(f"the submission has more than {MOST_COPIED / 1e6:.0f} MB")
        (folder / relative).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / relative, follow_symlinks=False)
    folder.mkdir(parents=True, exist_ok=True)


# ---------------------------------------------------------------------------------------------------- a folder


def why_uncontained():
    """Return an empty string where notebooks can be shut in, else the reason why not."""
    if not sys.platform.startswith("linux"):
        return "this system is no Linux"
    missing = [tool for tool in ("unshare", "setpriv") if shutil.which(tool) is None]
    if missing:
        return f"{' and '.join(missing)} of util-linux cannot be found"
    done = subprocess.run([*_UNSHARE, "true"], capture_output=True, text=True)
    return "" if done.returncode == 0 else f"namespaces are not allowed here ({done.stderr.strip()})"


def prepare(folder):
    """Write into `folder` the student edition that notebooks are graded with, without any answer in it.

    Returns the questions of each notebook, and the cells that only show something and need not run.
    """
    student.build(folder)
    helpers = folder / "helpers"
    with zipfile.ZipFile(helpers / "sealed.zip") as archive:
        archive.extractall(helpers)
    (helpers / "sealed.zip").unlink()
    shutil.rmtree(helpers / "_sealed" / "answers")
    for path in (helpers / "_sealed").rglob("*.py"):  # one level less deep than in the archive
        path.write_text(path.read_text(encoding="utf-8").replace("parents[4]", "parents[3]"), encoding="utf-8")
    shutil.rmtree(helpers / "answers")
    (helpers / "answers").mkdir()
    (helpers / "answers" / "__init__.py").write_text(_RECORDER, encoding="utf-8")
    shutil.copy(ROOT / "helpers" / "grade_inside.py", folder)
    shutil.copy(ROOT / "helpers" / "core" / "probes.py", folder)
    (folder / ".fonts").mkdir()
    fonts = "import matplotlib.font_manager"  # its list of fonts takes a second to make, once instead of every time
    subprocess.run([sys.executable, "-c", fonts], env=os.environ | {"MPLCONFIGDIR": str(folder / ".fonts")}, check=True)
    compileall.compile_dir(folder, quiet=1)
    asked, skip = {}, set()
    for path in sorted((folder / "notebooks").glob("*.ipynb")):
        sources = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
        asked[path.stem] = re.findall(r'^check\("([^"]+)"', "\n".join(sources), flags=re.M)
        skip |= {s.strip() for s in sources if re.fullmatch(r"(figures|explore)\.\w+\([^\n]*\)", s.strip())}
        skip |= {s.strip() for s in sources if "check_environment" in s}
    return asked, skip


def submissions(folder):
    """Return {submission: {relative name: path}} for what a folder holds: notebooks, and folders of students."""
    found = {}
    for entry in sorted(Path(folder).iterdir()):
        if entry.name.startswith((".", "__")) or entry.name.endswith("-grades.csv"):
            continue
        if entry.is_dir() and not entry.is_symlink():
            files: dict[str, Path] = {}
            for place, inner, names in os.walk(entry):
                inner[:] = sorted(i for i in inner if not i.startswith((".", "__")))
                seen = sorted(n for n in names if not n.startswith("."))
                files |= {str((Path(place) / n).relative_to(entry)): Path(place) / n for n in seen}
            found[entry.name] = files
        else:
            found[entry.stem] = found.get(entry.stem, {}) | {entry.name: entry}
    return found


def to_grade(files):
    """Return the names of the files of a submission that are graded."""
    alone = len(files) == 1
    ends = (".ipynb", ".zip")  # a zip is only remarked, but what is in it may be the rest
    return [name for name in files if name.lower().endswith(ends) or Path(name).name in CODE or alone]


def grade(folder, jobs=None, limits=None, progress=False):
    """Grade every submission in `folder` and return a list of Reports, in order.

    Raises ValueError for a folder that cannot be read or holds nothing, and where notebooks cannot be shut in.
    """
    folder, limits = Path(folder), limits or Limits()
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder; name one that holds notebooks or a folder for each student")
    found = submissions(folder)
    if not found:
        raise ValueError(f"{folder} is empty; put notebooks or a folder for each student into it")
    if os.name == "nt":
        raise ValueError("grading needs Linux, or macOS with --uncontained; on Windows run it in WSL.")
    reason = why_uncontained() if limits.contained else ""
    if reason:
        raise ValueError(f"notebooks cannot be shut in: {reason}. For notebooks that you trust say --uncontained.")
    hidden = [folder.resolve(), *(ROOT / name for name in HIDDEN)]
    with tempfile.TemporaryDirectory(prefix="grading.") as place:
        base = Path(place).resolve()
        hidden = [path for path in hidden if path not in base.parents]
        edition = base / "edition"
        asked, skip = prepare(edition)
        reports, tasks = [], []
        with ProcessPoolExecutor(jobs or os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
            for submission, files in found.items():
                names = to_grade(files)
                if not names:
                    said = "no notebook is in it; ask for its .ipynb files, or for p1.py and p2.py"
                    reports.append(Report(submission, "", remarks=[said]))
                for name in names:
                    task = (edition, asked, skip, base, submission, files, name, limits, hidden)
                    tasks.append(pool.submit(grade_file, *task))
            reports += [task.result() for task in tqdm(tasks, unit="file", disable=not progress)]
    return sorted(reports, key=lambda report: (report.submission, report.file))


# ---------------------------------------------------------------------------------------------------- telling


def asked_for(of=PARTS):
    """Return {question: points} of parts or questions; raises ValueError for a name that is neither."""
    found = {question.id: question.points for name in of for question in answers.find_all(name) if question.points}
    if not found:
        raise ValueError(f"{', '.join(of)} gives no points; name parts, such as 1 or P1, or questions, such as 1a")
    return found


def best(reports, of=PARTS):
    """Return {submission: {question: (earned, possible)}} of all that is asked for.

    Each is of the file in which it was answered best, and a question that none answers has earned nothing.
    """
    nothing = {question: (0, points) for question, points in asked_for(of).items()}
    found: dict[str, dict] = {}
    for report in reports:
        mine = found.setdefault(report.submission, dict(nothing))
        for question, verdict in report.verdicts.items():
            if question in nothing:
                mine[question] = max(mine[question], (verdict.earned, verdict.points))
    return found


def totals(reports, of=PARTS):
    """Return {submission: (earned, possible)}; a question that several files answer counts once, at its best."""
    return {name: tuple(map(sum, zip(*mine.values(), strict=True))) for name, mine in best(reports, of).items()}


def table(reports, of=PARTS):
    """Return the lines of a table: a row for each file, and one for a submission of several or less than all."""
    rows, sums = [("submission", "file", "points", "of", "seconds", "remarks")], totals(reports, of)
    for position, report in enumerate(reports):
        rows.append((
            printable(report.submission, 40), printable(report.file, 40), f"{report.earned:g}",
            f"{report.possible:g}", f"{report.seconds:.1f}", "; ".join(report.remarks),
        ))  # fmt: skip
        last = position + 1 == len(reports) or reports[position + 1].submission != report.submission
        several = sum(r.submission == report.submission for r in reports) > 1
        earned, possible = sums[report.submission]
        if last and (several or possible != report.possible):
            rows.append((printable(report.submission, 40), "all", f"{earned:g}", f"{possible:g}", "", ""))
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    aligned = [[f"{v:{'>' if 2 <= i <= 4 else '<'}{w}}" for i, (v, w) in enumerate(zip(row, widths))] for row in rows]  # noqa: B905
    return ["  ".join([*cells, row[5]]).rstrip() for cells, row in zip(aligned, rows, strict=True)]


def write_csv(reports, path, of=PARTS):
    """Write a row for each file: its points, those of every question, remarks, and what the checks said.

    A last row of each submission, its file called "all", has what counts: every question once, at its best.
    """
    questions = sorted({q for report in reports for q in report.verdicts} | set(asked_for(of)))
    part = Path(f"{path}.part")
    with open(part, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["submission", "file", "points", "of", *questions, "seconds", "remarks", "replies"])
        for position, report in enumerate(reports):
            earned = [f"{report.verdicts[q].earned:g}" if q in report.verdicts else "" for q in questions]
            said = " ".join(f"[{q}] {v.sentence}" for q, v in report.verdicts.items() if v.status != "right")
            texts = [_harmless(text) for text in (report.submission, report.file, "; ".join(report.remarks), said)]
            numbers = [f"{report.earned:g}", f"{report.possible:g}", *earned, f"{report.seconds:.1f}"]
            writer.writerow([*texts[:2], *numbers, *texts[2:]])
            if position + 1 == len(reports) or reports[position + 1].submission != report.submission:
                mine, sums = best(reports, of)[report.submission], totals(reports, of)[report.submission]
                earned = [f"{mine[q][0]:g}" if q in mine else "" for q in questions]
                writer.writerow([texts[0], "all", *(f"{number:g}" for number in sums), *earned, "", "", ""])
    os.replace(part, path)


def _harmless(text):
    """Return text that a spreadsheet does not take for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t")) else printable(text, 2000)


def main(arguments=None):
    """Grade the folder named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m helpers.grade", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="notebooks, or a folder for each student")
    said = "the parts or questions that could be handed in (1 2 3 4 P1 P2)"
    parser.add_argument("--of", nargs="+", default=PARTS, metavar="PART", help=said)
    parser.add_argument("--csv", type=Path, help="the file to write (FOLDER-grades.csv beside the folder)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="notebooks at a time (the number of cores)")
    parser.add_argument("--seconds", type=int, default=120, help="of computing for a notebook (120)")
    parser.add_argument("--memory", type=int, default=2000, metavar="MB", help="that a notebook may hold (2000)")
    parser.add_argument("--uncontained", action="store_true", help="without walls: for notebooks that you trust")
    given = parser.parse_args(arguments)
    try:
        if min(given.jobs, given.seconds, given.memory) < 1:
            raise ValueError("--jobs, --seconds and --memory are whole numbers from 1")
        asked_for(given.of)
        limits = Limits(given.seconds, given.memory, not given.uncontained)
        if given.csv and (given.csv.is_dir() or not given.csv.absolute().parent.is_dir()):
            raise ValueError(f"--csv {given.csv} is no file in a folder that is there; nothing was graded yet.")
        reports = grade(given.folder, given.jobs, limits, progress=True)
        path = given.csv or given.folder.resolve().with_name(f"{given.folder.resolve().name}-grades.csv")
        write_csv(reports, path, given.of)
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join(table(reports, given.of)))
    if datasets.mnist(part="test").is_stand_in:
        print("MNIST is not here, so no trained network was measured; run make data.")
    print(f"{len(reports)} files; what each check said is in {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
