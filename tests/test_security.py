"""What could run foreign code or fill the machine: read from the syntax of every source, not from its text."""

import ast
import io
import re
import shlex
import struct
import subprocess
import sys
import textwrap
import zlib
from pathlib import Path

import pytest

from helpers.core import digit

ROOT = Path(__file__).parents[1]
FOLDERS = ("helpers", "artifacts/p1", "artifacts/p2", "notebooks/text", "tests")
SOURCES = sorted(path for folder in FOLDERS for path in ROOT.glob(f"{folder}/**/*.py") if path != Path(__file__))

PICKLES = ("pickle", "cPickle", "_pickle", "marshal", "dill", "shelve", "joblib", "cloudpickle")
BY_KEYWORD = {  # calls that are safe with one keyword, which has to be written out
    "torch.load": ("weights_only", True),
    "numpy.load": ("allow_pickle", False),
    "pickled arrays": ("allow_pickle", False),
}
NEVER = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "subprocess.getoutput",
    "subprocess.getstatusoutput", "pandas.read_pickle", "torch.jit.load", "torch.hub.load", "yaml.load",
    "yaml.unsafe_load", "sympy.sympify", "sympy.parse_expr", "sympy.parsing.sympy_parser.parse_expr",
    "shutil.unpack_archive", "tempfile.mktemp", "ssl._create_unverified_context", "extractall", "extract",
    *(f"{module}.{name}" for module in PICKLES for name in ("load", "loads", "Unpickler", "open")),
}  # fmt: skip

# Every place where one of these stands all the same, and why it may.
ALLOWED = {
    ("helpers/core/cnn.py", "import pickle"): "for the name of an error, pickle.UnpicklingError; nothing is loaded",
    ("artifacts/p2/cnn.py", "import pickle"): "the handed-in copy of helpers/core/cnn.py",
    ("helpers/submission.py", "extractall"): "unpack refuses every name that is not a plain file in the folder itself",
    ("helpers/grade.py", "extractall"): "sealed.zip was written by student.build a line before, into the same folder",
    ("tests/test_cnn.py", "import pickle"): "makes a trap, which the loader has to refuse",
    ("tests/test_p2_bad_input.py", "import pickle"): "makes a trap, which the program has to refuse",
    ("tests/student_reader.py", "exec"): "plays a reader: runs the cells of our own notebooks",
    ("tests/student_reader.py", "eval"): "plays a reader: runs the cells of our own notebooks",
    ("tests/student_reader.py", "compile"): "plays a reader: runs the cells of our own notebooks",
    ("tests/test_progress.py", "exec"): "types our own right answers",
    ("tests/test_progress.py", "eval"): "types our own right answers",
    ("tests/test_digit.py", "eval"): "the code that an explorer hands out makes the same explorer",
    ("tests/test_explorer.py", "eval"): "the code that an explorer hands out makes the same explorer",
    ("tests/test_explore_backprop.py", "eval"): "the code and the sums that an explorer shows are right",
    ("tests/test_explore_cnn.py", "eval"): "the code that an explorer hands out makes the same explorer",
    ("tests/test_explore_convolution.py", "eval"): "the code that an explorer hands out makes the same explorer",
    ("tests/test_explore_gates.py", "eval"): "the code that an explorer hands out makes the same explorer",
    ("tests/browser/test_lab.py", "eval"): "the code that an explorer hands out makes the same explorer",
}


def trees(source):
    """Yield the syntax tree of `source`, and of every string in it that is itself a program of several lines."""
    tree = ast.parse(source)
    yield tree
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "\n" in node.value:
            try:
                yield from trees(textwrap.dedent(node.value))
            except (SyntaxError, ValueError):
                pass  # prose


def full_names(tree):
    """Return what each imported name stands for: {"np": "numpy", "load": "torch.load", ...}."""
    names = {"np": "numpy"}  # a program put together from several strings imports it in the first
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def called(node, names):
    """Return the full dotted name of what is called, or "" for the result of an expression."""
    parts, target = [], node.func
    while isinstance(target, ast.Attribute):
        parts.append(target.attr)
        target = target.value
    if not isinstance(target, ast.Name):
        return "." + parts[0] if parts else ""
    return ".".join([names.get(target.id, target.id), *reversed(parts)])


