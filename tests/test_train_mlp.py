"""The training command: resumed trainings end in the same bits, also after a real kill."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from helpers import train_mlp
from helpers.core import mlp as p1

ROOT = Path(__file__).parents[1]


def tiny_mnist(n=160):
    rng = np.random.default_rng(0)
    x = rng.random((n, 784), dtype=np.float32)
    y = p1.get_one_hot(x[:, :10].argmax(axis=1), 10).astype(np.float32)
    return [(x, y), (x[:50], y[:50]), (x[50:100], y[50:100])]


@pytest.fixture(autouse=True)
def small_recipes(monkeypatch):
    for name, recipe in p1.RECIPES.items():
        monkeypatch.setitem(p1.RECIPES, name, recipe | {"hiddens": [25], "batch_size": 32})


def arrays(path):
    with np.load(path, allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def without_times(path):
    record = json.loads(Path(path).read_text())
    return {
        key: value for key, value in record.items() if key not in ("seconds", "processor_seconds", "command", "machine")
    }


@pytest.mark.parametrize("recipe", list(p1.RECIPES))
def test_an_interrupted_training_resumes_to_the_same_bits(tmp_path, monkeypatch, recipe):
    train_mlp.train(recipe, 3, tiny_mnist(), tmp_path / "whole", epochs=4, progress=False)

    run_epoch, done = train_mlp.Training.run_epoch, []

    def stops_in_the_third_epoch(self, *data):
        if len(done) == 2:
            raise KeyboardInterrupt
        run_epoch(self, *data)
        done.append(self.epoch)

    with monkeypatch.context() as patch:
        patch.setattr(train_mlp.Training, "run_epoch", stops_in_the_third_epoch)
        with pytest.raises(KeyboardInterrupt):
            train_mlp.train(recipe, 3, tiny_mnist(), tmp_path / "cut", epochs=4, progress=False)
    name = f"{recipe}_seed3"
    assert (tmp_path / "cut" / f"{name}.checkpoint.npz").exists()
    assert len(json.loads((tmp_path / "cut" / f"{name}.json").read_text())["seconds"]) == 2

    history = train_mlp.train(recipe, 3, tiny_mnist(), tmp_path / "cut", epochs=4, progress=False)
    whole, cut = (arrays(tmp_path / folder / f"{name}.npz") for folder in ("whole", "cut"))
    assert whole.keys() == cut.keys()
    assert all((whole[key] == cut[key]).all() for key in whole)
    assert without_times(tmp_path / "whole" / f"{name}.json") == without_times(tmp_path / "cut" / f"{name}.json")
    assert len(history["seconds"]) == len(history["processor_seconds"]) == 4
    assert sorted(os.listdir(tmp_path / "cut")) == [f"{name}.json", f"{name}.npz"]


def test_the_stored_errors_are_those_of_the_stored_model(tmp_path):
    history = train_mlp.train("handout", 0, tiny_mnist(), tmp_path, epochs=2, progress=False)
    net = p1.load_mlp(tmp_path / "handout_seed0.npz", p1.Sigmoid)
    (x, y), (test_x, test_y) = tiny_mnist()[1:]
    assert history["validation_errors"][-1] == (net(x).argmax(1) != y.argmax(1)).mean()
    assert history["test_error"] == (net(test_x).argmax(1) != test_y.argmax(1)).mean()
    assert history["test_error_views"] == p1.evaluate(p1.five_views(net), test_x, test_y)[1]


def test_a_finished_training_is_kept_and_no_resume_repeats_it(tmp_path, monkeypatch):
    first = train_mlp.train("handout", 0, tiny_mnist(), tmp_path, epochs=1, progress=False)
    monkeypatch.setattr(train_mlp.Training, "run_epoch", lambda *_: pytest.fail("trained again"))
    assert train_mlp.train("handout", 0, tiny_mnist(), tmp_path, epochs=1, progress=False) == first
    with pytest.raises(pytest.fail.Exception):
        train_mlp.train("handout", 0, tiny_mnist(), tmp_path, epochs=1, resume=False, progress=False)


def test_what_was_trained_on_other_images_is_not_taken_for_these(tmp_path):
    train_mlp.train("handout", 0, tiny_mnist(), tmp_path, epochs=1, data_name="generated stand-in", progress=False)
    with pytest.raises(ValueError, match="tells of generated stand-in, and here is MNIST; start anew with --no-resume"):
        train_mlp.train("handout", 0, tiny_mnist(), tmp_path, epochs=1, progress=False)


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    training = train_mlp.Training("handout", seed=0, epochs=2)
    training.save_checkpoint(tmp_path / "handout_seed1.checkpoint.npz")
    with pytest.raises(ValueError, match="'handout', 0, 2.*start anew with --no-resume"):
        train_mlp.train("handout", 1, tiny_mnist(), tmp_path, epochs=2, progress=False)


def test_damaged_files_and_a_full_disk_are_told_in_a_sentence(tmp_path, monkeypatch):
    training, checkpoint = train_mlp.Training("handout", seed=0, epochs=2), tmp_path / "handout_seed0.checkpoint.npz"
    training.save_checkpoint(checkpoint)
    whole = checkpoint.read_bytes()
    spoilt = bytearray(whole)
    spoilt[len(whole) // 2] ^= 1
    for content in (whole[:-100], whole[:1000], b"", bytes(spoilt)):
        checkpoint.write_bytes(content)
        with pytest.raises(ValueError, match=r"is damaged; start anew with --no-resume\.$"):
            train_mlp.train("handout", 0, tiny_mnist(), tmp_path, epochs=2, progress=False)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(train_mlp.datasets, "mnist", lambda *_: SimpleNamespace(name="MNIST"))
    monkeypatch.setattr(train_mlp, "samples", lambda *_: tiny_mnist())
    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(SystemExit, match="could not be read or written .No space left on device.; make room"):
        train_mlp.main(["--recipe", "handout", "--epochs", "1", "--no-resume", "--output", str(tmp_path)])
    assert [path.name for path in tmp_path.iterdir()] == [checkpoint.name]


def test_the_final_recipe_learns_from_every_training_image(tmp_path, monkeypatch):
    """By the images that train_epoch is handed; none is left to validate on."""
    train_epoch, seen = p1.train_epoch, []
    monkeypatch.setattr(p1, "train_epoch", lambda mlp, x, *more: seen.append(x) or train_epoch(mlp, x, *more))
    (x, _), (held_out, _), _ = dset = tiny_mnist()
    for recipe in p1.RECIPES:
        history = train_mlp.train(recipe, 0, dset, tmp_path, epochs=1, progress=False)
        assert len(history["validation_errors"]) == (recipe != "final")
    assert [len(images) for images in seen] == [160, 160, 210]
    assert (seen[2] == np.concatenate([x, held_out])).all()
    same = {key for key, value in p1.RECIPES["final"].items() if value == p1.RECIPES["best"][key]}
    assert set(p1.RECIPES["best"]) - same == {"hold_out", "epochs"}


def test_seeds_differ_and_repeat(tmp_path):
    results = [
        train_mlp.train("handout", seed, tiny_mnist(), tmp_path / str(i), epochs=1, progress=False)["training_losses"]
        for i, seed in enumerate((0, 1, 0))
    ]
    assert results[0] == results[2] != results[1]


def test_knobs_are_turned_one_at_a_time_and_only_once(tmp_path, monkeypatch):
    change = {"as it is": {}, "N(0, 1)": {"weight_init_fn": p1.random_normal_weight_init}, "huge": {"lr": 1e30}}
    monkeypatch.setattr(train_mlp, "KNOBS", change)
    errors = train_mlp.turn_knobs(tiny_mnist(), tmp_path, epochs=2)
    plain = train_mlp.train("best", 0, tiny_mnist(), tmp_path / "plain", epochs=2, progress=False)
    assert errors["as it is"] == plain["validation_errors"][-1]
    assert errors["huge"] is None and set(errors) == set(change)
    monkeypatch.setattr(train_mlp.Training, "run_epoch", lambda *_: pytest.fail("turned again"))
    assert train_mlp.turn_knobs(tiny_mnist(), tmp_path, epochs=2) == errors


def test_every_knob_of_the_table_is_a_knob_of_the_recipe():
    for change in train_mlp.KNOBS.values():
        assert set(change) <= set(p1.RECIPES["best"])


def command(output):
    return [sys.executable, "-m", "helpers.train_mlp", "--recipe", "best", "--seed", "1", "--epochs", "12",
            "--limit", "300", "--output", str(output)]  # fmt: skip


@pytest.mark.skipif("WORKBOOK_DATA" not in os.environ, reason="needs the real MNIST in $WORKBOOK_DATA")
def test_a_killed_command_resumes_to_the_same_bits(tmp_path):
    """Kill the real command with SIGKILL in mid-training, resume it, and compare with one that was left alone."""
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    options = dict(cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    process = subprocess.Popen(command(tmp_path / "cut"), **options)
    record = tmp_path / "cut" / "best_seed1.json"
    deadline = time.monotonic() + 60
    while not record.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
    process.wait()
    assert 1 <= len(json.loads(record.read_text())["seconds"]) < 12
    assert not (tmp_path / "cut" / "best_seed1.npz").exists()
    for folder in ("cut", "whole"):
        subprocess.run(command(tmp_path / folder), check=True, **options)
    cut, whole = (arrays(tmp_path / folder / "best_seed1.npz") for folder in ("cut", "whole"))
    assert all((cut[key] == whole[key]).all() for key in whole)


def test_ctrl_c_ends_in_a_sentence(monkeypatch, capsys):
    monkeypatch.setattr(train_mlp.datasets, "mnist", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(SystemExit) as stopped:
        train_mlp.main([])
    assert stopped.value.code == 130
    assert capsys.readouterr().err == "\nStopped; the same command goes on after the last complete epoch.\n"


def test_command_line_mistakes_end_in_a_sentence(tmp_path, capsys):
    with pytest.raises(SystemExit):
        train_mlp.main(["--recipe", "magic"])
    assert "invalid choice: 'magic'" in capsys.readouterr().err
    for given, said in (
        (["--epochs", "0"], "--epochs is 0; give a whole number from 1."),
        (["--limit", "-1"], "--limit is -1; give"),
        (["--data", str(tmp_path / "none")], "is no folder; name the one that holds mnist.npz"),
    ):
        with pytest.raises(SystemExit):
            train_mlp.main([*given, "--output", str(tmp_path)])
        assert said in capsys.readouterr().err
