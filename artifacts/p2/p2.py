"""Programming 2: train a convolutional network on CIFAR-10, stop and resume it, evaluate it, ask it about an image.

    python p2.py                                  # preset fast: past 90 % in minutes on two CPU cores
    python p2.py --preset thorough                # a wider network and more epochs: a quarter of an hour
    python p2.py --preset best                    # a still wider network, for a GPU or a night
    python p2.py --preset best --resume           # go on where it was stopped, by Ctrl-C or by a power cut
    python p2.py --validate --set filter_lr=0.1   # choose settings on 5,000 held-out training images
    python p2.py --evaluate p2_model.pkl          # the accuracy of a saved model on the 10,000 test images
    python p2.py --predict cat.png --model p2_model.pkl
    torchrun --nproc_per_node=4 p2.py             # the same training on four GPUs, or in four processes of the CPU

The data is cifar10.npz, looked for where --data says, or else in $WORKBOOK_DATA, data/ and here. A training writes
three files into --output: p2_checkpoint.pt and p2_history.json after every epoch, p2_model.pkl (the weights, a bare
state_dict) at the end. Inside the workbook's repository the same program is `python -m helpers.p2`, and `make cnn`
runs it.
"""

import argparse
import json
import os
import platform
import shlex
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import torch.distributed
from tqdm import tqdm

if __package__:
    from helpers.core import cnn, training
else:  # in the hand-in folder the modules lie side by side
    import cnn
    import training

# Every setting of a training, with its reason. Lists are stretched over the epochs: [24, 32] means the first half at
# 24 x 24 pixels and the second at 32 x 32.
FAST = {
    "epochs": 6,
    "batch_size": 500,  # small batches make more of each image; below 500 the time between batches is felt
    "part": 250,  # images that pass through the network together; on a CPU about as many as its cache holds
    "widths": [48, 160, 192],  # channels of the three groups; the first looks at most places, and pays for each
    "depth": 2,  # convolutions in each group
    "sizes": [16, 20, 24, 28, 32, 32],  # small images first: coarse shapes are learned at a fifth of the price
    "keep": [1.0, 1.0, 0.7, 0.6, 0.5, 0.5],  # the part of the images that is shown: the hardest, by latest loss
    "flip": True,  # mirror images: a mirrored ship is a ship
    "translate": 2,  # shifts up to so many pixels: where the ship is does not matter
    "cutout": 0,  # side of a square that is hidden; pays only in long trainings, which otherwise learn by heart
    "label_smoothing": 0.2,  # aim at 82 % and 2 % instead of 100 % and 0 %: a surer step when training is short
    "filter_lr": 0.15,  # Muon: how far each filter bank turns in a step; one run each: 0.1 and 0.2 did no better
    "filter_momentum": 0.6,  # Muon: memory of about three steps
    "bias_lr": 0.053,  # gradient descent on the biases, per image
    "head_lr": 0.67,  # gradient descent on the last matrix, whose output is divided by its width
    "momentum": 0.85,  # of gradient descent: memory of about seven steps
    "weight_decay": 2e-6,  # per image, on biases and head; Muon keeps the filters' size by itself
    "warmup": 0.0,  # part of the steps in which learning rates rise; unneeded where Muon bounds every step
    "whitening_epochs": 0.0,  # part of the epochs that train the whitening bias; it costs a gradient at full size
}
THOROUGH = FAST | {
    "epochs": 16,  # in one run each on held-out images, 14 and 18 did as well
    "widths": [64, 256, 256],  # wide where the maps are small, and a channel costs little
    "sizes": [16, 20, 24, 24, 28, 28, 28, 32, 32, 32, 32, 32, 32, 32, 32, 32],
    "keep": [1.0, 1.0, 1.0, 0.8, 0.7, 0.6] + [0.5] * 10,  # to the end: a last epoch of all images did no better
}
BEST = FAST | {
    "epochs": 18,  # more epochs help until the training images are known by heart
    "batch_size": 1000,  # a long training has steps enough; larger batches use a GPU better
    "part": 1000,
    "widths": [96, 320, 384],
    "depth": 3,  # with a shortcut
    "sizes": [20, 24, 28, 32, 32, 32],
    "keep": [1.0],
    "translate": 3,
    "cutout": 8,
    "filter_lr": 0.12,
    "filter_momentum": 0.7,
    "whitening_epochs": 0.1,
}
PRESETS = {"fast": FAST, "thorough": THOROUGH, "best": BEST}


