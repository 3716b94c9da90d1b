"""Collect what was trained into artifacts/p2: the hand-in of Programming 2, with its report.

    python -m helpers.p2_report build/p2/best_seed0 --seeds build/p2/fast_seed* build/p2/thorough_seed* \\
                                                    --ablation build/p2/ablation/*
    python -m helpers.p2_report                    # the report alone, anew, from what artifacts/p2 holds

The first folder is the training whose model is shipped; `--seeds` are trainings of one preset or more that otherwise
differ in the seed only, and the report gives each preset's mean and standard deviation; `--ablation` are trainings with
`--validate`, one change each.
"""

import argparse
import io
import json
import sys
import textwrap
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_pdf import PdfPages

from helpers import files, p2, style
from helpers.core import cnn, cnn_studies, training
from helpers.figures import cnn as figures

REPOSITORY = Path(__file__).resolve().parents[1]
HAND_IN = REPOSITORY / "artifacts" / "p2"
CODE = {"p2.py": "p2.py", "cnn.py": "core/cnn.py", "training.py": "core/training.py"}
A4 = {"width": 8.27, "height": 11.69}
METADATA = {"Title": "Programming 2: a CNN on CIFAR-10", "CreationDate": None}  # the same file from the same content
LAYERS_SAID = (
    "After each group's first convolution: max-pooling 2×2. After every convolution: batch normalisation (a bias, no "
    "scale) and GELU. Before the head: the largest value of each channel. The whitening filters are computed from the "
    "training images and not trained; their bias is, in the first part whitening_epochs of the epochs."
)
ABLATION_SAID = (
    "Accuracy on the 5,000 held-out training images, one run each, and the difference, in points, to the unchanged "
    "preset fast. Each run changes it as said; runs that differ in the seed only differ by some tenths too."
)
LARGEST_MODEL = 16_000_000  # bytes


def collect(shipped, seeds, ablation, folder=HAND_IN):
    """Copy code, model and histories into `folder`; raises ValueError for a training that is not finished."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, source in CODE.items():
        files.copy(REPOSITORY / "helpers" / source, folder / name)
    if shipped is None:
        return
    record = {
        "shipped": read_history(shipped, "test"),
        "seeds": [read_history(path, "test") for path in seeds],
        "ablation": [{"name": Path(path).name} | read_history(path, "budget_tflop") for path in ablation],
    }
    network = cnn.load_model(Path(shipped) / "p2_model.pkl")
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


def seeds_lines(record):
    """For each preset that was trained with several seeds: its test accuracies, what it took, and the command."""
    lines = []
    for preset in dict.fromkeys(entry["preset"] for entry in record["seeds"]):
        histories = cnn_studies.of_preset(record, preset)
        single, averaged = (
            [100 * history[key]["accuracy"] for history in histories] for key in ("test", "test_six_views")
        )
        seconds = sorted({f"{history['seconds']:.0f}" for history in histories}, key=int)
        threads = sorted({history["machine"]["threads"] for history in histories})
        budget = np.mean([history["budget_tflop"] for history in histories])
        lines += ["", f"# The preset {preset}"]
        lines += wrap(
            f"{spread(single)} over {len(single)} seed{'s' * (len(single) > 1)} "
            f"({', '.join(f'{v:.2f}' for v in single)}), "
            f"{spread(averaged)} with the mean over six views, "
            f"{' to '.join(dict.fromkeys([seconds[0], seconds[-1]]))} s on {' or '.join(map(str, threads))} threads, "
            f"a budget of {budget:.0f} TFLOP",
            92,
        )
        lines += wrap(f"command: {histories[0]['command']}{' (and the other seeds)' * (len(single) > 1)}", 92)
    return lines


def spread(values):
    """Mean ± standard deviation of percentages."""
    return f"{np.mean(values):.2f}{f' ± {np.std(values, ddof=1):.2f}' if len(values) > 1 else ''} %"


def text(ax, lines, size=9.5):
    """Write lines into an empty axes, from the top; a line that begins with # is a heading."""
    ax.set_axis_off()
    y = 1.0
    height = ax.get_figure().get_size_inches()[1] * ax.get_position().height
    for line in lines:
        heading = line.startswith("# ")
        look = {"fontsize": size + 3, "weight": "bold"} if heading else {"fontsize": size, "family": "DejaVu Sans Mono"}
        ax.text(0, y, line.removeprefix("# "), transform=ax.transAxes, va="top", in_layout=False, **look)
        y -= (0.34 if heading else 0.2) / height


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
    pages = [
        first_page(name, network, accuracy, loss, record),
        architecture_page(network, shipped),
        curves_page(shipped, cnn_studies.of_preset(record, "fast")),
        classes_page(matrix),
        images_page(pixels, labels, probabilities),
        ablation_page(record),
    ]
    path = folder / "p2_report.pdf"
    written = io.BytesIO()  # matplotlib, writing on a full disk, ends in an error of zlib
    with style.context(), PdfPages(written, metadata=METADATA) as pdf:
        for page in pages:
            pdf.savefig(page)
    cnn.replace_file(path, written.getvalue())
    return accuracy


