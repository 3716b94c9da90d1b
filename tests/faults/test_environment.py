"""The same trainings in odd surroundings: the same bits, or, with more threads, nearly the same numbers."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import acts
import numpy as np
import pytest

# What another number of threads may change, in parts of the largest entry of each array. Sums are added up in another
# order. Muon, which brings also the faintest directions of a gradient to full size, enlarges that difference.
TOLERANCES = {"MLP": 1e-5, "CNN": 2e-2}
SAME_LOSS = 1e-2  # and of the loss on the test images, which is what counts
CLOCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

int clock_gettime(clockid_t id, struct timespec *now) {
    int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
    int done = real(id, now);
    if (id == CLOCK_REALTIME) now->tv_sec += atoll(getenv("CLOCK_SHIFT"));
    return done;
}
time_t time(time_t *where) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (where) *where = now.tv_sec;
    return now.tv_sec;
}
int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    now->tv_sec = t.tv_sec;
    now->tv_usec = t.tv_nsec / 1000;
    return 0;
}
"""
YEAR = 31_557_600


def probe(inputs, folder, settings, code=acts.ROOT):
    """Run the probe with changed environment variables; return what it said and (weights of the MLP, of the CNN)."""
    from PIL import Image

    if not (inputs / "picture.png").exists():
        Image.fromarray(acts.noise(1, (32, 32, 3), 0)[0][0]).save(inputs / "picture.png")
    environment = os.environ | {"PYTHONPATH": str(code), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"} | settings
    environment = {name: value for name, value in environment.items() if value is not None}
    command = [sys.executable, code / "tests" / "faults" / "probe.py", inputs, folder]
    done = subprocess.run(command, cwd=code, env=environment, capture_output=True, timeout=300)
    said = done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")
    assert done.returncode == 0 and "code 0, year" in said, said
    return said, (acts.arrays(folder / "p1" / "best_seed0.npz"), acts.weights(folder / "p2" / "p2_model.pkl"))


@pytest.fixture(scope="module")
def plain_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("plain")


@pytest.fixture(scope="module")
def plain(inputs, plain_folder):
    """The weights of both networks, trained in ordinary surroundings."""
    return probe(inputs, plain_folder, {"PYTHONHASHSEED": "0"})[1]


def equal(plain, found):
    return all(acts.same(one, other) for one, other in zip(plain, found, strict=True))


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("PYTHONHASHSEED 1", {"PYTHONHASHSEED": "1"}),
        ("PYTHONHASHSEED random", {"PYTHONHASHSEED": "random"}),
        ("TZ Pacific/Kiritimati, 14 hours ahead", {"TZ": "Pacific/Kiritimati"}),
        ("TZ <odd>+23:59", {"TZ": "<odd>+23:59"}),
        ("locale C without UTF-8", {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}),
        ("a terminal of ASCII", {"PYTHONIOENCODING": "ascii"}),
        ("a terminal of Latin 1", {"PYTHONIOENCODING": "latin-1"}),
    ],
)
def test_surroundings(name, settings, inputs, plain, tmp_path, tally):
    assert equal(plain, probe(inputs, tmp_path, settings)[1])
    tally(name, 1, "the same bits")


def test_comma_decimals(inputs, plain, tmp_path, tally):
    if not shutil.which("localedef"):
        pytest.skip("localedef is missing, so no locale can be made")
    made = tmp_path / "de_DE.UTF-8"
    subprocess.run(["localedef", "-c", "-f", "UTF-8", "-i", "de_DE", str(made)], capture_output=True)
    if not made.exists():
        pytest.skip("the sources of locales are missing (Debian: apt-get install locales)")
    said, found = probe(inputs, tmp_path / "out", {"LOCPATH": str(tmp_path), "LC_ALL": "de_DE.UTF-8"})
    assert "decimal point ," in said and equal(plain, found)
    record = acts.contents(tmp_path / "out" / "report")["p1_history.json"].decode()
    assert re.search(r"\d\.\d", record) and not re.search(r"\d,\d", record)
    tally("locale de_DE with comma decimals", 1, "the same bits, and points in every file")


@pytest.mark.parametrize("year", [1971, 2099, 2199])
def test_clock(year, inputs, plain, tmp_path, tally):
    compiler = shutil.which("cc")
    if not compiler or not sys.platform.startswith("linux"):
        pytest.skip("a clock is put before that of the system with a C compiler, on Linux")
    (tmp_path / "clock.c").write_text(CLOCK)
    library = tmp_path / "clock.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, tmp_path / "clock.c", "-ldl"], check=True)
    shift = {"LD_PRELOAD": str(library), "CLOCK_SHIFT": str((year - time.gmtime().tm_year) * YEAR)}
    said, found = probe(inputs, tmp_path / "out", shift)
    assert abs(int(re.search(r"year (\d+)", said)[1]) - year) <= 1 and equal(plain, found)
    tally(f"clock in {year}", 1, "the same bits")


