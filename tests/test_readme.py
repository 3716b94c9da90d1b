"""What the documents say exists: files, make targets, requirements."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


@pytest.mark.parametrize("target", re.findall(r"\]\((?!https?://)([^)#\s]+)", README))
def test_every_link_leads_to_a_file(target):
    assert (ROOT / target).exists()


@pytest.mark.parametrize("target", sorted(set(re.findall(r"(?:^|`)make ([a-z-]+)", README, flags=re.M))))
def test_every_make_target_exists_and_is_explained(target):
    assert re.search(rf"^{target}:.*## \w", MAKEFILE, flags=re.M)


def test_help_lists_every_target():
    said = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = re.findall(r"^([a-z-]+):", MAKEFILE, flags=re.M)
    assert targets and all(f"make {target} " in said for target in targets)


def test_every_phony_target_is_declared():
    declared = set(re.search(r"^\.PHONY: (.+)$", MAKEFILE, flags=re.M)[1].split())
    assert declared == set(re.findall(r"^([a-z-]+):", MAKEFILE, flags=re.M))


def test_every_module_named_in_a_command_exists():
    for text in (README, MAKEFILE):
        for module in re.findall(r"python -m (helpers[\w.]*)", text):
            path = ROOT / module.replace(".", "/")
            assert path.with_suffix(".py").exists() or (path / "__init__.py").exists(), module


def test_every_requirement_has_its_reason_in_the_table():
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    names = [re.match(r"[\w.-]+", line).group() for line in lines if re.match(r"\w", line)]
    table = " ".join(line for line in README.splitlines() if line.startswith("| "))
    assert [name for name in names if not re.search(rf"\b{re.escape(name)}\b", table)] == []
