"""Train the MLP of Programming 1, with a progress bar, and pick up where a stopped training left off.

    python -m helpers.train_mlp                                   # every recipe, seed 0, into build/p1/
    python -m helpers.train_mlp --recipe final --seeds 0 1 2 3 4  # five seeds, one after the other
    python -m helpers.train_mlp --recipe handout --epochs 3       # a quick look
    python -m helpers.train_mlp --knobs                           # the best recipe with one knob turned at a time
    python -m helpers.train_mlp --report                          # what was trained, collected into artifacts/p1/

The recipes: "handout" as the handout asks; "best" chosen with 10,000 training images held out for validation; "final",
the same on all of them, for nothing is left to choose.

One training is three files: `best_seed0.json`, its history, and `best_seed0.checkpoint.npz`, both written after every
epoch, and at the end `best_seed0.npz`, the model, which replaces the checkpoint. Each file appears under its name only
when complete, so that a stopped training loses at most one epoch, and the resumed one ends in the very same bits.
"""

import argparse
import json
import os
import platform
import shlex
import sys
import time
from functools import partial
from pathlib import Path

import matplotlib
import numpy as np
from tqdm import tqdm

from helpers import datasets
from helpers.core import mlp as p1
from helpers.files import read_json, told, write_json

KNOBS = {  # what each knob of the best recipe does, when turned alone
    "as it is": {},
    "images as they are": {"distort": None},
    "64 images share a distortion, not 16": {"distort": partial(p1.distort, group=64)},
    "distortions half as strong": {
        "distort": partial(p1.distort, rotation=7.5, scale=0.0375, shear=0.175, shift=0.5, bend=0.65)
    },
    "distortions 1.5 times as strong": {
        "distort": partial(p1.distort, rotation=22.5, scale=0.1125, shear=0.525, shift=1.5, bend=1.95)
    },
    "twice the stretch, less slant": {"distort": partial(p1.distort, scale=0.15, shear=0.1)},
    "every image equally often": {"focus": False},
    "every neuron sees every pixel": {"fields": None},
    "white-noise initial weights": {"weight_init_fn": p1.scaled_normal_weight_init},
    "N(0, 1) initial weights": {"weight_init_fn": p1.random_normal_weight_init, "lr": 0.003},
    "no weight decay": {"weight_decay": 0.0},
    "constant learning rate": {"schedule": None},
    "no momentum, 10 times the rate": {"momentum": 0.0, "lr": 3.5},
    "a tenth of the learning rate": {"lr": 0.035},
    "batches four times as large": {"batch_size": 2048},
    "half the hidden neurons": {"hiddens": [600, 256]},
}
CURVES = ("training_losses", "training_errors", "validation_losses", "validation_errors")


