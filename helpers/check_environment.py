"""What this machine offers the workbook: `python -m helpers.check_environment`, or `report()` in a notebook.

Nothing but the standard library is imported at the top, and every check is allowed to fail, so the report appears even
where half of the packages are missing. That is when it is needed.
"""

import argparse
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
ENVIRONMENT_NAME = "deep-learning-workbook"  # in environment.yml
OLDEST_PYTHON, FIRST_UNTESTED_PYTHON = (3, 11), (3, 14)
INSTALL = "Run `python -m pip install -r requirements.txt` in the folder of the workbook."
VISUAL_C = "https://aka.ms/vs/17/release/vc_redist.x64.exe"
FREE_GIGABYTES = 1.0  # both data sets with their archives, and room for trained models

OK, NOTE, NOT_OK = "ok", "note", "not ok"


@dataclass(frozen=True)
class Finding:
    """One line of the report: what was looked at, what was found, OK, NOTE (works all the same) or NOT_OK, a remedy."""

    item: str
    found: str
    status: str
    remedy: str = ""


@dataclass(frozen=True, repr=False)
class Report:
    """All findings; shown as a plain table, the remedies as sentences below it."""

    findings: tuple[Finding, ...]

    @property
    def ok(self):
        return all(finding.status != NOT_OK for finding in self.findings)

    def __repr__(self):
        width = max(len(finding.item) for finding in self.findings)
        lines = [f"{finding.status:6}  {finding.item:{width}}  {finding.found}" for finding in self.findings]
        lines += [
            "",
            "Everything needed is here." if self.ok else "Something needed is missing or not as it should be.",
        ]
        for status, mark in ((NOT_OK, ""), (NOTE, " (note)")):
            by_remedy: dict[str, list[str]] = {}
            for finding in self.findings:
                if finding.status == status:
                    by_remedy.setdefault(finding.remedy, []).append(finding.item)
            lines += [f"- {', '.join(items)}{mark}: {remedy}" for remedy, items in by_remedy.items()]
        return "\n".join(lines)


def report():
    """Return the Report on Python, packages, the torch pair, data, cores, GPU, disk and kernel; takes a few seconds."""
    with ThreadPoolExecutor() as pool:  # torch is imported, in a process of its own, while the data are verified
        return Report(tuple(chain.from_iterable(pool.map(_attempt, CHECKS.items()))))


def _attempt(named):
    item, check = named
    try:
        return check()
    except Exception as error:  # a check that breaks must not hide the others
        return [Finding(item, f"{type(error).__name__}: {error}", NOT_OK, INSTALL)]


def check_python():
    """Compare the running Python with the versions that the workbook is written for."""
    found = f"{sys.version.split()[0]} in {_place(sys.prefix)}"
    if sys.version_info < OLDEST_PYTHON:
        return [Finding("Python", found, NOT_OK, "Install Python 3.11, 3.12 or 3.13 and make the environment anew.")]
    if sys.version_info >= FIRST_UNTESTED_PYTHON:
        return [Finding("Python", found, NOTE, "This version is newer than those tested, 3.11 to 3.13.")]
    return [Finding("Python", found, OK)]


def requirements():
    """Yield (line, is_for_development) for each requirement in requirements.txt; options such as `-e .` are skipped."""
    development = False
    for line in (REPOSITORY / "requirements.txt").read_text(encoding="utf-8").splitlines():
        development = development or line.startswith("# Development")
        line = line.partition("#")[0].strip()
        if line and not line.startswith("-"):
            yield line, development


def _place(folder):
    # A path inside the workbook is shown from there, so that a stored table tells nothing of the machine it ran on.
    folder = Path(folder).resolve()
    return str(folder.relative_to(REPOSITORY)) if folder.is_relative_to(REPOSITORY) else str(folder)


def _data_place(source):
    named = os.environ.get("WORKBOOK_DATA")
    if named and Path(source).resolve().is_relative_to((REPOSITORY / named).resolve()):
        return "$WORKBOOK_DATA"
    return _place(source)


def check_packages():
    """Compare what is installed with requirements.txt, a line per package; the development tools share one line."""
    findings: list[Finding] = []
    tools: list[str] = []
    missing_tools: list[str] = []
    for line, is_for_development in requirements():
        name = re.split(r"[^\w.-]", line)[0]
        version = _version(name)
        if is_for_development:
            (tools if version else missing_tools).append(name)
        elif version is None:
            findings.append(Finding(name, "missing", NOT_OK, INSTALL))
        elif not _allowed(line, version):
            findings.append(Finding(name, f"{version}, where {line} is tested", NOT_OK, INSTALL))
        else:
            findings.append(Finding(name, version, OK))
    if missing_tools:
        remedy = f"Only the tests need them. {INSTALL}"
        findings.append(Finding("development tools", f"missing: {', '.join(missing_tools)}", NOTE, remedy))
    else:
        findings.append(Finding("development tools", ", ".join(tools), OK))
    return findings


def _allowed(line, version):
    try:
        from packaging.requirements import Requirement
    except ImportError:
        return True  # only presence can be told
    return Requirement(line).specifier.contains(version, prereleases=True)


