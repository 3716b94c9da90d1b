"""Collect what was trained into artifacts/p2: the hand-in of Programming 2, with its report.

    python -m helpers.p2_report build/p2/best_seed0 --seeds build/p2/fast_seed* build/p2/thorough_seed* \\
                                                    --ablation build/p2/ablation/*
    python -m helpers.p2_report                    # the report alone, anew, from what artifacts/p2 holds

The first folder is the training whose model is shipped; `--seeds` are trainings of one preset or more that otherwise
differ in the seed only, and the report gives each preset's mean and standard deviation; `--ablation` are trainings with
`--validate`, one change each.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from helpers import files, p2, report, style
from helpers.core import cnn, cnn_studies, training
from helpers.figures import cnn as figures

REPOSITORY = Path(__file__).resolve().parents[1]
HAND_IN = REPOSITORY / "artifacts" / "p2"
CODE = {"p2.py": "p2.py", "cnn.py": "core/cnn.py", "training.py": "core/training.py"}
METADATA = {"Title": "Programming 2: a CNN on CIFAR-10"}
CHOICES_SAID = (
    "Settings of the preset fast were chosen on 5,000 training images held out (the last 500 of each class), and so "
    "were width, epochs and hard images of thorough. What best changes was not compared there. Then the network was "
    "trained on all 50,000 and the test images read once for each number above. Accuracies are those of single "
    "images, without averaging over views, unless it says so. A budget is seconds of training times the speed of a "
    "plain matrix product in them, so it depends less on the machine."
)
LAYERS_SAID = (
    "After each group's first convolution: max-pooling 2×2. After every convolution of a group: batch normalisation (a "
    "bias, no scale) and GELU; after whitening, GELU alone.{shortcut} Before the head: the largest value of each "
    "channel. The whitening filters are computed from the training images and not trained; their bias is, in the first "
    "part whitening_epochs of the epochs."
)
SHORTCUT_SAID = " In each group the input of the second convolution is added before the last GELU: a shortcut."
CURVES_SAID = (
    "Both are of augmented training images, averaged over each epoch while the network learned; a star is the test "
    "accuracy at the end."
)
ABLATION_SAID = (
    "Accuracy on the 5,000 held-out training images, one run each, and the difference, in points, to the unchanged "
    "preset fast. Each run changes it as said; runs that differ in the seed only differ by some tenths too."
)
LARGEST_MODEL = 16_000_000  # bytes


def read_trainings(shipped, seeds, ablation):
    """The network of a training, and the record of all; raises ValueError for one that is not finished."""
    record = {
        "shipped": read_history(shipped, "test"),
        "seeds": [read_history(path, "test") for path in seeds],
        "ablation": [{"name": Path(path).name} | read_history(path, "budget_tflop") for path in ablation],
    }
    return cnn.load_model(Path(shipped) / "p2_model.pkl"), record


def collect(network, record, folder=HAND_IN):
    """Write model and histories into `folder`."""
    cnn.save_model(folder / "p2_model.pkl", network)
    if (folder / "p2_model.pkl").stat().st_size > LARGEST_MODEL:
        cnn.save_model(folder / "p2_model.pkl", network, half=True)
    p2.write_json(folder / "p2_history.json", record)


def read_history(folder, finished):
    """The history in a training's folder; raises ValueError unless it has the entry `finished`."""
    path = Path(folder) / "p2_history.json"
    try:
        history = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise ValueError(f"{path} is missing or damaged; train first.") from None
    if finished not in history:
        raise ValueError(f"{path} is of a training that is not finished; finish it with --resume.")
    return history


