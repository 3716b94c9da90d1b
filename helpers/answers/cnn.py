"""What Programming 2 expects: three small calculations about a CNN, and the accuracy of the reader's own.

The handout gives 20 of its 25 points for code and report, which people read, so the calculations earn none. The
question "P2" judges the accuracy, 5 points and up to 10 extra: of a number, which is believed, or of a trained network,
which is measured on the 10,000 test images. Only then is PyTorch imported: `progress()` asks for the questions alone.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from helpers import datasets
from helpers.checks import BandQuestion, Question, Slip, Verdict

# ------------------------------------------------------------------------------------------------------- sizes

_SIDE, _KERNEL = 40, 2  # pixels of the image; side of the first filter, which has no padding


def _sides(first=_SIDE - _KERNEL + 1, halve=lambda n: n // 2, shrink=0):
    """The side after the first filter and after each of three groups: a 3 x 3 convolution, then pooling by two."""
    sides = [first]
    for _ in range(3):
        sides.append(halve(sides[-1] - shrink))
    return tuple(sides)


_SIZES = Question(
    id="P2 sizes", points=0, parts=("first", "group 1", "group 2", "group 3"), expected=_sides,
    answer="(40 - 2)/1 + 1 = 39; a 3×3 filter with padding 1 keeps the side; pooling makes (n - 2)/2 + 1 of it, "
           "rounded down:",
    slips=(
        Slip("a side that does not come out even is rounded down: PyTorch leaves the last row and column unread.",
             lambda: _sides(halve=lambda n: -(-n // 2))),
        Slip("a side is a whole number of cells: where pooling does not come out even, PyTorch rounds down.",
             lambda: _sides(halve=lambda n: (n - 2) / 2 + 1)),
        Slip("the first filter has no padding, so it has fewer than 40 places in a row: (n - k)/s + 1.",
             lambda: _sides(first=_SIDE)),
        Slip("the + 1 of (n - k)/s + 1 is missing in the first layer.", lambda: _sides(first=_SIDE - _KERNEL)),
        Slip("the 3×3 filters have padding 1, which keeps the side; you took two cells off.",
             lambda: _sides(shrink=2)),
        Slip("each group ends with pooling, which halves the side.", lambda: _sides(halve=lambda n: n)),
        Slip("pooling 2×2 moves by 2, so the blocks do not overlap; you moved by 1.",
             lambda: _sides(halve=lambda n: n - 1)),
        Slip("these are numbers of cells; the side is asked for.", lambda: tuple(n * n for n in _sides())),
    ),
    hints=(
        "The size formula of notebook 04 is (n + 2p - k)/s + 1. Where it does not come out even, PyTorch rounds down.",
        "First n = 40, k = 2, p = 0, s = 1. Then, three times, a 3×3 filter with p = 1 and pooling with k = 2, s = 2.",
    ),
    decimals=2,
)  # fmt: skip


# ------------------------------------------------------------------------------------------------------- costs

_IN, _OUT, _WINDOW, _CELLS = 24, 64, 9, 20 * 20


def _costs(weights=_IN * _OUT * _WINDOW, operations=2, cells=_CELLS, used=None):
    """(weights, FLOPs) of the layer; `used` are the weights that the FLOPs are reckoned with."""
    return weights, operations * (weights if used is None else used) * cells


_COSTS = Question(
    id="P2 costs", points=0, parts=("weights", "FLOPs"), expected=_costs,
    answer="24·64·9 weights; each is multiplied and added once for each of the 20·20 cells of the map:",
    slips=(
        Slip("each of the 64 filters has a window for every one of the 24 input channels.",
             lambda: _costs(_OUT * _WINDOW)),
        Slip("there are 64 filters, one for each output channel; this is one of them.", lambda: _costs(_IN * _WINDOW)),
        Slip("a 3×3 window has nine weights a channel; they are missing here.", lambda: _costs(_IN * _OUT)),
        Slip("a 3×3 window has nine weights a channel, not three.", lambda: _costs(_IN * _OUT * 3)),
        Slip("there is no bias: batch normalisation follows, and would take it off again.",
             lambda: _costs(_IN * _OUT * _WINDOW + _OUT)),
        Slip("a multiplication and an addition count as two operations.", lambda: _costs(operations=1)),
        Slip("the filter is laid on the map at every cell, and all 20·20 of them cost.", lambda: _costs(cells=1)),
        Slip("with padding 1 the map stays 20×20; 18×18 is without.", lambda: _costs(cells=18 * 18)),
        Slip("the weights are right; each is used at 20·20 cells of the map, not at 20.", lambda: _costs(cells=20)),
        Slip("the weights are right; each output channel adds up all 24 input channels, which the FLOPs leave out.",
             lambda: _costs(used=_OUT * _WINDOW)),
    ),
    hints=(
        "A filter has 3·3 weights for each input channel, and there is one filter for each output channel.",
        "At every cell of the output map each weight takes part in one multiplication and one addition.",
    ),
    decimals=2,
)  # fmt: skip


# -------------------------------------------------------------------------------------------------------- loss

_SMOOTHING, _CLASSES = 0.2, 10


def _entropy(right, others, log=math.log):
    """The entropy of a target that gives the right class `right` and each other class `others`."""
    return -right * log(right) - (_CLASSES - 1) * others * log(others)


_EACH = _SMOOTHING / _CLASSES
_TRUE = 1 - _SMOOTHING + _EACH

_LOSS = Question(
    id="P2 loss", points=0, parts=("start", "floor"), expected=lambda: (math.log(_CLASSES), _entropy(_TRUE, _EACH)),
    answer="-log(1/10) = log 10, whatever the target; the loss is smallest where o = y, and is then the target's "
           "entropy, -0.82·log 0.82 - 9·0.02·log 0.02:",
    slips=(
        Slip("the loss uses the natural logarithm; this is base 10.",
             lambda: (1.0, _entropy(_TRUE, _EACH, math.log10))),
        Slip("the loss uses the natural logarithm; this is base 2.",
             lambda: (math.log2(_CLASSES), _entropy(_TRUE, _EACH, math.log2))),
        Slip("the floor is 0 only if the target is one-hot; a smoothed one can be met, but not with certainty.",
             lambda: (math.log(_CLASSES), 0.0)),
        Slip("PyTorch spreads the 20 % over all ten classes, the right one included: 0.82 and nine times 0.02.",
             lambda: (math.log(_CLASSES), _entropy(1 - _SMOOTHING, _SMOOTHING / 9))),
        Slip("the nine other classes have a share in the loss too: -y log o is summed over all ten.",
             lambda: (math.log(_CLASSES), -_TRUE * math.log(_TRUE))),
        Slip("each class's log o is weighted with its y; the right class has 0.82, not 1.",
             lambda: (math.log(_CLASSES), -math.log(_TRUE))),
        Slip("0.02 goes to each of the nine other classes; you counted it once.",
             lambda: (math.log(_CLASSES), -_TRUE * math.log(_TRUE) - _EACH * math.log(_EACH))),
        Slip("the minus sign of -Σ y log o is missing.",
             lambda: (-math.log(_CLASSES), -_entropy(_TRUE, _EACH))),
        Slip("this is the probability itself; the loss is minus its logarithm.",
             lambda: (1 / _CLASSES, _entropy(_TRUE, _EACH))),
    ),
    hints=(
        "An untrained network gives each class about 1/10. What is -Σ y log(1/10), for any y that adds up to 1?",
        "With smoothing 0.2 the target is 0.8·(one-hot) + 0.2·(1/10 everywhere): 0.82 and nine times 0.02.",
        "-Σ y log o is smallest at o = y (notebook 03: the gradient is o - y). Put y for o.",
    ),
)  # fmt: skip


# ---------------------------------------------------------------------------------------------------- accuracy


@dataclass(frozen=True)
class AccuracyQuestion(BandQuestion):
    """A question answered by a test accuracy, which is believed, or by a trained network, which is measured."""

    batch: int = 250
    data: Callable = functools.partial(datasets.cifar10, part="test")

    def judge(self, *given) -> Verdict:
        """Return the verdict with the points of the grade band; never raises on what a reader can pass."""
        if not given or any(value is ... for value in given):
            return self._unanswered()
        if len(given) != 1:
            said = f"give one thing, the accuracy or the network; {len(given)} given."
            return self._verdict("unreadable", said)
        if callable(given[0]):
            return self._measure(given[0])
        if isinstance(given[0], dict | str):
            kind = "a text" if isinstance(given[0], str) else "a dict of weights"
            said = f"this is {kind}; give the accuracy as a number, or the network itself, with its weights loaded."
            return self._verdict("unreadable", said)
        return self._judge_rate(given[0], "accuracy", "0.91")

    def worked(self) -> str:
        """Return the worked answer, which is no number: every network has its own accuracy."""
        return self.answer

    def _band(self, accuracy, source):
        from helpers.core import cnn_studies as studies

        earned = studies.grade(accuracy)[0]
        above = [(limit, points) for limit, points in studies.BANDS if points > earned]
        onward = f" Above {above[-1][0]:.0%} earns {above[-1][1]}." if above else ""
        return self._graded(f"{accuracy:.2%} test accuracy ({source})", earned, onward)

    def _measure(self, network):
        if isinstance(network, type):
            said = f"{network.__name__} is a class; make a network of it, train it, and give that."
            return self._verdict("unreadable", said)
        import torch

        sample = torch.linspace(0, 1, 2 * 3 * 32 * 32).view(2, 3, 32, 32)
        _, trouble = _attempt(network, sample)  # before anything is loaded
        if trouble:
            return self._verdict("wrong", f"on images of shape (2, 3, 32, 32) {trouble}")
        data = self.data()
        if data.is_stand_in:
            said = f"only CIFAR-10 counts, and here is a {data.name}; run python -m helpers.datasets."
            return self._verdict("unreadable", said)
        images = torch.from_numpy(data.test_images).permute(0, 3, 1, 2)
        readings = []
        for block in images.split(self.batch):
            logits, trouble = _attempt(network, block.float() / 255)
            if trouble:
                return self._verdict("wrong", f"on images of shape {tuple(block.shape)} {trouble}")
            readings.append(logits.argmax(1))
        found = torch.cat(readings).numpy()
        accuracy = float(np.mean(found == data.test_labels))
        if accuracy <= 0.6:
            said = _other_scale(network, images[:1000], data.test_labels[:1000], accuracy)
            if said:
                return self._verdict("wrong", said)
        if len(set(found.tolist())) == 1:
            name = data.class_names[found[0]]
            said = f"the network says {name} to every image: it diverged, its units died, or it is untrained."
            return self._verdict("wrong", said)
        return self._band(accuracy, f"measured on {len(found):,} images")


def _attempt(network, images):
    """Return the logits (n, 10) that `network` gives images in 0..1, and an empty string; or None and what is wrong."""
    import torch

    training = getattr(network, "training", False)
    if hasattr(network, "eval"):
        network.eval()
    own = next(network.parameters(), None) if isinstance(network, torch.nn.Module) else None
    try:
        with torch.no_grad():
            logits = torch.as_tensor(network(images if own is None else images.to(own.device))).detach().cpu()
    except (Exception, SystemExit) as error:
        return None, f"it raised {type(error).__name__} ({' '.join(str(error).split())[:200]})."
    finally:
        if training and hasattr(network, "train"):
            network.train()  # as it was: the reader's training may go on
    if logits.shape != (len(images), _CLASSES):
        return None, f"it returned shape {tuple(logits.shape)}; ({len(images)}, {_CLASSES}) is asked for."
    if logits.dtype == torch.bool or logits.is_complex():
        return None, f"it returned numbers of type {str(logits.dtype).removeprefix('torch.')}; real ones are asked for."
    if not torch.isfinite(logits.float()).all():
        return None, "its logits hold NaN or infinity: training diverged; try a smaller learning rate."
    return logits, ""


def _other_scale(network, images, labels, accuracy):
    """Return a sentence if `network` does much better on images of another scale than 0..1, else an empty one."""
    bytes_ = images.float()
    mean, std = bytes_.mean((0, 2, 3), keepdim=True), bytes_.std((0, 2, 3), keepdim=True)
    found = []
    for scaled, words in (
        ((bytes_ - mean) / std, "normalised by channel"),
        (bytes_ / 127.5 - 1, "scaled to -1..1"),
        (bytes_, "in 0..255"),
    ):
        logits, trouble = _attempt(network, scaled)
        found.append((0.0 if trouble else float(np.mean(logits.argmax(1).numpy() == labels)), words))
    better, words = max(found, key=lambda pair: pair[0])
    if better <= accuracy + 0.15:
        return ""
    return (
        f"{accuracy:.1%} on images in 0..1, but {better:.1%} on images {words}: let forward take numbers in 0..1 and "
        "bring them there itself."
    )


_ACCURACY = AccuracyQuestion(
    id="P2", points=5, parts=("accuracy or network",), expected=lambda: (0.91,),
    answer="there is no one answer; the network of this notebook, trained by make cnn, is one that passes.",
    slips=(
        Slip("an accuracy cannot be negative.", lambda accuracy: accuracy < 0),
        Slip("this looks like a count of right images; divide it by their number, 10,000.", lambda a: a > 100),
        Slip("this looks like a percentage; divide it by 100.", lambda a: 1 < a <= 100),
        Slip("not one of 10,000 images wrong? No network does that: was it trained on the test images, or is this the "
             "training accuracy?", lambda a: a == 1),
        Slip("above 99.7 % nothing was ever published for CIFAR-10; on which images was this measured?",
             lambda a: 0.997 < a < 1),
        Slip("fewer than half right? Guessing gets 10 %; if this is the error rate, the accuracy is 1 minus it.",
             lambda a: a < 0.5),
    ),
    hints=(
        "Give the accuracy, such as 0.91, or the trained network: it is called with float images (n, 3, 32, 32) in "
        "0..1 and returns logits (n, 10).",
        "Below 75 %? Check in this order: does it overfit 20 images, are images and labels shuffled alike, does the "
        "learning rate fall at the end?",
        "Batch normalisation, mirrored and shifted images, and a learning rate that falls to zero bring a small "
        "network past 85 %; width and more epochs do the rest.",
    ),
)  # fmt: skip

QUESTIONS = {question.id: question for question in (_SIZES, _COSTS, _LOSS, _ACCURACY)}
