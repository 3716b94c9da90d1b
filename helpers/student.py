"""Builds the student edition: the same notebooks without the worked answers, and helpers that do not hand them out.

    python -m helpers.student            # into build/student/
    python -m helpers.student FOLDER
    python -m helpers.student --nbgrader COURSE/source/workbook   # the same, marked for nbgrader

What is taken out, and by which rule:

- *Closed* are the stretches under the headings of CLOSED, each up to the next `## ` heading, `### Part` or
  `### Your turn`, and any cell tagged `worked`; a cell tagged `open` stays. Closed cells are removed, and so are the
  folds of FOLDS. Of a closed text only its links to the next notebook and to the sources remain.
- A code cell that needs a name which only closed cells define is closed too, and so is one that uses the module of a
  hand-in (SUBMISSIONS): a student edition never stops with a NameError.
- In a text that stays, what speaks of closed cells stands between `<!-- worked -->` and `<!-- /worked -->`; what this
  edition says in its place is a comment, `<!-- student: ... -->`. A line that a comment begins is HTML to its end, not
  Markdown, so none begins a line that goes on after it.
- The rooms core, figures, explore and answers go into the archive `helpers/sealed.zip`, under the private name
  `helpers._sealed`. In their place stand modules that offer exactly the names that the notebooks use. Explorers open
  when the questions of their notebook are answered, for many of them would show the numbers asked for.

How strong that is: nothing that a reader types by accident, completes with Tab, greps or opens in an editor shows an
answer. It does not hold against intent. Anyone may unpack the archive, and hashes of the answers would hold no better:
a number with four decimals is found by trying them all. Nor would it be worth it, as the answers can be computed by
whoever can program them, which is what the assignment asks for. Grading never uses the student's copy of the helpers.
"""

import argparse
import ast
import builtins
import os
import re
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

import nbformat
from nbconvert.preprocessors import TagRemovePreprocessor

from helpers import answers, build_notebooks, files

ROOT = Path(__file__).resolve().parents[1]
CLOSED = (
    "### Worked",
    "## Cross-check",
    "## Logits of 1000",
    "## The shipped model",  # else it could be handed in as the own one
    "## What it says, honestly",
    "## Recap",
)
FOLDS = ("Full answer", "What you may have seen")
SUBMISSIONS = ("core.mlp", "core.cnn", "core.training", "p2")  # modules that are handed in as they are
OPEN_MODULES = (
    "style",
    "checks",
    "pixels",
    "progress",
    "datasets",
    "assignment",
    "check_environment",
    "files",
    "vision",
    "submission",
)
ROOMS = ("core", "figures", "explore", "answers")
FILES = ("requirements.txt", "pyproject.toml", "LICENSE", "artifacts/p1/p1_knobs.json")
_OWN_WORDS = "*In your own words: which five lines of this notebook will you still want to know in a year?*"
_WORKED = re.compile(r"<!-- worked -->.*?<!-- /worked -->", re.DOTALL)
_STUDENT = re.compile(r"<!-- student:(.*?)\s*-->", re.DOTALL)
_FOLD = re.compile(rf"<details><summary>({'|'.join(FOLDS)})</summary>.*?</details>\n*", re.DOTALL)
_ROOM_NAME = re.compile(rf"\bhelpers\.({'|'.join(ROOMS)})\b(?!\.explorer)")
_README = """\
# Student edition

    python3 -m venv .venv
    .venv/bin/python -m pip install -r requirements.txt
    .venv/bin/jupyter lab notebooks/00_start_here.ipynb

On Windows, in PowerShell, from a folder with a short path:

    py -3.13 -m venv .venv
    .venv\\Scripts\\python -m pip install -r requirements.txt
    .venv\\Scripts\\jupyter lab notebooks/00_start_here.ipynb

It needs Python 3.11, 3.12 or 3.13; `python3 --version` says which one yours is. What you answer rightly is noted in
`notebooks/.progress.json`, for you alone.

To hand in: the notebooks with your answers, and the files that notebooks 05 and 06 ask for under *Hand it in*. When
these files are done, `.venv/bin/python -m helpers.submission --p1 FOLDER --p2 FOLDER` tries each of them as a stranger
would and packs them into `artifacts/submission.zip`.

Graded notebooks are run anew from the top, within two minutes of computing: train your networks elsewhere, in `p1.py`
and `p2.py`, and load them in the notebook.
"""
_INIT = '''"""Shared code of the workbook, student edition."""

__path__.append(__path__[0] + "/sealed.zip")  # what figures, explorers and checks need; no reading matter
'''
_FOUR_WORDS = '''"""A reader's four words; what is right and which mistakes lead elsewhere is sealed."""

from helpers._sealed.answers import answer, check, hint, progress  # noqa: F401
'''
_NO_ANSWER = '''

def answer(question: str) -> Said:
    """Say that this edition holds no worked answers; raises ValueError for a question that does not exist."""
    find_all(question)
    return Said(f'This edition holds no worked answers; hint("{question}") goes as far as hints go.')
'''


