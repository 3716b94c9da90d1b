"""JupyterLab, with settings of its own, and Chromium to drive it."""

import json
import math
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[2]
SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True},
    "apputils-extension/themes": {"theme": "JupyterLab Light"},
    "notebook-extension/tracker": {"windowingMode": "none"},  # every output is in the page, in view or not
}
FLAGS = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip


def chromium():
    """Return the path of Chromium; where it is missing and this is Debian, run by its administrator, install it."""
    for name in (os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome"):
        if name and shutil.which(name):
            return shutil.which(name)
    if shutil.which("apt-get") and os.geteuid() == 0:
        wait = "-o DPkg::Lock::Timeout=120 -o Acquire::Retries=3"
        for command in (f"apt-get {wait} update", f"apt-get {wait} install --yes --no-install-recommends chromium"):
            quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
            subprocess.run(command.split(), env=quiet, stdout=subprocess.DEVNULL)
        if shutil.which("chromium"):
            return shutil.which("chromium")
    pytest.fail("Chromium is missing; run `sudo apt-get install chromium`, or set CHROMIUM to a Chrome or Chromium")


@pytest.fixture(scope="session")
def starting(tmp_path_factory):
    """A JupyterLab that is starting, with a copy of the notebooks and nothing of its user: (process, address, log)."""
    home = tmp_path_factory.mktemp("lab")
    shutil.copytree(ROOT / "notebooks", home / "notebooks")
    for name, settings in SETTINGS.items():
        file = home / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(settings))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    places = {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime",
              "JUPYTERLAB_WORKSPACES_DIR": "workspaces", "JUPYTERLAB_SETTINGS_DIR": "settings"}  # fmt: skip
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1",
        f"--port={address.rpartition(':')[2]}", "--ServerApp.port_retries=0", "--IdentityProvider.token=workbook",
        "--LabApp.expose_app_in_browser=True", f"--ServerApp.root_dir={home / 'notebooks'}",
    ]  # fmt: skip
    environment = os.environ | {name: str(home / folder) for name, folder in places.items()}
    with open(home / "log", "w") as log, subprocess.Popen(command, env=environment, stdout=log, stderr=log) as server:
        try:
            yield server, address, home / "log"
        finally:
            server.terminate()


@pytest.fixture(scope="session")
def browser(starting):
    """A Chromium without a window, started while JupyterLab starts."""
    sandbox = [] if os.geteuid() else ["--no-sandbox"]  # it refuses to start for root with one
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium(), args=FLAGS + sandbox)
        yield running
        running.close()


@pytest.fixture(scope="session")
def lab(starting, browser):
    """The address of the JupyterLab, once it answers."""
    server, address, log = starting
    deadline = time.monotonic() + 120
    while True:
        try:
            urllib.request.urlopen(f"{address}/api?token=workbook", timeout=5)
            return address
        except OSError:
            if server.poll() is not None or time.monotonic() > deadline:
                pytest.fail(log.read_text())
            time.sleep(0.1)


@pytest.fixture(scope="session")
def screenshots():
    """The folder for screenshots."""
    folder = ROOT / "build" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def latencies(pytestconfig):
    """Collects (explorer, control, how, milliseconds); when the tests end they are written to build/, the table too."""
    pytestconfig.measured = measured = []
    yield measured
    if measured:
        (ROOT / "build").mkdir(exist_ok=True)
        (ROOT / "build" / "latency.txt").write_text(table(measured) + "\n")
        rows = [
            {"explorer": explorer, "control": control, "by": how, "milliseconds": [round(t, 1) for t in times]}
            for explorer, control, how, times in sorted(measured, key=lambda row: row[:3])
        ]
        (ROOT / "build" / "latency.json").write_text(json.dumps(rows) + "\n")  # helpers/benchmarks.py reads it


def table(measured):
    """Return the latencies as text, one line for each control and way of moving it."""
    lines = [f"  {'explorer':24} {'control':14} {'by':5} {'events':>6} {'median':>9} {'p90':>9}"]
    for explorer, control, how, times in sorted(measured, key=lambda row: row[:3]):
        times = sorted(times)
        median, p90 = statistics.median(times), times[math.ceil(0.9 * len(times)) - 1]
        lines.append(f"  {explorer:24} {control:14} {how:5} {len(times):6} {median:6.0f} ms {p90:6.0f} ms")
    return "\n".join(lines)


def pytest_terminal_summary(terminalreporter, config):
    if getattr(config, "measured", []):
        terminalreporter.section("from the reader's key or drag to the changed picture, in JupyterLab")
        terminalreporter.write_line(table(config.measured))