def test_a_path_with_spaces_and_letters_of_other_languages(inputs, plain, tmp_path, tally):
    code = tmp_path / "Übung 1 – größer, 深度学习"
    shutil.copytree(acts.ROOT / "helpers", code / "helpers", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(acts.ROOT / "tests" / "faults", code / "tests" / "faults")
    said, found = probe(inputs, code / "out put", {}, code)
    assert f"helpers of {code}" in said and equal(plain, found)
    here = code / "note books"
    (here / "text").mkdir(parents=True)
    shutil.copy(inputs / "notebooks" / "text" / "01_small.py", here / "text")
    status, said = acts.perform("notebook_as_it_is", here)
    assert status == 0, said
    tally("a path with spaces and non-ASCII letters", 2, "the same bits; a notebook is built")


def test_a_home_without_write_permission(inputs, plain, tmp_path, read_only, tally):
    home = tmp_path / "home"
    home.mkdir()
    how = read_only(home)
    assert subprocess.run(["touch", str(home / "x")], capture_output=True).returncode != 0 or os.geteuid()
    moved = dict.fromkeys(("MPLCONFIGDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "TORCH_HOME", "IPYTHONDIR")) | {
        "HOME": str(home)
    }
    assert equal(plain, probe(inputs, tmp_path / "out", moved)[1])
    here = tmp_path / "notebooks"
    (here / "text").mkdir(parents=True)
    text = (inputs / "notebooks" / "text" / "01_small.py").read_text()
    (here / "text" / "01_small.py").write_text(text + "import matplotlib.pyplot\n")
    code = (
        "import sys; from pathlib import Path; from helpers import build_notebooks as b; "
        "b.NOTEBOOKS = Path(sys.argv[1]); sys.exit(b.main([]))"
    )
    environment = {k: v for k, v in (os.environ | moved).items() if v is not None}
    done = subprocess.run([sys.executable, "-c", code, here], env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and (here / "01_small.ipynb").exists(), done.stderr
    assert not list(home.iterdir())
    tally(f"a home without write permission ({how})", 2, "the same bits; a notebook is built")


@pytest.mark.parametrize("threads", [2, 4])
def test_threads(threads, inputs, plain, tmp_path, tally, plain_folder):
    count, told = str(threads), []
    found = probe(inputs, tmp_path, {"OMP_NUM_THREADS": count, "OPENBLAS_NUM_THREADS": count})[1]
    for (name, tolerance), one, other in zip(TOLERANCES.items(), plain, found, strict=True):
        assert list(one) == list(other)
        parts = [np.abs(one[k] - other[k]).max() / max(np.abs(one[k]).max(), 1e-12) for k in one]
        assert max(parts) <= tolerance
        told.append(f"{name} {max(parts):.0e} (at most {tolerance:g})")
    for file, key in (("p1/best_seed0.json", "test_loss"), ("p2/p2_history.json", "test")):
        losses = [json.loads((folder / file).read_text())[key] for folder in (plain_folder, tmp_path)]
        losses = [loss["loss"] if key == "test" else loss for loss in losses]
        assert losses[0] == pytest.approx(losses[1], rel=SAME_LOSS)
    tally(f"{threads} threads instead of 1", 1, f"largest difference, relative: {', '.join(told)}")


def test_no_network(tmp_path, tally):
    alone = ["unshare", "--user", "--map-root-user", "--net"]
    if not shutil.which("unshare") or subprocess.run([*alone, "true"], capture_output=True).returncode:
        pytest.skip("no network of its own can be given to a process here")
    environment = {k: v for k, v in os.environ.items() if k != "WORKBOOK_DATA"}
    start = [*alone, sys.executable]
    said = dict(env=environment, cwd=acts.ROOT, capture_output=True, text=True, timeout=120)
    done = subprocess.run([*start, "-m", "helpers.datasets", "--folder", tmp_path / "a"], **said)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    for name in ("MNIST", "CIFAR-10"):
        assert re.search(f"^{name} .*missing: no mirror delivers", done.stdout, flags=re.M), done.stdout
    for name in ("mnist", "cifar10"):
        code = f"from helpers import datasets; print(datasets.{name}({str(tmp_path / name)!r}))"
        done = subprocess.run([*start, "-c", code], **said)
        assert done.returncode == 0 and "generated stand-in for" in done.stdout and "could not be had" in done.stderr
        assert Path(tmp_path / name).is_dir() and not list((tmp_path / name).glob("*.npz"))
    tally("no network", 4, "its sentence, then the stand-in")
