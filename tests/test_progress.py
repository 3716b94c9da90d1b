"""Progress is kept, only ever grows, and never stands in the way of a check; answers come when asked for."""

import json
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import answers, progress
from helpers.answers import answer, check, hint

ALL = {q.id: q for prefix in answers._PARTS for q in answers._questions(prefix).values()}


@pytest.fixture
def file(tmp_path, monkeypatch):
    path = tmp_path / "progress.json"
    monkeypatch.setenv("WORKBOOK_PROGRESS", str(path))
    return path


def cells():
    return {row[0]: row[1:] for row in answers.progress().cells}


def test_a_right_answer_is_kept_and_a_later_wrong_one_takes_nothing_away(file):
    assert cells()["Theory 4"] == ["0", "16", "", "4a, 4b, 4c, 4d"]
    check("4c", [[0, 0], [0, 0]])
    assert not file.exists()
    check("4c", [[17.75, 16.75], [2, 3.5]])
    check("4c", ...)
    assert cells()["Theory 4"] == ["4", "16", "4c", "4a, 4b, 4d"]
    assert json.loads(file.read_text()) == {"4c": 4}


def test_a_part_of_the_points_is_kept_until_there_are_more(file):
    check("P1e", 0.15)
    assert "P1e (3 of 5)" in cells()["Programming 1"][3]
    check("P1e", 0.03)
    assert cells()["Programming 1"][2:] == ["P1e", "P1a, P1b, P1c, P1d"]
    check("P1e", 0.15)
    assert cells()["all"][0] == "10"


def test_the_points_are_those_of_the_assignment():
    possible = {row[0]: row[2] for row in answers.progress().cells}
    for part, points in {"Theory 1": "12", "Theory 2": "12", "Theory 3": "10", "Theory 4": "16"}.items():
        assert possible[part] == points
    assert possible["Programming 1"] == "25"


def test_practice_questions_leave_no_trace(file):
    assert check("0", 0.5).status == "right"
    assert not file.exists()


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", '{"1a": "x"}', '{"1a": NaN}', "[" * 100_000, "\x00\xff", '{"1a": 1' + 400 * "0" + "}"],
)
def test_a_broken_file_is_no_trouble(file, content):
    file.write_text(content, encoding="latin-1")
    assert cells()["all"][0] == "0"
    assert check("4c", [[17.75, 16.75], [2, 3.5]]).status == "right"
    assert cells()["all"][0] == "4"


def test_where_nothing_can_be_written_checks_still_answer(tmp_path, monkeypatch):
    (tmp_path / "folder").mkdir()
    for place in (tmp_path / "folder", "/proc/p.json", "/dev/null/p.json", ""):
        monkeypatch.setenv("WORKBOOK_PROGRESS", str(place))
        assert check("4c", [[17.75, 16.75], [2, 3.5]]).status == "right"
        assert cells()["all"][0] == "0"


def test_one_notebook_does_not_wait_for_another_for_ever(file, monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE", 0.05)
    with progress.FileLock(f"{file}.lock"):
        worker = threading.Thread(target=progress.record, args=("1a", 3))
        worker.start()
        worker.join(5)
    assert not worker.is_alive() and not file.exists()


def test_many_notebooks_write_at_once_and_nothing_is_lost(file):
    code = "import sys; from helpers import progress; [progress.record(f'{sys.argv[1]}{i}', 1) for i in range(20)]"
    workers = [subprocess.Popen([sys.executable, "-c", code, name]) for name in "abc"]
    assert [worker.wait(60) for worker in workers] == [0, 0, 0]
    assert len(progress.read()) == 60
    assert not [name for name in os.listdir(file.parent) if name.endswith(".part")]


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.sampled_from(["1a", "4c"]), st.integers(0, 9)), max_size=8))
def test_what_is_kept_is_the_best(tmp_path_factory, results):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBOOK_PROGRESS", str(tmp_path_factory.mktemp("p") / "p.json"))
        for question, earned in results:
            progress.record(question, earned)
        best = {q: max(e for name, e in results if name == q) for q, _ in results}
        assert progress.read() == {q: e for q, e in best.items() if e}


def test_by_default_it_lies_beside_the_notebooks_and_git_ignores_it(monkeypatch):
    monkeypatch.delenv("WORKBOOK_PROGRESS")
    path = progress.path()
    assert path == progress.NOTEBOOKS / ".progress.json"
    ignored = subprocess.run(["git", "check-ignore", "-q", path], cwd=path.parents[1])
    assert ignored.returncode in (0, 128)  # 128: this copy is no git repository


@pytest.mark.parametrize("name", [*ALL, "0", "1c", "2"])
def test_answers_are_shown_when_asked_and_hold_what_the_check_wants(name):
    shown = repr(answer(name))
    for question in answers.find_all(name):
        assert f"{question.id}: " in shown
        if type(question).__name__ != "Question":
            continue
        for value in np.concatenate([np.ravel(np.asarray(v, dtype=float)) for v in question.expected()]):
            written = f"{value:.{question.decimals}f}".rstrip("0").rstrip(".").removeprefix("-")
            assert written in shown or str(bool(value)) in shown or f"{int(value)}." in shown, (written, shown)


def test_the_code_that_an_answer_shows_is_right():
    """What answer("3b") prints after `return` is run and checked."""
    for name, arguments in (("3a", "o, y"), ("3b", "o, y, a, W1, W2")):
        formula = answer(name).split("return ")[1]
        assert check(name, eval(f"lambda {arguments}: {formula}")).status == "right"
    space = {"np": np, "Activation": object, "Criterion": object, "_require": lambda *a: None}
    exec(answer("P1a").split(": ", 1)[1], space)
    made = {n: type(n, (space[n],), {"__call__": space[n].forward}) for n in ("Sigmoid", "Tanh", "ReLU")}
    assert check("P1a", made).status == "right"


def test_a_name_with_several_parts():
    with pytest.raises(ValueError, match="check one of 1c GD, 1c momentum"):
        check("1c", 1)
    answers._hinted.clear()
    assert "Hint 1 of 6 to 1c" in hint("1c")
    with pytest.raises(ValueError, match="there is no question '7'"):
        answer("7")
