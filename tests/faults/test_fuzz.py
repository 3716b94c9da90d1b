"""Notebooks, answers, messages and files of progress, spoilt at random: the documented ValueError, or a sentence."""

import copy
import json

import acts
import nbformat
import numpy as np
import pytest

from helpers import answers, build_notebooks, datasets, grade, progress, student
from helpers.checks import Verdict
from helpers.grade_inside import decode, encode, read_cells

NOTEBOOKS = sorted((acts.ROOT / "notebooks").glob("0*.ipynb"))
ODD = [None, True, 0, -1, 10**400, 1e308, float("nan"), float("inf"), "", "x", "\ud800", [], [[]], {}, {"a": 1},
       [1, [2]], "code", ["a", 3], {"source": 1}]  # fmt: skip


def places(value, path=()):
    """Yield the path of every value inside a JSON value."""
    yield path
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield from places(inner, (*path, key))


def spoilt(value, rng, times=1):
    """Return a copy of a JSON value in which parts are replaced, removed, doubled or renamed."""
    value = copy.deepcopy(value)
    for _ in range(times):
        path = rng.choice(list(places(value)))
        if not path:
            return copy.deepcopy(rng.choice(ODD))
        holder = value
        for key in path[:-1]:
            holder = holder[key]
        way = rng.randrange(4)
        if way == 0:
            holder[path[-1]] = copy.deepcopy(rng.choice(ODD))  # else it might come to hold itself
        elif way == 1:
            del holder[path[-1]]
        elif way == 2 and isinstance(holder, list):
            holder.insert(path[-1], copy.deepcopy(holder[path[-1]]))
        elif way == 3 and isinstance(holder, dict):
            holder[str(rng.random())] = holder.pop(path[-1])
        elif isinstance(holder[path[-1]], str):
            text = holder[path[-1]]
            cut = rng.randrange(len(text) + 1)
            holder[path[-1]] = text[:cut] + rng.choice(["\0", "'", "\\", "\N{CHECK MARK} 1a (", "("]) + text[cut:]
    return value


def spoilt_bytes(content, rng):
    """Return bytes of which some were changed, cut off or inserted."""
    content = bytearray(content)
    for _ in range(rng.randrange(1, 4)):
        place = rng.randrange(len(content) + 1)
        way = rng.randrange(3)
        if way == 0:
            del content[place:]
        elif way == 1:
            content[place:place] = rng.randbytes(rng.randrange(1, 9))
        elif place < len(content):
            content[place] = rng.randrange(256)
    return bytes(content)


def one_sentence(said):
    assert said and "\n" not in said and len(said) < 2000, said


def test_notebooks_that_are_graded(rng, tally, tmp_path):
    tried, refused = 0, 0
    for path in NOTEBOOKS:
        whole = json.loads(path.read_text(encoding="utf-8"))
        for cell in whole["cells"]:
            cell["outputs"] = cell.get("outputs", [])[:1] if len(str(cell.get("outputs"))) < 2000 else []
        raw = json.dumps(whole).encode()
        for number in range(60):
            content = spoilt_bytes(raw, rng) if number % 2 else json.dumps(spoilt(whole, rng, 1 + number % 5)).encode()
            (tmp_path / "n.ipynb").write_bytes(content)
            tried += 1
            try:
                sources, claims = read_cells(tmp_path / "n.ipynb")
            except ValueError as error:
                refused += 1
                one_sentence(str(error))
            else:
                assert all(isinstance(source, str) for source in sources) and isinstance(claims, set)
    tally("notebooks, as the grader reads them", tried, f"{refused} refused in a sentence, the others read")


def test_notebooks_of_which_an_edition_is_made(rng, tally, tmp_path, monkeypatch):
    monkeypatch.setattr(build_notebooks, "NOTEBOOKS", tmp_path)
    tried, refused = 0, 0
    for path in NOTEBOOKS[:4]:
        whole = json.loads(path.read_text(encoding="utf-8"))
        for cell in whole["cells"]:
            cell |= {"outputs": []} if "outputs" in cell else {}
        for number in range(25):
            content = json.dumps(spoilt(whole, rng, 1 + number % 3)).encode()
            (tmp_path / path.name).write_bytes(spoilt_bytes(content, rng) if number % 5 == 0 else content)
            tried += 1
            try:
                student.student_notebooks()
            except ValueError as error:
                refused += 1
                assert path.name in str(error)
        (tmp_path / path.name).unlink()
    tally("notebooks, as the student edition reads them", tried, f"{refused} refused in a sentence, the others read")


