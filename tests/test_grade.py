"""Grading: right answers earn all points, and what a hostile notebook tries is contained and reported."""

import array
import ast
import collections
import csv
import json
import os
import re
import shutil
import socket
from decimal import Decimal
from fractions import Fraction

import nbformat
import numpy as np
import pytest
import torch

from helpers import answers, datasets, grade, student
from helpers.build_notebooks import write
from helpers.core import cnn
from helpers.core import mlp as p1
from helpers.grade_inside import decode, encode, read_cells

pytestmark = pytest.mark.skipif(bool(grade.why_uncontained()), reason=f"no walls: {grade.why_uncontained()}")
LIMITS = grade.Limits(seconds=15, megabytes=700)
LOOPING, SHORT = ("loop", "function"), grade.Limits(seconds=6, megabytes=700)  # they are stopped, the sooner the better
SOURCES = {
    "P1a": "from p1 import ReLU, Sigmoid, Tanh",
    "P1b": "from p1 import SoftmaxCrossEntropy",
    "P1c": "from p1 import random_normal_weight_init, zeros_bias_init",
    "P1d": "from p1 import MLP",
    "P1e": "from p1 import load_mlp\n\nnetwork = load_mlp('p1_model.npz')",
    "3a": "def dE_df2(o, y):\n    return o - y",
    "3b": "def dE_dx(o, y, a, W1, W2):\n    return ((o - y) @ W2.T * a * (1 - a)) @ W1.T",
}


def filled(notebook, replies):
    """Type answers, {question: (values or source)}, into a student notebook, above each check."""
    for cell in notebook.cells:
        if cell.cell_type != "code" or 'check("' not in cell.source:
            continue
        call = ast.parse(cell.source).body[-1].value
        reply = replies(call.args[0].value)
        if not isinstance(reply, str):
            names = [argument.id for argument in call.args[1:]]
            reply = "\n".join(f"{n} = {np.asarray(v).tolist()!r}" for n, v in zip(names, reply, strict=True))
        cell.source = f"{reply}\n{ast.unparse(call)}"
    return notebook


def right(question):
    return SOURCES.get(question) or answers.find(question).expected()


def first_slip(question):
    if question in ("3a", "3b"):
        return SOURCES[question].replace("o - y", "y - o")
    if question.startswith("2 "):
        return [-np.asarray(value) for value in answers.find(question).expected()]
    return answers.find(question).slips[0].make()


def notebook(*sources, printed=None):
    """Return a notebook of code cells, the last of which has a stored output."""
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    if printed:
        made.cells[-1].outputs = [nbformat.v4.new_output("stream", text=printed)]
    return made


