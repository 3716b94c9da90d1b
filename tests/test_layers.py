"""The rooms of the house: who may import whom."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HELPERS = sorted((ROOT / "helpers").rglob("*.py"))
NUMPY_ONLY = ("00", "01", "02", "04", "05")


def imports(path):
    """Return every module that the file imports, at any depth, with what it takes from it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: import by full name"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def offenders(paths, *forbidden):
    return [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in paths
        for name in imports(path)
        if any(name == bad or name.startswith(bad + ".") for bad in forbidden)
    ]


def room(name):
    return [path for path in HELPERS if path.parent.name == name]


def test_there_are_rooms_to_look_into():
    assert len(room("core")) >= 4 and len(room("explore")) >= 3


@pytest.mark.parametrize(
    ("paths", "forbidden"),
    [
        (room("core"), ("helpers.figures", "helpers.explore", "helpers.answers", "helpers.checks", "helpers.style")),
        (room("figures"), ("helpers.explore", "helpers.answers", "helpers.checks", "matplotlib.pyplot")),
        (room("answers"), ("helpers.explore", "helpers.figures", "matplotlib")),
        ([ROOT / "helpers" / "checks.py"], ("helpers",)),
        ([ROOT / "helpers" / "assignment.py"], ("helpers",)),
        ([p for p in HELPERS if p.parent.name != "explore"], ("ipywidgets", "anywidget")),
        ([p for p in HELPERS if p.name != "vision.py"], ("torchvision",)),
    ],
)
def test_imports_point_one_way(paths, forbidden):
    assert offenders(paths, *forbidden) == []


def test_core_draws_nothing_but_the_hand_in_may():
    drawing = offenders([p for p in room("core") if p.name != "mlp.py"], "matplotlib", "ipywidgets", "torchvision")
    assert drawing == []


def test_the_hand_in_imports_only_what_the_assignment_allows():
    assert {name.split(".")[0] for name in imports(ROOT / "helpers" / "core" / "mlp.py")} <= {
        "os",
        "numpy",
        "matplotlib",
    }


def test_importing_helpers_is_light():
    code = "import sys, helpers; assert not {'numpy', 'torch', 'matplotlib'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_numpy_notebooks_never_load_torch():
    """Run every import of these notebooks, the answers behind their checks, and `progress`, in a fresh process."""
    lines = ["from helpers import answers", "import sys"]
    for path in (p for number in NUMPY_ONLY for p in sorted((ROOT / "notebooks/text").glob(f"{number}_*.py"))):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        found = [ast.unparse(node) for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
        lines += [line for line in found if not line.startswith(("import torch", "from torch"))]
        lines += ["answers.find('1a'), answers.progress()", "loaded = {'torch', 'torchvision'} & set(sys.modules)"]
        lines += [f"assert not loaded, ({path.name!r}, loaded)", f"print({path.name!r})"]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], cwd=path.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [name[:2] for name in done.stdout.split()] == list(NUMPY_ONLY)