def _version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def check_helpers():
    """See whether `helpers` can be imported from any folder, and is the one beside the notebooks."""
    command = [sys.executable, "-c", "import helpers; print(helpers.__file__)"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tempfile.gettempdir(), timeout=60)
    remedy = "Run `python -m pip install -e .` in the folder of the workbook."
    if done.returncode != 0:
        return [Finding("helpers", "found only from the folder of the workbook", NOT_OK, remedy)]
    folder = Path(done.stdout.strip()).resolve().parent
    if folder != REPOSITORY / "helpers":
        return [Finding("helpers", f"another one, in {folder}", NOT_OK, remedy)]
    return [Finding("helpers", "the folder beside the notebooks", OK)]


PROBE = """
import json
from helpers import vision
import torch
gpu = None
try:
    if torch.cuda.is_available() and torch.ones(1, device="cuda").add(1).item() == 2:
        gpu = torch.cuda.get_device_name(0)
except RuntimeError:  # a card too old for this build
    pass
if gpu is None and torch.backends.mps.is_available():
    gpu = "Apple GPU (MPS)"
print(json.dumps({"state": vision.state(), "remedy": vision.REMEDY, "gpu": gpu}))
"""


def probe_torch():
    """Import torch and torchvision in another process and return what it saw: state, remedy, gpu.

    Another process, so that a pair which crashes takes only itself down, and the caller's numpy-only kernel stays so.
    Raises RuntimeError with the last line of the complaint when the import fails.
    """
    command = [sys.executable, "-c", PROBE]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, timeout=120)
    if done.returncode != 0:
        if "Visual C++" in done.stdout:  # so torch says on Windows, in a hint that it prints
            raise RuntimeError(f"the Visual C++ runtime is missing; install it from {VISUAL_C}")
        complaint = done.stderr.strip().splitlines() or [f"the import ended with exit status {done.returncode}"]
        raise RuntimeError(complaint[-1])
    return json.loads(done.stdout.splitlines()[-1])


def check_torch():
    """See whether torch and torchvision work together, and whether there is a GPU."""
    try:
        seen = probe_torch()
    except (RuntimeError, OSError, ValueError, subprocess.TimeoutExpired) as error:
        return [Finding("torch with torchvision", f"cannot be imported: {error}", NOT_OK, INSTALL)]
    if seen["state"] == "matched":
        pair = Finding("torch with torchvision", "a matching pair", OK)
    else:
        pair = Finding("torch with torchvision", "not a pair, works all the same", NOTE, seen["remedy"])
    if seen["gpu"]:
        return [pair, Finding("GPU", seen["gpu"], OK)]
    if shutil.which("nvidia-smi"):
        remedy = (
            "This PyTorch has no CUDA, or needs a newer driver or card; everything runs on the CPU. A build with "
            "CUDA: `python -m pip install --force-reinstall 'torch==2.13.*' 'torchvision==0.28.*' --index-url "
            "https://download.pytorch.org/whl/cu130`."
        )
        return [pair, Finding("GPU", "NVIDIA, not used", NOTE, remedy)]
    remedy = "Not needed: everything runs on the CPU."
    return [pair, Finding("GPU", "none", NOTE, remedy)]


def check_data():
    """Look for both data sets where the notebooks will look, and verify the copies."""
    from helpers import datasets

    findings = []
    for specification in (datasets.MNIST, datasets.CIFAR10):
        try:
            dataset = datasets.obtain(specification, download=False)
        except datasets.DownloadError:
            remedy = f"It downloads itself when first needed; {specification.command} does it now."
            findings.append(Finding(specification.name, "no copy yet", NOTE, remedy))
        except (datasets.DatasetError, OSError) as error:
            findings.append(Finding(specification.name, "not usable", NOT_OK, str(error)))
        else:
            findings.append(Finding(specification.name, f"verified, in {_data_place(dataset.source)}", OK))
    return findings


def check_machine():
    """Count the cores this process may use, and the free space on the disk of the workbook."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    free = shutil.disk_usage(REPOSITORY).free / 1e9
    remedy = f"Free some space: the data sets and trained models take up to {FREE_GIGABYTES:.0f} GB."
    disk = Finding("free disk", f"{free:.1f} GB", *([OK] if free >= FREE_GIGABYTES else [NOTE, remedy]))
    return [Finding("CPU cores", str(cores), OK), disk]


def check_kernel():
    """See whether this Python, in a notebook its kernel, is that of the workbook's own environment."""
    expected = REPOSITORY / ".venv"
    where = "this notebook's kernel" if "ipykernel" in sys.modules else "this Python"
    if Path(sys.prefix).resolve() == expected.resolve():
        return [Finding("environment", f"{where} runs in .venv", OK)]
    if os.environ.get("CONDA_DEFAULT_ENV") == ENVIRONMENT_NAME:
        return [Finding("environment", f"{where} runs in conda's {ENVIRONMENT_NAME}", OK)]
    remedy = "README.md says how to make the environment that is tested; any other works if the lines above are ok."
    return [Finding("environment", f"{where} runs in {sys.prefix}", NOTE, remedy)]


CHECKS = {
    "Python": check_python,
    "packages": check_packages,
    "helpers": check_helpers,
    "torch with torchvision": check_torch,
    "data": check_data,
    "machine": check_machine,
    "environment": check_kernel,
}


def main(arguments=None):
    """Print the report; return 1 if something needed is missing, else 0."""
    argparse.ArgumentParser(
        prog="python -m helpers.check_environment",
        description="Say what this machine offers the workbook, and the remedy for whatever is missing.",
    ).parse_args(arguments)
    found = report()
    print(found)
    return 0 if found.ok else 1


if __name__ == "__main__":
    sys.exit(main())