def seeds_table(record):
    """The rows of a table: for each preset that was trained with several seeds, its accuracies and what it took."""
    rows = [["preset", "test accuracy", "each seed (%)", "over six views", "seconds (threads)", "budget"]]
    for preset, histories in presets(record):
        single, averaged = (
            [100 * history[key]["accuracy"] for history in histories] for key in ("test", "test_six_views")
        )
        seconds = sorted({f"{history['seconds']:.0f}" for history in histories}, key=int)
        budget = np.mean([history["budget_tflop"] for history in histories])
        each = ", ".join(f"{v:.2f}" for v in single)
        threads = sorted({history["machine"]["threads"] for history in histories})
        took = f"{' to '.join(dict.fromkeys([seconds[0], seconds[-1]]))} ({' or '.join(map(str, threads))})"
        rows.append([preset, spread(single), each, spread(averaged), took, f"{budget:.0f} TFLOP"])
    return rows


def presets(record):
    """The presets among the record's seeds, each with its trainings."""
    names = dict.fromkeys(entry["preset"] for entry in record["seeds"])
    return [(name, cnn_studies.of_preset(record, name)) for name in names]


def spread(values):
    """Mean ± standard deviation of percentages."""
    return f"{np.mean(values):.2f}{f' ± {np.std(values, ddof=1):.2f}' if len(values) > 1 else ''} %"


def write_report(data, folder=HAND_IN):
    """Write p2_report.pdf and p2_test.npz, the model's answers, from the model and the record in `folder`.

    The test images of `data`, which is what p2.load_data returns, are read once, in single precision. Raises ValueError
    when model or record are missing.
    """
    network, record = cnn_studies.load_shipped(folder)
    name, _, _, images, labels = data
    shipped = record["shipped"]
    loss, accuracy, probabilities = training.evaluate(network, images, labels)
    probabilities, labels = probabilities.numpy(), labels.numpy()
    matrix = cnn_studies.confusion(labels, probabilities.argmax(1))
    pixels = images.permute(0, 2, 3, 1).numpy()
    cnn_studies.write_answers(folder / "p2_test.npz", pixels, probabilities)
    with style.context():
        pages = [
            first_page(name, network, accuracy, loss, record),
            architecture_page(network),
            settings_page(record),
            curves_page(shipped, cnn_studies.of_preset(record, "fast")),
            classes_page(matrix),
            images_page(pixels, labels, probabilities),
        ]
    cnn.replace_file(folder / "p2_report.pdf", report.pdf(pages, METADATA))
    return accuracy


def new_page(number, title):
    """An empty page with its heading and its number."""
    return report.new_page(title, f"Programming 2 · page {number} of 6")


def first_page(name, network, accuracy, loss, record):
    """What came out, in numbers."""
    shipped = record["shipped"]
    machine, tests = shipped["machine"], shipped["test"]
    page = new_page(1, "A convolutional network tells objects apart")
    y = report.write(
        page, 0.915,
        f"The shipped model has a test accuracy of {accuracy:.2%} on {name}. When training ended, in "
        f"{machine['precision']}, it was {tests['accuracy']:.2%}, and {shipped['test_six_views']['accuracy']:.2%} "
        "averaged over six views of each image, shifted and mirrored.",
    )  # fmt: skip
    y = report.heading(page, y - 0.004, "The shipped model, p2_model.pkl")
    rows = [
        ["test accuracy", f"{accuracy:.2%} of {tests['images']:,} test images, loss {loss:.4f}, in float32"],
        ["grade band", cnn_studies.grade(accuracy)[1]],
        ["size", f"{cnn.parameter_count(network):,} parameters; a forward pass takes "
                 f"{cnn.forward_flops(network) / 1e6:.0f} MFLOP an image"],
        ["training", f"{len(shipped['epochs'])} epochs, {shipped['seconds']:.0f} s"
                     f"{', ' + shipped['note'] if 'note' in shipped else ''}; {shipped['tflop']:.0f} TFLOP computed, a "
                     f"budget of {shipped['budget_tflop']:.0f} TFLOP"],
        *([["memory", f"at most {shipped['peak_memory_gb']:.1f} GB"]] if shipped["peak_memory_gb"] else []),
        ["hardware", f"{machine['processor']}, {machine['device']}, {cnn_studies.threads(machine)}, "
                     f"{machine['precision']}"],
        ["software", f"Python {machine['python']}, PyTorch {machine['torch']}, numpy {machine['numpy']}"],
        ["seed", f"{shipped['seed']}"],
    ]  # fmt: skip
    y = report.table(page, y, rows, (report.LEFT, 0.26), head=False)
    if record["seeds"]:
        y = report.heading(page, y, "The presets, over several seeds")
        y = report.table(page, y, seeds_table(record), (report.LEFT, 0.17, 0.305, 0.49, 0.63, 0.795), size=9)
    y = report.heading(page, y, "The commands")
    for which, history in [("shipped", shipped), *((preset, first) for preset, (first, *_) in presets(record))]:
        below = report.write(page, y, history["command"], size=8, x=0.195, family=report.MONO)
        report.write(page, y, which, size=9)
        y = below + 0.004
    y = report.heading(page, y - 0.004, "How it was done")
    report.write(page, y, CHOICES_SAID)
    return page