class Nasty:
    """Raises when it is taken for numbers, shown or compared."""

    def __array__(self, *_, **__):
        raise RuntimeError("nasty")

    def __float__(self):
        raise RuntimeError("nasty")

    __len__ = __iter__ = __eq__ = __bool__ = __repr__ = __float__
    __hash__ = None


class Detached:
    def detach(self):
        return 3


def values(rng):
    """Return something that a reader may type, or would never."""
    numbers = np.random.default_rng(rng.randrange(2**32))
    kinds = [
        lambda: rng.choice(ODD),
        lambda: rng.gauss(0, 10),
        lambda: numbers.normal(size=tuple(numbers.integers(0, 4, numbers.integers(0, 4)))),
        lambda: numbers.integers(0, 2, (2, 2)).astype(rng.choice(["?", "i1", "c16", "f2", "U3", "S2", "O", "M8[s]"])),
        lambda: [values(rng) for _ in range(rng.randrange(4))],
        lambda: {rng.choice("abW"): values(rng)},
        lambda: tuple(values(rng) for _ in range(rng.randrange(3))),
        lambda: rng.choice([print, len, Nasty, Nasty(), Detached(), type, np, ..., b"1", 1j, range(3), {1, 2}]),
        lambda: lambda *_: values(rng),
        lambda: lambda: 1 / 0,
        lambda: type("W", (), {"W": [numbers.normal(size=(784, 10))], "b": [numbers.normal(size=10)]}),
    ]
    return rng.choice(kinds)()


ROOMS = ("start", "descent", "gates", "backprop", "convolution", "mlp")
QUESTIONS = [question for room in ROOMS for question in answers.of_topic(room)]


@pytest.mark.filterwarnings("ignore")
def test_answers(rng, tally, capsys):
    tried = 0
    for question in QUESTIONS:
        for _ in range(25):
            given = [values(rng) for _ in range(rng.choice([len(question.parts), 0, 1, 2]))]
            with np.errstate(all="ignore"):
                verdict = question.judge(*given)
            tried += 1
            assert isinstance(verdict, Verdict) and 0 <= verdict.earned <= max(verdict.points, 2)
            assert verdict.sentence
    capsys.readouterr()
    tally("answers that are checked", tried, "a verdict each time")


@pytest.mark.filterwarnings("ignore")
def test_messages_from_a_notebook(rng, tally, monkeypatch):
    images, labels = acts.noise(100, (28, 28), 0)
    facts = {"class_names": (), "fingerprint": "", "source": "", "is_stand_in": False}
    few = datasets.Dataset("MNIST", images, labels, images, labels, **facts)  # the whole of it takes a second a time
    monkeypatch.setattr(datasets, "mnist", lambda part: few)
    good = [{"check": q.id, "values": [encode(value) for value in q.expected()]}
            for q in QUESTIONS if type(q).__name__ == "Question"]  # fmt: skip
    network = {"W": [encode(np.zeros((784, 10)))], "b": [encode(np.zeros(10))]}
    good += [{"check": "P1e", "values": [{"network": network, "activations": ["ReLU"]}]}]
    tried = 0
    for _ in range(1000):
        message = spoilt(rng.choice(good), rng, rng.randrange(1, 5))
        if not isinstance(message, dict):
            continue
        judge = grade.Judge(None, None)
        with np.errstate(all="ignore"):
            judge.judge(message)
        tried += 1
        assert all(verdict.sentence.isprintable() for verdict in judge.verdicts.values())
    for _ in range(3000):
        data = spoilt(rng.choice(rng.choice(good)["values"]), rng, rng.randrange(1, 4))
        tried += 1
        try:
            decode(data)
        except ValueError as error:
            one_sentence(str(error))
    tally("messages of a notebook to the grader", tried, "a verdict or a ValueError each time")


def test_files_of_progress(rng, tally, tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBOOK_PROGRESS", str(tmp_path / "p.json"))
    kept = {"1a": 3.0, "1b": 2.5, "2 XOR": 4}
    tried = 0
    for number in range(600):
        content = json.dumps(kept if number % 2 else spoilt(kept, rng, 1 + number % 3)).encode()
        (tmp_path / "p.json").write_bytes(spoilt_bytes(content, rng) if number % 3 else content)
        found = progress.read()
        assert all(isinstance(name, str) and isinstance(earned, float) for name, earned in found.items())
        if number % 20 == 0:
            progress.record("1c", 7)
            assert progress.read()["1c"] >= 7
        tried += 1
    tally("files of progress", tried, "read, or counted as nothing")


def test_notebooks_whole_are_read():
    """The mutations above start from what is good."""
    for path in NOTEBOOKS:
        assert read_cells(path)[0]
        nbformat.validate(nbformat.read(path, as_version=4))
