"""The hand-in: what is missing or wrong is said, and what is right is packed, nothing more and nothing less."""

import json
import runpy
import shutil
import zipfile

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure

from helpers import datasets, p2, submission
from helpers.core import cnn
from helpers.core import mlp as p1

P1 = submission.ROOT / "artifacts" / "p1"


def report(path, *lines):
    """Write a one-page PDF with lines of text."""
    figure = Figure()
    for position, line in enumerate(lines):
        figure.text(0.05, 0.95 - 0.05 * position, line, fontsize=6)
    with PdfPages(path) as pages:
        pages.savefig(figure)


@pytest.fixture(scope="module")
def small_p2(tmp_path_factory):
    """A folder with p2.py, its modules, an untrained small network, and a report that states what it measures."""
    if datasets.cifar10(part="test").is_stand_in:
        pytest.skip("no CIFAR-10 here")
    folder = tmp_path_factory.mktemp("p2")
    for name, source in {"p2.py": "p2.py", "cnn.py": "core/cnn.py", "training.py": "core/training.py"}.items():
        shutil.copy(submission.ROOT / "helpers" / source, folder / name)
    torch.manual_seed(0)
    cnn.save_model(folder / "p2_model.pkl", cnn.CNN(widths=(4, 4, 4), depth=1))
    accuracy = p2.evaluate(p2.options_from(["--evaluate", str(folder / "p2_model.pkl")]), say=lambda *_: None)
    lines = ["Architecture: convolutions", "learning rate, batch size, epochs", "loss and accuracy over each epoch"]
    report(folder / "p2_report.pdf", f"test accuracy {accuracy:.2%}", *lines)
    return folder


@pytest.fixture
def hand_in(tmp_path, small_p2):
    """A complete hand-in in a folder, free to be spoilt."""
    folder = tmp_path / "hand-in"
    shutil.copytree(small_p2, folder)
    for name in ("p1.py", "p1_model.npz", "p1_report.pdf"):
        shutil.copy(P1 / name, folder)
    return folder


def test_what_is_right_is_packed(hand_in, small_p2, tmp_path):
    said = []
    path = submission.build(P1, small_p2, tmp_path / "out" / "submission", said.append)
    names = {
        "p1.py",
        "p1_model.npz",
        "p1_report.pdf",
        "p2.py",
        "cnn.py",
        "training.py",
        "p2_model.pkl",
        "p2_report.pdf",
    }
    assert set(zipfile.ZipFile(path).namelist()) == names == {p.name for p in (tmp_path / "out/submission").iterdir()}
    for name in names:
        source = (P1 if name.startswith("p1") else small_p2) / name
        assert (tmp_path / "out/submission" / name).read_bytes() == source.read_bytes()
    assert len(said) == 7 and all(sentence.startswith("ok") for sentence in said)
    stored = json.loads((P1 / "p1_history.json").read_text())["final"]["seeds"][0]["test_error"]
    assert any(f"misreads {100 * stored:.2f} %" in sentence for sentence in said), said
    first = path.read_bytes()
    submission.write_zip(submission.find(P1, small_p2), tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == first
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["submission", "submission.zip"]


def test_what_is_missing_is_named(tmp_path, capsys):
    assert submission.main(["--p1", str(P1), "--p2", str(tmp_path), "--folder", str(tmp_path / "out")]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" is missing; ")[0].replace("\\", "/").rpartition("/")[2] for line in lines] == [
        "p2.py", "p2_model.pkl", "p2_report.pdf"]  # fmt: skip
    assert all("yours to make" in line and "make cnn" not in line for line in lines)  # the folder is not ours
    assert not (tmp_path / "out").exists()


def test_a_command_is_named_for_the_worked_edition_s_own_files_alone(monkeypatch, tmp_path):
    monkeypatch.setattr(submission, "ROOT", tmp_path)
    ours = tmp_path / "artifacts" / "p1", tmp_path / "artifacts" / "p2"
    own = "p1.py is missing; it is yours to make; name the folder that holds it with --p1"
    with pytest.raises(ValueError, match=own):  # a student edition has no Makefile
        submission.find(*ours)
    (tmp_path / "Makefile").touch()
    with pytest.raises(ValueError, match="p2_model.pkl is missing; make cnn trains it"):
        submission.find(*ours)
    with pytest.raises(ValueError, match=own):
        submission.find(tmp_path, ours[1])


