"""kill -9 at random moments of each long command: nothing half-written has a final name, and the next run ends well."""

import json
import time

import acts
import nbformat
import pytest
from pypdf import PdfReader

from helpers import datasets, theory_report
from helpers.core import cnn
from helpers.core import mlp as p1


def struck(rng, kills, tmp_path, command, arguments, look, done):
    """Kill `command` at `kills` moments, uniform over its duration; each time look around and run it again.

    `arguments(folder)` are its arguments, `look(folder)` fails where a file is not whole, `done(folder)` where the
    second run has not ended as one that was left alone. Returns (kills, a word about where they fell).
    """
    durations = []
    for number in range(2):  # the first has caches to fill
        begun = time.monotonic()
        whole = tmp_path / f"whole{number}"
        whole.mkdir()
        code, said = acts.perform(command, *arguments(whole))
        durations.append(time.monotonic() - begun)
        assert code == 0, said
        done(whole)
    duration, tried, parts, states, missed = durations[-1], 0, 0, [], 0
    while tried < kills:
        folder = tmp_path / f"struck{tried}.{missed}"
        folder.mkdir()
        process = acts.start(tmp_path / "log", command, *arguments(folder))
        begun = time.monotonic()
        process.join(rng.uniform(0, duration))
        if process.exitcode is not None:
            missed += 1  # it was faster than the one that was measured
            duration = min(duration, time.monotonic() - begun)
            assert missed < 20 * kills, (tmp_path / "log").read_text()
            continue
        process.kill()
        process.join()
        tried += 1
        parts += any(folder.rglob("*.part"))
        states.append(len(acts.contents(folder)))
        look(folder)
        code, said = acts.perform(command, *arguments(folder))
        assert code == 0, said
        look(folder)
        done(folder)
    found = f"{min(states)} to {max(states)} whole files then, {parts} with a begun one; all ended well"
    return tried, f"{found} ({durations[-1]:.1f} s long)"


def test_download(rng, kills, tally, tmp_path, server):
    from test_datasets import assert_same, idx, small, small_arrays

    arrays = small_arrays(datasets.MNIST, train=1500, test=200)
    for key, file in zip(datasets.KEYS, datasets.MNIST.files, strict=True):
        server.files[file.name] = idx(arrays[key])
    files = [server.remote(file.name, "slow") for file in datasets.MNIST.files]
    specification = small(datasets.MNIST, arrays, files)
    good = {file.name: file.md5 for file in files}

    def look(folder):
        for path in folder.iterdir():
            if path.name == "mnist.npz":
                assert_same(datasets.read_npz(path, specification), arrays)
            elif not path.name.endswith((".part", ".lock")):
                assert datasets._md5(path) == good[path.name], path

    def done(folder):
        assert_same(datasets.read_npz(folder / "mnist.npz", specification), arrays)

    tally("kill -9, data download", *struck(
        rng, kills, tmp_path, "download", lambda folder: (specification, folder), look, done))  # fmt: skip


def test_mlp(rng, kills, tally, tmp_path, inputs):
    whole = {name: inputs / "trained" / name for name in ("best_seed0.npz", "best_seed0.json")}

    def look(folder):
        for name in acts.contents(folder):
            json.loads((folder / name).read_text()) if name.endswith(".json") else acts.arrays(folder / name)

    def done(folder):
        assert sorted(path.name for path in folder.iterdir()) == sorted(whole)
        assert acts.same(acts.arrays(folder / "best_seed0.npz"), acts.arrays(whole["best_seed0.npz"]))
        assert acts.untimed(folder / "best_seed0.json") == acts.untimed(whole["best_seed0.json"])

    tally("kill -9, MLP training, resumed to the same bits", *struck(
        rng, kills, tmp_path, "mlp", lambda folder: (inputs, folder), look, done))  # fmt: skip


def test_cnn(rng, kills, tally, tmp_path, inputs):
    names = ["p2_checkpoint.pt", "p2_history.json", "p2_model.pkl"]

    def look(folder):
        for name in acts.contents(folder):
            json.loads((folder / name).read_text()) if name.endswith(".json") else cnn.read_file(folder / name)

    def done(folder):
        assert sorted(acts.contents(folder)) == names
        first = tmp_path / "whole0"
        assert acts.same(acts.weights(folder / "p2_model.pkl"), acts.weights(first / "p2_model.pkl"))
        assert acts.untimed(folder / "p2_history.json") == acts.untimed(first / "p2_history.json")

    tally("kill -9, CNN training, resumed to the same bits", *struck(
        rng, kills, tmp_path, "cnn", lambda folder: (inputs, folder), look, done))  # fmt: skip