ANSWERED = "x = " + repr(tuple(np.round(answers.find("1a").expected(), 4).tolist()))
WRONG = 'check("1a", 1, 2, 3, 4, 5, 6)'
START = "from helpers.answers import check"
TICKED = "✓ 1a (3 of 3 points): right."
HOSTILE = {
    "loop": notebook(START, ANSWERED, 'check("1a", *x)', "while True: pass"),
    "delete": notebook(
        START,
        "import os, shutil, sys\n"
        "failed = []\n"
        "shutil.rmtree('{target}', onerror=lambda *a: failed.append(a))\n"
        "shutil.rmtree(os.path.dirname(os.path.dirname(os.getcwd())), ignore_errors=True)\n"
        "for path in sys.path: shutil.rmtree(path, ignore_errors=True)",
        ANSWERED,
        'check("1a", *x)',
        "assert not failed, failed[0][2][1]",
    ),
    "overwrite": notebook(START, "def check(*a): return '" + TICKED + "'", WRONG),
    "forge": notebook(START, WRONG, f"print('{TICKED}', 'score: 100', flush=True)", printed=TICKED),
    "patch": notebook(
        START,
        "import builtins, grade_inside, helpers.checks\n"
        "class V: status, sentence, earned, points = 'right', 'right.', 100.0, 3.0\n"
        "helpers.checks.Question.judge = lambda *a: V()\n"
        "grade_inside.check = builtins.__check__ = lambda *a: V()",
        WRONG,
    ),
    "verdict": notebook(
        START,
        "import grade_inside\n"
        "grade_inside._channel.send({{'check': '1a', 'values': [], 'earned': 3, 'status': 'right'}})\n"
        "grade_inside._channel.send({{'end': [], 'verdicts': {{'1a': 3}}}})".replace("{{", "{").replace("}}", "}"),
    ),
    "garbage": notebook(START, "import os, grade_inside\nos.write(grade_inside._channel.number, b'\\xff' * 100)"),
    "leave": notebook(START, ANSWERED, 'check("1a", *x)', "import os\nos._exit(0)"),
    "huge": notebook(START, "for _ in range(60): print('x' * 1_000_000)", ANSWERED, 'check("1a", *x)'),
    "memory": notebook(START, "held = []\nwhile True: held.append(bytearray(b'1' * 50_000_000))"),
    "many": notebook(START, "import os, time\nwhile True:\n    if os.fork() == 0: time.sleep(60)"),
    "network": notebook(
        START,
        "import socket\ns = socket.socket()\ns.settimeout(3)\ns.connect(('127.0.0.1', {port}))",
    ),
    "neighbour": notebook(
        START, "import os\nfound = os.listdir('{folder}') + os.listdir('../..')[1:]\nassert found, 'nothing to copy'"
    ),
    "answers": notebook(START, "import sys\nsys.path.append('{root}')\nfrom helpers.answers import descent"),
    "trying": notebook(START, ANSWERED, f"for _ in range(40): {WRONG}", 'check("1a", *x)'),
    "drawing": notebook("%matplotlib inline\n" + START, "%matplotlib widget\n" + ANSWERED, 'check("1a", *x)'),
    "function": notebook(
        START,
        "class F:\n    def __call__(self, *a):\n        while True: pass",
        'check("3a", lambda o, y: o - y)',
        'check("3b", F())',
    ),
    "odd": notebook(
        START,
        "class Odd(float):\n    def __array__(self, *a, **k): raise SystemExit\n    __repr__ = __array__",
        'check("1a", *6 * [Odd()])',
        'check("3a", Odd)',
    ),
}


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """Grade one folder with good and hostile submissions; return {submission: report of its first file}, and more."""
    folder, looping, outside = (tmp_path_factory.mktemp(name) for name in ("class", "looping", "precious"))
    (outside / "thesis.txt").write_text("precious")
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(0.1)
    known = {
        "{target}": str(outside), "{port}": str(server.getsockname()[1]), "{folder}": str(folder),
        "{root}": str(grade.ROOT),
    }  # fmt: skip
    for name, made in HOSTILE.items():
        for cell in made.cells:
            for key, value in known.items():
                cell.source = cell.source.replace(key, value)
        write(made, (looping if name in LOOPING else folder) / f"{name}.ipynb")
    editions = student.student_notebooks()
    for name in editions:
        if name[:2] in ("01", "02", "03", "04", "05"):
            for person, replies in (("ada", right), ("bob", first_slip))[: 1 if name[:2] == "05" else 2]:
                (folder / person).mkdir(exist_ok=True)
                made = filled(nbformat.from_dict(editions[name]), replies)
                write(made, folder / person / name)
                editions = student.student_notebooks()
    (folder / "ada" / "p1.py").write_bytes(b"\xef\xbb\xbf" + (grade.ROOT / "artifacts/p1/p1.py").read_bytes())
    (folder / "ada" / ".DS_Store").write_bytes(b"\x00")
    shutil.copy(grade.ROOT / "artifacts/p1/p1_model.npz", folder / "ada")
    (folder / "untouched").mkdir()
    write(editions["01_gelu_gradient_descent.ipynb"], folder / "untouched" / "01_gelu_gradient_descent.ipynb")
    (folder / "text.ipynb").write_text("no notebook")
    (folder / "binary.ipynb").write_bytes(os.urandom(2000))
    (folder / "deep.ipynb").write_text("[" * 200_000)
    (folder / "link.ipynb").symlink_to("/etc/passwd")
    (folder / "essay.docx").write_text("no notebook either")
    (folder / "void").mkdir()
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    reports = grade.grade(folder, 2, LIMITS) + grade.grade(looping, 2, SHORT)
    try:
        server.accept()
        connected = True
    except OSError:
        connected = False
    server.close()
    return {"reports": reports, "folder": folder, "outside": outside, "before": before, "connected": connected}