def test_a_folder_that_holds_anything_else_is_left_alone(hand_in, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("dear")
    with pytest.raises(ValueError, match="holds notes.txt, which is no part of the hand-in"):
        submission.build(P1, hand_in, tmp_path / "mine")
    with pytest.raises(ValueError, match="name another folder"):
        submission.build(hand_in, hand_in, hand_in)
    assert (tmp_path / "mine" / "notes.txt").read_text() == "dear" and (hand_in / "p1.py").exists()


def spoil_imports(folder):
    text = (folder / "p1.py").read_text()
    (folder / "p1.py").write_text(text + "\nimport scipy\n")


def spoil_syntax(folder):
    (folder / "p1.py").write_text("def (")


def spoil_encoding(folder):
    (folder / "p1.py").write_bytes("# früh\n".encode("latin-1") + (folder / "p1.py").read_bytes())


def spoil_training(folder):
    text = (folder / "p1.py").read_text()
    assert text.count("    def step(self):") == 1
    (folder / "p1.py").write_text(text.replace("    def step(self):", "    def step(self):\n        return\n", 1))


def spoil_saving(folder):
    text = (folder / "p1.py").read_text()
    spoilt = text.replace(
        "np.ascontiguousarray(self.W[i]), self.b[i]", "2 * np.ascontiguousarray(self.W[i]), self.b[i]"
    )
    assert spoilt != text
    (folder / "p1.py").write_text(spoilt)


def spoil_name(folder):
    text = (folder / "p1.py").read_text()
    (folder / "p1.py").write_text(text.replace("def get_one_hot", "def one_hot"))


def spoil_sign(folder):
    (folder / "p2.py").write_text("print(72.42)")


def spoil_loading(folder):
    (folder / "p2.py").write_text("print('72.42 %')")
    (folder / "cnn.py").unlink()


def spoil_scaling(folder):
    (folder / "p2.py").write_text("import torch\n\ndef load_model(path):\n    return torch.nn.Flatten()\n\n"
                                  "if __name__ == '__main__':\n    print('72.42 %')\n")  # fmt: skip


def spoil_p1_model(folder):
    with np.load(folder / "p1_model.npz") as file:
        arrays = dict(file)
    arrays["W0"] = arrays["W0"] * (np.random.default_rng(0).random(arrays["W0"].shape) < 0.5)
    np.savez(folder / "p1_model.npz", **arrays)


def spoil_p1_pickle(folder):
    np.savez(folder / "p1_model.npz", W0=np.array([{}], dtype=object), b0=np.zeros(10))


class Trap:
    def __reduce__(self):
        return print, ("code ran",)


def spoil_p2_pickle(folder):
    torch.save({"weights": Trap()}, folder / "p2_model.pkl")


def spoil_p2_model(folder):
    torch.manual_seed(1)
    cnn.save_model(folder / "p2_model.pkl", cnn.CNN(widths=(4, 4, 4), depth=1))


def spoil_report(folder):
    report(folder / "p1_report.pdf", "A report without numbers, loss and error over each epoch, training, validation")


def spoil_pdf(folder):
    (folder / "p2_report.pdf").write_text("no PDF")


def spoil_by_more(folder):
    (folder / "diary.txt").write_text("dear")


def spoil_by_less(folder):
    (folder / "training.py").unlink()


@pytest.mark.parametrize(
    ("spoil", "attempt", "sentence"),
    [
        (spoil_imports, "p1_imports", "p1.py imports scipy; only matplotlib, numpy, os are allowed"),
        (spoil_syntax, "p1_imports", "p1.py is no Python that can be read"),
        (spoil_encoding, "p1_imports", "p1.py is in an encoding that Python does not read; save it as UTF-8"),
        (spoil_training, "p1_alone", "the training loss did not fall"),
        (spoil_saving, "p1_alone", "the reloaded network gives other logits"),
        (spoil_name, "p1_alone", "p1.py offers no get_one_hot"),
        (spoil_sign, "p2_accuracy", "it printed '72.42'; print it with its sign, such as 72.42 %"),
        (spoil_loading, "p2_accuracy", "p2.py offers no load_model"),
        (spoil_scaling, "p2_accuracy", "but .* % of a thousand where what load_model returns is given floats in 0..1"),
        (spoil_p1_model, "p1_model", "p1_model.npz misreads .* %"),
        (spoil_p1_pickle, "p1_model", "cannot be loaded into p1.py's MLP"),
        (spoil_p2_pickle, "p2_model", "loads with weights_only=True: it holds more than tensors .*; save the weights"),
        (
            spoil_p2_model,
            "p2_accuracy",
            "gets .* % of the test images right, a number that p2_report.pdf does not give",
        ),
        (spoil_by_less, "p2_accuracy", "tells no accuracy: ModuleNotFoundError"),
        (spoil_report, "report_sections", "p1_report.pdf does not give the final test error"),
        (spoil_pdf, "report_sections", "p2_report.pdf is no PDF that can be read"),
        (spoil_by_more, "exactly", "diary.txt does not belong to the hand-in"),
    ],
)
def test_what_is_wrong_is_said(hand_in, spoil, attempt, sentence):
    spoil(hand_in)  # before, every attempt succeeds: see test_what_is_right_is_packed
    with pytest.raises(ValueError, match=sentence):
        getattr(submission, attempt)(hand_in)


def test_a_program_that_never_ends_is_stopped(hand_in, monkeypatch):
    monkeypatch.setattr(submission, "LONGEST", 0.3)
    (hand_in / "p1.py").write_text("while True: pass")
    (hand_in / "p2.py").write_text("while True: pass")
    for attempt, said in ((submission.p1_alone, "does not train"), (submission.p2_accuracy, "tells no accuracy")):
        with pytest.raises(ValueError, match=f"{said}.*: it was stopped after 0.3 seconds; see what"):
            attempt(hand_in)


@pytest.mark.parametrize("before", [
    b"\xef\xbb\xbf", "# -*- coding: latin-1 -*-\n# fr\u00fch\n".encode("latin-1"),
    b"from __future__ import annotations\n",
])  # fmt: skip
def test_what_python_runs_is_read(tmp_path, before):
    (tmp_path / "p1.py").write_bytes(before + b"import numpy\n")
    assert submission.p1_imports(tmp_path) == "p1.py imports nothing but matplotlib, numpy, os"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            torch.nn.Sequential(torch.nn.Linear(1, 1)),
            r"a whole network, .* torch.save\(net.state_dict\(\), path",
        ),
        ({"epoch": 3}, "epoch in it is no tensor; save the weights alone"),
        ([], "it holds no named tensors; save the weights alone"),
    ],
)
def test_a_model_that_is_no_state_dict_is_told_the_remedy(tmp_path, monkeypatch, content, sentence):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "load.py").write_text(submission._LOAD)
    for zipped in (True, False):
        torch.save(content, "p2_model.pkl", _use_new_zipfile_serialization=zipped)
        with pytest.raises(SystemExit, match=sentence):
            runpy.run_path("load.py")


