"""The speed measurements: contenders do the same work, a failure loses nothing else, README says what was measured."""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from helpers import benchmarks
from helpers import benchmarks_report as report

RECORD = benchmarks.ARTIFACTS / "benchmarks.json"


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    """Whatever is written is written into a folder of this test, README too."""
    for name in ("ARTIFACTS", "README", "LATENCY", "ROOT"):
        place = tmp_path / getattr(benchmarks, name).relative_to(benchmarks.ROOT) if name != "ROOT" else tmp_path
        place.parent.mkdir(parents=True, exist_ok=True)
        monkeypatch.setattr(benchmarks, name, place)
    benchmarks.ARTIFACTS.mkdir()
    (tmp_path / "README.md").write_text(f"above\n{report.BEGIN}\nold\n{report.END}\nbelow\n", encoding="utf-8")
    monkeypatch.setattr(benchmarks.psutil, "cpu_percent", lambda interval: 4.0)
    monkeypatch.setattr(report, "draw", lambda record: record)
    monkeypatch.setattr(report.style, "png", lambda record: b"png of " + json.dumps(list(record["sections"])).encode())
    return tmp_path


def section(results, **changed):
    hardware = {"processor": "Abacus 3", "cores": 2, "memory_gb": 8, "system": "Linux x86_64", "settings": {}}
    versions = {"python": "3.11.7", "blas": "openblas 1", "numpy": "2.4.6", "torch": "2.13.0"}
    entry = {"date": "2026-01-02", "command": "", "busy": 0.0, "took": 1.0, "hardware": hardware, "versions": versions}
    return entry | {"left_out": [], "results": results} | changed


@pytest.fixture
def record():
    """A result of every section, in numbers that can be checked by eye."""
    times = {"count": 10, "median_ms": 20.0, "p90_ms": 30.0}
    slow = {"count": 10, "median_ms": 50.0, "p90_ms": 80.0}
    seconds = {"numpy": [1.0, 2.0, 4.0], "torch eager": [2.0, 2.0, 20.0], "scikit-learn": [3.0, 6.0, 12.0]}
    sizes = {
        size: {"seconds_per_epoch": [s, s], "gflops": [200.0, 100.0], "peak_gflops": [400.0, 500.0]}
        for size, s in (("16", 9.0), ("32", 40.0))
    }
    goal = {"goal": 0.7, "accuracy": 0.7212, "seconds": 21.0, "tflop": 7.7, "epochs": 1, "sizes": [22],
            "training_images": 45_000, "held_out_images": 5000}  # fmt: skip
    case = {"kernel": 3, "map": 28, "difference": 1e-14,
            "seconds": {"helper": [2e-4], "correlate2d": [1e-4], "correlate": [4e-4]}}  # fmt: skip
    results = {
        "imports": {"imports": {"helpers": {"seconds": [0.001], "torch": False},
                                "01_one": {"seconds": [0.5], "torch": False},
                                "06_six": {"seconds": [2.0, 2.2, 9.0], "torch": True}}},
        "setup": {"bytes": 1_890_000_000, "files": 48_180, "install": {"seconds": 61.2, "date": "2025-12-31"}},
        "mlp": {"samples": 51_200, "batch_size": 128,
                "networks": {"784-256-128-10": {"torch_threads": 2, "weights_differ": 1e-7, "seconds": seconds}}},
        "convolution": {"cases": [case]},
        "cnn": {"device": "cpu", "precision": "bf16", "threads": 2, "sizes": sizes, "to_goal": goal},
        "explorers": {"controls": {}, "all": {"explore.race": times, "explore.draw": slow}},
        "browser": {"rows": [], "all": {"explore.race": slow}},
        "notebooks": {"seconds": {"00_start_here": 3.21, "05_numpy": 61.0}},
    }  # fmt: skip
    return {"sections": {name: section(result) for name, result in results.items()}}


