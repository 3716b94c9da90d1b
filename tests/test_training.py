"""The training of Programming 2: images, optimizers, resumed trainings, several processes, and the command line."""

import functools
import json
import math
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers import p2
from helpers.core import cnn, training

ROOT = Path(__file__).parents[1]
TINY = ["--batch-size", "60", "--precision", "float32", "--set", "widths=[8,12,16]", "--set", "sizes=[20,24]"]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    """One thread, and a small matrix where its product is timed, which otherwise takes longer than a tiny epoch."""
    monkeypatch.setattr(training, "matrix_peak", functools.partial(training.matrix_peak, side=64))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Ten kinds of coloured noise, told apart by their mean colour: 300 training and 100 test images."""
    rng = np.random.default_rng(0)
    colours = rng.integers(40, 216, (10, 3))

    def part(n):
        labels = np.arange(n, dtype=np.uint8) % 10
        images = colours[labels][:, None, None] + rng.integers(-40, 41, (n, 32, 32, 3))
        return images.clip(0, 255).astype(np.uint8), labels

    (train, train_labels), (test, test_labels) = part(300), part(100)
    folder = tmp_path_factory.mktemp("data")
    arrays = dict(train_images=train, train_labels=train_labels, test_images=test, test_labels=test_labels)
    np.savez(folder / "cifar10.npz", **arrays)
    return folder


def command(data, output, *more):
    return [*TINY, "--data", str(data), "--output", str(output), *more]


def weights_of(folder):
    return torch.load(folder / "p2_model.pkl", weights_only=True)


def assert_same_weights(one, other):
    assert list(one) == list(other)
    for name in one:
        assert torch.equal(one[name], other[name]), name


# -------------------------------------------------------------------------------------------------------- images


def test_a_batch_is_what_slicing_gives():
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (6, 3, 32, 32), dtype=torch.uint8, generator=rng)
    sized = training.PaddedImages(images, 32, 2, torch.device("cpu"))
    indices, flips = torch.tensor([4, 0, 3]), torch.tensor([False, True, True])
    shifts, holes = torch.tensor([[0, 4], [2, 2], [3, 1]]), torch.tensor([[0, 0], [20, 5], [28, 28]])
    batch = sized.batch(indices, flips, shifts, holes, hole_size=4)
    assert batch.is_contiguous(memory_format=torch.channels_last)
    padded = torch.nn.functional.pad(images.float(), [2] * 4, mode="reflect").byte()
    for k in range(3):
        row, column = shifts[k].tolist()
        expected = padded[indices[k], :, row : row + 32, column : column + 32]
        expected = expected.flip(2) if flips[k] else expected.clone()
        top, left = holes[k].tolist()
        expected[:, top : top + 4, left : left + 4] = 120
        assert torch.equal(batch[k], expected)


def test_smaller_images_keep_their_colours():
    flat = torch.tensor([10, 200, 77], dtype=torch.uint8).view(1, 3, 1, 1).expand(2, 3, 32, 32)
    sized = training.PaddedImages(flat, 20, 2, torch.device("cpu"))
    assert sized.margin == 1 and sized.padded.shape == (2, 22, 22, 3)
    assert (sized.padded == torch.tensor([10, 200, 77])).all()


def test_two_epochs_show_both_mirror_images(data):
    configuration = p2.configuration_from("fast", ["translate=0", "sizes=[32]", "widths=[8,8,8]"], 2, 60)
    _, images, labels, *_ = p2.load_data(data)
    run = training.Training(configuration, images, labels)
    run.sized = training.PaddedImages(images, 32, 0, run.device)
    indices = torch.arange(60)
    first = run.draw_batch(indices, 32)[1]
    run.epoch = 1
    second = run.draw_batch(indices, 32)[1]
    assert torch.equal(first.flip(3), second)
    mirrored = (first != images[:60]).flatten(1).any(1)
    assert 10 < mirrored.sum() < 50


def test_held_out_images_are_the_last_of_each_class():
    labels = torch.tensor([0, 1, 0, 1, 1, 0, 0, 1])
    train, held = training.hold_out(labels, 2)
    assert held.tolist() == [4, 5, 6, 7] and train.tolist() == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="too few"):
        training.hold_out(labels, 4)


def test_a_part_of_the_data_is_read_alone(data):
    name, *four = p2.load_data(data)
    for part, arrays in (("train", four[:2]), ("test", four[2:])):
        again, *alone = p2.load_data(data, [part])
        assert again == name and len(alone) == 2 and all(map(torch.equal, alone, arrays))


# ------------------------------------------------------------------------------------------------------ optimizers


@pytest.mark.parametrize("shape", [(16, 40), (40, 16), (5, 5)])
def test_orthogonalise_keeps_directions_and_evens_out_sizes(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    u, s, v = torch.linalg.svd(matrix, full_matrices=False)
    result = training.orthogonalise(matrix, steps=5)
    core = u.T @ result @ v.T
    assert (core - torch.diag(core.diagonal())).abs().max() < 1e-3
    assert 0.6 < core.diagonal().min() and core.diagonal().max() < 1.3
    # The same polynomial, on the singular values alone.
    x = s / s.norm()
    for _ in range(5):
        x = 3.4445 * x - 4.7750 * x**3 + 2.0315 * x**5
    torch.testing.assert_close(core.diagonal(), x, atol=1e-3, rtol=1e-3)


def test_muon_ignores_the_scale_of_the_gradient():
    results = []
    for scale in (1.0, 1000.0):
        weights = torch.nn.Parameter(torch.ones(4, 3, 3, 3))
        optimizer = training.Muon([weights], lr=0.1, momentum=0.5)
        for seed in range(3):
            weights.grad = scale * torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(seed))
            optimizer.step()
        results.append(weights.detach())
    torch.testing.assert_close(*results)


def test_the_learning_rate_is_a_triangle():
    values = [training.learning_rate(p, 0.25) for p in (0, 0.125, 0.25, 0.625, 1)]
    assert values == pytest.approx([0, 0.5, 1, 0.5, 0])
    assert training.learning_rate(0, 0) == 1


def test_lists_are_stretched_over_the_epochs():
    assert [training.stretched([20, 24, 32], e, 6) for e in range(6)] == [20, 20, 24, 24, 32, 32]
    assert [training.stretched([20, 24, 32], e, 2) for e in range(2)] == [20, 24]


def test_the_hardest_images_are_kept(data):
    configuration = p2.configuration_from("fast", ["keep=[1.0,0.4]", "widths=[8,8,8]", "sizes=[20]"], 2, 60)
    _, images, labels, *_ = p2.load_data(data)
    run = training.Training(configuration, images, labels)
    assert run.run_epoch()["images"] == 300
    hard = set(run.difficulty.argsort(descending=True)[:120].tolist())
    assert set(run.order(run.steps(1)).tolist()) == hard
    assert run.run_epoch()["images"] == 120


@pytest.mark.parametrize("keep", ["[0.5]", "[0.5,0.5]"])
def test_images_not_seen_yet_come_before_the_hardest(data, keep):
    """Nothing is left out for ever: with half of the images an epoch, two epochs show them all."""
    configuration = p2.configuration_from("fast", [f"keep={keep}", "widths=[8,8,8]", "sizes=[20]"], 3, 50)
    _, images, labels, *_ = p2.load_data(data)
    run = training.Training(configuration, images, labels)
    assert run.run_epoch()["images"] == 150
    unseen = torch.nonzero(run.difficulty.isinf())[:, 0].tolist()
    assert len(unseen) == 150 and set(run.order(run.steps(1)).tolist()) == set(unseen)
    run.run_epoch()
    assert run.difficulty.isfinite().all() and len(run.order(run.steps(2))) == 150


# ----------------------------------------------------------------------------------------------------- the command


def test_it_learns_and_writes_what_it_promises(data, tmp_path, capsys):
    assert p2.main(command(data, tmp_path, "--epochs", "8", "--seed", "3")) == 0
    printed = capsys.readouterr().out
    history = json.loads((tmp_path / "p2_history.json").read_text())
    assert history["test"]["accuracy"] > 0.5 and f"Test accuracy {history['test']['accuracy']:.2%}" in printed
    assert "float32 as asked for" in printed and len(history["epochs"]) == 8
    losses = [entry["loss"] for entry in history["epochs"]]
    assert losses[-1] < 0.8 * losses[0] and all(entry["gflops"] > 0 for entry in history["epochs"])
    assert [entry["size"] for entry in history["epochs"]] == [20] * 4 + [24] * 4
    # The accuracy in the file is the accuracy of the file.
    network = cnn.load_model(tmp_path / "p2_model.pkl")
    with np.load(data / "cifar10.npz") as stored:
        images, labels = stored["test_images"], stored["test_labels"]
    right = sum(int(network(training.to_tensor(images[k : k + 1])).argmax() == labels[k]) for k in range(100))
    assert history["test"]["accuracy"] == pytest.approx(right / 100, abs=0.011)
    assert p2.main(["--evaluate", str(tmp_path / "p2_model.pkl"), "--data", str(data)]) == 0
    assert f"{history['test']['accuracy']:.2%} of 100 test images" in capsys.readouterr().out
    # The same seed gives the same weights, another one others.
    assert p2.main(command(data, tmp_path / "again", "--epochs", "8", "--seed", "3")) == 0
    assert_same_weights(weights_of(tmp_path), weights_of(tmp_path / "again"))
    assert p2.main(command(data, tmp_path / "other", "--epochs", "8", "--seed", "4")) == 0
    assert not torch.equal(weights_of(tmp_path)["head.weight"], weights_of(tmp_path / "other")["head.weight"])


def test_validation_never_reads_the_test_set(data, tmp_path):
    assert p2.main(command(data, tmp_path, "--epochs", "1", "--validate")) == 0
    history = json.loads((tmp_path / "p2_history.json").read_text())
    assert "test" not in history and history["training_images"] == 270
    assert 0 <= history["epochs"][0]["validation_accuracy"] <= 1


def test_a_killed_training_resumes_to_the_same_weights(data, tmp_path):
    more = ["--epochs", "12", "--set", "cutout=6", "--set", "keep=[1.0,0.6]", "--set", "whitening_epochs=0.3"]
    assert p2.main(command(data, tmp_path / "whole", *more)) == 0
    killed, history = tmp_path / "killed", tmp_path / "killed" / "p2_history.json"
    process = subprocess.Popen(
        [sys.executable, "-m", "helpers.p2", *command(data, killed, *more)],
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while not (history.exists() and len(json.loads(history.read_text())["epochs"]) >= 2):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert not (killed / "p2_model.pkl").exists()
    done = cnn.read_file(killed / "p2_checkpoint.pt")["epoch"]
    assert 2 <= done < 12
    assert p2.main(command(data, killed, *more, "--resume")) == 0
    assert_same_weights(weights_of(tmp_path / "whole"), weights_of(killed))
    whole, resumed = (json.loads((tmp_path / n / "p2_history.json").read_text()) for n in ("whole", "killed"))
    assert [e["loss"] for e in whole["epochs"]] == [e["loss"] for e in resumed["epochs"]]


@pytest.mark.parametrize("complete", [0, 1])
def test_ctrl_c_says_how_to_go_on(data, tmp_path, monkeypatch, capsys, complete):
    run_epoch = training.Training.run_epoch

    def interrupted(self, on_step=None):
        if self.epoch == complete:
            raise KeyboardInterrupt
        return run_epoch(self, on_step)

    monkeypatch.setattr(training.Training, "run_epoch", interrupted)
    assert p2.main(command(data, tmp_path, "--epochs", "2")) == 130
    assert ("--resume" in capsys.readouterr().err) == bool(complete)
    monkeypatch.undo()
    assert p2.main(command(data, tmp_path, "--epochs", "2", *["--resume"] * complete)) == 0


def test_two_processes_follow_the_curve_of_one(data, tmp_path):
    """Gradients are those of the whole batch; only batch normalisation sees half of it, hence a tolerance."""
    more = ["--epochs", "4", "--set", "sizes=[24]", "--batch-size", "100"]
    assert p2.main(command(data, tmp_path / "one", *more)) == 0
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    subprocess.run(
        [*torchrun, "-m", "helpers.p2", *command(data, tmp_path / "two", *more)],
        env=ENVIRONMENT,
        check=True,
        capture_output=True,
        timeout=120,
    )
    one, two = (json.loads((tmp_path / n / "p2_history.json").read_text()) for n in ("one", "two"))
    assert two["machine"]["processes"] == 2
    assert [e["images"] for e in one["epochs"]] == [e["images"] for e in two["epochs"]]
    losses = [[e["loss"] for e in history["epochs"]] for history in (one, two)]
    np.testing.assert_allclose(*losses, rtol=0.1)
    assert losses[1][-1] < 0.8 * losses[1][0]
    assert sorted(p.name for p in (tmp_path / "two").iterdir()) == sorted(p.name for p in (tmp_path / "one").iterdir())


def test_a_process_has_a_gpu_of_its_own_or_the_cpu(monkeypatch):
    cuda, mps, cpu = map(torch.device, ("cuda", "mps", "cpu"))
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert p2.own_device(cuda, True, 4) == torch.device("cuda", 1)
    assert p2.own_device(mps, True, 4) == p2.own_device(cpu, True, 4) == cpu
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert p2.own_device(cuda, True, 4) == cpu
    assert p2.own_device(cuda, False, 4) == torch.device("cuda", 1)  # asked for: PyTorch says what is missing


def test_the_device_is_one_that_computes(monkeypatch):
    monkeypatch.delenv("WORKBOOK_DEVICE")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for computes, chosen in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(training, "works", lambda kind, computes=computes: kind == "cpu" or computes)
        assert training.choose_device().type == chosen
    with pytest.raises(ValueError, match="finds no such device"):
        training.choose_device("cuda")
    monkeypatch.undo()
    assert training.works("cpu") and (torch.cuda.is_available() or not training.works("cuda"))


def test_maps_lie_as_the_device_can_differentiate_them(monkeypatch):
    assert training.memory_layout(torch.device("mps")) == torch.contiguous_format
    for layout in (torch.channels_last, torch.contiguous_format):
        monkeypatch.setattr(training, "memory_layout", lambda device, layout=layout: layout)
        images = torch.arange(2 * 3 * 32 * 32).remainder(256).to(torch.uint8).view(2, 3, 32, 32)
        padded = training.PaddedImages(images, 32, 1, torch.device("cpu"))
        batch = padded.batch(torch.arange(2), torch.zeros(2, dtype=torch.bool), torch.ones(2, 2, dtype=torch.long))
        assert batch.is_contiguous(memory_format=layout) and torch.equal(batch, images)


def test_memory_that_nothing_tells_is_not_told(monkeypatch):
    assert p2.peak_memory_gb(torch.device("cpu")) > 0.01
    monkeypatch.setitem(sys.modules, "resource", None)  # as on Windows
    entry = {"seconds": 1.0, "tflop": 1.0, "peak_gflops": 1.0, "validation_accuracy": 0.5}
    history = p2.totals([entry], torch.device("cpu")) | {"epochs": [entry]}
    assert history["peak_memory_gb"] is None and "memory" not in p2.summary(history, "model")


# -------------------------------------------------------------------------------------------------------- bad input


def refusal(arguments, capsys):
    assert p2.main(arguments) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("p2.py: ")
    return lines[0]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--batch-size", "301"], "The batch size is 301, but there are 300 training images"),
        (["--batch-size", "0"], "batch_size is 0"),
        (["--epochs", "0"], "epochs is 0"),
        (["--device", "tpu"], "no device called 'tpu'"),
        (["--precision", "int4"], "no precision called 'int4'"),
        (["--set", "speed=2"], "no setting 'speed'"),
        (["--set", "widths=wide"], "write --set widths="),
        (["--set", "keep=[]"], "gives no value like"),
        (["--set", "sizes=[15]"], "sizes is [15]; choose from 16 to 32"),
        (["--set", "flip=1"], "gives no value like true"),
        (["--resume"], "There is no file"),
        (["--evaluate", "none.pkl"], "There is no file none.pkl"),
        (["--predict", "none.png"], "There is no image none.png"),
        (["--data", "nowhere"], "no data at nowhere"),
        (["--epochs", "2", "--set", "bias_lr=1e9", "--set", "head_lr=1e9"], "The loss rose to"),
    ],
)
def test_bad_options_are_refused_in_a_sentence(data, tmp_path, capsys, more, words):
    assert words in refusal(command(data, tmp_path, *more), capsys)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_is_refused_where_there_is_none(data, tmp_path, capsys):
    assert "cuda was asked for" in refusal(command(data, tmp_path, "--device", "cuda"), capsys)


def test_broken_data_is_refused(tmp_path, capsys):
    (tmp_path / "cifar10.npz").write_bytes(b"PK\x03\x04 no zip")
    assert "damaged" in refusal(["--data", str(tmp_path)], capsys)
    grey = np.zeros((4, 28, 28), np.uint8)
    labels = np.zeros(4, np.uint8)
    np.savez(tmp_path / "cifar10.npz", train_images=grey, train_labels=labels, test_images=grey, test_labels=labels)
    assert "expected uint8 (n, 32, 32, 3)" in refusal(["--data", str(tmp_path)], capsys)


def test_checkpoints_of_other_trainings_are_refused(data, tmp_path, capsys):
    assert p2.main(command(data, tmp_path, "--epochs", "1")) == 0
    capsys.readouterr()
    assert "its epochs is 1, not 2" in refusal(command(data, tmp_path, "--epochs", "2", "--resume"), capsys)
    assert "its seed is 0, not 1" in refusal(
        command(data, tmp_path, "--epochs", "1", "--seed", "1", "--resume"), capsys
    )
    checkpoint = tmp_path / "p2_checkpoint.pt"
    whole = checkpoint.read_bytes()
    checkpoint.write_bytes(whole[:-200])
    assert "damaged or cut short" in refusal(command(data, tmp_path, "--epochs", "1", "--resume"), capsys)
    shutil.copy(tmp_path / "p2_model.pkl", checkpoint)
    assert "not a checkpoint" in refusal(command(data, tmp_path, "--epochs", "1", "--resume"), capsys)


def test_a_full_disk_keeps_the_old_checkpoint(data, tmp_path):
    """The file size limit of the process stands for the full disk: the second checkpoint hits it."""
    resource = pytest.importorskip("resource", reason="Windows has no such limit")
    assert p2.main(command(data, tmp_path, "--epochs", "3")) == 0
    before = (tmp_path / "p2_checkpoint.pt").read_bytes()
    again = subprocess.run(
        [sys.executable, "-m", "helpers.p2", *command(data, tmp_path, "--epochs", "3")],
        env=ENVIRONMENT,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, len(before) // 2)),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert again.returncode == 1 and "could not be written (File too large)" in again.stderr
    assert (tmp_path / "p2_checkpoint.pt").read_bytes() == before
    assert not list(tmp_path.glob("*.part"))


# ------------------------------------------------------------------------------------------------------ the hand-in


def test_the_hand_in_is_the_same_code_and_runs_alone(data, tmp_path):
    folder = ROOT / "artifacts" / "p2"
    for name, source in (("p2.py", "p2.py"), ("cnn.py", "core/cnn.py"), ("training.py", "core/training.py")):
        assert (folder / name).read_bytes() == (ROOT / "helpers" / source).read_bytes(), f"copy {source} again"
        shutil.copy(folder / name, tmp_path)
    environment = {k: v for k, v in ENVIRONMENT.items() if k != "PYTHONPATH"} | {"WORKBOOK_DATA": str(data)}
    code = f"""
import sys
sys.path[:0] = {[str(tmp_path), *site_packages()]!r}
import p2
try:
    p2.main(["--help"])
except SystemExit as end:
    assert not end.code
sys.exit(p2.main({[*TINY, "--epochs", "1"]!r}))
"""
    alone = [sys.executable, "-S", "-c", code]
    done = subprocess.run(alone, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "--preset" in done.stdout and "Test accuracy" in done.stdout, done.stderr
    assert (tmp_path / "build" / "p2" / "fast_seed0" / "p2_model.pkl").exists()


def site_packages():
    """The folders of installed packages; without the editable install of the workbook, as -S skips its .pth file."""
    return [path for path in sys.path if path.endswith("site-packages")]


def test_speed_is_measured_in_plain_units():
    peak = training.matrix_peak(torch.device("cpu"), side=256, repeats=2)
    assert 0.1 < peak < 1e6 and math.isfinite(peak)
