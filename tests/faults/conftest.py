"""Options, the fixtures that make a fault, and the table of how many were tried."""

import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import acts
import pytest

from helpers import datasets

sys.path.insert(0, str(Path(__file__).parents[1]))  # test_datasets has a server of its own
ROWS = pytest.StashKey[list]()
SEED = pytest.StashKey[int]()


def pytest_addoption(parser):
    parser.addoption("--kills", type=int, default=int(os.environ.get("KILLS", 20)), help="of each command (20)")
    parser.addoption("--seed", type=int, default=None, help="of moments, places and mutations (a new one each time)")


def pytest_configure(config):
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")  # no pool of threads survives a fork
    config.stash[ROWS] = []
    given = config.getoption("--seed")
    config.stash[SEED] = random.SystemRandom().randrange(10**6) if given is None else given


def pytest_report_header(config):
    return f"faults: --seed {config.stash[SEED]} --kills {config.getoption('--kills')}"


def pytest_terminal_summary(terminalreporter, config):
    rows = config.stash[ROWS]
    if rows:
        terminalreporter.section(f"faults tried (--seed {config.stash[SEED]})")
        for name, tried, found, seconds in rows:
            terminalreporter.write_line(f"  {tried:6} {name:58} {seconds:6.0f} s  {found}")
        terminalreporter.write_line(f"  {sum(row[1] for row in rows):6} in all")


@pytest.fixture
def rng(pytestconfig, request):
    """Random numbers of the printed seed, others in each test."""
    return random.Random(f"{pytestconfig.stash[SEED]} {request.node.name}")


@pytest.fixture
def kills(pytestconfig):
    return pytestconfig.getoption("--kills")


@pytest.fixture
def tally(pytestconfig):
    """Takes (name, how many faults were tried, what was found) for the table."""
    begun = time.monotonic()

    def note(name, tried, found):
        pytestconfig.stash[ROWS].append((name, tried, found, time.monotonic() - begun))

    return note


@pytest.fixture(scope="session")
def inputs(tmp_path_factory):
    """A folder with what the commands read: both data sets made small, a training of the MLP, a notebook."""
    return acts.prepare(tmp_path_factory.mktemp("inputs"))


@pytest.fixture
def server():
    from test_datasets import Server

    server = Server()
    yield server
    server.shutdown()
    server.server_close()


def mounted(arguments):
    done = subprocess.run(["mount", *arguments], capture_output=True)
    return done.returncode == 0


@pytest.fixture
def disk(tmp_path):
    """A folder of which `disk.fill(free)` leaves so many bytes: a small file system in memory where one can be mounted.

    Elsewhere `disk.limit` is a limit on the size of any file, which gives the same error at another place.
    """
    place = tmp_path / "disk"
    place.mkdir()
    small = Disk(place, mounted(["-t", "tmpfs", "-o", "size=24m", "tmpfs", str(place)]))
    yield small
    if small.real:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


class Disk:
    def __init__(self, place, real):
        self.place, self.real, self.limit = place, real, None
        self.how = "a full tmpfs" if real else "RLIMIT_FSIZE"

    def fill(self, free):
        if not self.real:
            self.limit = max(free, 6000)  # what is said goes into a file too
            return
        with open(self.place / "filler", "wb") as file:
            file.write(bytes(shutil.disk_usage(self.place).free - free))


@pytest.fixture
def read_only():
    """Makes folders read-only: root is stopped by a read-only mount, anybody else by permissions."""
    made = []

    def close(folder):
        if os.geteuid() == 0:
            if not mounted(["--bind", str(folder), str(folder)]):
                pytest.skip("root writes everywhere, and here nothing can be mounted")
            made.append(folder)
            assert mounted(["-o", "remount,ro,bind", str(folder)])
            return "a read-only mount"
        folder.chmod(0o555)
        made.append(folder)
        return "permissions"

    yield close
    for folder in made:
        if os.geteuid() == 0:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)
        else:
            folder.chmod(0o755)


@pytest.fixture(autouse=True)
def no_data_of_the_machine(monkeypatch, tmp_path):
    """No test reads or writes the real data by accident."""
    monkeypatch.setattr(datasets, "REPOSITORY", tmp_path)