def test_numpy_torch_and_scikit_learn_train_the_same_network():
    rng = np.random.default_rng(0)
    x = rng.random((300, 20), dtype=np.float32)
    y = np.eye(5, dtype=np.float32)[rng.integers(0, 5, 300)]
    weights = [rng.standard_normal((a, b)).astype(np.float32) / 4 for a, b in ((20, 16), (16, 8), (8, 5))]
    makers = [benchmarks.numpy_epoch, benchmarks.torch_epoch]
    try:
        import sklearn  # noqa: F401

        makers.append(benchmarks.sklearn_epoch)
    except ImportError:
        pass
    contenders = [make((20, 16, 8, 5), weights, x, y) for make in makers]
    for _ in range(3):
        first, *others = (epoch() for epoch, _ in contenders)
        assert others == pytest.approx([first] * len(others), rel=1e-4)
    for _, trained in contenders[1:]:
        for a, b, before in zip(contenders[0][1](), trained(), weights, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5)
            assert np.abs(a - before).max() > 1e-3


def test_a_contender_that_does_not_work_is_told_and_the_others_go_on(monkeypatch):
    def no_compiler(model):
        raise RuntimeError("no C++ compiler was found\nlong story")

    monkeypatch.setattr("torch.compile", no_compiler)
    monkeypatch.setitem(sys.modules, "sklearn.neural_network", None)
    notes = []
    seconds, threads, difference = benchmarks.measure_mlp((20, 16, 5), 2, 256, notes)
    assert list(seconds) == ["numpy", "torch eager"] and all(len(values) == 2 for values in seconds.values())
    assert notes[0].endswith("does not work here (no C++ compiler was found)")
    assert "pip install scikit-learn" in notes[1] and len(notes) == 2
    assert threads >= 1 and 0 < difference < 1e-4


def test_the_table_names_every_contender_and_its_ratio(monkeypatch, capsys, elsewhere):
    seconds = {"numpy": [1.0, 2.0, 4.0], "torch eager": [2.0, 2.0, 2.0], "torch compiled": [0.5, 1.0, 2.0]}
    monkeypatch.setattr(benchmarks, "measure_mlp", lambda *_: (seconds, 2, 1e-7))
    benchmarks.main(["mlp", "--quick"])
    lines = capsys.readouterr().out.splitlines()
    assert sum("784-800-400-10" in line for line in lines) == 1
    eager = next(line for line in lines if "torch eager" in line)
    assert "2.000 [2.000, 2.000]" in eager and "1.00 [0.50, 2.00]" in eager
    compiled = next(line for line in lines if "torch compiled" in line)
    assert "0.50 [0.50, 0.50]" in compiled


def test_the_recorded_speed_keeps_its_promise():
    """At least 1.5 times as fast as eager PyTorch, never slower than compiled; the ratios taken another way."""
    networks = json.loads(RECORD.read_text(encoding="utf-8"))["sections"]["mlp"]["results"]["networks"]
    assert list(networks) == ["784-256-128-10", "784-800-400-10"]
    for measured in networks.values():
        medians = {name: statistics.median(values) for name, values in measured["seconds"].items()}
        assert medians["torch eager"] >= 1.5 * medians["numpy"] and medians["torch compiled"] >= medians["numpy"]


# --- one failure loses nothing else -------------------------------------------------------------------------------


def stand_in(monkeypatch, **sections):
    """Replace sections by functions that do at once what a test wants of them."""
    for name, section in sections.items():
        section.__doc__ = "How much?"
        monkeypatch.setitem(benchmarks.SECTIONS, name, section)


def size(quick, left_out, install=False):
    return {"bytes": 2e9, "files": 3} | ({"install": {"seconds": 5.0, "date": "2026-01-01"}} if install else {})


def runs(quick, left_out):
    left_out.append("notebook 06: no torch")
    return {"seconds": {"00_start_here": 2.0}}


def breaks(quick, left_out):
    raise OSError("Chromium is missing; install it.\nlong story")


