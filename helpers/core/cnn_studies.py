"""What a trained network of Programming 2 gets right and wrong, and what its layers show."""

import base64
import contextlib
import dataclasses
import io
import json
import re
import zlib
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from helpers.core import cnn, training

ARTIFACTS = Path(__file__).parents[2] / "artifacts" / "p2"
PICTURE = "data:image/png;base64,"  # how a picture begins that is written down as text
BANDS = ((0.90, 15), (0.85, 10), (0.80, 5), (0.75, 3))  # accuracy above, points; from the assignment


def grade(accuracy):
    """Return (points, words) that the assignment gives for a test accuracy in 0..1.

    Raises ValueError for an accuracy outside 0..1.
    """
    if not 0 <= accuracy <= 1:
        raise ValueError(f"accuracy is {accuracy}; give a fraction from 0 to 1, such as 0.93.")
    for above, points in BANDS:
        if accuracy > above:
            return points, f"above {above:.0%}: {points} points"
    return 0, "75% or less: 0 points"


def confusion(labels, predicted, classes=10):
    """Return the matrix (classes, classes) that counts images by true class (row) and predicted class (column)."""
    matrix = np.zeros((classes, classes), dtype=int)
    np.add.at(matrix, (np.asarray(labels), np.asarray(predicted)), 1)
    return matrix


def per_class(matrix):
    """Return (recall, precision), each (classes,), of a confusion matrix; 0 where a class was never met.

    Recall: of the images of a class, the part that was recognised. Precision: of the answers that name a class, the
    part that was right.
    """
    right = np.diag(matrix)
    return right / np.maximum(matrix.sum(1), 1), right / np.maximum(matrix.sum(0), 1)


def worst_confusions(matrix, count=5):
    """Return the `count` most frequent mistakes as (true class, predicted class, number)."""
    off = matrix - np.diag(np.diag(matrix))
    order = np.argsort(-off, axis=None, kind="stable")[:count]
    return [(int(i), int(j), int(off[i, j])) for i, j in zip(*np.unravel_index(order, off.shape), strict=True)]


def surest(probabilities, labels, right, count):
    """Return the indices of the `count` images answered right (or wrong) with the largest probability."""
    probabilities, labels = np.asarray(probabilities), np.asarray(labels)
    chosen = np.flatnonzero((probabilities.argmax(1) == labels) == right)
    return chosen[np.argsort(-probabilities[chosen].max(1), kind="stable")[:count]]


def doubtful(probabilities, labels, count):
    """Return the indices of the `count` images answered right with the smallest probability."""
    return surest(probabilities, labels, True, len(labels))[::-1][:count]


def checksums(images):
    """Return a whole number (n,) for each image (n, ...) uint8, by which it can be found again in another copy."""
    pixels = [image.tobytes() for image in images]
    return np.array([zlib.crc32(p) << 32 | zlib.adler32(p) for p in pixels], dtype=np.uint64)


def in_one_order(data):
    """Return the data set `data` with its images in an order that does not depend on the copy it was read from.

    Copies of CIFAR-10 hold the same images in different orders. They are sorted by the checksum of their pixels, so
    that "test image 7" is the same picture everywhere.
    """
    sorted_: dict[str, np.ndarray] = {}
    for part in ("train", "test"):
        images, labels = getattr(data, f"{part}_images"), getattr(data, f"{part}_labels")
        order = np.argsort(checksums(images), kind="stable")
        sorted_ |= {f"{part}_images": images[order], f"{part}_labels": labels[order]}
    return dataclasses.replace(data, **sorted_)


def channel_statistics(images):
    """Return (mean, std), each (3,), of the colour channels of images (n, height, width, 3) uint8, in 0..1."""
    total, squares = np.zeros(images[0].size), np.zeros(images[0].size)
    for start in range(0, len(images), 1000):  # in blocks: a copy of all as wider numbers would need as much again
        x = images[start : start + 1000].reshape(-1, total.size)
        total += x.sum(0, dtype=np.uint32)
        squares += np.square(x, dtype=np.uint16).sum(0, dtype=np.uint32)  # 255² has sixteen bits
    mean, square = (sums.reshape(-1, 3).sum(0) / images[..., 0].size for sums in (total, squares))
    return mean / 255, np.sqrt(square - mean**2) / 255


def stages(network):
    """Return what can be looked at in a network, from the input on: stage name to its number of channels."""
    found = {"whitening": network.whitening.out_channels}
    for k, group in enumerate(network.groups, start=1):
        last = [layer for layer in group.modules() if isinstance(layer, torch.nn.Conv2d)][-1]
        found[f"group {k}"] = last.out_channels
    return found


