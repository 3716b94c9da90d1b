"""Grading without walls, for notebooks that are trusted: the same answers count, and Python asks for no network."""

import os
import sys

import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from helpers import answers, build_notebooks

if sys.platform == "win32":
    pytest.skip("the limits of a process are those of Unix", allow_module_level=True)

from helpers import grade, grade_inside

RIGHT, WRONG = (
    ", ".join(repr(np.asarray(value).tolist()) for value in values)
    for values in (answers.find("1a").expected(), answers.find("1b").slips[0].make())
)
CELLS = (
    f'check("1a", {RIGHT})',
    "check = print",
    f'check("1b", {WRONG})',
    "def gradient(o, y):\n    return o - y",
    'check("3a", gradient)',
    "def broken(o, y, a, W1, W2):\n    raise KeyError('x')",
    'check("3b", broken)',
    "import socket\nsocket.create_connection(('127.0.0.1', 9))",
    "raise SystemExit  # of this cell only: it is skipped",
    "1 / 0",
)


@pytest.fixture
def report(tmp_path, monkeypatch):
    """The report on a notebook of CELLS, run without walls, its inside measured where a coverage is."""
    (tmp_path / "edition" / ".fonts").mkdir(parents=True)
    (tmp_path / "edition" / "grade_inside.py").symlink_to(grade_inside.__file__)
    build_notebooks.write(new_notebook(cells=[new_code_cell(cell) for cell in CELLS]), tmp_path / "01_x.ipynb")
    known, measured = grade.environment, {k: v for k, v in os.environ.items() if k.startswith("COVERAGE")}
    monkeypatch.setattr(grade, "environment", lambda base: known(base) | measured)
    limits = grade.Limits(seconds=20, megabytes=1000, contained=False)
    files = {"01_x.ipynb": tmp_path / "01_x.ipynb"}
    return grade.grade_file(
        tmp_path / "edition", {"01_x": ["1a", "1b"]}, {CELLS[8]}, tmp_path, "ada", files, "01_x.ipynb", limits, []
    )


def test_answers_count_and_what_goes_wrong_is_told(report):
    told = {question: (verdict.status, verdict.earned) for question, verdict in report.verdicts.items()}
    assert told == {"1a": ("right", 3), "1b": ("wrong", 0), "3a": ("right", 5), "3b": ("wrong", 0)}
    assert "KeyError" in report.verdicts["3b"].sentence
    assert len(report.remarks) == 3, report.remarks
    overwritten, network, division = report.remarks
    assert overwritten == "its check was overwritten; the answers were judged all the same"
    assert network == "cell 8 raised OSError: there is no network while a notebook is graded"
    assert division == "cell 10 raised ZeroDivisionError: division by zero"


@pytest.mark.parametrize("content", [b"", b"[]", b'{"cells": 3}', b'{"cells": [{}]}', b"[" * 100_000, b"\xff\xfe"])
def test_what_is_no_notebook_is_said(tmp_path, content):
    (tmp_path / "a.ipynb").write_bytes(content)
    with pytest.raises(ValueError, match="^it is not a notebook$"):
        grade_inside.read_cells(str(tmp_path / "a.ipynb"))


def test_a_link_and_a_large_file_are_not_read(tmp_path, monkeypatch):
    (tmp_path / "a.ipynb").symlink_to("/etc/hostname")
    with pytest.raises(ValueError, match="^it is not a file$"):
        grade_inside.read_cells(str(tmp_path / "a.ipynb"))
    (tmp_path / "b.ipynb").write_bytes(bytes(2_000_000))
    monkeypatch.setattr(grade_inside, "LARGEST_FILE", 1_000_000)
    with pytest.raises(ValueError, match="^it has 2 MB; have its outputs cleared$"):
        grade_inside.read_cells(str(tmp_path / "b.ipynb"))


def test_claims_of_stored_outputs_are_found(tmp_path):
    cell = new_code_cell(["a\n", "b"])
    cell.source, cell.outputs = ["a\n", "b"], [{"text": f"{grade_inside.TICK} 1a (3 points)"}]
    (tmp_path / "a.ipynb").write_text(grade_inside.json.dumps({"cells": [cell]}))
    assert grade_inside.read_cells(str(tmp_path / "a.ipynb")) == (["a\nb"], {"1a"})