def page(**subplots):
    fig, axes = style.figure(**A4, **subplots)
    fig.get_layout_engine().set(rect=(0.05, 0.04, 0.9, 0.92))
    return fig, axes


def first_page(name, network, accuracy, loss, record):
    """What came out, in numbers."""
    fig, ax = page()
    shipped = record["shipped"]
    machine, tests = shipped["machine"], shipped["test"]
    lines = [
        "# Programming 2: a convolutional network on CIFAR-10",
        "",
        "# The shipped model, p2_model.pkl",
        f"test accuracy          {accuracy:.2%} of {tests['images']:,} test images ({name}), loss {loss:.4f}, float32",
        f"grade band             {cnn_studies.grade(accuracy)[1]}",
        f"while training         {tests['accuracy']:.2%} in {machine['precision']}, when it ended",
        f"mean over six views    {shipped['test_six_views']['accuracy']:.2%} (the image, shifted, mirrored)",
        f"parameters             {cnn.parameter_count(network):,}",
        f"one forward pass       {cnn.forward_flops(network) / 1e6:.0f} MFLOP an image",
        f"training               {len(shipped['epochs'])} epochs, {shipped['seconds']:.0f} s, "
        f"{shipped['tflop']:.0f} TFLOP computed",
        *([f"                       {shipped['note']}"] if "note" in shipped else []),
        f"budget                 {shipped['budget_tflop']:.0f} TFLOP: seconds x the speed of a matrix product then",
        *([f"memory                 at most {shipped['peak_memory_gb']:.1f} GB"] if shipped["peak_memory_gb"] else []),
        f"hardware               {machine['processor']}, {machine['device']}, "
        f"{machine['threads']} threads, {machine['precision']}",
        f"software               Python {machine['python']}, PyTorch {machine['torch']}, numpy {machine['numpy']}",
        f"seed                   {shipped['seed']}",
        *wrap(f"command                {shipped['command']}", 92, " " * 23),
        *seeds_lines(record),
        "",
        "# How it was done",
        *wrap(
            "Settings of the preset fast were chosen on 5,000 training images held out (the last 500 of each class), "
            "and so were width, epochs and hard images of thorough. What best changes was not compared there. "
            "Then the network was trained on all 50,000 and the test images read once for each "
            "number above. Accuracies are those of single images, without averaging over views, unless it says so.",
            92,
        ),
    ]
    text(ax, lines)
    return fig


def wrap(sentence, width, indent=""):
    return textwrap.wrap(sentence, width, subsequent_indent=indent, break_on_hyphens=False)


def architecture_page(network, shipped):
    """Layers, and every setting of the training."""
    fig, ax = page()
    rows = [f"{'layer':32}{'output':>16}{'weights':>13}{'MFLOP':>9}"]
    for layer, shape, weights, flops in zip(*cnn_studies.layers(network).values(), strict=True):
        rows.append(f"{layer:32}{shape:>16}{weights:13,}{flops:9.1f}")
    rows += ["", f"With the biases: {cnn.parameter_count(network):,} parameters."]
    settings = [f"{key:20}{json.dumps(value)}" for key, value in shipped["configuration"].items()]
    text(
        ax,
        [
            "# Architecture, for one image of 32×32",
            *rows,
            "",
            *wrap(LAYERS_SAID, 92),
            "",
            "# Recipe: the settings of p2.py, each explained there",
            *settings,
        ],
    )
    return fig