def architecture_page(network):
    """The layers: what each gives, its weights, its arithmetic."""
    page = new_page(2, "Architecture, for one image of 32×32")
    columns = cnn_studies.layers(network)
    shapes = {"image": "3×32×32"}
    for layer, shape in zip(columns["layer"][:-1], columns["output"][:-1], strict=True):
        shapes[layer.split(",")[0]] = shape  # of a group its last convolution's
    blocks = []
    for part, shape in shapes.items():
        channels, _, places = shape.partition("×")
        height = 0.2 + 0.16 * np.log2(int(places.split("×")[0])) if places else 0.3
        caption = f"{part}\n{places or 'logits'}" + f"\n{network.depth} convolutions" * part.startswith("group")
        blocks.append((height, channels, caption, ""))
    report.chain(page, [0.06, 0.80, 0.88, 0.105], blocks)
    rows = [["layer", "output", "weights", "MFLOP"]]
    for layer, shape, weights, flops in zip(*columns.values(), strict=True):
        rows.append([layer, shape, f"{weights:,}", f"{flops:.1f}"])
    y = report.table(page, 0.725, rows, (report.LEFT, 0.54, 0.72, report.RIGHT), align="lrrr")
    said = LAYERS_SAID.format(shortcut=SHORTCUT_SAID * (network.depth > 2))
    report.write(page, y - 0.004, f"With the biases: {cnn.parameter_count(network):,} parameters. {said}")
    return page