def of(graded, submission):
    return [report for report in graded["reports"] if report.submission == submission]


def one(graded, submission):
    (report,) = of(graded, submission)
    return report, "; ".join(report.remarks)


def test_right_answers_earn_every_point(graded):
    mine = of(graded, "ada")
    assert [(r.file[:2], r.earned, r.possible) for r in mine[:4]] == [
        ("01", 12, 12), ("02", 12, 12), ("03", 10, 10), ("04", 16, 16)]  # fmt: skip
    assert all(not report.remarks for report in mine), [report.remarks for report in mine]
    assert [report.file[:2] for report in mine[4:]] == ["05", "p1"]
    for report in mine[4:]:
        by_hand = {q: v.earned for q, v in report.verdicts.items()}
        assert by_hand | {"P1e": 0} == {"P1a": 3, "P1b": 5, "P1c": 2, "P1d": 10, "P1e": 0}, report


def test_a_handed_in_model_is_measured(graded):
    data = datasets.mnist(part="test")
    if data.is_stand_in:
        pytest.skip("no MNIST here")
    files = [report for report in of(graded, "ada") if report.file[:2] in ("p1", "05")]
    network = p1.load_mlp(str(grade.ROOT / "artifacts/p1/p1_model.npz"), dtype=np.float64)
    x = data.test_images.reshape(10_000, -1) / 255
    rate = np.mean(network.forward(x).argmax(1) != data.test_labels)
    for file in files:
        assert file.verdicts["P1e"].sentence.startswith(f"{100 * rate:.2f} %") and file.verdicts["P1e"].earned == 10


def test_a_network_of_programming_2_is_asked_inside_and_judged_outside(tmp_path):
    if datasets.cifar10(part="test").is_stand_in:
        pytest.skip("no CIFAR-10 here")
    for source in ("p2.py", "core/cnn.py", "core/training.py"):
        (tmp_path / "class" / "eve").mkdir(parents=True, exist_ok=True)
        shutil.copy(grade.ROOT / "helpers" / source, tmp_path / "class" / "eve")
    torch.manual_seed(0)
    model = tmp_path / "class" / "eve" / "p2_model.pkl"
    cnn.save_model(model, cnn.CNN(widths=(4, 4, 4), depth=1))
    (report,) = grade.grade(tmp_path / "class", 1)
    direct = answers.find("P2").judge(cnn.load_model(model))
    assert report.verdicts["P2"].sentence == direct.sentence and report.remarks == []
    assert "every image" in direct.sentence or "measured on 10,000" in direct.sentence


def test_slips_are_named_by_the_grader_too(graded):
    for report in of(graded, "bob"):
        assert report.earned == 0 and report.possible >= 10
        for question, verdict in report.verdicts.items():
            assert verdict.status == "wrong", verdict
            if question[0] in "134":
                assert answers.find(question).slips[0].sentence in verdict.sentence


def test_an_untouched_notebook_earns_nothing_and_is_no_reason_for_remarks(graded):
    report, remarks = one(graded, "untouched")
    assert (report.earned, report.possible, remarks) == (0, 12, "")
    assert {verdict.status for verdict in report.verdicts.values()} == {"unanswered"}


