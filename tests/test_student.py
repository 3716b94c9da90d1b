"""The student edition: it runs unanswered, gives all points for right answers, names slips, and holds no answers."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest

from helpers import answers, student
from helpers.build_notebooks import NOTEBOOKS

NAMES = [path.name for path in sorted(NOTEBOOKS.glob("*.ipynb"))]


@pytest.fixture(scope="module")
def edition(tmp_path_factory):
    return student.build(tmp_path_factory.mktemp("edition") / "student")


def python(edition, *arguments, progress=""):
    """Run Python with the edition's helpers and return what it printed."""
    settings = {"PYTHONPATH": str(edition), "WORKBOOK_PROGRESS": str(progress), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=edition / "notebooks", env=os.environ | settings,
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def cells(notebook, kind="code"):
    return [cell for cell in notebook.cells if cell.cell_type == kind]


def checks(notebook):
    return re.findall(r'^check\("([^"]+)"', "\n".join(cell.source for cell in cells(notebook)), flags=re.M)


@pytest.mark.parametrize("name", NAMES)
def test_a_reader_of_the_student_edition(edition, tmp_path, name):
    reader = Path(__file__).with_name("student_reader.py")
    found = json.loads(python(edition, reader, edition / "notebooks" / name, progress=tmp_path / "p.json"))
    assert Path(found["helpers"]).parent == edition / "helpers"
    assert list(found["checks"]) == checks(nbformat.read(NOTEBOOKS / name, as_version=4)), "a check is lost"
    for question, seen in found["checks"].items():
        assert seen["unanswered"] == "unanswered"
        assert seen["right"] == "right" and seen["earned"] >= seen["points"], (question, seen)
        for sentence, said in seen["slips"]:
            assert sentence in said, (question, sentence, said)
    possible = sum(seen["points"] for seen in found["checks"].values())
    assert float(found["progress"][-1][1]) >= possible
    if possible:
        assert set(found["explorers"]) <= {"Explorer"}, "the explorers stay closed though all is answered"
    if any("not real data" in text for text in found["printed"].values()):
        return  # what is stored is about the real images
    for cell in cells(nbformat.read(edition / "notebooks" / name, as_version=4)):
        if "nbval-ignore-output" not in cell.metadata.get("tags", []):
            for output in cell.outputs:
                if output.output_type == "execute_result":
                    assert output.data["text/plain"] == found["printed"][cell.source], "stored is what it prints"


def told_numbers(question):
    """Return the expected values of a question with at least three decimals, as they may be printed."""
    values = np.concatenate([np.ravel(np.asarray(v, dtype=float)) for v in question.expected()])
    written = {f"{abs(value):.{question.decimals}f}" for value in values}
    return {number for number in written if len(number.partition(".")[2].rstrip("0")) >= 3}


@pytest.mark.parametrize("name", NAMES)
def test_no_answer_is_left_in_texts_and_outputs(edition, name):
    """Numbers asked for, formulas asked for, the folds that hold answers, and what explorers showed."""
    notebook = nbformat.read(edition / "notebooks" / name, as_version=4)
    shown = [cell.source for cell in notebook.cells]
    shown += [str(o.get("text", "")) + str(o.get("data", {}).get("text/plain", ""))
              for cell in cells(notebook) for o in cell.outputs]  # fmt: skip
    text = "\n".join(shown)
    for prefix in "1234":
        for question in answers._questions(prefix).values():
            if type(question).__name__ == "Question":
                assert [number for number in told_numbers(question) if number in text] == []
    assert not re.search("Full answer|What you may have seen|### Worked|## Cross-check", text)
    if name[:2] in ("01", "02", "03", "04"):
        assert not re.search(r"o\s*[-−]\s*y\b|W2\.T|W_2\^|\b1 ?/ ?4\b|-1\.5|4/3", text)
    for cell in cells(notebook):
        assert "p1." not in cell.source and not (cell.outputs and cell.source.startswith("explore."))
    nbformat.validate(notebook)


def test_what_cannot_be_imported_by_accident(edition):
    code = """
import importlib, json, pathlib, helpers
from helpers.answers import answer, check, hint, progress
def missing(name):
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        return True
rooms = ["answers.descent", "answers.mlp", "core.mlp", "core.cnn", "core.descent", "figures.scene"]
found = {"missing": [name for name in rooms if missing(f"helpers.{name}")], "rooms": rooms}
from helpers.core import backprop, gates
from helpers.explore import gates as explore
found["names"] = [n for m in (backprop, gates) for n in dir(m) if not n.startswith("__")]
net, x, y = backprop.worked_example()
found["words"] = [n for n in (*dir(helpers.answers), *dir(net), *dir(net.forward(x, y))) if not n.startswith("_")]
found["door"] = [repr(explore.neuron()), type(explore.neuron()).__name__]
found["answer"] = answer("4c")
print(json.dumps(found))
"""
    found = json.loads(python(edition, "-c", code))
    assert found["missing"] == found["rooms"]
    assert not {"smallest_network", "separate", "softmax_jacobian", "backward"} & set(found["names"])
    assert not {"find", "expected", "QUESTIONS", "backward"} & set(found["words"])
    assert found["door"] == ["This opens when 2 AND, 2 OR, 2 XOR, 2 XNOR are answered rightly.", "Closed"]
    assert "no worked answers" in found["answer"] and "17.75" not in found["answer"]
    readable = "\n".join(p.read_text(encoding="utf-8") for p in (edition / "helpers").rglob("*.py"))
    assert "_walk" not in readable and "class MLP" not in readable and "Slip(" not in readable


def test_the_edition_is_the_same_when_built_again_and_spares_other_folders(edition, tmp_path, capsys):
    before = {p.relative_to(edition): p.read_bytes() for p in edition.rglob("*") if p.is_file()
              and "__pycache__" not in p.parts and p.suffix != ".lock"}  # fmt: skip  # of a search for data
    again = student.build(tmp_path / "again")
    assert {p.relative_to(again): p.read_bytes() for p in again.rglob("*") if p.is_file()} == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    assert student.main([str(tmp_path / "mine")]) == 1
    assert "holds something other" in capsys.readouterr().err
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def closed(*sources):
    """Close a notebook of the given cells, a text beginning with %, the rest code; return what remains."""
    made = nbformat.v4.new_notebook()
    for source in sources:
        tags = re.findall(r"@(\w+)", source)
        source = re.sub(r"@\w+", "", source)
        make = nbformat.v4.new_markdown_cell if source.startswith("%") else nbformat.v4.new_code_cell
        made.cells.append(make(source.lstrip("%"), metadata={"tags": tags} if tags else {}))
    return [cell.source for cell in student.close(made).cells]


def test_notebooks_marked_for_nbgrader_hold_every_point_once():
    made = {name: student.mark(notebook) for name, notebook in student.student_notebooks().items()}
    marks = {name: [c for c in notebook.cells if "nbgrader" in c.metadata] for name, notebook in made.items()}
    for name, notebook in made.items():
        nbformat.validate(notebook)
        names = [c.metadata["nbgrader"]["grade_id"] for c in marks[name]]
        assert len(names) == len(set(names))
        asked = [q for q in checks(nbformat.read(NOTEBOOKS / name, as_version=4)) if answers.find(q).points]
        graded = [c.metadata["nbgrader"] for c in marks[name] if c.metadata["nbgrader"]["grade"]]
        assert [g["points"] for g in graded] == [answers.find(q).points for q in asked]
        assert all("..." in c.source for c in marks[name] if c.metadata["nbgrader"]["solution"])
    assert sum(g.metadata["nbgrader"].get("points", 0) for cells in marks.values() for g in cells) >= 75


def test_a_check_marked_for_nbgrader_gives_its_points_as_a_value(capsys):
    sys.path.insert(0, str(Path(__file__).parent))
    from student_reader import run

    space = {"check": answers.check}
    space |= dict(zip(("x1", "x2", "x3", "f1", "f2", "f3"), answers.find("1a").expected(), strict=True))
    notebook = student.mark(student.student_notebooks()["01_gelu_gradient_descent.ipynb"])
    (cell,) = [c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") == "check-1a"]
    assert run(cell.source, space) == 3 and "right" in capsys.readouterr().out
    assert run(cell.source, space | {"x2": 7.0}) == 0


def test_the_rules_of_closing():
    assert closed("%## Part\n### Worked\nx", "a = 1", "%### Your turn", "b = 2") == [
        "## Part",
        "### Your turn",
        "b = 2",
    ]
    assert closed("%### Worked", "%### When\nmore", "a = 1", "%## Next") == ["## Next"]
    assert closed("%### Worked\n\n```\n## no heading\n```\n", "a = 1") == []
    assert closed("a = 1@worked", "b = 2") == ["b = 2"]
    assert closed("%### Worked", "a = 1@open", "%kept@open", "b = 2") == ["a = 1", "kept"]
    assert closed("%## Recap\n\n1. secret\n\n**Next:** on") == [f"## Recap\n\n{student._OWN_WORDS}\n\n**Next:** on"]
    assert closed("%<details><summary>Full answer</summary>\n\n`o`\n</details>\n\nafter") == ["after"]
    assert closed("%see [`x`](../helpers/core/mlp.py)") == ["see `x`"]
    assert closed("%a<!-- worked -->, as above<!-- /worked --> b<!-- student:, by you -->.") == ["a b, by you."]
    assert closed("%<!-- worked -->\n\nours\n\n<!-- /worked -->", "%<!-- student:\nyours\n-->") == ["yours"]


@pytest.mark.parametrize("name", NAMES)
def test_marks_of_the_editions_come_in_pairs_and_leave_the_text_a_text(name):
    """Of a line that a comment begins, browsers make plain HTML to its end, with all stars and dollars showing."""
    for cell in cells(nbformat.read(NOTEBOOKS / name, as_version=4), "markdown"):
        assert re.sub(r"<!-- worked -->[^<]*<!-- /worked -->|<!-- student:[^<]*-->", "", cell.source).count("<!--") == 0
        assert not re.search(r"^ *<!--((?!-->).)*-->[^\n]", cell.source, flags=re.M | re.S)


@pytest.mark.parametrize("content", ["", "[]", '{"cells": 1}', "{", None])
def test_a_damaged_notebook_is_named(tmp_path, monkeypatch, content):
    if content is None:  # a cell that is no Python
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x = (")])
        content = nbformat.writes(notebook)
    (tmp_path / "01_x.ipynb").write_text(content)
    monkeypatch.setattr(student.build_notebooks, "NOTEBOOKS", tmp_path)
    with pytest.raises(ValueError, match="01_x.ipynb is damaged .*; build it again with make notebooks$"):
        student.student_notebooks()


def test_a_cell_that_needs_what_is_closed_is_closed_too():
    assert closed("%### Worked", "a = 1", "%## Next", "b = a + 1", "c = b", "d = 2", "print(d)") == [
        "## Next", "d = 2", "print(d)"]  # fmt: skip
    assert closed("from helpers.core import mlp as p1\nimport numpy as np", "p1.MLP", "np.eye(2)") == [
        "import numpy as np", "np.eye(2)"]  # fmt: skip
    comprehension = "def f(x):\n    return [y for y in x if len(x)]"
    assert closed(comprehension, "f([1])") == [comprehension, "f([1])"]
    assert closed("from helpers.core import gates\nfrom helpers.style import Table", "Table(1)") == [
        "from helpers.style import Table", "Table(1)"]  # fmt: skip