@torch.no_grad()
def feature_maps(network, image, last=None):
    """Return what each stage makes of one image (3, height, width): stage name to array (channels, height, width).

    Each stage is shown after its GELU, as the next one sees it. With `last`, a stage's name, the network runs no
    further than that.
    """
    network.eval()
    maps, x = {}, network.normalise(image[None].to(network.mean.device))
    layers = [lambda pixels: F.gelu(network.whitening(pixels)), *network.groups]
    for name, layer in zip(stages(network), layers, strict=True):
        x = layer(x)
        maps[name] = x[0].float().cpu().numpy()
        if name == last:
            break
    return maps


def answer(network, image):
    """Return the probabilities (classes,) of one image (1, 3, height, width); of many, `training.predict` is faster."""
    network.eval()
    with one_thread(), torch.inference_mode():
        image = image.to(network.mean.device).contiguous(memory_format=torch.channels_last)
        return network(image).softmax(1)[0].cpu().numpy()


@contextlib.contextmanager
def one_thread():
    """Let PyTorch compute on one thread: for one small image more of them gain little, and take time from the page."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def pack_image(name, data):
    """Return as text what `cnn.read_image` makes of an image file, given its name and its content in bytes.

    The text says what was done and holds the 32 x 32 pixels as PNG; `own_image` reads it. Raises ValueError for what
    is no image or too large a one.
    """
    name = " ".join(re.sub(r"[^\w. -]", " ", name).split())[-40:] or "The image"
    try:
        tensor, said = cnn.read_image(io.BytesIO(data))
    except ValueError as error:
        raise ValueError(str(error).replace("The file", name, 1)) from None
    small = io.BytesIO()
    Image.fromarray(tensor[0].permute(1, 2, 0).numpy()).save(small, format="png", optimize=True)
    return f"{said.replace('The image', name, 1)} {PICTURE}{base64.b64encode(small.getvalue()).decode()}"


def own_image(file):
    """Return (1, 3, 32, 32) uint8 and a sentence for an image file's name, or for a text of `pack_image`.

    Raises ValueError for what is neither.
    """
    if PICTURE not in file:
        return cnn.read_image(file)
    said, _, pixels = file.rpartition(PICTURE)
    try:
        tensor, known = cnn.read_image(io.BytesIO(base64.b64decode(pixels, validate=True)))
    except ValueError:
        raise ValueError("The picture in this line is not whole; copy the line again, to its last letter.") from None
    return tensor, said.strip() or known


def common_patterns(network):
    """Return the whitening filters (n, 3, k, k), the most common pattern first, one of each pair of opposite signs.

    A filter is divided by the standard deviation along it, so the shortest one belongs to the most common pattern.
    """
    weights = network.whitening.weight.detach()
    half = weights[: len(weights) // 2]
    return half[half.flatten(1).norm(dim=1).argsort()].numpy()


def patch_correlations(network, images):
    """Return the correlation matrices of the numbers of a patch, and of the channels that whitening makes of them.

    Of the two channels of opposite sign one is left out; images are uint8 (n, 3, height, width).
    """
    with torch.no_grad():
        x = network.normalise(images)
        kernel = network.whitening.kernel_size
        patches = F.unfold(x, kernel).transpose(0, 1).flatten(1)
        half = network.whitening.out_channels // 2
        channels = network.whitening(x)[:, :half].transpose(0, 1).flatten(1)
    return torch.corrcoef(patches).numpy(), torch.corrcoef(channels).numpy()


def first_patterns(network):
    """Return what the first trained convolution looks for, in pixels: (filters, 3, side, side).

    Whitening comes in pairs z and -z. Of a GELU(z + b) + c GELU(-z + d), the part that is linear in z is
    (a s(b) - c s(d)) z, where s(b) is the slope of the least-squares line through GELU(z + b): E[z GELU(z + b)] for a
    standard normal z, as whitening makes it. s(0) is 1/2. That part of each filter is a filter on the pixels, and this
    function returns it.
    """
    convolution = next(layer for layer in network.groups[0].modules() if isinstance(layer, torch.nn.Conv2d))
    weights, patterns = convolution.weight.detach(), network.whitening.weight.detach()
    pairs = len(patterns) // 2
    nodes, shares = (torch.from_numpy(part).to(weights.dtype) for part in np.polynomial.hermite_e.hermegauss(40))
    shares = shares * nodes / shares.sum()  # of z GELU(z + b); 40 points leave rounding alone
    slopes = F.gelu(nodes + network.whitening.bias.detach()[:, None]) @ shares
    weighted = weights * slopes[:, None, None]
    on_z = weighted[:, :pairs] - weighted[:, pairs:]
    return F.conv_transpose2d(on_z, patterns[:pairs], stride=network.whitening.stride).numpy()


def read_record(folder):
    """Return the record of what was shipped, artifacts/p2/p2_history.json, as a dictionary.

    Raises ValueError when it is missing or no such file.
    """
    path = Path(folder) / "p2_history.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        record["shipped"]["epochs"], record["seeds"], record["ablation"]
    except (OSError, ValueError, KeyError, TypeError):
        raise ValueError(
            f"{path} is missing or not the record of a training; run python -m helpers.p2_report."
        ) from None
    return record


def load_shipped(folder=ARTIFACTS):
    """Return the shipped network and its record; raises ValueError when either is missing or damaged."""
    return cnn.load_model(Path(folder) / "p2_model.pkl"), read_record(folder)


def write_answers(path, images, probabilities):
    """Write what a network answered to images (n, height, width, 3): probabilities (n, classes), single precision."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, checksums=checksums(images), probabilities=np.asarray(probabilities, np.float32))
    cnn.replace_file(path, buffer.getvalue())