# ---------------------------------------------------------------------------------------------------------------
# Data
# ---------------------------------------------------------------------------------------------------------------


def load_data(path=None, parts=("train", "test")):
    """(name, images and labels of each of `parts`) as tensors, images uint8 (n, 3, 32, 32).

    `path`: the file cifar10.npz or its folder; without it $WORKBOOK_DATA and data/ are searched, and inside the
    workbook's repository the data is downloaded if need be. Raises ValueError when there is none or it is no such file.
    """
    keys = [f"{part}_{kind}" for part in parts for kind in ("images", "labels")]
    if path is None and __package__:
        from helpers import datasets

        found = datasets.cifar10(part=parts[0] if len(parts) == 1 else None)
        return found.name, *as_tensors([getattr(found, key) for key in keys])
    folders = [path] if path else [os.environ.get("WORKBOOK_DATA"), "data", "."]
    files = [Path(folder) for folder in folders if folder]
    files = [file / "cifar10.npz" if file.is_dir() else file for file in files]
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        places = " or ".join(str(file) for file in files)
        raise ValueError(f"There is no data at {places}; name the folder of cifar10.npz with --data.")
    try:
        with np.load(file, allow_pickle=False) as stored:
            arrays = [stored[key] for key in keys]
    except Exception as error:
        raise ValueError(f"{file} is damaged or not the file of arrays cifar10.npz ({error}); get it anew.") from None
    for images, labels in zip(arrays[::2], arrays[1::2], strict=True):
        good = images.dtype == np.uint8 and images.ndim == 4 and images.shape[1:] == (32, 32, 3)
        if not good or labels.shape != images.shape[:1] or len(labels) == 0 or labels.max() >= len(cnn.CLASSES):
            raise ValueError(
                f"{file} holds images {images.dtype} {images.shape} and labels {labels.shape}; "
                "expected uint8 (n, 32, 32, 3) and (n,) with values 0 to 9."
            )
    counts = {"train": 50_000, "test": 10_000}
    whole = [len(labels) for labels in arrays[1::2]] == [counts[part] for part in parts]
    return "CIFAR-10" if whole else f"a part of {file}", *as_tensors(arrays)


def as_tensors(arrays):
    """Pairs of images (n, 32, 32, 3) and labels (n,) in numpy as tensors, the images (n, 3, 32, 32)."""
    return [training.to_tensor(a) if a.ndim == 4 else torch.from_numpy(a.astype(np.int64)) for a in arrays]


# ---------------------------------------------------------------------------------------------------------------
# Options
# ---------------------------------------------------------------------------------------------------------------


def options_from(arguments=None):
    """The command line as a namespace, with the complete configuration in `configuration`.

    Raises ValueError, in one sentence, for a setting that does not exist or makes no sense.
    """
    parser = argparse.ArgumentParser(
        prog="p2.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, epilog=settings_help()
    )
    add = parser.add_argument
    add("--preset", choices=PRESETS, default="fast", help="a complete set of settings (listed below)")
    add("--epochs", type=int, help="passes over the images (keep may leave easy ones out); the plan stretches")
    add("--batch-size", type=int, help="images in one step, over all processes together")
    add("--seed", type=int, default=0, help="where the random numbers start; the same seed gives the same weights")
    add("--device", default="auto", help="auto, cpu, cuda or mps")
    add("--precision", default="auto", help="auto, bf16 or float32")
    add("--data", help="the file cifar10.npz or its folder")
    add("--output", help="folder for checkpoint, history and model (build/p2/<preset>_seed<seed>)")
    add("--resume", action="store_true", help="go on from the checkpoint in --output")
    add("--validate", action="store_true", help="hold out 500 training images a class, and never read the test set")
    add(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="change any setting, such as widths=[32,64,64]"
    )
    add("--evaluate", metavar="MODEL", help="no training: the test accuracy of a saved model")
    add("--predict", metavar="IMAGE", help="no training: the ten probabilities for an image file")
    add("--model", help="the saved model that --predict asks (p2_model.pkl)")
    options = parser.parse_args(arguments)
    if options.model and not options.predict:
        raise ValueError(f"--model {options.model} is what --predict asks; name an image with --predict, too.")
    options.model = options.model or "p2_model.pkl"
    options.configuration = configuration_from(options.preset, options.set, options.epochs, options.batch_size)
    options.output = Path(options.output or f"build/p2/{options.preset}_seed{options.seed}")
    return options