def test_one_section_that_fails_leaves_its_older_result_and_the_others(monkeypatch, capsys, elsewhere, record):
    path = elsewhere / "artifacts" / "benchmarks.json"
    path.write_text(json.dumps({"sections": {"browser": record["sections"]["browser"]}}))
    stand_in(monkeypatch, setup=size, browser=breaks, notebooks=runs)
    assert benchmarks.main(["notebooks", "browser", "setup"]) == 0
    said = capsys.readouterr().out
    assert "Not measured: browser (Chromium is missing; install it)." in said
    assert "Left out: notebook 06: no torch." in said
    kept = json.loads(path.read_text())["sections"]
    assert list(kept) == ["setup", "browser", "notebooks"]
    assert kept["browser"] == record["sections"]["browser"]
    assert kept["setup"]["date"] == benchmarks.today() and kept["setup"]["command"].endswith("benchmarks setup")
    assert kept["setup"]["versions"]["numpy"] == np.__version__ and kept["setup"]["hardware"]["cores"] == os.cpu_count()
    readme = (elsewhere / "README.md").read_text(encoding="utf-8")
    assert readme.startswith("above\n") and readme.endswith("below\n") and "old" not in readme
    assert "in JupyterLab? | medians of 50 to 50 ms" in readme and "(2026-01-02, on 2 cores of Abacus 3) |" in readme
    assert (elsewhere / "artifacts" / "benchmarks.png").read_bytes() == b'png of ["setup", "browser", "notebooks"]'
    assert not list(elsewhere.rglob("*.part"))


def test_if_nothing_can_be_measured_the_command_says_so(monkeypatch, capsys, elsewhere):
    stand_in(monkeypatch, browser=breaks)
    assert benchmarks.main(["browser"]) == 1
    assert "Not measured: browser" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="measure first with make bench"):
        benchmarks.main(["--readme"])
    assert "old" in (elsewhere / "README.md").read_text(encoding="utf-8")


def test_the_time_of_a_set_up_stays_until_it_is_measured_anew(monkeypatch, capsys, elsewhere):
    stand_in(monkeypatch, setup=size)
    benchmarks.main(["setup", "--install"])
    benchmarks.main(["setup"])
    assert "5 s to set up when last measured, 2026-01-01" in capsys.readouterr().out
    assert "(timed on 2026-01-01)" in (elsewhere / "README.md").read_text(encoding="utf-8")


def test_quick_results_stay_in_build(monkeypatch, elsewhere):
    stand_in(monkeypatch, setup=size)
    before = (elsewhere / "README.md").read_text(encoding="utf-8")
    benchmarks.main(["setup", "--quick"])
    assert (elsewhere / "build" / "benchmarks.json").exists() and (elsewhere / "build" / "benchmarks.png").exists()
    assert not (elsewhere / "artifacts" / "benchmarks.json").exists()
    assert (elsewhere / "README.md").read_text(encoding="utf-8") == before


@pytest.mark.parametrize("content", ["{", "[]", '{"sections": []}', '{"else": 1}'])
def test_a_damaged_record_ends_in_a_sentence(content, elsewhere):
    (elsewhere / "artifacts" / "benchmarks.json").write_text(content)
    with pytest.raises(SystemExit, match=r"^benchmarks.json cannot be read \(.*\); remove it and measure anew"):
        benchmarks.main(["setup"])


def test_a_record_of_another_version_ends_in_a_sentence(elsewhere, record):
    record["sections"]["notebooks"]["results"] = {"minutes": 3}
    (elsewhere / "artifacts" / "benchmarks.json").write_text(json.dumps(record))
    with pytest.raises(SystemExit, match=r"not what this version of the workbook measures \(missing: 'seconds'\)"):
        benchmarks.main(["--readme"])
    assert not (elsewhere / "artifacts" / "benchmarks.png").exists()


def test_stopping_keeps_what_was_measured(monkeypatch, capsys, elsewhere):
    def stops(quick, left_out):
        raise KeyboardInterrupt

    stand_in(monkeypatch, setup=size, notebooks=stops)
    assert benchmarks.main(["setup", "notebooks", "browser"]) == 1
    assert capsys.readouterr().out.endswith(
        "Not measured: notebooks (stopped before).\nNot measured: browser (stopped before).\n"
    )
    assert "2.00 GB" in (elsewhere / "README.md").read_text(encoding="utf-8")
    assert list(report.read(elsewhere / "artifacts" / "benchmarks.json")["sections"]) == ["setup"]