def replaced(names, tmp_path, inputs):
    """Arguments for a command that writes files of these names, where older ones lie, and a look at them after a kill.

    Each file has to be the old or the new one, never something between.
    """

    def arguments(folder):
        for name in names:
            if not (folder / name).exists():
                (folder / name).write_bytes(b"old " + name.encode())
        return inputs, folder

    def look(folder):
        new = acts.contents(tmp_path / "whole0")
        for name, content in acts.contents(folder).items():
            assert content in (b"old " + name.encode(), new[name]), name

    return arguments, look


def test_report(rng, kills, tally, tmp_path, inputs):
    arguments, look = replaced(("p1.py", "p1_model.npz", "p1_history.json", "p1_report.pdf"), tmp_path, inputs)

    def done(folder):
        assert acts.contents(folder) == acts.contents(tmp_path / "whole0")
        assert p1.read_model(folder / "p1_model.npz") and (folder / "p1_report.pdf").read_bytes()[-6:] == b"%%EOF\n"

    tally("kill -9, report of Programming 1", *struck(
        rng, kills, tmp_path, "report", arguments, look, done))  # fmt: skip


def test_cnn_report(rng, kills, tally, tmp_path, inputs):
    names = ("p2.py", "cnn.py", "training.py", "p2_model.pkl", "p2_history.json", "p2_test.npz", "p2_report.pdf")
    arguments, look = replaced(names, tmp_path, inputs)

    def done(folder):
        assert acts.contents(folder) == acts.contents(tmp_path / "whole0")
        assert cnn.load_model(folder / "p2_model.pkl").widths == (8, 12, 16)
        assert acts.arrays(folder / "p2_test.npz") and (folder / "p2_report.pdf").read_bytes()[-6:] == b"%%EOF\n"

    tally("kill -9, report of Programming 2", *struck(
        rng, kills, tmp_path, "cnn_report", arguments, look, done))  # fmt: skip


@pytest.mark.skipif(theory_report.chromium() is None, reason="no Chromium; make test-browser installs it")
def test_theory_report(rng, kills, tally, tmp_path, inputs):
    """Chromium dates what it prints, so a new report is known by its four pages."""

    def look(folder):
        path = folder / "theory_report.pdf"
        assert path.read_bytes() == b"old" or len(PdfReader(path).pages) == 4

    def done(folder):
        assert list(acts.contents(folder)) == ["theory_report.pdf"]
        assert len(PdfReader(folder / "theory_report.pdf").pages) == 4

    def arguments(folder):
        if not (folder / "theory_report.pdf").exists():
            (folder / "theory_report.pdf").write_bytes(b"old")
        return inputs, folder

    tally("kill -9, theory report", *struck(
        rng, kills, tmp_path, "theory_report", arguments, look, done))  # fmt: skip


def test_notebook(rng, kills, tally, tmp_path, inputs):
    old = nbformat.writes(nbformat.v4.new_notebook())

    def arguments(folder):
        if not (folder / "01_small.ipynb").exists():
            (folder / "01_small.ipynb").write_text(old)
        return inputs, folder

    def look(folder):
        text = (folder / "01_small.ipynb").read_text()
        assert text == old or text == (tmp_path / "whole0" / "01_small.ipynb").read_text()

    def done(folder):
        cell = nbformat.read(folder / "01_small.ipynb", as_version=4).cells[1]
        assert cell.outputs[0].text == "ready 42\n" and cell.execution_count == 1 and not cell.metadata
        look(folder)

    tally("kill -9, notebook run, cleaned and stored", *struck(
        rng, kills, tmp_path, "notebook", arguments, look, done))  # fmt: skip


@pytest.mark.parametrize("times", [5])
def test_a_download_goes_on_when_the_one_that_held_the_lock_is_killed(rng, tally, tmp_path, server, times):
    from test_datasets import assert_same, small_mnist

    arrays, specification = small_mnist(server, "slow")
    for number in range(times):
        folder = tmp_path / str(number)
        folder.mkdir()
        first = acts.start(tmp_path / "log1", "download", specification, folder)
        deadline = time.monotonic() + 30
        while not (folder / ".mnist.lock").exists() and time.monotonic() < deadline:
            time.sleep(0.005)
        second = acts.start(tmp_path / "log2", "download", specification, folder)
        first.join(rng.uniform(0, 0.5))
        first.kill()
        second.join(60)
        assert second.exitcode == 0, (tmp_path / "log2").read_text()
        assert_same(datasets.read_npz(folder / "mnist.npz", specification), arrays)
    tally("kill -9 of the one that holds the lock", times, "the other one took over")