class Training:
    """One training under way: the network, its random generator, and its history so far."""

    def __init__(self, recipe, seed=0, epochs=None, change=None):
        self.recipe = p1.RECIPES[recipe] | (change or {})
        self.recipe["epochs"] = self.recipe["epochs"] if epochs is None else epochs
        self.rng = np.random.default_rng(seed)
        self.mlp = p1.build_mlp(self.recipe, self.rng)
        self.hardness = None  # the latest loss of each training image, if the recipe looks at it
        self.history = {"recipe": recipe, "seed": seed, "epochs": self.recipe["epochs"], "seconds": []}
        self.history["processor_seconds"] = []  # summed over the cores: what stays the same on a busy machine
        self.history |= {curve: [] for curve in CURVES}

    @property
    def epoch(self):
        """How many epochs are done."""
        return len(self.history["seconds"])

    def run_epoch(self, train, validation=None):
        """Train for one more epoch on `train` = (x, y) and evaluate on `validation`, if any; both join the history.

        Raises p1.TrainingDiverged, with the weights of the epoch before.
        """
        start, processor_start = time.perf_counter(), time.process_time()
        recipe, batch_size = self.recipe, self.recipe["batch_size"]
        nbatches = -(-len(train[0]) // batch_size)
        rates = p1.learning_rates(recipe["lr"], recipe["schedule"], self.epoch, recipe["epochs"], nbatches)
        if recipe["focus"] and self.hardness is None:
            self.hardness = np.ones(len(train[0]))
        x, y = train
        values = p1.train_epoch(
            self.mlp, x, y, batch_size, self.rng, recipe["distort"], rates, self.hardness, validation
        )
        for curve, value in zip(CURVES, values, strict=False):
            self.history[curve].append(value)
        self.history["seconds"].append(round(time.perf_counter() - start, 3))
        self.history["processor_seconds"].append(round(time.process_time() - processor_start, 3))

    def save_checkpoint(self, path):
        """Write everything that the next epoch depends on: parameters, velocities, hardness, random state."""
        arrays = {f"parameter{i}": p for i, p in enumerate(self.mlp.W + self.mlp.b)}
        arrays |= {f"velocity{i}": v for i, v in enumerate(self.mlp.velocity)}
        if self.hardness is not None:
            arrays["hardness"] = self.hardness
        texts = {"random_state": self.rng.bit_generator.state, "history": self.history}
        p1.save_npz(path, arrays | {name: np.array(json.dumps(value)) for name, value in texts.items()})

    def load_checkpoint(self, path):
        """Go back to the state that save_checkpoint wrote.

        Raises ValueError, in one sentence, for a checkpoint that is damaged or belongs to another training.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                whole = file.zip.testzip() is None
                stored = {name: file[name] for name in file.files}
            history, state = (json.loads(str(stored[name])) for name in ("history", "random_state"))
        except Exception:  # np.load raises a different kind of error for each way a file can be broken
            whole = False
        if not whole:
            raise ValueError(f"{path} is damaged; start anew with --no-resume.")
        mine, theirs = ([h[key] for key in ("recipe", "seed", "epochs")] for h in (self.history, history))
        parameters = self.mlp.W + self.mlp.b
        if mine != theirs or any(stored[f"parameter{i}"].shape != p.shape for i, p in enumerate(parameters)):
            also = "; its network has other sizes" if mine == theirs else ""
            raise ValueError(
                f"{path} belongs to a training of recipe, seed, epochs = {theirs}, not {mine}{also}; "
                "ask for the same ones, or start anew with --no-resume."
            )
        self.history = history
        self.rng.bit_generator.state = state
        self.hardness = stored.get("hardness")
        for i, (parameter, velocity) in enumerate(zip(parameters, self.mlp.velocity, strict=True)):
            parameter[...], velocity[...] = stored[f"parameter{i}"], stored[f"velocity{i}"]


def _same_data(path, history, data_name):
    if history.get("data", data_name) != data_name:
        raise ValueError(
            f"{path} tells of {history['data']}, and here is {data_name}; start anew with --no-resume, or name another "
            "--output."
        )


def train(recipe, seed, dset, output, epochs=None, resume=True, data_name="MNIST", progress=True):
    """Train one recipe with one seed into the folder `output`, and return its history.

    `dset` is [(x, y) train, (x, y) validation, (x, y) test]; a recipe that holds nothing out trains on the first two.
    A finished training is not repeated, and an unfinished one is resumed, unless `resume` is False. The test set is
    read once, at the end.
    """
    output = Path(output)
    output.mkdir(parents=True, exist_ok=True)
    name = f"{recipe}_seed{seed}"
    model, record, checkpoint = (output / f"{name}{end}" for end in (".npz", ".json", ".checkpoint.npz"))
    training = Training(recipe, seed, epochs)
    if resume and model.exists() and record.exists():
        history = read_json(record)
        if history["epochs"] == training.history["epochs"] and "test_error" in history:
            _same_data(record, history, data_name)
            checkpoint.unlink(missing_ok=True)  # it was stopped in its very last step
            return history
    if resume and checkpoint.exists():
        training.load_checkpoint(checkpoint)
        _same_data(checkpoint, training.history, data_name)
    else:
        training.history |= {"data": data_name, "command": command(), "machine": machine()}

    last = training.recipe["epochs"]
    pairs = dset[:2]
    if not training.recipe["hold_out"]:
        pairs = [tuple(np.concatenate(both) for both in zip(*pairs, strict=True))]
    seen = CURVES[2 * len(pairs) - 1]
    with tqdm(total=last, initial=training.epoch, desc=name, unit="epoch", disable=not progress) as bar:
        while training.epoch < last:
            training.run_epoch(*pairs)
            training.save_checkpoint(checkpoint)
            write_json(record, training.history)
            bar.set_postfix_str(f"{seen.replace('_errors', ' error')} {training.history[seen][-1]:.2%}")
            bar.update()
    x, y = dset[2]
    loss, error = p1.evaluate(training.mlp, x, y)
    _, over_views = p1.evaluate(p1.five_views(training.mlp), x, y)
    training.history |= {"test_loss": loss, "test_error": error, "test_error_views": over_views}
    training.mlp.save_model(model)
    write_json(record, training.history)
    checkpoint.unlink(missing_ok=True)
    return training.history


def turn_knobs(dset, output, epochs=12, seed=0):
    """Train the best recipe, shortened to `epochs`, with one knob turned at a time; return {knob: validation error}.

    The test set is not looked at. Knobs that are already in `output`/p1_ablation.json are not turned again.
    """
    path = Path(output) / "p1_ablation.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    record = {"epochs": epochs, "seed": seed, "data": len(dset[0][0]), "command": command(), "machine": machine()}
    if path.exists():
        stored = read_json(path)
        if [stored[key] for key in ("epochs", "seed", "data")] == [epochs, seed, len(dset[0][0])]:
            record = stored
    errors = record.setdefault("validation_errors", {})
    for name, change in tqdm(KNOBS.items(), desc="knobs", unit="knob"):
        if name in errors:
            continue
        training = Training("best", seed, epochs, change)
        try:
            while training.epoch < epochs:
                training.run_epoch(*dset[:2])
            errors[name] = training.history["validation_errors"][-1]
        except p1.TrainingDiverged:
            errors[name] = None  # told apart from a number: this knob made the training diverge
        write_json(path, record)
    return errors


def command():
    """The command that is running, as one would type it."""
    return shlex.join(["python", "-m", "helpers.train_mlp", *sys.argv[1:]])


def machine():
    """What a measured time depends on: processor, cores, threads of matrix products, BLAS, versions."""
    processor = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
        processor = names[0] if names else processor
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "threads": int(os.environ.get("OPENBLAS_NUM_THREADS") or os.cpu_count() or 1),
        "blas": f"{blas['name']} {blas['version']}",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "matplotlib": matplotlib.__version__,
    }


def samples(dataset, limit=None):
    """The data set as [(x, y) train, (x, y) validation, (x, y) test], x (n, 784) float32 in [0, 1], y one-hot."""
    parts = []
    for images, labels in dataset.split():
        x = images[:limit].reshape(len(images[:limit]), -1).astype(np.float32) / 255
        parts.append((x, p1.get_one_hot(labels[:limit], 10).astype(np.float32)))
    return parts


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", choices=(*p1.RECIPES, "all"), default="all", help="which training (default: all)")
    parser.add_argument("--seed", "--seeds", type=int, nargs="+", default=[0], dest="seeds", help="default: 0")
    parser.add_argument("--epochs", type=int, help="default: the recipe's own number")
    parser.add_argument("--data", help="the folder of mnist.npz (default: $WORKBOOK_DATA, data/, or a download)")
    parser.add_argument("--limit", type=int, help="use only this many images of each part, to try things out")
    parser.add_argument("--output", default="build/p1", help="the folder to write to (default: build/p1)")
    parser.add_argument("--resume", action=argparse.BooleanOptionalAction, default=True,
                        help="continue an unfinished training, keep a finished one (the default)")  # fmt: skip
    parser.add_argument("--knobs", action="store_true", help="turn one knob of the best recipe at a time, shortened")
    parser.add_argument(
        "--report", action="store_true", help="train nothing; fill artifacts/p1/ from the output folder"
    )
    options = parser.parse_args(arguments)
    for name in ("epochs", "limit"):
        if getattr(options, name) is not None and getattr(options, name) < 1:
            parser.error(f"--{name} is {getattr(options, name)}; give a whole number from 1.")
    if options.data and not Path(options.data).expanduser().is_dir():
        parser.error(f"--data {options.data} is no folder; name the one that holds mnist.npz, or leave it out.")
    try:
        run(options)
    except ValueError as error:
        sys.exit(str(error))
    except OSError as error:
        sys.exit(told(error, options.output))
    except KeyboardInterrupt:
        print("\nStopped; the same command goes on after the last complete epoch.", file=sys.stderr)
        sys.exit(130)


def run(options):
    """Do what the command line asks for."""
    if options.report:
        from helpers import p1_report

        p1_report.publish(Path(options.output))
        return
    recipes = list(p1.RECIPES) if options.recipe == "all" else [options.recipe]
    dataset = datasets.mnist(options.data)
    dset = samples(dataset, options.limit)
    if options.knobs:
        for name, error in turn_knobs(dset, options.output, options.epochs or 12, options.seeds[0]).items():
            print(f"{name:34}" + ("diverged" if error is None else f"validation error {error:.2%}"))
        return
    for recipe in recipes:
        for seed in options.seeds:
            try:
                history = train(recipe, seed, dset, options.output, options.epochs, options.resume, dataset.name)
            except ValueError as error:
                sys.exit(f"{recipe}, seed {seed}: {error}")
            views = history.get("test_error_views")  # a training of long ago did not look
            print(f"{recipe}, seed {seed}: test error {history['test_error']:.2%} on {history['data']} after "
                  f"{history['epochs']} epochs in {sum(history['seconds']):.0f} s"
                  + ("" if views is None else f"; {views:.2%} with five views"))  # fmt: skip


if __name__ == "__main__":
    main()
