"""Programming 2 at the command line, given what is no checkpoint, no model and no picture: one sentence each."""

import errno
import io
import os
import pickle
import sys
import tempfile

import numpy as np
import pytest
import torch

from helpers import p2
from helpers.core import cnn, training

COMMON = ["--epochs", "1", "--batch-size", "20", "--precision", "float32", "--set", "widths=[4,6,8]"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny data set and a finished training on it."""
    made = tmp_path_factory.mktemp("p2")
    rng = np.random.default_rng(0)
    arrays = {}
    for part, n in (("train", 40), ("test", 20)):
        arrays[f"{part}_images"] = rng.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)
        arrays[f"{part}_labels"] = np.arange(n, dtype=np.uint8) % 10
    np.savez(made / "cifar10.npz", **arrays)
    assert p2.main([*COMMON, "--data", str(made), "--output", str(made)]) == 0
    return made


class Trap:
    """Makes a folder when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, (os.environ["P2_TRAP"],)


def saved(content):
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def contents(whole):
    """What may stand in a file in place of `whole`, and a word of the sentence about it."""
    return {
        "corrupt": (whole[:100] + bytes(200) + whole[300:], "damaged|not a file of PyTorch|could run code"),
        "truncated": (whole[:-300], "damaged or cut short"),
        "empty": (b"", "damaged or cut short"),
        "objects": (saved({"network": Trap()}), "could run code"),
        "pickle": (pickle.dumps(Trap()), "not a file of PyTorch"),
        "text": (b"no file of weights", "not a file of PyTorch|damaged"),
        "other architecture": (
            saved({"conv1.weight": torch.zeros(8, 3, 5, 5)}),
            "another architecture|not a checkpoint",
        ),
        "tensor": (saved(torch.zeros(3)), "no named weights|not a checkpoint"),
    }


KINDS = ("corrupt", "truncated", "empty", "objects", "pickle", "text", "other architecture", "tensor")


def refusal(arguments, capsys):
    """The one line that the command prints to stderr, having returned 1."""
    capsys.readouterr()
    assert p2.main(arguments) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("p2.py: ")
    return lines[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("use", ["evaluate", "predict", "resume"])
def test_files_that_are_no_model_or_checkpoint(folder, tmp_path, monkeypatch, capsys, kind, use):
    monkeypatch.setenv("P2_TRAP", str(tmp_path / "sprung"))
    name = "p2_checkpoint.pt" if use == "resume" else "p2_model.pkl"
    content, words = contents((folder / name).read_bytes())[kind]
    (tmp_path / name).write_bytes(content)
    picture = tmp_path / "picture.png"
    from PIL import Image

    Image.new("RGB", (40, 40), "navy").save(picture)
    arguments = {
        "evaluate": ["--evaluate", str(tmp_path / name)],
        "predict": ["--predict", str(picture), "--model", str(tmp_path / name)],
        "resume": [*COMMON, "--output", str(tmp_path), "--resume"],
    }[use]
    said = refusal([*arguments, "--data", str(folder)], capsys)
    assert any(word in said for word in words.split("|")) and str(tmp_path / name) in said, said
    assert not (tmp_path / "sprung").exists() and (tmp_path / name).read_bytes() == content


def test_a_checkpoint_of_another_architecture(folder, capsys):
    other = [*COMMON[:-1], "widths=[4,6,9]", "--data", str(folder), "--output", str(folder), "--resume"]
    before = (folder / "p2_checkpoint.pt").read_bytes()
    said = refusal(other, capsys)
    assert "its widths is [4, 6, 8], not [4, 6, 9]" in said and "--resume" in said
    assert (folder / "p2_checkpoint.pt").read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + bytes(50), b"GIF89a", b"%PDF-1.4"])
def test_a_picture_that_is_none(folder, tmp_path, capsys, content):
    (tmp_path / "cat.png").write_bytes(content)
    said = refusal(["--predict", str(tmp_path / "cat.png"), "--model", str(folder / "p2_model.pkl")], capsys)
    assert f"{tmp_path / 'cat.png'} is not an image" in said and "PNG or JPEG" in said


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
@pytest.mark.parametrize("use", [["--evaluate", "p2_model.pkl"], []])
def test_cuda_where_there_is_none(folder, monkeypatch, capsys, use):
    monkeypatch.chdir(folder)
    said = refusal([*COMMON, *use, "--data", str(folder), "--device", "cuda", "--output", "out"], capsys)
    assert "cuda was asked for" in said and "--device cpu" in said and not (folder / "out").exists()


