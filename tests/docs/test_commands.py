"""Every command of README.md and CONTRIBUTING.md as it stands, in a clone of the project: make test-docs."""

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import documented
import pytest

ROOT = documented.ROOT
COMPLETE = 600  # seconds


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone of what is committed; its .venv leads to the environment that runs this test, and counts as made."""
    place = tmp_path_factory.mktemp("a place") / "workbook"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(place)], check=True)
    (place / ".venv").symlink_to(sys.prefix)
    ready = Path(sys.prefix) / ".ready"
    for name in ("requirements.txt", "pyproject.toml"):
        os.utime(place / name, (ready.stat().st_mtime - 1,) * 2)
    hand_in = place / "FOLDER" / "ada"
    hand_in.mkdir(parents=True)
    shutil.copy(ROOT / "notebooks" / "01_gelu_gradient_descent.ipynb", hand_in)
    return place


@pytest.fixture(scope="module")
def surroundings(tmp_path_factory):
    """The variables of a reader's shell with the environment activated, and settings of Jupyter that are not theirs."""
    home = tmp_path_factory.mktemp("home")
    (home / "config").mkdir()
    (home / "config" / "jupyter_server_config.json").write_text('{"ServerApp": {"allow_root": true}}')
    browser = home / "browser"  # keeps the page that it is asked to open
    browser.write_text('#!/bin/sh\ncp "${1#file://}" "$0.html"\n')
    browser.chmod(0o755)
    data = os.environ.get("WORKBOOK_DATA") or str(ROOT / "data")
    return os.environ | {
        "PATH": f"{Path(sys.prefix) / 'bin'}{os.pathsep}{os.environ['PATH']}", "WORKBOOK_DATA": data,
        "BROWSER": f"{browser} %s", "WORKBOOK_PROGRESS": "", "PYTHONUNBUFFERED": "1",
        "JUPYTER_CONFIG_DIR": str(home / "config"), "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
    }  # fmt: skip


def run(command, place, surroundings, seconds=COMPLETE):
    done = subprocess.run(
        ["bash", "-euc", command], cwd=place, env=surroundings, capture_output=True, text=True, timeout=seconds
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


@pytest.mark.parametrize("command", documented.TO_THE_END, ids=str)
def test_a_command_that_comes_to_its_end(clone, surroundings, command):
    said = run(command, ROOT if command in documented.IN_PLACE else clone, surroundings)
    assert re.search(documented.TO_THE_END[command], said, flags=re.M), said
    changed = run("git status --porcelain --untracked-files=no", clone, surroundings)
    foreign = [line for line in changed.splitlines() if not re.search(r"notebooks/0\d_\w+\.ipynb$|\.png$", line)]
    assert foreign == [], "it changed files that it should have left or written as they were"


@contextlib.contextmanager
def started(command, place, surroundings, how):
    """Start a command in a session of its own; yield it and a function that waits for something in its log.

    At the end the signal `how` goes to all that it started.
    """
    with open(place / "log", "w+") as log, subprocess.Popen(
        shlex.split(command), cwd=place, env=surroundings, stdout=log, stderr=log, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # tests in the background ignore Ctrl-C
    ) as process:  # fmt: skip

        def wait_for(look):
            deadline = time.monotonic() + COMPLETE
            while not (found := look()):
                assert process.poll() is None and time.monotonic() < deadline, (place / "log").read_text()
                time.sleep(0.2)
            return found

        try:
            yield process, wait_for
        finally:
            if process.poll() is None:
                os.killpg(process.pid, how)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                raise


@pytest.mark.parametrize("command", documented.UNTIL)
def test_a_long_training_starts_saves_and_can_be_stopped(clone, surroundings, command):
    with started(command, clone, surroundings, signal.SIGINT) as (process, wait_for):
        wait_for(lambda: list(clone.glob(documented.UNTIL[command])))
    assert process.returncode != 0 and "Traceback" not in (clone / "log").read_text()


@pytest.mark.parametrize("command", documented.LABS)
def test_jupyterlab_serves_the_first_notebook(clone, surroundings, command):
    address = re.compile(r"(http://(?:127\.0\.0\.1|localhost):\d+)/lab/tree/([^\s?]+)\?token=(\w+)")

    kept = Path(surroundings["BROWSER"].split()[0] + ".html")
    kept.unlink(missing_ok=True)

    def page():  # that the browser is sent to
        return kept.is_file() and address.search(kept.read_text(encoding="utf-8"))

    with started(command, clone, surroundings, signal.SIGTERM) as (_, wait_for):
        host, notebook, token = wait_for(page).groups()
        assert notebook.endswith("00_start_here.ipynb")
        with urllib.request.urlopen(f"{host}/api/contents/{notebook}?token={token}", timeout=60) as answer:
            assert b"Start here" in answer.read()


def test_an_environment_made_by_hand(clone, surroundings, tmp_path):
    place = tmp_path / "by hand"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(place)], check=True)
    for command in documented.BY_HAND:
        run(command, place, surroundings)
    assert "the folder beside the notebooks" in run(
        ".venv/bin/python -m helpers.check_environment", place, surroundings
    )
