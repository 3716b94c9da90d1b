"""Collect what `python -m helpers.train_mlp` trained into artifacts/p1/, and draw p1_report.pdf."""

import contextlib
import shutil
from pathlib import Path

import numpy as np

from helpers import datasets, files, report, style
from helpers.core import mlp as p1
from helpers.core import mlp_studies as studies

ARTIFACTS = Path(__file__).parents[1] / "artifacts" / "p1"
METADATA = {"Title": "Programming 1: a numpy MLP on MNIST"}
TITLES = {"handout": "As the handout asks", "best": "What numpy can do", "final": "The same, on all images"}


def publish(trained, artifacts=ARTIFACTS):
    """Write p1.py, p1_model.npz, p1_history.json and p1_report.pdf into `artifacts` from the folder `trained`.

    The model is the final recipe's seed 0, whichever seed did best. Raises ValueError if it has not been trained, or
    was not trained on MNIST.
    """
    trained, artifacts = Path(trained), Path(artifacts)
    history = collect(trained)
    artifacts.mkdir(parents=True, exist_ok=True)
    copies = {"p1.py": p1.__file__, "p1_model.npz": trained / "final_seed0.npz"}
    if (trained / "p1_ablation.json").exists():
        copies["p1_ablation.json"] = trained / "p1_ablation.json"
    with contextlib.ExitStack() as stack:  # all of them take their names when all are written
        for name, source in copies.items():
            shutil.copyfile(source, stack.enter_context(files.whole(artifacts / name)))
        draw(history, trained / "final_seed0.npz", stack.enter_context(files.whole(artifacts / "p1_report.pdf")))
        files.write_json(stack.enter_context(files.whole(artifacts / "p1_history.json")), history)
    return history


def collect(trained):
    """The finished trainings of a folder as {recipe: {"seeds": [history, ...], "test_error_mean": ..., "std": ...}}."""
    collected: dict = {"model": "p1_model.npz is recipe final, seed 0"}
    for recipe in p1.RECIPES:
        records = [files.read_json(path) for path in Path(trained).glob(f"{recipe}_seed*.json")]
        records = sorted((r for r in records if "test_error" in r), key=lambda record: record["seed"])
        if not records or records[0]["seed"] != 0:
            raise ValueError(
                f"{trained} holds no finished training of recipe {recipe!r} with seed 0; run "
                f"`python -m helpers.train_mlp --recipe {recipe}` first."
            )
        for record in records:
            if record["data"] != "MNIST":
                raise ValueError(
                    f"Recipe {recipe!r}, seed {record['seed']} was trained on {record['data']!r}, not MNIST."
                )
        errors = [record["test_error"] for record in records]
        collected[recipe] = {
            "test_error_mean": float(np.mean(errors)),
            "test_error_std": float(np.std(errors, ddof=1)) if len(errors) > 1 else 0.0,
            "settings": settings(recipe),
            "seeds": records,
        }
    return collected


def settings(recipe):
    """A recipe as plain words and numbers, to be stored and printed."""
    return {
        key: getattr(value, "__name__", value) if not isinstance(value, list) else value
        for key, value in p1.RECIPES[recipe].items()
    }


def training_time(records):
    """The mean time of a training in words: on all cores by the clock, on one thread in seconds of the processor.

    Seeds may be trained on one thread each, beside other work; the clock then says little, and the processor's time is
    what one undisturbed core would take.
    """
    single = [record for record in records if record["machine"].get("threads") == 1 < record["machine"]["cores"]]
    told = []
    for chosen, kind, where in (
        ([record for record in records if record not in single], "seconds", "by the clock, all cores"),
        (single, "processor_seconds", "of one core"),
    ):
        if chosen:
            seeds = ", ".join(f"{record['seed']}" for record in chosen)
            which = "" if len(chosen) == len(records) else f" (seed{'s' * (len(chosen) > 1)} {seeds})"
            told.append(f"{np.mean([sum(record[kind]) for record in chosen]):.0f} s {where}{which}")
    return "\n".join(told)


def percent(rate):
    return f"{100 * rate:.2f} %"


def over_views(records):
    """The test error of networks that see five views of each image (see p1.five_views): mean ± standard deviation."""
    errors = [record["test_error_views"] for record in records if "test_error_views" in record]
    if len(errors) < len(records):
        return "not measured"
    return percent(np.mean(errors)) + (f" ± {percent(np.std(errors, ddof=1))}" if len(errors) > 1 else "")


def validation_error(recipe):
    """The mean error on the held-out images at the end of a recipe's trainings, in words."""
    errors = [record["validation_errors"][-1] for record in recipe["seeds"] if record["validation_errors"]]
    return percent(np.mean(errors)) if errors else "none held out"