def read_answers(path, images):
    """Return the probabilities (n, classes) that a file of write_answers holds for images (n, height, width, 3).

    The images are found by their checksums, in whatever order they come. Raises ValueError when the file is missing or
    damaged, or knows nothing of one of them.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            known, probabilities = stored["checksums"], stored["probabilities"]
    except Exception:  # np.load raises a different kind of error for each way a file can be broken
        raise ValueError(f"{path} is missing or damaged; run python -m helpers.p2_report.") from None
    order, asked = np.argsort(known), checksums(images)
    places = order[np.searchsorted(known[order], asked).clip(max=len(known) - 1)]
    if not np.array_equal(known[places], asked):
        raise ValueError(f"{path} belongs to other images; run python -m helpers.p2_report.")
    return probabilities[places]


def test_answers(network, data, folder=ARTIFACTS):
    """Return the probabilities (n, classes) of the shipped network for the test images of `data`: those on file.

    For images that the file knows nothing of, a stand-in's, the network is asked.
    """
    if data.is_stand_in:
        return training.predict(network, training.to_tensor(data.test_images)).numpy()
    return read_answers(Path(folder) / "p2_test.npz", data.test_images)


test_answers.__test__ = False  # type: ignore[attr-defined]  # its name is no order to pytest


def facts(network, record):
    """Return what the shipped model is and took, in words: a dictionary of name to text."""
    shipped = record["shipped"]
    machine, minutes = shipped["machine"], shipped["seconds"] / 60
    single, averaged = shipped["test"]["accuracy"], shipped["test_six_views"]["accuracy"]
    under = f" ({shipped['note']})" if "note" in shipped else ""
    count = len(of_preset(record, "fast"))
    several = f" ({count} seeds of the preset fast below)" if count else ""
    return {
        "widths, depth": f"{', '.join(map(str, network.widths))}; {network.depth} convolutions a group",
        "parameters": f"{cnn.parameter_count(network):,}",
        "one forward pass": f"{cnn.forward_flops(network) / 1e6:.0f} MFLOP an image",
        "training": f"{len(shipped['epochs'])} epochs, {shipped['tflop']:,.0f} TFLOP, {minutes:.0f} minutes{under}",
        "on": f"{machine['processor']}, {machine['device']}, {threads(machine)}, {machine['precision']}",
        "test accuracy": f"{single:.2%}; {averaged:.2%} averaged over six views",
        "seed": f"{shipped['seed']}{several}",
    }


def gradient_check(images, labels, step=1e-6, widths=(4, 6, 8)):
    """Return, for every trained tensor of a small network, its name, its shape and the relative error of its gradient.

    Along a random direction in that tensor, the derivative of automatic differentiation is held against a central
    difference of width 2 `step`, in double precision. `images` uint8 (n, 3, height, width), `labels` (n,).
    """
    generator = torch.Generator().manual_seed(0)
    network = cnn.CNN(widths)
    network.fit_input(images)
    network.double()
    weights = {name: p for name, p in network.named_parameters() if p.requires_grad}
    with torch.no_grad():
        for weight in weights.values():  # drawn here, so that the result does not depend on what was drawn before
            weight.copy_(0.3 * torch.randn(weight.shape, generator=generator, dtype=torch.float64))
    logits = []  # those of the head, before the network rounds them to single precision
    handle = network.head.register_forward_hook(lambda layer, inputs, output: logits.append(output))

    def loss():
        network(images.double() / 255)
        return F.cross_entropy(logits.pop(), labels)

    rows = []
    gradients = dict(zip(weights, torch.autograd.grad(loss(), list(weights.values())), strict=True))
    for name, weight in weights.items():
        direction = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
        values = []
        with torch.no_grad():
            for sign in (1, -2):  # forward by one step, then back by two
                weight.add_(sign * step * direction)
                values.append(loss().item())
            weight.add_(step * direction)
        numeric, exact = (values[0] - values[1]) / (2 * step), (gradients[name] * direction).sum().item()
        rows.append((name, str(tuple(weight.shape)), abs(numeric - exact) / max(abs(exact), 1e-6)))
    handle.remove()
    return rows


def augmented(configuration, image, count):
    """Return what a training with this configuration may make of one image (3, 32, 32): `count` images (32, 32, 3)."""
    settings = configuration | {"batch_size": 1, "sizes": [32], "epochs": count}
    run = training.Training(settings, image[None], torch.zeros(1, dtype=torch.long))
    run.sized = training.PaddedImages(run.images, 32, configuration["translate"], run.device)
    views = []
    for run.epoch in range(count):  # every other epoch mirrors
        views.append(run.draw_batch(torch.zeros(1, dtype=torch.long), 32)[1][0].permute(1, 2, 0).numpy())
    return views


def layers(network, size=32):
    """Return the columns of a table of the network's layers: name, output, trained or fixed weights, FLOPs."""
    rows = cnn.layer_table(network, size)
    named = [row[0].replace("groups.", "group ").replace(".convolutions.", ", convolution ") for row in rows]
    named = [re.sub(r"\d+", lambda digits: str(int(digits.group()) + 1), name) for name in named]
    return {
        "layer": [*named, "all"],
        "output": [*("×".join(map(str, row[1])) for row in rows), ""],
        "weights": [*(row[2] for row in rows), sum(row[2] for row in rows)],
        "MFLOP": [*(row[3] / 1e6 for row in rows), sum(row[3] for row in rows) / 1e6],
    }


