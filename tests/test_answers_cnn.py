"""The check of Programming 2: calculations confirmed by PyTorch itself, accuracies believed or measured."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from helpers.answers import check, find
from helpers.answers.cnn import _ACCURACY, QUESTIONS


def test_sizes_are_those_that_pytorch_gives():
    x, sides = torch.zeros(1, 3, 40, 40), []
    x = nn.Conv2d(3, 2, 2)(x)
    sides.append(x.shape[-1])
    for _ in range(3):
        x = nn.MaxPool2d(2)(nn.Conv2d(2, 2, 3, padding=1)(x))
        sides.append(x.shape[-1])
    assert check("P2 sizes", *sides).status == "right"


def test_costs_are_those_that_pytorch_counts():
    layer = nn.Conv2d(24, 64, 3, padding=1, bias=False)
    with FlopCounterMode(display=False) as counter:
        layer(torch.zeros(1, 24, 20, 20))
    assert check("P2 costs", layer.weight.numel(), counter.get_total_flops()).status == "right"


def test_losses_are_those_that_pytorch_computes():
    start = nn.functional.cross_entropy(torch.zeros(1, 10), torch.tensor([3]), label_smoothing=0.2)
    logits = torch.zeros(1, 10, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([logits], max_iter=200, tolerance_grad=1e-12, tolerance_change=1e-15)

    def loss():
        optimizer.zero_grad()
        value = nn.functional.cross_entropy(logits, torch.tensor([3]), label_smoothing=0.2)
        value.backward()
        return value

    optimizer.step(loss)
    assert check("P2 loss", start.item(), loss().item()).status == "right"


@pytest.mark.parametrize(
    ("accuracy", "status", "earned", "words"),
    [
        (0.951, "right", 15, "earns 15 points, 10 of them extra."),
        (0.9, "right", 10, "Above 90% earns 15."),
        (np.float32(0.83), "right", 5, "Above 85% earns 10."),
        (torch.tensor(0.76), "wrong", 3, "Above 80% earns 5."),
        ([0.7], "wrong", 0, "Above 75% earns 3."),
        (93.2, "wrong", 0, "percentage"),
        (9321, "wrong", 0, "count of right images"),
        (1.0, "wrong", 0, "trained on the test images"),
        (0.999, "wrong", 0, "ever published"),
        (0.07, "wrong", 0, "1 minus it"),
        (-0.1, "wrong", 0, "negative"),
        ("0.9", "unreadable", 0, "is a text"),
        ([0.9, 0.8], "unreadable", 0, "one number"),
    ],
)
def test_a_number_is_believed_within_reason(accuracy, status, earned, words):
    verdict = check("P2", accuracy)
    assert (verdict.status, verdict.earned) == (status, earned) and words in verdict.sentence, verdict


RNG = np.random.default_rng(0)
LABELS = np.arange(1200) % 10
IMAGES = np.zeros((1200, 32, 32, 3), np.uint8)
IMAGES[..., 0] = 20 + 20 * LABELS[:, None, None]  # the class is written in the red channel
NAMES = [f"thing {k}" for k in range(10)]


def data(stand_in=False):
    name = "generated stand-in" if stand_in else "tiny"
    return SimpleNamespace(
        test_images=IMAGES, test_labels=LABELS, class_names=NAMES, name=name, is_stand_in=stand_in
    )  # fmt: skip


QUESTION = replace(_ACCURACY, data=data)


def reader(scale=lambda red: red):
    """A network that reads the class off the red channel, if this comes in 0..1 once scaled."""

    def network(images):
        red = 255 * scale(images[:, 0, 0, 0])
        return -((red[:, None] - 20 - 20 * torch.arange(10)) ** 2)

    return network


class Elsewhere(nn.Module):
    """A network whose weights lie on a device of its own, as after training on a GPU."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, device="meta"))

    def forward(self, images):
        assert images.device == self.weight.device
        return torch.zeros(len(images), 10)


def test_a_network_gets_its_images_where_its_weights_are():
    assert "says thing 0 to every image" in QUESTION.judge(Elsewhere()).sentence


def wrong_for(part):
    """A network that is right but for the first `part` of each hundred images."""
    state = {"seen": 0}

    def network(images):
        logits = reader()(images)
        place = (torch.arange(len(images)) + state["seen"]) % 100
        state["seen"] += len(images) if len(images) > 2 else 0
        logits[place < 100 * part] = logits[place < 100 * part].flip(1)
        return logits

    return network


class Module(nn.Module):
    """Right in eval mode only."""

    def forward(self, images):
        return reader()(images) * (-1 if self.training else 1)


def test_a_network_is_measured():
    verdict = QUESTION.judge(wrong_for(0.12))
    assert "88.00% test accuracy (measured on 1,200 images) earns 10 points" in verdict.sentence
    assert QUESTION.judge(Module()).earned == 15


@pytest.mark.parametrize(
    ("network", "status", "words"),
    [
        (lambda x: torch.zeros(len(x), 10), "wrong", "says thing 0 to every image"),
        (lambda x: torch.full((len(x), 10), torch.nan), "wrong", "diverged"),
        (lambda x: torch.zeros(len(x), 9), "wrong", "shape (2, 9); (2, 10) is asked for"),
        (lambda x: x.permute(0, 2, 3, 1) @ torch.zeros(4, 1), "wrong", "it raised RuntimeError"),
        (lambda x: None, "wrong", "it raised"),
        (Module, "unreadable", "is a class"),
        (reader(lambda red: red / 255), "wrong", "100.0% on images in 0..255"),
        (reader(lambda red: (red + 1) / 2), "wrong", "100.0% on images scaled to -1..1"),
        (wrong_for(0.5), "wrong", "50.00% test accuracy (measured on 1,200 images) earns 0 points"),
    ],
)
def test_what_is_wrong_with_a_network_is_said(network, status, words):
    torch.manual_seed(3)
    verdict = QUESTION.judge(network)
    assert (verdict.status, verdict.earned) == (status, 0) and words in verdict.sentence, verdict


def test_images_normalised_by_channel_are_recognised():
    red = IMAGES[..., 0].astype(float)
    network = reader(lambda r: (r * red.std(ddof=1) + red.mean()) / 255)
    assert "images normalised by channel" in QUESTION.judge(network).sentence


def test_a_stand_in_does_not_count():
    verdict = replace(_ACCURACY, data=lambda: data(stand_in=True)).judge(reader())
    assert verdict.status == "unreadable" and "only CIFAR-10 counts" in verdict.sentence


def test_every_slip_of_an_accuracy_can_be_made():
    values = (-0.1, 9321, 93.2, 1.0, 0.999, 0.07)
    for slip in QUESTIONS["P2"].slips:
        assert [value for value in values if slip.make(value)]


def test_what_is_no_network_and_no_number_is_told_what_is_asked_for():
    assert "a dict of weights; give the accuracy" in check("P2", {}).sentence
    assert "this is a text" in check("P2", "p2_model.pkl").sentence
    assert "type bool" in check("P2", lambda x: torch.zeros(len(x), 10, dtype=torch.bool)).sentence
    assert "0.91" not in find("P2").worked()