def test_an_unknown_section_is_named_and_help_lists_every_question(capsys):
    with pytest.raises(SystemExit):
        benchmarks.main(["cooking"])
    assert "no section 'cooking'; choose of imports" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        benchmarks.main(["--help"])
    said = capsys.readouterr().out
    assert all(f"  {name} " in said and benchmarks.question(name) in said for name in benchmarks.SECTIONS)
    assert all(benchmarks.question(name).endswith("?") for name in benchmarks.SECTIONS)


# --- sections -----------------------------------------------------------------------------------------------------


def pytest_that_says(monkeypatch, said, status, rows=None):
    def run(command, env, **options):
        assert command[1:4] == ["-m", "pytest", "tests/browser"] and env["SKIP_TRAININGS"]
        if rows:
            benchmarks.LATENCY.write_text(json.dumps(rows))
        return SimpleNamespace(stdout=said, stderr="", returncode=status)

    monkeypatch.setattr(benchmarks.subprocess, "run", run)


def test_without_chromium_the_browser_section_says_what_is_missing(monkeypatch, elsewhere):
    benchmarks.LATENCY.write_text("[]")  # of an earlier run: it must not pass for this one's
    pytest_that_says(monkeypatch, "tests\nE   Failed: Chromium is missing; run `sudo ...`\nmore", 1)
    with pytest.raises(RuntimeError, match="^Chromium is missing; run `sudo ...`$"):
        benchmarks.browser(False, [])


def test_latencies_are_those_of_the_browser_tests(monkeypatch, capsys, elsewhere):
    rows = [{"explorer": "explore.race", "control": "n", "by": how, "milliseconds": times}
            for how, times in (("drag", list(range(1, 11))), ("key", [100.0]))]  # fmt: skip
    pytest_that_says(monkeypatch, "E   AssertionError: a picture", 1, rows)
    notes = []
    results = benchmarks.browser(False, notes)
    assert results["rows"][0] == {"explorer": "explore.race", "control": "n", "by": "drag",
                                  "count": 10, "median_ms": 5.5, "p90_ms": 9}  # fmt: skip
    assert results["all"] == {"explore.race": {"count": 11, "median_ms": 6, "p90_ms": 10}}
    assert len(notes) == 1 and "AssertionError: a picture" in notes[0]
    assert capsys.readouterr().out.splitlines()[1].split() == ["explore.race", "n", "drag", "10", "5.5", "9.0"]


