"""Every public function of the core has a property test: one in which hypothesis looks for inputs that break a law."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

EXCEPTIONS = {
    "mlp.main",  # the program itself: it trains on all of MNIST; test_runs_as_a_program_in_an_empty_folder starts it
    "mlp_studies.main",  # the command, minutes of training: test_the_command_writes_every_knob_of_its_table starts it
}


def public(module):
    """Return the public functions, classes and methods of a module's source, as "f", "C" and "C.m".

    A class is listed with the names of its own that a test may read instead of naming it, as functions return it.
    """
    found = {}
    for node in ast.parse(module).body:
        if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
            continue
        found[node.name] = set()
        for inner in node.body if isinstance(node, ast.ClassDef) else ():
            if isinstance(inner, ast.AnnAssign):  # a field of a dataclass
                found[node.name].add(inner.target.id)
            elif isinstance(inner, ast.FunctionDef) and not inner.name.startswith("_"):
                found[f"{node.name}.{inner.name}"] = {inner.name}
    return found


def used_by_properties(test):
    """Return what the @given functions of a test file use: pairs (module of the core, name), names of attributes apart.

    What they call or name in the file itself, helpers and constants, is followed. Hypothesis' given may have another
    name there, as the modules have.
    """
    body = ast.parse(test).body
    modules, names, given = {}, {}, set()
    for node in (n for n in body if isinstance(n, ast.ImportFrom)):
        for alias in node.names:
            told = alias.asname or alias.name
            if node.module == "helpers.core":
                modules[told] = alias.name
            elif node.module.startswith("helpers.core."):
                names[told] = (node.module.rpartition(".")[2], alias.name)
            elif node.module == "hypothesis" and alias.name == "given":
                given.add(told)
    defined = {n.name: n for n in body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    defined |= {t.id: n for n in body if isinstance(n, ast.Assign) for t in n.targets if isinstance(t, ast.Name)}

    def is_property(node):
        return any(isinstance(d, ast.Call) and ast.unparse(d.func) in given for d in node.decorator_list)

    waiting = [n for n in body if isinstance(n, ast.FunctionDef) and is_property(n)]
    seen, used, attributes = set(), set(), set()
    while waiting:
        for node in ast.walk(waiting.pop()):
            if isinstance(node, ast.Attribute):
                owner = modules.get(node.value.id) if isinstance(node.value, ast.Name) else None
                if owner:
                    used.add((owner, node.attr))
                else:
                    attributes |= {(module, node.attr) for module in modules.values()}
            elif isinstance(node, ast.Name):
                used |= {names[node.id]} if node.id in names else set()
                if node.id in defined and node.id not in seen:
                    seen.add(node.id)
                    waiting.append(defined[node.id])
    return used, attributes


def without_property(core, tests):
    """Return as "module.name" the public names of `core`, {module: source}, that no @given function of `tests` uses."""
    used, attributes = set(), set()
    for test in tests:
        some, others = used_by_properties(test)
        used, attributes = used | some, attributes | others
    return {
        f"{module}.{name}"
        for module, source in core.items()
        for name, read in public(source).items()
        if (module, name) not in used and not any((module, attribute) in attributes for attribute in read)
    }


def test_every_public_function_of_the_core_has_a_property():
    core = {path.stem: path.read_text(encoding="utf-8") for path in sorted((ROOT / "helpers" / "core").glob("*.py"))}
    tests = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "tests").glob("test_*.py"))]
    missing = without_property(core, tests)
    assert sorted(missing - EXCEPTIONS) == [], "write a property test, with hypothesis, that uses each of these"
    assert sorted(EXCEPTIONS - missing) == [], "these have one, or are gone: no exception is needed"


CORE = """
from dataclasses import dataclass

def f(x): pass
def _hidden(x): pass

@dataclass
class Result:
    number: int

class Net:
    def __init__(self): pass
    def go(self): pass
    def _inner(self): pass
"""
HEAD = "from hypothesis import given as over, settings\nfrom helpers.core import room as r\n"


@pytest.mark.parametrize(
    ("test", "missing"),
    [
        ("def test_it():\n    r.f(r.Net().go(), r.Result(1))", {"f", "Result", "Net", "Net.go"}),  # not a property
        ("@settings()\n@over(st.x())\ndef test_it(x):\n    r.f(x)", {"Result", "Net", "Net.go"}),
        ("@over(st.x())\ndef test_it(x):\n    f(x); other.f(x)", {"f", "Result", "Net", "Net.go"}),  # another's f
        ("@over(st.x())\ndef test_it(x):\n    r.f(x).number", {"Net", "Net.go"}),
        ("def net():\n    return r.Net()\n@over(st.x())\ndef test_it(x):\n    net().go()", {"f", "Result"}),
        ("MANY = [r.f]\n@over(st.x())\ndef test_it(x):\n    MANY[0](x)", {"Result", "Net", "Net.go"}),
        ("from helpers.core.room import f as g\n@over(st.x())\ndef test_it(x):\n    g(x)", {"Result", "Net", "Net.go"}),
    ],
)
def test_what_a_property_uses_is_found_and_nothing_else(test, missing):
    assert without_property({"room": CORE}, [HEAD + test]) == {f"room.{name}" for name in missing}
