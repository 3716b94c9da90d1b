"""What the documents say exists: files, make targets, requirements."""

import ast
import json
import re
import shlex
import shutil
import statistics
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


@pytest.mark.parametrize("target", re.findall(r"\]\((?!https?://)([^)#\s]+)", README))
def test_every_link_leads_to_a_file(target):
    assert (ROOT / target).exists()


@pytest.mark.parametrize(
    "target", sorted(set(re.findall(r"(?:^|`|&& )make ([a-z-]+)", README + CONTRIBUTING, flags=re.M)))
)
def test_every_make_target_exists_and_is_explained(target):
    assert re.search(rf"^{target}:.*## \w", MAKEFILE, flags=re.M)


@pytest.mark.skipif(shutil.which("make") is None, reason="Windows may have no make")
def test_help_lists_every_target():
    said = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = re.findall(r"^([a-z-]+):", MAKEFILE, flags=re.M)
    assert targets and all(f"make {target} " in said for target in targets)


def test_every_phony_target_is_declared():
    declared = set(re.search(r"^\.PHONY: (.+)$", MAKEFILE, flags=re.M)[1].split())
    assert declared == set(re.findall(r"^([a-z-]+):", MAKEFILE, flags=re.M))


def test_every_module_named_in_a_command_exists():
    for text in (README, CONTRIBUTING, MAKEFILE):
        for module in re.findall(r"python -m (helpers[\w.]*)", text):
            path = ROOT / module.replace(".", "/")
            assert path.with_suffix(".py").exists() or (path / "__init__.py").exists(), module


def test_every_requirement_has_its_reason_in_the_table():
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    names = [re.match(r"[\w.-]+", line).group() for line in lines if re.match(r"\w", line)]
    table = " ".join(line for line in README.splitlines() if line.startswith("| "))
    assert [name for name in names if not re.search(rf"\b{re.escape(name)}\b", table)] == []


def commands(text):
    """Every `python -m helpers...` of a document with its options, one list of words each."""
    found = re.findall(r"python -m (helpers[^`\n#)]*)", text)
    return [shlex.split(command.replace("(", "")) for command in found]


@pytest.mark.parametrize("words", commands(README + CONTRIBUTING + MAKEFILE), ids=" ".join)
def test_every_option_in_a_command_is_one_that_its_module_knows(words):
    path = ROOT / words[0].replace(".", "/")
    source = path.with_suffix(".py").read_text(encoding="utf-8")
    known = {"--help"}
    for node in ast.walk(ast.parse(source)):
        named = getattr(node, "func", None)  # parser.add_argument(...), or add(...) for short
        if getattr(named, "attr", getattr(named, "id", "")) in ("add_argument", "add"):
            known |= {argument.value for argument in node.args if isinstance(argument, ast.Constant)}
    assert {word for word in words[1:] if word.startswith("-")} <= known
    assert '__name__ == "__main__"' in source, f"python -m {words[0]} would do nothing"


def test_every_file_named_in_a_command_exists():
    named = re.findall(r"\b((?:helpers|notebooks|tests|artifacts)/[\w./-]+\.\w+)", README + CONTRIBUTING)
    made = {"artifacts/submission.zip", "artifacts/theory_report.pdf"}
    assert (
        named
        and [n for n in named if n not in made and not re.search("NN_|TOPIC", n) and not (ROOT / n).exists()] == []
    )


def test_the_order_of_the_readme():
    titles = re.findall(r"^## (.+)$", README, flags=re.M)
    first, last = (
        ["Two commands", "The notebooks", "Results", "For instructors"],
        ["How it is built", "Licence", "Citation"],
    )
    assert [title for title in titles if title in first + last] == first + last
    assert README.index("![") < README.index("## Two commands")


@pytest.mark.parametrize(
    ("row", "recipe"), [("as the handout asks", "handout"), ("ours", "best"), ("shipped", "final")]
)
def test_the_results_are_those_on_file(row, recipe):
    history = json.loads((ROOT / "artifacts" / "p1" / "p1_history.json").read_text(encoding="utf-8"))
    (line,) = [line for line in README.splitlines() if line.startswith(f"| {row}")]
    runs = history[recipe]["seeds"]
    errors = [100 * run["test_error"] for run in runs]
    sizes = "-".join(map(str, [784, *history[recipe]["settings"]["hiddens"], 10]))
    views = [100 * run["test_error_views"] for run in runs if "test_error_views" in run]
    told = [f" {statistics.mean(v):.2f} ± {statistics.stdev(v):.2f} %" if v else "" for v in (errors, views)]
    said = f"|{told[0]} |{told[1]} | {runs[0]['epochs']} |"
    assert line.endswith(said) and f" {sizes}, " in line
    assert len(runs) == 5 and {run["data"] for run in runs} == {"MNIST"}


@pytest.mark.parametrize("preset", ["fast", "thorough", "best"])
def test_the_accuracies_are_those_on_file(preset):
    record = json.loads((ROOT / "artifacts" / "p2" / "p2_history.json").read_text(encoding="utf-8"))
    runs = [run for run in [record["shipped"], *record["seeds"]] if run["preset"] == preset]
    assert {run["preset"] for run in runs} == {preset} and {run["data"] for run in runs} == {"CIFAR-10"}
    (line,) = [line for line in README.splitlines() if line.startswith(f"| preset `{preset}`")]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    for cell, key in zip(cells[1:3], ("test", "test_six_views"), strict=True):
        values = [100 * run[key]["accuracy"] for run in runs]
        spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
        assert cell == f"{statistics.mean(values):.2f}{spread} %"
    assert cells[3:] == [str(len(runs)), str(runs[0]["configuration"]["epochs"])]
    if preset == "best":  # in single precision: what notebook 06 prints
        notebook = (ROOT / "notebooks" / "06_pytorch_cnn_on_cifar10.ipynb").read_text(encoding="utf-8")
        (found,) = re.findall(r"of 10,000 right: ([\d.]+)%", notebook)
        assert f"in float32 the shipped model is right on {found} %" in README.replace("\n", " ")
    else:
        assert all(run["machine"]["threads"] == 2 for run in runs)
        two, budget = (statistics.mean(run[key] for run in runs) for key in ("seconds", "budget_tflop"))
        assert f"`{preset}` {two:.0f} s, in which it would have done {budget:.0f} TFLOP" in README.replace("\n", " ")
