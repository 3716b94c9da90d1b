"""The workflow, the citation and the changelog: their shape, and that they agree with the rest of the project."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
README, MAKEFILE = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "Makefile"))
PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
VERSION = re.search(r'^version = "(.+)"$', PROJECT, flags=re.M)[1]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def workflow():
    return yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8"))


def steps(job, key):
    return [step[key] for step in job["steps"] if key in step]


def test_three_systems_and_three_versions_of_python(workflow):
    matrix = workflow["jobs"]["test"]["strategy"]["matrix"]
    assert [name.partition("-")[0] for name in matrix["os"]] == ["ubuntu", "macos", "windows"]
    assert matrix["python"] == ["3.11", "3.12", "3.13"]  # texts: the number 3.10 would be 3.1
    assert f'requires-python = ">={matrix["python"][0]}"' in PROJECT


def test_outputs_are_compared_on_linux_and_notebooks_run_everywhere(workflow):
    matrix = workflow["jobs"]["test"]["strategy"]["matrix"]
    how = {}
    for system in matrix["os"]:
        for added in matrix["include"]:  # in order; a later one replaces what an earlier one has added
            if added.get("os", system) == system:
                how[system.partition("-")[0]] = added["compare"]
    assert how == {"ubuntu": "--nbval", "macos": "--nbval-lax", "windows": "--nbval-lax"}
    (test,) = [run for run in steps(workflow["jobs"]["test"], "run") if "pytest" in run]
    assert "tests notebooks ${{ matrix.compare }}" in test
    options = set(re.search(r"^NBVAL := (.+)$", MAKEFILE, flags=re.M)[1].split())
    assert options - {"--nbval"} <= set(shlex.split(test))


def test_every_command_of_the_workflow_is_one_of_the_projects_own(workflow):
    known = " ".join((README + MAKEFILE).replace("$(BIN)/", "").split())
    for run in steps(workflow["jobs"]["test"], "run"):
        for command in re.split(r"\n|&&", run):
            words = shlex.split(command)
            core = " ".join(words[words.index("python") + 1 :] if "python" in words else words).partition(" ${{")[0]
            assert not core or core in known or core == "-m pip install --upgrade pip", command


def test_packages_and_data_are_kept_and_torch_is_the_cpu_build_on_linux(workflow):
    job = workflow["jobs"]["test"]
    given = {step["uses"].partition("@")[0]: step.get("with", {}) for step in job["steps"] if "uses" in step}
    assert given["actions/setup-python"]["cache"] == "pip"
    for path in given["actions/setup-python"]["cache-dependency-path"].split():
        assert (ROOT / path).exists()
    place = given["actions/cache"]["path"]
    naming = [step for step in job["steps"] if "WORKBOOK_DATA" in step.get("env", {})]
    assert [step["name"] for step in naming] == ["Test"]  # a folder that is named must be there
    assert naming[0]["env"]["WORKBOOK_DATA"].endswith("/" + place)
    assert all((ROOT / path).exists() for path in re.findall(r"hashFiles\('(.+?)'\)", given["actions/cache"]["key"]))
    index = re.search(r"PIP_EXTRA_INDEX_URL=(\S+)", README)[1]
    assert index in job["env"]["PIP_EXTRA_INDEX_URL"] and "ubuntu" in job["env"]["PIP_EXTRA_INDEX_URL"]
    order = [step.get("run", step.get("uses", "")) for step in job["steps"]]
    cache, data, test = (next(i for i, s in enumerate(order) if w in s) for w in ("cache@", "datasets", "pytest"))
    assert cache < data < test


def test_links_are_followed_on_a_schedule_and_nothing_may_write(workflow):
    when = workflow[True]  # YAML reads the key "on" as a truth value
    assert re.fullmatch(r"\d+ \d+ \* \* [0-6]", when["schedule"][0]["cron"])
    assert workflow["permissions"] == {"contents": "read"}
    links = workflow["jobs"]["links"]
    assert "schedule" in links["if"] and "!= 'schedule'" in workflow["jobs"]["test"]["if"]
    (arguments,) = [given["args"] for given in steps(links, "with") if "args" in given]
    for word in shlex.split(arguments):
        if word.endswith((".md", ".ipynb")) or word == "LICENSE":
            assert list(ROOT.glob(word)), word


def test_actions_are_named_with_their_version(workflow):
    used = [name for job in workflow["jobs"].values() for name in steps(job, "uses")]
    assert used and all(re.fullmatch(r"[\w-]+/[\w-]+@v\d+", name) for name in used)


def test_the_citation_names_this_version_and_licence():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0" and citation["message"] and citation["title"] in README
    assert citation["version"] == VERSION
    assert f'license = "{citation["license"]}"' in PROJECT
    assert citation["authors"] == [{"name": "The Deep Learning Workbook contributors"}]
    assert f"## [{VERSION}] - {citation['date-released']}" in CHANGELOG


def test_the_changelog_keeps_its_form():
    versions = re.findall(r"^## \[(.+?)\](?: - (\d{4}-\d\d-\d\d))?$", CHANGELOG, flags=re.M)
    assert len(versions) == CHANGELOG.count("\n## ") and all(date or name == "Unreleased" for name, date in versions)
    assert next(name for name, _ in versions if name != "Unreleased") == VERSION
    kinds = set(re.findall(r"^### (.+)$", CHANGELOG, flags=re.M))
    assert kinds and kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", CHANGELOG):
        assert (ROOT / target).exists(), target