def curves_page(shipped, seeds):
    """Loss and accuracy over the epochs, of the shipped model above and of the seeds below."""
    fig, axes = page(nrows=2, ncols=2)
    figures.draw_curves(axes[0], [shipped], ["shipped model"])
    if seeds:
        figures.draw_curves(axes[1], seeds[:6], [f"fast, seed {history['seed']}" for history in seeds[:6]])
    else:
        fig.delaxes(axes[1, 0]), fig.delaxes(axes[1, 1])
    fig.suptitle(
        "Loss and accuracy on augmented training images, averaged over each epoch while the network learned.\n"
        "From its third epoch on, fast is shown only the images it found hardest.\n"
        "A star is the test accuracy at the end.",
        fontsize=10,
        y=0.97,
    )
    fig.get_layout_engine().set(rect=(0.05, 0.04, 0.9, 0.87))
    return fig


def classes_page(matrix):
    """Confusions and the accuracy of each class."""
    fig, axes = page(nrows=2, gridspec_kw={"height_ratios": [1.5, 1]})
    figures.draw_confusion(axes[0], matrix, cnn.CLASSES)
    axes[0].set_title("Confusion matrix on the test images")
    recall, precision = cnn_studies.per_class(matrix)
    rows = [f"{'class':12}{'recognised':>12}{'answers right':>16}"]
    rows += [f"{c:12}{r:12.1%}{p:16.1%}" for c, r, p in zip(cnn.CLASSES, recall, precision, strict=True)]
    most = [f"{cnn.CLASSES[i]} taken for {cnn.CLASSES[j]}: {n}" for i, j, n in cnn_studies.worst_confusions(matrix)]
    text(axes[1], ["# Each class", *rows, "", *most])
    return fig


def images_page(images, labels, probabilities):
    """Best and worst predictions."""
    fig, axes = page(nrows=8, ncols=6)
    rows = (
        ("Surest and right", cnn_studies.surest(probabilities, labels, True, 12)),
        ("Right, but only just", cnn_studies.doubtful(probabilities, labels, 12)),
        ("Surest and wrong", cnn_studies.surest(probabilities, labels, False, 24)),
    )
    start = 0
    for title, indices in rows:
        stop = start + -(-len(indices) // 6)
        figures.draw_answers(axes[start:stop].flat, images, labels, probabilities, indices, cnn.CLASSES)
        axes[start, 0].set_ylabel(title, fontsize=9)
        start = stop
    for ax in axes[start:].flat:
        ax.set_axis_off()
    fig.suptitle("Best and worst predictions: answer and probability, below it the truth where it differs", fontsize=11)
    return fig


def ablation_page(record):
    """What some settings buy, on validation images."""
    fig, ax = page()
    ablation = record["ablation"]
    lines = ["# What some settings buy"]
    if ablation:
        columns = cnn_studies.ablation(record)
        differences = columns.get("difference", [None] * len(ablation))
        lines += wrap(ABLATION_SAID, 92)
        lines += ["", f"{'validation':>11}{'difference':>12}{'seconds':>9}{'budget':>8}  change"]
        for entry, change, difference in zip(ablation, columns["changed"], differences, strict=True):
            said = wrap(change, 54)
            accuracy = entry["epochs"][-1]["validation_accuracy"]
            told = "" if difference is None else f"{difference:+.2f}"
            lines.append(f"{accuracy:11.2%}{told:>12}{entry['seconds']:9.0f}{entry['budget_tflop']:8.1f}  {said[0]}")
            lines += [" " * 42 + more for more in said[1:]]
    else:
        lines.append("No ablation was run.")
    text(ax, lines, size=9)
    return fig


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
        collect(options.shipped, options.seeds, options.ablation, options.folder)
        accuracy = write_report(p2.load_data(options.data), options.folder)
        return f"{options.folder / 'p2_report.pdf'}: {accuracy:.2%} of the test images right."

    return files.finish(work, options.folder, "p2_report: ")


if __name__ == "__main__":
    sys.exit(main())