# ---------------------------------------------------------------------------------------------------- notebooks


def close(notebook):
    """Take out of `notebook`, in place, what gives answers away; return it."""
    closed = False
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        if "open" in tags:
            continue
        out = closed
        if cell.cell_type == "markdown":
            cell.source, closed = _open_text(cell.source, closed)
            out = not cell.source
        if out:
            cell.metadata["tags"] = [*tags, "worked"]
    _close_dependents(notebook)
    TagRemovePreprocessor(remove_cell_tags={"worked"}).preprocess(notebook, {})
    _drop_unused_imports(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code" and "explore" in _names(cell, ast.Load):
            cell.outputs = []
    return notebook


def _open_text(text, closed):
    """Return what stays of a markdown text, and whether the text after it is closed."""
    kept, fenced = [], False
    text = _STUDENT.sub(lambda found: found[1], _WORKED.sub("", _FOLD.sub("", text)))
    for line in re.sub(r"\n{3,}", "\n\n", text).splitlines():
        fenced ^= line.startswith("```")
        if not fenced and line.startswith(CLOSED):
            closed = True
            if line.startswith("## Recap"):
                kept += [line, "", _OWN_WORDS, ""]
        elif not fenced and (line.startswith(("## ", "### Your turn", "### Part")) or line.startswith("**Next:**")):
            closed = False
        if not closed:
            kept.append(re.sub(r"\[([^]]*)\]\(\.\./helpers/[^)]*\)", r"\1", line))
    return "\n".join(kept).strip(), closed


def _close_dependents(notebook):
    """Tag the code cells that need a name which no open cell before them defines."""
    known = set(dir(builtins)) | {"__name__"}
    for cell in notebook.cells:
        if cell.cell_type != "code" or "worked" in cell.metadata.get("tags", []):
            continue
        for line, _, name, module in _imports(cell):
            if module in {f"helpers.{m}" for m in SUBMISSIONS}:
                cell.source = cell.source.replace(line, "")
            else:
                known.add(name)
        own = _names(cell, ast.Store)
        if _names(cell, ast.Load) - own - known:
            cell.metadata["tags"] = [*cell.metadata.get("tags", []), "worked"]
        else:
            known |= own


def _drop_unused_imports(notebook):
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    used = set().union(*(_names(cell, ast.Load) for cell in cells))
    for cell in cells:
        for line, _, name, module in _imports(cell):
            if name not in used and module.startswith("helpers.") and not module.startswith("helpers.answers"):
                cell.source = cell.source.replace(line, "")
        cell.source = re.sub(r"\n{3,}", "\n\n", cell.source).strip("\n")


def _imports(cell):
    """Yield (line, alias node, name in the notebook, full module name) for each import of a code cell."""
    lines = cell.source.splitlines(keepends=True)
    for node in ast.walk(ast.parse(cell.source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                parent = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
                yield (
                    lines[node.lineno - 1],
                    alias,
                    (alias.asname or alias.name).split(".")[0],
                    parent + alias.name,
                )


def _names(cell, context):
    """Return the names that a code cell reads (ast.Load) or defines (ast.Store), wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(cell.source)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, context):
            found.add(node.id)
        elif context is ast.Store and isinstance(node, ast.FunctionDef | ast.ClassDef | ast.arg):
            found.add(node.arg if isinstance(node, ast.arg) else node.name)
    return found


# ---------------------------------------------------------------------------------------------------- helpers


def uses(notebooks):
    """Return {(room, topic): names} of what the code cells of `notebooks` use of the rooms."""
    found: dict[tuple[str, str], set[str]] = {}
    for notebook in notebooks:
        cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
        aliases = {}
        for cell in cells:
            for _, _, name, module in _imports(cell):
                package, _, topic = module.rpartition(".")
                if package in {f"helpers.{room}" for room in ROOMS if room != "answers"}:
                    aliases[name] = (package.removeprefix("helpers."), topic)
                    found.setdefault(aliases[name], set())
        for node in (node for cell in cells for node in ast.walk(ast.parse(cell.source))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in aliases:
                found[aliases[node.value.id]].add(node.attr)
    return found


def _source(room, topic):
    return (ROOT / "helpers" / room / f"{topic}.py").read_text(encoding="utf-8")


def _needed(modules):
    """Return the modules, as (room, topic), that these import of the rooms, and so on, and these themselves."""
    found, todo = set(), set(modules)
    while todo:
        found |= todo
        tree = [node for room, topic in todo for node in ast.walk(ast.parse(_source(room, topic)))]
        names = {f"{n.module}.{alias.name}" for n in tree if isinstance(n, ast.ImportFrom) for alias in n.names}
        names |= {n.module for n in tree if isinstance(n, ast.ImportFrom) and n.module}
        parts = {tuple(name.split(".")[1:3]) for name in names if name.startswith("helpers.") and name.count(".") >= 2}
        todo = {p for p in parts if p[0] in ROOMS and p[1] != "explorer"} - found
    return found


def _sealed(source):
    """Return source code as it stands in the archive: the rooms have a private name and lie two levels deeper."""
    return _ROOM_NAME.sub(r"helpers._sealed.\1", source).replace("(__file__).parents[2]", "(__file__).parents[4]")


def _door(room, topic, names):
    """Return the source of the module that offers `names` of a sealed one."""
    lines = [f'"""What the notebooks use of {room}/{topic}; the rest belongs to the worked edition."""', ""]
    if room == "explore":
        questions = {q.id: q.points for q in answers.of_topic(topic) if q.points}
        lines += ["from helpers.progress import opens", f"from helpers._sealed.explore import {topic} as _room", ""]
        lines += [f"_questions = {questions!r}"]
        lines += [f"{name} = opens(_room.{name}, _questions)" for name in sorted(names)]
    elif names:
        lines += [f"from helpers._sealed.{room}.{topic} import {', '.join(sorted(names))}  # noqa: F401"]
    return "\n".join(lines) + "\n"


def _write_helpers(folder, used):
    source = ROOT / "helpers"
    for room in ROOMS:
        (folder / room).mkdir(parents=True)
        shutil.copy(source / room / "__init__.py", folder / room)
    (folder / "__init__.py").write_text(_INIT, encoding="utf-8")
    for name in OPEN_MODULES:
        shutil.copy(source / f"{name}.py", folder)
    for file in (source / "explore").glob("explorer.*"):
        shutil.copy(file, folder / "explore")
    words = (source / "answers" / "__init__.py").read_text(encoding="utf-8")
    (folder / "answers" / "__init__.py").write_text(_FOUR_WORDS, encoding="utf-8")
    for (room, topic), names in used.items():
        if (room, topic) != ("explore", "explorer"):
            (folder / room / f"{topic}.py").write_text(_door(room, topic, names), encoding="utf-8")
    rooms = [("answers", file.stem) for file in (source / "answers").glob("*.py") if file.stem != "__init__"]
    with zipfile.ZipFile(folder / "sealed.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("_sealed/__init__.py"), "")
        for room in ROOMS:
            inside = _sealed(words) + _NO_ANSWER if room == "answers" else ""
            archive.writestr(zipfile.ZipInfo(f"_sealed/{room}/__init__.py"), inside)
        for room, topic in sorted(_needed([*used, *rooms])):
            entry = zipfile.ZipInfo(f"_sealed/{room}/{topic}.py")  # dated 1980: equal builds are equal files
            archive.writestr(entry, _sealed(_source(room, topic)), zipfile.ZIP_DEFLATED)


# ---------------------------------------------------------------------------------------------------- the edition


def student_notebooks():
    """Return {file name: notebook} of the student edition, closed and with the outputs that remain.

    Raises ValueError for a notebook that is damaged.
    """
    made = {}
    for path in sorted(build_notebooks.NOTEBOOKS.glob("*.ipynb")):
        try:
            notebook = close(nbformat.read(path, as_version=4))
            made[path.name] = build_notebooks.clean(notebook)
        except Exception as error:  # a notebook can be broken in more ways than nbformat and ast have errors for
            said = " ".join(str(error).split())[:100]
            raise ValueError(
                f"{path.name} is damaged ({type(error).__name__}: {said}); build it again with make notebooks"
            ) from None
    return made


def mark(notebook):
    """Mark a closed notebook, in place, for nbgrader: places to answer, and checks whose points it adds up.

    A check that stands in one cell with its answer gets a cell of its own, and gives its points as its value, which
    nbgrader takes as the score. Points for extra work are cut off, as nbgrader knows none.
    """
    marked = []
    for cell in notebook.cells:
        found = (
            re.match(r'(.*?)^(check\("([^"]+)".*)', cell.source, re.DOTALL | re.M) if cell.cell_type == "code" else None
        )
        if not found or not answers.find(found[3]).points:
            marked.append(cell)
            continue
        answer, call, question = found.groups()
        points = answers.find(question).points
        if answer.strip():
            marked.append(nbformat.v4.new_code_cell(answer.strip(), id=f"{cell.id}-answer"))
        own = next(
            c for c in reversed(marked) if c.cell_type == "code" and not c.metadata.get("nbgrader", {}).get("grade")
        )
        if "nbgrader" not in own.metadata:  # the cell above may answer two questions
            _mark(own, question, grade=False, solution=True, locked=False)
        lines = f"verdict = {call.strip()}\nprint(verdict)\nmin(verdict.earned, verdict.points)"
        marked.append(nbformat.v4.new_code_cell(lines, id=cell.id))
        _mark(marked[-1], question, grade=True, solution=False, locked=True, points=points)
    notebook.cells = marked
    return notebook


def _mark(cell, question, **facts):
    name = ("check-" if facts["grade"] else "answer-") + question.replace(" ", "-")
    cell.metadata["nbgrader"] = {"grade_id": name, "schema_version": 3, "task": False, **facts}
    cell.outputs = []


def build(folder, nbgrader=False):
    """Write the student edition into `folder`, in place of an older one, and return it.

    With `nbgrader` the notebooks are marked for it and lie beside the helpers, as in a course's source/ASSIGNMENT.
    Raises ValueError for a folder that holds something else.
    """
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()) and not (folder / "helpers" / "sealed.zip").exists():
        raise ValueError(f"{folder} holds something other than a student edition; name an empty or a new folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".student.") as beside:
        made = Path(beside) / "student"
        notebooks = student_notebooks()
        place = made if nbgrader else made / "notebooks"
        place.mkdir(parents=True)
        _write_helpers(made / "helpers", uses(notebooks.values()))
        for name, notebook in notebooks.items():
            build_notebooks.write(mark(notebook) if nbgrader else notebook, place / name)
        for name in FILES:
            if (ROOT / name).exists():
                (made / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, made / name)
        readme = _README.replace("notebooks/", "") if nbgrader else _README
        (made / "README.md").write_text(readme, encoding="utf-8")
        if folder.exists():
            os.replace(folder, made.with_name("old"))  # it leaves as a whole: half an edition is never there
        os.replace(made, folder)
    return folder


def main(arguments=None):
    """Build the student edition into the folder named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m helpers.student", description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", default=ROOT / "build" / "student", help="build/student when left out")
    parser.add_argument("--nbgrader", action="store_true", help="mark the notebooks for nbgrader")
    given = parser.parse_args(arguments)

    def work():
        folder = build(given.folder, given.nbgrader)
        return f"{folder}: {len(list(folder.rglob('*.ipynb')))} notebooks"

    return files.finish(work, given.folder)


if __name__ == "__main__":
    sys.exit(main())
