"""The environment report: it appears whatever is missing, and names the remedy."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import check_environment, datasets
from helpers.check_environment import NOT_OK, NOTE, OK, Finding, Report

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """No torch import and no big files, unless a test asks for them."""
    monkeypatch.setattr(check_environment, "probe_torch", lambda: {"state": "matched", "remedy": "", "gpu": "A GPU"})
    monkeypatch.setattr(datasets, "obtain", lambda specification, download: datasets.generate(specification))


def by_item(report):
    return {finding.item: finding for finding in report.findings}


def test_report_covers_every_room_and_is_a_plain_table():
    report = check_environment.report()
    found = by_item(report)
    for item in (
        "Python",
        "numpy",
        "torch",
        "torch with torchvision",
        "GPU",
        "MNIST",
        "CIFAR-10",
        "CPU cores",
        "free disk",
    ):
        assert item in found
    assert int(found["CPU cores"].found) >= 1
    assert float(found["free disk"].found.split()[0]) == pytest.approx(shutil.disk_usage(REPOSITORY).free / 1e9, abs=5)
    table, _, remedies = repr(report).partition("\n\n")
    assert len(table.splitlines()) == len(report.findings)
    for finding, line in zip(report.findings, table.splitlines(), strict=True):
        assert line.startswith(finding.status) and line.endswith(finding.found)
        assert finding.remedy in remedies
        assert bool(finding.remedy) == (finding.status != OK)


def test_every_runtime_requirement_has_its_line():
    lines = (REPOSITORY / "requirements.txt").read_text(encoding="utf-8").partition("# Development")[0].splitlines()
    names = [line.split("==")[0] for line in lines if "==" in line and not line.startswith("#")]
    assert len(names) >= 8 and set(names) <= set(by_item(check_environment.report()))


def test_missing_and_other_versions_are_told_apart(monkeypatch):
    versions = {"numpy": None, "scipy": "1.2.3", "ruff": None}
    real = check_environment._version
    monkeypatch.setattr(check_environment, "_version", lambda name: versions.get(name, real(name)))
    report = check_environment.report()
    found = by_item(report)
    assert (found["numpy"].found, found["numpy"].status) == ("missing", NOT_OK)
    assert found["scipy"].status == NOT_OK and found["scipy"].found.startswith("1.2.3, where scipy==1.17")
    assert found["development tools"].status == NOTE and "missing: ruff" in found["development tools"].found
    assert not report.ok
    # Under make test-newest others are newer than they should be, too.
    (line,) = [line for line in repr(report).splitlines() if line.startswith("- numpy, ")]
    assert re.match(r"- numpy, [^:]*\bscipy\b[^:]*: Run `python -m pip install -r requirements.txt`", line)


@pytest.mark.parametrize(
    ("version", "status"), [((3, 10, 9), NOT_OK), ((3, 11, 0), OK), ((3, 13, 5), OK), ((3, 14, 0), NOTE)]
)
def test_python_versions(monkeypatch, version, status):
    monkeypatch.setattr(sys, "version_info", version)
    assert [finding.status for finding in check_environment.check_python()] == [status]


def test_torch_pair_that_does_not_match_is_a_note_and_one_that_fails_is_not_ok(monkeypatch):
    declared = {"state": "declared", "remedy": "Install a pair.", "gpu": None}
    monkeypatch.setattr(check_environment, "probe_torch", lambda: declared)
    monkeypatch.setattr(check_environment.shutil, "which", lambda name: None)
    pair, gpu = check_environment.check_torch()
    assert (pair.status, pair.remedy, gpu.status, gpu.found) == (NOTE, "Install a pair.", NOTE, "none")

    def broken():
        raise RuntimeError("libtorch.so: cannot open shared object file")

    monkeypatch.setattr(check_environment, "probe_torch", broken)
    (pair,) = check_environment.check_torch()
    assert pair.status == NOT_OK and "libtorch.so" in pair.found


def test_an_nvidia_gpu_that_pytorch_cannot_use_gets_its_command(monkeypatch):
    seen = {"state": "matched", "remedy": "", "gpu": None}
    monkeypatch.setattr(check_environment, "probe_torch", lambda: seen)
    monkeypatch.setattr(check_environment.shutil, "which", lambda name: "/bin/nvidia-smi")
    gpu = check_environment.check_torch()[1]
    assert (gpu.status, gpu.found) == (NOTE, "NVIDIA, not used") and "--index-url" in gpu.remedy


def test_a_missing_runtime_of_windows_is_named(monkeypatch):
    monkeypatch.undo()
    hint = "print('Please install the Microsoft Visual C++ Redistributable'); raise OSError('[WinError 126]')"
    monkeypatch.setattr(check_environment, "PROBE", hint)
    with pytest.raises(RuntimeError, match="install it from https://aka.ms"):
        check_environment.probe_torch()


def test_probe_reports_the_last_line_of_a_failed_import(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(check_environment, "PROBE", "raise ImportError('no such thing')")
    with pytest.raises(RuntimeError, match="ImportError: no such thing"):
        check_environment.probe_torch()


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (datasets.DownloadError("there is no copy"), NOTE, "python -m helpers.datasets --mnist"),
        (datasets.DatasetError("mnist.npz is damaged; delete it."), NOT_OK, "mnist.npz is damaged; delete it."),
        (PermissionError("mnist.npz cannot be read."), NOT_OK, "cannot be read"),
    ],
)
def test_data_missing_or_damaged(monkeypatch, error, status, said):
    def obtain(specification, download):
        assert download is False
        raise error

    monkeypatch.setattr(datasets, "obtain", obtain)
    found = check_environment.check_data()
    assert [finding.item for finding in found] == ["MNIST", "CIFAR-10"]
    assert found[0].status == status and said in found[0].remedy


def test_full_disk_is_noted(monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 9 * 10**8, 10**8))
    assert [finding.status for finding in check_environment.check_machine()] == [OK, NOTE]


def test_environment_is_venv_conda_or_a_note(monkeypatch):
    monkeypatch.setattr(sys, "prefix", str(REPOSITORY / ".venv"))
    assert check_environment.check_kernel()[0].status == OK
    monkeypatch.setattr(sys, "prefix", "/somewhere/else")
    monkeypatch.delenv("CONDA_DEFAULT_ENV", raising=False)
    assert check_environment.check_kernel()[0].status == NOTE
    monkeypatch.setenv("CONDA_DEFAULT_ENV", check_environment.ENVIRONMENT_NAME)
    assert check_environment.check_kernel()[0].status == OK


def test_a_check_that_breaks_does_not_hide_the_others(monkeypatch):
    def broken():
        raise KeyError("surprise")

    monkeypatch.setitem(check_environment.CHECKS, "machine", broken)
    report = check_environment.report()
    assert by_item(report)["machine"].status == NOT_OK and "surprise" in by_item(report)["machine"].found
    assert "environment" in by_item(report)


def test_exit_code_follows_the_report(monkeypatch, capsys):
    for status, code in ((OK, 0), (NOTE, 0), (NOT_OK, 1)):
        found = Report((Finding("one", "two", status, "Three."),))
        monkeypatch.setattr(check_environment, "report", lambda found=found: found)
        assert check_environment.main([]) == code
        assert capsys.readouterr().out.splitlines()[0].split() == [*status.split(), "one", "two"]


@pytest.mark.parametrize(("argument", "code", "said"), [
    ("--help", 0, "the remedy for whatever is missing"), ("--bogus", 2, "unrecognized arguments: --bogus"),
])  # fmt: skip
def test_an_argument_gets_help_or_is_refused_before_anything_is_looked_at(monkeypatch, capsys, argument, code, said):
    monkeypatch.setattr(check_environment, "report", lambda: pytest.fail("it began to look"))
    with pytest.raises(SystemExit) as left:
        check_environment.main([argument])
    shown = " ".join("".join(capsys.readouterr()).split())
    assert left.value.code == code and said in shown


def test_bare_python_without_any_package_gets_a_report_and_exit_code_1():
    """-S hides every installed package, numpy and packaging among them; the children are hidden from them as well."""
    script = (
        "import subprocess, sys\n"
        "run = subprocess.run\n"
        "subprocess.run = lambda command, **options: run([command[0], '-S', *command[1:]], **options)\n"
        "from helpers import check_environment\n"
        "sys.exit(check_environment.main())"
    )
    command = [sys.executable, "-S", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, env={**os.environ, "PYTHONPATH": ""})
    assert (done.returncode, done.stderr) == (1, "")
    lines = done.stdout.splitlines()
    for item in ("numpy", "torch", "jupyterlab"):
        assert any(line.split() == ["not", "ok", item, "missing"] for line in lines)
    assert any(line.startswith("not ok  torch with torchvision") and "No module named" in line for line in lines)
    assert any(line.startswith("ok      CPU cores") for line in lines)