def changes(configuration, base):
    """Return in words the settings in which a configuration differs from `base`."""
    differing = [f"{name} {json.dumps(configuration[name])}" for name in base if configuration.get(name) != base[name]]
    return ", ".join(differing) or "nothing: the preset itself"


def ablation(record):
    """Return the columns of the ablation table of a record: what was changed, and what came out on held-out images.

    The last column is the difference to the unchanged recipe, in points, where it is among the runs.
    """
    entries = record["ablation"]
    base = (of_preset(record, "fast") or [record["shipped"]])[0]["configuration"]
    accuracy = [100 * entry["epochs"][-1]["validation_accuracy"] for entry in entries]
    plain = [a for a, entry in zip(accuracy, entries, strict=True) if entry["configuration"] == base]
    return {
        "changed": [changes(entry["configuration"], base) for entry in entries],
        "validation accuracy (%)": accuracy,
        **({"difference": [a - np.mean(plain) for a in accuracy]} if plain else {}),
        "seconds": [round(entry["seconds"]) for entry in entries],
        "budget (TFLOP)": [round(entry["budget_tflop"]) for entry in entries],
    }


def of_preset(record, preset):
    """Return those trainings of a record's `seeds` that had the preset."""
    return [entry for entry in record["seeds"] if entry["preset"] == preset]


def seeds(record, preset="fast"):
    """Return the columns of a preset's table of seeds; of several, mean and standard deviation (n - 1) come last."""
    entries = of_preset(record, preset)
    columns = {
        "test accuracy (%)": [100 * entry["test"]["accuracy"] for entry in entries],
        "mean over six views (%)": [100 * entry["test_six_views"]["accuracy"] for entry in entries],
        "seconds": [entry["seconds"] for entry in entries],
        "budget (TFLOP)": [entry["budget_tflop"] for entry in entries],
    }
    names = [f"{entry['seed']}, on {threads(entry['machine'])}" for entry in entries]
    if len(entries) > 1:
        names += ["mean", "± std"]
        for values in columns.values():
            values += [np.mean(values), np.std(values, ddof=1)]
    return {"seed": names} | columns


def threads(machine):
    """Return in words how many processor threads a training ran on."""
    return f"{machine['threads']} thread{'s' if machine['threads'] > 1 else ''}"