@pytest.fixture
def small_cnn(monkeypatch):
    """Twenty images a class, a small network, and a matrix product that always reaches 1,000 GFLOP/s."""
    from helpers import p2
    from helpers.core import training

    rng = np.random.default_rng(0)
    data = SimpleNamespace(
        name="CIFAR-10", is_stand_in=False,
        train_images=rng.integers(0, 256, (200, 32, 32, 3), dtype=np.uint8), train_labels=np.arange(200) % 10,
        test_images=np.zeros((10, 32, 32, 3), np.uint8), test_labels=np.arange(10),
    )  # fmt: skip
    whole, hold_out = p2.configuration_from, training.hold_out

    def small(preset, changes=(), epochs=None):
        settings = whole(preset, changes, epochs) | {"widths": [4, 4, 4], "batch_size": 20, "part": 20}
        return settings if changes else settings | {"sizes": [16, 20, 16]}

    monkeypatch.setattr(p2, "configuration_from", small)
    monkeypatch.setattr(training, "hold_out", lambda labels, per_class: hold_out(labels, per_class // 100))
    monkeypatch.setattr(training, "matrix_peak", lambda device, dtype: 1000.0)
    monkeypatch.setattr(training, "choose_precision", lambda device: ("float32", "float32, to be quick"))
    monkeypatch.setattr(benchmarks.datasets, "cifar10", lambda: data)
    return data


def test_the_cnn_is_timed_at_every_size_and_until_the_goal(small_cnn, capsys):
    notes = []
    results = benchmarks.cnn(True, notes)
    assert list(results["sizes"]) == ["16", "20"] and not notes
    for measured in results["sizes"].values():
        assert [len(values) for values in measured.values()] == [2, 2, 2] and set(measured["peak_gflops"]) == {1000.0}
        # FLOP an epoch, from speed and time, is the same in every round
        flop = [a * b for a, b in zip(measured["seconds_per_epoch"], measured["gflops"], strict=True)]
        assert max(flop) < 1.1 * min(flop)
    goal = results["to_goal"]
    assert (goal["goal"], goal["epochs"], goal["training_images"], goal["held_out_images"]) == (0.7, 1, 150, 50)
    assert goal["accuracy"] < 0.7 and "70% was not reached in 1 epochs on 150 images" in capsys.readouterr().out


def test_without_cifar10_the_cnn_is_timed_all_the_same(small_cnn):
    small_cnn.is_stand_in = True
    notes = []
    assert "to_goal" not in benchmarks.cnn(True, notes)
    assert notes == ["time to 70%: there is no CIFAR-10 here; run make data"]


def test_each_control_of_an_explorer_is_timed_and_one_without_its_data_left_out(monkeypatch, capsys):
    made = benchmarks.make_explorer

    def some(name):
        if name.startswith("cnn"):
            raise ValueError("there is no file of weights\nlong story")
        return made("gates.neuron")

    monkeypatch.setattr(benchmarks, "make_explorer", some)
    monkeypatch.setattr(benchmarks, "EXPLORERS", ("gates.neuron", "cnn.answers"))
    notes = []
    results = benchmarks.explorers(True, notes)
    assert notes == ["cnn.answers: there is no file of weights"]
    counts = {name: timed["count"] for name, timed in results["controls"]["gates.neuron"].items()}
    assert set(counts) == {"gate", "w1", "w2", "b"} and max(counts.values()) == 6
    assert results["all"]["explore.neuron"]["count"] == sum(counts.values())


def test_notebooks_that_fail_or_ran_on_generated_images_are_left_out(monkeypatch, tmp_path, capsys):
    for name in ("01_good", "02_bad", "03_generated"):
        (tmp_path / f"{name}.py").write_text(f"# %%\n'{name}'\n")

    class Client:
        def __init__(self, notebook, **options):
            self.notebook = notebook

        def execute(self, env, stderr):
            assert env["WORKBOOK_PROGRESS"] == ""
            (cell,) = self.notebook.cells
            if "bad" in cell.source:
                raise RuntimeError("a cell failed")
            text = "StandInWarning: no network" if "generated" in cell.source else "some other warning"
            cell["outputs"] = [{"output_type": "stream", "name": "stderr", "text": text}]

    monkeypatch.setattr("nbclient.NotebookClient", Client)
    monkeypatch.setattr(benchmarks, "TWINS", tmp_path)
    notes = []
    assert list(benchmarks.notebooks(False, notes)["seconds"]) == ["01_good"]
    assert notes == [
        "notebook 02_bad: a cell failed",
        "notebook 03_generated: it ran on generated images; run make data",
    ]
    monkeypatch.setattr(Client, "_async_cleanup_kernel_future", "what nbclient keeps after Ctrl-C", raising=False)
    with pytest.raises(KeyboardInterrupt):
        benchmarks.notebooks(False, [])


@pytest.mark.parametrize("fails", [False, True])
def test_a_set_up_is_timed_in_a_folder_that_goes_away(monkeypatch, tmp_path, capsys, fails):
    (tmp_path / "file").write_text("x" * 5000)
    monkeypatch.setattr(benchmarks, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "nowhere" / ".."))
    (tmp_path / "nowhere").mkdir()
    commands = []

    (tmp_path / "Makefile").write_text("USED := import json\n")

    def run(command, **options):
        commands.append(command)
        assert options["cwd"] == tmp_path and len(list((tmp_path / "build").iterdir())) == 1
        return SimpleNamespace(returncode=fails and len(commands) == 2, stderr="ERROR: no network\nlong story")

    monkeypatch.setattr(benchmarks.subprocess, "run", run)
    notes = []
    results = benchmarks.setup(False, notes, install=True)
    assert results["files"] == 2 and results["bytes"] >= 5000
    assert ("install" in results) != fails and notes == ["time of a set-up: ERROR: no network"] * fails
    steps = [["-m", "venv"], ["-m", "pip"], ["-m", "pip"], ["-c", "import json"]]
    assert [command[1:3] for command in commands] == steps[: 2 if fails else 4]
    assert not list((tmp_path / "build").iterdir())


def test_the_helper_and_scipy_give_the_same_convolution(capsys):
    results = benchmarks.convolution(True, [])
    assert [case["map"] for case in results["cases"]] == [28, 512, 256]
    for case in results["cases"]:
        assert case["difference"] < 1e-11
        assert list(case["seconds"]) == ["helper", "correlate2d", "correlate"]
        assert all(0 < value < 10 for values in case["seconds"].values() for value in values)


@pytest.mark.parametrize("twin", sorted(benchmarks.TWINS.glob("*.py")), ids=lambda twin: twin.stem)
def test_the_imports_that_are_timed_are_the_notebooks_own(twin):
    lines = benchmarks.opening(twin).splitlines()
    text = twin.read_text(encoding="utf-8").splitlines()
    assert lines and set(lines) <= set(text) and any(line.startswith("from helpers") for line in lines)


def test_importing_is_timed_in_processes_of_its_own(monkeypatch, tmp_path, capsys):
    (tmp_path / "01_fine.py").write_text("# %%\nfrom helpers import assignment\nprint(1)\n")
    (tmp_path / "02_broken.py").write_text("# %%\nfrom helpers import cooking\n")
    monkeypatch.setattr(benchmarks, "TWINS", tmp_path)
    notes = []
    results = benchmarks.imports(True, notes)["imports"]
    assert list(results) == ["helpers", "01_fine"]
    assert all(len(one["seconds"]) == 2 and one["torch"] is False for one in results.values())
    assert len(notes) == 1 and notes[0].startswith("imports of 02_broken: ImportError: cannot import name 'cooking'")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="du counts bytes on Linux")