def draw(history, model, path):
    """Draw the pages of the report into one PDF file."""
    mlp = p1.load_mlp(model)
    data = datasets.mnist(part="test")
    x, labels = data.test_images.reshape(-1, 784).astype(np.float32) / 255, data.test_labels.astype(int)
    probabilities = studies.probabilities(mlp, x)
    stored = history["final"]["seeds"][0]["test_error"]
    error = float((probabilities.argmax(axis=1) != labels).mean())
    if error != stored:
        raise ValueError(f"The model misreads {percent(error)} of the test images, its history says {percent(stored)}.")
    with style.context():
        pages = [first_page(history), curves_page(history), mistakes_page(data.test_images, labels, probabilities)]
    Path(path).write_bytes(report.pdf(pages, METADATA))


def new_page(number, title):
    """An empty page with its heading and its number."""
    return report.new_page(title, f"Programming 1 · page {number} of 3")


def first_page(history):
    """Architecture, recipes, results."""
    final, handout = history["final"], history["handout"]
    chosen = final["settings"]
    sizes = [784, *chosen["hiddens"], 10]
    windows, seen = p1.receptive_fields().shape if chosen["fields"] else (1, sizes[0])
    parameters = sum((a + 1) * b for a, b in zip([seen, *sizes[1:-1]], sizes[1:], strict=True))
    fields = f"each neuron of the first layer sees one of {windows} windows of {seen} pixels; " if windows > 1 else ""
    page = new_page(1, "A multilayer perceptron in numpy reads MNIST")
    seeds = final["seeds"]
    points = studies.grade_points(final["test_error_mean"])
    band = {10: "below 5 %", 5: "5 to 10 %", 3: "10 to 20 %", 0: "20 % or more"}[points]
    y = report.write(
        page, 0.915,
        f"Final test error: {percent(final['test_error_mean'])} ± {percent(final['test_error_std'])} (mean ± standard "
        f"deviation over {len(seeds)} seeds), trained with nothing but numpy. Grade band: {band}, {points} points. "
        f"The submitted model is seed 0, with {percent(seeds[0]['test_error'])}: "
        f"{round(seeds[0]['test_error'] * 10_000)} of the 10,000 test digits are misread. Five copies "
        "side by side in one larger network (p1.five_views), of which four see the image moved by half a pixel: "
        f"{over_views(seeds)}.",
    )  # fmt: skip
    y = report.heading(page, y - 0.004, "Architecture")
    hidden = [f"{chosen['activation']}" for _ in sizes[1:-1]]
    words = ["pixels / 255", *hidden, "logits, softmax"]
    blocks = [
        (0.2 + 0.08 * np.log2(size), f"{size}", caption, f"W{i - 1}, b{i - 1}")
        for i, (size, caption) in enumerate(zip(sizes, words, strict=True))
    ]
    report.chain(page, [0.06, y - 0.108, 0.88, 0.10], blocks)
    y = report.write(
        page, y - 0.138,
        f"{parameters:,} weights and biases in float32; {fields}softmax cross-entropy through log-sum-exp; gradients "
        "of the mean loss by backpropagation, checked against central differences and automatic differentiation to a "
        "relative error below 1e-7.",
    )  # fmt: skip
    y = report.heading(page, y - 0.006, "Two recipes")
    rows = [["", *(TITLES[recipe] for recipe in ("handout", "best"))]]
    for key, name in (("hiddens", "hidden layers"), ("activation", "activation"), ("weight_init_fn", "initial weights"),
                      ("batch_size", "batch size"), ("lr", "learning rate"), ("momentum", "momentum"),
                      ("weight_decay", "weight decay")):  # fmt: skip
        rows.append([name, *(_setting(history[recipe]["settings"], key) for recipe in ("handout", "best"))])
    chose, learned = (history[recipe]["settings"]["epochs"] for recipe in ("best", "final"))
    told = f"{chose}; on all 60,000 images {learned}"
    rows.append(["epochs", f"{handout['settings']['epochs']}", told])
    rows.append(["images", "as they are", "distorted anew each time; hard ones come more often"])
    y = report.table(page, y, rows, (0.09, 0.27, 0.58))
    y = report.heading(page, y - 0.004, "Results")
    rows = [["", *TITLES.values()]]
    for name, of in (
        ("test error", lambda r: f"{percent(r['test_error_mean'])} ± {percent(r['test_error_std'])}"),
        ("with five views", lambda r: over_views(r["seeds"])),
        ("each seed (%)", lambda r: ", ".join(f"{100 * h['test_error']:.2f}" for h in r["seeds"])),
        ("validation error", validation_error),
        ("time a seed", lambda r: training_time(r["seeds"])),
    ):
        rows.append([name, *(of(history[recipe]) for recipe in TITLES)])
    y = report.table(page, y, rows, (0.09, 0.22, 0.443, 0.67), size=9.2)
    machine, other = seeds[0]["machine"], handout["seeds"][0]["machine"]
    also = f" ({TITLES['handout']}: {other['processor']})" if other["processor"] != machine["processor"] else ""
    report.write(
        page, y - 0.002,
        f"Hardware: {machine['processor']}{also}, {machine['cores']} cores; Python {machine['python']}, numpy "
        f"{machine['numpy']}, {machine['blas']}. Every choice was made on the last 10,000 training images; then all "
        "60,000 were learned, for as many epochs as five minutes allow. The test file was read once for each network "
        "here, and before for networks of recipes since replaced; it decided nothing.",
        size=9.6, color=style.GREY,
    )  # fmt: skip
    return page