def dangers(source):
    """Return (line, what) for everything in the program `source` that could run foreign code."""
    found = set()
    for tree in trees(source):
        names = full_names(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                modules = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
                found |= {(node.lineno, f"import {m}") for m in modules if m.partition(".")[0] in PICKLES}
            elif isinstance(node, ast.Call):
                name, last = called(node, names), called(node, names).rpartition(".")[2]
                given = {k.arg: getattr(k.value, "value", k.value) for k in node.keywords}
                if name in BY_KEYWORD and given.get(BY_KEYWORD[name][0], ...) is not BY_KEYWORD[name][1]:
                    found.add((node.lineno, name))
                if "allow_pickle" in given and given["allow_pickle"] is not False:
                    found.add((node.lineno, "pickled arrays"))
                if last in ("extractall", "extract") and given.get("filter") != "data":
                    found.add((node.lineno, last))
                elif name in NEVER:
                    found.add((node.lineno, name))
                if given.get("shell", False) is not False:
                    found.add((node.lineno, "shell"))
                if given.get("verify", True) is False:
                    found.add((node.lineno, "no certificate"))
    return found


def of(path):
    """Return what stands in a file, less what its place allows; tests may read arrays that they wrote themselves."""
    place = path.relative_to(ROOT).as_posix()
    found = dangers(path.read_text(encoding="utf-8"))
    if place.startswith("tests/"):
        found = {(line, what) for line, what in found if what != "numpy.load"}
    return place, found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_dangerous_stands_outside_the_list(path):
    place, found = of(path)
    assert [f"{place}:{line}: {what}" for line, what in sorted(found) if (place, what) not in ALLOWED] == []


def test_the_list_names_nothing_that_is_gone():
    found = {(place, what) for path in SOURCES for place, those in [of(path)] for _, what in those}
    here = {(place, what) for place, what in ALLOWED if (ROOT / place).exists()}
    assert here - found == set()


@pytest.mark.parametrize(
    "source",
    [
        "import pickle", "from dill import load", "import joblib.numpy_pickle", "def f():\n    import marshal",
        "import pickle as p\np.loads(x)", "import torch\ntorch.load(path)",
        "import torch as t\nt.load(path, weights_only=False)",
        "from torch import load as fetch\nfetch(path)", "import torch\ntorch.load(p, weights_only=some)",
        "import numpy\nnumpy.load(p)", "import numpy as n\nn.load(p, allow_pickle=True)",
        "from numpy import load\nload(p)",
        "np.lib.npyio.read_array(f, allow_pickle=True)", "archive.extractall(folder)", "open_it(p).extractall(folder)",
        "archive.extract(name)", "archive.extractall(folder, filter='fully_trusted')",
        "import shutil\nshutil.unpack_archive(p)",
        "eval(text)", "exec(text)", "import os\nos.system('ls')", "from os import system\nsystem('ls')",
        "import subprocess\nsubprocess.run('ls', shell=True)", "run(command, shell=flag)", "get(url, verify=False)",
        "import yaml\nyaml.load(text)", "import sympy as s\ns.sympify(text)",
        'program = """\nimport numpy as np\nnp.load("x.npz")\n"""',
    ],
)  # fmt: skip
def test_each_danger_is_seen(source):
    assert dangers(source)


@pytest.mark.parametrize(
    "source",
    [
        "# eval(text), pickle.load", '"""torch.load(path) would be wrong"""', "network.eval()",
        "import re\nre.compile('x')",
        "import torch\ntorch.load(p, weights_only=True)", "np.load(p, allow_pickle=False)", "run(c, shell=False)",
        "archive.extractall(folder, filter='data')", "import json\njson.load(file)", "model = torch.compile(net)",
    ],
)  # fmt: skip
def test_what_only_looks_alike_is_let_through(source):
    assert not dangers(source)


def test_a_second_opinion_of_ruff():
    """flake8-bandit's rules, which ruff has: exec, eval, pickle, marshal, mktemp, TLS, yaml, shells, torch.load."""
    rules = "S102,S301,S302,S306,S307,S323,S501,S506,S602,S604,S605,S612"
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", rules]
    folders = [ROOT / folder for folder in ("helpers", "artifacts/p1", "artifacts/p2", "notebooks/text")]
    done = subprocess.run([*command, *folders], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


# ------------------------------------------------------------------------------------------------ what readers give


def png(width, height, size=0):
    """A PNG that claims to be so large and holds one empty row; `size` bytes of nothing follow."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 9)) + bytes(size)


@pytest.mark.parametrize("side", [8_000, 12_000, 30_000])  # silent for Pillow, a warning, an error
def test_a_decompression_bomb_is_refused_in_a_sentence(side):
    from helpers.core import cnn

    data = png(side, side)
    assert len(data) < 100  # as RGB images they would fill 0.2 to 2.7 GB
    with pytest.raises(ValueError, match=r"^The file has more than 50,000,000 pixels; .*\.$"):
        cnn.read_image(io.BytesIO(data))


def test_an_image_that_is_a_program_is_refused():
    from helpers.core import cnn

    with pytest.raises(ValueError, match="The file is not an image that can be read"):
        cnn.read_image(io.BytesIO(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"))


def test_a_file_of_a_gigabyte_that_is_no_image_is_refused_without_reading_it(tmp_path):
    from helpers.core import cnn

    path = tmp_path / "large.png"
    with open(path, "wb") as file:
        file.truncate(2**30)  # sparse: it takes no room on the disk
    with open(path, "rb") as file:
        with pytest.raises(ValueError, match=r"^The file .*\.$"):
            cnn.read_image(file)
        if not file.closed:
            assert file.tell() < 10**6


def test_a_drawing_of_endless_length_is_refused_in_a_sentence():
    line = " ".join(["10,20 80,90"] * (digit.MOST_POINTS // 2))
    assert len(digit.parse_strokes(line)[0]) == digit.MOST_POINTS
    with pytest.raises(ValueError, match=f"more than {digit.MOST_POINTS:,} points; .*clear"):
        digit.parse_strokes(line + " 1,1")
    with pytest.raises(ValueError, match="more than"):
        digit.parse_strokes(";".join(["1,1"] * (digit.MOST_POINTS + 1)))


# --------------------------------------------------------------------------------------------------------- make lab


def test_make_lab_listens_on_this_machine_alone_and_asks_for_a_token(monkeypatch):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipe = re.search(r"^lab:.*\n\t(.+)$", makefile, flags=re.M)[1]
    words = shlex.split(re.sub(r"\$\((?:[^()]|\([^()]*(?:\([^()]*\))?[^()]*\))*\)", "", recipe))
    assert "--ip=127.0.0.1" in words
    weakening = ("token", "password", "origin", "xsrf", "config", "unauthenticated")
    assert not [word for word in words if any(part in word.lower() for part in weakening)]

    from jupyter_server.auth import IdentityProvider

    monkeypatch.delenv("JUPYTER_TOKEN", raising=False)
    monkeypatch.delenv("JUPYTER_TOKEN_FILE", raising=False)
    assert len(IdentityProvider().token) >= 32  # JupyterLab's own default: a new secret at every start