@pytest.mark.parametrize(
    ("submission", "earned", "remark"),
    [
        ("loop", 3, "stopped after 6 s of computing"),
        ("delete", 3, "Read-only file system"),
        ("overwrite", 0, "check was overwritten"),
        ("forge", 0, "it shows 1a as right, which is not"),
        ("patch", 0, ""),
        ("verdict", 0, ""),
        ("garbage", 0, "ended before its last cell"),
        ("leave", 3, "ended before its last cell"),
        ("huge", 3, "printed 60 MB"),
        ("memory", 0, "memory|MemoryError"),
        ("many", 0, "more than 64 processes|MB of memory|BlockingIOError"),
        ("network", 0, "Network is unreachable|Connection refused|OSError"),
        ("neighbour", 0, "nothing to copy"),
        ("answers", 0, "ImportError|ModuleNotFoundError"),
        ("trying", 0, "the first 20 were judged"),
        ("function", 5, "stopped after 6 s of computing"),
        ("drawing", 3, "^$"),
        ("odd", 0, ""),
        ("text", 0, "not a notebook"),
        ("binary", 0, "not a notebook"),
        ("deep", 0, "not a notebook"),
        ("link", 0, "it is not a file"),
        ("essay", 0, "not a notebook"),
        ("void", 0, "no notebook is in it"),
    ],
)
def test_hostile_submissions_are_contained_and_reported(graded, submission, earned, remark):
    report, remarks = one(graded, submission)
    assert report.earned == earned, report
    assert re.search(remark, remarks), report


def test_a_notebook_that_sleeps_is_stopped_by_the_clock(tmp_path):
    write(notebook("import time\ntime.sleep(10**6)"), tmp_path / "sleep.ipynb")
    (report,) = grade.grade(tmp_path, 1, grade.Limits(seconds=3))
    assert report.earned == 0 and f"stopped after {3 * grade.PATIENCE} s on the clock" in report.remarks[0]
    assert report.seconds < 3 * grade.PATIENCE + 30


def test_nothing_outside_was_touched(graded):
    assert (graded["outside"] / "thesis.txt").read_text() == "precious"
    assert {p: p.read_bytes() for p in graded["folder"].rglob("*") if p.is_file()} == graded["before"]
    assert not graded["connected"]


def test_table_and_csv(graded, tmp_path):
    lines = grade.table(graded["reports"])
    assert len({line.index("points") for line in lines[:1]}) == 1
    total = next(line for line in lines if line.startswith("ada") and " all " in line)
    assert total.split()[2:] in (["70", "80"], ["80", "80"])  # without MNIST and with it
    bob = next(line for line in lines if line.startswith("bob") and " all " in line)
    assert bob.split()[2:] == ["0", "80"]  # out of what was not handed in, too
    assert next(line for line in lines if line.startswith("untouched") and " all " in line).split()[2:] == ["0", "80"]
    grade.write_csv(graded["reports"], tmp_path / "marks.csv")
    rows = list(csv.DictReader(open(tmp_path / "marks.csv", encoding="utf-8")))
    sums = grade.totals(graded["reports"])
    assert len(rows) == len(graded["reports"]) + len(sums)
    assert {r["submission"]: float(r["points"]) for r in rows if r["file"] == "all"} == {
        n: s[0] for n, s in sums.items()
    }
    ada = next(row for row in rows if row["submission"] == "ada" and row["file"].startswith("01"))
    assert (ada["points"], ada["1a"], ada["1c momentum"], ada["replies"]) == ("12", "3", "3", "")
    bob = next(row for row in rows if row["submission"] == "bob" and row["file"].startswith("03"))
    assert "[3a] the sign is turned" in bob["replies"]


def test_a_submission_is_out_of_what_could_be_handed_in():
    right = {q: grade.Verdict(q, "right", "right.", 3.0, 3) for q in ("1a", "1b")}
    reports = [grade.Report("ada", "01.ipynb", right), grade.Report("bob", "", remarks=["no notebook"])]
    assert grade.totals(reports) == {"ada": (6, 80), "bob": (0, 80)}
    assert grade.totals(reports, ["1", "2"]) == {"ada": (6, 24), "bob": (0, 24)}
    assert grade.totals(reports, ["1b", "3a"]) == {"ada": (3, 8), "bob": (0, 8)}
    assert len(grade.table(reports[:1], ["1a", "1b"])) == 2 and grade.table(reports[:1])[2].split() == [
        "ada", "all", "6", "80"]  # fmt: skip
    for name, said in (("7", "there is no question '7'"), ("2 printed", "gives no points; name parts")):
        with pytest.raises(ValueError, match=said):
            grade.totals(reports, [name])