def test_the_size_is_what_du_says(tmp_path):
    for name, count in (("a", 10), ("b/c", 100_000), ("b/d", 0)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * count)
    (tmp_path / "b" / "link").symlink_to(tmp_path / "a")
    size, files = benchmarks.size_of(tmp_path)
    said = subprocess.run(["du", "-s", "-B1", tmp_path], capture_output=True, text=True, check=True).stdout
    assert size == int(said.split()[0]) - tmp_path.stat().st_blocks * 512 and files == 4


def test_taking_turns_is_fair():
    seen = []
    seconds = benchmarks.in_turns({"a": lambda: seen.append("a"), "b": lambda: seen.append("b")}, 3)
    assert "".join(seen) == "ababab" and [len(values) for values in seconds.values()] == [3, 3]


# --- what is told -------------------------------------------------------------------------------------------------


def test_every_answer_in_the_table(record):
    for section in record["sections"].values():
        section["hardware"]["settings"] = {"OMP_NUM_THREADS": "1"}
    text = report.block(record)
    assert max(len(line) for line in text.splitlines() if line[:1] != "|") <= 120
    text = text.replace("\n", " ")
    for answer in (
        "numpy **2.00 s**; PyTorch eager 2.00 s, 2.00 ×; scikit-learn 6.00 s, 3.00 × |",
        "| 9.00 s at 16×16 pixels to 40.0 s at 32×32 pixels |",
        "150 GFLOP/s in bf16 at 32×32 pixels, **35%** of a plain matrix product's 450 |",  # halfway of 1/2 and 1/5
        "recognises 70% of CIFAR-10? | **21.0 s** of training, 1 epoch: 72.1% of 5,000 held-out images |",
        "3×3 on 28×28: **200 µs**, 2.00 × `correlate2d`, 0.50 × `correlate` |",
        "medians of 20 to 50 ms from explorer to explorer; nine in ten within **80 ms** for the slowest, "
        "`explore.draw` |",
        "| 00: 3.21 s, 05: 61.0 s |",
        "`import helpers` **1.0 ms**, without torch; the imports of a notebook 0.50 s; of one that uses torch 2.20 s |",
        "**1.89 GB** in 48,180 files; 61.2 s with every package downloaded anew (timed on 2025-12-31) |",
        "Measured on 2026-01-02 on 2 cores of Abacus 3, 8 GB of memory, Linux x86_64; Python 3.11.7, numpy 2.4.6, ",
        "torch 2.13.0 (openblas 1); OMP_NUM_THREADS=1. ",
    ):
        assert answer in text
    assert "Other programs" not in text and "Left out" not in text and "(2026-01-02" not in text