def test_a_number_may_be_rounded_to_one_decimal(tmp_path, monkeypatch):
    for given, measured, right in (
        ("97.3", 97.28, True), ("97.28", 97.28, True), ("97.29", 97.28, True), ("97", 96.98, True),
        ("97.3", 97.38, False), ("97.2", 97.28, False), ("97.31", 97.28, False), ("97", 97.28, False),
        ("3 % to 97.3", 97.28, True), ("197.28", 97.28, False),
    ):  # fmt: skip
        monkeypatch.setattr(submission, "pdf_text", lambda _, given=given: f"test accuracy {given} % of 10,000")
        if right:
            assert submission.as_reported(tmp_path / "r.pdf", "It", measured, 0.015) == "It, as its report says"
        else:
            with pytest.raises(ValueError, match="It, a number that r.pdf does not give; state it there"):
                submission.as_reported(tmp_path / "r.pdf", "It", measured, 0.015)


def test_a_network_whose_layers_differ_is_measured_with_its_own_activations(hand_in, two_kinds):
    path, error = two_kinds(p1.Tanh(), p1.ReLU())
    shutil.copy(path, hand_in / "p1_model.npz")
    with pytest.raises(ValueError, match=f"p1_model.npz misreads {error:.2f} %"):  # which its report does not give
        submission.p1_model(hand_in)


def zipped(path, *names):
    """Write a zip of empty files."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, "")
    return path


@pytest.mark.parametrize("names", [
    ["../evil.py"], ["/evil.py"], ["a/../evil.py"], ["a/p1.py", "b/p2.py"], ["a/p1.py", "p2.py"], ["a/b/p1.py"],
    [".x/p1.py"], ["a/.x"],
])  # fmt: skip
def test_only_plain_files_are_unpacked(tmp_path, names):
    with pytest.raises(ValueError, match="plain files and no folders"):
        submission.unpack(zipped(tmp_path / "a.zip", *names), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_one_folder_around_all_and_what_systems_add_do_no_harm(tmp_path):
    names = ["mine/", "mine/p1.py", "mine/p2.py", "mine/.DS_Store", "__MACOSX/mine/._p1.py", "Thumbs.db"]
    submission.unpack(zipped(tmp_path / "a.zip", *names), tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["p1.py", "p2.py"]


def test_what_is_no_zip_is_not_unpacked(tmp_path):
    (tmp_path / "b.zip").write_text("no zip")
    with pytest.raises(ValueError, match="no zip that can be read"):
        submission.unpack(tmp_path / "b.zip", tmp_path / "out")