def configuration_from(preset, changes=(), epochs=None, batch_size=None):
    """The settings of a preset with changes ("name=value" strings); raises ValueError for one that makes no sense."""
    configuration = dict(PRESETS[preset])
    for change in changes:
        name, _, text = change.partition("=")
        if name not in configuration:
            raise ValueError(f"There is no setting {name!r}; choose one of {', '.join(configuration)}.")
        default = configuration[name]
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            value = None
        numbers = isinstance(value, int | float) and not isinstance(value, bool)
        if isinstance(default, float) and numbers:
            value = float(value)
        same = type(value) is type(default)
        if same and isinstance(value, list):
            kinds = (int, float) if isinstance(default[0], float) else (int,)
            same = bool(value) and all(type(entry) in kinds for entry in value)
        if not same:
            like = json.dumps(default)
            raise ValueError(f"{change!r} gives no value like {like}; write --set {name}={like.replace(' ', '')}.")
        configuration[name] = value
    for name, value in (("epochs", epochs), ("batch_size", batch_size)):
        if value is not None:
            configuration[name] = value
    check(configuration)
    return configuration


def check(configuration):
    """Raise ValueError, in one sentence, for the first setting outside its range."""
    ranges = {
        **dict.fromkeys(("epochs", "batch_size", "part", "widths", "depth"), (1, 100_000)),
        **dict.fromkeys(("filter_lr", "bias_lr", "head_lr"), (1e-9, 1e9)),
        **dict.fromkeys(("warmup", "momentum", "filter_momentum", "label_smoothing"), (0, 0.999)),
        "sizes": (cnn.SMALLEST, 32),
        "keep": (0.01, 1),
        "translate": (0, 8),
        "cutout": (0, 32),
        "weight_decay": (0, 1),
        "whitening_epochs": (0, 1),
    }
    for name, (low, high) in ranges.items():
        values = configuration[name] if isinstance(configuration[name], list) else [configuration[name]]
        for value in values:
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise ValueError(f"{name} is {configuration[name]}; choose from {low} to {high}.")


def settings_help():
    """The settings of the preset fast, and what the others change, for --help."""
    lines = ["preset fast:", *(f"  {name:18}{json.dumps(value)}" for name, value in FAST.items())]
    for preset in list(PRESETS)[1:]:
        lines += ["", f"preset {preset}, where it differs:"]
        lines += [f"  {name:18}{json.dumps(value)}" for name, value in PRESETS[preset].items() if value != FAST[name]]
    return "\n".join([*lines, "", "The reason for each stands beside it at the top of p2.py."])


# ---------------------------------------------------------------------------------------------------------------
# Train
# ---------------------------------------------------------------------------------------------------------------


def train(options, say=print):
    """Train as the options say, and return the history, a dictionary that is also written as p2_history.json."""
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    device = training.choose_device(options.device)
    if world > 1:
        device = own_device(device, options.device == "auto", world)
        if device.type == "cuda":
            torch.cuda.set_device(device)
        torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        return _train(options, device, rank, world, say if rank == 0 else lambda *words: None)
    finally:
        if world > 1:
            torch.distributed.destroy_process_group()


def own_device(device, auto, world):
    """The device of one of `world` processes: a GPU of its own, or the CPU if `auto` and there are too few for that.

    Apple's GPU is never shared, as the library through which the processes talk does not serve it.
    """
    here = int(os.environ.get("LOCAL_WORLD_SIZE", world))
    if auto and not (device.type == "cuda" and torch.cuda.device_count() >= here):
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ["LOCAL_RANK"])) if device.type == "cuda" else device


