"""Reads one notebook of the student edition as a reader would, in a process that has that edition's helpers.

    python tests/student_reader.py NOTEBOOK

Runs every cell unanswered, then gives each check the right answer, then every slip. Prints one JSON object.
"""

import ast
import contextlib
import io
import json
import sys
import warnings
from pathlib import Path

import numpy as np

import helpers
from helpers import answers

find = sys.modules[answers.check.__module__].find  # the student edition keeps it sealed


def run(source, space):
    """Run a cell and return the value of its last line, where that is an expression."""
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), space)
    return eval(compile(ast.Expression(last.value), "cell", "eval"), space) if last else None


def asked(source):
    """Return the question of a check cell and the names of its arguments, or nothing."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "check":
            return node.args[0].value, [argument.id for argument in node.args[1:]]
    return None


def right_answer(question):
    if hasattr(question, "source"):  # classes of the reader's own: ours stand in for them
        if question.id == "P1e":
            return [0.03]
        from helpers._sealed.core import mlp

        return [getattr(mlp, name) for name in question.parts]
    return [question.expected] if hasattr(question, "cases") else question.expected()


def main(path):
    cells = [c for c in json.loads(Path(path).read_text(encoding="utf-8"))["cells"] if c["cell_type"] == "code"]
    sources = ["".join(cell["source"]) for cell in cells]
    sources = [s for s in sources if "check_environment" not in s]  # it has tests of its own, and takes its time
    space, found = {"__name__": "__main__"}, {"helpers": helpers.__file__, "checks": {}, "printed": {}}
    for source in sources:
        shown = run(source, space)
        found["printed"][source] = repr(shown)
    checks = [(source, asked(source)) for source in sources if asked(source)]
    for source, (name, parts) in checks:
        question = find(name)
        call = ast.unparse(ast.parse(source).body[-1])

        def reply(values, parts=parts, call=call):
            return run(call, space | dict(zip(parts, values, strict=True)))

        unanswered = reply([...] * len(parts))
        slips = []
        if hasattr(question, "cases"):
            slips = [[slip.sentence, reply([slip.make]).sentence] for slip in question.slips]
        elif type(question).__name__ == "Question":
            slips = [[slip.sentence, reply(slip.make()).sentence] for slip in question.slips]
        right = reply(right_answer(question))
        found["checks"][name] = {
            "unanswered": unanswered.status, "right": right.status, "earned": float(right.earned),
            "points": float(question.points), "slips": slips,
        }  # fmt: skip
    found["progress"] = answers.progress().cells
    found["explorers"] = [type(run(s, space)).__name__ for s in sources if s.lstrip().startswith("explore.")]
    found["answer"] = str(answers.answer("1a"))
    return found


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    with contextlib.redirect_stdout(io.StringIO()):
        result = main(sys.argv[1])
    print(json.dumps(result))