@pytest.mark.parametrize(("size", "more"), [("41", []), ("40", ["--validate"])])
def test_a_batch_larger_than_the_data(folder, tmp_path, capsys, size, more):
    arguments = [*COMMON, *more, "--batch-size", size, "--data", str(folder), "--output", str(tmp_path / "out")]
    if more:  # 100 images are needed to hold some out
        with np.load(folder / "cifar10.npz") as stored:
            arrays = {key: np.concatenate([stored[key]] * 4) for key in stored}
        np.savez(tmp_path / "cifar10.npz", **arrays)
        arguments = [*COMMON, *more, "--batch-size", "151", "--data", str(tmp_path), "--output", str(tmp_path / "out")]
    said = refusal(arguments, capsys)
    assert "The batch size is" in said and "choose a --batch-size from 1 to" in said


@pytest.mark.parametrize("name", ["p2_checkpoint.pt", "p2_history.json", "p2_model.pkl"])
def test_a_full_disk_leaves_every_old_file(folder, tmp_path, monkeypatch, capsys, name):
    """The disk is full when the file `name` is written; what stood under that name survives, and no half file stays."""
    for file in ("p2_checkpoint.pt", "p2_history.json", "p2_model.pkl"):
        (tmp_path / file).write_bytes(b"old " + file.encode())
    replace = os.replace
    written = []

    def full(source, target):
        written.append(os.path.basename(target))
        if written[-1] == name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    said = refusal([*COMMON, "--data", str(folder), "--output", str(tmp_path)], capsys)
    assert name in written
    assert f"{name} could not be written (No space left on device)" in said and "untouched" in said
    assert (tmp_path / name).read_bytes() == b"old " + name.encode()
    assert not list(tmp_path.glob("*.part"))


def test_a_folder_that_cannot_be_written_is_refused_before_the_training(folder, tmp_path, monkeypatch, capsys):
    def never(*_):
        raise AssertionError("it was trained all the same")

    monkeypatch.setattr(training.Training, "run_epoch", never)
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        said = refusal([*COMMON, "--data", str(folder), "--output", str(place)], capsys)
        assert f"{place} is no folder to write to (" in said and "choose another --output" in said

    def read_only(dir):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(tempfile, "TemporaryFile", read_only)
    said = refusal([*COMMON, "--data", str(folder), "--output", str(tmp_path)], capsys)
    assert f"{tmp_path} is no folder to write to (Permission denied)" in said


@pytest.mark.parametrize("use", [[], ["--evaluate", "p2_model.pkl"]])
def test_a_model_that_nothing_would_ask_is_refused(use, capsys):
    said = refusal([*use, "--model", "mine.pkl"], capsys)
    assert "--model mine.pkl is what --predict asks; name an image with --predict" in said


def test_a_good_model_is_not_refused(folder, capsys):
    """The other side of the tests above: the files that they spoil are good."""
    assert p2.main(["--evaluate", str(folder / "p2_model.pkl"), "--data", str(folder)]) == 0
    again = [*COMMON, "--data", str(folder), "--output", str(folder), "--resume"]
    assert p2.main(again) == 0 and "Resumed after epoch 1" in capsys.readouterr().out
    assert cnn.load_model(folder / "p2_model.pkl").widths == (4, 6, 8)


def test_a_terminal_that_lacks_letters_shows_question_marks(monkeypatch):
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(p2, "predict", lambda options: print("32×32 █"))
    assert p2.main(["--predict", "cat.png"]) == 0
    terminal.flush()
    assert terminal.buffer.getvalue() == b"32?32 ?\n"


@pytest.mark.parametrize("name", p2.FAST)
def test_what_the_refusal_of_a_setting_proposes_is_accepted(name):
    default = p2.FAST[name]
    wrong = [f"{name}=yes", f"{name}=", f'{name}="{default}"', f"{name}=[]", f"{name}=[true]", f"{name}=null"]
    if isinstance(default, list) and isinstance(default[0], int):
        wrong.append(f"{name}=[20.5]")
    for change in wrong:
        with pytest.raises(ValueError, match="gives no value like .*; write --set") as refused:
            p2.configuration_from("fast", [change])
        proposed = str(refused.value).partition("--set ")[2].removesuffix(".")
        assert p2.configuration_from("fast", [proposed]) == p2.FAST


def test_momentum_may_be_zero(folder, tmp_path, capsys):
    plain = ["--set", "momentum=0", "--set", "filter_momentum=0"]
    assert p2.main([*COMMON, *plain, "--data", str(folder), "--output", str(tmp_path)]) == 0