def _train(options, device, rank, world, say):
    precision, reason = training.choose_precision(device, options.precision)
    if world > 1:  # one decision for all: on a busy machine measurements may differ
        decision = [precision, reason]
        torch.distributed.broadcast_object_list(decision)
        precision, reason = decision
    name, images, labels, test_images, test_labels = load_data(options.data)
    if options.validate:
        chosen, held = training.hold_out(labels, per_class=min(500, len(labels) // 100))
        validation = images[held], labels[held]
        images, labels = images[chosen], labels[chosen]
    run = training.Training(
        options.configuration, images, labels, options.seed, device, precision, rank=rank, world=world
    )
    checkpoint, record, model = (options.output / f"p2_{end}" for end in ("checkpoint.pt", "history.json", "model.pkl"))
    history = {
        "preset": options.preset,
        "seed": options.seed,
        "data": name,
        "training_images": len(labels),
        "configuration": options.configuration,
        "command": shlex.join(["python", "p2.py", *sys.argv[1:]]),
        "machine": machine(device, precision, world),
        "parameters": cnn.parameter_count(run.network),
        "forward_mflop": cnn.forward_flops(run.network) / 1e6,
        "epochs": [],
    }
    if options.resume:
        state = cnn.read_file(checkpoint)
        run.restore(state, checkpoint)
        if run.precision != precision:
            reason = f"{run.precision}, as before the stop"
        history = json.loads(state["history"])
        say(f"Resumed after epoch {run.epoch} of {options.configuration['epochs']}.")
    say(
        f"{device} with {torch.get_num_threads()} threads; {reason}."
        if device.type == "cpu"
        else f"{device}; {reason}."
    )
    say(
        f"{name}: {len(labels):,} training images. Network: {history['parameters']:,} parameters, "
        f"{history['forward_mflop']:.0f} MFLOP an image."
    )
    make_folder(options.output)
    dtype = torch.bfloat16 if run.precision == "bf16" else torch.float32
    epochs = options.configuration["epochs"]
    plan = [
        cnn.training_flops(run.network, run.size(e)) * run.steps(e) * options.configuration["batch_size"] / 1e12
        for e in range(epochs)
    ]
    bar_format = "{l_bar}{bar}| {elapsed} so far, {remaining} left{postfix}"
    with tqdm(total=sum(plan), bar_format=bar_format, disable=True if rank else None, leave=False) as bar:
        bar.update(sum(plan[: run.epoch]))
        bar.unpause()
        while run.epoch < epochs:

            def on_step(done, steps, loss, accuracy, epoch=run.epoch):
                bar.set_postfix_str(f"epoch {epoch + 1}, loss {loss:.3f}, {accuracy:.1%} right", refresh=False)
                bar.update(sum(plan[:epoch]) + plan[epoch] * done / steps - bar.n)

            peak = training.matrix_peak(device, dtype)
            entry = run.run_epoch(on_step)
            entry["peak_gflops"] = (peak + training.matrix_peak(device, dtype)) / 2
            if options.validate and rank == 0:
                loss, accuracy, _ = training.evaluate(run.network, *validation, precision=run.precision)
                entry |= {"validation_loss": loss, "validation_accuracy": accuracy}
            history["epochs"].append(entry)
            if rank == 0:
                tqdm.write(epoch_line(entry, epochs), file=sys.stdout)
                cnn.write_file(checkpoint, run.state() | {"history": json.dumps(history)})
                write_json(record, history)
    if rank == 0:
        history |= totals(history["epochs"], device)
        if not options.validate:
            for key, average in (("test", False), ("test_six_views", True)):
                loss, accuracy, _ = training.evaluate(run.network, test_images, test_labels, average, run.precision)
                history[key] = {"loss": loss, "accuracy": accuracy, "images": len(test_labels)}
        cnn.save_model(model, run.network)
        write_json(record, history)
        say(summary(history, model))
    return history


def make_folder(folder):
    """Make a folder if need be; raises OSError, in one sentence, where no file can be written into it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()  # tried before a training, not after its first epoch
    except OSError as error:
        raise OSError(
            f"{folder} is no folder to write to ({error.strerror}); choose another --output. "
            "What was saved before is untouched."
        ) from None


def epoch_line(entry, epochs):
    """One epoch in a line."""
    held = f"  validation {entry['validation_accuracy']:.2%}" if "validation_accuracy" in entry else ""
    return (
        f"epoch {entry['epoch']:2}/{epochs}  {entry['size']}×{entry['size']}  loss {entry['loss']:.4f}  "
        f"training {entry['accuracy']:.2%}{held}  {entry['seconds']:.1f} s  "
        f"{entry['gflops']:.0f} of {entry['peak_gflops']:.0f} GFLOP/s"
    )


def totals(entries, device):
    """Sums over the epochs: seconds of training, TFLOP computed, and the TFLOP the machine could have computed then.

    The last is the time budget that does not depend on a machine's speed: seconds times the speed of a plain matrix
    product in the same minutes.
    """
    return {
        "seconds": sum(entry["seconds"] for entry in entries),
        "tflop": sum(entry["tflop"] for entry in entries),
        "budget_tflop": sum(entry["seconds"] * entry["peak_gflops"] / 1e3 for entry in entries),
        "peak_memory_gb": peak_memory_gb(device),
    }


def summary(history, model):
    """What came out, in a few lines."""
    memory = f"; at most {history['peak_memory_gb']:.1f} GB of memory" if history["peak_memory_gb"] else ""
    lines = [
        f"Trained {history['seconds']:.0f} s: {history['tflop']:.1f} TFLOP, where plain matrix products would have "
        f"done {history['budget_tflop']:.1f}{memory}."
    ]
    if "test" in history:
        lines.append(
            f"Test accuracy {history['test']['accuracy']:.2%} on {history['test']['images']:,} images "
            f"({history['test_six_views']['accuracy']:.2%} with the mean over six views)."
        )
    else:
        lines.append(
            f"Validation accuracy {history['epochs'][-1]['validation_accuracy']:.2%}; the test set was not read."
        )
    return "\n".join([*lines, f"Saved {model}."])


def peak_memory_gb(device):
    """The most memory that this process has had so far, in GB (on CUDA the GPU's); None where nothing tells it."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def machine(device, precision, world):
    """What a measured time depends on: processor, cores, precision, versions."""
    processor = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            processor = next(
                (line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), processor
            )
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "processor": processor,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "processes": world,
        "precision": precision,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }


def write_json(path, content):
    """Write `content` as JSON, at once or not at all."""
    cnn.replace_file(path, (json.dumps(content, indent=1) + "\n").encode())


# ---------------------------------------------------------------------------------------------------------------
# Use
# ---------------------------------------------------------------------------------------------------------------


def evaluate(options, say=print):
    """Print the accuracy of a saved model on the test images, and return it."""
    device = training.choose_device(options.device)
    network = cnn.load_model(options.evaluate).to(device, memory_format=training.memory_layout(device))
    name, images, labels = load_data(options.data, ["test"])
    loss, accuracy, _ = training.evaluate(network, images, labels)
    say(f"{options.evaluate} on {name}: {accuracy:.2%} of {len(labels):,} test images right, loss {loss:.4f}.")
    return accuracy


def predict(options, say=print):
    """Print the ten probabilities that a saved model gives an image file, and return them."""
    image, sentence = cnn.read_image(options.predict)
    probabilities = training.predict(cnn.load_model(options.model), image)[0].tolist()
    say(sentence)
    for probability, label in sorted(zip(probabilities, cnn.CLASSES, strict=True), reverse=True):
        say(f"{label:12}{probability:7.2%}  {'█' * round(40 * probability)}")
    return probabilities


def main(arguments=None):
    """Run the command line; return 0, or 1 after a sentence on what went wrong, or 130 after Ctrl-C."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that knows no × shows a question mark
    options = None
    try:
        options = options_from(arguments)
        if options.evaluate:
            evaluate(options)
        elif options.predict:
            predict(options)
        else:
            train(options)
    except (ValueError, OSError) as error:
        print(f"p2.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        trains = options is not None and not options.evaluate and not options.predict
        if trains and (options.output / "p2_checkpoint.pt").exists():
            print("\nStopped; the same command with --resume goes on after the last complete epoch.", file=sys.stderr)
        else:
            print("\nStopped, with nothing to save so far; the same command begins anew.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
