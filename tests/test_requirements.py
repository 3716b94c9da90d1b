"""The two lists of what to install, checked without conda: they parse, agree, and can be resolved."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import versions
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from helpers import check_environment

REPOSITORY = Path(__file__).resolve().parent.parent
LINES = (REPOSITORY / "requirements.txt").read_text(encoding="utf-8").splitlines()
REQUIREMENTS = [line for line in LINES if line.strip() and not line.startswith(("#", "-"))]


@pytest.fixture(scope="module")
def environment():
    return yaml.safe_load((REPOSITORY / "environment.yml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("line", REQUIREMENTS)
def test_requirement_parses_is_bounded_on_both_sides_and_has_a_reason(line):
    specification, mark, reason = line.partition("#")
    requirement = Requirement(specification.strip())
    bounds = {pin.operator: pin.version for pin in requirement.specifier}
    if set(bounds) == {"=="}:
        assert re.fullmatch(r"\d+\.\d+\.\*", bounds["=="]), line  # a minor version
    else:  # the range that make test-oldest and make test-newest try
        assert set(bounds) == {">=", "<"} and Version(bounds[">="]) < Version(bounds["<"]), line
    assert mark and len(reason.split()) >= 2, f"{requirement.name} needs its reason behind a #"


@pytest.mark.parametrize("line", REQUIREMENTS)
def test_oldest_is_the_lowest_version_allowed_and_newest_lets_go(line):
    allowed = Requirement(line.partition("#")[0].strip())
    (lowest,), (highest,) = versions.lines(versions.oldest, line), versions.lines(versions.newest, line)
    (pin,) = Requirement(lowest).specifier
    assert pin.operator == "==" and allowed.specifier.contains(pin.version)
    number = [int(part) for part in pin.version.removesuffix(".0").split(".")]
    assert not allowed.specifier.contains(".".join(map(str, [*number[:-1], number[-1] - 1, 99])))  # one less is out
    bounds = Requirement(highest).specifier
    assert bounds == (allowed.specifier if allowed.name in ("torch", "torchvision") else SpecifierSet())


def test_a_requirement_without_a_lowest_version_is_named():
    assert versions.lines(versions.oldest, "-e .\n\n# a comment\nnumpy>=2.1,<2.5  # why") == ["-e .", "numpy==2.1"]
    with pytest.raises(ValueError, match="numpy<3 is neither a minor version"):
        versions.lines(versions.oldest, "numpy<3")


def test_no_requirement_twice_and_torch_in_its_tested_pair():
    names = [Requirement(line.partition("#")[0].strip()).name.lower() for line in REQUIREMENTS]
    assert len(names) == len(set(names))
    pins = {name: line for name, line in zip(names, REQUIREMENTS, strict=True)}
    assert pins["torch"].startswith("torch==2.13.*") and pins["torchvision"].startswith("torchvision==0.28.*")
    door = (REPOSITORY / "helpers" / "vision.py").read_text(encoding="utf-8")  # its remedy installs the same pair
    assert "'torch==2.13.*' 'torchvision==0.28.*'" in door


def test_every_other_line_is_a_comment_or_this_package():
    others = [line.partition("#")[0].strip() for line in LINES if line.strip() and line not in REQUIREMENTS]
    assert set(others) <= {"", "-e ."}


def test_environment_is_python_pip_and_the_requirements(environment):
    assert set(environment) == {"name", "channels", "dependencies"}
    assert environment["name"] == check_environment.ENVIRONMENT_NAME
    assert environment["channels"] == ["conda-forge"]
    python, pip, nested = environment["dependencies"]
    assert pip == "pip" and nested == {"pip": ["-r requirements.txt"]}
    name, versions = re.fullmatch(r"([a-z]+)([<>=!~.,\d*]+)", python).groups()
    assert name == "python"
    specifiers = SpecifierSet(versions)  # conda's syntax for bounds like these is the same
    assert [f"3.{minor}" in specifiers for minor in range(10, 15)] == [False, True, True, True, False]


def test_python_bounds_agree_everywhere(environment):
    oldest = ".".join(map(str, check_environment.OLDEST_PYTHON))
    newest = ".".join(map(str, check_environment.FIRST_UNTESTED_PYTHON))
    assert environment["dependencies"][0] == f"python>={oldest},<{newest}"
    assert f'requires-python = ">={oldest}' in (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    assert check_environment.OLDEST_PYTHON <= sys.version_info < check_environment.FIRST_UNTESTED_PYTHON


def test_pip_can_resolve_the_pip_part_of_the_environment(environment):
    (argument,) = environment["dependencies"][-1]["pip"]
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--no-input", "--retries", "0"]
    try:
        done = subprocess.run(
            [*command, "--timeout", "5", *argument.split()], capture_output=True, text=True, cwd=REPOSITORY, timeout=20
        )
    except subprocess.TimeoutExpired:
        pytest.skip("pip found no answer within 20 s")
    if done.returncode != 0 and re.search(r"connection|Temporary failure|Max retries|No module named pip", done.stderr):
        pytest.skip("no package index can be reached from here")
    assert done.returncode == 0, done.stderr


def test_pip_dry_run_can_fail(tmp_path):
    """The route of the test above, on a requirement that cannot be met without asking any index."""
    wish = tmp_path / "requirements.txt"
    wish.write_text("numpy==1.0.*  # long gone\n", encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--dry-run",
        "--quiet",
        "--no-input",
        "--no-index",
        "-r",
        str(wish),
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, timeout=20)
    assert done.returncode != 0 and "numpy==1.0.*" in done.stderr