def _setting(settings, key):
    value = settings[key]
    words = {
        "random_normal_weight_init": "N(0, 1)",
        "scaled_normal_weight_init": "N(0, 2 / inputs)",
        "local_weight_init": "smooth patterns, then N(0, 2 / inputs)",
    }
    if key == "lr":
        return f"{value:g}, linear to zero" if settings["schedule"] else f"{value:g}"
    return " - ".join(map(str, value)) if isinstance(value, list) else words.get(value, str(value))


def curves_page(history):
    """Loss and error over the epochs, training and validation, for seed 0 of both recipes."""
    page = new_page(2, "Loss and error over the epochs")
    bottoms = {"handout": 0.635, "best": 0.215}
    for recipe, bottom in bottoms.items():
        record = history[recipe]["seeds"][0]
        page.text(0.09, bottom + 0.268, f"{TITLES[recipe]} (seed 0)", fontsize=13, weight="bold", color=style.BLUE)
        epochs = np.arange(1, len(record["seconds"]) + 1)
        for left, what, factor, label in ((0.13, "losses", 1, "loss per sample"), (0.57, "errors", 100, "error (%)")):
            axes = page.add_axes([left, bottom, 0.34, 0.225])
            for part, colour, dash in (("training", style.BLUE, "-"), ("validation", style.ORANGE, "--")):
                values = np.multiply(record[f"{part}_{what}"], factor)
                axes.plot(epochs, values, dash, color=colour, label=part, linewidth=1.6)
            axes.set(title=label, xlabel="epoch", yscale="log")
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
            axes.yaxis.set_minor_formatter(lambda value, _: "")
            axes.legend()
    report.write(
        page, 0.590,
        "After some 25 epochs the network knows nearly all of its 50,000 images by heart, and the validation curves "
        "stand still. Weights from N(0, 1) saturate the sigmoids of the first layer, so most of what it sees is left "
        "to chance.",
    )  # fmt: skip
    report.write(
        page, 0.170,
        "Here the training curves stay above the validation curves. They are measured on distorted images, among which "
        "those that the network finds hard come more often; the validation images are shown as they are.",
    )  # fmt: skip
    return page


def mistakes_page(images, labels, probabilities):
    """The confusion matrix and the misread digits of the submitted model."""
    read = probabilities.argmax(axis=1)
    counts = studies.confusion_matrix(labels, read)
    wrong = np.flatnonzero(read != labels)
    page = new_page(3, f"The {len(wrong)} mistakes of the submitted model")
    axes = page.add_axes([0.20, 0.535, 0.60, 0.355])
    off = counts * (1 - np.eye(10, dtype=int))
    axes.imshow(off, cmap="Blues", vmin=0, vmax=max(4, 1.6 * off.max()), aspect="auto")
    for (row, column), count in np.ndenumerate(counts):
        if count:
            on = row == column
            axes.text(column, row, f"{count}", ha="center", va="center", fontsize=9.5,
                      color=style.GREY if on else style.INK, weight="normal" if on else "bold")  # fmt: skip
    axes.set(xticks=range(10), yticks=range(10), xlabel="read as", ylabel="is",
             title="Confusion matrix of the 10,000 test digits")  # fmt: skip
    axes.grid(False)
    worst = wrong[np.argsort(-probabilities[wrong, read[wrong]], kind="stable")][:40]
    page.text(0.09, 0.475, "Those it was surest about", fontsize=13, weight="bold", color=style.BLUE)
    report.write(
        page,
        0.465,
        "Each digit with its label, what it was read as, and the probability given to that reading.",
        size=9.6,
    )
    for k, i in enumerate(worst):
        row, column = divmod(k, 10)
        cell = page.add_axes([0.09 + 0.083 * column, 0.335 - 0.092 * row, 0.072, 0.072 * report.WIDTH / report.HEIGHT])
        cell.imshow(images[i], cmap="gray_r", vmin=0, vmax=255)
        cell.set_axis_off()
        cell.set_title(f"{labels[i]} → {read[i]}\n{probabilities[i, read[i]]:.0%}", fontsize=7.8, weight="normal",
                       loc="center", pad=2)  # fmt: skip
    return page