def test_what_systems_add_is_no_submission_and_a_zip_is_remarked(tmp_path):
    for name in ("__MACOSX/._a.ipynb", "ada/.DS_Store", "ada/a.ipynb", "ada/rest.ZIP", "ada/p1_report.pdf", "bob.zip"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    names = {submission: grade.to_grade(files) for submission, files in grade.submissions(tmp_path).items()}
    assert names == {"ada": ["a.ipynb", "rest.ZIP"], "bob": ["bob.zip"]}


@pytest.mark.parametrize(
    ("name", "content", "remedy"),
    [
        ("a.zip", "PK", "a zip; unpack it into a folder with the student's name"),
        ("a.PDF", "%PDF", "a PDF; ask for the notebook itself, its .ipynb file"),
        ("a.ipynb", '{"nbformat": 3, "worksheets": []}', "renew it with jupyter nbconvert --to notebook --inplace"),
    ],
)
def test_what_is_handed_in_instead_of_a_notebook_is_told_a_remedy(tmp_path, name, content, remedy):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=remedy):
        read_cells(tmp_path / name)


def test_a_typed_accuracy_is_not_believed():
    for typed in ([0.96], ["0.96"], [None]):
        said = grade.Judge(None, 0)._verdict(answers.find("P2"), typed)
        assert (said.status, said.earned) == ("unreadable", 0) and "in the notebook only" in said.sentence
    assert grade.Judge(None, 0)._verdict(answers.find("P2"), [...]).status == "unanswered"


def test_a_network_is_run_with_the_activations_it_came_with():
    rng = np.random.default_rng(0)
    sizes = (784, 5, 4, 10)
    weights = [rng.normal(size=pair) for pair in zip(sizes[:-1], sizes[1:], strict=True)]
    rows = [rng.normal(size=(1, d)) for d in sizes[1:]]  # biases as rows, as keepdims leaves them
    x = rng.random((3, 784))
    (mixed,) = grade.Network(weights, rows, ["Tanh", "ReLU", "Identity"]).readings()
    wanted = np.maximum(np.tanh(x @ weights[0] + rows[0]) @ weights[1] + rows[1], 0) @ weights[2] + rows[2]
    np.testing.assert_allclose(mixed.forward(x), wanted)
    for unknown in ([], ["Tanh"], ["LeakyReLU", "Tanh"]):
        assert len(list(grade.Network(weights, rows, unknown).readings())) == 9


@pytest.mark.parametrize("value", [
    Fraction(1, 4), [[Fraction(1, 4)] * 2] * 2, Decimal("0.25"), collections.deque([1, 2]), array.array("d", [0.5]),
])  # fmt: skip
def test_exact_numbers_survive_the_pipe_as_numbers(value):
    back = decode(json.loads(json.dumps(encode(value))))
    assert np.array_equal(np.asarray(back, dtype=float), np.asarray(value).astype(float))


@pytest.mark.parametrize(
    "value",
    [1, 2.5, True, None, "text", [[1, 2], [3, 4.5]], np.arange(6.0).reshape(2, 3), np.array([1, 2]), np.float32(3), ...,
     float("nan"), 10**400, np.zeros((0, 3))],
)  # fmt: skip
def test_values_survive_the_pipe(value):
    back = decode(json.loads(json.dumps(encode(value))))
    if value is None or value is ... or isinstance(value, str | bool):
        assert back is value or back == value
    elif value == 10**400 if isinstance(value, int) else False:
        assert back == value
    else:
        np.testing.assert_array_equal(np.asarray(back, dtype=float), np.asarray(value, dtype=float))