def test_what_makes_numbers_worth_less_is_told(record):
    record["sections"]["cnn"] |= {"busy": 0.35, "left_out": ["time to 70%: no data"], "date": "2026-01-09"}
    record["sections"]["cnn"]["results"]["to_goal"] |= {"accuracy": 0.69}
    text = report.block(record).replace("\n", " ")
    assert "up to 35% of the processor" in text and "Left out: time to 70%: no data. " in text
    assert "not within 1 epoch on 45,000 images: 69.0% of 5,000 held-out images (2026-01-09) |" in text
    assert text.count("(2026-01-09)") == 3


def test_only_what_was_measured_has_a_line_and_a_panel(record):
    record["sections"] = {name: record["sections"][name] for name in ("setup", "notebooks")}
    assert report.block(record).count("\n| ") == 2
    assert len(report.draw(record).axes) == 1


def test_the_picture_shows_every_section(record):
    figure = report.draw(record)
    assert [ax.get_title(loc="left")[-1] for ax in figure.axes] == ["?"] * 6
    assert figure.get_supxlabel().startswith("2 cores of Abacus 3, 2026-01-02;")
    widths = [round(bar.get_width(), 3) for bar in figure.axes[0].patches]
    assert widths == [2.0, 2.0, 6.0]
    labels = [text.get_text() for text in figure.axes[0].texts]
    assert labels == ["784-256-128-10", "2.00 s", "2.00 s   2.00 × numpy", "6.00 s   3.00 × numpy"]


@pytest.mark.parametrize(("seconds", "words"), [(0.00099, "990 µs"), (0.0044, "4.4 ms"), (0.25, "0.25 s"),
                                                (12.34, "12.3 s"), (123.4, "123 s")])  # fmt: skip
def test_times_are_told_in_the_unit_that_suits_them(seconds, words):
    assert report.told(seconds) == words


@pytest.mark.parametrize("text", ["", report.BEGIN, f"{report.END}{report.BEGIN}", report.BEGIN * 2 + report.END])
def test_a_readme_without_its_marks_is_left_alone(text, record):
    with pytest.raises(ValueError, match="once each and in this order"):
        report.with_table(text, record)


@pytest.mark.skipif(not RECORD.exists(), reason="nothing has been measured yet")
def test_the_table_in_the_readme_is_what_was_measured():
    text = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    assert report.with_table(text, report.read(RECORD)) == text
    with Image.open(RECORD.with_suffix(".png")) as picture:
        assert picture.width > 1000


@pytest.mark.skipif(not RECORD.exists(), reason="nothing has been measured yet")
def test_helpers_are_imported_at_once():
    measured = report.read(RECORD)["sections"].get("imports")
    if measured is None:
        pytest.skip("imports have not been measured yet")
    helpers = measured["results"]["imports"]["helpers"]
    assert len(helpers["seconds"]) == 5 and statistics.median(helpers["seconds"]) < 0.3 and not helpers["torch"]