def settings_page(record):
    """Every setting of the training, and what some of them buy on held-out images."""
    page = new_page(3, "Recipe")
    settings = [[key, json.dumps(value)] for key, value in record["shipped"]["configuration"].items()]
    y = report.write(page, 0.915, "The settings of the shipped model's training, each explained in p2.py.")
    half = -(-len(settings) // 2)
    lower = min(
        report.table(page, y, part, columns, head=False, right=columns[1] + 0.19)
        for part, columns in ((settings[:half], (report.LEFT, 0.27)), (settings[half:], (0.53, 0.71)))
    )
    y = report.heading(page, lower, "What some settings buy")
    ablation = record["ablation"]
    if not ablation:
        report.write(page, y, "No ablation was run.")
        return page
    columns = cnn_studies.ablation(record)
    differences = columns.get("difference", [None] * len(ablation))
    rows = [["validation", "difference", "seconds", "TFLOP", "change"]]
    for entry, change, difference in zip(ablation, columns["changed"], differences, strict=True):
        told = "" if difference is None else f"{difference:+.2f}"
        accuracy = entry["epochs"][-1]["validation_accuracy"]
        rows.append([f"{accuracy:.2%}", told, f"{entry['seconds']:.0f}", f"{entry['budget_tflop']:.1f}", change])
    y = report.write(page, y, ABLATION_SAID)
    report.table(page, y, rows, (0.18, 0.29, 0.385, 0.47, 0.51), align="rrrr")
    return page


def curves_page(shipped, seeds):
    """Loss and accuracy over the epochs, of the shipped model above and of the seeds below."""
    page = new_page(4, "Loss and accuracy over the epochs")
    report.write(page, 0.915, CURVES_SAID)
    rows = [(0.595, "The shipped model", [shipped], ["shipped model"])]
    if seeds:
        labels = [f"seed {history['seed']}" for history in seeds[:6]]
        rows.append((0.215, "The preset fast", seeds[:6], labels))
        said = "From its third epoch on it is shown only the images it found hardest; the accuracy is that of these."
        report.write(page, 0.165, said)
    for bottom, title, histories, labels in rows:
        report.heading(page, bottom + 0.268, title)
        axes = [page.add_axes((left, bottom, 0.34, 0.205)) for left in (0.13, 0.57)]
        figures.draw_curves(axes, histories, labels)
    return page


def classes_page(matrix):
    """Confusions and the accuracy of each class."""
    page = new_page(5, "Which classes it confuses")
    axes = page.add_axes((0.20, 0.50, 0.64, 0.39))
    figures.draw_confusion(axes, matrix, cnn.CLASSES)
    axes.set_aspect("auto")
    axes.set_title("Confusion matrix of the test images")
    y = report.heading(page, 0.405, "Each class")
    recall, precision = cnn_studies.per_class(matrix)
    rows = [["class", "recognised", "answers right"]]
    rows += [[c, f"{r:.1%}", f"{p:.1%}"] for c, r, p in zip(cnn.CLASSES, recall, precision, strict=True)]
    report.table(page, y, rows, (report.LEFT, 0.33, 0.47), align="lrr", right=0.47)
    most = [
        [f"{cnn.CLASSES[i]} taken for {cnn.CLASSES[j]}", f"{n}"] for i, j, n in cnn_studies.worst_confusions(matrix)
    ]
    report.table(page, y, [["most frequent mistakes", "images"], *most], (0.55, 0.89), align="lr", right=0.89)
    return page


def images_page(images, labels, probabilities):
    """Best and worst predictions."""
    page = new_page(6, "Best and worst predictions")
    report.write(page, 0.915, "The answer and its probability, and below it the truth where it differs.")
    groups = (
        ("Surest and right", cnn_studies.surest(probabilities, labels, True, 16)),
        ("Right, but only just", cnn_studies.doubtful(probabilities, labels, 16)),
        ("Surest and wrong", cnn_studies.surest(probabilities, labels, False, 24)),
    )
    y, side = 0.885, 0.078
    for title, indices in groups:
        y = report.heading(page, y, title) - 0.020
        for start in range(0, len(indices), 8):
            height = side * report.WIDTH / report.HEIGHT
            row = [page.add_axes((report.LEFT + 0.1063 * k, y - height, side, height)) for k in range(8)]
            figures.draw_answers(row, images, labels, probabilities, indices[start : start + 8], cnn.CLASSES)
            y -= height + 0.034
        y += 0.008
    return page


def main(arguments=None):
    """Run the command line; return 0, or 1 after a sentence on what went wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m helpers.p2_report", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("shipped", nargs="?", help="folder of the training whose model is shipped")
    parser.add_argument("--seeds", nargs="*", default=[], help="folders of trainings of a preset with several seeds")
    parser.add_argument("--ablation", nargs="*", default=[], help="folders of trainings with --validate")
    parser.add_argument("--data", help="the file cifar10.npz or its folder")
    parser.add_argument("--folder", type=Path, default=HAND_IN, help="where the hand-in is put (artifacts/p2)")
    options = parser.parse_args(arguments)

    def work():
        # All is read before anything is written: a folder with half a hand-in helps nobody.
        shipped = options.shipped
        network, record = (
            read_trainings(shipped, options.seeds, options.ablation)
            if shipped
            else cnn_studies.load_shipped(options.folder)
        )
        data = p2.load_data(options.data)
        options.folder.mkdir(parents=True, exist_ok=True)
        for name, source in CODE.items():
            files.copy(REPOSITORY / "helpers" / source, options.folder / name)
        if shipped:
            collect(network, record, options.folder)
        accuracy = write_report(data, options.folder)
        return f"{options.folder / 'p2_report.pdf'}: {accuracy:.2%} of the test images right."

    return files.finish(work, options.folder, "p2_report: ")


if __name__ == "__main__":
    sys.exit(main())