def test_what_is_no_value_is_refused():
    packed = [("AAAA", "O", [1]), ("!", "<f8", [9]), ("", "<f8", [10**12])]
    none = [dict(zip(("packed", "kind", "shape"), values, strict=True)) for values in packed]
    for data in (None, 3, [], {"list": 3}, {"array": ["x"]}, {"array": [None]}, {"array": []}, *none):
        try:
            found = decode(data)
        except ValueError:
            continue
        assert not isinstance(found, int | float | list | np.ndarray), data


@pytest.mark.parametrize("W", [np.float32(1), "text", np.zeros((784, 10), bool), np.zeros((784, 9)), np.zeros(784)])
def test_a_network_that_is_none_is_told_apart(W):
    judge = grade.Judge(None, None)
    network = {"W": [encode(np.asarray(W) if isinstance(W, np.generic) else W)], "b": [encode(np.zeros(10))]}
    judge.judge({"check": "P1e", "values": [{"network": network}]})
    assert judge.verdicts["P1e"].status == "unreadable" and "784 pixels" in judge.verdicts["P1e"].sentence


def test_a_typed_error_rate_is_not_believed():
    judge = grade.Judge(None, None)
    judge.judge({"check": "P1e", "values": [encode(0.01)]})
    assert judge.verdicts["P1e"].earned == 0 and "give the trained network" in judge.verdicts["P1e"].sentence


@pytest.mark.parametrize("content", [b"", b"PK", b"\x93NUMPY"])
def test_a_file_that_is_no_network(tmp_path, content):
    (tmp_path / "m.npz").write_bytes(content)
    with pytest.raises(ValueError, match="no file of W0"):
        grade.read_network(tmp_path / "m.npz")


def test_one_flipped_byte_of_a_network_is_noticed(tmp_path):
    np.savez(tmp_path / "m.npz", W0=np.zeros((784, 10), np.float32), b0=np.zeros(10, np.float32))
    whole = (tmp_path / "m.npz").read_bytes()
    # A number; the flag of an encrypted file; the type f4 that becomes f2, half of whose bytes are never read.
    for place, byte in ((5000, 1), (whole.index(b"PK\x01\x02") + 8, 1), (whole.index(b"<f4") + 2, ord("4") ^ ord("2"))):
        spoilt = bytearray(whole)
        spoilt[place] ^= byte
        (tmp_path / "m.npz").write_bytes(spoilt)
        with pytest.raises(ValueError):
            grade.read_network(tmp_path / "m.npz")
    (tmp_path / "m.npz").write_bytes(whole)
    assert grade.read_network(tmp_path / "m.npz").weights[0].shape == (784, 10)


def test_a_pickle_is_never_loaded(tmp_path):
    np.savez(tmp_path / "m.npz", W0=np.array([print], dtype=object), b0=np.zeros(10))
    with pytest.raises(ValueError):
        grade.read_network(tmp_path / "m.npz")


def test_two_kinds_of_activation_are_tried(two_kinds):
    if datasets.mnist(part="test").is_stand_in:
        pytest.skip("no MNIST here")
    path, error = two_kinds(p1.ReLU(), p1.Tanh())
    verdict = grade.judge_network(grade.read_network(path))
    assert abs(float(verdict.sentence.split()[0]) - error) < 0.02


def test_a_table_that_cannot_be_written_is_refused_before_anything_is_graded(tmp_path, capsys):
    (tmp_path / "a.ipynb").write_text("x")
    for csv_ in (tmp_path / "none" / "marks.csv", tmp_path):
        assert grade.main([str(tmp_path), "--csv", str(csv_)]) == 1
        assert "nothing was graded yet" in capsys.readouterr().err


def test_folders_that_cannot_be_graded(tmp_path, capsys):
    assert grade.main([str(tmp_path / "none")]) == 1 and "is not a folder" in capsys.readouterr().err
    assert grade.main([str(tmp_path)]) == 1 and "is empty" in capsys.readouterr().err
    (tmp_path / "a.ipynb").write_text("x")
    assert grade.main([str(tmp_path), "--seconds", "0"]) == 1 and "whole numbers" in capsys.readouterr().err
    assert grade.main([str(tmp_path), "--of", "1", "7"]) == 1 and "no question '7'" in capsys.readouterr().err
